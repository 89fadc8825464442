"""How texts are cut into passages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rag.chunks import LONGEST_TITLE, MOST_BYTES, passage_id, passages, pieces, spans
from proxy.rag.documents import Section

SHORT = 40  # bytes


def cut(text: str, overlap: int = 0) -> list[str]:
    return list(pieces(text, SHORT, overlap))


def test_what_fits_is_one_piece_as_it_was_written() -> None:
    text = "  One.\n\n  Two lines\nof it.  \n"

    assert cut(text) == ["One.\n\n  Two lines\nof it."]
    assert cut(" \n ") == []


def test_a_long_text_is_cut_between_sentences() -> None:
    text = "The first one is here. Then a second one! Is there a third? Yes."

    assert cut(text) == ["The first one is here.", "Then a second one! Is there a third?", "Yes."]


def test_it_is_rather_cut_between_paragraphs_if_they_are_not_tiny() -> None:
    assert cut("This is not short.... \n\nAnother. And a third sentence.") == [
        "This is not short....",
        "Another. And a third sentence.",
    ]
    assert cut("Tiny.\n\nAnother one is here. And a third sentence.")[0].startswith("Tiny.\n\nAno")


@pytest.mark.parametrize(
    "whole",
    [
        "It was e.g. Dr. Smith of St. Ives.",
        "See no. 5 of it (cf. A. Turing), please.",
        "It costs 3.50 or 1.000 at most, Mr. X.",
        "Wait... for it to be over, they said",
        "A line that goes on\nin the next one.",
    ],
)
def test_a_dot_or_a_line_end_within_a_sentence_does_not_end_it(whole: str) -> None:
    assert cut(f"Here is one more. {whole}")[-1] == whole


def test_quotes_and_brackets_belong_to_the_sentence_that_they_end() -> None:
    assert cut('He asked: "Is it so?" (It was.) **Then he went.** So it ended.') == [
        'He asked: "Is it so?" (It was.)',
        "**Then he went.** So it ended.",
    ]


def test_items_of_lists_and_rows_of_tables_are_not_torn() -> None:
    text = "- one item of them\n- another item\n  that goes on\n1. a numbered one\n| a | row |"

    assert cut(text) == [
        "- one item of them",
        "- another item\n  that goes on",
        "1. a numbered one\n| a | row |",
    ]


def test_lines_of_code_are_not_torn() -> None:
    text = "So:\n```sh\nmake it. Now do\n\nrun it. And stop # no\n```\nAnd that was all. Really."

    assert cut(text) == [
        "So:\n```sh\nmake it. Now do",
        "run it. And stop # no\n```",
        "And that was all. Really.",
    ]


def test_scripts_without_spaces_are_cut_at_their_own_stops() -> None:
    assert cut("这是第一句话。这是第二句话！「第三句？」这是第四句。") == [
        "这是第一句话。",
        "这是第二句话！「第三句？」",
        "这是第四句。",
    ]


def test_a_piece_begins_with_the_last_sentences_of_the_one_before() -> None:
    text = "Number one is here. Two is. Three is. Number four is here."

    assert cut(text, overlap=20) == [
        "Number one is here. Two is. Three is.",
        "Two is. Three is. Number four is here.",
    ]
    assert cut(text, overlap=10)[1] == "Three is. Number four is here."
    assert cut(text, overlap=5)[1] == "Number four is here."


def test_a_sentence_that_is_too_long_is_cut_between_words_or_anywhere() -> None:
    assert cut("word " * 20)[0] == "word word word word word word word word"
    assert cut("x" * 100) == ["x" * 40, "x" * 40, "x" * 20]
    assert cut("ä" * 50) == ["ä" * 20, "ä" * 20, "ä" * 10]


TEXTS = st.text(st.sampled_from('aB1 .!?\n-`|#。😀\u00e4()\t"'), max_size=300)


@given(TEXTS | st.text(), st.integers(4, 60), st.integers(0, 60))
def test_nothing_is_lost_and_no_piece_is_too_long(text: str, most: int, overlap: int) -> None:
    text = text.encode(errors="replace").decode()

    done = 0  # up to here all but white space has stood in a piece
    for begin, end in spans(text, most, overlap):
        assert 0 < len(text[begin:end].encode()) <= most
        assert text[begin:end] == text[begin:end].strip()
        assert not text[done:begin].strip()
        assert len(text[begin:done].encode()) <= overlap
        assert end > done
        done = end
    assert not text[done:].strip()


def test_passages_are_titled_by_their_headings_and_known_by_what_they_hold() -> None:
    sections = [Section(("A", "B"), "One. " * 400), Section((), "Two."), Section((), "Two.")]

    made = passages("docs/a.md", sections)

    assert {passage.title for passage in made[:-1]} == {"A > B"}
    assert all(len(passage.text.encode()) <= MOST_BYTES for passage in made)
    assert (made[-1].title, made[-1].text) == ("", "Two.")
    assert len({passage.id for passage in made}) == len(made)
    assert all(each.id == passage_id(each.document, each.title, each.text) for each in made)


def test_of_too_long_a_title_the_inner_headings_stay() -> None:
    inner, longest = passages(
        "d", [Section(("x" * 200, "y" * 100, "z"), "a"), Section(("x" * 400,), "b")]
    )

    assert inner.title == f"{'y' * 100} > z"
    assert longest.title == "x" * LONGEST_TITLE


@given(*[st.tuples(st.text(), st.text(), st.text())] * 2)
def test_ids_are_equal_where_all_fields_are(
    a: tuple[str, str, str], b: tuple[str, str, str]
) -> None:
    assert (passage_id(*a) == passage_id(*b)) == (a == b)


def test_an_edit_changes_only_the_passages_around_it() -> None:
    paragraphs = [f"This is paragraph {i}. " + "It goes on. " * 30 for i in range(40)]
    sections = [Section((f"part {i}",), text) for i, text in enumerate(paragraphs)]
    before = {each.id for each in passages("d", sections)}

    sections[20] = Section(("part 20",), paragraphs[20] + "One more.")
    after = {each.id for each in passages("d", sections)}

    assert len(after - before) == len(before - after) == 1
