"""State in one SQLite file that all worker processes of a host share.

Changes of a process go through one thread, which commits them in groups: what a commit costs is
paid once for all that waited. Groups of several processes take turns by a lock beside the file.
A group's operations run in memory, on a `Page` of the file, so that the number of statements does
not grow with them.
"""
