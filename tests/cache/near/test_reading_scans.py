"""What a reading leaves out for speed is not there: it only looks where there is something."""

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache.near import lexicon_names as names
from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.normalise import take_apart
from proxy.cache.near.particulars import (
    denied,
    languages,
    negations,
    sentences,
    times,
    units,
    variants,
)
from proxy.cache.near.reading import read

TABLES = (
    names.UNITS,
    names.UNITS_WITH_NUMBER,
    names.MONTHS,
    names.CAPITAL_MONTHS,
    names.WEEKDAYS,
    names.TIME_WORDS,
    names.TIME_MODIFIERS,
    names.TIME_NOUNS,
    names.NATURAL_LANGUAGES,
    names.POLISHED,
    names.LANGUAGE_FORMS,
    names.SHY_LANGUAGES,
    names.PROGRAMMING_LANGUAGES,
    names.FILE_FORMATS,
    names.TEXT_FORMATS,
    names.HOURS,
    names.PLATFORMS,
    names.VARIANTS,
    lists.NEGATORS,
    lists.FUNCTION_WORDS,
)
TELLING = sorted({word for table in TABLES for word in table})
PLAIN = ["What", "how", "3", "250", "avoid", "avoiding", "nothing", "house", "in", "to", "next",
         "code", "learn", "Paris", "it.", "why?"]  # fmt: skip


def worked_out(text: str) -> dict[str, object]:
    """What the scans find when all of them look at every word."""
    said = take_apart(text).words
    forms = [word.form for word in said]
    measured = tuple(units(said))
    return {
        "units": frozenset(unit for _, unit in measured),
        "amounts": frozenset(amount for amount in measured if amount[0]),
        "times": frozenset(times(said)),
        "languages": frozenset(languages(said)),
        "variants": frozenset(variants(said)),
        "formats": frozenset(names.FILE_FORMATS[x] for x in forms if x in names.FILE_FORMATS),
        "shapes": frozenset(names.TEXT_FORMATS[x] for x in forms if x in names.TEXT_FORMATS),
        "entities": read(text).additions | {x for x in forms if x in names.PLATFORMS},
        "hours": frozenset(names.HOURS[x] for x in read(text).words if x in names.HOURS),
        "negations": negations(forms, read(text).asks),
        "denied": frozenset(denied(forms)),
        "sentences": sentences(said),
    }


def agrees(text: str) -> None:
    found = worked_out(text)
    reading = read(text)
    assert {name: getattr(reading, name) for name in found} == found


def test_every_word_that_a_scan_heeds_is_seen_by_the_reading() -> None:
    for word in TELLING:
        for text in (word, f"Is {word} for 3 {word.title()} code next {word}? In {word} 5 {word}"):
            agrees(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(TELLING + PLAIN * 20), max_size=14))
def test_a_reading_holds_all_that_the_scans_find(words: list[str]) -> None:
    agrees(" ".join(words))
