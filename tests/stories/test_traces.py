"""What a collector sees of calls."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import orjson
import pytest

from tests.conftest import House, open_house
from tests.stories.conftest import Opener
from tests.stories.documents import WHEN, ask, put, reads
from tests.stories.houses import FAST, GEMINI, GROQ, OpenTrio, on_chats
from tests.stories.spans import Collector, Seen, collecting, tree

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{CALLER}-00f067aa0ba902b7-01"
CACHED = {"exact": {"enabled": True}, "semantic": {"mode": "off"}}
ANSWER = "openai/gpt-oss-20b"


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.telemetry.sender._GATHER_S", 0.01)


def traced(collector: Collector, **more: object) -> dict[str, object]:
    return {"log": "json", "traces": collector.url, **more}


def named(spans: list[Seen], start: str) -> list[Seen]:
    return [span for span in spans if span.name.startswith(start)]


async def test_a_streamed_call_is_a_tree_of_spans_with_what_it_used(opener: Opener) -> None:
    async with collecting() as collector, opener(telemetry=traced(collector)) as house:
        answer = await house.chat(stream=True, temperature=0.5, max_completion_tokens=100)
        await answer.read()
        spans = await collector.having(4)

        root, *_ = spans
        chat = named(spans, "chat")[0]
        assert tree(spans) == [
            (
                "POST /v1/chat/completions",
                ["llmproxy.admission", f"chat {ANSWER}", "llmproxy.settle"],
            )
        ]
        assert answer.headers["x-trace-id"] == root.trace
        assert {span.trace for span in spans} == {root.trace}
        assert (root.kind, chat.kind) == ("server", "client")
        told = root.attributes
        assert told["llmproxy.request_id"] == answer.headers["x-proxy-request-id"]
        assert told["http.response.status_code"] == 200
        assert (told["llmproxy.outcome"], told["llmproxy.tenant"]) == ("ok", "anyone")
        assert told["http.route"] == "/v1/chat/completions"
        assert told["llmproxy.cost_usd"] > 0
        used = house.seen.flights[0].summary.usage
        assert used is not None
        assert chat.attributes["gen_ai.usage.input_tokens"] == used.prompt
        assert chat.attributes["gen_ai.usage.output_tokens"] == used.completion
        assert chat.attributes["llmproxy.groq.queue_s"] == used.queue_s
        assert chat.attributes["gen_ai.provider.name"] == "groq"
        assert chat.attributes["gen_ai.operation.name"] == "chat"
        assert chat.attributes["gen_ai.request.temperature"] == 0.5
        assert chat.attributes["gen_ai.request.max_tokens"] == 100
        finished = house.seen.flights[0].summary.finish_reason
        assert chat.attributes["gen_ai.response.finish_reasons"] == [finished]
        assert chat.attributes["server.address"] == "127.0.0.1"
        assert root.events == chat.events == ["llmproxy.first_token"]
        assert root.resource["service.name"] == "groq-proxy"
        assert abs(root.ended - time.time()) < 10
        for span in spans:
            assert root.began <= span.began <= span.ended
        assert "sky" not in str(spans), "no prompt is told"


async def test_a_caller_s_trace_goes_on_and_the_log_and_exemplars_name_it(opener: Opener) -> None:
    async with collecting() as collector, opener(telemetry=traced(collector)) as house:
        house.session.headers["traceparent"] = PARENT
        answer = await house.chat()
        root, *_ = await collector.having(4)

        assert (root.trace, root.parent) == (CALLER, "00f067aa0ba902b7")
        assert answer.headers["x-trace-id"] == CALLER
        assert f'"trace_id":"{CALLER}","span_id":"{root.id}"' in (await lines(house))[0]
        page, _ = house.app.state.metrics.render("application/openmetrics-text; version=1.0.0")
        for family in (
            "requests_total",
            "request_duration_seconds_bucket",
            "upstream_attempt_duration_seconds_bucket",
        ):
            assert any(
                line.startswith(f"llmproxy_{family}") and f'# {{trace_id="{CALLER}"}}' in line
                for line in page.decode().splitlines()
            ), family
        # Who calls is none of the provider's business.
        assert all("traceparent" not in call.headers for call in house.simulator.calls)


async def until(true: Callable[[], bool]) -> None:
    """Other threads have a little time."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - a thread tells no event
            await asyncio.sleep(0.02)


async def lines(house: House) -> list[str]:
    await house.calls_closed()
    house.app.state.journal.flush()
    await until(lambda: bool(house.log.lines()))
    return house.log.lines()


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-00f067aa0ba902b7-01"])
async def test_without_a_good_parent_a_trace_begins_here(opener: Opener, header: str) -> None:
    async with collecting() as collector, opener(telemetry=traced(collector)) as house:
        house.session.headers["traceparent"] = header
        await house.chat()
        root, *_ = await collector.having(4)

        assert root.parent == ""
        assert root.trace.strip("0")


