"""Cuts a text into the word pieces of BERT's uncased vocabulary, exactly as the original does.

The steps: control characters go, accents go, capitals become small, white space parts words,
punctuation marks and Chinese characters stand alone. A word is then eaten from the left by the
longest piece in the vocabulary; what follows the first piece is looked up with `##` in front. A
word that cannot be eaten to its end, or has more than 100 characters, is one `[UNK]`.

Source: google-research/bert, `tokenization.py`; where it and Hugging Face's `tokenizers`
disagree, the latter is followed, because the models were trained through it.
"""

import re
import unicodedata
from collections.abc import Sequence

_WORD_MAX = 100  # characters; longer ones are not looked at
_REMEMBERED_MAX = 50_000  # words with their pieces, about 10 MB
_ASCII_WORDS = re.compile(r"[0-9a-z]+|[!-/:-@\[-`{-~]")
_ASCII_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CHINESE = (  # blocks of ideographs; kana and hangul are written as words
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_ASCII_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


class WordPiece:
    """The tokenizer of one vocabulary; `pieces[i]` has the number i."""

    def __init__(self, pieces: Sequence[str], remembered: int = _REMEMBERED_MAX) -> None:
        self.pieces = tuple(pieces)
        self._numbers = {piece: number for number, piece in enumerate(pieces)}
        self._unknown = self._numbers["[UNK]"]
        self._remembered: dict[str, tuple[int, ...]] = {}
        self._most = remembered
        self._plain = _Plain()

    def number(self, piece: str) -> int:
        """The number of `piece`; that of `[UNK]` when the vocabulary lacks it."""
        return self._numbers.get(piece, self._unknown)

    def numbers(self, text: str) -> list[int]:
        """The pieces of `text` by their numbers, without `[CLS]` and `[SEP]`."""
        remembered = self._remembered
        found: list[int] = []
        for word in self.words(text):
            pieces = remembered.get(word)
            found += self._learned(word) if pieces is None else pieces
        return found

    def words(self, text: str) -> list[str]:
        """The words and marks of `text`, small and without accents."""
        if not text.isascii():
            return unicodedata.normalize("NFD", text).translate(self._plain).split(" ")
        text = text.lower()
        if not text.isprintable():
            text = _ASCII_CONTROLS.sub("", text)
        return _ASCII_WORDS.findall(text)

    def _learned(self, word: str) -> tuple[int, ...]:
        if not word:  # two spaces in a row
            return ()
        pieces = self._eaten(word)
        if len(self._remembered) >= self._most:
            self._remembered.clear()
        self._remembered[word] = pieces
        return pieces

    def _eaten(self, word: str) -> tuple[int, ...]:
        if len(word) > _WORD_MAX:
            return (self._unknown,)
        found: list[int] = []
        start, prefix = 0, ""
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self._numbers.get(prefix + word[start:end])
                if number is not None:
                    break
            else:
                return (self._unknown,)
            found.append(number)
            start, prefix = end, "##"
        return tuple(found)


class _Plain(dict[int, str]):
    """What each character of a decomposed text becomes, for `str.translate`; learned as met."""

    def __missing__(self, code: int) -> str:
        plain = self[code] = _plain(chr(code))
        return plain


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if character in "\t\n\r" or category in {"Zs", "Zl", "Zp"}:
        return " "
    if category == "Mn" or category in {"Cc", "Cf", "Co"} or character == "\ufffd":
        return ""
    if category.startswith("P") or character in _ASCII_PUNCTUATION or _is_chinese(character):
        return f" {character} "
    return character.lower()


def _is_chinese(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _CHINESE)
