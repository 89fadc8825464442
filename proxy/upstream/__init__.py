"""Facing the providers: which target a name means, and one attempt at it.

`transport.py` says what is wanted of HTTP, `http1.py` and its neighbours do it, and nothing else
knows how. A provider's facts stand in `dialects.py`.
"""
