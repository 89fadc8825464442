import logging
import math
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from random import Random

import orjson
import pytest

from proxy.core.call import ANYONE, Call, Caller, Endpoint, Form, Target, Usage
from proxy.core.errors import (
    ClientGone,
    Internal,
    InvalidRequest,
    Outcome,
    ProxyError,
    QuotaExhausted,
    TimedOut,
)
from proxy.core.events import (
    AccountsChanged,
    BreakerMoved,
    BreakerState,
    ConfigReloaded,
    DomainClosed,
    Event,
    KeyChecked,
    KeyState,
    LoopLagged,
)
from proxy.core.journal import Journal, Paid, Passed
from proxy.core.quota import Window
from proxy.core.secrets import Secrets, hashed
from proxy.core.trace import Trace
from proxy.telemetry.logs import AccessLog, fields, timestamp
from tests.core.test_journal import ListExchange
from tests.fakes import FakeClock
from tests.telemetry.records import (
    TARGET,
    Try,
    tell_of_a_call,
    tell_of_a_journey,
    tell_of_a_refused_call,
)

SECRET = "s3cret of ours"
KEY = "gsk_abcdefghijklmnop"
GEMINI = Target("gemini", "g")

# observability.md, section 4, and the client's own id: always all of them, in this order.
FIELDS = """
    ts level event schema request_id client_request_id trace_id span_id method endpoint status
    outcome error_code stream stream_end tenant key_hint model_requested route
    route_score model upstream_model
    upstream_id fallback_from attempts retry_reasons upstream_key breaker cache cache_tier
    similarity entry_age_s saved_usd rag_collection rag_chunks rag_top_score prompt_tokens
    prompt_cached_tokens completion_tokens reasoning_tokens usage_source cost_usd budget duration_ms
    ttft_ms tpot_ms queue_ms upstream_ms overhead_ms groq_queue_ms groq_prompt_ms groq_completion_ms
    ratelimit_remaining_requests ratelimit_remaining_tokens finish_reason bytes_in bytes_out client
    user_agent worker
""".split()  # noqa: SIM905 - a list of sixty lines would hide the sixty names


class Lines(list[bytes]):
    """An access log's lines."""

    def log(self, *, text: bool = False, sample: float = 1.0) -> AccessLog:
        log = AccessLog(self.append, Random(7), Secrets([SECRET]))
        log.configure(text=text, sample=sample)
        return log

    def only(self) -> dict[str, object]:
        (line,) = self
        told: dict[str, object] = orjson.loads(line)
        return told


def left_to_others(log: AccessLog) -> Callable[[], None]:
    """A call whose client left while others read its answer; what ends that."""
    clock = FakeClock()
    journal = Journal(clock, [log])
    call = Call("prx_1", ANYONE, Endpoint.CHAT, "POST", "x", "", "m", {}, stream=True)
    going = ExitStack()
    with suppress(ProxyError), journal.call(ListExchange(), Endpoint.CHAT) as record:
        record.caller, record.call, record.target = ANYONE, call, TARGET
        record.flight = flight = going.enter_context(journal.flight(call))
        clock.advance(1)
        raise ClientGone("left")

    def end() -> None:
        clock.advance(60)
        flight.summary.usage, flight.summary.finish_reason = Usage(10, 5), "stop"
        flight.paid.append(Paid(TARGET, 2500, 9000, "usage", exact=True, listed=2500, wasted=0))
        going.close()

    return end


def test_a_call_that_left_its_answer_to_others_has_its_line_when_its_cost_is_known() -> None:
    lines = Lines()
    end = left_to_others(lines.log())
    assert lines == []

    end()

    told = lines.only()
    assert (told["cost_usd"], told["prompt_tokens"], told["completion_tokens"]) == (2.5e-6, 10, 5)
    assert (told["outcome"], told["finish_reason"]) == ("client_abort", "stop")
    assert (told["duration_ms"], told["upstream_ms"]) == (1000, 0)  # until it left


