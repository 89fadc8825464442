from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.access.ceilings import LARGEST_CAP, Bound, bound_of
from proxy.core.call import ANYONE, Call, Endpoint, JsonObject, Upload
from proxy.core.errors import InvalidRequest, Unpriceable
from proxy.wire.json import dumps
from proxy.wire.prompt import estimate_of

FRAMES = 64 + 16  # of a chat with one message


def a_call(body: JsonObject | Upload | None, endpoint: Endpoint = Endpoint.CHAT) -> Call:
    model = body.get("model", "") if isinstance(body, dict) else ""
    return Call("c", ANYONE, endpoint, "POST", endpoint.value, "", model, body, stream=False)


def chat(*messages: Any, **fields: Any) -> Call:
    return a_call({"model": "openai/gpt-oss-20b", "messages": list(messages), **fields})


def user(content: Any, **fields: Any) -> JsonObject:
    return {"role": "user", "content": content, **fields}


def bound(call: Call, max_output: int | None = 65_536, seconds: float | None = None) -> Bound:
    return bound_of(call, default_max_output=4_096, max_output=max_output, seconds=seconds)


def an_upload() -> Upload:
    async def pieces() -> AsyncIterator[bytes]:
        yield b""

    return Upload("multipart/form-data; boundary=x", None, pieces())


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (user("hello"), 5),
        (user("héllo 🚀"), 11),
        (user(""), 0),
        ({"role": "assistant", "content": None}, 0),
        ({"role": "assistant"}, 0),
        (user([{"type": "text", "text": "hello"}]), 5),
        (user("hi", name="bob"), 5),
        ({"role": "assistant", "content": "a", "reasoning": "because"}, 8),
        ({"role": "tool", "tool_call_id": "fc_1", "content": "42"}, 6),
    ],
)
def test_a_prompt_is_bounded_by_the_bytes_of_its_text(message: JsonObject, size: int) -> None:
    assert bound(chat(message)).prompt == FRAMES + size


def test_each_message_has_a_frame() -> None:
    assert bound(chat(*[user("a")] * 100)).prompt == 64 + 100 * (16 + 1)


def test_further_parts_of_a_message_have_one_too() -> None:
    parts = [{"type": "text", "text": "ab"}] * 3

    assert bound(chat(user(parts))).prompt == FRAMES + 6 + 2 * 16


def test_tools_schemas_and_tool_calls_count_as_compact_json() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    asked = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    message = {"role": "assistant", "content": None, "tool_calls": asked}

    call = chat(message, tools=[tool], response_format=form)

    sizes = [len(dumps(part)) for part in ([tool], form, asked)]
    assert bound(call).prompt == FRAMES + sum(sizes)


def test_fields_that_steer_do_not_count_and_those_that_are_read_do() -> None:
    plain = bound(chat(user("a"))).prompt
    steered = chat(
        user("a"), temperature=1, stop=["x"] * 4, metadata={"a": "b"}, seed=1, top_k=None
    )

    assert bound(steered).prompt == plain
    assert bound(chat(user("a"), documents=[{"text": "d" * 50}])).prompt > plain + 50
    assert bound(chat(user("a"), grammar="c" * 50)).prompt == plain + 50


def test_a_role_that_is_none_counts_as_text() -> None:
    assert bound(chat({"role": "r" * 99, "content": ""})).prompt == FRAMES + 99


@pytest.mark.parametrize(
    ("fields", "max_output", "cap"),
    [
        ({}, 65_536, 4_096),
        ({}, 512, 512),
        ({}, None, 4_096),
        ({"max_tokens": 10}, 65_536, 10),
        ({"max_completion_tokens": 20}, 65_536, 20),
        ({"max_completion_tokens": 20, "max_tokens": 10}, 65_536, 10),
        ({"max_completion_tokens": None, "max_tokens": None}, 65_536, 4_096),
        ({"max_tokens": 1_000_000}, 65_536, 65_536),
        ({"max_tokens": 1_000_000}, None, 1_000_000),
    ],
)
def test_the_cap_is_the_clients_or_the_default_and_never_above_the_models(
    fields: JsonObject, max_output: int | None, cap: int
) -> None:
    found = bound(chat(user("a"), **fields), max_output)

    assert (found.cap, found.completion, found.choices) == (cap, cap, 1)


