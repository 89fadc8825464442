"""Every ledger does what the model of forty lines does, whatever is asked of it in what order."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from proxy.core.money import Bucket, Charge, Hold
from proxy.stores.open import open_stores
from tests.fakes import FakeClock
from tests.stores.holds import NOTHING, bucket, cost, hold
from tests.stores.ledger_model import LedgerModel

EXAMPLES = 60 if os.environ.get("SOAK") else 20
STEPS = 40  # of several operations each

SCOPES = {"key:a": 300, "key:b": None, "team:x": 500, "global": 700}

Operation = tuple[Hold, Charge | None]


def bucket_of(scope: str) -> Bucket:
    return bucket(scope, SCOPES[scope])


CHAINS = st.sampled_from([("key:a", "team:x", "global"), ("key:b", "global"), ("team:x",)])
HOLDS = st.builds(
    lambda call, n, amount, scopes, ttl_s: hold(
        f"c{call}.{n}", amount, *map(bucket_of, scopes), ttl_s=ttl_s
    ),
    *(st.integers(0, 7), st.integers(1, 2), st.integers(0, 200), CHAINS),
    st.sampled_from([10.0, 60.0]),
)
CHARGES = st.none() | st.just(NOTHING) | st.integers(0, 250).map(cost)
OPERATIONS: st.SearchStrategy[Operation] = st.tuples(HOLDS, CHARGES)


class LedgerMachine(RuleBasedStateMachine):
    """Runs the store and the model side by side. What one step does goes to the store at once."""

    def __init__(self, redis: Any) -> None:
        super().__init__()
        if redis is not None:
            redis.flush()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._directory = TemporaryDirectory()
        self._clock = FakeClock()
        self._model = LedgerModel(self._clock.wall())
        opening = open_stores(
            Path(self._directory.name), redis.url if redis else None, self._clock, patience=20.0
        )
        self._stores = self._runner.run(self._stack.enter_async_context(opening))

    def teardown(self) -> None:
        try:
            complaints = self._runner.run(self._stores.books.check())
            assert not complaints, complaints
        finally:
            self._runner.run(self._stack.aclose())
            self._runner.close()
            self._directory.cleanup()

    @rule(operations=st.lists(OPERATIONS, min_size=1, max_size=5))
    def change(self, operations: Sequence[Operation]) -> None:
        async def all_at_once() -> Sequence[object]:
            ledger = self._stores.ledger
            return await asyncio.gather(
                *(
                    ledger.reserve(hold) if charge is None else ledger.settle(hold, charge)
                    for hold, charge in operations
                )
            )

        model = self._model
        expected = [
            model.reserve(hold) if charge is None else model.settle(hold, charge)
            for hold, charge in operations
        ]

        assert self._runner.run(all_at_once()) == expected

    @rule(seconds=st.sampled_from([1.0, 15.0, 70.0]))
    def pass_time(self, seconds: float) -> None:
        self._clock.advance(seconds)
        self._model.wall = self._clock.wall()

    @rule()
    def sweep(self) -> None:
        assert len(self._runner.run(self._stores.ledger.sweep())) == self._model.sweep()

    @rule(call=st.integers(0, 7), suffix=st.sampled_from(["", ".1", ".2"]))
    def refund(self, call: int, suffix: str) -> None:
        id = f"c{call}{suffix}"

        refunds = self._runner.run(self._stores.ledger.refund(id, "asked for"))

        assert set(refunds) == self._model.refund(id)

    @invariant()
    def balances_are_the_models(self) -> None:
        ids = [bucket_of(scope).id for scope in SCOPES]
        found = self._runner.run(self._stores.books.balances(ids))
        assert list(found) == [self._model.balance(id) for id in ids]


def know_all_scripts(redis: Any) -> None:
    """Have a new server run each script once: one that it lacks is sent again behind its batch."""
    machine, promise = LedgerMachine(redis), hold("c0.1", 1, bucket_of("global"))
    machine.change([(promise, None)])
    machine.change([(promise, cost(1))])
    machine.refund(0, ".1")
    machine.sweep()
    machine.teardown()


def test_the_ledger_does_what_the_model_does(redis_url: str | None, request: Any) -> None:
    redis = request.getfixturevalue("redis") if redis_url else None
    know_all_scripts(redis)
    steps = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)

    run_state_machine_as_test(lambda: LedgerMachine(redis), settings=steps)
