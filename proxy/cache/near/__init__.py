"""Whether a question asked before may answer the one asked now.

A question is read once (`reading`), and all that is compared comes out of that reading. Two
questions with one `canonical` key are the same words in other clothes. For others there are
`guards`, each of which knows one way in which near questions differ, and `features`, from which a
small trained model tells how likely one answer fits both. `eligible` says which calls may not be
answered this way at all. Guards and lexicon know English only.
"""
