"""A provider that answers with a status: what of it the client may see."""

import email.utils
import re
import time

import pytest

from proxy.core.errors import Outcome, Result
from proxy.simulator.ids import org_id
from proxy.telemetry.logs import fields
from tests.conftest import House
from tests.stories.books import SECRET
from tests.stories.conftest import TIMES, Facing, Opener
from tests.stories.raw import EVENTS, LAST, Line, event, head, said, whole
from tests.stories.reading import error_of


def _sim(**fault: object) -> list[dict[str, object]]:
    return [{"when": {"endpoint": "chat"}, "fault": fault}]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_short_wait_for_quota_is_a_429_at_once_that_may_be_tried_again(
    opener: Opener, stream: bool
) -> None:
    async with opener(rules=_sim(limit="tpm", retry_after_s=2.5)) as house:
        answer = await house.chat(stream=stream)
        error = await error_of(answer)
        await house.calls_closed()

        assert answer.status == 429
        assert answer.headers["retry-after"] == "3"
        assert answer.headers.get("x-should-retry") != "false"
        assert error["code"] == "rate_limit_exceeded"
        assert house.seen.calls[0].duration_s < 1
        assert [attempt.result for attempt in house.seen.attempts] == [Result.HTTP_429]
        assert await house.metric("upstream_errors_total", kind="rate_limited") == 1


async def test_the_log_has_the_providers_id_of_a_call_that_it_refused(opener: Opener) -> None:
    async with opener(rules=_sim(status=400)) as house:
        answer = await house.chat()
        await house.calls_closed()
        house.app.state.journal.flush()

        told = fields(house.seen.calls[0], str)
        assert told["upstream_id"] == answer.headers["x-request-id"]
        assert told["upstream_id"].startswith("req_")
        assert told["upstream_id"] != told["request_id"]


async def test_a_long_wait_for_quota_tells_sdks_not_to_try_again(opener: Opener) -> None:
    async with opener(rules=_sim(limit="rpd", retry_after_s=3600)) as house:
        answer = await house.chat()

        assert answer.status == 429
        assert answer.headers["retry-after"] == "3600"
        assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("wait", ["99999999999", "nan", "-5", "soon", "inf", "1e999", ""])
async def test_an_absurd_wait_for_quota_is_replaced_by_a_short_one(
    facing: Facing, wait: str
) -> None:
    async def script(line: Line) -> None:
        await line.say(whole({"error": {"message": "no"}}, "429 No", retry_after=wait))

    async with facing(script) as (house, _):
        answer = await house.chat()

        assert answer.status == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 60


async def test_a_wait_given_as_a_date_is_told_in_seconds(facing: Facing) -> None:
    async def script(line: Line) -> None:
        soon = email.utils.formatdate(time.time() + 20, usegmt=True)
        await line.say(whole({"error": {"message": "no"}}, "429 No", retry_after=soon))

    async with facing(script) as (house, _):
        answer = await house.chat()

        assert 10 <= int(answer.headers["retry-after"]) <= 21


@pytest.mark.parametrize("model", ["sim/429-tpm", "sim/too-large", "sim/status-400"])
async def test_no_client_learns_the_organisation(house: House, model: str) -> None:
    answer = await house.chat(model)
    text = await answer.text() + str(answer.headers)

    assert answer.status >= 400
    assert org_id("test") not in text
    assert re.search(r"org_\w{4}", text) is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_rejected_key_of_ours_is_a_502_and_stays_secret(
    opener: Opener, status: int, stream: bool
) -> None:
    async with opener(rules=_sim(status=status)) as house:
        answer = await house.chat(stream=stream)
        error = await error_of(answer)
        await house.calls_closed()

        assert answer.status == 502
        assert error["code"] == "upstream_auth"
        assert answer.headers["x-should-retry"] == "false"
        assert SECRET not in await answer.text() + str(answer.headers)
        assert house.seen.calls[0].outcome is Outcome.UPSTREAM_ERROR
        assert await house.metric("upstream_errors_total", kind="auth") == 1