def test_every_choice_may_be_as_long_as_the_cap() -> None:
    found = bound(chat(user("a"), n=3, max_tokens=100))

    assert (found.choices, found.cap, found.completion) == (3, 100, 300)


@pytest.mark.parametrize("name", ["n", "max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("value", [0, -1, 10**9, 10**30, 1.0, 1.5, "1", True, False, [], {}])
def test_numbers_that_mean_nothing_are_the_clients_mistake(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as raised:
        bound(chat(user("a"), **{name: value}))

    assert raised.value.param == name


def test_the_largest_numbers_that_mean_something_pass() -> None:
    assert bound(chat(user("a"), n=128, max_tokens=LARGEST_CAP), None).completion == 128 * 10**7


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "video_url"},
        {"type": ["text"]},
        {"text": "no type"},
    ],
)
def test_parts_that_are_not_text_have_no_bound(part: JsonObject) -> None:
    call = chat(user([{"type": "text", "text": "what is this?"}, part]))

    with pytest.raises(Unpriceable) as raised:
        bound(call)

    assert raised.value.code == "unpriceable_content"
    assert estimate_of(call) > 0


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "browser_search"}]},
        {"tools": [{"type": "code_interpreter", "container": {}}]},
        {"tools": [{"type": "mcp", "server_url": "https://x"}]},
        {"tools": [{"type": "web_search"}]},
        {"tools": ["browser_search"]},
        {"search_settings": {"country": "germany"}},
        {"web_search_options": {"search_context_size": "low"}},
        {"compound_custom": {"tools": {"enabled_tools": ["web_search"]}}},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "alloy"}},
        {"prediction": {"type": "content", "content": "x"}},
        {"prompt_cache_retention": "12h"},
        {"extra_body": {"google": {"cached_content": "cachedContents/1"}}},
        {"extra_body": {"tools": []}},
        {"extra_body": []},
        {"a_field_of_tomorrow": True},
        {"web_search_options": {}},
        {"background": True},
        {"best_of": 5},
        {"models": ["other"]},
        {"model": "groq/compound"},
        {"model": "compound-beta-mini"},
    ],
)
def test_what_is_billed_beside_tokens_has_no_bound(fields: JsonObject) -> None:
    call = a_call({"messages": [user("a")], "model": "m", **fields})

    with pytest.raises(Unpriceable):
        bound(call)


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": []},
        {"tools": [{"type": "function", "function": {"name": "web_search"}}]},
        {"modalities": ["text"]},
        {"search_settings": {}},
        {"extra_body": {"google": {"thinking_config": {"include_thoughts": True}}}},
        {"extra_body": {}},
    ],
)
def test_what_the_client_runs_itself_and_empty_wishes_have_one(fields: JsonObject) -> None:
    assert bound(chat(user("a"), **fields)).completion == 4_096


def test_a_message_that_points_to_audio_at_the_provider_has_no_bound() -> None:
    with pytest.raises(Unpriceable):
        bound(chat({"role": "assistant", "audio": {"id": "audio_1"}}))


def responses(**fields: Any) -> Call:
    return a_call({"model": "openai/gpt-oss-20b", **fields}, Endpoint.RESPONSES)


def test_responses_are_bounded_by_instructions_input_and_their_own_cap() -> None:
    found = bound(responses(input="hello", instructions="be kind", max_output_tokens=50))

    assert (found.prompt, found.cap, found.completion) == (FRAMES + 5 + 7, 50, 50)


def test_the_items_of_a_response_count_like_messages() -> None:
    items = [
        user([{"type": "input_text", "text": "hi"}]),
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "so"}]},
    ]

    found = bound(responses(input=items))

    texts = 64 + 4 * 16 + len("hi{}42cf") + len("so")
    assert texts <= found.prompt <= texts + 200


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"input": [{"type": "item_reference", "id": "x"}]},
        {"input": [{"type": "image_generation_call", "result": ""}]},
        {"input": [user([{"type": "input_image", "image_url": "x"}])]},
        {"input": [{"type": "function_call_output", "output": [{"type": "input_file"}]}]},
        {"tools": [{"type": "file_search"}]},
    ],
)
def test_what_a_provider_keeps_of_a_response_has_no_bound(fields: JsonObject) -> None:
    with pytest.raises(Unpriceable):
        bound(responses(**{"input": "a", **fields}))


