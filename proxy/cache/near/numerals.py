"""Numbers that are written as words, ordinals and Roman numerals, as digits."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.cache.near import lexicon_words as lists


class Word(NamedTuple):
    """One normalised word, and how it was written."""

    form: str
    capital: bool = False  # begins with a capital letter
    inside: bool = False  # is not the first of its sentence
    number: bool = False


def with_numbers(words: Sequence[Word]) -> list[Word]:
    """Number words, ordinals, scales and Roman numerals as digits."""
    found: list[Word] = []
    done = 0  # words before that are in `found`
    for i, word in enumerate(words):
        form, capital, inside, number = word
        if i < done or not (number or form in _NUMBER_WORDS or (capital and _looks_roman(form))):
            continue  # nearly all of them
        value, used = _counted(words, i)
        if used:
            found += words[done:i]
            found.append(Word(value, False, inside, number=True))
            done = i + used
    found += words[done:]
    return found


def _counted(words: Sequence[Word], i: int) -> tuple[str, int]:
    """The number that begins at `i`, and how many words it takes; 0 where none begins."""
    word = words[i]
    form = word.form
    before = words[i - 1].form if i else ""
    after = words[i + 1].form if i + 1 < len(words) else ""
    if word.number:
        scale = lists.SCALES.get(after)
        scaled = times(form, scale) if scale else ""
        return (scaled, 2) if scaled else (form, 1)
    if word.capital and _looks_roman(form) and _is_roman(form, words, i):
        return str(lists.ROMANS[form.upper()]), 1
    if form not in _NUMBER_WORDS:
        return "", 0
    if form == "one" and after not in lists.SCALES and before not in lists.NUMBERED:
        return "", 0  # as good as "a"
    if form == "second" and (before in lists.SECOND_AFTER or not after or words[i - 1].number):
        return "", 0
    if form == "first" and before == "at":
        return "", 0
    return _summed(words, i)


_NUMBER_WORDS: Final = (
    lists.ONES.keys()
    | lists.TENS.keys()
    | lists.SCALES.keys()
    | lists.ORDINALS.keys()
    | lists.MULTIPLES.keys()
)


def _looks_roman(form: str) -> bool:
    return form.upper() in lists.ROMANS


def _is_roman(form: str, words: Sequence[Word], i: int) -> bool:
    if i == 0:
        return False
    before = words[i - 1]
    if len(form) == 1:
        return before.form in lists.NUMBERED
    return (before.capital and before.inside) or before.form in lists.NUMBERED


def _summed(words: Sequence[Word], i: int) -> tuple[str, int]:
    """Adds up "two hundred and fifty thousand", "twenty first"; one word at least."""
    total, group, used, tens = 0, 0, 0, False
    for word in words[i:]:
        form = word.form
        if form in lists.MULTIPLES:
            return (str(lists.MULTIPLES[form]), 1) if not used else (str(total + group), used)
        if form in lists.ORDINALS:
            if used and not tens and group % 100:
                break
            return str(total + group + lists.ORDINALS[form]), used + 1
        if form in lists.TENS and not group % 100:
            group, tens = group + lists.TENS[form], True
        elif form in lists.ONES and (tens or not group % 100) and not (tens and group % 10):
            group, tens = group + lists.ONES[form], False
        elif form in lists.SCALES:
            scale = lists.SCALES[form]
            if scale == 100:
                group, tens = max(group, 1) * 100, False
            else:
                total, group, tens = total + max(group, 1) * scale, 0, False
        elif (
            form == "and"
            and used
            and not tens
            and (total or group >= 100)
            and _goes_on(words, i + used)
        ):
            pass
        else:
            break
        used += 1
    return str(total + group), used


def _goes_on(words: Sequence[Word], at: int) -> bool:
    after = words[at + 1].form if at + 1 < len(words) else ""
    return after in lists.ONES or after in lists.TENS


def times(value: str, factor: int) -> str:
    """The product as digits; "" where `value` is no plain number."""
    try:
        product = float(value) * factor
    except ValueError:  # a version, as 3.11.2
        return ""
    return str(int(product)) if product.is_integer() else str(product)
