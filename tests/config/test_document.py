"""YAML with variables."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.config.document import read
from proxy.config.errors import ConfigError

Write = Callable[[str], Path]

ODD = "a: `${` must be ${NAME} or ${NAME:-default}; write `$${` for the characters"
ENV = {"WORD": "hello", "NUMBER": "5", "ODD": "a: {b: [c]} # d"}


def test_variables_are_filled_into_text(write: Write) -> None:
    text = """
        a: ${WORD}
        b: "say ${WORD} to ${NUMBER}"
        c: [x, "${ABSENT:-default}"]
        d: "${ABSENT:-}"
        e: $${WORD} costs $5
    """

    assert read(write(text), ENV).tree == {
        "a": "hello",
        "b": "say hello to 5",
        "c": ["x", "default"],
        "d": "",
        "e": "${WORD} costs $5",
    }


def test_a_variable_is_a_number_in_plain_style_and_text_in_quotes(write: Write) -> None:
    text = "a: ${NUMBER}\nb: '${NUMBER}'\nc: ${ABSENT:-1.5}\nd: ${ABSENT:-true}\ne: ${ABSENT:-}\n"

    tree = read(write(text), ENV).tree

    assert tree == {"a": 5, "b": "5", "c": 1.5, "d": True, "e": None}


def test_a_variable_cannot_add_structure(write: Write) -> None:
    assert read(write("a: ${ODD}"), ENV).tree == {"a": "a: {b: [c]} # d"}


def test_an_empty_variable_counts_as_not_set(write: Write) -> None:
    assert read(write("a: ${EMPTY:-default}"), {"EMPTY": ""}).tree == {"a": "default"}


def test_it_is_known_where_variables_stood(write: Write) -> None:
    document = read(write("a: {b: [x, '${WORD}']}\nc: d"), ENV)

    assert document.from_variable == {("a", "b", 1)}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("off", "off"),
        ("no", "no"),
        ("on", "on"),
        ("010", "010"),
        ("1:30", "1:30"),
        ("2026-11-21", "2026-11-21"),
        ("1_000", "1_000"),
        ("true", True),
        ("~", None),
        ("-7", -7),
        ("1e3", 1000.0),
        (".5", 0.5),
    ],
)
def test_words_mean_what_yaml_1_2_says(write: Write, word: str, value: object) -> None:
    assert read(write(f"a: {word}"), {}).tree == {"a": value}


def test_anchors_and_merges_work_and_the_nearest_value_wins(write: Write) -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: *a}\nd: *a\n"

    assert read(write(text), {}).tree == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
        "d": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
def test_an_empty_file_says_nothing(write: Write, text: str) -> None:
    assert read(write(text), {}).tree == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: ${ABSENT}", "a: the environment variable ABSENT is not set"),
        ("a: {b: [1, '${ABSENT}']}", "a.b[1]: the environment variable ABSENT is not set"),
        ("a: ${1}", ODD),
        ("a: '${A-b}'", ODD),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: `a` stands twice, first in line 1"),
        ("a:\n  b: 1\n  b: 2", "line 3, column 3: `b` stands twice, first in line 2"),
        ("a: b: c", "line 1, column 5: mapping values are not allowed here"),
        ("a: [1", "line 1, column 6: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n\tb: 2", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("{[1]: 2}", "line 1, column 2: a name must be text"),
        ("a: 1\n---\nb: 2", "line 2, column 1: but found another document"),
        ("a: *b", "line 1, column 4: found undefined alias 'b'"),
        ("a: &a [*a]", "is nested too deeply, or refers to itself"),
        ("a: " + "[" * 2000, "is nested too deeply, or refers to itself"),
        ("a: !!int x", "a: must be int"),
        ("a: !thing x", "line 1, column 4: could not determine a constructor for the tag '…'"),
        ("a: \x00", "contains a character that YAML does not allow"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_place(write: Write, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(write(text), {})

    assert str(caught.value) == f"proxy.yaml: {reason}"


def test_a_file_that_is_not_text_is_refused(write: Write) -> None:
    path = write("")
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match=r"^proxy\.yaml: is not UTF-8 text$"):
        read(path, {})


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read(tmp_path, {})
