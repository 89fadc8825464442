"""A target that fails is asked again, as often and as long as that may help, and no more."""

from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from proxy.config.settings import Config
from proxy.core.errors import Outcome
from tests.stories.conftest import TIMES, Opener
from tests.stories.houses import ATTEMPTS, SERVED_BY, SHOULD_RETRY, chats, closed_port, on_chats
from tests.stories.raw import DONE, EVENTS, LAST, WHOLE, Line, raw, said, stopped, whole
from tests.stories.reading import content_of, error_of, events_of

TWICE = 2  # the default of `retries`

TRANSIENT: list[Any] = [
    {"status": 500},
    {"status": 502, "as_html": True},
    {"status": 503},
    {"status": 504},
    {"status": 529},
    "reset",
    "close",
    "html",
    "empty",
    "no_choices",
    "error_in_200",
    {"cut_after_chunks": 0},
    {"cut_after_chunks": 1, "how": "reset"},  # of a stream: its role, no content
]
BROKEN_WHOLE: list[Any] = ["garbage", "wrong_length", "bad_chunk", {"cut_after_chunks": 3}]


def _named(told: Any) -> str:
    if isinstance(told, bool):
        return "stream" if told else "whole"
    return told if isinstance(told, str) else "-".join(map(str, told.values()))


@pytest.fixture
def nobody() -> Iterator[str]:
    with closed_port() as url:
        yield url


def test_two_retries_are_the_default() -> None:
    assert Config.model_fields["retries"].default == TWICE


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        *((fault, stream) for fault in TRANSIENT for stream in (False, True)),
        *((fault, False) for fault in BROKEN_WHOLE),
    ],
    ids=_named,
)
async def test_a_failure_before_the_first_content_is_tried_again(
    opener: Opener, fault: Any, stream: bool
) -> None:
    async with opener(rules=on_chats(fault, nth=1), retries=TWICE) as house:
        answer = await house.chat(stream=stream)

        assert answer.status == 200
        assert answer.headers[ATTEMPTS] == "2"
        assert answer.headers[SERVED_BY] == "groq/openai/gpt-oss-20b"
        if stream:
            assert (await events_of(answer))[-1] == "[DONE]"
        assert len(chats(house.simulator)) == 2
        await house.calls_closed()
        assert house.seen.calls[0].outcome is Outcome.OK
        assert [each.retry != "" for each in house.seen.attempts] == [False, True]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_third_failure_is_the_last_and_tells_sdks_not_to_try_again(
    opener: Opener, stream: bool
) -> None:
    async with opener(rules=on_chats({"status": 500}), retries=TWICE) as house:
        answer = await house.chat(stream=stream)

        assert answer.status == 502
        assert (await error_of(answer))["type"] == "upstream_error"
        assert answer.headers[ATTEMPTS] == "3"
        assert answer.headers[SHOULD_RETRY] == "false"
        assert len(chats(house.simulator)) == 3
        await house.calls_closed()
        assert len(house.seen.flights[0].pauses_s) == 2


async def test_more_retries_are_made_where_the_file_says_so(opener: Opener) -> None:
    groq = {"breaker": {"failures": 100}}
    async with opener(rules=on_chats({"status": 500}, to=4), groq=groq, retries=4) as house:
        answer = await house.chat()

        assert answer.status == 200
        assert answer.headers[ATTEMPTS] == "5"


async def test_a_refused_connection_is_tried_again(opener: Opener, nobody: str) -> None:
    async with opener(groq={"base_url": nobody}, retries=TWICE) as house:
        answer = await house.chat()
        await house.calls_closed()

        assert answer.status == 502
        assert (await error_of(answer))["code"] == "upstream_unreachable"
        assert answer.headers[ATTEMPTS] == str(len(house.seen.attempts)) == "3"
        assert answer.headers[SHOULD_RETRY] == "false"


