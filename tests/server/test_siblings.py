import asyncio
import logging
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from proxy.core.parcels import parcel
from proxy.server.siblings import Siblings, meeting_place

HANG_S = 1.0  # what a sibling that hangs may cost


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a path short enough for sockets, which `tmp_path` may not have."""
    with tempfile.TemporaryDirectory(prefix="meet-") as directory:
        yield Path(directory)


def sibling(place: Path, index: int, count: int) -> Siblings:
    async def greet(argument: bytes) -> bytes:
        return b"%d heard %s" % (index, argument)

    async def hang(argument: bytes) -> bytes:
        await asyncio.Event().wait()
        return argument

    async def large(argument: bytes) -> bytes:
        return b"x" * int(argument)

    return Siblings(index, count, place, {"greet": greet, "hang": hang, "large": large})


@asynccontextmanager
async def family(place: Path, *present: int, count: int) -> AsyncIterator[list[Siblings]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(sibling(place, index, count)) for index in present]


def listening(path: Path) -> socket.socket:
    """A socket of somebody who never takes a connection."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    return sock


def entries(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


async def test_all_others_answer_and_each_hears_the_argument(place: Path) -> None:
    async with family(place, 0, 1, 2, count=3) as (_, asking, _):
        assert await asking.gather("greet", b"you") == {0: b"0 heard you", 2: b"2 heard you"}


async def test_whoever_is_not_there_is_left_out(place: Path) -> None:
    async with family(place, 0, 2, count=4) as (asking, _):
        assert await asking.gather("greet") == {2: b"2 heard "}


async def test_one_that_is_alone_asks_nobody_and_needs_no_directory() -> None:
    async with sibling(Path("/does/not/exist"), 0, 1) as alone:
        assert await alone.gather("greet") == {}


async def test_a_large_answer_arrives_whole(place: Path) -> None:
    async with family(place, 0, 1, count=2) as (asking, _):
        assert await asking.gather("large", b"5000000") == {1: b"x" * 5_000_000}


async def test_many_questions_at_once_get_their_own_answers(place: Path) -> None:
    async with family(place, 0, 1, count=2) as (asking, _):
        answers = await asyncio.gather(
            *(asking.gather("greet", b"%d" % number) for number in range(100))
        )

        assert answers == [{1: b"1 heard %d" % number} for number in range(100)]


async def test_one_that_hangs_costs_a_second_and_is_left_out(place: Path) -> None:
    loop = asyncio.get_running_loop()
    async with family(place, 0, 1, count=3) as (asking, _):
        with listening(place / "2.sock"):
            started = loop.time()
            answers = await asking.gather("greet")
            took_s = loop.time() - started

    assert answers == {1: b"1 heard "}
    assert HANG_S <= took_s < 3 * HANG_S


async def test_those_that_hang_are_waited_for_together(place: Path) -> None:
    loop = asyncio.get_running_loop()
    async with family(place, 0, 1, 2, 3, 4, count=5) as (asking, *_):
        started = loop.time()

        assert await asking.gather("hang") == {}
        assert loop.time() - started < 3 * HANG_S


async def test_a_question_that_nobody_knows_is_not_answered(place: Path) -> None:
    async with family(place, 0, 1, count=2) as (asking, _):
        assert await asking.gather("what") == {}


@pytest.mark.parametrize(
    "said",
    [b"", b"\0", parcel(b"half an answer")[:-3], (2**31).to_bytes(4, "big") + b"x" * 100_000],
    ids=["nothing", "half a length", "half an answer", "too much"],
)
async def test_one_that_dies_in_the_middle_is_left_out(place: Path, said: bytes) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()
        writer.transport.abort()

    async with (
        family(place, 0, 1, count=3) as (asking, _),
        await asyncio.start_unix_server(die, str(place / "2.sock")),
    ):
        assert await asking.gather("greet") == {1: b"1 heard "}


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\n\r\n", parcel(b"greet"), parcel(b"\xff") * 2, parcel(b"large")[:5]],
)
async def test_what_is_no_question_disturbs_nobody(place: Path, said: bytes) -> None:
    async with family(place, 0, 1, count=2) as (asking, _):
        reader, writer = await asyncio.open_unix_connection(str(place / "1.sock"))
        writer.write(said)
        writer.write_eof()

        assert await reader.read() == b""
        writer.close()
        assert await asking.gather("greet") == {1: b"1 heard "}


