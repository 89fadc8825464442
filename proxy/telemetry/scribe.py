"""A process of its own that redacts what was captured and writes it to files.

`python -m proxy.telemetry.scribe`, which only the gateway starts. Apart, as an operator's patterns
may take for ever on some text: whoever waits for this process can end it, and calls go on.

Over stdin come parcels of JSON: first its `orders`, then captures. For each
of these one byte goes to stdout: `+` it is written, `-` it could not be.

Captures are lines of JSON, in a file of mode 0600. When it is full it is moved to `.1`, that one
to `.2`, and so on; the oldest one goes.
"""

import errno
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from proxy.core.parcels import PREFIX
from proxy.core.redaction import Redactor
from proxy.core.secrets import hashed, hide
from proxy.telemetry.transcript import told

MOST_TEXT: Final = 64 << 10  # characters of a request or an answer that are kept
MOST_BYTES: Final = 1 << 20  # of either that are looked at
MOST_IN_FILE: Final = 16 << 20
FILES: Final = 4
_LARGEST: Final = 64 << 20
_HALF_WORD: Final = 256
_LONGEST_S: Final = 60  # for a capture: whoever waits is more likely gone
_OURS: Final = ("ts", "request_id", "trace_id")  # of whose digits some look like those of a card


def orders(path: Path, known: Mapping[str, str], patterns: tuple[str, ...]) -> bytes:
    """What a scribe is told first: where to write, and what to take out."""
    return orjson.dumps({"path": str(path), "known": known, "patterns": patterns})


class Scribe:
    """Writes captures, without what is to be taken out."""

    def __init__(self, path: Path, redactor: Redactor, most_in_file: int = MOST_IN_FILE) -> None:
        self._path = path
        self._redactor = redactor
        self._most_in_file = most_in_file

    def write(self, capture: dict[str, Any]) -> None:
        """Keep one; raises `OSError`."""
        request, answer = capture.pop("request"), capture.pop("answer")
        form, size = capture.pop("form"), capture.pop("answer_bytes")
        cut = len(answer) < size
        said = told(answer.encode("latin-1"), form) if answer else None
        if cut and form == "whole":
            said = f"[{size} bytes]"
        line = {
            **self._redactor.json(capture),
            **{name: capture[name] for name in _OURS if name in capture},
            "request": self._short(request, cut=False),
            "answer": self._short(said, cut=cut),
            "answer_cut": cut,
        }
        self._append(orjson.dumps(line) + b"\n")

    def _short(self, value: Any, *, cut: bool) -> Any:
        """Redacted first, then shortened: half a secret is one that nobody finds."""
        value = self._redactor.json(_without_half_words(value) if cut else value)
        text = orjson.dumps(value).decode()
        return value if len(text) <= MOST_TEXT else text[:MOST_TEXT]

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if not size or size + len(line) <= self._most_in_file:
                if os.write(descriptor, line) != len(line):
                    os.ftruncate(descriptor, size)
                    raise OSError(errno.ENOSPC, "no room for a capture")
                return
        finally:
            os.close(descriptor)
        self._rotate()
        self._append(line)

    def _rotate(self) -> None:
        for number in range(FILES - 1, 0, -1):
            younger = self._numbered(number - 1)
            if younger.exists():
                younger.replace(self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


def _without_half_words(value: Any) -> Any:
    """Each text without its last word, which may be half a secret."""
    match value:
        case str():
            kept = max(0, len(value) - _HALF_WORD)
            return value[:kept] + value[kept:].rpartition(" ")[0]
        case dict():
            return {name: _without_half_words(below) for name, below in value.items()}
        case list():
            return [_without_half_words(below) for below in value]
        case _:
            return value


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Write what comes, until it ends."""
    first = _next(source)
    if first is None:
        return
    told_first = orjson.loads(first)
    known: Mapping[str, str] = told_first["known"]
    path = Path(told_first["path"])
    redactor = Redactor(lambda text: hide(text, known, hashed), told_first["patterns"])
    scribe = Scribe(path, redactor)
    while (content := _next(source)) is not None:
        signal.alarm(_LONGEST_S)  # it ends us, also in the middle of a pattern
        try:
            scribe.write(orjson.loads(content))
            said = b"+"
        except (OSError, ValueError, TypeError, RecursionError):
            said = b"-"
        signal.alarm(0)
        sink.write(said)
        sink.flush()


def _next(source: BinaryIO) -> bytes | None:
    length = int.from_bytes(source.read(PREFIX), "big")
    if not 0 < length <= _LARGEST:
        return None
    content = source.read(length)
    return content if len(content) == length else None


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
