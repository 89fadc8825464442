"""What makes two calls the same."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, get_args

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from proxy.cache.fingerprint import Fingerprint, Uncacheable, cacheable, fingerprint, scope_of
from proxy.core.call import ANYONE, Call, Caller, Endpoint, JsonObject, Target
from proxy.wire.requests import Bodies, Envelope, parse_call

TARGET = Target("groq", "openai/gpt-oss-20b")
URL = "https://api.groq.com/openai/v1"
SYSTEM = {"role": "system", "content": "Be brief."}
HELLO = {"role": "user", "content": "Hello"}
CAT = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
DOG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}

NOT_ABOUT_THE_WORDS = (
    *("model", "stream", "stream_options"),
    *("user", "metadata", "safety_identifier", "prompt_cache_key"),
)
ABOUT_THE_WORDS: Mapping[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 7,
    "n": 2,
    "stop": ["\n"],
    "max_tokens": 10,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "top_logprobs": 3,
    "response_format": {"type": "json_object"},
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "functions": [{"name": "f"}],
    "reasoning_effort": "low",
    "reasoning_format": "hidden",
    "include_reasoning": False,
    "service_tier": "flex",
    "documents": [{"source": {"type": "text", "text": "x"}}],
    "a_field_of_tomorrow": {"deep": [0]},
}

numbers = (
    st.integers(-(10**19), 10**19)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-3, 3).map(float)
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
        "content": texts | st.lists(st.sampled_from([CAT, DOG]) | values, max_size=2) | st.none(),
    },
    optional={"name": texts, "tool_calls": values},
)
names = st.sampled_from([*ABOUT_THE_WORDS, *NOT_ABOUT_THE_WORDS]) | texts
bodies = st.builds(
    lambda fields, said: {**fields, "messages": said},
    st.dictionaries(names, values, max_size=4),
    st.lists(messages, min_size=1, max_size=4),
)


def chat(body: JsonObject, *, endpoint: Endpoint = Endpoint.CHAT) -> Call:
    return Call(
        id="prx_1",
        caller=ANYONE,
        endpoint=endpoint,
        method="POST",
        path="chat/completions",
        query="",
        model="fast",
        body=body,
        stream=False,
    )


def of(body: JsonObject) -> Fingerprint:
    return fingerprint(chat(body), TARGET, URL, "key:1")


def asking(*said: Any, **fields: Any) -> Fingerprint:
    return of({"messages": list(said or [HELLO]), **fields})


def shuffled(value: Any) -> Any:
    """The same value, the keys of its objects the other way round."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(each) for each in value] if isinstance(value, list) else value


@given(bodies)
def test_neither_the_order_of_keys_nor_white_space_matters(body: JsonObject) -> None:
    assume(not _holds_long_integer(body))
    spaced = orjson.dumps(shuffled(body), option=orjson.OPT_INDENT_2)

    assert of(shuffled(body)) == of(body) == of(orjson.loads(spaced))


@given(bodies)
def test_a_call_parsed_again_has_the_same_fingerprint(body: JsonObject) -> None:
    assume(not _holds_long_integer(body))

    def parsed(data: bytes) -> Call:
        headers = CIMultiDict({"Content-Type": "application/json"})
        envelope = Envelope("prx_2", "POST", "chat/completions", {}, headers)
        return parse_call(envelope, data, ANYONE, Bodies(Endpoint.CHAT))

    data = orjson.dumps({**body, "model": "m", "stream": True})
    call = parsed(data)
    again = parsed(orjson.dumps(call.body))

    prints = [fingerprint(each, TARGET, URL, "key:1") for each in (call, again)]
    assert prints == [of(body), of(body)]


def _holds_long_integer(value: Any) -> bool:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return any(map(_holds_long_integer, inner))
    return type(value) is int and not -(2**63) <= value < 2**64


@given(bodies, names, values)
def test_any_parameter_that_changes_gives_another_partition(
    body: JsonObject, name: str, value: Any
) -> None:
    assume(name not in {*NOT_ABOUT_THE_WORDS, "messages", "max_tokens", "max_completion_tokens"})
    assume(not _alike(body.get(name), value))

    was, now = of(body), of({**body, name: value})

    assert was.partition != now.partition
    assert was.exact != now.exact


