"""The parts of the supervisor that need no processes."""

import asyncio
import errno
import socket
from pathlib import Path
from typing import Any

import pytest

from proxy.config.settings import Config
from proxy.core.parcels import parcel
from proxy.server.siblings import Place
from proxy.server.sockets import bound
from proxy.supervisor import Backoff
from proxy.tether import Order, Refused, Reload, Start, Stop, Tether, decoded, encoded
from tests.fakes import FakeClock

WRITTEN_KEYS = [{"name": "a", "value": "gsk_a"}, {"name": "b", "value": ""}]

# Every kind of value that a knob can have.
WRITTEN: dict[str, Any] = {
    "listen": "[::1]:8080",
    "workers": 3,
    "state_dir": "/var/lib/groq-proxy",
    "redis": "redis://:password@host/0",
    "providers": {
        "groq": {"keys": WRITTEN_KEYS},
        "ollama": {"keys": "none", "timeouts": {"first_byte_s": 180}},
        "mine": {"base_url": "https://example.org/v1", "keys": [{"name": "c", "value": ""}]},
    },
    "models": {
        "fast": {"targets": ["groq/a", "ollama/b"], "weights": [90, 10]},
        "auto": {
            "routes": [{"to": "groq/a", "like": ["prove"], "min_chars": 4000}],
            "else": "fast",
        },
    },
    "default_model": "a",
    "prices": {"groq/a": {"input": 0.075, "output": 0.3}},
    "keys": [
        {
            "name": "team",
            "sha256": "0" * 64,
            "budgets": ["5 USD/day", "0.5 USD/month soft"],
            "limits": ["60 requests/minute", "9 tokens/2h", "8 concurrent"],
        }
    ],
    "budgets": {"global": ["50 USD/month"], "zone": "Europe/Berlin"},
    "alerts": {"webhooks": [{"url": "https://hooks.example.org/x", "secret": "quiet"}]},
    "cache": {"exact": {"ttl": "1h30m", "max_size": "1GiB"}},
    "rag": {"docs": {"store": "builtin"}},
    "limits": {"body": "10MB", "drain_s": 0.25},
    "telemetry": {"redact": ["[0-9]+"], "traces": "http://127.0.0.1:4318"},
}
CONFIG = Config.model_validate(WRITTEN)


def test_the_first_death_costs_no_time_and_each_further_one_twice_as_much() -> None:
    backoff = Backoff(FakeClock())

    waits = []
    for _ in range(10):
        backoff.born()
        waits.append(backoff.died())

    assert waits == [0, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_minute_of_life_makes_up_for_earlier_deaths() -> None:
    clock = FakeClock()
    backoff = Backoff(clock)
    for _ in range(6):
        backoff.born()
        backoff.died()

    backoff.born()
    clock.advance(59.9)
    almost = backoff.died()
    backoff.born()
    clock.advance(60)
    late = backoff.died()
    backoff.born()
    again = backoff.died()

    assert (almost, late, again) == (16, 0, 0.5)


def test_it_can_go_on_dying_for_years() -> None:
    backoff = Backoff(FakeClock())

    assert {backoff.died() for _ in range(20_000)} == {0, 0.5, 1, 2, 4, 8, 16, 30}


@pytest.mark.parametrize(
    "order",
    [
        Start(CONFIG, Place(2, 3, Path("/run/meet"), restarts=7), simulated=True),
        Reload(CONFIG),
        Reload(Config.model_validate({"providers": {"groq": {"keys": WRITTEN_KEYS}}})),
        Refused(),
        Stop(),
        Stop(at_once=True),
    ],
    ids=["start", "reload", "reload of defaults", "refused", "stop", "stop at once"],
)
def test_a_worker_hears_exactly_what_the_supervisor_said(order: Order) -> None:
    assert decoded(encoded(order)) == order


def test_secrets_reach_the_worker() -> None:
    order = decoded(encoded(Reload(CONFIG)))

    assert isinstance(order, Reload)
    keys = order.config.providers["groq"].keys
    assert [key.value.get_secret_value() for key in keys if key != "none"] == ["gsk_a"]
    assert order.config.redis is not None


async def test_orders_arrive_one_by_one_and_the_end_is_seen() -> None:
    ours, theirs = socket.socketpair()
    supervisor, worker = await Tether.over(ours), await Tether.over(theirs)
    orders: list[Order] = [Start(CONFIG, Place(), simulated=False), Refused(), Reload(CONFIG)]

    for order in orders:
        supervisor.order(order)
    heard = [await worker.next_order() for _ in orders]
    worker.serves_at("http://127.0.0.1:1")
    url = await supervisor.url()
    supervisor.close()

    assert heard == orders
    assert url == "http://127.0.0.1:1"
    assert await worker.next_order() is None
    worker.close()


async def test_what_is_left_reaches_the_next_one_between_its_start_and_other_orders() -> None:
    ours, theirs = socket.socketpair()
    supervisor, worker = await Tether.over(ours), await Tether.over(theirs)
    start = Start(CONFIG, Place(), simulated=False)

    supervisor.order(start)
    supervisor.bequeath([b"one", bytes(3_000_000)])
    supervisor.order(Refused())
    assert await worker.next_order() == start
    inherited = await worker.inherited()
    order = await worker.next_order()
    worker.serves_at("http://127.0.0.1:1")
    worker.leave(b"all")
    await supervisor.url()
    left = await supervisor.left()
    said_all = worker.said_all
    worker.close()

    assert inherited == [b"one", bytes(3_000_000)]
    assert order == Refused()
    assert (left, said_all) == (b"all", True)
    assert await supervisor.left() is None
    supervisor.close()


async def test_half_of_what_a_dying_worker_said_is_nothing() -> None:
    ours, theirs = socket.socketpair()
    supervisor = await Tether.over(ours)

    with theirs:
        theirs.sendall(parcel(b"whole") + parcel(b"half")[:-1])

    assert [await supervisor.left(), await supervisor.left()] == [b"whole", None]
    supervisor.close()


async def test_a_supervisor_that_dies_while_it_speaks_is_gone() -> None:
    ours, theirs = socket.socketpair()
    worker = await Tether.over(theirs)

    with ours:
        ours.sendall(parcel(encoded(Refused()))[:-1])

    assert await worker.next_order() is None
    worker.close()


def close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


async def test_a_bound_address_takes_connections_before_anyone_serves() -> None:
    sockets = bound("127.0.0.1", 0)

    _, writer = await asyncio.open_connection(*sockets[0].getsockname()[:2])

    writer.close()
    close(sockets)


def test_an_address_in_use_is_an_error_and_leaves_nothing_open() -> None:
    taken = bound("127.0.0.1", 0)
    port = taken[0].getsockname()[1]

    with pytest.raises(OSError, match="in use") as refused:
        bound("127.0.0.1", port)

    assert refused.value.errno == errno.EADDRINUSE
    close(taken)
    close(bound("127.0.0.1", port))


def test_a_name_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(socket.gaierror):
        bound("no.such.name.invalid", 0)
