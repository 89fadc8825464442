"""Ids of calls: ours, and never a client's."""

import os


def new_id() -> str:
    """A new id; 96 random bits."""
    return f"prx_{os.urandom(12).hex()}"