async def test_of_calls_that_are_not_sampled_the_bad_ones_are_sent(opener: Opener) -> None:
    rules = [{"when": {"endpoint": "chat", "nth": 2}, "fault": {"status": 400}}]
    async with (
        collecting() as collector,
        opener(telemetry=traced(collector, trace_sample=0), rules=rules) as house,
    ):
        good, bad = await house.chat(), await house.chat()
        spans = await collector.having(3)

        assert {span.trace for span in spans} == {bad.headers["x-trace-id"]}
        assert good.headers["x-trace-id"] != bad.headers["x-trace-id"]


async def test_a_caller_s_word_that_it_does_not_sample_counts(opener: Opener) -> None:
    async with collecting() as collector, opener(telemetry=traced(collector)) as house:
        house.session.headers["traceparent"] = PARENT[:-2] + "00"
        await house.chat()
        del house.session.headers["traceparent"]
        other = await house.chat()
        spans = await collector.having(4)

        assert {span.trace for span in spans} == {other.headers["x-trace-id"]}


async def test_each_request_to_a_provider_has_a_span_beside_the_others(trio: OpenTrio) -> None:
    rules = {"groq": on_chats({"status": 503})}
    async with (
        collecting() as collector,
        trio(telemetry=traced(collector), rules=rules, models=FAST) as house,
    ):
        await house.chat("fast")
        spans = await collector.having(5)

        root, chats = spans[0], named(spans, "chat")
        assert [span.name for span in chats][-1] == f"chat {GEMINI.partition('/')[2]}"
        assert len(chats) >= 2
        assert {span.parent for span in chats} == {root.id}
        assert chats[0].failed
        assert not chats[-1].failed
        assert not root.failed
        assert chats[0].attributes["http.response.status_code"] == 503
        assert [span.attributes["llmproxy.attempt"] for span in chats] == [
            *range(1, len(chats) + 1)
        ]
        assert root.attributes["llmproxy.fallback_from"] == GROQ


async def test_a_failed_call_is_an_error(opener: Opener) -> None:
    rules = on_chats({"status": 500})
    async with collecting() as collector, opener(telemetry=traced(collector), rules=rules) as house:
        answer = await house.chat()
        root, *_ = await collector.having(3)

        assert answer.status == 502
        assert root.failed
        assert root.attributes["error.type"] == root.attributes["llmproxy.error_code"]


async def test_a_client_s_own_mistake_is_none_of_ours(opener: Opener) -> None:
    async with collecting() as collector, opener(telemetry=traced(collector)) as house:
        await house.session.post(f"{house.url}/v1/chat/completions", json={"messages": 1})
        root, *_ = await collector.having(1)

        assert not root.failed
        assert root.attributes["http.response.status_code"] == 400


async def test_a_cached_answer_has_a_look_up_and_no_request(opener: Opener) -> None:
    async with (
        collecting() as collector,
        opener(telemetry=traced(collector), cache=CACHED) as house,
    ):
        await house.chat(temperature=0)
        await collector.having(5)
        await house.app.state.flights.idle()
        answer = await house.chat(temperature=0)
        spans = await collector.having(8)

        ours = [span for span in spans if span.trace == answer.headers["x-trace-id"]]
        assert tree(ours) == [
            ("POST /v1/chat/completions", ["llmproxy.admission", "llmproxy.cache.lookup"])
        ]
        assert (
            named(ours, "llmproxy.cache.lookup")[0].attributes["llmproxy.cache.result"] == "exact"
        )


async def test_who_shares_an_answer_is_linked_to_the_request_that_made_it(opener: Opener) -> None:
    rules = on_chats({"slow_first_byte_s": 20})
    async with (
        collecting() as collector,
        opener(telemetry=traced(collector), cache=CACHED, rules=rules) as house,
    ):
        first, second = await asyncio.gather(house.chat(temperature=0), house.chat(temperature=0))
        spans = await collector.having(7)

        joined = first if first.headers["x-proxy-cache"] == "joined" else second
        root = next(span for span in spans if span.trace == joined.headers["x-trace-id"])
        (chat,) = named(spans, "chat")
        assert root.links == [chat.id]


async def test_without_a_collector_s_address_nothing_is_traced_but_a_caller_s_id_is_logged(
    house: House,
) -> None:
    plain = await house.chat()
    house.session.headers["traceparent"] = PARENT
    answer = await house.chat()

    assert "x-trace-id" not in plain.headers
    assert answer.headers["x-trace-id"] == CALLER
    await house.calls_closed(2)
    await until(lambda: len(house.log.lines()) == 2)
    assert f'"trace_id":"{CALLER}","span_id":null' in house.log.lines()[1]


async def test_a_collector_that_is_down_costs_no_call_anything_and_what_is_lost_is_counted(
    opener: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "proxy")
    async with collecting() as collector:
        collector.receiver.answers += [400] * 100  # which is not tried again
        async with opener(telemetry=traced(collector)) as house:
            for _ in range(3):
                assert (await house.chat()).status == 200
                await asyncio.sleep(0.05)
            await until(lambda: house.app.state.tracer.dropped == 12)
            assert await house.metric("telemetry_dropped_total", signal="spans") == 12
            collector.receiver.answers.clear()
            await house.chat()
            await until(lambda: "taken again" in caplog.text)
    told = [record.getMessage() for record in caplog.records if "taken" in record.getMessage()]
    assert len(told) == 2, "once that it fails, and once that it is over"