def test_what_waits_for_an_answer_is_written_at_the_end() -> None:
    lines = Lines()
    log = lines.log()
    left_to_others(log)

    log.close()

    assert lines.only()["cost_usd"] is None


def test_only_so_many_lines_wait_for_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.telemetry.logs._MOST_LATE", 2)
    lines = Lines()
    log = lines.log()

    ends = [left_to_others(log) for _ in range(3)]
    assert len(lines) == 1
    for end in ends:
        end()

    assert [orjson.loads(line)["cost_usd"] for line in lines] == [None, 2.5e-6, 2.5e-6]


def test_a_good_call_is_one_line_with_all_fields() -> None:
    lines = Lines()

    tell_of_a_call(lines.log(), usage=Usage(10, 5, 4, 2, queue_s=0.05))

    told = lines.only()
    assert list(told) == FIELDS
    assert (
        told
        | {
            "ts": "2027-01-15T08:00:00.000Z",
            "level": "info",
            "event": "request",
            "schema": 1,
            "request_id": "prx_1",
            "client_request_id": None,
            "endpoint": "chat_completions",
            "status": 200,
            "outcome": "ok",
            "error_code": None,
            "stream": True,
            "stream_end": "done",
            "model_requested": "openai/gpt-oss-20b",
            "model": "groq/openai/gpt-oss-20b",
            "upstream_model": "groq/openai/gpt-oss-20b",
            "upstream_id": "req_1",
            "attempts": 1,
            "retry_reasons": [],
            "upstream_key": "k1",
            "cache": "off",
            "prompt_tokens": 10,
            "prompt_cached_tokens": 4,
            "completion_tokens": 5,
            "reasoning_tokens": 2,
            "usage_source": "reported",
            "duration_ms": 3000.0,
            "ttft_ms": 1000.0,
            "tpot_ms": 500.0,
            "upstream_ms": 3000.0,
            "overhead_ms": 0.0,
            "groq_queue_ms": 50.0,
            "ratelimit_remaining_tokens": 7927,
            "ratelimit_remaining_requests": None,
            "finish_reason": "stop",
            "bytes_in": 300,
            "bytes_out": 900,
        }
        == told
    )


@pytest.mark.parametrize(
    "error",
    [InvalidRequest("x"), QuotaExhausted("x"), TimedOut("x"), ClientGone("x"), Internal("x")],
)
def test_a_bad_call_has_the_same_fields(error: ProxyError) -> None:
    for tell in (tell_of_a_call, tell_of_a_refused_call):
        lines = Lines()
        tell(lines.log(), error=error)
        told = lines.only()
        assert list(told) == FIELDS
        assert (told["outcome"], told["error_code"]) == (error.outcome, error.code)


TEXTS = [
    "request_id",
    "client_request_id",
    "trace_id",
    "span_id",
    "error_code",
    "stream_end",
    "tenant",
    "key_hint",
    "model_requested",
    "route",
    "model",
    "upstream_model",
    "upstream_id",
    "fallback_from",
    "upstream_key",
    "breaker",
    "cache_tier",
    "rag_collection",
    "usage_source",
    "finish_reason",
    "user_agent",
]
NUMBERS = [
    "route_score",
    "similarity",
    "entry_age_s",
    "saved_usd",
    "rag_top_score",
    "cost_usd",
    "budget",
    "ttft_ms",
    "tpot_ms",
    "upstream_ms",
    "groq_queue_ms",
    "groq_prompt_ms",
    "groq_completion_ms",
]
COUNTS = [
    "rag_chunks",
    "prompt_tokens",
    "prompt_cached_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "ratelimit_remaining_requests",
    "ratelimit_remaining_tokens",
]
TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(TEXTS, (str, type(None))),
    **dict.fromkeys(NUMBERS, (int, float, type(None))),
    **dict.fromkeys(COUNTS, (int, type(None))),
    **dict.fromkeys(["ts", "level", "event", "method", "endpoint", "outcome", "cache"], (str,)),
    **dict.fromkeys(["schema", "status", "attempts", "bytes_in", "bytes_out", "worker"], (int,)),
    **dict.fromkeys(["duration_ms", "queue_ms", "overhead_ms"], (int, float)),
    "stream": (bool,),
    "retry_reasons": (list,),
    "client": (type(None),),  # whose address it is is nobody's business: there is no knob for it
}


