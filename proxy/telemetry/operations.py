"""`logging`, warnings and what nobody caught -> lines in the shape of the access log."""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

import orjson

from proxy.core.secrets import Secrets
from proxy.telemetry.lines import LineWriter
from proxy.telemetry.logs import timestamp

_MOST_WAITING = 1000
_LONGEST = 1 << 16  # characters of a message or a traceback
_LONGEST_SECRET = 1 << 12

_log = logging.getLogger("proxy")

# In an exception's own words: long values are data of a call, in the end somebody's prompt.
_VALUE = re.compile(r"""(['"])(?:(?!\1)[^\\\n]|\\.){32,}""")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Operations(logging.Handler):
    """The one way out for what is no call: clean of secrets, and never in the event loop's way.

    Records are formatted where they are made, as what they tell of may change; a thread writes
    them. `close`, which `logging` calls at the end of the program, waits for it a bounded time.
    """

    def __init__(
        self, secrets: Secrets, *, text: bool, out: TextIO, worker: int | None = None
    ) -> None:
        super().__init__()
        self.secrets = secrets
        self.setFormatter(Formatter(text=text, hide=secrets.hide, worker=worker))
        self._writer = LineWriter(out, most_waiting=_MOST_WAITING)

    @property
    def dropped(self) -> int:
        """How many lines were lost."""
        return self._writer.dropped

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; one that cannot be told is told of without its words."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - as logging has it: a bad message hurts nobody
            where = f"line {record.lineno} of {record.module}"
            kind = type(error).__name__
            instead = _plain(record, f"{where} has a message that cannot be told: {kind}")
            line = self.format(instead)
        self._writer.write(line.encode())

    def close(self) -> None:
        """Write what waits, for a bounded time."""
        self._writer.close()
        super().close()


def set_up(
    secrets: Secrets, *, text: bool, out: TextIO = sys.stderr, worker: int | None = None
) -> Operations:
    """Send all that the program says to `out`, for the rest of its life.

    Of libraries that is warnings, of our own what is said from info on; also warnings of Python and
    exceptions that nobody caught. One of several workers gives its number.
    """
    operations = Operations(secrets, text=text, out=out, worker=worker)
    logging.basicConfig(level=logging.WARNING, handlers=[operations], force=True)
    _log.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    return operations


def in_force() -> Operations | None:
    """What `set_up` made, as `logging` knows it."""
    handlers = logging.getLogger().handlers
    return next((handler for handler in handlers if isinstance(handler, Operations)), None)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _log.critical("nobody caught this", exc_info=(kind, error, trace))


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and not isinstance(told.exc_value, SystemExit):
        _log.critical(
            "nobody caught this in a thread",
            exc_info=(told.exc_type, told.exc_value, told.exc_traceback),
        )


def _unraisable(told: "sys.UnraisableHookArgs") -> None:
    error = told.exc_value
    _log.error(
        "%s: %r",
        told.err_msg or "an exception that nobody could be told of",
        told.object,
        exc_info=(told.exc_type, error, told.exc_traceback) if error is not None else None,
    )


class Formatter(logging.Formatter):
    """`logging` records in the shape of the access log, without secrets.

    What is told is cleaned as a whole, so that it does not matter in which part a secret came.
    Without several workers, and of their supervisor, `worker` is null and not in lines for people.
    """

    def __init__(
        self, *, text: bool, hide: Callable[[str], str], worker: int | None = None
    ) -> None:
        super().__init__()
        self._text = text
        self._hide = hide
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """One line: JSON, or text for a terminal."""
        message = self._shown(record.getMessage())
        trace = self._trace(record.exc_info) if record.exc_info else None
        ts = timestamp(record.created)
        if self._text:
            who = "" if self._worker is None else f"worker {self._worker}  "
            line = f"{ts[11:23]}  {who}{record.levelname.lower()}: {_tame(message)}"
            return f"{line}\n{_tame(trace.rstrip())}" if trace else line
        told = {
            "ts": ts,
            "level": record.levelname.lower(),
            "event": "log",
            "schema": 1,
            "logger": record.name,
            "message": message,
            "traceback": trace,
            "worker": self._worker,
        }
        return orjson.dumps(told).decode()

    def _trace(self, exc_info: Any) -> str:
        """The traceback, its exceptions' own words without long values."""
        shown = self._shown("".join(traceback.format_exception(*exc_info)))
        lines = shown.splitlines(keepends=True)
        return "".join(line if line.startswith(" ") else _VALUE.sub(r"\1…", line) for line in lines)

    def _shown(self, text: str) -> str:
        sound = text[:_LONGEST].encode("utf-8", "backslashreplace").decode()
        shown = self._hide(sound)
        # A secret that the cut goes through is not known as one.
        return shown if len(text) <= _LONGEST else f"{shown[:-_LONGEST_SECRET][:_LONGEST]}…"


def _plain(record: logging.LogRecord, message: str) -> logging.LogRecord:
    """A record like it whose message needs nothing."""
    return logging.LogRecord(record.name, record.levelno, "", 0, message, (), None)


def _tame(text: str) -> str:
    """`text` without what would steer a terminal."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
