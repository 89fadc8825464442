"""What we need not ask again.

Two calls are the same when their *fingerprints* are; an answer is kept when it is *worth* it; what
the caller *wishes* may only make both rarer. A *partition* is all of a call but the words of its
last user turn: a similar question may share an answer only inside an equal one.
"""