@pytest.mark.parametrize("value", [0, "5", 1.0, True])
def test_a_responses_cap_must_mean_something_too(value: object) -> None:
    with pytest.raises(InvalidRequest):
        bound(responses(input="a", max_output_tokens=value))


@pytest.mark.parametrize(
    ("texts", "prompt"),
    [
        ("hello", FRAMES + 5),
        (["hello", "you"], FRAMES + 16 + 8),
        ([1, 2, 3], FRAMES + 3),
        ([[1, 2, 3], [4]], FRAMES + 16 + 4),
        ([], 64),
    ],
)
def test_embeddings_have_a_prompt_only(texts: object, prompt: int) -> None:
    found = bound(a_call({"model": "m", "input": texts}, Endpoint.EMBEDDINGS))

    assert found == Bound(prompt=prompt, completion=0, choices=1, cap=None)


def test_speech_is_bounded_by_its_characters() -> None:
    call = a_call({"model": "m", "input": "héllo", "voice": "x"}, Endpoint.AUDIO)

    assert bound(call).chars == 5


@pytest.mark.parametrize("text", [None, 5, ["a"]])
def test_speech_without_a_text_is_the_clients_mistake(text: object) -> None:
    with pytest.raises(InvalidRequest):
        bound(a_call({"model": "m", "input": text}, Endpoint.AUDIO))


def test_an_upload_of_audio_is_bounded_by_what_is_known_of_its_length() -> None:
    call = a_call(an_upload(), Endpoint.AUDIO)

    assert bound(call, seconds=12.5).seconds == 12.5
    for unknown in (None, float("inf"), float("nan")):
        with pytest.raises(Unpriceable):
            bound(call, seconds=unknown)


@pytest.mark.parametrize("body", [None, {"input_file_id": "f"}, an_upload()])
def test_files_and_batches_have_no_bound(body: JsonObject | Upload | None) -> None:
    with pytest.raises(Unpriceable):
        bound(a_call(body, Endpoint.OTHER))


def test_to_list_models_costs_nothing() -> None:
    assert bound(a_call(None, Endpoint.MODELS)).completion == 0


def test_an_estimate_is_about_a_token_for_four_bytes() -> None:
    text = "the quick brown fox jumps over the lazy dog " * 100

    assert len(text) / 5 < estimate_of(chat(user(text))) < len(text) / 3
    assert estimate_of(a_call({"input": [7] * 500}, Endpoint.EMBEDDINGS)) == 504


def test_nothing_is_estimated_for_what_has_no_prompt() -> None:
    assert estimate_of(a_call(an_upload(), Endpoint.AUDIO)) == 0
    assert estimate_of(a_call(None, Endpoint.OTHER)) == 0


KEYS = st.text(max_size=3) | st.sampled_from(
    ["messages", "input", "content", "role", "type", "text", "tools", "extra_body", "google", "n"]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**19), 10**20)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
ENDPOINTS = st.sampled_from([Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.EMBEDDINGS])


@given(st.dictionaries(KEYS, JSON, max_size=6), ENDPOINTS)
def test_any_json_has_an_estimate_and_a_bound_above_it_or_is_refused(
    body: JsonObject, endpoint: Endpoint
) -> None:
    call = a_call({**body, "model": "m"}, endpoint)

    estimate = estimate_of(call)
    try:
        found = bound(call)
    except (InvalidRequest, Unpriceable):
        assert estimate >= 0
    else:
        assert 0 <= estimate <= found.prompt


@given(st.lists(st.text(), min_size=1), st.text(), st.text())
def test_no_byte_of_the_text_is_left_out(texts: list[str], name: str, schema: str) -> None:
    tools = [{"type": "function", "function": {"name": name, "description": schema}}]

    found = bound(chat(*map(user, texts), tools=tools))

    seen = [*texts, name, schema]
    assert found.prompt >= sum(len(text.encode()) for text in seen) + 16 * len(texts) + 64
