"""Which targets a call may be answered by, in which order."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from proxy.config.settings import Config
from proxy.core.call import Endpoint, Target
from proxy.upstream.retired import SUCCESSORS
from proxy.upstream.targets import Targets
from tests.upstream.calls import chat

KEYS = [{"name": "a", "value": "gsk_test"}]
SMALL, LARGE = "openai/gpt-oss-20b", "openai/gpt-oss-120b"


def targets(listed: tuple[str, ...] = (), gone: tuple[Target, ...] = (), **knobs: Any) -> Targets:
    providers = {name: {"keys": KEYS} for name in ("groq", "gemini", "openai")}
    config = Config.model_validate({"providers": {**providers, "ollama": {}}, **knobs})
    return Targets(
        config, lambda name: listed if name == "groq" else (), lambda target: target in gone
    )


def names(known: Targets, model: str = SMALL, **fields: Any) -> list[str]:
    return [str(target) for target in known.route(chat(model=model, **fields)).targets]


def test_without_fallbacks_there_is_one_target() -> None:
    assert names(targets()) == [f"groq/{SMALL}"]


def test_a_name_without_targets_of_its_own_has_those_of_all() -> None:
    known = targets(fallbacks=["gemini/g", "ollama/o"], models={"one": {"targets": ["groq/m"]}})

    assert names(known) == [f"groq/{SMALL}", "gemini/g", "ollama/o"]
    assert names(known, "one") == ["groq/m", "gemini/g", "ollama/o"]


def test_an_alias_with_several_targets_has_only_those() -> None:
    known = targets(fallbacks=["ollama/o"], models={"fast": {"targets": ["groq/m", "gemini/g"]}})

    assert names(known, "fast") == ["groq/m", "gemini/g"]


def test_no_target_stands_twice_and_there_are_at_most_three_steps() -> None:
    many = [f"gemini/g{number}" for number in range(6)]
    known = targets(fallbacks=[f"groq/{SMALL}", *many])

    assert names(known) == [f"groq/{SMALL}", "gemini/g0", "gemini/g1", "gemini/g2"]


def test_who_wants_no_fallback_gets_none() -> None:
    known = targets(fallbacks=["ollama/o"])

    route = known.route(replace(chat(model="m"), fallback=False))

    assert route.targets == (Target("groq", "m"),)


@pytest.mark.parametrize("endpoint", [each for each in Endpoint if each is not Endpoint.CHAT])
def test_only_chats_are_answered_by_other_models(endpoint: Endpoint) -> None:
    known = targets(fallbacks=["ollama/o"])

    assert len(known.route(replace(chat(), endpoint=endpoint)).targets) == 1


# Shares


def test_a_user_stays_with_one_arm_and_the_arms_get_their_shares() -> None:
    known = targets(
        models={"split": {"targets": [f"groq/{SMALL}", f"groq/{LARGE}"], "weights": [90, 10]}}
    )

    seen = Counter()
    for number in range(2000):
        first, *others = names(known, "split", user=f"u{number}")
        assert [first, *others] == names(known, "split", user=f"u{number}", temperature=1)
        assert {first, *others} == {f"groq/{SMALL}", f"groq/{LARGE}"}
        seen[first] += 1
    assert 130 < seen[f"groq/{LARGE}"] < 270


# Rules


def ruled(*routes: dict[str, Any]) -> Targets:
    return targets(models={"auto": {"routes": list(routes), "else": "groq/small"}})


def test_the_first_rule_that_fits_decides() -> None:
    known = ruled({"to": "groq/long", "min_chars": 100}, {"to": "groq/tools", "tools": True})
    tools = [{"type": "function", "function": {"name": "f"}}]
    long = [{"role": "user", "content": "x" * 100}]

    assert names(known, "auto") == ["groq/small"]
    assert names(known, "auto", messages=long) == ["groq/long"]
    assert names(known, "auto", tools=tools) == ["groq/tools"]
    assert names(known, "auto", tools=tools, messages=long) == ["groq/long"]


def test_all_that_a_rule_asks_for_must_hold() -> None:
    known = ruled({"to": "groq/large", "min_chars": 3, "tools": False})
    tools = [{"type": "function", "function": {"name": "f"}}]

    assert names(known, "auto") == ["groq/large"]
    assert names(known, "auto", tools=tools) == ["groq/small"]


def test_a_rule_may_lead_to_another_alias_and_a_circle_ends() -> None:
    known = targets(
        models={
            "auto": {"routes": [{"to": "pair", "tools": False}], "else": "auto"},
            "pair": {"targets": ["groq/a", "gemini/b"]},
        }
    )

    assert names(known, "auto") == ["groq/a", "gemini/b"]
    assert names(known, "auto", tools=[{}]) == ["groq/auto"]


# Models that are retired

OLD = "llama-3.1-8b-instant"


def test_a_retired_id_is_itself_as_long_as_it_is_listed_or_no_list_is_known() -> None:
    assert names(targets(), OLD) == [f"groq/{OLD}"]
    assert names(targets(listed=(OLD, SMALL)), OLD) == [f"groq/{OLD}"]


def test_a_retired_id_that_is_no_longer_listed_is_its_successor() -> None:
    route = targets(listed=(SMALL,)).route(chat(model=OLD))

    assert route.targets == (Target("groq", SMALL),)
    assert route.replaced == OLD


def test_a_retired_id_that_was_answered_to_be_gone_is_its_successor() -> None:
    assert names(targets(gone=(Target("groq", OLD),)), OLD) == [f"groq/{SMALL}"]


def test_it_is_left_alone_where_that_is_wished_and_at_other_providers() -> None:
    assert names(targets(listed=(SMALL,), retired_models="refuse"), OLD) == [f"groq/{OLD}"]
    assert names(targets(), f"ollama/{OLD}") == [f"ollama/{OLD}"]
    assert targets().successor(Target("groq", "unheard-of")) is None


def test_also_the_targets_of_an_alias_move_on() -> None:
    known = targets(
        listed=(SMALL, LARGE),
        models={"fast": {"targets": [f"groq/{OLD}", f"groq/{SMALL}", f"groq/{LARGE}"]}},
    )

    assert names(known, "fast") == [f"groq/{SMALL}", f"groq/{LARGE}"]


def test_no_successor_is_retired_itself() -> None:
    assert not set(SUCCESSORS.values()) & set(SUCCESSORS)
