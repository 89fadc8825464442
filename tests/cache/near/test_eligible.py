"""Which calls may never be answered with a near answer."""

from typing import Any

import pytest

from proxy.cache.near.eligible import Bounds, Bypass, near_bypass, question


def chat(text: Any = "How do I bake bread?", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **fields}


def answer(finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish, "message": {"content": "Yes.", **message}}]}


def test_a_plain_question_is_eligible() -> None:
    assert not near_bypass(chat(), answer())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"n": 2}, Bypass.CHOICES),
        ({"n": 1}, Bypass.NONE),
        ({"temperature": 0.8}, Bypass.TEMPERATURE),
        ({"temperature": 0.7}, Bypass.NONE),
        ({"temperature": None}, Bypass.NONE),
        ({}, Bypass.NONE),
    ],
)
def test_parameters_count_only_when_they_were_sent(fields: Any, expected: Bypass) -> None:
    assert near_bypass(chat(**fields)) is expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(tool_calls=[{"id": "1"}]), Bypass.TOOL_CALLS),
        (answer(finish="length"), Bypass.UNFINISHED),
        (answer(content=""), Bypass.UNFINISHED),
        (answer(refusal="No."), Bypass.REFUSED),
        ({"error": {}}, Bypass.UNFINISHED),
    ],
)
def test_only_whole_plain_answers_serve_others(reply: dict[str, Any], expected: Bypass) -> None:
    assert near_bypass(chat(tools=[{"type": "function"}]), reply) is expected


def test_tools_alone_are_no_reason() -> None:
    assert not near_bypass(chat(tools=[{"type": "function"}]), answer())


def test_long_conversations_and_long_turns_are_left_out() -> None:
    turn = {"role": "user", "content": "Hello there"}

    assert near_bypass({"messages": [turn] * 9}) is Bypass.MESSAGES
    assert not near_bypass({"messages": [turn] * 9}, bounds=Bounds(messages=20))
    assert near_bypass(chat("Tell me of this. " * 70)) is Bypass.LONG


def test_text_parts_are_text_and_others_are_not() -> None:
    text, image = {"type": "text", "text": "What is this?"}, {"type": "image_url"}

    assert question(chat([text, text])) == "What is this?\nWhat is this?"
    assert near_bypass(chat([text, image])) is Bypass.CONTENT
    assert near_bypass(chat("  ")) is Bypass.CONTENT
    assert near_bypass({"messages": [{"role": "tool", "content": "4"}]}) is Bypass.CONTENT


@pytest.mark.parametrize(
    "text",
    [
        "What is the latest version of Go?",
        "Who is the current president of Chile?",
        "What should I wear today?",
        "Which films open next week?",
        "What is the bitcoin price right now?",
        "What is the bitcoin price?",
        "What is the price of gold?",
        "How is the weather in Paris?",
        "Will it rain in London?",
        "What time is it in Tokyo?",
        "What is the score of the Lakers game?",
        "Who is the CEO of Twitter?",
        "Name the chief executive of Intel",
        "Who is the president of France?",
        "Any news on the strike?",
        "How much is 100 USD in EUR?",
        "Is GitHub down?",
        "How many days until Christmas?",
        "What did the president say today?",
        "How do I fix the outage we have today?",
        "Fix the outage we have today",
        "Summarize the news of today",
    ],
)
def test_what_depends_on_the_day_is_left_out(text: str) -> None:
    assert near_bypass(chat(text)) is Bypass.VOLATILE


@pytest.mark.parametrize(
    "text",
    [
        "What were the latest phones in 2019?",
        "Translate 'see you tomorrow' into Dutch",
        "How do I get today's date in Python?",
        "What is an electric current?",
        "My train was cancelled, what now?",
        "What is price elasticity?",
        "Why does the weather change?",
        "How is the weather in Rome in June?",
        "Who was the president of France in 1970?",
        "What does a CEO do?",
        "What is the next number: 2, 4, 8?",
        "What is the time complexity of quicksort?",
        "How do you say see you tomorrow in Spanish?",
        "Summarize this: today we met the president",
    ],
)
def test_words_for_days_alone_are_no_reason(text: str) -> None:
    assert not near_bypass(chat(text))


def test_questions_about_ones_own_account_need_a_tenant_of_ones_own() -> None:
    body = chat("When will my order arrive?")

    assert near_bypass(body) is Bypass.PERSONAL
    assert not near_bypass(body, shared=False)
    assert not near_bypass(chat("How do I cancel my order?"))


def test_other_languages_are_left_out() -> None:
    assert near_bypass(chat("Wie koche ich den Reis mit Milch?")) is Bypass.LANGUAGE
