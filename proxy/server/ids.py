"""Ids of calls: ours, and never a client's."""

from random import Random

_bits = Random().getrandbits  # noqa: S311 - seeded by the system; an id is a name, no secret


def new_id() -> str:
    """A new id; 96 random bits."""
    return f"prx_{_bits(96):024x}"
