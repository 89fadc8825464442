"""What a request is charged, row by row of the table of its ends."""

from dataclasses import replace

import pytest

from proxy.access.ceilings import Bound
from proxy.access.charges import Request, due_for_answer, due_for_end
from proxy.access.prices import Price, Rates
from proxy.config.settings import BudgetSettings
from proxy.core.call import (
    ANYONE,
    Audio,
    Call,
    Endpoint,
    JsonObject,
    Summary,
    Target,
    Upload,
    Usage,
)
from proxy.core.errors import (
    BadAnswer,
    BreakerOpen,
    Costs,
    CutOff,
    KeyRejected,
    NoCapacity,
    QuotaExhausted,
    Refused,
    ServerFailed,
    Stalled,
    TierFull,
    TimedOut,
    TooLargeForQuota,
    Unreachable,
    UpstreamError,
)
from proxy.core.journal import AttemptRecord

INPUT, OUTPUT, CACHED, WRITTEN = 100, 400, 25, 125  # nano-dollars a token
PRICE = Price(
    Rates(*(each * 10**6 for each in (INPUT, OUTPUT, CACHED, WRITTEN))),
    tiers={"flex": 5_000, "priority": 20_000},
)
TEXT = "x" * 80
MOST, GUESS = len(TEXT) + 16 + 64, len(TEXT) // 4 + 4  # tokens of the prompt
BOUND = Bound(prompt=MOST, completion=50, choices=1, cap=50)
PAID_IN = WRITTEN  # a prompt of which it is not said what was kept
RESERVED = MOST * WRITTEN + 50 * OUTPUT

DEFAULT, FULL = BudgetSettings(), BudgetSettings(on_abort="full", on_timeout="full")


def call(endpoint: Endpoint = Endpoint.CHAT, **fields: object) -> Call:
    body: JsonObject = {"model": "m", "messages": [{"role": "user", "content": TEXT}], **fields}
    return Call("c1", ANYONE, endpoint, "POST", "chat/completions", "", "m", body, stream=False)


def request(*, covered: bool = True, tier: str = "", **fields: object) -> Request:
    """A request under a hard budget, or without one."""
    bound, reserved = (BOUND, RESERVED) if covered else (None, 0)
    return Request(call(**fields), PRICE, bound, reserved, tier)


def attempt(
    error: UpstreamError | None = None, *, sent: bool = True, summary: Summary | None = None
) -> AttemptRecord:
    record = AttemptRecord(Target("groq", "m"), started=1.0, sent_at=1.1 if sent else None)
    record.error, record.summary = error, summary
    return record


def counted(completion: int) -> Summary:
    """An answer that ended without its usage, as the provider's side leaves it."""
    return Summary(usage=Usage(GUESS, completion, exact=False))


def amount_and_reason(
    record: AttemptRecord | None, settings: BudgetSettings, *, covered: bool
) -> tuple[int, str] | None:
    due = due_for_end(request(covered=covered), record, settings)
    return None if due is None else (due.amount, due.reason)


FREE_ENDS = {
    "nothing was asked": None,
    "it never went out": attempt(TimedOut("no connection"), sent=False),
    "nobody was reached": attempt(Unreachable("refused"), sent=False),
    "its client left before it went out": attempt(sent=False),
    "a quota": attempt(QuotaExhausted("429")),
    "a larger quota": attempt(TooLargeForQuota("413")),
    "a full tier": attempt(TierFull("498")),
    "a key": attempt(KeyRejected("401")),
    "an empty account": attempt(NoCapacity("402")),
    "a mistake of the client": attempt(Refused("400")),
    "a failed server": attempt(ServerFailed("500")),
    "a breaker": attempt(BreakerOpen("open")),
    "an answer of no use": attempt(BadAnswer("no JSON")),
}


@pytest.mark.parametrize("settings", [DEFAULT, FULL], ids=["default", "full"])
@pytest.mark.parametrize("covered", [True, False], ids=["covered", "free"])
@pytest.mark.parametrize("end", FREE_ENDS)
def test_what_was_not_worked_for_costs_nothing(
    end: str, covered: bool, settings: BudgetSettings
) -> None:
    assert amount_and_reason(FREE_ENDS[end], settings, covered=covered) is None


def worked(error: UpstreamError) -> UpstreamError:
    return error.costing(Costs.RECEIVED)


# end: (record, charge under a hard budget, charge without one, reason)
PROMPT = GUESS * PAID_IN
ABORTS = {
    "its client left before a word came": (attempt(), PROMPT, "abandoned"),
    "its client left after ten tokens": (
        attempt(summary=counted(10)),
        PROMPT + 10 * OUTPUT,
        "abandoned",
    ),
    "its stream was cut after ten tokens": (
        attempt(CutOff("cut"), summary=counted(10)),
        PROMPT + 10 * OUTPUT,
        "truncated",
    ),
    "its stream stalled after ten tokens": (
        attempt(Stalled("stalled"), summary=counted(10)),
        PROMPT + 10 * OUTPUT,
        "stall",
    ),
    "its stream broke before a word": (attempt(worked(BadAnswer("cut"))), PROMPT, "protocol"),
    "the connection broke": (attempt(Unreachable("reset")), PROMPT, "connect"),
    "it told its usage and then broke": (
        attempt(CutOff("cut"), summary=Summary(usage=Usage(7, 3))),
        7 * PAID_IN + 3 * OUTPUT,
        "truncated",
    ),
}


