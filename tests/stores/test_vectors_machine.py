"""Two workers of one store do together what the plainest store does, whatever is asked of them."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from proxy.stores.vectors import FollowingVectors
from tests.fakes import FakeClock
from tests.stores.test_vectors import in_redis, on_disk
from tests.stores.vectors_model import ModelVectors

EXAMPLES = int(os.environ.get("VECTOR_EXAMPLES", "30"))
STEPS = 40

DIRECTIONS: Final = np.random.default_rng(19).standard_normal((9, 12)).astype(np.float32)

SPACES = st.sampled_from(["s", "t", "u"])
IDS = st.sampled_from("abcdefgh")
VECTORS = st.integers(0, len(DIRECTIONS) - 1)
WORKERS = st.integers(0, 1)
TTLS = st.sampled_from([5.0, 30.0, None])

Opening = Callable[[], AbstractAsyncContextManager[FollowingVectors]]


def test_the_directions_can_be_told_apart() -> None:
    """What follows compares orders: no two neighbours of one may be as near as rounding is."""
    units = DIRECTIONS / np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)
    cosines = np.sort(units @ units.T, axis=1)

    assert np.diff(cosines, axis=1).min() > 0.004


class VectorsMachine(RuleBasedStateMachine):
    """Runs the workers and the model side by side."""

    def __init__(self, server: Any) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._directory = TemporaryDirectory()
        self._clock = FakeClock()
        self._model = ModelVectors(self._clock)
        self._server = server
        if server is not None:
            server.flush()
        self._workers = [self._open(), self._open()]

    def teardown(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()
        self._directory.cleanup()

    def _open(self) -> FollowingVectors:
        if self._server is None:
            opening = on_disk(Path(self._directory.name) / "cache", self._clock)
        else:
            opening = in_redis(self._server.url, self._clock)
        vectors = self._runner.run(self._stack.enter_async_context(opening))
        self._runner.run(vectors.catch_up())
        return vectors

    def _both(self, worker: int, ask: Callable[[Any], Any]) -> None:
        expected = self._runner.run(ask(self._model))

        assert self._runner.run(ask(self._workers[worker])) == expected

    @rule(worker=WORKERS, space=SPACES, id=IDS, vector=VECTORS, ttl_s=TTLS, payload=st.binary())
    def put(
        self, worker: int, space: str, id: str, vector: int, ttl_s: float | None, payload: bytes
    ) -> None:
        self._both(worker, lambda one: one.put(space, id, DIRECTIONS[vector], payload, ttl_s))

    @rule(worker=WORKERS, ids=st.lists(IDS, unique=True), space=st.none() | SPACES)
    def delete(self, worker: int, ids: list[str], space: str | None) -> None:
        async def delete_what_is_alive(one: Any) -> None:
            await one.delete(ids, space=space)  # how many of those that are over is not promised

        self._both(worker, delete_what_is_alive)

    @rule(worker=WORKERS, space=st.none() | SPACES, age_s=st.sampled_from([None, 3.0, 20.0]))
    def purge(self, worker: int, space: str | None, age_s: float | None) -> None:
        before = None if age_s is None else self._clock.wall() - age_s

        async def purge_what_is_alive(one: Any) -> None:
            await one.purge(space, stored_before=before)

        self._both(worker, purge_what_is_alive)

    @rule(seconds=st.sampled_from([1.0, 4.0, 25.0, 700.0]))
    def pass_time(self, seconds: float) -> None:
        self._clock.advance(seconds)

    @rule()
    def open_another(self) -> None:
        self._workers = [self._workers[1], self._workers[0]]
        if len(self._stack._exit_callbacks) < 5:
            self._workers[0] = self._open()

    @rule(worker=WORKERS, space=SPACES, vector=VECTORS, k=st.integers(1, 9), follows=st.booleans())
    def look(self, worker: int, space: str, vector: int, k: int, *, follows: bool) -> None:
        async def found(one: Any) -> list[tuple[str, float, bytes]]:
            if follows or self._server is not None:
                await one.catch_up()
            matches = await one.nearest(space, DIRECTIONS[vector], k)
            assert matches is not None
            return [(match.id, round(match.cosine, 2), match.payload) for match in matches]

        expected = self._runner.run(found(self._model))
        got = self._runner.run(found(self._workers[worker]))

        assert [(id, payload) for id, _, payload in got] == [
            (id, payload) for id, _, payload in expected
        ]
        for mine, theirs in zip(got, expected, strict=True):
            assert abs(mine[1] - theirs[1]) <= 0.011


@pytest.mark.parametrize("kind", ["disk", "redis"])
def test_two_workers_do_what_the_model_does(kind: str, request: Any) -> None:
    server = request.getfixturevalue("redis") if kind == "redis" else None
    steps = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)

    run_state_machine_as_test(lambda: VectorsMachine(server), settings=steps)


PUTS = st.lists(st.tuples(st.sampled_from(["one", "two"]), IDS, VECTORS), max_size=12)


@settings(max_examples=EXAMPLES, deadline=None)
@given(puts=PUTS, vector=VECTORS, k=st.integers(1, 100))
def test_what_one_tenant_has_is_never_found_by_another(
    puts: list[tuple[str, str, int]], vector: int, k: int
) -> None:
    async def story(directory: Path) -> None:
        async with on_disk(directory, FakeClock()) as vectors:
            await vectors.catch_up()
            for tenant, id, at in puts:
                await vectors.put(tenant, id, DIRECTIONS[at], tenant.encode(), 60.0)
            for tenant in ("one", "two", "three"):
                found = await vectors.nearest(tenant, DIRECTIONS[vector], k)
                assert found is not None
                assert {match.payload for match in found} <= {tenant.encode()}
                assert len(found) == min(k, len({id for where, id, _ in puts if where == tenant}))

    with TemporaryDirectory() as directory:
        asyncio.run(story(Path(directory)))
