"""What can become of one request to a provider."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from random import Random

import orjson

from proxy.core.call import Call
from proxy.simulator import problems
from proxy.simulator.ids import org_id
from proxy.simulator.ollama import errors as ollama_errors
from proxy.simulator.problems import Problem
from proxy.simulator.reply import in_groqs_words
from proxy.simulator.tongues import GEMINI

TELL = {"groq": in_groqs_words, "gemini": GEMINI.tell, "ollama": ollama_errors.tell}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that has arrived; `at` in seconds since the beginning, `chance` for it alone."""

    at: float
    wall: float  # as the gateway's clock has it
    provider: str
    model: str
    key: str
    org: str
    tier: str
    call: Call
    chance: Random


@dataclass(frozen=True, slots=True)
class Fate:
    """The answer to one request; times in seconds."""

    status: int = 200
    reached: bool = True
    after_s: float = 0.2  # to the first byte, infinite if it never comes
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    rest_s: float | None = None  # for how long at least the organisation is to be left alone
    frames: int = 6
    gap_s: float = 0.1
    breaks_at: int | None = None  # before which frame it breaks
    stalls: bool = False  # instead of breaking, it says nothing more
    tokens: int = 0  # what the answer really took
    went_out: bool = False  # where nobody was reached: after the request had begun to go out
    states: str = "usage"  # what the answer says of its use: or `nothing`, `zero`, `nonsense`, …


Making = Callable[[Asked], Fate]
Script = Callable[[Asked], Fate | None]


def told(asked: Asked, problem: Problem, rest_s: float | None = None) -> Fate:
    """The fate of a request that is refused, in the provider's own words."""
    words = TELL[asked.provider](problem)
    return Fate(words.status, headers=words.headers, body=orjson.dumps(words.body), rest_s=rest_s)


def unreachable(asked: Asked) -> Fate:
    after_s = asked.chance.choice((0.0, 0.001, 3.0))
    return Fate(reached=False, after_s=after_s, went_out=asked.chance.random() < 0.3)


def failing(asked: Asked) -> Fate:
    status = asked.chance.choice((500, 502, 503, 504, 529))
    fate = told(asked, problems.of_status(status, None, asked.model))
    if asked.chance.random() < 0.2:
        wait = asked.chance.choice(("1", "3", "15", "nonsense"))
        return replace(fate, headers={"retry-after": wait})
    return fate


def hanging(_: Asked) -> Fate:
    return Fate(after_s=math.inf)


def slow(asked: Asked) -> Fate:
    return Fate(after_s=asked.chance.uniform(20.5, 29.0), tokens=100)


def garbled(_: Asked) -> Fate:
    return Fate(breaks_at=0)


def cut(asked: Asked) -> Fate:
    stalls = asked.chance.random() < 0.3
    return Fate(breaks_at=asked.chance.randrange(6), stalls=stalls, gap_s=0.4)


def rejected(asked: Asked) -> Fate:
    return told(asked, problems.invalid_key())


def spent(asked: Asked) -> Fate:
    """The organisation's money is gone."""
    return told(asked, problems.of_status(400, "blocked_api_access", asked.model))


def full(asked: Asked) -> Fate:
    return told(asked, problems.no_capacity())


def wrong(asked: Asked) -> Fate:
    return told(asked, problems.too_long())


def refused_for(*waits_s: float) -> Making:
    """429s that state one of these waits, each in one of the ways in which waits are stated."""

    def make(asked: Asked) -> Fate:
        wait_s = asked.chance.choice(waits_s)
        if asked.provider != "groq":
            return told(asked, Problem(429, "Too many.", retry_after_s=wait_s), wait_s)
        match asked.chance.randrange(4):
            case 0:
                return _refused(asked, {"retry-after": f"{wait_s:g}"}, wait_s)
            case 1:
                return _refused(asked, {"retry-after-ms": str(round(wait_s * 1000))}, wait_s)
            case 2:
                then = math.ceil(asked.wall + wait_s)
                date = formatdate(then, usegmt=True)
                return _refused(asked, {"retry-after": date}, then - asked.wall - 0.21)
            case _:
                again = f" Please try again in {problems.go_duration(wait_s, up=True)}."
                return _refused(asked, {}, wait_s, again)

    return make


def refused_silently(asked: Asked) -> Fate:
    """A 429 that says nothing of use on when to come again."""
    if asked.provider != "groq":
        return told(asked, Problem(429, "Too many."), 1.0)
    said = asked.chance.choice((None, None, "-5", "NaN", "soon", "99999999999"))
    return _refused(asked, {} if said is None else {"retry-after": said}, 1.0)


def _refused(asked: Asked, headers: Mapping[str, str], rest_s: float, again: str = "") -> Fate:
    message = (
        f"Rate limit reached for model `{asked.model}` in organization `{org_id(asked.org)}`"
        f" on tokens per minute (TPM): Limit 8000, Used 7990, Requested 900.{again}"
    )
    error = {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}
    return Fate(429, headers=headers, body=orjson.dumps({"error": error}), rest_s=rest_s)