@pytest.mark.parametrize("end", ABORTS)
def test_what_broke_is_charged_the_prompt_and_what_had_come(end: str) -> None:
    record, amount, reason = ABORTS[end]

    for covered in (True, False):
        assert amount_and_reason(record, DEFAULT, covered=covered) == (amount, reason)


@pytest.mark.parametrize("end", ABORTS)
def test_in_full_means_all_that_was_promised(end: str) -> None:
    record, amount, reason = ABORTS[end]

    assert amount_and_reason(record, FULL, covered=True) == (RESERVED, reason)
    assert amount_and_reason(record, FULL, covered=False) == (amount, reason)


def test_a_timeout_is_charged_the_prompt_at_its_most() -> None:
    late = attempt(TimedOut("late"))

    assert amount_and_reason(late, DEFAULT, covered=True) == (MOST * PAID_IN, "timeout")
    assert amount_and_reason(late, DEFAULT, covered=False) == (PROMPT, "timeout")
    assert amount_and_reason(late, FULL, covered=True) == (RESERVED, "timeout")


def test_the_policies_on_aborts_and_timeouts_do_not_mix() -> None:
    late, left = attempt(TimedOut("late")), attempt()
    aborts, timeouts = BudgetSettings(on_abort="full"), BudgetSettings(on_timeout="full")

    assert amount_and_reason(late, aborts, covered=True) == (MOST * PAID_IN, "timeout")
    assert amount_and_reason(left, timeouts, covered=True) == (PROMPT, "abandoned")


def test_our_own_count_of_a_broken_answer_never_goes_beyond_the_promise() -> None:
    record = attempt(CutOff("cut"), summary=counted(95))

    assert amount_and_reason(record, DEFAULT, covered=True) == (RESERVED, "truncated")


def test_our_own_count_is_no_nonsense_however_much_has_come() -> None:
    """Text that packs densely has fewer tokens than we count, and is no reason to charge less."""
    record = attempt(CutOff("cut"), summary=counted(101))

    assert amount_and_reason(record, DEFAULT, covered=True) == (RESERVED, "truncated")


def test_an_answer_that_was_made_and_could_not_be_read_is_charged_as_promised() -> None:
    record = attempt(BadAnswer("too long").costing(Costs.ALL))

    assert amount_and_reason(record, DEFAULT, covered=True) == (RESERVED, "protocol")
    assert amount_and_reason(record, DEFAULT, covered=False) == (PROMPT, "protocol")


def test_a_stated_usage_is_charged_by_its_parts() -> None:
    usage = Usage(prompt=100, completion=20, cached=40, written=10)

    due = due_for_answer(request(), Summary(usage=usage, ended=True))

    assert due.amount == 50 * INPUT + 10 * WRITTEN + 40 * CACHED + 20 * OUTPUT
    assert (due.reason, due.usage, due.in_doubt) == ("usage", usage, False)


def test_a_stated_zero_costs_nothing() -> None:
    due = due_for_answer(
        request(), Summary(usage=Usage(0, 0), ended=True, count=lambda: Usage(9, 9))
    )

    assert (due.amount, due.reason) == (0, "usage")


@pytest.mark.parametrize(
    ("asked", "served", "factor"),
    [
        ("", "", 1.0),
        ("flex", "flex", 0.5),
        ("flex", "", 1.0),  # a cheaper one counts only where the provider says so
        ("flex", "default", 1.0),
        ("priority", "priority", 2.0),
        ("priority", "", 2.0),
        ("priority", "default", 1.0),
        ("", "priority", 2.0),
        ("unheard-of", "", 1.0),
    ],
)
def test_the_tier_that_an_answer_was_served_in_sets_the_price(
    asked: str, served: str, factor: float
) -> None:
    usage = Usage(10, 10, written=0, tier=served)

    due = due_for_answer(request(tier=asked), Summary(usage=usage))

    assert due.amount == factor * 10 * (INPUT + OUTPUT)


@pytest.mark.parametrize("stated", [None, Usage(GUESS, 5, exact=False)])
def test_an_answer_without_usage_is_charged_by_our_own_count(stated: Usage | None) -> None:
    summary = Summary(usage=stated, ended=True, count=lambda: Usage(GUESS, 5, exact=False))

    due = due_for_answer(request(), summary)

    assert (due.amount, due.reason, due.in_doubt) == (PROMPT + 5 * OUTPUT, "estimated", True)


