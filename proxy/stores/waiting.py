"""The files of charges that wait for the store: one for each process, a line for each charge."""

import errno
import fcntl
import logging
import os
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from proxy.core.money import Bucket, Charge, Hold, Kind, Spender, Tokens

_log = logging.getLogger(__name__)

BAD: Final = "unsettled-bad.jsonl"
MOST_RELEASES: Final = 5_000  # in one file
_MOST_BAD_BYTES: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A charge that waits; it is made of a line that nobody checked, so its numbers may be odd."""

    hold: Hold
    charge: Charge


@dataclass(slots=True, eq=False)
class File:
    """A file of entries; whoever holds its lock owns it."""

    path: Path
    file: int
    entries: deque[Entry] = field(default_factory=deque)
    releases: int = 0  # that we wrote into it

    def count(self, releases: int) -> None:
        """So many more releases were written; the last that may be is told."""
        before, self.releases = self.releases, self.releases + releases
        if before < MOST_RELEASES <= self.releases:
            _log.warning(
                "%d releases wait for the store, and no more can: a hold whose release is lost is"
                " charged in full when its time is over",
                self.releases,
            )


def adopt(directory: Path) -> list[File]:
    """The files whose owners are dead, locked; raises `OSError`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = []
    for path in sorted(directory.glob("unsettled-*.jsonl")):
        if path.name == BAD:
            continue
        try:
            file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # another worker was quicker
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)  # its owner lives
            continue
        found.append(File(path, file, deque(_entries(path))))
    return found


def _entries(path: Path) -> Sequence[Entry]:
    entries = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            entries.append(_parsed(orjson.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError):
            # Cut off by a crash: whoever wrote it was not told yet that it is safe. Or it is of a
            # newer version of ours, or somebody edited it: people must see what it says.
            _log.warning("%s: line %d is no charge, and is left out: see %s", path, number, BAD)
            set_aside(path.parent, line)
    return entries


def create(directory: Path) -> File:
    """A new file, ours; raises `OSError`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        path = directory / f"unsettled-{secrets.token_hex(8)}.jsonl"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)  # a worker that starts right now believes that we are dead
            continue
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # else a power cut could take the file with its name
        finally:
            os.close(folder)
        return File(path, file)


def append(file: int, entries: Sequence[Entry]) -> None:
    """Write lines that are on the disk when this returns, or none; raises `OSError`."""
    size = os.fstat(file).st_size
    lines = b"".join(orjson.dumps(entry) + b"\n" for entry in entries)
    try:
        if os.write(file, lines) < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, size)
        raise


def set_aside(directory: Path, line: bytes) -> None:
    """Set a line aside, if that can be done; all processes of the host write into the one file."""
    path = directory / BAD
    try:
        with open(path, "ab", opener=partial(os.open, mode=0o600)) as file:
            if file.tell() + len(line) > _MOST_BAD_BYTES:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        _log.error("a line could not be moved to %s: %s", path, error.strerror)


def _parsed(doc: dict[str, Any]) -> Entry:
    hold, charge = doc["hold"], doc["charge"]
    # A bucket's `id` follows from the rest, and is not told twice.
    buckets = tuple(
        Bucket(**{name: bucket[name] for name in ("scope", "window", "start", "end", "limit")})
        for bucket in hold.pop("buckets")
    )
    spender, tokens = Spender(**hold.pop("spender")), Tokens(**charge.pop("tokens"))
    kind: Any = Kind(charge.pop("kind"))
    return Entry(
        Hold(buckets=buckets, spender=spender, **hold), Charge(kind=kind, tokens=tokens, **charge)
    )
