"""Metrics that need the whole house: where time goes, what calls lean on, how arms compare."""

from tests.stories.conftest import Opener
from tests.stories.houses import on_chats

CACHED = {"exact": {"enabled": True}, "semantic": {"mode": "off"}}
SMALL, LARGE = "openai/gpt-oss-20b", "openai/gpt-oss-120b"


async def test_groq_s_own_times_the_way_there_and_our_own_are_told_apart(opener: Opener) -> None:
    async with opener() as house:
        await (await house.chat(stream=True)).read()
        await house.calls_closed()

        usage = house.seen.flights[0].summary.usage
        assert usage is not None
        for stage in ("queue", "prompt", "completion"):
            assert await house.metric("upstream_reported_seconds_count", stage=stage) == 1
        stated_s = await house.metric("upstream_reported_seconds_sum")
        waited_s = house.seen.attempts[0].waited_s
        network_s = await house.metric("upstream_network_seconds_sum", model=SMALL)
        assert await house.metric("upstream_network_seconds_count", model=SMALL) == 1
        assert abs(network_s - max(0.0, waited_s - stated_s)) < 1e-6
        assert await house.metric("overhead_seconds_count") == 1
        for phase in ("read", "auth", "admission", "cache", "dispatch", "relay"):
            assert await house.metric("phase_duration_seconds_count", phase=phase) == 1


async def test_the_phases_of_a_call_make_up_its_time(opener: Opener) -> None:
    async with opener(cache=CACHED) as house:
        await (await house.chat(stream=True)).read()
        await house.calls_closed()

        (record,) = house.seen.calls
        total_s = sum(seconds for _, seconds in record.phases())
        assert abs(total_s - record.duration_s) < 1e-6


async def test_connections_are_idle_or_in_use(opener: Opener) -> None:
    async with opener(rules=on_chats({"stall_after_chunks": 4}, nth=2)) as house:
        await house.chat()
        idle = await house.metric("upstream_connections", state="idle")
        assert idle >= 1
        assert await house.metric("upstream_connections", state="in_use") == 0
        stalled = await house.chat(stream=True)
        assert await house.metric("upstream_connections", state="in_use") == 1
        assert await house.metric("upstream_connections", state="idle") == idle - 1
        stalled.close()


async def test_stores_tell_how_they_do(opener: Opener) -> None:
    async with opener(cache=CACHED) as house:
        await house.chat()
        await house.app.state.flights.idle()
        await house.chat()

        done = {"store": "cache", "result": "ok"}
        assert await house.metric("store_operations_total", **done, op="put") == 1
        assert await house.metric("store_operations_total", **done, op="get") == 2
        assert await house.metric("store_operation_duration_seconds_count", store="cache") >= 3
        assert await house.metric("dependency_degraded") == 0


async def test_a_part_that_fails_is_degraded_until_it_works_again(opener: Opener) -> None:
    async with opener() as house:
        await house.chat()
        tell = house.app.state.metrics.stores.done
        tell("ledger", "reserve", 0.1, "timeout")
        assert await house.metric("dependency_degraded", dependency="ledger") == 1
        tell("ledger", "reserve", 0.1, "ok")
        assert await house.metric("dependency_degraded", dependency="ledger") == 0


async def test_the_arms_of_a_split_stand_side_by_side(opener: Opener) -> None:
    models = {"half": {"targets": [f"groq/{SMALL}", f"groq/{LARGE}"], "weights": [1, 1]}}
    async with opener(models=models) as house:
        for user in range(20):
            await (await house.chat("half", stream=True, user=f"u{user}")).read()
        await house.calls_closed(20)

        of = {arm: {"alias": "half", "arm": arm} for arm in (SMALL, LARGE)}
        calls = [await house.metric("split_requests_total", **of[arm]) for arm in of]
        assert sum(calls) == 20
        assert all(calls)
        for arm, count in zip(of, calls, strict=True):
            name = "split_time_to_first_token_seconds_count"
            assert await house.metric(name, **of[arm]) == count
            assert await house.metric("split_cost_usd_total", **of[arm]) > 0
        total = await house.metric("cost_usd_total")
        assert abs(await house.metric("split_cost_usd_total") - total) < 1e-9
