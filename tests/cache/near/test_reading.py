"""A reading holds what tells near questions apart."""

from time import perf_counter

import pytest

from proxy.cache.near.reading import read


@pytest.mark.parametrize(
    "text",
    [
        "How do I fold a map?",
        "Hey, could you please tell me how to fold a map? Thanks!",
        "What is the best way to fold a map?",
        "Quick question: how can I fold a map",
        "I was wondering how to fold a map",
        "Good morning, is there a way to fold a map?",
        "Sorry to bother you, how would one fold a map?",
    ],
)
def test_politeness_and_frames_leave_the_same_question(text: str) -> None:
    reading = read(text)

    assert reading.stems == ("fold", "map")
    assert reading.asks == "how"


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Why is the sea salty?", "why"),
        ("What causes tides?", "why"),
        ("What time does it open?", "when"),
        ("How tall is the tower?", "amount"),
        ("What is the number of moons?", "amount"),
        ("Can cows swim?", "whether"),
        ("Explain tides", ""),
        ("Which river is longest?", "what"),
    ],
)
def test_the_kind_of_answer_is_read(text: str, asks: str) -> None:
    assert read(text).asks == asks


def test_names_units_times_and_forms_are_found() -> None:
    reading = read(
        "As a table, how many miles did Ada Byron walk in March and next week with Rust?"
    )

    assert {"ada", "byron"} <= reading.entities
    assert reading.units == {"mile"}
    assert reading.times == {"march", "next week"}
    assert reading.shapes == {"table"}
    assert reading.languages == {"rust"}


def test_a_text_in_capitals_throughout_names_nothing() -> None:
    assert read("WHAT DOES EVERY SMALL BANK NEED").entities == frozenset()


def test_may_is_a_month_only_as_a_name() -> None:
    assert read("What may I plant?").times == frozenset()
    assert read("What can I plant in May?").times == {"may"}


def test_what_is_handed_over_after_a_colon_is_read_as_it_is() -> None:
    assert read("Translate this into Dutch: Two dogs, please").payload == "Two dogs"
    assert read("Translate this into Dutch").payload == ""


@pytest.mark.parametrize(
    "text",
    [
        "¿Cuál es la capital de Portugal?",
        "Wie backe ich ein Brot mit Hefe?",
        "Quelle est la plus grande ville du monde ?",
        "什么是机器学习",
        "Как сварить рис?",
        "Qual é a melhor maneira de aprender?",
    ],
)
def test_other_languages_are_not_taken_for_english(text: str) -> None:
    assert not read(text).english


@pytest.mark.parametrize(
    "text",
    [
        "How do I say “où est la gare” politely?",
        "best cafés in San José",
        "kubectl get pods output explained",
        "Who was Nikola Tesla?",
        "What does `ls -la` do?",
    ],
)
def test_english_with_foreign_names_is_english(text: str) -> None:
    assert read(text).english


def test_an_empty_text_can_be_read() -> None:
    assert read("  ").stems == ()


@pytest.mark.parametrize(
    "piece", ["hey ", "a: ", "`", '"', "x_", "for a ", "1,", "this: ", "not ", "3.", "(" * 9, "'s "]
)
def test_long_and_odd_texts_are_read_in_time(piece: str) -> None:
    text = piece * (50_000 // len(piece))

    start = perf_counter()
    reading = read(text)

    assert perf_counter() - start < 2  # some 0.05 s; a runaway pattern takes minutes
    assert not reading.english
    assert reading.text == text