def _alike(one: Any, other: Any) -> bool:
    numbers = type(one) in {int, float} and type(other) in {int, float}
    return one == other if numbers else _spelt(one) == _spelt(other)


def _spelt(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return repr(value).encode()


@pytest.mark.parametrize(("name", "value"), ABOUT_THE_WORDS.items())
def test_each_parameter_that_may_change_the_words_matters(name: str, value: Any) -> None:
    assert asking(**{name: value}).partition != asking().partition


@pytest.mark.parametrize("name", NOT_ABOUT_THE_WORDS)
def test_what_does_not_change_the_words_does_not_matter(name: str) -> None:
    assert asking(**{name: "x"}) == asking()


@given(st.lists(messages, min_size=1, max_size=4), st.data())
def test_any_message_that_changes_gives_another_exact_print(said: list[Any], data: Any) -> None:
    place = data.draw(st.integers(0, len(said) - 1))
    other = data.draw(messages)
    assume(_spelt(other) != _spelt(said[place]))

    was, now = asking(*said), asking(*said[:place], other, *said[place + 1 :])

    assert was.exact != now.exact


@given(st.lists(messages, max_size=3), texts, texts)
def test_only_the_words_of_the_last_user_turn_are_outside_the_partition(
    before: list[Any], one: str, other: str
) -> None:
    was = asking(*before, {"role": "user", "content": one})
    now = asking(*before, {"role": "user", "content": other})

    assert was.partition == now.partition
    assert (was.exact == now.exact) is (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([HELLO], [SYSTEM, HELLO]),
        ([SYSTEM, HELLO], [{**SYSTEM, "role": "developer"}, HELLO]),
        ([SYSTEM, HELLO], [{**SYSTEM, "content": "Be brief. "}, HELLO]),
        ([SYSTEM, HELLO], [HELLO, SYSTEM]),
        ([HELLO, HELLO], [HELLO]),
        ([HELLO], [{**HELLO, "name": "Ann"}]),
        ([HELLO], [{**HELLO, "role": "assistant"}]),
        ([{**HELLO, "content": [CAT]}], [{**HELLO, "content": [DOG]}]),
        ([{**HELLO, "content": [CAT, DOG]}], [{**HELLO, "content": [DOG, CAT]}]),
        ([{**HELLO, "content": ["a"]}], [{**HELLO, "content": ["b"]}]),
        ([{**HELLO, "content": {"a": 1}}], [{**HELLO, "content": {"a": 2}}]),
        (
            [{**HELLO, "content": [{"type": "text", "text": 1}]}],
            [{**HELLO, "content": [{"type": "text", "text": 2}]}],
        ),
    ],
)
def test_all_else_of_a_conversation_is_inside_the_partition(one: Any, other: Any) -> None:
    assert asking(*one).partition != asking(*other).partition


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
def test_where_the_user_does_not_speak_last_all_is_context(role: str) -> None:
    last = {"role": role, "content": "a"}

    was, now = asking(HELLO, last), asking(HELLO, {**last, "content": "b"})

    assert was.partition != now.partition
    assert was.exact != now.exact


def test_the_words_beside_an_image_are_outside_the_partition_wherever_they_stand() -> None:
    def content(*parts: Any) -> Fingerprint:
        return asking({"role": "user", "content": list(parts)})

    text, other = {"type": "text", "text": "What?"}, {"type": "text", "text": "Who?"}

    assert content(text, CAT).partition == content(other, CAT).partition
    assert content(text, CAT).partition == content(CAT, text).partition
    assert len({content(text, CAT).exact, content(other, CAT).exact, content(CAT, text).exact}) == 3


def test_text_as_a_part_is_in_the_same_partition_as_text_alone() -> None:
    alone, part = HELLO, {"role": "user", "content": [{"type": "text", "text": "Hello"}]}

    assert asking(alone).partition == asking(part).partition
    assert asking(alone).exact != asking(part).exact


def test_a_mark_on_a_text_part_is_inside_the_partition() -> None:
    part = {"type": "text", "text": "Hello"}
    marked = {**part, "cache_control": {"type": "ephemeral"}}

    plain = asking({"role": "user", "content": [part]})
    assert plain.partition != asking({"role": "user", "content": [marked]}).partition