@pytest.mark.parametrize("error", [None, InvalidRequest("x"), QuotaExhausted("x"), ClientGone("x")])
def test_every_field_has_the_type_that_the_schema_says(error: ProxyError | None) -> None:
    assert TYPES.keys() == set(FIELDS)
    for late in (False, True):
        lines = Lines()
        record = tell_of_a_call(error=error, late=late)
        record.trace = Trace("1" * 32, "2" * 16, "", sampled=True)
        record.caller = Caller("k", "search", hint="wxyz")
        lines.log().call_closed(record)
        told = lines.only()
        wrong = {name: told[name] for name in FIELDS if not isinstance(told[name], TYPES[name])}
        assert wrong == {}
        assert (told["trace_id"], told["span_id"]) == ("1" * 32, "2" * 16)
        assert (told["key_hint"], told["tenant"]) == ("wxyz", "search")


@pytest.mark.parametrize("outcome", Outcome)
def test_only_what_spends_the_error_budget_is_an_error(outcome: Outcome) -> None:
    record = tell_of_a_call()
    record.outcome = outcome

    bad = {"upstream_error", "timeout", "breaker_open", "internal_error"}
    assert (fields(record, str)["level"] == "error") == (outcome in bad)


def test_texts_of_clients_are_cut() -> None:
    lines = Lines()

    tell_of_a_call(lines.log(), model="m" * 256, headers={"User-Agent": "u" * 500})

    told = lines.only()
    assert (told["model_requested"], told["user_agent"]) == ("m" * 64, "u" * 96)


def test_what_a_client_sends_cannot_begin_a_line_of_its_own() -> None:
    lines = Lines()

    tell_of_a_call(lines.log(), headers={"User-Agent": 'x"}\n{"event":"request"}'})

    assert b"\n" not in lines[0]
    assert lines.only()["user_agent"] == 'x"}\n{"event":"request"}'


def test_a_clients_own_id_stands_beside_ours() -> None:
    lines = Lines()

    tell_of_a_call(lines.log(), headers={"x-request-id": "job-7/a b"})

    told = lines.only()
    assert (told["request_id"], told["client_request_id"]) == ("prx_1", "job-7/a b")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("", None),
        ("x" * 500, "x" * 128),
        ("a\tb\x7fc\u202ed", "a?b?c?d"),
        (KEY, hashed(KEY)),
        (f"{SECRET}!", f"{hashed(SECRET)}!"),
        ("x" * 120 + KEY, "x" * 120 + hashed(KEY)[:8]),
        ("-" * 120 + SECRET, "-" * 120 + hashed(SECRET)[:8]),
    ],
)
def test_a_clients_own_id_is_short_printable_and_no_secret(sent: str, shown: str | None) -> None:
    lines = Lines()

    tell_of_a_call(lines.log(), headers={"x-request-id": sent})

    assert lines.only()["client_request_id"] == shown


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("secret", [KEY, SECRET.replace(" ", "")])
def test_keys_in_wrong_fields_are_hidden(secret: str, text: bool) -> None:
    lines = Lines()
    log = AccessLog(lines.append, Random(7), Secrets([secret]))
    log.configure(text=text, sample=1.0)

    tell_of_a_call(
        log,
        model=secret,
        target=Target("groq", secret),
        headers={"User-Agent": f"tool/1 {secret}", "x-request-id": secret},
    )

    assert secret.encode() not in lines[0]
    assert hashed(secret).encode() in lines[0]