async def test_one_failure_of_which_nothing_was_tried_again_leaves_that_to_the_client(
    opener: Opener,
) -> None:
    async with opener(rules=on_chats({"status": 503}), retries=0) as house:
        answer = await house.chat()

        assert answer.status == 503
        assert answer.headers[ATTEMPTS] == "1"
        assert SHOULD_RETRY not in answer.headers
        assert len(chats(house.simulator)) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_time_out_is_not_tried_again(opener: Opener, stream: bool) -> None:
    async with opener(rules=on_chats("hang"), groq={"timeouts": TIMES}, retries=TWICE) as house:
        answer = await house.chat(stream=stream)

        assert answer.status == 504
        assert answer.headers[ATTEMPTS] == "1"
        assert len(chats(house.simulator)) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_a_call_that_is_to_blame_itself_is_never_tried_again(
    opener: Opener, status: int, stream: bool
) -> None:
    async with opener(rules=on_chats({"status": status}), retries=TWICE) as house:
        answer = await house.chat(stream=stream)

        assert answer.status == status
        assert answer.headers[ATTEMPTS] == "1"
        assert answer.headers[SHOULD_RETRY] == "false"
        assert len(chats(house.simulator)) == 1


async def test_a_redirect_is_neither_followed_nor_asked_for_again(opener: Opener) -> None:
    async with opener(rules=on_chats("redirect"), retries=TWICE) as house:
        answer = await house.chat()

        assert answer.status == 502
        assert len(chats(house.simulator)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"cut_after_chunks": 5},
        {"cut_after_chunks": 5, "how": "reset"},
        {"stall_after_chunks": 5},
        {"error_event_after_chunks": 5},
    ],
    ids=_named,
)
async def test_nothing_is_tried_again_once_content_went_out(opener: Opener, fault: Any) -> None:
    groq = {"timeouts": {"idle_s": 0.25}}
    async with opener(rules=on_chats(fault), groq=groq, retries=TWICE) as house:
        answer = await house.chat("sim/tokens-40", stream=True)
        events = await events_of(answer)

        assert content_of(events)
        assert "error" in events[-1]
        assert answer.headers[ATTEMPTS] == "1"
        assert len(chats(house.simulator)) == 1


async def test_what_came_without_content_leaves_no_trace_in_the_second_answer(
    opener: Opener,
) -> None:
    async def script(line: Line) -> None:
        if line.number == 1:
            await line.say(EVENTS, said(""))
            line.reset()
        else:
            await line.say(EVENTS, said("Hel"), said("lo"), stopped(), DONE, LAST)

    async with (
        raw(script) as provider,
        opener(groq={"base_url": provider.url}, retries=TWICE) as house,
    ):
        answer = await house.chat(stream=True)

        assert content_of(await events_of(answer)) == "Hello"
        assert answer.headers[ATTEMPTS] == "2"


@pytest.mark.parametrize("path", ["audio/transcriptions", "audio/translations", "files"])
async def test_an_upload_is_attempted_once(opener: Opener, path: str) -> None:
    rules = [{"when": {"path": f"/{path}"}, "fault": {"status": 503}}]
    async with opener(rules=rules, retries=TWICE) as house:
        form = aiohttp.FormData({"model": "whisper-large-v3", "purpose": "batch"})
        form.add_field("file", b"RIFF", filename="said.wav")
        answer = await house.session.post(f"{house.url}/v1/{path}", data=form)

        assert answer.status == 503
        sent = [call for call in house.simulator.calls if call.path.endswith(path)]
        assert len(sent) == 1


@pytest.mark.parametrize("path", ["responses", "embeddings", "audio/speech"])
async def test_other_calls_in_json_are_tried_again_too(opener: Opener, path: str) -> None:
    bodies = {
        "responses": {"model": "openai/gpt-oss-20b", "input": "Hi"},
        "embeddings": {"model": "nomic-embed-text-v1_5", "input": "Hi"},
        "audio/speech": {
            "model": "canopylabs/orpheus-v1-english",
            "input": "Hi",
            "voice": "autumn",
            "response_format": "wav",
        },
    }
    rules = [{"when": {"path": f"/{path}", "nth": 1}, "fault": {"status": 503}}]
    async with opener(rules=rules, retries=TWICE) as house:
        answer = await house.session.post(f"{house.url}/v1/{path}", json=bodies[path])
        await answer.read()

        assert answer.status == 200, await answer.text()
        assert answer.headers[ATTEMPTS] == "2"