@pytest.mark.parametrize("name", ["temperature", "seed", "a_field_of_tomorrow"])
def test_null_counts_as_absent(name: str) -> None:
    assert asking(**{name: None}) == asking()


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (0, 0.0), (0, -0.0), (-2, -2.0), (10**22, 1e22)]
)
def test_a_number_is_the_same_with_or_without_a_point(one: int, other: float) -> None:
    assert asking(temperature=one) == asking(temperature=other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, False), (1, "1"), (2.0**53, 2**53 + 1), (10**19, 10**19 + 1), (1, 1.5)],
)
def test_what_only_looks_like_the_same_number_is_another(one: Any, other: Any) -> None:
    assert asking(seed=one) != asking(seed=other)


def test_both_names_of_the_cap_mean_the_same() -> None:
    same = {
        asking(max_tokens=10),
        asking(max_tokens=10.0),
        asking(max_completion_tokens=10),
        asking(max_tokens=10, max_completion_tokens=10),
        asking(max_tokens=None, max_completion_tokens=10),
    }

    assert len(same) == 1


def test_two_caps_that_differ_are_not_mistaken_for_one() -> None:
    prints = [
        asking(max_tokens=5, max_completion_tokens=10),
        asking(max_tokens=10, max_completion_tokens=5),
        asking(max_tokens=5),
        asking(max_tokens=10),
        asking(max_completion_tokens=[5, 10]),
    ]

    assert len(set(prints)) == len(prints)


def test_an_integer_beyond_64_bits_is_counted_to_its_last_digit() -> None:
    body = {"messages": [HELLO], "seed": 10**20 - 2, "b": {"z": 1, "a": "ä"}}

    assert of(body) == of(shuffled(body)) != of({**body, "seed": 10**20 - 1})


@pytest.mark.parametrize(
    "other",
    [
        fingerprint(chat({"messages": [HELLO]}), TARGET, URL, "key:2"),
        fingerprint(chat({"messages": [HELLO]}), TARGET, "http://localhost/v1", "key:1"),
        fingerprint(chat({"messages": [HELLO]}), replace(TARGET, model="m"), URL, "key:1"),
        fingerprint(chat({"messages": [HELLO]}), replace(TARGET, provider="p"), URL, "key:1"),
        fingerprint(chat({"messages": [HELLO]}), TARGET, URL, "key:1", rag="handbook:7"),
    ],
    ids=["scope", "address", "model", "provider", "documents"],
)
def test_who_asks_whom_with_which_documents_is_part_of_the_print(other: Fingerprint) -> None:
    assert other.partition != asking().partition
    assert other.exact != asking().exact


def test_another_name_for_the_same_model_gives_the_same_print() -> None:
    alias, own = (replace(chat({"messages": [HELLO], "model": m}), model=m) for m in "ab")

    assert fingerprint(alias, TARGET, URL, "s") == fingerprint(own, TARGET, URL, "s")


def test_neither_the_id_of_a_call_nor_its_manners_matter() -> None:
    call = chat({"messages": [HELLO]})
    other = replace(call, id="prx_9", stream=True, timeout_s=1.0, fallback=False, repeats=2, size=9)

    assert fingerprint(call, TARGET, URL, "s") == fingerprint(other, TARGET, URL, "s")


def test_both_prints_are_hashes_and_differ() -> None:
    found = asking()

    assert found.partition != found.exact
    assert {len(found.partition), len(found.exact)} == {64}
    int(found.partition + found.exact, 16)


# If this fails, kept answers would be found by rules that they were not kept by: raise `_RULES`.
def test_the_rules_are_those_of_their_version() -> None:
    said = [SYSTEM, {"role": "user", "content": [{"type": "text", "text": "Grüße 🌍"}, CAT]}]

    found = asking(*said, temperature=0.7, max_tokens=256, tools=[], user="u")

    assert found == Fingerprint(
        partition="bd51feb305f344456e1ec40b87cc2513d21704055bd61d7b8be2823e7c2efc43",
        exact="df48218a90ae92be79423d42f5048ea22218e8993d4da456b2d084ed6366c5e0",
    )


def test_the_print_is_the_same_in_another_process() -> None:
    program = (
        "from tests.cache.test_fingerprint import ABOUT_THE_WORDS, asking\n"
        "print(asking(**ABOUT_THE_WORDS).exact)"
    )

    def told(seed: str) -> str:
        env = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
        )
        return run.stdout.strip()

    assert {told("1"), told("2")} == {asking(**ABOUT_THE_WORDS).exact}


