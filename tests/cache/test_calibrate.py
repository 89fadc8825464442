"""Precision and recall of a way of deciding, and the curve."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.calibrate import (
    COLUMNS,
    BadPairs,
    NoPlot,
    Pair,
    Ratio,
    Setting,
    plot,
    read_pairs,
    report,
)

SETTINGS = [Setting("balanced", 0.5), Setting("careful", 0.85)]


def decide(a: str, _: str) -> float:
    """The score that the question says."""
    return float(a)


def pairs(*told: tuple[float, bool]) -> list[Pair]:
    return [Pair(str(score), "b", same) for score, same in told]


TOLD = pairs((0.9, True), (0.9, False), (0.6, True), (0.6, True), (0.2, False), (0.1, True))
scored = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.5001, 0.9, 1.0]), st.booleans()), max_size=40
)


def test_each_setting_has_its_precision_and_recall() -> None:
    balanced, careful = report(TOLD, decide, SETTINGS).settings

    assert (balanced.precision, balanced.recall) == (Ratio(3, 4), Ratio(3, 4))
    assert (careful.precision, careful.recall) == (Ratio(1, 2), Ratio(1, 4))
    assert (balanced.wrong, careful.wrong) == (1, 1)


def test_the_curve_serves_equal_scores_together() -> None:
    curve = report(TOLD, decide, SETTINGS).curve

    assert [point.setting.threshold for point in curve] == [0.9, 0.6, 0.2, 0.1]
    assert [point.precision.tries for point in curve] == [2, 4, 5, 6]


def test_what_the_last_setting_gets_wrong_is_listed() -> None:
    assert report(TOLD, decide, SETTINGS).errors == (Pair("0.9", "b", same=False),)


def test_each_pair_is_decided_once() -> None:
    asked: list[str] = []

    def count(a: str, b: str) -> float:
        asked.append(b)
        return float(a)

    report(TOLD, count, SETTINGS)

    assert len(asked) == len(TOLD)


def test_rows_say_what_is_certain() -> None:
    told = report(TOLD, decide, SETTINGS)

    assert {len(row) for row in told.rows()} == {len(COLUMNS)}
    assert told.rows()[0] == (
        *("balanced", "0.500", "4", "1"),
        *("75.0 % [19.4, 99.4]", "75.0 % [19.4, 99.4]"),
    )


def test_json_says_the_same() -> None:
    told = report(TOLD, decide, SETTINGS[:1]).told()

    assert told["pairs"] == 6
    assert told["settings"] == [
        {
            "setting": "balanced",
            "threshold": 0.5,
            "served": 4,
            "wrong": 1,
            "precision": 0.75,
            "precision_95": list(Ratio(3, 4).bounds),
            "recall": 0.75,
            "recall_95": list(Ratio(3, 4).bounds),
        }
    ]


def test_of_nothing_nothing_is_claimed() -> None:
    told = report([], decide, SETTINGS)

    assert told.curve == ()
    assert told.rows()[0][-2:] == ("-", "-")


@given(told=scored)
def test_a_lower_threshold_never_loses_recall(told: list[tuple[float, bool]]) -> None:
    curve = report(pairs(*told), decide, SETTINGS).curve

    recalls = [point.recall.hits for point in curve]
    assert recalls == sorted(recalls)
    assert not curve or curve[-1].precision.tries == len(told)


def test_pairs_are_read_from_lines(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(
        '{"id": "1", "a": "x", "b": "y", "same": true, "kind": "near:unit"}\n\n'
        '{"a": "x", "b": "z", "same": false}\n'
    )

    assert list(read_pairs(file)) == [
        Pair("x", "y", same=True, kind="near:unit"),
        Pair("x", "z", same=False),
    ]


def test_a_mark_of_byte_order_at_the_beginning_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"a": "x", "b": "y", "same": true}', encoding="utf-8-sig")

    assert list(read_pairs(file)) == [Pair("x", "y", same=True)]


def test_bytes_that_are_no_utf_8_are_told_so(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_bytes(b'{"a": "\xff", "b": "y", "same": true}')

    with pytest.raises(BadPairs, match=r"line 1: no UTF-8$"):
        list(read_pairs(file))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nonsense", r"line 2: no JSON \([^0-9]+\)$"),
        ("[]", "line 2: must be an object"),
        ('{"a": 1, "b": "y", "same": true}', "line 2: a and b must be texts"),
        ('{"a": "x", "b": "y", "same": 1}', "line 2: same must be true or false"),
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str, why: str) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text('{"a": "x", "b": "z", "same": false}\n' + line)

    with pytest.raises(BadPairs, match=why):
        list(read_pairs(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadPairs, match=r"none.jsonl: No such file"):
        list(read_pairs(tmp_path / "none.jsonl"))


def test_the_curve_is_drawn_or_it_is_told_what_is_missing(tmp_path: Path) -> None:
    told, file = report(TOLD, decide, SETTINGS), tmp_path / "curve.png"
    if importlib.util.find_spec("matplotlib") is None:
        with pytest.raises(NoPlot, match=r"groq-proxy\[calibrate\]"):
            plot(told, file)
        return

    plot(told, file)

    assert file.read_bytes().startswith(b"\x89PNG")