@pytest.mark.parametrize("count", [None, lambda: None])
def test_where_nothing_can_be_counted_the_prompt_is_charged(count: object) -> None:
    due = due_for_answer(request(), Summary(ended=True, count=count))  # type: ignore[arg-type]

    assert (due.amount, due.reason) == (PROMPT, "estimated")


@pytest.mark.parametrize("usage", [Usage(2 * MOST + 1, 1), Usage(1, 101)])
def test_a_usage_that_cannot_be_is_charged_at_least_what_was_promised(usage: Usage) -> None:
    few, many = Usage(GUESS, 1, exact=False), Usage(GUESS, 95, exact=False)

    less = due_for_answer(request(), Summary(usage=usage, count=lambda: few))
    more = due_for_answer(request(), Summary(usage=usage, count=lambda: many))

    assert (less.amount, less.reason, less.in_doubt) == (RESERVED, "nonsense", True)
    assert more.amount == PROMPT + 95 * OUTPUT > RESERVED


def test_a_usage_beyond_the_promise_that_can_be_is_charged_in_full() -> None:
    usage = Usage(2 * MOST, 100)

    due = due_for_answer(request(), Summary(usage=usage))

    assert due.amount == 2 * MOST * PAID_IN + 100 * OUTPUT > RESERVED
    assert due.reason == "usage"


def test_without_a_bound_any_stated_usage_counts() -> None:
    due = due_for_answer(request(covered=False), Summary(usage=Usage(10**6, 10**6, written=0)))

    assert (due.amount, due.reason) == (10**6 * (INPUT + OUTPUT), "usage")


def test_an_unknown_price_costs_nothing_and_is_said() -> None:
    unknown = Request(call(), None, None, 0)

    assert not unknown.priced
    assert (unknown.ceiling(), due_for_answer(unknown, Summary(usage=Usage(9, 9))).amount) == (0, 0)


def test_the_ceiling_is_that_of_the_bound_and_the_dearest_way() -> None:
    assert request().ceiling() == RESERVED
    assert request(covered=False).ceiling() == 0
    assert request(tier="priority").ceiling() == 2 * RESERVED
    assert request(tier="flex").ceiling() == RESERVED  # it may be served in the usual one


HOUR = 3_600_000_000


async def _pieces() -> object:
    return
    yield


def heard(*, covered: bool = True, longest_s: float = 60.0, likely_s: float = 20.0) -> Request:
    upload = Upload("multipart/form-data", 1000, _pieces())  # type: ignore[arg-type]
    told = replace(call(Endpoint.AUDIO), body=upload, audio=Audio("w", longest_s, likely_s))
    bound = Bound(0, 0, 1, None, seconds=longest_s) if covered else None
    return Request(told, Price(per_hour=HOUR), bound, 60 * 10**6 if covered else 0)


def test_sound_is_charged_by_the_seconds_that_the_answer_tells() -> None:
    due = due_for_answer(heard(), Summary(audio_s=30.5))

    assert (due.amount, due.reason, due.usage.exact) == (30_500_000, "usage", True)


def test_sound_of_unknown_length_is_charged_by_what_was_likely() -> None:
    due = due_for_answer(heard(), Summary())

    assert (due.amount, due.reason, due.usage.exact) == (20_000_000, "estimated", False)


def test_a_guess_at_sound_stays_within_the_promise() -> None:
    due = due_for_answer(heard(likely_s=90.0), Summary())

    assert due.amount == 60 * 10**6


@pytest.mark.parametrize("covered", [True, False])
@pytest.mark.parametrize(
    ("error", "reason"),
    [(None, "abandoned"), (TimedOut("late"), "timeout"), (CutOff("cut"), "truncated")],
)
def test_sound_that_was_sent_is_charged_however_it_ended(
    error: UpstreamError | None, reason: str, covered: bool
) -> None:
    due = due_for_end(heard(covered=covered), attempt(error), DEFAULT)

    assert due is not None
    assert (due.amount, due.reason) == (20_000_000, reason)


def test_sound_that_was_refused_costs_nothing() -> None:
    assert due_for_end(heard(), attempt(QuotaExhausted("429")), DEFAULT) is None


def test_speech_is_charged_by_its_characters() -> None:
    spoken = replace(call(Endpoint.AUDIO), body={"model": "tts", "input": "härter"})
    price = Price(per_million_chars=22 * 10**9)
    bound = Bound(0, 0, 1, None, chars=6)
    asked = Request(spoken, price, bound, 6 * 22_000)

    due = due_for_answer(asked, Summary())

    assert asked.ceiling() == 6 * 22_000
    assert (due.amount, due.reason, due.usage.exact) == (6 * 22_000, "usage", True)
    assert not replace(asked, price=PRICE).priced


def test_whether_it_is_priced_depends_on_what_is_asked_for() -> None:
    tokens, sound = PRICE, Price(per_hour=HOUR)

    assert request().priced
    assert heard().priced
    assert not replace(heard(), price=tokens).priced
    assert not replace(request(), price=sound).priced
