"""Records in, evidence out: each file is an observer of the journal and knows no other part.

Label values come from the configuration, from what providers list, or from closed sets in code; a
client's text is never one.
"""