async def test_a_collector_that_hangs_holds_up_no_call(opener: Opener) -> None:
    async with collecting() as collector, opener(telemetry=traced(collector)) as house:
        collector.receiver.hold = asyncio.Event()
        for _ in range(3):
            assert (await house.chat()).status == 200
            await asyncio.sleep(0.05)
        collector.receiver.hold.set()
        await collector.having(12)


async def test_what_waits_is_sent_at_the_end(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.telemetry.sender._GATHER_S", 60.0)
    async with collecting() as collector:
        async with opener(telemetry=traced(collector)) as house:
            await house.chat()
        assert len(await collector.having(4)) == 4


async def test_a_reload_moves_spans_to_another_collector(opener: Opener) -> None:
    async with (
        collecting() as first,
        collecting() as second,
        opener(telemetry=traced(first)) as house,
    ):
        await house.chat()
        await first.having(4)
        config = house.app.house.config
        told = config.telemetry.model_copy(update={"traces": second.url})
        house.app.take(config.model_copy(update={"telemetry": told}))
        await house.chat()
        await second.having(4)
        assert len(first.spans) == 4


async def test_spans_tell_the_tokens_and_the_cost_that_metrics_and_log_tell(
    opener: Opener,
) -> None:
    rules = on_chats({"status": 503}, every=5) + on_chats({"cut_after_chunks": 6}, every=7)
    async with collecting() as collector:
        async with opener(
            telemetry=traced(collector), rules=rules, cache=CACHED, retries=1
        ) as house:
            for number in range(30):
                messages = [{"role": "user", "content": f"question {number % 20}"}]
                # A stream that was cut ends its connection; whoever comes next may notice too late.
                with suppress(aiohttp.ClientError):
                    stream = number % 2 == 0
                    answer = await house.chat(stream=stream, messages=messages, temperature=0)
                    await answer.read()
            count = len(house.seen.opened)
            await house.calls_closed(count)
            cost = await house.metric("cost_usd_total")
            calls = await house.metric("requests_total")
            attempts = await house.metric("upstream_attempts_total")
            tokens = await house.metric("tokens_total")
        spans = collector.spans
        roots = [span for span in spans if span.kind == "server"]
        chats = named(spans, "chat")
        logged = [orjson.loads(line) for line in house.log.lines()]

    assert len(roots) == calls == len(logged) == count > 25
    assert len(chats) == attempts > 20
    assert {span.trace for span in roots} == {line["trace_id"] for line in logged}
    spent = sum(span.attributes.get("llmproxy.cost_usd", 0.0) for span in roots)
    assert abs(spent - cost) < 1e-9
    assert abs(sum(line["cost_usd"] or 0.0 for line in logged) - cost) < 1e-9
    used = sum(
        span.attributes.get(f"gen_ai.usage.{way}_tokens", 0)
        for span in chats
        for way in ("input", "output")
    )
    assert used == tokens


async def test_documents_and_the_choice_by_example_are_spans_with_what_they_embedded(
    tmp_path: Path,
) -> None:
    auto = {"routes": [{"to": f"groq/{ANSWER}", "like": [WHEN]}], "else": "groq/sim/echo"}
    await put(tmp_path)
    async with (
        collecting() as collector,
        open_house(
            tmp_path,
            telemetry=traced(collector),
            cache=CACHED,
            rag={"handbook": {}},
            models={"auto": auto},
        ) as house,
    ):
        await reads(house)
        await ask(house, WHEN, model="auto")
        await collector.having(9)
        spans = collector.spans
        record = house.seen.calls[0]
        id = record.id
        async with house.session.get(f"{house.url}/admin/calls/{id}") as answer:
            told = await answer.json()

    assert tree(spans) == [
        (
            "POST /v1/chat/completions",
            [
                "llmproxy.admission",
                ("llmproxy.route", ["embeddings"]),
                ("retrieval handbook", ["embeddings"]),
                "llmproxy.cache.lookup",
                f"chat {ANSWER}",
                "llmproxy.settle",
            ],
        )
    ]
    choice, rag = record.choice, record.rag
    assert choice is not None
    assert rag is not None
    [routed], [found] = named(spans, "llmproxy.route"), named(spans, "retrieval")
    for span in (spans[0], routed):
        assert span.attributes["llmproxy.route.to"] == f"groq/{ANSWER}"
        assert span.attributes["llmproxy.route.score"] == choice.score
    assert found.attributes["llmproxy.rag.top_score"] == rag.top_score
    assert found.attributes["llmproxy.rag.chunks"] == len(rag.sources) == told["rag"]["chunks"]
    assert told["model"]["route"] == {
        "name": "auto",
        "to": f"groq/{ANSWER}",
        "score": round(choice.score or 0.0, 4),
    }
    assert told["phases_ms"].keys() >= {"route", "retrieval", "cache"}
    assert "choose by example" in [each["name"] for each in told["timeline"]]
    assert told["rag"]["sources"][0]["document"] == "depot.md"
