"""The laws of `Passages`, for every kind of store.

A test module makes a class of `PassagesLaws` and gives the fixtures `passages`, empty, and
`settled`: to be awaited before what was written is sure to be found, and what was removed is not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from proxy.stores.passages import Near, Passages
from tests.benchmarks.handbook import TOP, found, handbook, passage

Settled = Callable[[], Awaitable[None]]

CAT = passage("The cat sleeps on the sofa in the hall.", "pets.md", "Pets > Cats")
TAX = passage("Taxes are due at the end of April.", "money.md")
SEA = passage("The ferry to the island leaves at nine.", "travel.md", "Travel")
ALL = (CAT, TAX, SEA)

ODD = [
    "Straße, naïve, 北京, русский, 🚲",
    'quotes " and \' and \\ and {"json": [1]} and <b>tags</b>',
    "lines\nand\ttabs\r\n\n\nand   spaces",
    "'; DROP TABLE entries; --",
    "x",
    "A long text. " * 1500,
]

RECALL = 0.9  # of the questions of the handbook, plain and paraphrased


def texts(nears: Sequence[Near]) -> list[str]:
    return [near.passage.text for near in nears]


class PassagesLaws:
    """What every store of passages promises."""

    async def test_a_passage_comes_back_as_it_was_written(
        self, passages: Passages, settled: Settled
    ) -> None:
        await passages.write("home", ALL)
        await settled()

        for each, question in zip(
            ALL, ["Where does the cat sleep?", "taxes in April", "ferry"], strict=True
        ):
            near = (await passages.nearest("home", question, 1))[0]
            assert near.passage == each

    async def test_the_nearest_come_first_and_each_once(
        self, passages: Passages, settled: Settled
    ) -> None:
        await passages.write("home", ALL)
        await settled()

        nears = await passages.nearest("home", "When does the ferry leave?", 10)

        assert {near.passage for near in nears} == set(ALL)
        assert nears[0].passage == SEA
        cosines = [near.cosine for near in nears]
        assert cosines == sorted(cosines, reverse=True)
        assert all(-1.001 <= cosine <= 1.001 for cosine in cosines)

    async def test_what_is_asked_in_its_own_words_is_at_no_angle(
        self, passages: Passages, settled: Settled
    ) -> None:
        await passages.write("home", ALL)
        await settled()

        near = (await passages.nearest("home", TAX.text, 1))[0]

        assert near.passage == TAX
        assert near.cosine == pytest.approx(1.0, abs=0.005)

    @pytest.mark.parametrize("k", [0, 1, 2])
    async def test_no_more_are_found_than_asked_for(
        self, passages: Passages, settled: Settled, k: int
    ) -> None:
        await passages.write("home", ALL)
        await settled()

        assert len(await passages.nearest("home", "cat", k)) == k

    async def test_a_collection_that_nobody_wrote_is_empty(
        self, passages: Passages, settled: Settled
    ) -> None:
        for _ in range(2):  # before anything was written at all, and after
            assert list(await passages.nearest("nobody", "cat", 3)) == []
            assert dict(await passages.ids("nobody")) == {}
            assert await passages.remove("nobody", [CAT.id]) == 0
            assert await passages.drop("nobody") == 0
            assert "nobody" not in [shelf.name for shelf in await passages.shelves()]
            await passages.write("home", ALL)
            await settled()

    async def test_a_passage_is_found_in_its_own_collection_only(
        self, passages: Passages, settled: Settled
    ) -> None:
        await passages.write("one", [CAT, TAX])
        await passages.write("two", [CAT, SEA])
        await settled()

        assert set(texts(await passages.nearest("one", "cat", 9))) == {CAT.text, TAX.text}
        assert set(texts(await passages.nearest("two", "cat", 9))) == {CAT.text, SEA.text}
        assert await passages.remove("one", [CAT.id, SEA.id]) == 1
        await settled()
        assert texts(await passages.nearest("one", "cat", 9)) == [TAX.text]
        assert set(await passages.ids("two")) == {CAT.id, SEA.id}

    async def test_writing_again_changes_nothing(
        self, passages: Passages, settled: Settled
    ) -> None:
        await passages.write("home", ALL)
        await passages.write("home", [SEA, CAT])
        await settled()

        assert len(await passages.nearest("home", "cat", 9)) == 3
        assert dict(await passages.ids("home")) == {each.id: each.document for each in ALL}
        assert [shelf.passages for shelf in await passages.shelves()] == [3]

    async def test_writing_nothing_is_no_fault(self, passages: Passages) -> None:
        await passages.write("home", [])

        assert dict(await passages.ids("home")) == {}
        assert await passages.remove("home", []) == 0

    async def test_what_was_removed_is_gone_and_is_counted_once(
        self, passages: Passages, settled: Settled
    ) -> None:
        await passages.write("home", ALL)
        await settled()

        assert await passages.remove("home", [TAX.id, "0" * 32, SEA.id]) == 2
        await settled()

        assert texts(await passages.nearest("home", TAX.text, 9)) == [CAT.text]
        assert dict(await passages.ids("home")) == {CAT.id: "pets.md"}
        assert await passages.remove("home", [TAX.id]) == 0
        await passages.write("home", [TAX])
        await settled()
        assert texts(await passages.nearest("home", TAX.text, 1)) == [TAX.text]

    async def test_a_dropped_collection_is_gone_and_no_other(
        self, passages: Passages, settled: Settled
    ) -> None:
        await passages.write("one", ALL)
        await passages.write("two", [CAT])
        await settled()

        assert await passages.drop("one") == 3
        await settled()

        assert list(await passages.nearest("one", "cat", 9)) == []
        assert dict(await passages.ids("one")) == {}
        assert [(shelf.name, shelf.passages) for shelf in await passages.shelves()] == [("two", 1)]
        assert await passages.drop("one") == 0
        await passages.write("one", [SEA])
        await settled()
        assert texts(await passages.nearest("one", "cat", 9)) == [SEA.text]

    async def test_shelves_are_listed_by_name_with_what_stands_there(
        self, passages: Passages, settled: Settled
    ) -> None:
        assert list(await passages.shelves()) == []
        await passages.write("b-2", [CAT])
        await passages.write("a_1.x", ALL)
        await settled()

        shelves = await passages.shelves()

        assert [(each.name, each.passages, each.pending) for each in shelves] == [
            ("a_1.x", 3, 0),
            ("b-2", 1, 0),
        ]

    async def test_an_edit_does_not_change_the_version(
        self, passages: Passages, settled: Settled
    ) -> None:
        await passages.write("home", [CAT, TAX])
        await settled()
        before = [shelf.version for shelf in await passages.shelves()]

        await passages.remove("home", [CAT.id])
        await passages.write("home", [SEA])
        await settled()

        assert all(before)
        assert [shelf.version for shelf in await passages.shelves()] == before

    @pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
    async def test_any_text_is_kept_as_it_is(
        self, passages: Passages, settled: Settled, text: str
    ) -> None:
        odd = passage(text, "fo lder/ünd.md", f"Title {text[:40]}")
        await passages.write("home", [odd])
        await settled()

        assert [near.passage for near in await passages.nearest("home", "what", 1)] == [odd]
        assert dict(await passages.ids("home")) == {odd.id: odd.document}

    @pytest.mark.parametrize("question", ["?", "🚲", "\x00\n", "word " * 20_000])
    async def test_any_question_may_be_asked(
        self, passages: Passages, settled: Settled, question: str
    ) -> None:
        await passages.write("home", ALL)
        await settled()

        assert len(await passages.nearest("home", question, 3)) <= 3

    async def test_many_are_written_listed_and_removed(
        self, passages: Passages, settled: Settled
    ) -> None:
        many = [passage(f"Room {n} is on floor {n // 100}.", f"{n % 7}.md") for n in range(1201)]
        await passages.write("home", [*many, *ALL])
        await settled()

        assert dict(await passages.ids("home")) == {
            each.id: each.document for each in [*many, *ALL]
        }
        assert texts(await passages.nearest("home", "the cat on the sofa", 1)) == [CAT.text]
        assert await passages.remove("home", [each.id for each in many]) == len(many)
        await settled()
        assert set(await passages.ids("home")) == {each.id for each in ALL}

    async def test_many_may_write_and_ask_at_once(
        self, passages: Passages, settled: Settled
    ) -> None:
        many = [passage(f"Room {n} has {n} chairs.") for n in range(40)]
        await asyncio.gather(*(passages.write(f"home{n % 3}", [many[n]]) for n in range(40)))
        await settled()

        shelves = await passages.shelves()
        answers = await asyncio.gather(
            *(passages.nearest(f"home{n % 3}", many[n].text, 1) for n in range(40))
        )

        assert [each.passages for each in shelves] == [14, 13, 13]
        assert [texts(nears) for nears in answers] == [[each.text] for each in many]

    async def test_nine_of_ten_questions_find_their_passage_among_the_first_three(
        self, passages: Passages, settled: Settled
    ) -> None:
        asked = handbook()
        await passages.write("handbook", [each.passage for each in asked])
        await settled()

        hits = []
        for each in asked:
            for question in (each.plain, each.paraphrased):
                nears = await passages.nearest("handbook", question, TOP)
                hits.append(found(each.passage, [near.passage for near in nears]))

        assert len(hits) == 120
        assert sum(hits) / len(hits) >= RECALL