def test_a_secret_that_a_reload_brings_is_hidden_from_then_on() -> None:
    lines, secrets = Lines(), Secrets()
    log = AccessLog(lines.append, Random(7), secrets)

    tell_of_a_call(log, headers={"User-Agent": "n3w secret"})
    secrets.know(["n3w secret"])
    log.configure(text=False, sample=1.0)
    tell_of_a_call(log, headers={"User-Agent": "n3w secret"})

    before, after = (orjson.loads(line)["user_agent"] for line in lines)
    assert (before, after) == ("n3w secret", hashed("n3w secret"))


@pytest.mark.parametrize("stated", ["", "-1", "1.5", "many", "²", "1e3"])
def test_an_odd_rate_limit_header_is_unknown(stated: str) -> None:
    record = tell_of_a_call()
    assert record.head is not None
    assert isinstance(record.head.headers, dict)
    record.head.headers["x-ratelimit-remaining-tokens"] = stated

    assert fields(record, str)["ratelimit_remaining_tokens"] is None


@pytest.mark.parametrize(("sample", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_of_good_calls_the_share_asked_for_is_written(sample: float, share: float) -> None:
    lines = Lines()
    log, record = lines.log(sample=sample), tell_of_a_call()

    for _ in range(2000):
        log.call_closed(record)

    assert len(lines) == pytest.approx(2000 * share, abs=80)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome != "ok"])
def test_sampling_never_drops_a_bad_call(outcome: Outcome) -> None:
    lines = Lines()
    log, record = lines.log(sample=0.0), tell_of_a_call()
    record.outcome = outcome

    for _ in range(100):
        log.call_closed(record)

    assert len(lines) == 100


def test_a_line_for_people_tells_what_matters() -> None:
    lines = Lines()

    tell_of_a_call(lines.log(text=True))
    tell_of_a_call(lines.log(text=True), error=TimedOut("x"))
    tell_of_a_call(lines.log(text=True), form=Form.WHOLE, usage=None)

    good, late, plain = (line.decode() for line in lines)
    assert re.sub(" {2,}", "  ", good) == (
        "08:00:00.000  200  ok  chat_completions  groq/openai/gpt-oss-20b  3000 ms"
        "  first token 1000 ms  10+5 tokens  prx_1"
    )
    assert "504  timeout" in late
    assert "upstream_timeout  prx_1" in late
    assert "tokens" not in plain


@pytest.mark.parametrize(
    ("wall", "told"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000.9999, "2027-01-15T08:00:00.999Z"),
        (1_800_000_000.0625, "2027-01-15T08:00:00.062Z"),
    ],
)
def test_times_are_utc_with_milliseconds(wall: float, told: str) -> None:
    assert timestamp(wall) == told


def test_operators_hear_of_keys_and_reloads_and_of_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Lines().log()

    with caplog.at_level(logging.INFO, "proxy"):
        log.happened(KeyChecked("groq", "a", KeyState.ACTIVE, 12, "accepted"))
        log.happened(KeyChecked("groq", "b", KeyState.DISABLED, None, "not accepted"))
        log.happened(ConfigReloaded(ok=True))
        log.happened(ConfigReloaded(ok=False, reason="listen: no"))
        log.happened(LoopLagged(1.0))

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "key groq/a: accepted, 12 models"),
        ("WARNING", "key groq/b: not accepted"),
        ("INFO", "configuration reloaded"),
        ("ERROR", "configuration not reloaded: listen: no"),
    ]


def test_a_fallback_names_the_model_that_was_asked_first() -> None:
    lines = Lines()

    tell_of_a_journey(
        lines.log(),
        tries=[Try(error=TimedOut("x")), Try(GEMINI)],
        fallback_reason="timeout",
    )

    told = lines.only()
    assert told["fallback_from"] == "groq/openai/gpt-oss-20b"
    assert told["upstream_model"] == "gemini/g"
    assert (told["attempts"], told["retry_reasons"]) == (2, ["timeout"])


