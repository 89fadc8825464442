import json
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.access.prices import Price, Prices, Rates, table
from proxy.config.settings import PriceSettings
from proxy.core.call import Target, Usage
from proxy.core.errors import Unpriceable
from proxy.simulator.catalogue import SERVED

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
SMALL = Target("groq", "openai/gpt-oss-20b")
LUNA = Target("openai", "gpt-6-luna")

TOKENS = st.integers(0, 2_000_000)
RATE = st.integers(0, 10**13)
RATES = st.builds(Rates, RATE, RATE, RATE, RATE)
PRICES = st.one_of(
    st.sampled_from([line.price for line in table() if line.price.rates]),
    st.builds(
        Price,
        rates=RATES,
        long_above=st.integers(0, 10**6),
        long=RATES,
        tiers=st.just({"flex": 5_000, "priority": 16_667}),
    ),
)
TIERS = st.sampled_from(["", "flex", "priority"])


def price_of(target: Target, wall: float = NOW) -> Price:
    price = Prices({}).of(target, wall)
    assert price is not None
    return price


def at(day: str) -> float:
    return datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()


def written(input: str, output: str, cached_input: str | None = None) -> PriceSettings:
    told = {"input": Decimal(input), "output": Decimal(output)}
    if cached_input is not None:
        told["cached_input"] = Decimal(cached_input)
    return PriceSettings.model_validate(told)


def test_a_call_costs_what_the_published_prices_say() -> None:
    usage = Usage(prompt=1_272, completion=88, cached=1_152, reasoning=71)

    # 120 new at 0.075, 1152 cached at 0.0375, 88 written at 0.30 USD per 1M
    assert price_of(SMALL).cost(usage) == 9_000 + 43_200 + 26_400


def test_each_term_is_rounded_up() -> None:
    price = price_of(Target("groq", "llama-3.1-8b-instant"))

    assert price.cost(Usage(prompt=1, completion=1)) == 50 + 80
    assert (
        price_of(Target("openai", "gpt-5-nano")).cost(Usage(prompt=3, completion=0, cached=1))
        == 105
    )
    assert Price(Rates(1, 1, 1, 1)).cost(Usage(prompt=1, completion=1)) == 2


def test_cached_tokens_without_a_price_of_their_own_cost_as_much_as_new_ones() -> None:
    price = price_of(Target("groq", "qwen/qwen3.8-27b"))

    assert price.cost(Usage(prompt=10, completion=0, cached=10)) == price.cost(Usage(10, 0))


def test_new_tokens_count_as_written_to_the_cache_unless_the_provider_says_how_many_were() -> None:
    price, usage = price_of(LUNA), Usage(prompt=1_000, completion=0, cached=200)

    assert price.cost(usage) == 800 * 125 + 200 * 10
    assert price.cost(usage, written=300) == 500 * 100 + 300 * 125 + 200 * 10
    assert price.cost(usage, written=10**9) == price.cost(usage)


def test_a_long_prompt_makes_all_of_the_call_dearer() -> None:
    price = price_of(LUNA)

    assert price.cost(Usage(272_000, 10)) == 272_000 * 125 + 10 * 500
    assert price.cost(Usage(272_001, 10)) == 272_001 * 250 + 10 * 750


def test_gemini_doubles_with_the_new_year() -> None:
    target, usage = Target("gemini", "gemini-3.8-flash"), Usage(1_000_000, 0)
    new_year = at("2027-01-01")

    assert price_of(target, new_year - 1).cost(usage) == 750_000_000
    assert price_of(target, new_year).cost(usage) == 1_500_000_000


def test_before_the_first_dated_price_the_oldest_one_holds() -> None:
    assert price_of(SMALL, 0.0) == price_of(SMALL, at("2025-10-01"))
    assert price_of(SMALL, 0.0).cost(Usage(0, 1_000_000)) == 500_000_000


@pytest.mark.parametrize("model", SERVED)
def test_whatever_groq_serves_has_a_price(model: str) -> None:
    price = price_of(Target("groq", model))

    assert price.rates or price.per_hour or price.per_million_chars


