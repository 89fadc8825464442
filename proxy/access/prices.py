"""What tokens, hours of audio and characters cost at each target, by the day.

The table that is shipped, `prices.json`, is in US dollars with the source and date of its facts.
What it leaves out is unknown, which is not the same as free. A day begins at 0:00 UTC: for the
providers it is a few hours later, and until now all dated changes have been upwards.
"""

import json
import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from proxy.config.settings import PriceSettings
from proxy.core.call import Target, Usage
from proxy.core.errors import Unpriceable
from proxy.core.money import NANO

_MILLION: Final = 10**6
_ONCE: Final = 10_000  # a service tier's factor of 1; they have up to four decimals
_LEAST_AUDIO_MS: Final = 10_000  # Groq bills every recording as at least this long
_EVERY: Final = "*"  # stands for all models of a provider
_SNAPSHOT = re.compile(r"-[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Rates:
    """Nano-dollars for 1M tokens; those of a prompt can be new, from a cache, or new and kept."""

    input: int
    output: int
    cached: int
    written: int


@dataclass(frozen=True, slots=True)
class Price:
    """What one target takes at one time; amounts are nano-dollars, each term rounded up.

    None is unknown. A prompt of more than `long_above` tokens makes `long` hold for all of the
    call. `tiers` are factors of service tiers, in ten-thousandths. `max_output` and `context` are
    the model's own bounds in tokens.
    """

    rates: Rates | None = None
    long_above: int | None = None
    long: Rates | None = None
    per_hour: int | None = None  # of audio that is heard
    per_million_chars: int | None = None  # that are spoken
    tiers: Mapping[str, int] = field(default_factory=dict)
    max_output: int | None = None
    context: int | None = None

    @property
    def free(self) -> bool:
        """Whether everything it is known for costs 0, and tokens are."""
        known = {self.per_hour or 0, self.per_million_chars or 0}
        return self.rates == Rates(0, 0, 0, 0) and self.long is None and known == {0}

    def cost(self, usage: Usage, tier: str = "", written: int | None = None) -> int:
        """What a call took; 0 where tokens have no price, so look at `rates` first.

        `written` are the new tokens of the prompt that went into the provider's cache; None where
        it did not say, which counts them all. A tier that we do not know is charged as the usual
        one.
        """
        rates = self._rates(usage.prompt)
        if rates is None:
            return 0
        factor = self.tiers.get(tier, _ONCE)
        cached = min(usage.cached, usage.prompt)
        new = usage.prompt - cached
        kept = new if written is None else min(written, new)
        prompt = (new - kept) * rates.input + kept * rates.written + cached * rates.cached
        return _up(prompt * factor) + _up(usage.completion * rates.output * factor)

    def ceiling(self, prompt: int, completion: int, tier: str = "") -> int:
        """The most that a call of so many tokens or fewer can take.

        A cheaper tier promises nothing: the provider may serve the call in the usual one. Raises
        `Unpriceable` where tokens or the tier have no known price.
        """
        if self.rates is None:
            raise Unpriceable("the model has no price for tokens")
        factor = _ONCE if not tier else self.tiers.get(tier)
        if factor is None:
            raise Unpriceable(
                f"the price of the service tier {tier[:40]!r} is not known",
                code="unpriceable_content",
                param="service_tier",
            )
        factor = max(factor, _ONCE)
        if self.long is None or self.long_above is None or prompt <= self.long_above:
            return _most(self.rates, prompt, completion, factor)
        short = _most(self.rates, self.long_above, completion, factor)
        return max(short, _most(self.long, prompt, completion, factor))

    def surcharges(self, tier: str) -> bool:
        """Whether a tier is dearer than the usual one."""
        return self.tiers.get(tier, _ONCE) > _ONCE

    def audio_cost(self, seconds: float) -> int:
        """What a recording takes; raises `Unpriceable` without a price or without an end."""
        if self.per_hour is None:
            raise Unpriceable("the model has no price for audio")
        if not math.isfinite(seconds):
            raise Unpriceable("nobody can say how long the audio is", code="unpriceable_content")
        milliseconds = max(_LEAST_AUDIO_MS, math.ceil(seconds * 1000))
        return -(-milliseconds * self.per_hour // 3_600_000)

    def speech_cost(self, chars: int) -> int:
        """What it takes to speak so many characters; raises `Unpriceable` without a price."""
        if self.per_million_chars is None:
            raise Unpriceable("the model has no price for speech")
        return -(-chars * self.per_million_chars // _MILLION)

    def _rates(self, prompt: int) -> Rates | None:
        long = self.long_above is not None and prompt > self.long_above
        return self.long if long else self.rates


def _up(nano_by_million: int) -> int:
    """Nano-dollars, rounded up; the factor of the tier is still in."""
    return -(-nano_by_million // (_MILLION * _ONCE))


def _most(rates: Rates, prompt: int, completion: int, factor: int) -> int:
    dearest = max(rates.input, rates.written, rates.cached)
    return _up(prompt * dearest * factor) + _up(completion * rates.output * factor)


class Prices:
    """The prices that hold here: those shipped, and over them what the configuration says."""

    def __init__(self, overrides: Mapping[str, PriceSettings]) -> None:
        """`overrides` by `PROVIDER/MODEL`; each holds at all times and only replaces token prices.

        An override's cached tokens cost as much as new ones where it says nothing else.
        """
        shipped = _shipped()
        self._models = {name: dict(models) for name, models in shipped.models.items()}
        for name, written in overrides.items():
            provider, _, model = name.partition("/")
            own = self._models.setdefault(provider, {})
            own[model] = _Dated(
                (0.0,), (_overridden(self._find(Target(provider, model)), written),)
            )
        self.version = shipped.as_of + _mark_of(overrides)
        self._from = _wall(shipped.as_of)

    def of(self, target: Target, wall: float) -> Price | None:
        """The price at the time `wall` (Unix seconds); None where nobody knows it."""
        dated = self._find(target)
        return dated.at(wall) if dated is not None else None

    def knows(self, target: Target) -> bool:
        """Whether the target has a price."""
        return self._find(target) is not None

    def age_days(self, wall: float) -> int:
        """Whole days since the shipped table was made."""
        return max(0, int((wall - self._from) // _DAY_S))

    def _find(self, target: Target) -> "_Dated | None":
        models = self._models.get(target.provider)
        if models is None:
            return None
        return models.get(target.model) or models.get(_base(target)) or models.get(_EVERY)


def _base(target: Target) -> str:
    """The id without what leaves the price as it is: a snapshot's date, Gemini's `models/`."""
    model = target.model
    if target.provider == "gemini":
        return model.removeprefix("models/")
    dated = _SNAPSHOT.fullmatch(model, max(0, len(model) - len("-2024-07-18")))
    return model[: dated.start()] if dated else model


@dataclass(frozen=True, slots=True)
class Listing:
    """One line of the shipped table, as people read it."""

    provider: str
    model: str
    status: str
    since: str  # the day from which the price holds, "" for the first one known
    price: Price
    sources: Sequence[str]  # with their dates


def table() -> Sequence[Listing]:
    """All prices that are shipped, with where they come from."""
    return _shipped().listings


@dataclass(frozen=True, slots=True)
class _Dated:
    """Prices and the Unix seconds from which each holds; the first one holds before, too."""

    begins: tuple[float, ...]
    prices: tuple[Price, ...]

    def at(self, wall: float) -> Price:
        if len(self.prices) == 1:
            return self.prices[0]
        return self.prices[max(0, bisect_right(self.begins, wall) - 1)]


@dataclass(frozen=True, slots=True)
class _Shipped:
    as_of: str
    models: Mapping[str, Mapping[str, _Dated]]
    listings: Sequence[Listing]


@cache
def _shipped() -> _Shipped:
    text = files("proxy.access").joinpath("prices.json").read_text("utf-8")
    told = json.loads(text, parse_float=Decimal)
    sources = {name: f"{each['what']} ({each['date']})" for name, each in told["sources"].items()}
    models: dict[str, dict[str, _Dated]] = {}
    listings: list[Listing] = []
    for provider, about in told["providers"].items():
        tiers = about.get("service_tiers", {})
        for model, facts in about["models"].items():
            since = [entry.get("from", "") for entry in facts["prices"]]
            prices = [_price(facts, entry, tiers) for entry in facts["prices"]]
            begins = tuple(_wall(day) if day else 0.0 for day in since)
            models.setdefault(provider, {})[model] = _Dated(begins, tuple(prices))
            named = [sources[name] for name in facts["sources"]]
            listings += [
                Listing(provider, model, facts["status"], day, price, named)
                for day, price in zip(since, prices, strict=True)
            ]
    return _Shipped(told["as_of"], models, listings)


def _price(facts: Mapping[str, Any], entry: Mapping[str, Any], tiers: Mapping[str, Any]) -> Price:
    long = entry.get("long")
    own = {**tiers, **facts.get("service_tiers", {})}
    return Price(
        rates=_rates(entry) if "input" in entry else None,
        long_above=long["above"] if long else None,
        long=_rates(long) if long else None,
        per_hour=_nano(entry["audio_hour"]) if "audio_hour" in entry else None,
        per_million_chars=(
            _nano(entry["million_characters"]) if "million_characters" in entry else None
        ),
        tiers={name: math.ceil(Fraction(factor) * _ONCE) for name, factor in own.items()},
        max_output=facts.get("max_output"),
        context=facts.get("context"),
    )


def _rates(entry: Mapping[str, Any]) -> Rates:
    new = _nano(entry["input"])
    cached, written = entry.get("cached_input"), entry.get("cache_write")
    return Rates(
        input=new,
        output=_nano(entry["output"]),
        cached=new if cached is None else _nano(cached),
        written=new if written is None else _nano(written),
    )


def _overridden(dated: _Dated | None, written: PriceSettings) -> Price:
    known = dated.prices[-1] if dated is not None else Price()
    told = {"input": written.input, "output": written.output, "cached_input": written.cached_input}
    return replace(known, rates=_rates(told), long_above=None, long=None)


def _nano(dollars: Decimal | float) -> int:
    return math.ceil(Fraction(dollars) * NANO)


def _wall(day: str) -> float:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()


def _mark_of(overrides: Mapping[str, PriceSettings]) -> str:
    """What tells one set of overrides from another; "" for none."""
    if not overrides:
        return ""
    told = sorted((name, repr(_overridden(None, each).rates)) for name, each in overrides.items())
    return f"+{sha256(repr(told).encode()).hexdigest()[:8]}"
