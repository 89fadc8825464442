"""Whether two answers say the same."""

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from proxy.cache.compare import DOUBT, Comparer, Judge
from proxy.cache.near.guards import vetoes
from proxy.cache.near.reading import read
from proxy.cache.texts import Compared
from proxy.core.call import JsonObject
from proxy.core.errors import BudgetExhausted
from proxy.embedding.builtin import Builtin
from proxy.embedding.protocol import EmbedderFailed, Vectors
from proxy.stores.protocols import Finding
from tests.cache.answer_pairs import PAIRS

SURE = [(True, Finding.RIGHT), (False, Finding.WRONG)]


class WordEmbedder:
    """Keeps `Words`: texts are as near as they have words in common."""

    dim = 512

    def __init__(self) -> None:
        self.failing = False
        self.asked: list[str] = []
        self._places: dict[str, int] = {}

    def vectors(self, texts: Sequence[str]) -> Vectors:
        if self.failing:
            raise EmbedderFailed("not now")
        self.asked += texts
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in text.casefold().replace(".", " ").split():
                row[self._places.setdefault(word, len(self._places) % self.dim)] += 1
            row /= max(1.0, float(np.linalg.norm(row)))
        return vectors


def number_guard(a: str, b: str) -> list[str]:
    """The one guard of most tests, and one that is not for answers."""
    digits = ["".join(filter(str.isdigit, text)) for text in (a, b)]
    return ["format", "number"] if digits[0] != digits[1] else ["format"]


def saying(text: str) -> JsonObject:
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}


def compare(a: str, b: str, question: str = "", judge: Judge | None = None) -> Compared:
    comparer = Comparer(WordEmbedder(), number_guard, judge)
    return asyncio.run(comparer.compare(question, saying(a), saying(b)))


def long(*changes: tuple[str, str]) -> str:
    """An answer of some sixty words."""
    text = (
        "A hash table keeps entries in buckets.\n"
        "Each key is hashed to one of 16 buckets.\n"
        "When two keys share a bucket both are kept in a list there.\n"
        "Once three quarters are full the table grows to 32 buckets.\n"
        "A look up costs constant time as long as the lists stay short.\n"
        "Deleting an entry costs the same as looking it up.\n"
        "The order of entries is not promised by anybody.\n"
    )
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("a", "b", "finding", "why"),
    [
        ("Paris.", "**paris**", Finding.RIGHT, "equal"),
        ("PARIS IS IT", "paris is it", Finding.UNSURE, "capitals"),
        ('{"a": 1, "b": 2}', '```json\n{"b": 2.0, "a": 1}\n```', Finding.RIGHT, "json"),
        ('{"a": 1}', '{"a": 2}', Finding.WRONG, "json"),
        ('{"a": 1}', "a is 1", Finding.WRONG, "shape"),
        ("Yes, always.", "No, never.", Finding.WRONG, "yes or no"),
        ("It costs 5 euros now", "It costs 6 euros now", Finding.WRONG, "number"),
        ("the red green blue one", "green blue red, the big one", Finding.UNSURE, "order"),
        ("the red green blue one", "the big red green blue one", Finding.RIGHT, "near"),
        ("red green blue", "blue green red", Finding.WRONG, "swapped"),
        ("red green blue", "red green dog", Finding.UNSURE, "exchange"),
        ("red green blue", "cat dog mouse", Finding.WRONG, "far"),
        ("red green blue", "red green dog cat", Finding.UNSURE, "between"),
    ],
)
def test_short_answers(a: str, b: str, finding: Finding, why: str) -> None:
    assert compare(a, b) == Compared(finding, why)
    assert compare(b, a) == Compared(finding, why)


def test_an_answer_may_repeat_the_question() -> None:
    question = "What is the capital of France?"

    told = compare("Paris", "The capital of France is Paris.", question)

    assert told == Compared(Finding.RIGHT, "contained")


def test_texts_in_json_are_compared_as_texts_are() -> None:
    one = '{"n": 1, "title": "red green blue", "note": "same"}'

    assert compare(one, one.replace("red green blue", "Red, green, blue")).finding is Finding.RIGHT
    assert compare(one, one.replace("red green blue", "cat dog mouse")).finding is Finding.WRONG
    assert compare(one, one.replace("red green blue", "red green dog")).finding is Finding.UNSURE


