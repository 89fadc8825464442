import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.access.limits import Limits, reset_text
from proxy.config.units import limit
from proxy.core.call import ANYONE, Call, Caller, Endpoint, JsonObject, Upload
from proxy.core.errors import Outcome, RateLimited
from proxy.core.rates import Level, Short, Take
from proxy.stores.counters import HostCounters
from proxy.stores.protocols import StoreFailed
from tests.fakes import FakeClock

MAKE = Callable[..., Limits]


class Ailing(HostCounters):
    """Counters that fail when told to, and stop at `hang` after what was asked of them is done."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(None, clock)
        self.away = False
        self.hang: asyncio.Event | None = None
        self.asked = 0

    def _check(self) -> None:
        self.asked += 1
        if self.away:
            raise StoreFailed("redis does not answer")

    async def take(self, takes: Sequence[Take]) -> Sequence[Level] | Short:
        self._check()
        return await super().take(takes)

    async def correct(self, take: Take, used: int) -> None:
        self._check()
        await super().correct(take, used)

    async def enter(self, name: str, most: int, ttl_s: float) -> str | None:
        self._check()
        return await super().enter(name, most, ttl_s)

    async def leave(self, name: str, place: str) -> None:
        self._check()
        await super().leave(name, place)
        if self.hang is not None:
            hang, self.hang = self.hang, None
            await hang.wait()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def counters(clock: FakeClock) -> Iterator[Ailing]:
    with Ailing(clock) as counters:
        yield counters


@pytest.fixture
def troubles() -> list[str]:
    return []


@pytest.fixture
def make(clock: FakeClock, counters: Ailing, troubles: list[str]) -> MAKE:
    def made(*, workers: int = 1, **teams: str | tuple[str, ...]) -> Limits:
        return Limits(
            counters,
            HostCounters(None, clock),
            teams={
                team: tuple(limit(text) for text in ((texts,) if isinstance(texts, str) else texts))
                for team, texts in teams.items()
            },
            workers=workers,
            on_trouble=troubles.append,
        )

    return made


def caller(*limits: str, team: str = "", id_: str = "k_1", name: str = "app") -> Caller:
    return Caller(id_, name, team=team, limits=tuple(limit(text) for text in limits))


def call(
    who: Caller,
    *,
    size: int = 400,
    endpoint: Endpoint = Endpoint.CHAT,
    body: JsonObject | Upload | None = None,
    **fields: object,
) -> Call:
    body = {"messages": [], **fields} if body is None else body
    return Call("c1", who, endpoint, "POST", "/chat/completions", "", "m", body, False, size)


async def passes(limits: Limits, of: Call, used: int | None = None) -> None:
    async with limits.admit(of) as passed:
        passed.used(used)


async def attempt(limits: Limits, of: Call) -> RateLimited | None:
    try:
        await passes(limits, of)
    except RateLimited as error:
        return error
    return None


async def refusal(limits: Limits, of: Call) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        await passes(limits, of)
    return caught.value


async def test_a_caller_without_limits_costs_nothing(make: MAKE, counters: Ailing) -> None:
    limits = make(search="1 requests/minute")

    ways = {id(limits.admit(call(who))) for who in (ANYONE, caller(), caller(team="other"))}
    for _ in range(3):
        await passes(limits, call(caller()), 10**9)

    assert len(ways) == 1
    assert counters.asked == 0


async def test_requests_beyond_the_limit_are_refused_until_there_is_one_more(
    make: MAKE, clock: FakeClock
) -> None:
    limits, asked = make(), call(caller("2 requests/minute"))
    await passes(limits, asked)
    await passes(limits, asked)

    error = await refusal(limits, asked)

    assert (error.status, error.code, error.limit) == (429, "rate_limit_exceeded", "requests")
    assert (error.outcome, error.retryable) == (Outcome.REJECTED, None)
    assert error.headers == {
        "retry-after": "30",
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    assert error.message == (
        "key 'app' has reached its limit of 2 requests/minute: 0 left, 1 needed; try again in 30s"
    )
    clock.advance(30.0)
    await passes(limits, asked)


async def test_the_limits_of_a_team_are_shared_by_its_keys(make: MAKE) -> None:
    limits = make(search="2 requests/hour")
    await passes(limits, call(caller(team="search", id_="k_1")))
    await passes(limits, call(caller(team="search", id_="k_2")))

    error = await refusal(limits, call(caller(team="search", id_="k_3")))

    assert "team 'search' has reached its limit of 2 requests/hour" in error.message
    assert (error.headers["retry-after"], error.retryable) == ("1800", False)
    await passes(limits, call(caller(team="other")))


async def test_two_keys_do_not_share_their_limits(make: MAKE) -> None:
    limits = make()
    await passes(limits, call(caller("1 requests/minute", id_="k_1")))

    await passes(limits, call(caller("1 requests/minute", id_="k_2")))


async def test_a_refused_call_takes_nothing(make: MAKE) -> None:
    limits = make(search=("1 requests/minute", "9 tokens/minute"))
    who = caller("2 requests/minute", "8 concurrent", team="search")
    await refusal(limits, call(who, size=400))

    await passes(limits, call(who, size=4, max_tokens=1))


async def test_calls_at_a_time_are_counted_and_a_place_is_given_back(make: MAKE) -> None:
    limits, asked = make(), call(caller("2 concurrent"))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(limits.admit(asked))
        await stack.enter_async_context(limits.admit(asked))

        error = await refusal(limits, asked)

    assert (error.limit, error.headers, error.retryable) == (
        "concurrency",
        {"retry-after": "1"},
        None,
    )
    assert "key 'app' has 2 calls in flight" in error.message
    await passes(limits, asked)


async def test_a_place_is_given_back_however_the_call_ends(make: MAKE) -> None:
    limits, asked = make(search="1 concurrent"), call(caller("1 concurrent", team="search"))

    with pytest.raises(ZeroDivisionError):
        async with limits.admit(asked):
            raise ZeroDivisionError
    task = asyncio.ensure_future(_stay(limits, asked))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    await passes(limits, asked)


async def test_all_is_given_back_by_a_call_that_is_cancelled_while_it_leaves(
    make: MAKE, counters: Ailing
) -> None:
    limits = make(search="1 concurrent")
    asked = call(caller("1 concurrent", "600 tokens/minute", team="search"), max_tokens=500)
    counters.hang = asyncio.Event()
    task = asyncio.ensure_future(passes(limits, asked, used=0))
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    await passes(limits, asked)


async def _stay(limits: Limits, asked: Call) -> None:
    async with limits.admit(asked):
        await asyncio.Event().wait()


async def test_a_call_kept_out_by_its_team_does_not_hold_a_place_of_its_key(make: MAKE) -> None:
    limits = make(search="1 concurrent", find="5 concurrent")
    in_search, in_find = (caller("1 concurrent", team=team) for team in ("search", "find"))
    async with limits.admit(call(caller(team="search", id_="k_2"))):
        assert "team 'search'" in (await refusal(limits, call(in_search))).message

        await passes(limits, call(in_find))


async def test_tokens_are_estimated_first_and_then_known(make: MAKE) -> None:
    limits = make()
    asked = call(caller("1000 tokens/minute"), size=400, max_completion_tokens=500)
    async with limits.admit(asked) as passed:
        error = await refusal(limits, asked)
        passed.used(100)

    assert error.limit == "tokens"
    assert error.headers == {
        "retry-after": "12",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "400",
        "x-ratelimit-reset-tokens": "36s",
    }
    assert "400 left, 600 needed; try again in 12s" in error.message
    await passes(limits, asked)


async def test_a_call_that_used_more_than_estimated_leaves_a_debt(make: MAKE) -> None:
    limits, asked = make(), call(caller("1000 tokens/minute"), size=40, max_tokens=90)

    await passes(limits, asked, used=1_500)

    error = await refusal(limits, asked)
    assert error.headers["x-ratelimit-remaining-tokens"] == "0"
    assert error.headers["retry-after"] == "36"


async def test_a_call_of_which_nothing_was_sent_gives_its_tokens_back(make: MAKE) -> None:
    limits = make()
    asked = call(caller("600 tokens/minute", "5 requests/minute"), max_tokens=500)

    for _ in range(5):
        await passes(limits, asked, used=0)

    assert (await refusal(limits, asked)).limit == "requests"


async def test_the_estimate_stays_where_nobody_knows(make: MAKE) -> None:
    limits, asked = make(), call(caller("600 tokens/minute"), max_tokens=500)
    await passes(limits, asked, used=None)

    await refusal(limits, asked)


async def test_a_call_without_a_cap_passes_a_limit_smaller_than_its_guess(make: MAKE) -> None:
    limits, asked = make(), call(caller("200 tokens/minute"), size=400)

    await passes(limits, asked, used=150)

    assert (await refusal(limits, asked)).headers["retry-after"] == "45"


async def test_a_prompt_larger_than_the_limit_is_told_that_it_never_fits(make: MAKE) -> None:
    error = await refusal(make(), call(caller("200 tokens/minute"), size=4_000))

    assert (error.status, error.code) == (429, "request_too_large_for_limit")
    assert (error.limit, error.retryable) == ("tokens", False)
    assert "retry-after" not in error.headers
    assert "never fit" in error.message


async def test_of_two_limits_of_one_unit_and_window_the_stricter_counts(make: MAKE) -> None:
    limits, asked = make(), call(caller("3 requests/minute", "1 requests/minute"))
    await passes(limits, asked)

    assert "limit of 1 requests/minute" in (await refusal(limits, asked)).message


async def test_limits_of_several_windows_are_told_by_the_longest_wait(make: MAKE) -> None:
    limits, asked = make(), call(caller("1 requests/second", "2 requests/day"))
    await passes(limits, asked)
    assert (await refusal(limits, asked)).headers["retry-after"] == "1"


async def test_a_limit_that_was_changed_holds_from_the_next_call_on(make: MAKE) -> None:
    limits = make()
    await passes(limits, call(caller("1 requests/minute")))

    await passes(limits, call(caller("3 requests/minute")))


async def test_while_the_counters_are_away_each_worker_counts_its_share(
    make: MAKE, counters: Ailing, troubles: list[str]
) -> None:
    limits, asked = make(workers=4), call(caller("8 requests/minute", "4 concurrent"))
    counters.away = True

    async with limits.admit(asked):
        assert (await refusal(limits, asked)).limit == "concurrency"
    await passes(limits, asked)
    error = await refusal(limits, asked)

    assert error.limit == "requests"
    assert error.headers["x-ratelimit-limit-requests"] == "8"
    assert set(troubles) == {"redis does not answer"}
    counters.away = False
    for _ in range(8):
        await passes(limits, asked)


async def test_a_prompt_that_fits_the_limit_fits_a_share_of_it(
    make: MAKE, counters: Ailing
) -> None:
    limits, asked = make(workers=4), call(caller("800 tokens/minute"), size=2_400, max_tokens=100)
    counters.away = True

    await passes(limits, asked)

    assert math.isfinite(float((await refusal(limits, asked)).headers["retry-after"]))


async def test_counters_that_fail_at_the_end_do_not_fail_the_call(
    make: MAKE, counters: Ailing, troubles: list[str]
) -> None:
    limits, asked = make(), call(caller("9000 tokens/minute", "2 concurrent"))

    async with limits.admit(asked) as passed:
        counters.away = True
        passed.used(5)

    assert len(troubles) == 2


async def test_what_was_taken_from_the_spare_is_corrected_there(
    make: MAKE, counters: Ailing
) -> None:
    limits, asked = make(), call(caller("600 tokens/minute"), max_tokens=500)
    counters.away = True
    async with limits.admit(asked) as passed:
        counters.away = False
        passed.used(0)

    counters.away = True
    await passes(limits, asked)


async def test_more_keys_than_are_remembered_are_served(make: MAKE) -> None:
    limits = make()

    for number in range(5_000):
        await passes(limits, call(caller("1 requests/minute", id_=f"k_{number}")))

    assert len(limits._plans) <= 4_096


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.547, "547ms"),
        (1.0, "1s"),
        (7.66, "7.66s"),
        (172.8, "2m52.8s"),
        (179.56, "2m59.56s"),
        (60.0, "1m0s"),
        (3_600.0, "1h0m0s"),
        (90_061.001, "25h1m1.001s"),
        (59.9999, "1m0s"),
    ],
)
def test_a_time_until_reset_is_written_as_groq_does(seconds: float, text: str) -> None:
    assert reset_text(seconds) == text


@given(
    limits_=st.lists(
        st.builds(
            "{} {}/{}".format,
            st.integers(1, 5_000),
            st.sampled_from(["requests", "tokens"]),
            st.sampled_from(["second", "minute", "day"]),
        ),
        min_size=1,
        max_size=5,
    ),
    sizes=st.lists(st.integers(0, 30_000), min_size=1, max_size=20),
)
def test_whoever_comes_back_when_told_is_let_in(limits_: list[str], sizes: list[int]) -> None:
    async def story() -> None:
        clock = FakeClock()
        counters = HostCounters(None, clock)
        limits, who = Limits(counters, counters), caller(*limits_)
        for size in sizes:
            asked = call(who, size=size)
            error = await attempt(limits, asked)
            if error is None or error.code == "request_too_large_for_limit":
                continue
            wait_s = int(error.headers["retry-after"])
            assert wait_s >= 1
            assert error.retryable is (None if wait_s <= 60 else False)
            clock.advance(wait_s)
            await passes(limits, asked)

    asyncio.run(story())
