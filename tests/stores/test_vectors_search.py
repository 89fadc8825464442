"""The search in memory: what it finds, and what room it takes."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from proxy.stores.vectors_faiss import _counts_right
from proxy.stores.vectors_index import Index
from proxy.stores.vectors_signs import (
    HALF,
    NUMPY,
    Counting,
    Counts,
    Words,
    _counted_by_hand,
    count_ones,
    signs_of,
)
from proxy.stores.vectors_space import (
    MOST_IN_BLOCK,
    SHORTLIST,
    Near,
    Space,
    differing,
    parts,
    search,
    size,
)
from proxy.stores.vectors_truth import Change
from tests.stores.vectors_counting import WAYS, counting_by

Rows = NDArray[np.float32]

NOW = 1000.0


@pytest.fixture(params=WAYS)
def counting(request: pytest.FixtureRequest) -> Counting:
    return counting_by(request.param)


def unit(rows: Rows) -> Rows:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def random_rows(count: int, dim: int = 256, seed: int = 1) -> Rows:
    return unit(np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32))


def at_cosine(rows: Rows, cosine: float) -> Rows:
    """For each row another, at that cosine of it."""
    aside = random_rows(*rows.shape, seed=2)
    aside = unit(aside - np.einsum("ij,ij->i", aside, rows)[:, np.newaxis] * rows)
    return np.float32(cosine) * rows + np.float32((1 - cosine**2) ** 0.5) * aside


def space_of(rows: Rows, ends: float | Rows = np.inf, counting: Counting = NUMPY) -> Space:
    """The rows under the numbers 1, 2, ..."""
    space = Space(counting)
    all_ends = np.broadcast_to(np.float64(ends), len(rows))
    space.append(np.arange(1, len(rows) + 1), all_ends, rows.astype(HALF))
    return space


def found(space: Space, query: Rows, k: int = 1, now: float = NOW) -> list[int]:
    return [near.seq for near in search(space.snapshot(), query, k, -1.0, now)]


def test_in_nothing_nothing_is_found() -> None:
    assert search((), random_rows(1)[0], 8, -1.0, NOW) == []


@pytest.mark.parametrize("dim", [1, 63, 64, 100, 256, 384])
def test_bits_say_which_numbers_are_below_zero(dim: int) -> None:
    rows = random_rows(5, dim)

    signs = signs_of(rows.astype(HALF))

    assert signs.shape == (5, -(-dim // 64))
    bits = np.unpackbits(signs.view(np.uint8), axis=1)[:, :dim]
    assert (bits == (rows >= 0)).all()


def test_bits_are_counted_alike_with_and_without_the_processors_help() -> None:
    words = np.random.default_rng(1).integers(2**64, size=(3, 1000), dtype=np.uint64)

    assert (_counted_by_hand(words) == count_ones(words)).all()
    assert _counted_by_hand(words).sum() == sum(int(word).bit_count() for word in words.ravel())


@pytest.mark.parametrize("count", [SHORTLIST + 1, MOST_IN_BLOCK, 2 * MOST_IN_BLOCK + 100])
@pytest.mark.parametrize("dim", [100, 256])
def test_who_is_near_is_found_among_many(count: int, dim: int, counting: Counting) -> None:
    rows = random_rows(count, dim)
    chosen = np.linspace(0, count - 1, 200, dtype=int)
    queries = at_cosine(rows[chosen], 0.8)
    space = space_of(rows, counting=counting)

    right = [found(space, query) == [at + 1] for at, query in zip(chosen, queries, strict=True)]

    assert sum(right) >= 199


def test_cosines_are_true(counting: Counting) -> None:
    rows = random_rows(300)
    query = at_cosine(rows[7:8], 0.9)[0]

    near = search(space_of(rows, counting=counting).snapshot(), query, 5, -1.0, NOW)

    assert near[0] == Near(8, pytest.approx(0.9, abs=0.001))
    for one in near:
        assert one.cosine == pytest.approx(float(rows[one.seq - 1] @ query), abs=0.001)
    assert all(first.cosine >= second.cosine for first, second in pairwise(near))


def test_many_that_are_equal_are_found_newest_first(counting: Counting) -> None:
    rows = np.repeat(random_rows(1), 1000, axis=0)

    assert found(space_of(rows, counting=counting), rows[0], 3) == [1000, 999, 998]


def test_the_dead_and_those_whose_time_is_over_take_no_place_on_the_shortlist(
    counting: Counting,
) -> None:
    rows = np.concatenate([np.repeat(random_rows(1), 2000, axis=0), random_rows(1000, seed=3)])
    ends = np.full(len(rows), np.inf)
    ends[:1000] = NOW
    space = space_of(rows, ends, counting)
    for seq in range(1001, 1900):
        space.kill(seq)

    assert found(space, rows[0], 200)[:100] == list(range(2000, 1900, -1))
    assert found(space, rows[0], 3, now=NOW - 1) == [2000, 1999, 1998]


@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(0, 300),
    gone=st.sets(st.integers(1, 300)),
    k=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_what_is_found_is_alive_and_no_small_space_hides_anything(
    count: int, gone: set[int], k: int, seed: int
) -> None:
    rows = random_rows(count + 1, 32, seed)
    query, rows = rows[0], rows[1:]
    space = space_of(rows)
    for seq in gone:
        space.kill(seq)
    space.tidy(NOW)

    got = found(space, query, k)

    alive = [seq for seq in range(1, count + 1) if seq not in gone]
    assert len(got) == min(k, len(alive))
    assert set(got) <= set(alive)
    if count <= SHORTLIST:
        cosines = {seq: float(rows[seq - 1] @ query) for seq in alive}
        best = sorted(cosines.values(), reverse=True)[: len(got)]
        assert [cosines[seq] for seq in got] == pytest.approx(best, abs=0.001)


COMINGS = st.tuples(st.just("come"), st.integers(1, 400), st.sampled_from([NOW, np.inf]))
GOINGS = st.tuples(st.just("go"), st.integers(1, 2000), st.just(0.0))
TIDYINGS = st.tuples(st.just("tidy"), st.just(0), st.just(0.0))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.one_of(COMINGS, GOINGS, TIDYINGS), max_size=25),
    dim=st.sampled_from([3, 64, 100, 384]),
    topics=st.sampled_from([1, 5, 1000]),
    k=st.integers(1, 20),
)
def test_faiss_finds_the_very_same_whatever_comes_and_goes(
    steps: list[tuple[str, int, float]], dim: int, topics: int, k: int
) -> None:
    spaces, come = [Space(NUMPY), Space(counting_by("faiss"))], 0
    rows = random_rows(topics, dim).astype(HALF)  # few topics: many that are equally near
    for what, number, end in steps:
        for space in spaces:
            if what == "come":
                seqs = np.arange(come + 1, come + number + 1)
                space.append(seqs, np.full(number, end), rows[seqs % topics])
            elif what == "go":
                space.kill(number)
            else:
                space.tidy(NOW)
        come += number if what == "come" else 0

    for now in (NOW - 1, NOW):
        one, other = (
            search(space.snapshot(), random_rows(1, dim)[0], k, -1.0, now) for space in spaces
        )
        assert one == other


def test_what_counts_wrongly_is_not_used(counting: Counting) -> None:
    def one_too_many(signs: Words, others: Words, found: Counts) -> None:
        counting.differing(signs, others, found)
        found += 1

    assert _counts_right(counting)
    assert not _counts_right(replace(counting, differing=one_too_many))


@pytest.mark.parametrize("at_once", [1, MOST_IN_BLOCK, 10_000, 10**9])
def test_the_parts_of_a_search_are_all_of_it_in_order(at_once: int, counting: Counting) -> None:
    rows = random_rows(5 * MOST_IN_BLOCK + 7, 64)
    snapshot = space_of(rows, counting=counting).snapshot()

    some = list(parts(snapshot, at_once))

    assert [each for part in some for each in part] == snapshot
    assert all(size(part) <= max(at_once, MOST_IN_BLOCK) for part in some)
    counts = np.concatenate([differing(part, rows[0], NOW) for part in some])
    assert (counts == differing(snapshot, rows[0], NOW)).all()


def test_rows_in_memory_stay_few_however_many_come_and_go(counting: Counting) -> None:
    rows, space = random_rows(500, 64).astype(HALF), Space(counting)
    for seq in range(1, 20_001):
        space.append(np.array([seq]), np.array([np.inf]), rows[seq % 500][np.newaxis])
        if seq > 100:
            space.kill(seq - 100)

    assert space.rows < 200
    assert found(space, rows[0].astype(np.float32)) == [20_000]


def test_room_of_what_is_over_is_given_back_by_and_by(counting: Counting) -> None:
    rows = random_rows(3 * MOST_IN_BLOCK, 64)
    ends = np.full(len(rows), NOW)
    ends[::100] = np.inf
    space = space_of(rows, ends, counting)

    for _ in range(5):
        space.tidy(NOW)

    assert space.rows == len(rows[::100])
    assert len(space.snapshot()) == 1
    assert found(space, rows[200]) == [201]


def test_a_search_under_way_is_not_disturbed_by_what_comes_and_goes() -> None:
    rows = random_rows(100, 64)
    space = space_of(rows)
    snapshot = space.snapshot()
    for seq in range(1, 100):
        space.kill(seq)
    space.append(np.array([101]), np.array([np.inf]), rows[:1].astype(HALF))

    assert [near.seq for near in search(snapshot, rows[99], 1, -1.0, NOW)] == [100]
    assert found(space, rows[0]) == [101]


def test_what_was_followed_before_changes_nothing() -> None:
    rows, space = random_rows(10, 64).astype(HALF), Space()
    for first in (0, 5, 3, 0):
        seqs = np.arange(first + 1, 11)
        space.append(seqs, np.full(len(seqs), np.inf), rows[first:])

    assert space.rows == 10
    assert [near.seq for near in search(space.snapshot(), rows[4].astype(np.float32), 1, 0, 0)] == [
        5
    ]


def came(seq: int, space: str) -> Change:
    vector = random_rows(1, 64, seq).astype(HALF)[0].tobytes()
    return Change(seq, space, vector, np.inf, 0)


def went(seq: int, space: str, dead: int) -> Change:
    return Change(seq, space, None, 0.0, dead)


def test_spaces_that_nobody_used_for_longest_make_room() -> None:
    index = Index(8)
    for n in range(4):
        index.apply([came(n + 1, f"s{n}")])
    index.snapshot("s0", 64)

    index.apply([came(5, "s4")])

    assert index.partial
    assert [index.lacks(f"s{n}") for n in range(5)] == [False, True, False, False, False]
    assert (index.rows, index.spaces) == (4, 4)
    index.apply([came(6, "s1"), came(7, "new")])  # there may be more of them
    assert index.lacks("s1")
    assert index.lacks("new")


def test_a_space_of_which_all_has_gone_takes_no_room() -> None:
    index = Index(100)
    index.apply([came(1, "s"), came(2, "s"), went(3, "s", 1), went(4, "s", 2), went(5, "s", 2)])

    assert (index.rows, index.spaces, index.partial) == (0, 0, False)


def test_the_largest_space_stays_even_if_it_is_too_large() -> None:
    index = Index(10)
    index.apply([came(seq, "s") for seq in range(1, 31)])
    assert len(index.snapshot("s", 64)[0][0].seqs) >= 30

    index.apply([came(31, "t")])

    assert (index.spaces, index.rows, index.lacks("s")) == (1, 1, True)
