"""Providers that keep their callers waiting: each case takes the time that the gateway allows."""

from collections.abc import Iterator

from tests.siege.provider_cases import Case
from tests.siege.provider_scripts import (
    BEGUN,
    BODY,
    GOOD,
    OPEN,
    dribbling,
    leave_open,
    repeating,
    saying,
)
from tests.siege.provider_verdicts import LATE, Verdict, cut, either, refused
from tests.stories.raw import EVENTS, Script, chunk, head, said, whole

# Short enough to be waited for, long enough for a busy machine.
TIMES = {
    "connect_s": 0.5,
    "first_byte_s": 1.0,
    "idle_s": 1.0,
    "total_s": 1.5,
    "stream_total_s": 6.0,
}
_FIRST, _TOTAL, _STREAM = TIMES["first_byte_s"], TIMES["total_s"], TIMES["stream_total_s"]


def _case(name: str, script: Script, verdict: Verdict, within_s: float, *, stream: bool) -> Case:
    return Case(name, stream, script, verdict, "hasty", within_s)


def _both(name: str, script: Script, verdict: Verdict, stream_s: float = _FIRST) -> Iterator[Case]:
    yield _case(name, script, verdict, _TOTAL, stream=False)
    yield _case(name, script, verdict, stream_s, stream=True)


def _silent(*pieces: bytes) -> Script:
    return saying(*pieces, then=leave_open)


_LINE = b"HTTP/1.1 200 OK\r\n"
_HANGS = {
    "before the headers": (),
    "in the status line": (b"HTTP/1.1 20",),
    "in the headers": (_LINE + b"Content-Type: appl",),
    "behind a 100 Continue": (head("100 Continue"),),
}
_LATER = {
    "in the middle": (BEGUN,),
    "in an event": (BEGUN, chunk(b'data: {"choices":[{"delta"')),
    "in the size of a chunk": (BEGUN, b"4"),
    "in a chunk": (BEGUN, said("two")[:-9]),
}


def _silences() -> Iterator[Case]:
    for name, pieces in _HANGS.items():
        yield from _both(f"silence {name}", _silent(*pieces), LATE)
    for name, whole_pieces in {"before the body": GOOD[:-171], "in the body": GOOD[:-20]}.items():
        script = _silent(whole_pieces)
        yield _case(f"silence {name}", script, LATE, _TOTAL, stream=False)
    unended = _silent(OPEN, chunk(BODY))
    yield _case("silence before the last chunk", unended, LATE, _TOTAL, stream=False)
    longer = _silent(whole(BODY, content_length="5000"))
    yield _case("silence where more was announced", longer, LATE, _TOTAL, stream=False)
    for name, stream_pieces in {"the headers": EVENTS, "the role": EVENTS + said("")}.items():
        script, within_s = _silent(stream_pieces), 2 * _FIRST
        yield _case(f"silence behind {name}", script, LATE, within_s, stream=True)
    for name, pieces in _LATER.items():
        within_s = 2 * TIMES["idle_s"]
        verdict = cut("stream_stalled")
        yield _case(f"silence {name}", _silent(*pieces), verdict, within_s, stream=True)
    for status, seen in {400: 400, 429: 429, 500: 502, 503: 503}.items():
        refusal = _silent(head(f"{status} No", content_length="99"), b'{"error"')
        verdict = either(refused(seen), LATE)
        yield from _both(f"silence in a {status}", refusal, verdict, _STREAM)


def _dribbles() -> Iterator[Case]:
    header = dribbling(_LINE, drop=b"x-a: b\r\n")
    yield from _both("headers one byte a time, for ever", header, LATE)
    lines = dribbling(drop=b"\r\n")
    yield from _both("empty lines for ever", lines, LATE)
    body = dribbling(head(content_type="application/json", content_length="9999"), drop=b" ")
    yield _case("a body one byte a time, for ever", body, LATE, _TOTAL, stream=False)
    sizes = dribbling(OPEN, drop=b"0")
    yield _case("zeros of a size for ever", sizes, LATE, _TOTAL, stream=False)
    comments = chunk(b": still there\n\n")
    first = repeating(EVENTS, piece=comments)
    yield _case("comments for ever", first, LATE, _STREAM, stream=True)
    later = repeating(BEGUN, piece=comments)
    stalled = cut("stream_stalled")
    yield _case("comments for ever, later", later, stalled, 2 * TIMES["idle_s"], stream=True)
    blanks = repeating(BEGUN, piece=chunk(b"\n\n"))
    yield _case("blank lines for ever, later", blanks, stalled, 2 * TIMES["idle_s"], stream=True)
    event = repeating(BEGUN, chunk(b"data: {"), piece=chunk(b" "))
    yield _case("an event one byte a time, for ever", event, stalled, _STREAM, stream=True)
    roles = repeating(EVENTS, piece=said(""))
    yield _case("roles for ever", roles, LATE, _STREAM, stream=True)
    ticks = repeating(BEGUN, piece=said(" tick"))
    yield _case("content for ever", ticks, stalled, _STREAM, stream=True)


CASES = [*_silences(), *_dribbles()]
