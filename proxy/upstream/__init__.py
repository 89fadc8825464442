"""Facing the providers: which target a name means, and one attempt at it.

`transport.py` is the only file that knows the HTTP client. A provider's facts stand in
`dialects.py`.
"""