async def test_who_asks_and_leaves_disturbs_nobody(place: Path) -> None:
    async with family(place, 0, 1, count=2) as (asking, _):
        for _ in range(20):
            _, writer = await asyncio.open_unix_connection(str(place / "1.sock"))
            writer.write(parcel(b"large") + parcel(b"5000000"))
            await writer.drain()
            writer.transport.abort()

        assert await asking.gather("greet") == {1: b"1 heard "}


async def test_the_socket_that_a_dead_worker_left_is_replaced(place: Path) -> None:
    listening(place / "1.sock").close()

    async with family(place, 0, 1, count=2) as (asking, _):
        assert await asking.gather("greet") == {1: b"1 heard "}


async def test_it_leaves_no_socket_behind(place: Path) -> None:
    async with family(place, 0, 1, count=2):
        assert entries(place) == {"0.sock", "1.sock"}

    assert entries(place) == set()


async def test_the_socket_of_a_successor_is_left_alone(place: Path) -> None:
    async with family(place, 0, count=2) as (asking,):
        old = sibling(place, 1, 2)
        await old.__aenter__()
        async with family(place, 1, count=2):
            await old.__aexit__()

            assert await asking.gather("greet") == {1: b"1 heard "}


async def test_it_can_be_closed_while_somebody_waits_for_its_answer(place: Path) -> None:
    async with family(place, 0, count=2) as (asking,):
        async with family(place, 1, count=2):
            waiting = asyncio.create_task(asking.gather("hang"))
            await asking.gather("greet")  # the earlier question has arrived too

        assert await waiting == {}


async def test_without_its_directory_it_can_ask_but_not_answer(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = place / "gone"
    async with family(gone, 0, 1, count=2) as (asking, _):
        assert await asking.gather("greet") == {}

    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "worker 0 cannot be asked by the others" in caplog.text


def test_workers_meet_in_the_state_directory_which_is_private(place: Path) -> None:
    state = place / "a" / "state"

    with meeting_place(state) as directory:
        assert directory == state / "workers"
        for path in (place / "a", state, directory):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_directory_that_others_could_enter_is_made_private(place: Path) -> None:
    (place / "workers").mkdir(mode=0o755)

    with meeting_place(place) as directory:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_sockets_of_the_dead_are_gone_at_the_end(place: Path) -> None:
    with meeting_place(place) as directory:
        listening(directory / "3.sock").close()

    assert entries(place / "workers") == {"lock"}


def unusable(place: Path, why: str) -> Path:
    match why:
        case "its path is too long":
            return place / ("x" * 100)
        case "it is a file":
            (place / "file").touch()
            return place / "file"
        case _:
            (place / "workers").symlink_to("/proc/self")
            return place


@pytest.mark.parametrize(
    "why", ["its path is too long", "it is a file", "nothing can be written there"]
)
async def test_where_they_cannot_meet_they_get_a_private_place(
    place: Path, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with meeting_place(unusable(place, why)) as directory:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        async with family(directory, 0, 1, count=2) as (asking, _):
            assert await asking.gather("greet") == {1: b"1 heard "}

    assert not directory.exists()
    [said] = caplog.records
    assert said.getMessage().startswith(f"workers meet in {directory}, as ")


def test_two_proxies_with_one_state_directory_do_not_meet(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with meeting_place(place) as first, meeting_place(place) as second:
        assert first != second
        assert "another proxy uses it" in caplog.text

    with meeting_place(place) as third:
        assert third == first


def test_a_meeting_place_leaves_no_descriptor_open(place: Path) -> None:
    before = entries(Path("/proc/self/fd"))
    with meeting_place(place), meeting_place(place):
        pass

    assert entries(Path("/proc/self/fd")) == before