async def test_a_provider_that_asks_for_a_short_wait_gets_it(opener: Opener) -> None:
    rules = on_chats({"status": 503, "retry_after_s": 1}, nth=1)
    async with opener(rules=rules, retries=TWICE) as house:
        answer = await house.chat()
        await house.calls_closed()

        assert answer.status == 200
        assert 1 <= house.seen.flights[0].pauses_s[0] <= 1.1


async def test_a_provider_that_asks_for_a_long_wait_is_not_asked_again(opener: Opener) -> None:
    async with opener(rules=on_chats({"status": 503, "retry_after_s": 60}), retries=TWICE) as house:
        answer = await house.chat()

        assert answer.status == 503
        assert answer.headers["retry-after"] == "60"
        assert len(chats(house.simulator)) == 1


async def test_no_attempt_is_begun_with_less_than_a_second_left(opener: Opener) -> None:
    async with opener(rules=on_chats({"status": 503}), retries=TWICE) as house:
        answer = await house.session.post(
            f"{house.url}/v1/chat/completions",
            json={"model": "openai/gpt-oss-20b", "messages": [{"role": "user", "content": "Hi"}]},
            headers={"x-proxy-timeout-ms": "950"},
        )

        assert answer.status == 503
        assert len(chats(house.simulator)) == 1


@pytest.mark.parametrize(("repeats", "attempts"), [(0, 3), (1, 2), (2, 1), (7, 1)])
async def test_what_an_sdk_has_tried_already_is_not_tried_here_again(
    opener: Opener, repeats: int, attempts: int
) -> None:
    async with opener(rules=on_chats({"status": 500}), retries=TWICE) as house:
        answer = await house.session.post(
            f"{house.url}/v1/chat/completions",
            json={"model": "openai/gpt-oss-20b", "messages": [{"role": "user", "content": "Hi"}]},
            headers={"x-stainless-retry-count": str(repeats)},
        )

        assert answer.status == 502
        assert len(chats(house.simulator)) == attempts


async def test_a_connection_that_went_stale_costs_no_retry(opener: Opener) -> None:
    async with opener(rules=on_chats("keepalive_close", nth=1), retries=0) as house:
        first, second = await house.chat(), await house.chat()

        assert (first.status, second.status) == (200, 200)
        assert second.headers[ATTEMPTS] == "1"


async def test_where_all_calls_fail_all_but_the_first_two_are_attempted_once(
    opener: Opener,
) -> None:
    async def script(line: Line) -> None:
        await line.say(whole({"error": {"message": "no"}}, "500 No"))

    breaker = {"failures": 1_000, "window_s": 0.001}  # never opens
    async with raw(script) as provider:
        groq = {"base_url": provider.url, "breaker": breaker}
        async with opener(groq=groq, retries=TWICE) as house:
            for _ in range(30):
                await house.chat()

            assert len(provider.lines) == 2 * 3 + 28


async def test_after_an_outage_calls_are_tried_again_as_before(opener: Opener) -> None:
    async def script(line: Line) -> None:
        good = line.number > 8 and line.number % 2
        await line.say(WHOLE if good else whole({"error": {"message": "no"}}, "500 No"))

    breaker = {"failures": 1_000, "window_s": 0.001}
    async with raw(script) as provider:
        groq = {"base_url": provider.url, "breaker": breaker}
        async with opener(groq=groq, retries=TWICE) as house:
            statuses = [(await house.chat()).status for _ in range(10)]

            assert statuses[0] == 502
            assert statuses[-2:] == [200, 200]
