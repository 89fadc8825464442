"""How a process of ours starts another one that runs our modules."""

import sys
from pathlib import Path


def import_flags() -> tuple[str, ...]:
    """What makes a child of ours look for modules where we do: `-m` alone adds the folder it is in.

    That folder may have a `proxy` of its own.
    """
    there = sys.path[:1] == [str(Path.cwd())]
    return () if there else ("-P",)