def test_models_that_are_not_sold_by_the_token_have_no_price() -> None:
    prices = Prices({})

    for model in ("groq/compound", "minimaxai/minimax-m2.7", "no-such-model", ""):
        assert prices.of(Target("groq", model), NOW) is None
        assert not prices.knows(Target("groq", model))
    assert prices.of(Target("elsewhere", "openai/gpt-oss-20b"), NOW) is None


def test_every_model_of_ollama_is_free_and_known_to_be() -> None:
    price = price_of(Target("ollama", "whatever:7b"))

    assert price.free
    assert price.cost(Usage(10**6, 10**6)) == price.ceiling(10**9, 10**9) == 0
    assert not price_of(SMALL).free


@pytest.mark.parametrize(
    ("snapshot", "base"),
    [
        (Target("openai", "gpt-4o-mini-2024-07-18"), Target("openai", "gpt-4o-mini")),
        (Target("gemini", "models/gemini-3.8-flash"), Target("gemini", "gemini-3.8-flash")),
    ],
)
def test_a_snapshot_costs_what_its_model_costs(snapshot: Target, base: Target) -> None:
    assert price_of(snapshot) == price_of(base)


def test_a_snapshot_with_a_price_of_its_own_keeps_it() -> None:
    old, base = Target("openai", "gpt-4o-2024-05-13"), Target("openai", "gpt-4o")

    assert price_of(old).ceiling(1_000, 0) == 2 * price_of(base).ceiling(1_000, 0)


@pytest.mark.parametrize("model", ["-2024-07-18", "ft:gpt-4o-mini-2024-07-18:us::x", "gpt-4o-x"])
def test_an_id_that_only_looks_like_a_known_one_has_no_price(model: str) -> None:
    assert Prices({}).of(Target("openai", model), NOW) is None


def test_an_override_replaces_token_prices_at_all_times_and_keeps_the_rest() -> None:
    prices = Prices({"openai/gpt-6-luna": written("1.5", "2", "0.3")})

    for wall in (0.0, NOW, at("2030-01-01")):
        price = prices.of(LUNA, wall)
        assert price is not None
        assert price.rates == Rates(1_500_000_000, 2_000_000_000, 300_000_000, 1_500_000_000)
        assert price.long is None
        assert price.max_output == 128_000


def test_an_override_prices_what_the_table_does_not_know() -> None:
    mine = Target("mine", "some/model")
    prices = Prices({"mine/some/model": written("0.0000000001", "0")})

    price = prices.of(mine, NOW)

    assert prices.knows(mine)
    assert price is not None
    assert price.rates == Rates(1, 0, 1, 1)  # less than a nano-dollar is not nothing
    assert price.max_output is None


def test_an_override_of_a_model_holds_for_its_snapshots_too() -> None:
    prices = Prices({"openai/gpt-4o-mini": written("9", "9")})

    assert prices.of(Target("openai", "gpt-4o-mini-2024-07-18"), NOW) == prices.of(
        Target("openai", "gpt-4o-mini"), NOW
    )


def test_the_version_tells_the_date_of_the_table_and_one_set_of_overrides_from_another() -> None:
    one, other = {"a/b": written("1", "2")}, {"a/b": written("1", "3")}

    assert Prices({}).version == "2026-11-21"
    assert Prices(one).version == Prices({"a/b": written("1.00", "2.0")}).version
    assert Prices(one).version != Prices(other).version
    assert Prices(one).version.startswith("2026-11-21+")


def test_the_age_of_the_table_is_told_in_days() -> None:
    prices = Prices({})

    assert prices.age_days(at("2026-12-21")) == 30
    assert prices.age_days(0.0) == 0


@given(PRICES, TOKENS, TOKENS, TIERS, st.data())
def test_no_call_within_the_bounds_costs_more_than_the_ceiling(
    price: Price, prompt: int, completion: int, tier: str, data: st.DataObject
) -> None:
    used = data.draw(st.integers(0, prompt))
    cached = data.draw(st.integers(0, used))
    wrote = data.draw(st.none() | st.integers(0, used))
    usage = Usage(used, data.draw(st.integers(0, completion)), cached)
    tier = tier if tier in price.tiers else ""

    assert price.cost(usage, tier, wrote) <= price.ceiling(prompt, completion, tier)


