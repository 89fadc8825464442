"""The OpenAI dialect as pure functions: no I/O, no clock, nothing of the house but `core`.

Bytes go through as they came; they are decoded where a decision needs it. A stream is checked by
its shape on the common path (a few C-speed searches a read) and event by event as soon as anything
is odd.
"""
