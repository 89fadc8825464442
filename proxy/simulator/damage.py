"""What faults do: some are an answer of their own, the others change a good reply."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import orjson

from proxy.simulator import problems
from proxy.simulator.catalogue import Kind
from proxy.simulator.faults import Fault
from proxy.simulator.metering import Meter
from proxy.simulator.problems import Problem
from proxy.simulator.reply import Arrival, Ending, Piece, Reply, done, frame, of_problem, whole
from proxy.simulator.tongues import GROQ, Tongue

HTML = "text/html; charset=utf-8"
MIB = 1 << 20
BOMB_MIB = 64

_SILENT = Reply(0, (), silent=True)
_ENDINGS = {"reset": Ending.RESET, "eof": Ending.EOF, "clean_end": Ending.CLEAN, None: Ending.EOF}


def instead(fault: Fault, arrival: Arrival, meter: Meter, authorization: str) -> Reply | None:
    """Give the answer of a fault that is one; None for a fault that changes a good reply."""
    tongue = meter.tongue
    model = tongue.models.find(arrival.model) or tongue.models.stand_ins[Kind.CHAT]

    def told(problem: Problem) -> Reply:
        return of_problem(problem, tell=tongue.tell)

    match fault.kind.name:
        case "status" if fault.status is not None:
            return _status(fault.status, fault, arrival.model, told)
        case "limit" if fault.limit is not None:
            return told(meter.used_up(arrival, model, fault.limit, fault.retry_after_s))
        case "too_large":
            return told(meter.never_fits(arrival, model))
        case "capacity":
            return told(problems.no_capacity())
        case "hang":
            return replace(_SILENT, ending=Ending.STALL)
        case "reset":
            return replace(_SILENT, ending=Ending.RESET)
        case "close":
            return replace(_SILENT, ending=Ending.EOF)
        case "html":
            return Reply(200, (Piece(_page(200)),), content_type=HTML)
        case "empty":
            return Reply(200, (Piece(b""),))
        case "redirect":
            return Reply(307, (Piece(b""),), headers={"location": f"{tongue.base_path}/moved"})
        case "echo_key":
            said = authorization.encode("utf-8", "replace").decode()
            return told(problems.bad(f"Could not use the credentials {said!r}."))
    return None


def damaged(fault: Fault, reply: Reply, tongue: Tongue = GROQ) -> Reply:
    """Change a good reply as the fault says; errors are left as they are."""
    if reply.status != 200:
        return reply
    match fault.kind.name:
        case "error_event_after_chunks":
            return _error_event(fault, reply, tongue)
        case "error_in_200":
            return _error_in_200(reply, tongue)
    change = _CHANGES.get(fault.kind.name)
    return reply if change is None else change(fault, reply)


def _status(status: int, fault: Fault, model: str, told: Callable[[Problem], Reply]) -> Reply:
    if fault.as_html:
        return Reply(status, (Piece(_page(status)),), content_type=HTML)
    if status < 400:
        return whole(status, {})
    problem = problems.of_status(status, fault.code, model)
    problem.retry_after_s = fault.retry_after_s
    return told(problem)


def _page(status: int) -> bytes:
    return (
        f"<!DOCTYPE html>\n<html><head><title>{status}</title></head>"
        f"<body><h1>Error {status}</h1><p>cloudflare (simulated)</p></body></html>\n"
    ).encode()


def _first(reply: Reply, chunks: int) -> tuple[Piece, ...]:
    """Give the first events of a stream, or half of a whole answer."""
    if reply.stream:
        return reply.pieces[:chunks]
    body = reply.pieces[0]
    return (replace(body, data=body.data[: len(body.data) // 2]),)


def _cut(fault: Fault, reply: Reply) -> Reply:
    whole_length = None if reply.stream or fault.how == "clean_end" else _length(reply)
    return replace(
        reply,
        pieces=_first(reply, fault.cut_after_chunks or 0),
        declared_length=whole_length,
        ending=_ENDINGS[fault.how],
    )


def _stall(fault: Fault, reply: Reply) -> Reply:
    return replace(
        reply,
        pieces=_first(reply, fault.stall_after_chunks or 0),
        declared_length=None if reply.stream else _length(reply),
        ending=Ending.STALL,
    )


def _error_event(fault: Fault, reply: Reply, tongue: Tongue) -> Reply:
    if not reply.stream:
        return _error_in_200(reply, tongue)
    kept = reply.pieces[: fault.error_event_after_chunks or 0]
    at_s = kept[-1].at_s if kept else reply.pieces[0].at_s
    told = tongue.tell(_failure())
    event = frame(told.event, at_s, told.event_name if fault.named else None)
    return replace(reply, pieces=(*kept, event))


def _error_in_200(reply: Reply, tongue: Tongue) -> Reply:
    at_s, told = reply.pieces[0].at_s, tongue.tell(_failure())
    if reply.stream:
        return replace(reply, pieces=(frame(told.event, at_s),))
    return replace(reply, pieces=(Piece(orjson.dumps(told.event), at_s),))


def _failure() -> Problem:
    return problems.of_status(500, None, "")


def _no_done(_fault: Fault, reply: Reply) -> Reply:
    kept = tuple(piece for piece in reply.pieces if piece.data != done(0).data)
    return replace(reply, pieces=kept)


def _after_done(_fault: Fault, reply: Reply) -> Reply:
    if not reply.stream:
        return reply
    at_s = reply.pieces[-1].at_s
    junk = Piece(b'data: {"choices":[{"index":0,"delta":{"content":"ghost"}}]}\n\n', at_s)
    return replace(reply, pieces=(*reply.pieces, junk, Piece(b"data: not json\n\n", at_s)))


def _comments(_fault: Fault, reply: Reply) -> Reply:
    if not reply.stream:
        return reply
    dressed = [replace(p, data=_dressed(p.data, n)) for n, p in enumerate(reply.pieces)]
    return replace(reply, pieces=tuple(dressed))


def _dressed(event: bytes, number: int) -> bytes:
    """Write an event anew with everything that the event-stream format allows around it."""
    # JSON may break its line after a comma; the first one of a chunk stands outside of any text.
    two_lines = event.replace(b',"', b',\ndata: "', 1)
    extras = b": a comment\nid: %d\nretry: 1000\n" % number
    # Comments alone between blank lines come first only: SDKs take later ones for empty events.
    alone = b"" if number else b": hello\n\n"
    return (alone + extras + two_lines).replace(b"\n", b"\r\n")


def _garbage(_fault: Fault, reply: Reply) -> Reply:
    if not reply.stream:
        return replace(reply, pieces=(replace(reply.pieces[0], data=b'{"id": "chatcmpl-, oops'),))
    middle = min(2, len(reply.pieces) - 1)
    broken = Piece(b'data: {"id": "chatcmpl-, oops\n\n', reply.pieces[middle].at_s)
    return replace(reply, pieces=(*reply.pieces[:middle], broken, *reply.pieces[middle:]))


def _no_choices(_fault: Fault, reply: Reply) -> Reply:
    return replace(reply, pieces=tuple(map(_without_choices, reply.pieces)))


def _without_choices(piece: Piece) -> Piece:
    prefix, found, rest = piece.data.rpartition(b"data: ")
    try:
        value = orjson.loads(rest)
    except orjson.JSONDecodeError:
        return piece
    if not isinstance(value, dict) or "choices" not in value:
        return piece
    tail = b"\n\n" if found else b""
    return replace(piece, data=prefix + found + orjson.dumps({**value, "choices": []}) + tail)


def _wrong_length(_fault: Fault, reply: Reply) -> Reply:
    return replace(reply, declared_length=_length(reply) + 100, ending=Ending.EOF)


def _bad_chunk(_fault: Fault, reply: Reply) -> Reply:
    kept = _first(reply, max(1, len(reply.pieces) // 2))
    return replace(reply, pieces=kept, ending=Ending.BAD_CHUNK)


def _gzip(_fault: Fault, reply: Reply) -> Reply:
    packer = zlib.compressobj(wbits=31)
    pieces = [
        replace(p, data=packer.compress(p.data) + packer.flush(zlib.Z_SYNC_FLUSH))
        for p in reply.pieces
    ]
    pieces[-1] = replace(pieces[-1], data=pieces[-1].data + packer.flush())
    return replace(reply, pieces=tuple(pieces), headers=_packed(reply))


def _gzip_bomb(_fault: Fault, reply: Reply) -> Reply:
    bomb = replace(reply.pieces[0], data=_bomb())
    return replace(reply, pieces=(bomb,), headers=_packed(reply))


@cache
def _bomb() -> bytes:
    return gzip.compress(b" " * (BOMB_MIB * MIB), compresslevel=1, mtime=0)


def _packed(reply: Reply) -> dict[str, str]:
    return {**reply.headers, "content-encoding": "gzip"}


def _huge_answer(fault: Fault, reply: Reply) -> Reply:
    """Blow up the first JSON text: white space is legal there and costs a reader the most."""
    padding = b" " * ((fault.huge_answer or 1) * MIB)
    first, *rest = reply.pieces
    blown = first.data.replace(b"{", b"{" + padding, 1)
    return replace(reply, pieces=(replace(first, data=blown), *rest))


def _length(reply: Reply) -> int:
    return sum(len(piece.data) for piece in reply.pieces)


_CHANGES: dict[str, Callable[[Fault, Reply], Reply]] = {
    "slow_first_byte_s": lambda f, reply: replace(reply, hold_s=f.slow_first_byte_s or 0.0),
    "cut_after_chunks": _cut,
    "stall_after_chunks": _stall,
    "no_done": _no_done,
    "after_done": _after_done,
    "comments": _comments,
    "garbage": _garbage,
    "no_choices": _no_choices,
    "wrong_content_type": lambda _f, reply: replace(reply, content_type=HTML),
    "wrong_length": _wrong_length,
    "bad_chunk": _bad_chunk,
    "gzip": _gzip,
    "gzip_bomb": _gzip_bomb,
    "huge_answer": _huge_answer,
    "huge_header": lambda _f, reply: replace(
        reply, headers={**reply.headers, "x-huge": "h" * (64 << 10)}
    ),
}
