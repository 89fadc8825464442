from dataclasses import replace

import pytest

from proxy.core.call import Endpoint
from proxy.upstream.conversation import (
    OUTPUT_TOKENS,
    beginning_of,
    need_of,
    text_chars,
    user_of,
)
from tests.upstream.calls import CHAT, chat

LATER = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": "And now?"},
]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}


def test_a_call_needs_its_prompt_and_its_output_cap() -> None:
    call = chat("x" * 4000, max_completion_tokens=100)

    need = need_of(call)

    assert need.tokens == pytest.approx(1000 + 100, abs=30)
    assert need.least_tokens == 100
    assert need.requests == 1


@pytest.mark.parametrize("name", ["max_completion_tokens", "max_tokens", "max_output_tokens"])
def test_the_cap_has_several_names(name: str) -> None:
    assert need_of(chat(**{name: 5000})).tokens > 5000


@pytest.mark.parametrize("cap", [None, True, "7", -1])
def test_without_a_sound_cap_some_output_is_expected(cap: object) -> None:
    assert OUTPUT_TOKENS < need_of(chat(max_tokens=cap)).tokens < OUTPUT_TOKENS + 40


def test_pictures_do_not_count_by_their_bytes() -> None:
    call = chat(messages=[{"role": "user", "content": [{"type": "text", "text": "?"}, PICTURE]}])

    need = need_of(call)

    assert need.tokens < 2000
    assert need.least_tokens < 10


def test_a_call_without_a_json_body_needs_a_request() -> None:
    need = need_of(replace(CHAT, body=None, endpoint=Endpoint.OTHER))

    assert (need.requests, need.tokens) == (1, 0)


def test_texts_are_counted_in_all_messages_and_parts() -> None:
    parts = [{"type": "text", "text": "abc"}, PICTURE, {"type": "text", "text": 7}]

    assert text_chars(chat(messages=[*LATER, {"role": "user", "content": parts}])) == 24 + 3
    assert text_chars(chat(messages=["odd", {"content": 5}])) == 0
    assert text_chars(replace(CHAT, body=None)) == 0


def test_all_turns_of_a_conversation_begin_alike() -> None:
    first, later = chat(messages=LATER[:2]), chat(messages=LATER)

    assert beginning_of(first) == beginning_of(later)
    assert beginning_of(first) != beginning_of(chat("Something else"))
    assert beginning_of(first) != beginning_of(chat(messages=LATER[:2], model="other"))


def test_the_user_is_who_the_request_says_else_the_key_else_the_conversation() -> None:
    assert user_of(chat(user="u1", key="k1")) == "u1"
    assert user_of(chat(safety_identifier="s1")) == "s1"
    assert user_of(chat(user="", key="k1")) == "k1"
    assert user_of(chat("a")) == user_of(chat("a")) != user_of(chat("b"))
