"""How routes with examples are measured and taken."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from proxy.config.settings import Config
from proxy.core.call import Call
from proxy.core.journal import Choice
from proxy.embedding.builtin import Builtin
from proxy.upstream.examples import ALIKE, Examples
from proxy.upstream.targets import Targets
from tests.upstream.calls import chat

BUILTIN = Builtin()
LARGE = "groq/openai/gpt-oss-120b"

PROOFS = {"to": LARGE, "like": ["prove that …", "show by induction that …"]}
CODE = {"to": "groq/coder", "like": ["debug this code", "fix the bug in my program"]}
MODELS = {
    "auto": {"routes": [PROOFS, CODE], "else": "fast"},
    "fast": {"targets": ["groq/small"]},
}


class Counting:
    """The built-in embedder, which counts the texts it is given."""

    def __init__(self, fingerprint: str = "a") -> None:
        self.fingerprint = fingerprint
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts.extend(texts)
        return BUILTIN.vectors(texts)


def config(models: Any = MODELS) -> Config:
    groq = {"keys": [{"name": "a", "value": "gsk_test"}]}
    return Config.model_validate({"providers": {"groq": groq}, "models": models})


async def chosen(call: Call, models: Any = MODELS) -> Choice | None:
    made = config(models)
    likeness = await Examples(made.models, lambda: BUILTIN).measure(call)
    return Targets(made, lambda _: ()).route(call, likeness).choice


def led(text: str, models: Any = MODELS, **fields: Any) -> str:
    found = asyncio.run(chosen(chat(text, model="auto", **fields), models))
    assert found is not None
    return found.to


@pytest.mark.parametrize(
    "text",
    [
        "Prove that the square root of 2 is irrational.",
        "please prove that every bounded sequence has a convergent subsequence",
        "Show by induction that the sum of the first n odd numbers is n squared",
        "I have a homework about graphs.\nProve that a tree with n nodes has n - 1 edges.",
    ],
)
def test_a_question_goes_where_the_nearest_example_leads(text: str) -> None:
    assert led(text) == LARGE


@pytest.mark.parametrize(
    "text",
    [
        "Debug this code:\n\ndef add(a, b):\n    return a - b\n\nprint(add(1, 2))",
        "Can you fix the bug in my JavaScript program?",
        "The script below stops at the third file and I do not know why. Please debug this code.",
    ],
)
def test_what_follows_an_example_in_a_question_does_not_hide_it(text: str) -> None:
    assert led(text) == "groq/coder"


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of Peru?",
        "Write a poem about autumn",
        "Hello",
        "",
        " \n ",
        "???",
        "How do I grow tomatoes on a balcony?",
    ],
)
def test_a_question_about_something_else_goes_on(text: str) -> None:
    assert led(text) == "fast"


async def test_the_choice_tells_its_measure() -> None:
    near = await chosen(chat("Prove that there are infinitely many primes", model="auto"))
    far = await chosen(chat("What is the capital of Peru?", model="auto"))

    assert near is not None
    assert near.score is not None
    assert (near.name, near.to, near.score >= ALIKE) == ("auto", LARGE, True)
    assert far is not None
    assert far.score is not None
    assert (far.to, far.score < ALIKE) == ("fast", True)


async def test_a_name_without_routes_has_no_choice() -> None:
    assert await chosen(chat("Prove that it is so", model="fast")) is None
    assert await chosen(chat("Prove that it is so", model="groq/other")) is None


def test_all_of_a_route_must_hold_and_the_order_stays() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    with_tools = {"auto": {"routes": [{**PROOFS, "tools": True}, CODE], "else": "groq/x"}}
    by_length = {"auto": {"routes": [{"to": "groq/long", "min_chars": 50}, CODE], "else": "groq/x"}}

    assert led("Prove that it is so", with_tools) == "groq/x"
    assert led("Prove that it is so", with_tools, tools=tools) == LARGE
    assert led("debug this code", by_length) == "groq/coder"
    assert led("debug this code" + " and explain" * 9, by_length) == "groq/long"


def test_of_two_routes_with_examples_the_nearer_one_is_taken_not_the_first() -> None:
    models = {
        "auto": {
            "routes": [
                {"to": "groq/first", "like": ["write a poem about a city"]},
                {"to": "groq/second", "like": ["write a poem about a season"]},
            ],
            "else": "groq/x",
        }
    }

    assert led("Write a poem about a city", models) == "groq/first"
    assert led("Write a poem about a season", models) == "groq/second"


async def test_routes_of_a_name_that_another_name_leads_to_are_measured_too() -> None:
    models = {
        **MODELS,
        "outer": {"routes": [{"to": "groq/long", "min_chars": 9_000}], "else": "auto"},
        "ring": {"routes": [{"to": "ring", "like": ["round and round"]}], "else": "outer"},
    }

    found = await chosen(chat("Prove that it is so", model="outer"), models)
    through = await chosen(chat("Prove that it is so", model="ring"), models)

    assert found is not None
    assert through is not None
    assert (found.name, found.to) == (through.name, through.to) == ("auto", LARGE)


async def test_while_the_embedder_is_loading_nothing_is_alike() -> None:
    made = config()
    call = chat("Prove that it is so", model="auto")

    likeness = await Examples(made.models, lambda: None).measure(call)
    route = Targets(made, lambda _: ()).route(call, likeness)

    assert likeness == {}
    assert route.choice == Choice("auto", "fast", None)


async def test_examples_are_embedded_once_for_an_embedder() -> None:
    first, second = Counting("a"), Counting("b")
    now = [first]
    examples = Examples(config().models, lambda: now[0])
    call = chat("Prove that it is so", model="auto")

    await examples.measure(call)
    await examples.measure(call)
    now[0] = second
    await examples.measure(call)

    assert first.texts.count("debug this code") == second.texts.count("debug this code") == 1


async def test_a_call_of_another_name_is_not_embedded() -> None:
    counting = Counting()
    examples = Examples(config().models, lambda: counting)

    assert await examples.measure(chat("Prove that it is so", model="fast")) == {}
    assert counting.texts == []
    assert bool(examples)
    assert not Examples(config({"fast": MODELS["fast"]}).models, lambda: counting)


async def test_what_the_user_said_last_counts() -> None:
    messages = [
        {"role": "system", "content": "You prove that things are so."},
        {"role": "user", "content": "Prove that it is so"},
        {"role": "assistant", "content": "It is so."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And now:"},
                {"type": "image_url", "image_url": {"url": "data:,"}},
                {"type": "text", "text": "debug this code"},
            ],
        },
        {"role": "assistant", "content": "I shall prove that it works."},
    ]

    found = await chosen(chat(model="auto", messages=messages))

    assert found is not None
    assert found.to == "groq/coder"


@given(st.text(max_size=300), st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=4))
def test_any_text_can_be_measured_against_any_examples(text: str, like: list[str]) -> None:
    written = [each for each in like if each.strip()] or ["x"]
    models = {"auto": {"routes": [{"to": "groq/a", "like": written}], "else": "groq/b"}}
    examples = Examples(config(models).models, lambda: BUILTIN)

    measured = asyncio.run(examples.measure(chat(text, model="auto")))

    assert measured.keys() <= {("auto", 0)}
    assert all(-1.001 <= cosine <= 1.001 for cosine in measured.values())


@given(st.sampled_from(["prove that …", "debug this code", "how long do I bake a cake?"]))
def test_an_example_itself_is_as_near_as_can_be(example: str) -> None:
    models = {"auto": {"routes": [{"to": "groq/a", "like": [example]}], "else": "groq/b"}}
    question = example.replace("…", "").strip()
    examples = Examples(config(models).models, lambda: BUILTIN)

    measured = asyncio.run(examples.measure(chat(question, model="auto")))

    assert measured["auto", 0] == pytest.approx(1.0, abs=1e-4)
