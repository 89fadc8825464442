"""The books of a house: whatever happened, all kinds of evidence tell the same story."""

import asyncio
from collections import Counter

import orjson

from proxy.core.call import Usage
from proxy.core.errors import Outcome
from proxy.core.journal import CallRecord
from tests.conftest import House

SECRET = "gsk_test"
LEFT_WITHIN_S = 1.0  # a client that leaves takes its provider call along within this time


async def at_rest(house: House) -> None:
    """All calls have ended, here and at the provider; nothing is counted as open."""
    async with asyncio.timeout(5):
        while len(house.seen.calls) < len(house.seen.opened):
            await house.seen.changed.wait()
    async with asyncio.timeout(LEFT_WITHIN_S):
        for call in house.simulator.calls:
            await call.ended.wait()

    assert house.seen.opened
    assert await house.metric("in_flight_requests") == 0
    assert await house.metric("open_streams") == 0


async def balanced(house: House) -> None:
    """One record, one flight, one line for each call; and all of them, and the metrics, agree."""
    calls, flights, attempts = house.seen.calls, house.seen.flights, house.seen.attempts

    assert sorted(c.id for c in calls) == sorted(c.id for c in house.seen.opened)
    assert len({c.id for c in calls}) == len(calls)
    flown = [c.flight for c in calls if c.flight is not None]
    assert Counter(map(id, flown)) == Counter(map(id, flights))
    assert Counter(id(a) for f in flights for a in f.attempts) == Counter(map(id, attempts))

    _lines_agree(house)
    await _metrics_agree(house)
    page = house.app.state.metrics.render("")[0]
    assert SECRET.encode() not in page
    assert not any(SECRET in line for line in house.log.lines())


def _lines_agree(house: House) -> None:
    lines = {line["request_id"]: line for line in map(orjson.loads, house.log.lines())}

    assert len(house.log.lines()) == len(lines) == len(house.seen.calls)
    for call in house.seen.calls:
        line = lines[call.id]
        usage = _usage(call)
        assert line["status"] == call.status
        assert line["outcome"] == call.outcome
        assert line["error_code"] == (call.error.code if call.error else None)
        assert line["stream_end"] == call.stream_end
        if call.flight is not None and call.flight.ended > call.ended:
            continue  # it went on for others, and the line tells how it stood
        assert line["prompt_tokens"] == (usage.prompt if usage else None)
        assert line["completion_tokens"] == (usage.completion if usage else None)
        assert line["attempts"] == (len(call.flight.attempts) if call.flight else 0)


def _usage(call: CallRecord) -> Usage | None:
    """That of its flight; of an answer out of the cache, that of the flight which brought it."""
    if call.flight is not None:
        return call.flight.summary.usage
    return None if call.cache is None else call.cache.usage


async def _metrics_agree(house: House) -> None:
    calls, flights, attempts = house.seen.calls, house.seen.flights, house.seen.attempts
    for outcome in Outcome:
        for code, count in Counter(c.status for c in calls if c.outcome is outcome).items():
            labels = {"outcome": outcome, "code": str(code)}
            assert await house.metric("requests_total", **labels) == count
    assert await house.metric("requests_total") == len(calls)
    left = sum(c.outcome is Outcome.CLIENT_ABORT for c in calls)
    assert await house.metric("client_aborts_total") == left
    for end, count in Counter(c.stream_end for c in calls if c.stream_end).items():
        assert await house.metric("streams_total", end=end) == count
    for result, count in Counter(a.result for a in attempts).items():
        assert await house.metric("upstream_attempts_total", result=result) == count
    assert await house.metric("upstream_attempts_total") == len(attempts)
    for kind, count in Counter(a.error.kind for a in attempts if a.error).items():
        assert await house.metric("upstream_errors_total", kind=kind) == count
    tokens: Counter[str] = Counter()
    for flight in flights:
        if (usage := flight.summary.usage) is not None:
            source = "reported" if usage.exact else "estimated"
            tokens[source] += usage.prompt + usage.completion
    for source in ("reported", "estimated"):
        assert await house.metric("tokens_total", source=source) == tokens[source]