def test_long_answers_are_the_same_where_no_sentence_contradicts_its_like() -> None:
    other = long(("kept in a list there", "put into a list there"), ("stay short", "are short"))

    assert compare(long(), other) == Compared(Finding.RIGHT, "near")


def test_a_number_that_differs_in_a_long_answer_leaves_doubt() -> None:
    assert compare(long(), long(("32", "64"))) == Compared(Finding.UNSURE, "number")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            ("The order of entries is", "Sets have members instead.\nThe order of entries is"),
            "more",
        ),
        (("A hash table keeps entries in buckets", "A hash table keeps lists in cells"), "words"),
    ],
)
def test_long_answers_that_tell_something_else_leave_doubt_however_near_they_are(
    change: tuple[str, str], why: str
) -> None:
    assert compare(long(), long(change)) == Compared(Finding.UNSURE, why)
    assert compare(long(change), long()) == Compared(Finding.UNSURE, why)


def test_what_is_said_to_be_polite_is_nothing_more() -> None:
    polite = f"Sure, here is how it works:\n{long()}I hope this helps! Let me know if not."

    assert compare(long(), polite) == Compared(Finding.RIGHT, "near")


AROUND = (
    "Many small bakeries keep similar habits around the world. Please check on holidays, since"
    " exceptions are possible. I hope that this helps you to plan your visit."
)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (
            "People with O positive blood can receive from O positive and O negative donors.",
            "People with O negative blood can receive from O negative donors alone.",
        ),
        (
            "Talk with your son calmly, and make sure that he feels safe at home.",
            "Talk with your son calmly, and make sure that he understands the harm he does.",
        ),
    ],
)
def test_what_is_said_around_two_answers_makes_them_no_more_alike(a: str, b: str) -> None:
    comparer = Comparer(Builtin(), lambda a, b: vetoes(read(a), read(b), 2))
    told = comparer.compare("", saying(f"{a} {AROUND} {AROUND}"), saying(f"{b} {AROUND} {AROUND}"))

    assert asyncio.run(told).finding is not Finding.RIGHT


def test_a_long_answer_full_of_other_numbers_is_another_one() -> None:
    lines = [f"The town number {n} has a castle and a bridge of {n} metres." for n in range(20)]
    others = [line.replace(" metres", "7 metres") for line in lines]

    assert compare("\n".join(lines), "\n".join(others)) == Compared(Finding.WRONG, "number")


def test_a_long_answer_about_something_else_is_another_one() -> None:
    other = " ".join(f"word{n}" for n in range(60))

    assert compare(long(), other).finding is Finding.WRONG


def test_code_has_to_be_alike() -> None:
    code = "for x in items:\n    print(x, total, rate)\n"
    one = f"{long()}```python\n{code}```"

    assert compare(one, one.replace("items", "things") + "Fine.").finding is Finding.RIGHT
    assert compare(one, long()) == Compared(Finding.WRONG, "code")


def test_an_answer_that_calls_a_tool_says_something_else() -> None:
    call: JsonObject = {"choices": [{"message": {"content": None, "tool_calls": [{}]}}]}
    comparer = Comparer(WordEmbedder(), number_guard)

    told = asyncio.run(comparer.compare("", call, saying("Paris")))

    assert told == Compared(Finding.WRONG, "shape")


def calling(arguments: str, name: str = "look") -> JsonObject:
    function = {"name": name, "arguments": arguments}
    message = {"content": None, "tool_calls": [{"id": "x", "function": function}]}
    return {"choices": [{"message": message, "finish_reason": "tool_calls"}]}


@pytest.mark.parametrize(
    ("a", "b", "finding"),
    [
        (calling('{"at": 1}'), calling('{ "at": 1.0 }'), Finding.RIGHT),
        (calling('{"at": 1}'), calling('{"at": 2}'), Finding.WRONG),
        (calling("{}"), calling("{}", "find"), Finding.WRONG),
    ],
)
def test_calls_of_tools_are_compared_as_json(
    a: JsonObject, b: JsonObject, finding: Finding
) -> None:
    told = asyncio.run(Comparer(WordEmbedder(), number_guard).compare("", a, b))

    assert told.finding is finding


