"""The Lua scripts, and how they are put together."""

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Final

_HERE = files(__name__)


@dataclass(frozen=True, slots=True)
class Script:
    """What the server runs in one step, and the name by which it remembers it."""

    text: str
    sha: str


def script(*names: str) -> Script:
    """The script made of these files, after what all of them use."""
    parts = ("common", *names)
    text = "\n".join((_HERE / f"{part}.lua").read_text("utf-8") for part in parts)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


READ: Final = script("read")
