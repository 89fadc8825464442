"""The stores of several hosts: all state lives in one Redis, and every change is one Lua script.

Scripts change many keys in one step, and take the time from the server, so hosts need not agree on
the time of day. All keys begin with `groq-proxy:{b}:`; what stands in braces keeps them in one hash
slot. Orders are gathered and sent together, so a busy worker needs no crowd of connections.
"""
