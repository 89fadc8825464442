"""Facing the client: addresses, one HTTP exchange, health and metrics.

HTTP itself ends here. Every answer, also the framework's own refusals, has OpenAI's error shape
and the same security headers.
"""
