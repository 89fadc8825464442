"""A stand-in for Upstash Vector: its whole REST interface, close enough for the vendor's own SDK.

`index.py` holds what is kept, and lets it be found late, as the real one does. `searches.py` finds,
`embedding.py` has the hosted models, `filters.py` reads filters and `requests.py` bodies;
`commands.py` is what can be asked for, and `server.py` answers over HTTP: keys, status codes, and
troubles on order. What the vendor does not document is marked as our guess.
"""
