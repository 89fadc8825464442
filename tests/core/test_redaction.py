import time
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.redaction import Redactor
from proxy.core.secrets import Secrets

REDACTOR = Redactor(Secrets(["s3cret-s3cret"]).hide)


@pytest.mark.parametrize(
    "text",
    [
        "write to ann.lee+x@mail.example.co.uk!",
        "<ann@example.com>",
        "mailto:ann@example.com?subject=x",
        "card 4111 1111 1111 1111",
        "4111-1111-1111-1111 cvv 123",
        "4111 1111 1111 1111 123",
        "5500000000000004.",
        "my cards: 4111111111111111 5500000000000004",
        "Amex 3782 822463 10005",
        "call +49 171 1234567",
        "(555) 123-4567",
        "555-123-4567",
        "0171 123 45 67",
        "+1 (415) 555-2671",
        "key gsk_abcdefghijk1",
        "sk-abcdefghijk1",
        "Authorization: Bearer abcdef123",
        "it is s3cret-s3cret",
    ],
)
def test_what_names_or_charges_a_person_goes(text: str) -> None:
    shown = REDACTOR.text(text)

    for part in ("ann", "4111", "0004", "10005", "1234", "4567", "2671", "abcdef", "s3cret", "45"):
        assert part not in shown, shown
    assert "[" in shown or "***" in shown


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-11-22 we met",
        "192.168.10.20",
        "order 1234567890",
        "pi is 3.14159265358979",
        "4111 1111 1111 1112 has a wrong check digit",
        "1,000,000,000 people",
        "@home and user@host",
        "in 1999, 2000 and 2001",
        "def f(x): return x @ y",
    ],
)
def test_other_numbers_and_words_stay(text: str) -> None:
    assert REDACTOR.text(text) == text


def test_an_operator_s_own_patterns_go_first() -> None:
    redactor = Redactor(str, [r"EMP-\d+", "(?i)project \\w+"])

    assert redactor.text("EMP-1234 of Project Zeus") == "[redacted] of [redacted]"


def test_json_is_cleaned_everywhere_and_stays_json() -> None:
    told = {"ann@example.com": [{"n": 4111111111111111, "ok": True, "f": 1.5, "none": None}, "a"]}

    assert REDACTOR.json(told) == {
        "[email]": [{"n": "[card]", "ok": True, "f": 1.5, "none": None}, "a"]
    }


def test_images_as_text_are_only_told_of() -> None:
    assert REDACTOR.text("data:image/png;base64," + "A" * 5000) == "[data of 5022 characters]"


def test_what_is_too_deep_is_cut_off() -> None:
    value: list[object] = []
    for _ in range(500):
        value = [value]

    assert "[too deep]" in str(REDACTOR.json(value))


@given(st.text(alphabet="0123456789 -+()./@a", max_size=80))
def test_what_is_clean_once_stays_as_it_is(text: str) -> None:
    once = REDACTOR.text(text)

    assert "@" not in once or "[email]" not in once or REDACTOR.text(once).count("[email]") >= 1


@pytest.mark.parametrize(
    "piece", ["1", "1 ", "1-", "a@", "@a.", "a.a@a.a", "+1", "(", "+49 1", "a" * 64 + "@", "0/ "]
)
def test_half_a_megabyte_of_beginnings_is_soon_read(piece: str) -> None:
    began = time.process_time()
    REDACTOR.text(piece * (500_000 // len(piece)))
    assert time.process_time() - began < 3


@pytest.mark.parametrize("gap", ["\u00a0", "\u2013", "\n"])
def test_a_card_is_taken_out_whatever_stands_between_its_groups(gap: str) -> None:
    assert "1111" not in REDACTOR.text(f"pay by {gap.join(['4111', '1111', '1111', '1111'])} now")


def test_bytes_that_are_written_as_text_are_only_told_of() -> None:
    sound = b64encode(bytes(range(256)) * 8).decode()

    assert REDACTOR.json({"data": sound}) == {"data": f"[data of {len(sound)} characters]"}
