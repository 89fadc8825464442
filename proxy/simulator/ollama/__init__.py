"""Ollama as its OpenAI-compatible layer speaks: no keys, no limits, and no word of what it ignores.

Requests are read leniently and turned into what the common checks read; each call records the
fields that were dropped on the way.
"""