def test_a_successor_and_a_failure_are_no_fallback() -> None:
    for journey in (
        {"tries": [Try(GEMINI)], "replaced": TARGET.model},
        {"tries": [Try(error=TimedOut("x")), Try(GEMINI, error=TimedOut("x"))]},
        {"tries": [Try()]},
    ):
        lines = Lines()
        tell_of_a_journey(lines.log(), **journey)  # type: ignore[arg-type]
        assert lines.only()["fallback_from"] is None


def test_a_target_that_was_passed_over_shows_in_the_line() -> None:
    lines = Lines()

    tell_of_a_journey(lines.log(), tries=[Try(GEMINI)], passed=[Passed(TARGET, "breaker_open")])
    assert lines.only()["breaker"] == "open"

    lines.clear()
    tell_of_a_journey(lines.log(), tries=[Try(GEMINI)], passed=[Passed(TARGET, "no images")])
    assert lines.only()["breaker"] is None


def test_waits_for_places_and_quotas_are_told_as_such() -> None:
    lines = Lines()

    tell_of_a_journey(lines.log(), tries=[Try(paced_s=2.0, queued_s=0.5), Try()])

    told = lines.only()
    assert (told["queue_ms"], told["upstream_ms"], told["overhead_ms"]) == (2500, 2000, 0)


def test_a_line_for_people_tells_of_the_way_where_it_was_no_straight_one() -> None:
    lines = Lines()

    tell_of_a_journey(
        lines.log(text=True), tries=[Try(error=TimedOut("x")), Try(GEMINI)], fallback_reason="x"
    )

    assert b"gemini/g  instead of groq/openai/gpt-oss-20b  2 attempts  " in lines[0]


@pytest.mark.parametrize(
    ("event", "level", "said"),
    [
        (
            BreakerMoved(TARGET, BreakerState.OPEN, "failures in a row: 5", 4.94),
            "WARNING",
            "groq/openai/gpt-oss-20b is left alone for 4.9 s: failures in a row: 5",
        ),
        (
            BreakerMoved(TARGET, BreakerState.OPEN, "an admin said so", math.inf),
            "WARNING",
            "groq/openai/gpt-oss-20b is left alone until an admin says otherwise: an admin said so",
        ),
        (
            BreakerMoved(TARGET, BreakerState.HALF_OPEN, "the pause is over"),
            "INFO",
            "groq/openai/gpt-oss-20b is tried again: the pause is over",
        ),
        (
            BreakerMoved(TARGET, BreakerState.CLOSED, "2 probes in a row succeeded"),
            "INFO",
            "groq/openai/gpt-oss-20b is trusted again: 2 probes in a row succeeded",
        ),
        (
            DomainClosed("groq", "shared", TARGET.model, Window.TPM, 7.25),
            "INFO",
            "groq/openai/gpt-oss-20b refuses account shared for lack of quota (tpm):"
            " it rests for 7.2 s",
        ),
        (
            DomainClosed("groq", "shared", TARGET.model, None, 1.0),
            "INFO",
            "groq/openai/gpt-oss-20b refuses account shared for lack of quota"
            " (which one was not told): it rests for 1.0 s",
        ),
        (
            AccountsChanged("groq", ("a", "b"), joined=True),
            "WARNING",
            "keys a, b at groq belong to one organisation: from now on they share its quotas",
        ),
        (
            AccountsChanged("groq", ("b",), joined=False),
            "INFO",
            "key b at groq has an organisation of its own, and so its own quotas",
        ),
    ],
)
def test_what_happens_upstream_is_one_line_for_the_operator(
    caplog: pytest.LogCaptureFixture, event: Event, level: str, said: str
) -> None:
    caplog.set_level(logging.INFO, "proxy")

    Lines().log().happened(event)

    [record] = caplog.records
    assert (record.levelname, record.getMessage()) == (level, said)
