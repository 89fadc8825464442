import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from proxy.core.clock import SystemClock
from proxy.stores.fuse import FAILURES, PAUSE_S, Fuse
from proxy.stores.protocols import StoreFailed
from proxy.stores.redis.connection import Connection, place_of
from proxy.stores.redis.records import RedisRecords
from tests.fakes import FakeClock
from tests.stores.redis_server import RedisServer, free_port, redis_server

SECRET = "hunter2-secret"

WITHOUT_LIBRARY = """
import asyncio, sys
sys.modules["redis"] = sys.modules["redis.asyncio"] = None
from proxy.core.clock import SystemClock
from proxy.stores.protocols import StoreFailed
from proxy.stores.redis.connection import Connection
async def main():
    try:
        async with Connection("redis://localhost", SystemClock()):
            pass
    except StoreFailed as failed:
        print(failed)
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis"), password=SECRET) as running:
        yield running


def connect(url: str) -> Connection:
    return Connection(url, SystemClock(), patience_s=5.0)


@pytest.mark.parametrize("way", ["socket", "port"])
async def test_a_server_is_reached_by_socket_and_by_port(server: RedisServer, way: str) -> None:
    async with connect(server.url if way == "socket" else server.tcp_url) as connection:
        assert await RedisRecords(connection).put("way", way, b"here") is not None


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@127.0.0.1:1/0",
        f"redis://user:{SECRET}@no-such-host.invalid/0",
        f"unix://:{SECRET}@/no/such/socket",
        f"unix:///no/such/socket?password={SECRET}",
        f"http://user:{SECRET}@127.0.0.1/",
        f"redis://user:{SECRET}/#more@127.0.0.1/",
        f"redis://[{SECRET}",
        SECRET,
        "",
    ],
)
async def test_a_url_that_leads_nowhere_fails_clearly_and_tells_no_secret(url: str) -> None:
    with pytest.raises(StoreFailed) as failed:
        async with connect(url):
            pass

    assert SECRET not in str(failed.value)
    assert failed.value.__cause__ is None
    assert "edis" in str(failed.value)


async def test_a_wrong_password_is_told_but_not_shown(server: RedisServer) -> None:
    wrong = server.tcp_url.replace(SECRET, "not-the-secret")

    with pytest.raises(StoreFailed, match="password") as failed:
        async with connect(wrong):
            pass

    assert "not-the-secret" not in str(failed.value)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for the loopback, and its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    file = tmp_path / "redis.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    name = ["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [openssl, "req", "-x509", *kind, *name, "-keyout", "-", "-out", "-"]
    made = subprocess.run(command, check=True, capture_output=True, timeout=60)
    file.write_bytes(made.stdout)
    return file


async def test_a_server_is_reached_by_tls_if_its_certificate_is_known(
    tmp_path: Path, certificate: Path
) -> None:
    port = free_port()
    files = [f"--tls-{what}-file {certificate}".split() for what in ("cert", "key", "ca-cert")]
    options = ["--tls-port", str(port), "--tls-auth-clients", "no", *chain(*files)]
    url = f"rediss://:{SECRET}@127.0.0.1:{port}/0"
    with redis_server(tmp_path, *options, password=SECRET):
        async with connect(f"{url}?ssl_ca_certs={certificate}") as connection:
            assert await RedisRecords(connection).put("way", "tls", b"here") is not None
        with pytest.raises(StoreFailed, match="certificate") as failed:
            await connect(url).__aenter__()

    assert SECRET not in str(failed.value)


def test_a_place_is_named_without_what_is_secret() -> None:
    assert place_of(f"rediss://me:{SECRET}@cache.example:6380/3") == "cache.example:6380"
    assert place_of(f"redis://:{SECRET}@cache.example") == "cache.example:6379"
    assert place_of(f"unix:///run/redis.sock?password={SECRET}") == "/run/redis.sock"


def test_without_the_library_it_says_what_to_install() -> None:
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARY], capture_output=True, text=True, timeout=60
    )

    assert "pip install 'redis>=5.2'" in said.stdout, said.stderr


async def test_a_server_that_would_drop_money_when_full_is_refused(tmp_path: Path) -> None:
    options = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    with redis_server(tmp_path, *options) as server, pytest.raises(StoreFailed, match="allkeys"):
        await connect(server.url).__aenter__()


async def test_a_policy_that_would_drop_money_is_warned_of_while_memory_is_not_limited(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server(tmp_path, "--maxmemory-policy", "volatile-lru") as server:
        async with connect(server.url):
            pass

    assert "volatile-lru" in caplog.text
    assert "appendonly" in caplog.text


async def test_a_server_that_keeps_its_data_is_not_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server(tmp_path, "--appendonly", "yes") as server:
        async with connect(server.url):
            pass

    assert not caplog.records


async def test_a_server_that_forgot_the_scripts_is_given_them_again(server: RedisServer) -> None:
    async with connect(server.url) as connection:
        records = RedisRecords(connection)
        server.forget_scripts()
        kept = await asyncio.gather(*(records.put("again", str(n), b"x") for n in range(100)))

        assert len({each.version for each in kept if each is not None}) == 100


async def test_who_stops_waiting_does_not_stop_what_was_asked(server: RedisServer) -> None:
    async with connect(server.url) as connection:
        records = RedisRecords(connection)
        waiting = asyncio.create_task(records.put("left", "alone", b"done"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()

        kept = await records.get("left", "alone")

    assert kept is not None
    assert kept.value == b"done"


async def test_what_is_under_way_is_finished_before_it_is_closed(server: RedisServer) -> None:
    async with connect(server.url) as connection:
        puts = [
            asyncio.create_task(RedisRecords(connection).put("closing", str(n), b"x"))
            for n in range(200)
        ]
        await asyncio.sleep(0)
    kept = await asyncio.gather(*puts)

    assert all(each is not None for each in kept)


async def test_a_closed_connection_says_so(server: RedisServer) -> None:
    async with connect(server.url) as connection:
        pass

    with pytest.raises(StoreFailed, match="not open") as failed:
        await RedisRecords(connection).get("any", "thing")
    assert not failed.value.sent


def test_a_process_that_stood_still_does_not_blame_redis(server: RedisServer) -> None:
    async def stand_still() -> object:
        async with Connection(server.url, SystemClock(), patience_s=0.2) as connection:
            records = RedisRecords(connection)
            asked = asyncio.ensure_future(records.put("stall", "a", b"x"))
            for _ in range(3):
                await asyncio.sleep(0)
            time.sleep(0.25)  # noqa: ASYNC251 - to stand still is the point
            return await asked

    assert asyncio.run(stand_still()) is not None  # on a loop that has the time of the machine


async def test_the_servers_clock_is_known(server: RedisServer) -> None:
    class Late(SystemClock):
        def wall(self) -> float:  # type: ignore[override]
            return SystemClock.wall() - 3600.0

    async with Connection(server.url, Late(), patience_s=5.0) as connection:
        assert connection.wall() == pytest.approx(SystemClock.wall(), abs=2.0)


async def test_a_clock_of_a_test_is_the_servers_too(server: RedisServer) -> None:
    clock = FakeClock()
    async with Connection(server.url, clock, patience_s=5.0) as connection:
        clock.set_wall(5.0)
        assert connection.wall() == 5.0


def test_a_fuse_blows_after_failures_in_a_row_and_lets_one_try_after_each_pause() -> None:
    clock = FakeClock()
    fuse = Fuse(clock.now)
    for _ in range(FAILURES - 1):
        fuse.failed()
    fuse.worked()
    for _ in range(FAILURES - 1):
        fuse.failed()
    assert fuse.admits()

    fuse.failed()
    assert not fuse.admits()
    clock.advance(PAUSE_S)
    assert [fuse.admits(), fuse.admits()] == [True, False]
    fuse.failed()
    clock.advance(PAUSE_S / 2)
    assert not fuse.admits()
    clock.advance(PAUSE_S / 2)
    assert fuse.admits()
    fuse.worked()

    assert [fuse.admits(), fuse.admits()] == [True, True]