def test_what_is_too_long_is_not_read() -> None:
    embedder, other = WordEmbedder(), "x " * 20_000
    comparer = Comparer(embedder, number_guard)

    told = asyncio.run(comparer.compare("", saying(other), saying(f"{other}y")))

    assert told == Compared(Finding.UNSURE, "length")
    assert not embedder.asked
    same = asyncio.run(comparer.compare("", saying(other), saying(other)))
    assert same == Compared(Finding.RIGHT, "equal")


async def test_answers_are_read_beside_the_loop_one_pair_at_a_time() -> None:
    threads, at_once = set[int](), list[int]()
    under_way = 0

    def guards(_: str, __: str) -> list[str]:
        nonlocal under_way
        under_way += 1
        threads.add(threading.get_ident())
        at_once.append(under_way)
        under_way -= 1
        return []

    comparer = Comparer(WordEmbedder(), guards)
    pairs = [comparer.compare("", saying("red"), saying(f"blue{n}")) for n in range(8)]
    await asyncio.gather(*pairs)

    assert threading.get_ident() not in threads
    assert set(at_once) == {1}


@pytest.mark.parametrize(
    ("same", "finding"),
    [(True, Finding.RIGHT), (False, Finding.WRONG), (None, Finding.UNSURE)],
)
def test_a_judge_decides_what_is_unsure(same: bool | None, finding: Finding) -> None:
    asked = []

    async def judge(question: str, a: str, b: str) -> bool | None:
        asked.append((question, a, b))
        return same

    told = compare("red green blue", "red green dog", "Which colours?", judge)

    assert told == Compared(finding, "judge")
    assert asked == [("Which colours?", "red green blue", "red green dog")]


def test_a_judge_is_not_asked_what_is_clear() -> None:
    async def judge(*_: str) -> bool | None:
        raise AssertionError("nobody asked")

    assert compare("red green blue", "cat dog mouse", judge=judge).finding is Finding.WRONG
    assert compare("Paris", "paris", judge=judge).finding is Finding.RIGHT


def test_a_judge_that_cannot_be_paid_leaves_it_unsure() -> None:
    async def judge(*_: str) -> bool | None:
        raise BudgetExhausted("nothing is left")

    told = compare("red green blue", "red green dog", judge=judge)

    assert told == Compared(Finding.UNSURE, "judge")


def test_a_failing_embedder_is_told() -> None:
    embedder = WordEmbedder()
    embedder.failing = True
    comparer = Comparer(embedder, number_guard)

    with pytest.raises(EmbedderFailed):
        asyncio.run(comparer.compare("", saying("red"), saying("blue")))


@pytest.mark.parametrize(
    ("a", "b", "finding"),
    [
        ("the red green blue one", "the big red green blue one", Finding.UNSURE),
        ("red green blue", "red cat dog", Finding.WRONG),
    ],
)
def test_a_guard_that_only_fears_a_difference_leaves_doubt(
    a: str, b: str, finding: Finding
) -> None:
    comparer = Comparer(WordEmbedder(), lambda *_: ["sibling"])

    told = asyncio.run(comparer.compare("", saying(a), saying(b)))

    assert told == Compared(finding, "sibling")


def test_equal_answers_need_no_embedder() -> None:
    embedder = WordEmbedder()
    comparer = Comparer(embedder, number_guard)

    asyncio.run(comparer.compare("", saying("Red."), saying("red")))

    assert not embedder.asked


async def test_of_answers_that_nearly_say_the_same_none_is_taken_for_it() -> None:
    comparer = Comparer(Builtin(), lambda a, b: vetoes(read(a), read(b), 2))

    found = [
        (pair, await comparer.compare(pair.question, saying(pair.a), saying(pair.b)))
        for pair in PAIRS
    ]

    mistaken = {True: Finding.WRONG, False: Finding.RIGHT}
    assert [pair for pair, told in found if told.finding is mistaken[pair.same]] == []
    counts = Counter((pair.same, told.finding) for pair, told in found)
    same = sum(pair.same for pair in PAIRS)
    assert counts[True, Finding.RIGHT] >= 0.8 * same
    assert counts[False, Finding.WRONG] >= 0.65 * (len(PAIRS) - same)
    odds = {same: counts[same, Finding.UNSURE] / counts[same, certain] for same, certain in SURE}
    assert odds[False] / odds[True] == pytest.approx(DOUBT, abs=0.3)