ANN = Caller(key_id="k1", name="ann", team="search")
LONER = Caller(key_id="k2", name="bob")


@pytest.mark.parametrize(
    ("caller", "share", "scope"),
    [
        (ANN, "key", "key:k1"),
        (ANN, "team", "team:search"),
        (ANN, "everyone", "everyone"),
        (LONER, "key", "key:k2"),
        (LONER, "team", "key:k2"),
        (LONER, "everyone", "everyone"),
        (ANYONE, "key", "open"),
        (ANYONE, "team", "open"),
        (ANYONE, "everyone", "open"),
    ],
)
def test_answers_are_shared_in_the_circle_that_is_configured(
    caller: Caller, share: Literal["key", "team", "everyone"], scope: str
) -> None:
    assert scope_of(caller, share) == scope


def test_a_team_is_never_taken_for_a_key_of_its_name() -> None:
    team = scope_of(replace(ANN, team="k1"), "team")

    assert team != scope_of(ANN, "key")


OBSTACLES: Mapping[Uncacheable, Mapping[str, Any]] = {
    "stateful": {
        "store": True,
        "previous_response_id": "resp_1",
        "conversation": "conv_1",
        "background": True,
        "prompt": {"id": "pmpt_1"},
    },
    "service_tools": {
        "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "browser_search"}],
        "search_settings": {"country": "ch"},
        "include_domains": ["example.org"],
        "exclude_domains": ["example.org"],
        "web_search_options": {"search_context_size": "low"},
        "compound_custom": {"models": {}},
        "plugins": [{"id": "web"}],
    },
    "audio": {"audio": {"voice": "alloy"}, "modalities": ["text", "audio"]},
}


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [(name, value, why) for why, fields in OBSTACLES.items() for name, value in fields.items()],
)
def test_a_call_is_not_cacheable_for_a_field(name: str, value: Any, why: str) -> None:
    assert cacheable(chat({"messages": [HELLO], name: value})) == why


def test_an_empty_wish_for_searches_is_one() -> None:
    assert cacheable(chat({"messages": [HELLO], "web_search_options": {}})) == "service_tools"


@pytest.mark.parametrize("tool", [{"type": "mcp"}, {"type": "code_interpreter"}, "x", {"type": 1}])
def test_a_tool_that_is_not_the_clients_own_is_the_providers(tool: Any) -> None:
    assert cacheable(chat({"messages": [HELLO], "tools": [tool]})) == "service_tools"


@pytest.mark.parametrize("endpoint", [each for each in Endpoint if each is not Endpoint.CHAT])
def test_only_chats_are_cacheable(endpoint: Endpoint) -> None:
    assert cacheable(chat({"messages": [HELLO]}, endpoint=endpoint)) == "endpoint"
    assert cacheable(replace(chat({}), body=None)) == "endpoint"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 2, "n": 3, "seed": 1, "logprobs": True},
        {"store": False, "search_settings": None, "audio": None},
        {"modalities": ["text"], "tools": []},
        {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom"}, {}]},
        ABOUT_THE_WORDS,
    ],
)
def test_a_chat_is_cacheable_at_any_temperature_and_with_tools_of_its_own(
    fields: Mapping[str, Any],
) -> None:
    assert cacheable(chat({"messages": [HELLO], **fields})) == ""


def test_every_reason_has_its_test() -> None:
    assert set(get_args(Uncacheable)) == {"", "endpoint", *OBSTACLES}


def test_many_who_send_the_same_bytes_have_fingerprints_of_their_own() -> None:
    headers = CIMultiDict({"Content-Type": "application/json"})
    envelope = Envelope("prx_3", "POST", "chat/completions", {}, headers)
    data = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "Why?"}]})
    bodies, targets = Bodies(Endpoint.CHAT), [Target("groq", "m"), Target("groq", "n")]

    def found(bodies: Bodies) -> list[Fingerprint]:
        call = parse_call(envelope, data, ANYONE, bodies)
        scopes = [f"key:{n}" for n in range(20)]
        return [fingerprint(call, target, "u", scope) for target in targets for scope in scopes]

    once = found(bodies)

    assert len(set(once)) == 40
    assert found(bodies) == once == found(Bodies(Endpoint.CHAT))
