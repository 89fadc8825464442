from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.embedding.builtin import Builtin
from proxy.embedding.wordpiece import WordPiece

PIECES = [
    *("[PAD]", "[UNK]", "un", "##aff", "##able", "play", "##ing", "##s", "?", ",", "e", "##t"),
    *("ete", "caf", "##e", "1", "5", "%", "中", "国", "ss"),
]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("unaffable", "un ##aff ##able"),
        ("Playing, plays?", "play ##ing , play ##s ?"),
        ("15%", "[UNK] %"),  # no piece is `##5`, so the whole word is unknown
        ("1 5 %", "1 5 %"),
        ("été CAFÉ", "ete caf ##e"),
        ("中国 play", "中 国 play"),
        ("play\u00a0play\tplay\n\nplay", "play play play play"),
        ("pl\u200bay pl\x00ay\x0b", "play play"),
        ("zzz", "[UNK]"),
        ("ß", "[UNK]"),
        ("", ""),
        (" \t ", ""),
    ],
)
def test_a_text_is_cut_like_this(text: str, pieces: str) -> None:
    words = WordPiece(PIECES)

    cut = [words.pieces[number] for number in words.numbers(text)]

    assert cut == pieces.split()


def test_a_word_of_more_than_100_characters_is_unknown() -> None:
    words = WordPiece([*PIECES, "a", "##a"])

    assert len(words.numbers("a" * 100)) == 100
    assert words.numbers("a" * 101) == [words.number("[UNK]")]


def test_the_words_remembered_are_bounded() -> None:
    words = WordPiece(PIECES, remembered=10)

    for number in range(100):
        words.numbers(f"word{number}")

    assert len(words._remembered) <= 10


@given(st.text())
def test_what_was_met_before_changes_nothing(text: str) -> None:
    words = WordPiece(PIECES)

    first = words.numbers(text)

    assert words.numbers(text) == first == WordPiece(PIECES).numbers(text)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_quick_path_for_ascii_cuts_as_the_other_does(text: str) -> None:
    words = WordPiece(PIECES)

    quick = words.words(text)
    thorough = [word for word in words.words(f"{text} é") if word]

    assert [*quick, "e"] == thorough


@given(st.text())
def test_capitals_and_composed_accents_make_no_difference(text: str) -> None:
    words = WordPiece([*PIECES, *"abcdefghijklmnopqrstuvwxyz"])

    assert words.numbers(text + " É") == words.numbers(text + " e\u0301")


def test_real_words_are_cut_as_the_reference_does(builtin: Builtin, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="the extra `semantic` is not installed")
    vocabulary = tmp_path / "vocabulary.txt"
    vocabulary.write_text("\n".join(builtin.words.pieces) + "\n", encoding="utf-8")
    reference = tokenizers.BertWordPieceTokenizer(str(vocabulary), lowercase=True)
    texts = [
        *("What's the naïve approach to Σίσυφος?", "Ünïcödé — “quoted” … 50 €", "日本語のテキスト"),
        *(
            "İstanbul",
            "한국어 질문",
            "ﬁne ﬂow",
            "a\u00adb",
            "x\u0085y",
            "emoji 🙂👍🏽 done",
            "`code_x`",
        ),
        *("1,000.50$", "don't", "C++/C#", "ΑΣ", "नमस्ते दुनिया", "שלום עולם", "\ufffd?", "a\u2028b"),
    ]

    for text in texts:
        theirs = reference.encode(text, add_special_tokens=False).ids
        assert builtin.words.numbers(text) == theirs, text