@given(RATES, TOKENS, TOKENS, st.data())
def test_the_cost_is_exact_but_for_rounding_up_twice(
    rates: Rates, prompt: int, completion: int, data: st.DataObject
) -> None:
    cached = data.draw(st.integers(0, prompt))

    cost = Price(rates).cost(Usage(prompt, completion, cached), written=0)

    exact = Fraction(
        (prompt - cached) * rates.input + cached * rates.cached + completion * rates.output, 10**6
    )
    assert exact <= cost < exact + 2


def test_a_cheap_tier_is_charged_less_but_promised_as_much() -> None:
    price = price_of(LUNA)

    assert price.cost(Usage(1_000, 0), "flex") == price.cost(Usage(1_000, 0)) / 2
    assert price.ceiling(1_000, 0, "flex") == price.ceiling(1_000, 0)
    assert price.ceiling(1_000, 0, "priority") == 2 * price.ceiling(1_000, 0)


def test_groq_takes_the_same_for_flex() -> None:
    usage = Usage(1_000, 1_000)

    assert price_of(SMALL).cost(usage, "flex") == price_of(SMALL).cost(usage, "on_demand")


def test_a_tier_whose_price_nobody_knows_cannot_be_promised() -> None:
    with pytest.raises(Unpriceable, match="performance") as raised:
        price_of(SMALL).ceiling(1, 1, "performance")

    assert raised.value.code == "unpriceable_content"


@pytest.mark.parametrize(
    ("seconds", "nano"), [(0.0, 308_334), (9.9, 308_334), (10.0, 308_334), (3_600.0, 111_000_000)]
)
def test_audio_is_billed_by_the_second_and_at_least_ten(seconds: float, nano: int) -> None:
    assert price_of(Target("groq", "whisper-large-v3")).audio_cost(seconds) == nano


@pytest.mark.parametrize("seconds", [float("inf"), float("nan")])
def test_audio_without_an_end_has_no_price(seconds: float) -> None:
    with pytest.raises(Unpriceable):
        price_of(Target("groq", "whisper-large-v3")).audio_cost(seconds)


def test_speech_is_billed_by_the_character() -> None:
    price = price_of(Target("groq", "canopylabs/orpheus-v1-english"))

    assert price.speech_cost(0) == 0
    assert price.speech_cost(1_000) == 22_000_000


def test_what_a_model_is_not_sold_by_cannot_be_promised() -> None:
    with pytest.raises(Unpriceable):
        price_of(Target("groq", "whisper-large-v3")).ceiling(1, 1)
    with pytest.raises(Unpriceable):
        price_of(SMALL).audio_cost(1.0)
    with pytest.raises(Unpriceable):
        price_of(SMALL).speech_cost(1)


def test_every_shipped_price_has_its_source_and_date() -> None:
    lines = table()

    assert {line.provider for line in lines} == {"groq", "gemini", "openai", "ollama"}
    assert all(line.sources and line.status for line in lines)
    assert all("(20" in source for line in lines for source in line.sources)
    assert len({(line.provider, line.model, line.since) for line in lines}) == len(lines)


def test_nothing_but_what_runs_at_home_is_free() -> None:
    prices = [(line.provider, line.price) for line in table()]

    assert {provider for provider, price in prices if price.free} == {"ollama"}
    assert {provider for provider, price in prices if price.rates and not price.rates.input} == {
        "ollama"
    }


def test_the_shipped_figures_are_read_exactly() -> None:
    told = json.loads(
        files("proxy.access").joinpath("prices.json").read_text(), parse_float=Decimal
    )

    for provider, about in told["providers"].items():
        for model, facts in about["models"].items():
            begins = [entry.get("from", "0000") for entry in facts["prices"]]
            assert begins == sorted(begins), model
            for entry in facts["prices"]:
                if "input" not in entry:
                    continue
                wall = at(entry["from"]) if "from" in entry else 0.0
                rates = price_of(Target(provider, model), wall).rates
                assert rates is not None
                assert rates.input == entry["input"] * 10**9, model
                assert rates.output == entry["output"] * 10**9, model
                assert rates.cached <= rates.input <= rates.written, model
