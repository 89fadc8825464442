"""Gemini as its OpenAI-compatible layer speaks: strict in what it reads, sparing in what it tells.

Answers, checks and faults are the common ones; here stands what differs. Requests are held against
a list of fields and turned into what the common checks read. Thoughts are billed and never shown:
`completion_tokens` leaves them out, `total_tokens` does not. Calls of functions are signed, and
the signature has to come back.
"""
