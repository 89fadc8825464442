import copy
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.dialects import dialect_of
from proxy.upstream.dialects.dialect import EFFORTS
from proxy.wire.usage import usage_of

OSS = "openai/gpt-oss-120b"
SEEING = "qwen/qwen3.8-27b"
FLASH = "gemini-3.8-flash"
LITE = "gemini-3.5-flash-lite"
PROVIDERS = ("groq", "gemini", "openai", "ollama", "mistral")
MODELS = (OSS, SEEING, "llama-3.3-70b-versatile", FLASH, LITE, "gemini-2.5-pro", "gpt-5-mini")
MODELS += ("gpt-6-luna", "gpt-4o-mini", "o3", "qwen3:8b", "what-comes-next")

HELLO = [{"role": "user", "content": "hello"}]
GROQS_OWN = {
    "reasoning_format": "parsed",
    "include_reasoning": True,
    "search_settings": {"country": "de"},
    "include_domains": ["a"],
    "exclude_domains": ["b"],
    "citation_options": "enabled",
    "disable_tool_validation": True,
}


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "asked", "messages": HELLO, **fields}


def spoken(provider: str, model: str, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What is sent beside model and messages, and what was dropped."""
    result = dialect_of(provider).speak(body(**fields), model)
    assert result.body["model"] == model
    rest = {k: v for k, v in result.body.items() if k not in {"model", "messages"}}
    return rest, result.dropped


def said(provider: str, *messages: dict[str, Any]) -> tuple[list[Any], tuple[str, ...]]:
    result = dialect_of(provider).speak({"messages": list(messages)}, "m")
    return result.body["messages"], result.dropped


def unable(provider: str, model: str, **fields: Any) -> str:
    return dialect_of(provider).unable(body(**fields), model)


TABLE: list[tuple[str, str, dict[str, Any], dict[str, Any] | None, tuple[str, ...]]] = [
    # provider, model, given, sent (None: as given), dropped
    ("groq", OSS, {**GROQS_OWN, "documents": [1], "new_thing": 1, "logprobs": True}, None, ()),
    ("groq", OSS, {"reasoning_effort": "none", "service_tier": "flex", "extra_body": {}}, None, ()),
    ("groq", OSS, {"max_tokens": 5, "max_completion_tokens": 6}, None, ()),
    ("gemini", FLASH, GROQS_OWN, {}, tuple(GROQS_OWN)),
    ("gemini", FLASH, {"temperature": 0.5, "top_p": 0.5}, {}, ("temperature", "top_p")),
    ("gemini", LITE, {"temperature": 0.5, "top_p": 0.5}, None, ()),
    ("gemini", "gemini-3.7-flash", {"temperature": 0.5}, None, ()),
    ("gemini", "gemini-flash-latest", {"temperature": 0.5}, {}, ("temperature",)),
    ("gemini", "gemini-3.10-flash", {"temperature": 0.5}, {}, ("temperature",)),
    ("gemini", FLASH, {"max_completion_tokens": 9}, None, ()),
    ("gemini", FLASH, {"max_tokens": 9, "n": 2, "stop": ["a"], "stream": True}, None, ()),
    ("gemini", FLASH, {"tools": [{"type": "function"}], "tool_choice": "auto"}, None, ()),
    ("gemini", FLASH, {"response_format": {"type": "json_schema"}}, None, ()),
    ("gemini", FLASH, {"extra_body": {"google": {"thinking_config": {}}}}, None, ()),
    (
        "gemini",
        FLASH,
        {"seed": 1, "frequency_penalty": 1, "presence_penalty": 1, "logit_bias": {}, "user": "u"},
        {},
        ("seed", "frequency_penalty", "presence_penalty", "logit_bias", "user"),
    ),
    (
        "gemini",
        FLASH,
        {"metadata": {}, "store": False, "parallel_tool_calls": True, "service_tier": "flex"},
        {},
        ("metadata", "store", "parallel_tool_calls", "service_tier"),
    ),
    ("gemini", FLASH, {"new_thing": 1}, {}, ("new_thing",)),
    ("gemini", FLASH, {"seed": None, "store": None}, {}, ()),
    ("gemini", FLASH, {"stream_options": {"include_usage": True}}, None, ()),
    (
        "gemini",
        FLASH,
        {"stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"stream_options": {"include_usage": True}},
        ("stream_options.include_obfuscation",),
    ),
    ("ollama", "qwen3:8b", GROQS_OWN, {}, tuple(GROQS_OWN)),
    ("ollama", "qwen3:8b", {"max_completion_tokens": 9}, {"max_tokens": 9}, ()),
    ("ollama", "qwen3:8b", {"max_tokens": 9}, None, ()),
    ("ollama", "qwen3:8b", {"max_completion_tokens": 9, "max_tokens": 7}, {"max_tokens": 9}, ()),
    ("ollama", "qwen3:8b", {"max_completion_tokens": None, "max_tokens": 7}, {"max_tokens": 7}, ()),
    (
        "ollama",
        "qwen3:8b",
        {"temperature": 1, "top_p": 1, "seed": 1, "frequency_penalty": 1, "presence_penalty": 1},
        None,
        (),
    ),
    ("ollama", "qwen3:8b", {"logprobs": True, "top_logprobs": 3, "tool_choice": "auto"}, None, ()),
    (
        "ollama",
        "qwen3:8b",
        {"n": 1, "user": "u", "logit_bias": {}, "parallel_tool_calls": True, "service_tier": "x"},
        {},
        ("n", "user", "logit_bias", "parallel_tool_calls", "service_tier"),
    ),
    ("openai", "gpt-6-luna", GROQS_OWN, {}, tuple(GROQS_OWN)),
    ("openai", "gpt-6-luna", {"new_thing": 1, "user": "u", "metadata": {}, "n": 2}, None, ()),
    ("openai", "gpt-6-luna", {"max_completion_tokens": 9}, None, ()),
    ("openai", "gpt-6-luna", {"max_tokens": 9}, {"max_completion_tokens": 9}, ()),
    ("openai", "gpt-4o-mini", {"max_tokens": 9}, None, ()),
    ("openai", "gpt-4o-mini", {"max_completion_tokens": 9, "temperature": 0, "seed": 1}, None, ()),
    ("openai", "ft:gpt-4o-mini:us::1", {"temperature": 0, "max_tokens": 9}, None, ()),
    (
        "openai",
        "gpt-5-mini",
        {"temperature": 0, "top_p": 1, "seed": 1, "frequency_penalty": 0, "presence_penalty": 0},
        {},
        ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty"),
    ),
    ("openai", "gpt-5-chat-latest", {"temperature": 0, "max_tokens": 9}, None, ()),
    ("openai", "gpt-6-luna", {"service_tier": "flex"}, None, ()),
    ("openai", "gpt-6-luna", {"service_tier": "auto"}, None, ()),
    ("openai", "gpt-6-luna", {"service_tier": "on_demand"}, {}, ("service_tier",)),
    ("openai", "gpt-6-luna", {"service_tier": "performance"}, {}, ("service_tier",)),
    ("openai", "gpt-6-luna", {"service_tier": None}, None, ()),
    ("openai", "gpt-6-luna", {"stream_options": {"include_obfuscation": False}}, None, ()),
    ("mistral", "m", GROQS_OWN, {}, tuple(GROQS_OWN)),
    ("mistral", "m", {"service_tier": "on_demand"}, {}, ("service_tier",)),
    ("mistral", "m", {"max_completion_tokens": 9, "temperature": 1, "new_thing": 1}, None, ()),
]


@pytest.mark.parametrize(("provider", "model", "given_", "sent", "dropped"), TABLE)
def test_each_provider_gets_what_it_knows(
    provider: str,
    model: str,
    given_: dict[str, Any],
    sent: dict[str, Any] | None,
    dropped: tuple[str, ...],
) -> None:
    assert spoken(provider, model, **given_) == (given_ if sent is None else sent, dropped)


ALL = {effort: effort for effort in EFFORTS}
UP_TO_HIGH = {"xhigh": "high", "max": "high"}


@pytest.mark.parametrize(
    ("provider", "model", "becomes"),
    [
        ("groq", OSS, {**ALL, "default": "default"}),
        ("gemini", FLASH, {**ALL, **UP_TO_HIGH, "none": "low", "minimal": "low"}),
        ("gemini", "gemini-3.7-flash", {**ALL, **UP_TO_HIGH, "none": "low", "minimal": "low"}),
        ("gemini", "gemini-3.6-flash", {**ALL, **UP_TO_HIGH, "none": "minimal"}),
        ("gemini", "gemini-3.5-flash", {**ALL, **UP_TO_HIGH, "none": "minimal"}),
        ("gemini", LITE, {**ALL, **UP_TO_HIGH, "none": "minimal"}),
        ("gemini", "gemini-3.1-flash-lite", {**ALL, **UP_TO_HIGH, "none": "minimal"}),
        ("gemini", "gemini-3.1-pro", {**ALL, **UP_TO_HIGH, "none": "low", "minimal": "low"}),
        (
            "gemini",
            "gemini-3-flash-preview",
            {**ALL, **UP_TO_HIGH, "none": "low", "minimal": "low"},
        ),
        ("gemini", "gemini-flash-latest", {**ALL, **UP_TO_HIGH, "none": "low", "minimal": "low"}),
        ("gemini", "gemini-2.5-flash", {**ALL, **UP_TO_HIGH}),
        ("gemini", "gemini-2.5-pro", {**ALL, **UP_TO_HIGH, "none": "minimal"}),
        ("openai", "gpt-5-mini", {**ALL, **UP_TO_HIGH, "none": "minimal"}),
        ("openai", "gpt-5", {**ALL, **UP_TO_HIGH, "none": "minimal"}),
        ("openai", "gpt-5.1", {**ALL, **UP_TO_HIGH, "minimal": "low"}),
        ("openai", "gpt-5.4-mini", {**ALL, "minimal": "low", "max": "xhigh"}),
        ("openai", "gpt-6-luna", {**ALL, "minimal": "low", "max": "xhigh"}),
        ("openai", "o3", {**ALL, **UP_TO_HIGH, "none": "low", "minimal": "low"}),
        ("openai", "gpt-5-pro", dict.fromkeys(EFFORTS, "high")),
        ("ollama", "gpt-oss:20b", {**ALL, "minimal": "low", "xhigh": "max"}),
        ("mistral", "m", ALL),
    ],
)
def test_effort_becomes_the_next_level_that_the_model_has(
    provider: str, model: str, becomes: dict[str, str]
) -> None:
    for effort in (*EFFORTS, "default"):
        sent, dropped = spoken(provider, model, reasoning_effort=effort)
        assert sent.get("reasoning_effort") == becomes.get(effort)
        assert dropped == ()


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4.1-mini"])
def test_a_model_that_does_not_reason_is_not_asked_to(model: str) -> None:
    assert spoken("openai", model, reasoning_effort="high") == ({}, ("reasoning_effort",))
    assert spoken("openai", model, reasoning_effort="none") == ({}, ())
    assert spoken("openai", model, reasoning_effort="default") == ({}, ())


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("effort", ["much", 7, ["high"], None])
def test_an_effort_that_nobody_knows_is_the_providers_to_judge(provider: str, effort: Any) -> None:
    assert spoken(provider, FLASH, reasoning_effort=effort) == ({"reasoning_effort": effort}, ())


ANSWERED = {
    "role": "assistant",
    "content": "hi",
    "reasoning": "hm",
    "reasoning_content": "hm",
    "extra_content": {"google": {}},
    "refusal": None,
}


@pytest.mark.parametrize(
    ("provider", "left_out"),
    [
        ("groq", ("reasoning_content", "extra_content")),
        ("openai", ("reasoning", "reasoning_content", "extra_content")),
        ("gemini", ("reasoning", "reasoning_content")),
        ("ollama", ()),
        ("mistral", ()),
    ],
)
def test_what_only_other_providers_write_is_taken_out_of_the_history(
    provider: str, left_out: tuple[str, ...]
) -> None:
    (message,), dropped = said(provider, ANSWERED)

    assert dropped == tuple(f"messages.{name}" for name in left_out)
    unsaid = {"refusal"} if provider == "gemini" else set()
    assert message.keys() == ANSWERED.keys() - set(left_out) - unsaid


def tool_call(signature: str | None = None, **fields: Any) -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, **fields}
    if signature is not None:
        call["extra_content"] = {"google": {"thought_signature": signature}}
    return call


@pytest.mark.parametrize("provider", ["groq", "openai"])
def test_a_signature_goes_to_nobody_but_gemini(provider: str) -> None:
    asked = {"role": "assistant", "tool_calls": [tool_call("sig"), tool_call()]}

    (message,), dropped = said(provider, asked)

    assert message["tool_calls"] == [tool_call(), tool_call()]
    assert dropped == ("messages.tool_calls.extra_content",)


def test_a_signature_goes_back_to_gemini_as_it_came() -> None:
    asked = {"role": "assistant", "tool_calls": [tool_call("sig", index=0)]}

    (message,), dropped = said("gemini", asked)

    assert message["tool_calls"] == [tool_call("sig")]
    assert dropped == ("messages.tool_calls.index",)


@pytest.mark.parametrize(
    ("provider", "role"),
    [("gemini", "system"), ("ollama", "system"), ("groq", "developer"), ("openai", "developer")],
)
def test_a_developer_speaks_where_there_is_such_a_role(provider: str, role: str) -> None:
    messages, dropped = said(provider, {"role": "developer", "content": "be brief"}, *HELLO)

    assert messages == [{"role": role, "content": "be brief"}, *HELLO]
    assert dropped == ()


def test_names_of_dropped_fields_are_few_and_short() -> None:
    _, dropped = spoken("gemini", FLASH, **{f"{number}" * 100: 1 for number in range(100)})

    assert len(dropped) == 32
    assert max(map(len, dropped)) == 64


IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:..."}}]}]
SOUND = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": ".."}}]}]
DOCUMENT = [{"role": "user", "content": [{"type": "document", "document": {"data": {}}}]}]
SCHEMA = {"type": "json_schema", "json_schema": {}}


@pytest.mark.parametrize("provider", ["gemini", "openai", "ollama", "mistral"])
@pytest.mark.parametrize(
    "fields",
    [
        {"documents": [{"source": {}}]},
        {"compound_custom": {"models": {}}},
        {"tools": [{"type": "function"}, {"type": "browser_search"}]},
        {"tools": [{"type": "code_interpreter"}]},
        {"tools": [{"type": "mcp", "server_url": "x"}]},
        {"messages": DOCUMENT},
    ],
)
def test_what_only_groq_does_is_done_by_groq_alone(provider: str, fields: dict[str, Any]) -> None:
    assert unable(provider, "m", **fields)
    assert not unable("groq", OSS, **fields)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"documents": [], "compound_custom": None, "tools": None, "n": None, "logprobs": None},
        {"tools": [], "n": 1, "logprobs": False, "top_logprobs": 0, "response_format": None},
        {"tools": [{"type": "function", "function": {}}, {"function": {}}]},
        {"response_format": {"type": "json_object"}},
        {"n": "2", "tools": "x", "response_format": 7, "messages": [{"content": 7}, 7]},
        {"tools": [{"type": ["function"]}, 7], "messages": "x"},
        {"tools": [{"type": None}], "messages": [{"content": [{"type": None}, {}, 7]}]},
    ],
)
def test_an_ordinary_call_can_go_anywhere(provider: str, fields: dict[str, Any]) -> None:
    assert unable(provider, "m", **fields) == ""


@pytest.mark.parametrize(
    ("provider", "model", "fields", "why"),
    [
        ("groq", OSS, {"messages": IMAGE}, "no images"),
        ("groq", SEEING, {"messages": IMAGE}, ""),
        ("groq", "llama-3.3-70b-versatile", {"messages": IMAGE}, "no images"),
        ("groq", "what-comes-next", {"messages": IMAGE}, ""),
        ("groq", SEEING, {"messages": SOUND}, "no audio"),
        ("groq", OSS, {"n": 2}, "one choice only"),
        ("groq", OSS, {"logprobs": True}, "no logprobs"),
        ("groq", OSS, {"top_logprobs": 2}, "no logprobs"),
        ("groq", OSS, {"response_format": SCHEMA}, ""),
        ("groq", "llama-3.3-70b-versatile", {"response_format": SCHEMA}, "no json_schema"),
        ("gemini", FLASH, {"messages": IMAGE}, ""),
        ("gemini", FLASH, {"messages": SOUND}, ""),
        ("gemini", FLASH, {"n": 2}, ""),
        ("gemini", FLASH, {"response_format": SCHEMA}, ""),
        ("gemini", FLASH, {"logprobs": True}, "no logprobs"),
        ("gemini", FLASH, {"functions": [{"name": "f"}]}, "no functions"),
        ("gemini", FLASH, {"tools": [{"type": "custom"}]}, "no tools but functions"),
        ("gemini", FLASH, {"messages": [{"content": [{"type": "file"}]}]}, "no such content parts"),
        ("ollama", "qwen3:8b", {"messages": IMAGE}, ""),
        ("ollama", "qwen3:8b", {"n": 2}, "one choice only"),
        ("ollama", "qwen3:8b", {"logprobs": True}, ""),
        ("ollama", "qwen3:8b", {"response_format": SCHEMA}, ""),
        ("ollama", "qwen3:8b", {"tools": [{"type": "custom"}]}, "no tools but functions"),
        ("openai", "gpt-6-luna", {"n": 2, "tools": [{"type": "custom"}]}, ""),
        ("openai", "gpt-6-luna", {"logprobs": True}, "no logprobs"),
        ("openai", "gpt-4o-mini", {"logprobs": True}, ""),
        ("openai", "gpt-3.5-turbo", {"response_format": SCHEMA}, "no json_schema"),
        ("mistral", "m", {"n": 2, "logprobs": True, "messages": IMAGE}, ""),
    ],
)
def test_a_target_is_skipped_for_what_it_is_known_to_lack(
    provider: str, model: str, fields: dict[str, Any], why: str
) -> None:
    assert unable(provider, model, **fields) == why


@pytest.mark.parametrize(
    ("provider", "model", "window"),
    [
        ("groq", OSS, 131_072),
        ("groq", "meta-llama/llama-prompt-guard-2-22m", 512),
        ("openai", "gpt-4o-mini", 128_000),
        ("gemini", FLASH, 1_048_576),
    ],
)
def test_a_prompt_is_too_long_only_where_it_surely_is(
    provider: str, model: str, window: int
) -> None:
    def reason(size: int) -> str:
        half = "ä" * (size // 4)  # two bytes each
        told = [{"role": "user", "content": half}, {"content": [{"type": "text", "text": half}]}]
        return unable(provider, model, messages=told)

    assert reason(4 * window) == ""
    assert reason(6 * window) == ""
    assert reason(6 * window + 4) == "prompt too long"


def test_a_prompt_is_never_too_long_where_the_window_is_not_known() -> None:
    for provider in ("ollama", "mistral"):
        assert unable(provider, "m", messages=[{"content": "x" * 10_000_000}]) == ""


def test_an_image_does_not_make_a_prompt_long() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4_000_000}}

    assert unable("groq", SEEING, messages=[{"role": "user", "content": [image]}]) == ""


ASKED = {"role": "assistant", "tool_calls": [tool_call()]}
SIGNED = {"role": "assistant", "tool_calls": [tool_call("sig"), tool_call()]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "1"}


@pytest.mark.parametrize(
    ("messages", "able"),
    [
        ([*HELLO, ASKED, RESULT], False),
        ([ASKED, RESULT], False),
        ([*HELLO, SIGNED, RESULT], True),
        ([*HELLO, SIGNED, RESULT, ASKED, RESULT], False),
        ([*HELLO, ASKED, RESULT, *HELLO], True),
        ([*HELLO, ASKED, RESULT, *HELLO, SIGNED, RESULT], True),
        ([*HELLO, {"role": "assistant", "tool_calls": [tool_call("")]}], False),
        ([*HELLO, {"role": "assistant", "tool_calls": [{"extra_content": 7}]}], False),
        ([*HELLO, {"role": "assistant", "tool_calls": [7]}], False),
        ([*HELLO, {"role": "assistant", "tool_calls": []}], True),
        ([*HELLO, {"role": "assistant", "function_call": {"name": "f"}}], False),
    ],
)
def test_gemini_takes_no_turn_whose_tool_calls_it_has_not_signed(
    messages: list[Any], able: bool
) -> None:
    assert unable("gemini", FLASH, messages=messages) == (
        "" if able else "no signature on a tool call"
    )
    assert unable("gemini", "gemini-2.5-flash", messages=messages) == ""
    assert unable("openai", "gpt-6-luna", messages=messages) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(
    sorted(
        {name for _, _, fields, *_ in TABLE for name in fields}
        | {"model", "documents", "functions", "logprobs", "response_format", "tools"}
    )
)
EFFORT = st.sampled_from([*EFFORTS, "default", "much"])
CALLS = st.lists(
    st.dictionaries(st.sampled_from(["id", "type", "function", "extra_content", "index"]), JSON)
    | JSON,
    max_size=3,
)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "developer", "tool"]) | JSON,
        "content": JSON,
        "reasoning": JSON,
        "reasoning_content": JSON,
        "extra_content": JSON,
        "tool_calls": CALLS | JSON,
        "refusal": JSON,
    },
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    drawn = draw(st.dictionaries(NAMES | st.text(max_size=6), JSON, max_size=8))
    for name, values in (
        ("messages", st.lists(MESSAGE | JSON, max_size=4)),
        ("reasoning_effort", EFFORT),
        ("max_tokens", st.integers(1, 9)),
        ("max_completion_tokens", st.none() | st.integers(1, 9)),
    ):
        if draw(st.booleans()):
            drawn[name] = draw(values)
    return drawn


def fields_of(value: Any, *path: str) -> set[str]:
    """The names of all fields of the objects in the lists at a place."""
    found = [value]
    for name in path:
        inner = [each.get(name) for each in found if isinstance(each, dict)]
        found = [one for each in inner if isinstance(each, list) for one in each]
    return {name for each in found if isinstance(each, dict) for name in each}


@given(bodies(), st.sampled_from(PROVIDERS), st.sampled_from(["", *MODELS]))
def test_speaking_changes_nothing_of_the_original_and_twice_is_as_once(
    original: dict[str, Any], provider: str, model: str
) -> None:
    dialect, before = dialect_of(provider), copy.deepcopy(original)

    once = dialect.speak(original, model)
    why = dialect.unable(original, model)

    assert original == before
    again = dialect.speak(once.body, model)
    assert again.body == once.body
    assert again.dropped == ()
    assert isinstance(why, str)


@given(bodies(), st.sampled_from(PROVIDERS), st.sampled_from(MODELS))
def test_nothing_is_sent_that_a_provider_does_not_know(
    original: dict[str, Any], provider: str, model: str
) -> None:
    dialect = dialect_of(provider)

    sent = dialect.speak(original, model).body

    assert all(map(dialect.fields.knows, sent))
    assert all(map(dialect.about(model).fields.knows, sent))
    assert all(map(dialect.messages.knows, fields_of(sent, "messages")))
    assert all(map(dialect.tool_calls.knows, fields_of(sent, "messages", "tool_calls")))


def cap_of(sent: dict[str, Any]) -> Any:
    stated = (sent.get("max_completion_tokens"), sent.get("max_tokens"))
    return next((value for value in stated if value is not None), None)


@given(bodies(), st.sampled_from(PROVIDERS), st.sampled_from(MODELS))
def test_nothing_is_lost_without_a_word(
    original: dict[str, Any], provider: str, model: str
) -> None:
    spelt = {"model", "reasoning_effort", "max_tokens", "max_completion_tokens"}

    result = dialect_of(provider).speak(original, model)

    for name, value in original.items():
        if value is not None and name not in spelt:
            assert (name in result.body) is (name not in result.dropped)
    assert cap_of(result.body) == cap_of(original)


def whole(provider: str, answer: Any) -> Any:
    return orjson.loads(dialect_of(provider).whole(orjson.dumps(answer)))


def streamed(provider: str, *chunks: Any, done: bool = True, id: str = "") -> list[Any]:
    """The chunks that go on, and "[DONE]"."""
    translate = dialect_of(provider).events(id)
    assert translate is not None
    data = [orjson.dumps(chunk) for chunk in chunks]
    return read(translate(each) for each in [*data, b"[DONE]" if done else b""])


def read(events: Iterable[bytes]) -> list[Any]:
    run = b"".join(b"data: " + event + b"\n\n" for event in events if event)
    payloads = [each.removeprefix(b"data: ") for each in run.split(b"\n\n") if each]
    return ["[DONE]" if each == b"[DONE]" else orjson.loads(each) for each in payloads]


@pytest.mark.parametrize("provider", ["groq", "openai", "mistral"])
def test_answers_in_the_common_shape_are_not_touched(provider: str) -> None:
    answer = b' {"id": "chatcmpl-7", "usage": {"prompt_tokens": 1, "total_tokens": 9}} '

    assert dialect_of(provider).whole(answer) is answer
    assert dialect_of(provider).events() is None


def choice(**fields: Any) -> dict[str, Any]:
    return {"index": 0, **fields}


def usage(prompt: int, completion: int, total: int, **more: Any) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        **more,
    }


def thinking(tokens: int) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": tokens}}


def test_geminis_thinking_is_counted_as_output() -> None:
    answer = whole("gemini", {"choices": [], "usage": usage(3, 2, 71)})

    assert answer["usage"] == usage(3, 68, 71, **thinking(66))
    read_usage = usage_of(answer)
    assert read_usage is not None
    assert (read_usage.completion, read_usage.reasoning) == (68, 66)


@pytest.mark.parametrize(
    ("stated", "becomes"),
    [
        (usage(3, 2, 5), usage(3, 2, 5)),
        (usage(3, 2, 4), usage(3, 2, 4)),
        (usage(9, 0, 9), usage(9, 0, 9)),
        ({"prompt_tokens": 3, "completion_tokens": 2}, None),
        ({"prompt_tokens": "3", "completion_tokens": 2, "total_tokens": 9}, None),
        ({"prompt_tokens": 3, "completion_tokens": -2, "total_tokens": 9}, None),
        ({"prompt_tokens": True, "completion_tokens": 2, "total_tokens": 9}, None),
        (None, None),
        ([1], None),
        (
            {"prompt_tokens": 3, "total_tokens": 9},
            {"prompt_tokens": 3, "total_tokens": 9, "completion_tokens": 6, **thinking(6)},
        ),
        (
            usage(3, 2, 9, completion_tokens_details={"audio_tokens": 1}, prompt_tokens_details=7),
            usage(
                3,
                6,
                9,
                completion_tokens_details={"audio_tokens": 1, "reasoning_tokens": 4},
                prompt_tokens_details=7,
            ),
        ),
    ],
)
def test_usage_without_thinking_or_sense_stays(stated: Any, becomes: Any) -> None:
    expected = stated if becomes is None else becomes

    assert whole("gemini", {"usage": stated}) == {"usage": expected}


def test_geminis_blocked_answer_gets_a_content_of_null() -> None:
    blocked = choice(message={"role": "assistant"}, finish_reason="content_filter: RECITATION")

    answer = whole("gemini", {"choices": [blocked], "usage": usage(9, 0, 9)})

    message = {"role": "assistant", "content": None}
    assert answer["choices"] == [{**blocked, "message": message}]


def test_geminis_whole_tool_call_keeps_its_signature() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [tool_call("sig")]}

    for reason, becomes in (("stop", "tool_calls"), ("tool_calls",) * 2, ("length",) * 2):
        answer = whole("gemini", {"choices": [choice(message=message, finish_reason=reason)]})
        assert answer["choices"] == [choice(message=message, finish_reason=becomes)]


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"<html>", b'[{"error":{}}]', b"[" * 200_000])
@pytest.mark.parametrize("provider", ["gemini", "ollama"])
def test_what_is_no_answer_is_left_to_others(provider: str, body: bytes) -> None:
    translate = dialect_of(provider).events()

    assert dialect_of(provider).whole(body) == body
    assert translate is not None
    assert translate(body) == body


HEAD = {"id": "x1", "object": "chat.completion.chunk", "created": 7, "model": FLASH}


def chunk(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    stated = {"usage": fields.pop("usage")} if "usage" in fields else {}
    return {**HEAD, "choices": [choice(delta=fields, finish_reason=finish)], **stated}


def test_geminis_repeated_usage_goes_on_once_in_a_chunk_of_its_own_before_the_end() -> None:
    first = chunk(role="assistant", content="Hel")
    last = chunk("stop", content="lo")

    told = streamed(
        "gemini", {**first, "usage": usage(3, 1, 9)}, {**last, "usage": usage(3, 2, 71)}
    )

    owed = {**HEAD, "choices": [], "usage": usage(3, 68, 71, **thinking(66))}
    assert told == [first, last, owed, "[DONE]"]


def test_a_stream_that_closes_without_done_still_owes_its_usage() -> None:
    told = streamed("gemini", chunk("stop", content="hi", usage=usage(3, 2, 5)), done=False)

    assert told == [chunk("stop", content="hi"), {**HEAD, "choices": [], "usage": usage(3, 2, 5)}]


def test_usage_is_owed_once() -> None:
    translate = dialect_of("gemini").events()
    assert translate is not None
    translate(orjson.dumps(chunk("stop", usage=usage(3, 2, 5))))

    assert translate(b"[DONE]") != b"[DONE]"
    assert translate(b"[DONE]") == b"[DONE]"
    assert translate(b"") == b""


def test_a_stream_without_usage_owes_none() -> None:
    one = chunk("stop", role="assistant", content="hi")  # a whole answer, as Gemini likes it

    assert streamed("gemini", one) == [one, "[DONE]"]
    assert streamed("gemini", one, done=False) == [one]
    assert streamed("gemini", {**one, "usage": None}) == [one, "[DONE]"]


def test_a_usage_chunk_of_its_own_is_held_until_the_end() -> None:
    alone = {**HEAD, "choices": [], "usage": usage(3, 2, 5)}

    assert streamed("gemini", alone, chunk("stop")) == [chunk("stop"), alone, "[DONE]"]


def test_geminis_streamed_tool_calls_are_numbered_and_named_as_the_reason() -> None:
    one, two = tool_call("sig"), tool_call(id="c2")

    told = streamed(
        "gemini", chunk(role="assistant", tool_calls=[one]), chunk(tool_calls=[two]), chunk("stop")
    )

    assert told == [
        chunk(role="assistant", tool_calls=[{**one, "index": 0}]),
        chunk(tool_calls=[{**two, "index": 1}]),
        chunk("tool_calls"),
        "[DONE]",
    ]


def test_one_chunk_may_hold_tool_calls_and_the_end() -> None:
    one, two = tool_call(), tool_call(id="c2")

    told = streamed("gemini", chunk("stop", tool_calls=[one, two]))

    numbered = [{**one, "index": 0}, {**two, "index": 1}]
    assert told == [chunk("tool_calls", tool_calls=numbered), "[DONE]"]


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "SAFETY"])
def test_without_tool_calls_a_reason_stays(reason: str) -> None:
    assert streamed("gemini", chunk(reason)) == [chunk(reason), "[DONE]"]


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls"])
def test_only_stop_becomes_tool_calls(reason: str) -> None:
    told = streamed("gemini", chunk(reason, tool_calls=[tool_call()]))

    assert told[0]["choices"][0]["finish_reason"] == reason


def test_each_choice_has_tool_calls_of_its_own() -> None:
    def both(**fields: Any) -> dict[str, Any]:
        return {**HEAD, "choices": [{**choice(**fields), "index": place} for place in (0, 1)]}

    told = streamed("gemini", both(delta={"tool_calls": [tool_call()]}), chunk("stop"))

    assert [each["delta"]["tool_calls"][0]["index"] for each in told[0]["choices"]] == [0, 0]


@pytest.mark.parametrize(
    ("calls", "indexes"),
    [
        ([{"id": "a"}, {"id": "b"}, {"id": "c"}], [0, 1, 2]),
        ([{"id": "a", "index": 0}, {"id": "b", "index": 1}], [0, 1]),
        ([{"id": "a", "index": 0}, {"id": "b", "index": 0}], [0, 1]),  # as some versions had it
        ([{"id": "a", "index": 0}, {"index": 0}, {"id": "a", "index": 0}], [0, 0, 0]),
        ([{"function": {"name": "f"}}, {"function": {"name": "f"}}], [0, 1]),
        ([{"id": ""}, {"function": {"arguments": "}"}}], [0, 0]),
        ([{"id": "a", "index": 3}, {"id": "b"}], [3, 4]),
        (
            [{"id": "a", "index": None}, {"id": "b", "index": -1}, {"id": "c", "index": "0"}],
            [0, 1, 2],
        ),
    ],
)
def test_an_index_belongs_to_one_tool_call(calls: list[Any], indexes: list[int]) -> None:
    told = streamed("gemini", *(chunk(tool_calls=[call]) for call in calls))

    assert [each["choices"][0]["delta"]["tool_calls"][0]["index"] for each in told[:-1]] == indexes


def test_an_error_inside_a_stream_goes_on_as_it_is() -> None:
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}

    assert streamed("gemini", error, done=False) == [error]


def test_ollamas_answers_get_ids_that_no_other_has() -> None:
    answer = {"id": "chatcmpl-7", "object": "chat.completion", "system_fingerprint": "fp_ollama"}

    told = [whole("ollama", answer) for _ in range(99)]

    assert len({each["id"] for each in told}) == 99
    assert all({**each, "id": "chatcmpl-7"} == answer for each in told)


def test_all_chunks_of_ollamas_stream_have_one_id() -> None:
    chunks = [{"id": "chatcmpl-998", "n": number} for number in range(3)]

    first, second, third, done = streamed("ollama", *chunks)

    assert first["id"] == second["id"] == third["id"] != "chatcmpl-998"
    assert (first["n"], third["n"], done) == (0, 2, "[DONE]")


def test_an_id_may_be_given() -> None:
    answer = b'{"id":"chatcmpl-998"}'

    assert dialect_of("ollama").whole(answer, "prx_1") == b'{"id":"chatcmpl-prx_1"}'
    assert streamed("ollama", {"id": "chatcmpl-0"}, id="prx_1")[0] == {"id": "chatcmpl-prx_1"}


@pytest.mark.parametrize("id", ["chatcmpl-9999", "chatcmpl-a", "cmpl-7", 7, None])
def test_an_id_that_is_no_small_number_stays(id: Any) -> None:
    assert whole("ollama", {"id": id}) == {"id": id}
    assert streamed("ollama", {"id": id}) == [{"id": id}, "[DONE]"]


COUNT = st.integers(-1, 9) | JSON
USAGE = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "total_tokens": COUNT,
        "completion_tokens_details": JSON,
    },
)
CALL = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", ""]) | JSON,
        "index": st.integers(-1, 3) | JSON,
        "function": st.fixed_dictionaries({}, optional={"name": st.text(max_size=2)}) | JSON,
    },
)
TOLD = st.fixed_dictionaries({}, optional={"content": JSON, "tool_calls": st.lists(CALL) | JSON})
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(0, 1) | JSON,
        "delta": TOLD | JSON,
        "message": TOLD | JSON,
        "finish_reason": st.sampled_from(["stop", "length"]) | JSON,
    },
)
ANSWER = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["chatcmpl-7", "x"]) | JSON,
        "choices": st.lists(CHOICE, max_size=3) | JSON,
        "usage": USAGE | JSON,
        "error": JSON,
        "model": JSON,
    },
)


@given(ANSWER | JSON, st.sampled_from(PROVIDERS))
def test_a_whole_answer_translated_twice_is_as_once(answer: Any, provider: str) -> None:
    dialect = dialect_of(provider)

    once = dialect.whole(orjson.dumps(answer))

    assert dialect.whole(once) == once


@given(st.lists(ANSWER | JSON, max_size=6), st.sampled_from(["gemini", "ollama"]), st.booleans())
def test_a_stream_translated_twice_is_as_once(chunks: list[Any], provider: str, done: bool) -> None:
    once = streamed(provider, *chunks, done=done)

    again = streamed(provider, *(each for each in once if each != "[DONE]"), done=done)

    assert again == once


@given(st.lists(ANSWER, max_size=6))
def test_usage_comes_at_most_once_and_at_the_end(chunks: list[Any]) -> None:
    sound = [chunk for chunk in chunks if not chunk.get("error")]

    told = streamed("gemini", *sound)

    last = [chunk["usage"] for chunk in sound if isinstance(chunk.get("usage"), dict)][-1:]
    places = [place for place, each in enumerate(told) if each != "[DONE]" and "usage" in each]
    assert places == ([len(told) - 2] if last else [])
