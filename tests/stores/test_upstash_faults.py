"""Upstash Vector down, slow, angry or mad: what is asked of it fails soon, and says why."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import pytest
from aiohttp import web

from proxy.stores.fuse import FAILURES, PAUSE_S
from proxy.stores.passages import Passage
from proxy.stores.upstash import UpstashPassages
from proxy.stores.upstash_line import _MOST_LATE, UpstashFailed
from tests.fakes import FakeClock
from tests.upstash.kinds import HOSTED, Ours
from tests.upstash.server import TOKEN, Trouble, Upstash, error, garbled, saying, serving

TAX = Passage("ab", "money.md", "", "Taxes are due in April.")


class Vendor:
    """A store before a stand-in that has one passage, and can be put into trouble."""

    def __init__(self, store: UpstashPassages, upstash: Upstash, clock: FakeClock) -> None:
        self.store = store
        self.upstash = upstash
        self.clock = clock

    async def ask(self) -> str:
        [near] = await self.store.nearest("home", "When are taxes due?", 1)
        return near.passage.text

    async def failure(self) -> UpstashFailed:
        with pytest.raises(UpstashFailed) as caught:
            await self.ask()
        told = str(caught.value)
        assert TOKEN not in told
        assert "taxes" not in told.lower()
        assert "\n" not in told
        return caught.value

    def asked(self) -> int:
        return self.upstash.count("query-data")


Opens = Callable[[float], Awaitable[Vendor]]


@pytest.fixture
async def opened(clock: FakeClock) -> AsyncIterator[Opens]:
    async with AsyncExitStack() as stack:

        async def open(budget_s: float = 5.0) -> Vendor:
            upstash = Upstash(HOSTED, clock.now)
            await stack.enter_async_context(serving(upstash))
            store = UpstashPassages(upstash.url, TOKEN, Ours, clock, Random(0), budget_s=budget_s)
            await stack.enter_async_context(store)
            await store.write("home", [TAX])
            return Vendor(store, upstash, clock)

        yield open


@pytest.fixture
async def vendor(opened: Opens) -> Vendor:
    return await opened(5.0)


def made(status: int, body: Any) -> Trouble:
    return lambda request: web.json_response(body, status=status)


@pytest.mark.parametrize(
    ("trouble", "status", "told"),
    [
        (
            saying(401, "Unauthorized: Invalid auth token"),
            401,
            "Upstash Vector answered 401: Unauthorized: Invalid auth token"
            " (is UPSTASH_VECTOR_REST_TOKEN that of this index?)",
        ),
        (saying(403, f"no {TOKEN}\n"), 403, "Upstash Vector answered 403: no ***"),
        (saying(429, "Exceeded daily query limit"), 429, None),
        (saying(422, "Invalid vector dimension: 2, expected: 256"), 422, None),
        (saying(400, "Invalid filter: When are taxes due?"), 400, "Upstash Vector answered 400"),
        (saying(500, "Internal Server Error"), 500, "Upstash Vector answered 500"),
        (garbled(b"<html>Bad gateway</html>", 502), 502, "Upstash Vector answered 502"),
        (garbled(b"", 503), 503, "Upstash Vector answered 503"),
        (garbled(b"too many", 429), 429, "Upstash Vector answered 429"),
        (made(429, {"error": {"message": "no string"}}), 429, "Upstash Vector answered 429"),
        (made(429, ["error"]), 429, "Upstash Vector answered 429"),
        (made(401, {"error": "x" * 5000}), 401, None),
        (garbled(b"moved", 302), 302, "Upstash Vector answered 302"),
        (garbled(b"", 204), 204, "Upstash Vector answered 204"),
        (
            made(200, {"error": "taxes", "status": 400}),
            200,
            "Upstash Vector answered with an error",
        ),
    ],
)
async def test_a_status_is_told_though_the_library_does_not_look(
    vendor: Vendor, trouble: Trouble, status: int, told: str | None
) -> None:
    vendor.upstash.trouble = trouble

    failed = await vendor.failure()

    assert (failed.status, failed.refused) == (status, True)
    assert len(str(failed)) < 400
    assert told in (None, str(failed))


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Welcome to the hotel's wireless</html>",
        b"",
        b"null",
        b"3",
        b'"error"',
        b"[]",
        b"{}",
        b'{"result": null}',
        b'{"result": 3}',
        b'{"result": ["text"]}',
        b'{"result": [{}]}',
        b'{"result": [{"id": "a"}]}',
        b'{"result": [{"id": 3, "score": 0.5}]}',
        b'{"result": [{"id": "a", "score": "high"}]}',
        b'{"result": [{"id": "a", "score": NaN}]}',
        b'{"result": [{"id": "a", "score": null}]}',
        b'{"result": [[{"id": "a", "score": 1}]]}',
        b'{"result": [{"id": "a", "sco',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
async def test_an_answer_that_nobody_reads_is_a_failure(vendor: Vendor, body: bytes) -> None:
    vendor.upstash.trouble = garbled(body, kind="application/json")

    failed = await vendor.failure()

    assert failed.status is None
    assert "nobody reads" in str(failed)


@pytest.mark.parametrize(
    ("fields", "cosine"),
    [
        ({"score": 7, "metadata": [1], "data": "text"}, 1.0),
        ({"score": -7, "metadata": {"title": 3, "document": None}, "data": "text"}, -1.0),
        ({"score": 0, "metadata": None, "data": "text"}, -1.0),
    ],
)
async def test_what_is_odd_but_can_be_read_is_read(
    vendor: Vendor, fields: dict[str, Any], cosine: float
) -> None:
    vendor.upstash.trouble = made(200, {"result": [{"id": "x"} | fields, {"id": "y", "score": 1}]})

    [near] = await vendor.store.nearest("home", "tax", 2)

    assert near.passage == Passage("x", "", "", "text")
    assert near.cosine == cosine


async def test_connections_that_are_cut_are_a_failure(vendor: Vendor) -> None:
    vendor.upstash.down = True

    failed = await vendor.failure()

    assert failed.status is None
    assert not failed.refused


async def test_nobody_there_is_a_failure_of_which_nothing_was_sent(clock: FakeClock) -> None:
    async with UpstashPassages(
        "http://127.0.0.1:1", TOKEN, Ours, clock, Random(0), budget_s=5
    ) as store:
        with pytest.raises(UpstashFailed, match="cannot be reached") as caught:
            await store.nearest("home", "tax", 1)
        with pytest.raises(UpstashFailed, match="cannot be reached"):
            await store.shelves()
        with pytest.raises(UpstashFailed, match="cannot be reached"):
            await store.write("home", [TAX])

    assert not caught.value.sent


@pytest.mark.parametrize("url", ["", "upstash.io", "ftp://upstash.io", "http://[", "http://a b/"])
async def test_a_url_that_is_none_is_a_failure(clock: FakeClock, url: str) -> None:
    async with UpstashPassages(url, TOKEN, Ours, clock, Random(0), budget_s=5) as store:
        with pytest.raises(UpstashFailed):
            await store.nearest("home", "tax", 1)


async def test_a_slow_vendor_is_not_waited_for(opened: Opens) -> None:
    vendor = await opened(0.05)
    vendor.upstash.slow_s = 30.0

    began = asyncio.get_running_loop().time()
    failed = await vendor.failure()

    assert "within 50 ms" in str(failed)
    assert asyncio.get_running_loop().time() - began < 1.0


async def test_an_answer_that_never_ends_is_not_waited_for(opened: Opens) -> None:
    vendor = await opened(0.05)

    class Endless(web.StreamResponse):
        async def prepare(self, request: web.BaseRequest) -> Any:
            writer = await super().prepare(request)
            while True:
                await self.write(b" " * 10)
                await asyncio.sleep(0.001)
            return writer

    vendor.upstash.trouble = lambda request: Endless()

    assert "within 50 ms" in str(await vendor.failure())
    vendor.upstash.trouble = None


async def test_after_failures_in_a_row_the_vendor_is_left_alone(vendor: Vendor) -> None:
    vendor.upstash.trouble = saying(503, "down")
    for _ in range(FAILURES):
        await vendor.failure()
    asked = vendor.asked()

    for _ in range(20):
        assert "left alone" in str(await vendor.failure())
    assert vendor.asked() == asked

    vendor.clock.advance(PAUSE_S)
    assert (await vendor.failure()).status == 503  # one order may try
    assert "left alone" in str(await vendor.failure())
    vendor.upstash.trouble = None
    vendor.clock.advance(PAUSE_S)
    assert await vendor.ask() == TAX.text
    assert await vendor.ask() == TAX.text


async def test_orders_that_were_at_fault_themselves_do_not_cut_off_the_vendor(
    vendor: Vendor,
) -> None:
    vendor.upstash.trouble = saying(422, "Metadata is too large")
    for _ in range(2 * FAILURES):
        assert (await vendor.failure()).status == 422

    vendor.upstash.trouble = None
    assert await vendor.ask() == TAX.text


async def test_a_connection_that_was_closed_while_idle_is_not_noticed(vendor: Vendor) -> None:
    def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    vendor.upstash.troubles = [hang_up]

    assert await vendor.ask() == TAX.text


@pytest.mark.parametrize(
    "trouble", [saying(503, "down"), saying(429, "slowly"), garbled(b"<html>", 502), garbled(b"")]
)
async def test_work_that_has_time_is_tried_again(vendor: Vendor, trouble: Trouble) -> None:
    before = vendor.clock.now()
    vendor.upstash.troubles = [trouble] * 3

    await vendor.store.write("home", [TAX])

    assert vendor.upstash.troubles == []
    assert 0 < vendor.clock.now() - before < 1 + 2 + 4


async def test_it_is_tried_again_when_the_vendor_says_so(vendor: Vendor) -> None:
    before = vendor.clock.now()
    vendor.upstash.troubles = [
        saying(429, "slowly", {"Retry-After": "7"}),
        saying(429, "slowly", {"Retry-After": "9999"}),
    ]

    assert await vendor.store.ids("home") == {"ab": "money.md"}

    assert vendor.clock.now() - before == 37


@pytest.mark.parametrize(
    ("trouble", "tries"), [(saying(429, "slowly"), 5), (saying(401, "no"), 1), (saying(400, ""), 1)]
)
async def test_it_is_given_up_where_that_does_not_help(
    vendor: Vendor, trouble: Trouble, tries: int
) -> None:
    before = vendor.upstash.count("upsert-data")
    vendor.upstash.trouble = trouble

    with pytest.raises(UpstashFailed):
        await vendor.store.write("home", [TAX])

    assert vendor.upstash.count("upsert-data") - before == tries


async def test_a_listing_that_turns_in_a_circle_ends(vendor: Vendor) -> None:
    def turn(request: web.Request) -> web.StreamResponse:
        cursor = vendor.upstash.asked[-1][2]["cursor"]
        after = {"0": "1", "1": "2", "2": "1"}[cursor]
        return web.json_response({"result": {"nextCursor": after, "vectors": []}})

    vendor.upstash.trouble = turn

    with pytest.raises(UpstashFailed, match="nobody reads"):
        await vendor.store.ids("home")


@pytest.mark.parametrize("result", [None, 3, "Later", [], {"deleted": "x"}, {"vectors": [3]}])
async def test_nothing_counts_as_done_that_was_not_said_to_be(vendor: Vendor, result: Any) -> None:
    vendor.upstash.trouble = made(200, {"result": result})

    for doing in (
        vendor.store.write("home", [TAX]),
        vendor.store.remove("home", ["ab"]),
        vendor.store.ids("home"),
        vendor.store.drop("home"),
        vendor.store.shelves(),
    ):
        with pytest.raises(UpstashFailed, match="nobody reads"):
            await doing


async def test_a_vendor_that_was_down_at_the_start_is_used_when_it_is_there(
    clock: FakeClock,
) -> None:
    upstash = Upstash(HOSTED, clock.now)
    upstash.trouble = saying(503, "starting")
    async with (
        serving(upstash),
        UpstashPassages(upstash.url, TOKEN, Ours, clock, Random(0), budget_s=5) as store,
    ):
        with pytest.raises(UpstashFailed):
            await store.nearest("home", "tax", 1)
        upstash.trouble = None
        await store.write("home", [TAX])

        assert len(await store.nearest("home", "tax", 1)) == 1


async def test_a_slow_connection_is_ready_for_the_next_question(opened: Opens) -> None:
    vendor = await opened(0.1)
    vendor.upstash.slow_s = 0.3
    answered = asyncio.Event()

    def late(request: web.Request) -> web.StreamResponse:
        answered.set()
        return error(503, "late")

    vendor.upstash.troubles = [late]
    await vendor.failure()

    async with asyncio.timeout(5):
        await answered.wait()  # the order went on, though nobody waited
    vendor.upstash.slow_s = 0.0
    assert await vendor.ask() == TAX.text


async def test_an_order_goes_on_when_its_caller_leaves_but_not_too_many_do(
    vendor: Vendor,
) -> None:
    vendor.upstash.slow_s = 30.0
    vendor.upstash.arrived.clear()
    line = vendor.store._line
    asking = [asyncio.create_task(vendor.ask()) for _ in range(_MOST_LATE + 10)]
    async with asyncio.timeout(5):
        await vendor.upstash.arrived.wait()

    for each in asking:
        each.cancel()
    left = await asyncio.gather(*asking, return_exceptions=True)

    assert all(isinstance(each, asyncio.CancelledError) for each in left)
    await asyncio.sleep(0)
    assert 0 < len(line._late) <= _MOST_LATE
    vendor.upstash.slow_s = 0.0
    assert await vendor.ask() == TAX.text


async def test_a_hundred_questions_at_once_are_answered(vendor: Vendor) -> None:
    answers = await asyncio.gather(*(vendor.ask() for _ in range(100)))

    assert set(answers) == {TAX.text}
