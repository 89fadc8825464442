"""What a flight costs beside the same answer taken directly: `python -m tests.benchmarks.flights`.

Both ways are taken in turns, in rounds; what counts is the median of the rounds' differences. Some
clients ask at a time, each for an answer of its own, as a turn of the loop has a price of its own.
The upstream side costs next to nothing, so that the ratio says more about it than about the flight:
the differences are what every call pays.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from proxy.cache.flights import Flights
from proxy.core.call import Form, Frame, Head, Reply, Summary
from proxy.core.clock import SystemClock
from proxy.core.money import Bill

BAR_CALL_US = 15.0  # of a whole answer
BAR_FRAME_US = 5.0  # of a stream with one reader

FRAME = b'data: {"choices": [{"delta": {"content": "word"}}]}\n\n'
HEAD = Head(status=200, form=Form.CHAT, content_type="text/event-stream", headers={})


class Upstream:
    """A take-off without waste, whose frames come one to a turn of the loop, or all at once."""

    def __init__(self, frames: int, *, waits: bool) -> None:
        self._left = frames
        self._waits = waits
        self._summary = Summary()

    async def __aenter__(self) -> tuple[Reply, Bill]:
        await asyncio.sleep(0)  # the request
        return Reply(HEAD, self, self._summary), Bill()

    async def __aexit__(self, *_: object) -> None:
        pass

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        if not self._left:
            raise StopAsyncIteration
        if self._waits:
            await asyncio.sleep(0)
        self._left -= 1
        self._summary.ended = not self._left
        return FRAME


Way = Callable[[str, Callable[[], Upstream]], Awaitable[None]]


async def direct(_: str, upstream: Callable[[], Upstream]) -> None:
    async with upstream() as (reply, _):
        async for _ in reply.frames:
            pass


async def flown(flights: Flights, key: str, upstream: Callable[[], Upstream]) -> None:
    async with flights.join(key, upstream) as boarding:
        async for _ in boarding.reply.frames:
            pass


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of answer, and what is counted of it."""

    name: str
    frames: int
    waits: bool
    per: int  # calls or frames of one answer
    bar_us: float


CASES = (
    Case("whole answer", 1, False, 1, BAR_CALL_US),
    Case("stream, a frame at a time", 400, True, 400, BAR_FRAME_US),
    Case("stream, all at hand", 400, False, 400, BAR_FRAME_US),
)


async def cpu_us(way: Way, case: Case, clients: int, answers: int) -> float:
    """CPU of one call or frame."""
    upstream = partial(Upstream, case.frames, waits=case.waits)

    async def client(name: str) -> None:
        for _ in range(answers):
            await way(name, upstream)

    begun = time.process_time()
    await asyncio.gather(*(client(f"client {n}") for n in range(clients)))
    return 1e6 * (time.process_time() - begun) / (clients * answers * case.per)


async def measured(
    case: Case, rounds: int, clients: int, answers: int
) -> Sequence[tuple[float, float]]:
    """(direct, flown) of each round."""
    flying = partial(flown, Flights(SystemClock()))
    pairs = [
        (
            await cpu_us(direct, case, clients, answers),
            await cpu_us(flying, case, clients, answers),
        )
        for _ in range(rounds + 1)
    ]
    return pairs[1:]  # the first one warms up


async def measured_shared(readers: int, frames: int) -> float:
    """CPU of one frame for one of many readers."""
    flights = Flights(SystemClock())
    upstream = partial(Upstream, frames, waits=True)
    begun = time.process_time()
    await asyncio.gather(*(flown(flights, "key", upstream) for _ in range(readers)))
    return 1e6 * (time.process_time() - begun) / (readers * frames)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--calls", type=int, default=4000, help="or frames, of each round")
    args = parser.parse_args()
    say = sys.stdout.write
    say(f"{args.clients} clients at a time\n")
    say(f"{'us of CPU':<28}{'direct':>9}{'flown':>9}{'ratio':>8}{'more':>8}{'bar':>7}\n")
    for case in CASES:
        answers = max(1, args.calls // case.per // args.clients)
        pairs = asyncio.run(measured(case, args.rounds, args.clients, answers))
        plain, flight = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        more = statistics.median(b - a for a, b in pairs)
        say(f"{case.name:<28}{plain:>9.2f}{flight:>9.2f}{ratio:>8.2f}{more:>8.2f}")
        say(f"{case.bar_us:>7.0f}\n")
    say(f"of 500 readers, each pays {asyncio.run(measured_shared(500, 100)):.2f} us a frame\n")


if __name__ == "__main__":
    main()
