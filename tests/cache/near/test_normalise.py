"""Text becomes plain words, and what is verbatim stays as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.near.normalise import PLACE, Kind, take_apart


def forms(text: str) -> list[str]:
    return [word.form for word in take_apart(text).words]


def spans(text: str, kind: Kind) -> list[str]:
    return [span.text for span in take_apart(text).spans if span.kind is kind]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I can't swim", "i can not swim"),
        ("It’s what’s best", "it is what is best"),
        ("two hundred and fifty thousand", "250000"),
        ("the twenty-first letter", "the 21 letter"),
        ("3 million people", "3000000 people"),
        ("the 3rd", "the 3"),
        ("1,250,000 miles", "1250000 miles"),
        ("$20.50", "20.50 usd"),
        ("15%", "15 percent"),
        ("60 mph", "60 mile per hour"),
        ("90 km/h", "90 km per hour"),
        ("5kg", "5 kg"),
        ("World War II", "world war 2"),
        ("Python 3.11", "python 3.11"),
        ("the 80s", "the 1980s"),
        ("v2 of GPT-4o", "2 of gpt 4o"),
        ("analyse the colours", "analyze the colors"),
        ("the U.S. economy", "the usa economy"),
        ("in ½ a day", "in 1/2 a day"),
        ("turn off the light", "disable the light"),
        ("per second", "per second"),
        ("the second one", "the 2 one"),
    ],
)
def test_one_thing_has_one_spelling(text: str, expected: str) -> None:
    assert " ".join(forms(text)) == expected


@pytest.mark.parametrize("text", ["When should I go?", "Which one is it?", "a light second"])
def test_what_only_looks_like_a_number_stays_a_word(text: str) -> None:
    assert not any(word.number for word in take_apart(text).words)


def test_quotes_and_backticks_are_never_touched() -> None:
    parts = take_apart("Is “Their  twenty-one colours” shown by `LS -la  ~/X`?")

    assert parts.spans == (
        (Kind.QUOTED, "Their  twenty-one colours"),
        (Kind.TICKED, "LS -la  ~/X"),
    )
    assert parts.forms == ("is", PLACE, "shown", "by", PLACE)
    assert forms("Is 'a' shown by `b`?") == ["is", "shown", "by"]


def test_an_apostrophe_opens_no_quotation() -> None:
    assert take_apart("the dogs' owner said it's the cats' turn").spans == ()


@pytest.mark.parametrize(
    "code",
    [
        *("list.append", "report.docx", "--soft", "-la", "/etc/hosts", "HEAD~1", "x^2", "f(x)"),
        *(
            "a[0]",
            "[a-z]+",
            "1..5",
            "https://x.org/A",
            "range(10):",
            "print(i",
            "snake_case",
            "getElementById",
            "std::move",
            "$HOME",
            "u+x",
        ),
    ],
)
def test_code_is_taken_as_it_stands(code: str) -> None:
    assert code in spans(f"What does {code} do", Kind.CODE)


@pytest.mark.parametrize(
    "name", ["iPhone", "JavaScript", "PostgreSQL", "C++", "Node.js", "Quora.com", "file(s)", "e.g."]
)
def test_names_are_no_code(name: str) -> None:
    assert take_apart(f"Tell me of {name} now").spans == ()


def test_a_fenced_block_keeps_its_label_and_its_blanks() -> None:
    text = "What is this?\n```ruby\nif a\n  b\n```"

    assert spans(text, Kind.TICKED) == ["ruby\nif a\n  b\n"]


@pytest.mark.parametrize(
    ("text", "code"), [("10²", "10^2"), ("x₂", "x_2"), ("2³", "2^3"), ("e⁻¹", "e^-1")]
)
def test_what_is_raised_or_lowered_is_no_digit_of_a_number(text: str, code: str) -> None:
    straight = code.replace("-", "−") if "⁻" in text else code

    assert spans(f"What is {text} here", Kind.CODE) in ([code], [straight])


@given(st.text(max_size=80))
def test_any_text_can_be_taken_apart(text: str) -> None:
    parts = take_apart(text)

    assert all(word.form and not word.form.isspace() for word in parts.words)