async def test_a_key_that_a_provider_quotes_is_cleaned_away(house: House) -> None:
    answer = await house.chat("sim/echo-key")
    error = await error_of(answer)

    assert answer.status == 400
    assert SECRET not in await answer.text() + str(answer.headers)
    assert "***" in error["message"]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_a_key_is_cleaned_out_of_every_refusal(
    facing: Facing, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(line: Line) -> None:
        authorization = line.request.partition(b"Authorization: ")[2].partition(b"\r\n")[0].decode()
        error = {"message": f"{authorization}?", "type": SECRET, "param": SECRET}
        refusal = whole(
            {"error": error, "debug": {"headers": authorization}},
            f"{status} No",
            x_debug=authorization,
        )
        await line.say(refusal)

    async with facing(script) as (house, _):
        answer = await house.chat()

        assert SECRET not in await answer.text() + str(answer.headers)
    assert SECRET not in caplog.text


async def test_a_key_in_an_error_event_is_cleaned_away(facing: Facing) -> None:
    async def script(line: Line) -> None:
        error = event({"error": {"message": f"bad {SECRET}", "code": SECRET}})
        await line.say(EVENTS, said("one"), error, LAST)

    async with facing(script) as (house, _):
        answer = await house.chat(stream=True)

        assert SECRET not in await answer.text()


@pytest.mark.parametrize(
    ("status", "seen"), [(500, 502), (502, 502), (503, 503), (504, 502), (529, 503), (599, 502)]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_providers_failure_is_a_502_or_503(
    house: House, status: int, seen: int, stream: bool
) -> None:
    answer = await house.chat(f"sim/status-{status}", stream=stream)
    error = await error_of(answer)
    await house.calls_closed()

    assert answer.status == seen
    assert error["type"] == "upstream_error"
    assert [attempt.result for attempt in house.seen.attempts] == [Result.HTTP_5XX]
    assert house.seen.calls[0].outcome is Outcome.UPSTREAM_ERROR


@pytest.mark.parametrize("model", ["sim/status-503-html", "sim/status-404-html"])
async def test_an_html_page_of_an_edge_becomes_an_error_in_our_shape(
    house: House, model: str
) -> None:
    answer = await house.chat(model)
    error = await error_of(answer)

    assert answer.status in (503, 404)
    assert "<" not in error["message"]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_clients_mistake_keeps_the_providers_status_and_words(
    facing: Facing, status: int, stream: bool
) -> None:
    async def script(line: Line) -> None:
        body = {"error": {"message": "no such thing", "type": "t", "code": "c", "extra": [1]}}
        await line.say(whole(body, f"{status} No"))

    async with facing(script) as (house, provider):
        answer = await house.chat(stream=stream)
        error = await error_of(answer)
        await house.calls_closed()

        assert answer.status == status
        assert error == {"message": "no such thing", "type": "t", "code": "c", "extra": [1]}
        assert answer.headers["x-should-retry"] == "false"
        assert house.seen.calls[0].outcome is Outcome.CLIENT_ERROR
        assert len(provider.lines) == 1


async def test_a_refusal_whose_body_never_ends_is_told_in_time(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(head("500 No", content_length="100"), b'{"error"')
        await line.until_left()

    async with facing(script, timeouts=TIMES) as (house, _):
        answer = await house.chat()
        await house.calls_closed()

        assert answer.status in (502, 504)
        assert house.seen.calls[0].duration_s < TIMES["total_s"] + 1


@pytest.mark.parametrize("message", [None, 5, ["x"], {"a": 1}, True])
@pytest.mark.parametrize(
    ("status", "seen"), [(400, 400), (404, 404), (429, 429), (500, 502), (503, 503)]
)
async def test_a_refusal_whose_message_is_no_text_is_still_that_refusal(
    facing: Facing, message: object, status: int, seen: int
) -> None:
    async def script(line: Line) -> None:
        await line.say(whole({"error": {"message": message, "code": None}}, f"{status} No"))

    async with facing(script) as (house, _):
        answer = await house.chat()

        assert answer.status == seen
        assert (await answer.json()).keys() == {"error"}


@pytest.mark.parametrize("wait", ["99999999999", "nan", "-5", "soon", "inf", "1e999"])
@pytest.mark.parametrize("status", [400, 500, 503])
async def test_an_absurd_wait_is_not_passed_on(facing: Facing, status: int, wait: str) -> None:
    async def script(line: Line) -> None:
        await line.say(whole({"error": {"message": "no"}}, f"{status} No", retry_after=wait))

    async with facing(script) as (house, _):
        answer = await house.chat()

        assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    ("status", "seen", "code"),
    [(401, 502, "upstream_auth"), (403, 502, "upstream_auth"), (402, 503, "no_capacity")],
)
async def test_an_error_event_before_content_that_blames_our_key_is_no_4xx(
    facing: Facing, status: int, seen: int, code: str
) -> None:
    async def script(line: Line) -> None:
        error = {"message": "Invalid key gsk_test", "status_code": status}
        await line.say(EVENTS, event({"error": error}), LAST)

    async with facing(script) as (house, _):
        answer = await house.chat(stream=True)

        assert answer.status == seen
        assert (await error_of(answer))["code"] == code


async def test_an_error_event_before_content_that_says_429_is_a_quota(facing: Facing) -> None:
    async def script(line: Line) -> None:
        error = {"message": "Rate limit reached", "status_code": 429, "code": "rate_limit_exceeded"}
        await line.say(EVENTS, event({"error": error}), LAST)

    async with facing(script) as (house, _):
        answer = await house.chat(stream=True)
        await house.calls_closed()

        assert answer.status == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert await house.metric("upstream_attempts_total", result="http_429") == 1


async def test_an_error_event_before_content_says_that_a_retry_is_vain(facing: Facing) -> None:
    async def script(line: Line) -> None:
        error = {"message": "no", "status_code": 400}
        await line.say(EVENTS, event({"error": error}), LAST)

    async with facing(script) as (house, _):
        answer = await house.chat(stream=True)

        assert (answer.status, answer.headers["x-should-retry"]) == (400, "false")
