"""How often a worker looks which collections there are."""

import pytest

from proxy.config.settings import Config
from proxy.core.tasks import beside
from proxy.library import BUILTIN, UPSTASH, Library
from proxy.rag.shelves import Shelves
from proxy.telemetry.metrics import Metrics
from tests.cli.crew import until
from tests.fakes import FakeClock
from tests.rag.shelf_of import MemoryPassages

GROQ = {"keys": [{"name": "a", "value": "x"}]}


async def test_upstash_is_looked_at_once_a_minute_as_each_look_counts_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("proxy.library._LOOK_EVERY_S", 0.005)
    clock, here, there = FakeClock(), MemoryPassages(), MemoryPassages()
    stores = {
        "builtin": Shelves("builtin", here, clock, BUILTIN),
        "upstash": Shelves("upstash", there, clock, UPSTASH),
    }
    metrics = Metrics(FakeClock(), lambda _: (), version="0.1", python="3.11").rag
    library = Library(stores, clock, metrics, lambda: None, stores.keys())
    async with beside(library.watch()):
        await until(lambda: (here.looks, there.looks) == (1, 1))

        for looks in range(2, 7):
            clock.advance(10.0)
            await until(lambda looks=looks: here.looks == looks)
        assert there.looks == 1
        clock.advance(10.0)
        await until(lambda: there.looks == 2)

        library.configure(Config.model_validate({"providers": {"groq": GROQ}}))
        await until(lambda: there.looks == 3)
