"""What an answer says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.claims import adds_nothing, opposed
from proxy.cache.sayings import (
    Ending,
    as_far_as,
    bare,
    calls_of,
    depths,
    ending,
    json_in,
    json_within,
    parts_of,
    text_of,
    texts_that_differ,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


def answer(**message: object) -> dict[str, object]:
    return {"choices": [{"message": message, "finish_reason": "stop"}]}


def test_an_answer_says_its_first_choice() -> None:
    assert text_of(answer(content="Paris")) == "Paris"
    assert ending(answer(content="Paris")) is Ending.TEXT


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"choices": []},
        {"choices": "none"},
        {"choices": [None]},
        answer(content=None),
        answer(content="  "),
        answer(content="x", tool_calls=[{}]),
        answer(content=["parts"]),
    ],
)
def test_what_calls_a_tool_or_says_nothing_has_no_text(said: dict[str, object]) -> None:
    assert text_of(said) is None


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Paris.", "paris"),
        ("**Paris**", "Paris"),
        ("# Result\n\n- one\n- two", "Result\n* one\n* two"),
        ("It\u2019s \u201cfine\u201d", 'it\'s "fine"'),
        ("a  b\r\nc", "a b c"),
    ],
)
def test_case_spaces_and_layout_do_not_count(a: str, b: str) -> None:
    assert bare(a) == bare(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("2*3*4", "234"),
        ("-5", "5"),
        ("5'", '5"'),
        ("3. April", "4. April"),
        ("snake_case", "snakecase"),
        ("__init__", "init"),
        ("a < b", "a > b"),
        ("5 %", "5 $"),
    ],
)
def test_signs_that_mean_something_do_count(a: str, b: str) -> None:
    assert bare(a) != bare(b)
    assert not adds_nothing(a, b, "")


@pytest.mark.parametrize(
    ("a", "b", "question"),
    [
        ("Paris", "The capital of France is Paris.", "What is the capital of France?"),
        ("36", "15% of 240 is 36.", "What is 15% of 240?"),
        ("It is Paris", "Paris", ""),
    ],
)
def test_a_full_sentence_says_no_more_than_its_core(a: str, b: str, question: str) -> None:
    assert adds_nothing(a, b, question)
    assert adds_nothing(b, a, question)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Paris", "Not Paris"),
        ("Paris", "Paris or Lyon"),
        ("Yes", "Yes, but only on Mondays"),
        ("The", "The a"),
        ("36", "36 km"),
    ],
)
def test_a_longer_answer_with_news_says_more(a: str, b: str) -> None:
    assert not adds_nothing(a, b, "")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("Yes, it is.", "No, it is not.", True),
        ("**False**", "True.", True),
        ("Yes", "True", False),
        ("Yes", "Possibly", False),
        ("Now it is", "Yesterday", False),
    ],
)
def test_a_yes_opposes_a_no(a: str, b: str, expected: bool) -> None:
    assert opposed(a, b) is expected
    assert opposed(b, a) is expected


@pytest.mark.parametrize(
    "text", ['{"a": 1}', ' {"a": 1}\n', '```json\n{"a": 1}\n```', '```\n{"a":1}```']
)
def test_json_may_stand_between_fences(text: str) -> None:
    assert json_in(text) == {"a": 1}


@pytest.mark.parametrize("text", ["1", '"a"', "{a: 1}", 'Here: {"a": 1}', "", "null"])
def test_only_an_object_or_a_list_is_json(text: str) -> None:
    assert json_in(text) is None


def test_texts_in_json_are_told_with_those_at_the_same_place() -> None:
    one, other = {"a": 1, "b": ["x", "y"]}, {"b": ["x", "z"], "a": 1.0}

    assert texts_that_differ(one, other) == [("y", "z")]


@pytest.mark.parametrize(
    ("a", "b"),
    [({"a": 1}, {"a": 2}), ([1], [1, 2]), ({"a": 1}, {"b": 1}), ([True], [1]), ([None], ["x"])],
)
def test_json_of_another_structure_or_with_other_values_differs(a: object, b: object) -> None:
    assert texts_that_differ(a, b) is None


@given(value=json_values)
def test_json_is_the_same_as_itself(value: object) -> None:
    assert texts_that_differ(value, value) == []


def test_a_long_answer_comes_apart_into_sentences_and_code() -> None:
    parts = parts_of(
        "Do this. Then that!\n1. First step\n2. Second step\n```py\nx = 1\n```\nDone now."
    )

    assert parts.sentences == ("Do this.", "Then that!", "First step", "Second step", "Done now.")
    assert parts.code == "x = 1\n"


def test_a_date_is_no_item_of_a_list() -> None:
    assert parts_of("3. April is a Friday.").sentences == ("3. April is a Friday.",)


def test_a_line_with_nothing_but_a_number_is_no_noise() -> None:
    assert parts_of("Result\n42").sentences == ("42",)


CUT = {"choices": [{"message": {"content": "one two th"}, "finish_reason": "length"}]}


def test_a_cut_answer_is_laid_beside_as_many_words() -> None:
    both = as_far_as(answer(content="one  two\nthree four"), CUT)

    assert both is not None
    assert [text_of(each) for each in both] == ["one  two", "one two"]
    assert {ending(each) for each in both} == {Ending.CUT}


@pytest.mark.parametrize("kept", ["one", "", None])
def test_a_shorter_answer_is_not_laid_beside_a_cut_one(kept: str | None) -> None:
    assert as_far_as(answer(content=kept), CUT) is None


@pytest.mark.parametrize(
    ("message", "finish_reason", "expected"),
    [
        ({"content": "x"}, "stop", Ending.TEXT),
        ({"content": "x"}, "length", Ending.CUT),
        ({"content": "x"}, "content_filter", Ending.FILTERED),
        ({"content": None, "tool_calls": [{}]}, "tool_calls", Ending.TOOLS),
        ({"content": None, "tool_calls": [{}]}, "length", Ending.BROKEN),
        ({"content": None, "refusal": "no"}, "stop", Ending.REFUSED),
        ({"content": None}, "stop", Ending.BROKEN),
        ({"content": "x"}, None, Ending.BROKEN),
    ],
)
def test_answers_end_in_many_ways(
    message: dict[str, object], finish_reason: str | None, expected: Ending
) -> None:
    told = {"choices": [{"message": message, "finish_reason": finish_reason}]}

    assert ending(told) is expected


def test_calls_of_tools_are_json() -> None:
    call = {"id": "any", "function": {"name": "look", "arguments": '{"at": 1}'}}

    assert calls_of(answer(tool_calls=[call])) == [{"name": "look", "with": {"at": 1}}]


def test_json_may_stand_in_few_words() -> None:
    assert json_within('Here it is:\n```json\n{"a": 1}\n```') == {"a": 1}
    assert json_within("```\n{}\n```\n```\n{}\n```") is None
    assert json_within("no fence") is None
    assert json_within('```\n{"a": 1}\n```\n' + "word " * 50) is None


def test_lines_stand_as_deep_as_their_steps() -> None:
    assert depths("a\n  b\n    c\nd") == depths("a\n    b\n\tc\nd".replace("\t", " " * 8))
    assert depths("a\n  b\n  c") != depths("a\n  b\nc")
    assert depths("- a\n  - b") == depths("- a\n- b") == []


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("10²", "10^2"),
        ("x**2", "x^2"),
        ("\\(x^{2}\\)", "x^2"),
        ("\\boxed{42}", "42"),
        ("H₂O", "H2O"),
        ("½", "1/2"),
        ("1. a\n2. b", "- a\n- b"),
    ],
)
def test_formulas_and_lists_may_be_written_otherwise(a: str, b: str) -> None:
    assert bare(a) == bare(b)


@pytest.mark.parametrize(("a", "b"), [("10²", "102"), ("2½", "21/2"), ("10₂", "102")])
def test_raised_and_lowered_characters_count(a: str, b: str) -> None:
    assert bare(a) != bare(b)


@given(a=st.text(max_size=80), b=st.text(max_size=80), question=st.text(max_size=40))
def test_any_text_can_be_taken_apart(a: str, b: str, question: str) -> None:
    parts_of(a)
    json_in(a)

    assert adds_nothing(a, b, question) == adds_nothing(b, a, question)
    assert opposed(a, b) == opposed(b, a)
