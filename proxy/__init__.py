"""groq-proxy: an observability-focused, OpenAI-compatible gateway for Groq.

`gateway.py` tells the life of a call; every other file is a part that it names. Imports run
downwards only: `app` and `cli` see everything, `core` and `config` see nothing of the house.
"""

__version__ = "0.1.0"
