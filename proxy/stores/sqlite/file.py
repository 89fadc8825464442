"""The file of a database."""

import os
from contextlib import suppress
from pathlib import Path


def make_private(path: Path) -> None:
    """Make an empty file for its owner alone, if there is none; raises `OSError`.

    SQLite gives the files beside it the same rights. One that is there is not even opened: closing
    it would drop all locks of this process on it, those of other connections too, and another
    process would take the database for abandoned and delete its log.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
