"""What a collection holds after documents were brought in, again and again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.rag.documents import find
from proxy.rag.ingest import Ingested, ingest
from proxy.stores.passages import Near, Passage, Passages, Shelf
from proxy.stores.protocols import StoreFailed


class Kept:
    """Passages in memory, and what was asked of them."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Passage]] = {}
        self.written: list[str] = []
        self.breaks_after: int | None = None  # writes

    async def nearest(self, collection: str, question: str, k: int) -> Sequence[Near]:
        return ()

    async def write(self, collection: str, passages: Sequence[Passage]) -> None:
        if self.breaks_after is not None:
            self.breaks_after -= 1
            if self.breaks_after < 0:
                raise StoreFailed("gone")
        self.written += [passage.text for passage in passages]
        self.held.setdefault(collection, {}).update({each.id: each for each in passages})

    async def remove(self, collection: str, ids: Sequence[str]) -> int:
        shelf = self.held.get(collection, {})
        return sum(shelf.pop(id, None) is not None for id in ids)

    async def ids(self, collection: str) -> Mapping[str, str]:
        return {id: each.document for id, each in self.held.get(collection, {}).items()}

    async def drop(self, collection: str) -> int:
        return len(self.held.pop(collection, {}))

    async def shelves(self) -> Sequence[Shelf]:
        return [Shelf(name, len(held), 0, "") for name, held in sorted(self.held.items())]

    def texts(self, collection: str = "c") -> Counter[str]:
        return Counter(each.text for each in self.held.get(collection, {}).values())


class Told:
    """Hears what happens."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def read(self, document: str, passages: int, new: int) -> None:
        self.heard.append((document, passages, new))

    def skipped(self, path: str, why: str) -> None:
        self.heard.append((Path(path).name, why))

    def wrote(self, passages: int) -> None:
        self.heard.append((passages,))


class Place:
    """A working directory, and a store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = Kept()
        self.told = Told()

    def put(self, name: str, text: str | bytes) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def take(self, name: str) -> None:
        (self.directory / name).unlink()

    async def ingest(self, *named: str, collection: str = "c") -> Ingested:
        store: Passages = self.store
        self.store.written.clear()
        self.told.heard.clear()
        return await ingest(store, collection, find(named, self.directory), self.told)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_a_second_run_writes_nothing(place: Place) -> None:
    place.put("docs/a.md", "# One\nx\n# Two\ny")
    place.put("docs/b.txt", "z")

    first = await place.ingest("docs")
    second = await place.ingest("docs")

    assert (first.documents, first.passages, first.written, first.removed) == (2, 3, 3, 0)
    assert (second.documents, second.passages, second.written, second.removed) == (2, 3, 0, 0)
    assert place.store.texts() == Counter(["x", "y", "z"])
    assert place.told.heard == [("docs/a.md", 2, 0), ("docs/b.txt", 1, 0)]


async def test_an_edit_writes_what_changed_and_removes_what_was(place: Place) -> None:
    place.put("docs/a.md", "# One\nx\n# Two\ny")
    await place.ingest("docs")

    place.put("docs/a.md", "# One\nx\n# Two\nnew y")
    done = await place.ingest("docs/a.md")

    assert place.store.written == ["new y"]
    assert (done.written, done.removed, done.gone) == (1, 1, [])
    assert place.store.texts() == Counter(["x", "new y"])


async def test_what_is_gone_is_removed_and_what_was_not_looked_for_stays(place: Place) -> None:
    for name in ("docs/a.md", "docs/b.md", "docs/sub/c.md", "more/d.md"):
        place.put(name, name)
    await place.ingest("docs", "more")

    place.take("docs/b.md")
    place.take("docs/sub/c.md")
    place.take("more/d.md")
    done = await place.ingest("docs")

    assert done.gone == ["docs/b.md", "docs/sub/c.md"]
    assert done.removed == 2
    assert place.store.texts() == Counter(["docs/a.md", "more/d.md"])


async def test_a_bad_file_is_named_and_what_was_read_of_it_before_stays(place: Place) -> None:
    place.put("docs/a.txt", "good")
    place.put("docs/b.txt", "good, too")
    await place.ingest("docs")

    place.put("docs/a.txt", b"\xff\xfe\xfd")
    place.put("docs/b.txt", "better")
    done = await place.ingest("docs", "none")

    [none, bad] = done.bad
    assert none == ("none", "there is no such file")
    assert bad[0] == str(place.directory / "docs/a.txt")
    assert bad[1].startswith("is not ")
    assert ("a.txt", bad[1]) in place.told.heard
    assert place.store.texts() == Counter(["good", "better"])


async def test_collections_do_not_know_of_each_other(place: Place) -> None:
    place.put("docs/a.txt", "x")
    await place.ingest("docs", collection="one")

    place.put("docs/a.txt", "y")
    done = await place.ingest("docs", collection="two")

    assert done.written == 1
    assert place.store.texts("one") == Counter(["x"])


async def test_many_passages_go_in_batches_however_many_documents_they_are_of(
    place: Place,
) -> None:
    for i in range(300):
        place.put(f"docs/{i:03}.txt", f"text {i}")
    place.put("docs/all.jsonl", "\n".join(f'{{"text": "line {i}"}}' for i in range(600)))

    first = await place.ingest("docs")
    batches = [heard[0] for heard in place.told.heard if len(heard) == 1]
    second = await place.ingest("docs")

    assert first.written == 900
    assert sum(batches) == 900  # type: ignore[arg-type]
    assert len(batches) <= 6
    assert second.written == 0


async def test_after_a_failure_another_run_does_the_rest(place: Place) -> None:
    place.put("docs/old.txt", "old")
    await place.ingest("docs")
    place.put("docs/old.txt", "new")
    place.put("docs/all.jsonl", "\n".join(f'{{"text": "line {i}"}}' for i in range(600)))

    place.store.breaks_after = 2
    with pytest.raises(StoreFailed):
        await place.ingest("docs")
    assert "old" in place.store.texts()  # nothing goes before what replaces it is there
    place.store.breaks_after = None
    done = await place.ingest("docs")

    assert 0 < done.written < 601
    assert place.store.texts() == Counter(["new", *(f"line {i}" for i in range(600))])


FILES = st.dictionaries(
    st.sampled_from(["docs/a.txt", "docs/b.md", "docs/sub/c.txt", "docs/sub/d.json"]),
    st.sampled_from(["one", "# t\ntwo", "", '{"a": "three", "b": "one"}', "\0 bad"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(FILES, min_size=1, max_size=5))
async def test_after_any_history_a_collection_is_as_if_it_were_new(
    tmp_path_factory: pytest.TempPathFactory, history: list[dict[str, str]]
) -> None:
    place = Place(tmp_path_factory.mktemp("history"))
    (place.directory / "docs").mkdir()
    for files in history:
        for path in sorted(place.directory.rglob("*.*")):
            path.unlink()
        for name, text in files.items():
            place.put(name, text)
        await place.ingest("docs")
    bad = {Path(path).name for path, _ in (await place.ingest("docs")).bad}
    anew = Place(place.directory)
    await anew.ingest("docs")

    def of_good(store: Kept) -> set[str]:
        kept = store.held.get("c", {}).values()
        return {each.id for each in kept if Path(each.document).name not in bad}

    assert of_good(place.store) == of_good(anew.store)
