import io
import os
import resource
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from proxy.telemetry.lines import LineWriter, _File

PATIENCE_S = 20


class Pipe:
    """A writer on a pipe that nobody reads until `end`."""

    def __init__(self, *, blocking: bool = True) -> None:
        self._read, write = os.pipe()
        os.set_blocking(write, blocking)
        self.out = os.fdopen(write, "w")
        self.writer = LineWriter(self.out)

    def end(self) -> list[bytes]:
        """All lines, to the end."""
        with reading(self._read) as pieces:
            self.writer.close(timeout_s=PATIENCE_S)
            self.out.close()
        return b"".join(pieces).splitlines()


@contextmanager
def reading(descriptor: int) -> Iterator[list[bytes]]:
    """What can be read until all writers have closed; all of it after the block."""
    pieces: list[bytes] = []
    reader = threading.Thread(
        target=lambda: pieces.extend(iter(lambda: os.read(descriptor, 1 << 20), b""))
    )
    reader.start()
    yield pieces
    reader.join(PATIENCE_S)
    os.close(descriptor)


def in_memory() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO())


def lines_of(out: io.TextIOWrapper) -> list[bytes]:
    return out.buffer.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def test_lines_are_written_in_order_and_closing_writes_what_waits() -> None:
    out = in_memory()
    writer = LineWriter(out)
    lines = [b"line %d" % number for number in range(5000)]

    for line in lines:
        writer.write(line)
    writer.close()

    assert lines_of(out) == lines


def test_lines_of_many_threads_are_never_mixed() -> None:
    out = in_memory()
    writer = LineWriter(out)

    def write(name: int) -> None:
        for number in range(500):
            writer.write(b"%d %d" % (name, number))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()

    lines = lines_of(out)
    assert len(lines) == 2000
    for name in range(4):
        mine = [line for line in lines if line.startswith(b"%d " % name)]
        assert mine == [b"%d %d" % (name, number) for number in range(500)]


def test_a_pipe_that_nobody_reads_costs_lines_and_never_time() -> None:
    pipe, count = Pipe(), 60_000

    for number in range(count):  # to wait once would be to wait forever
        pipe.writer.write(b"%08d" % number + b"x" * 100)
    assert pipe.writer.dropped > 0

    lines = pipe.end()
    assert len(lines) + pipe.writer.dropped == count
    assert lines == sorted(lines)
    assert {len(line) for line in lines} == {108}


def test_no_drop_goes_uncounted_however_many_threads_write() -> None:
    pipe, count = Pipe(), 20_000

    def write() -> None:
        for _ in range(count):
            pipe.writer.write(b"x" * 50)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(pipe.end()) + pipe.writer.dropped == 4 * count


def test_closing_does_not_wait_for_a_pipe_that_nobody_reads() -> None:
    pipe = Pipe()
    for _ in range(2000):
        pipe.writer.write(b"x" * 100)

    pipe.writer.close(timeout_s=0.1)

    assert len(pipe.end()) == 2000


def test_a_pipe_that_somebody_made_non_blocking_loses_nothing() -> None:
    pipe = Pipe(blocking=False)
    lines = [b"%06d" % number + b"x" * 300 for number in range(3000)]

    for line in lines:
        pipe.writer.write(line)

    assert pipe.end() == lines
    assert pipe.writer.dropped == 0


def test_lines_that_share_a_pipe_stay_whole() -> None:
    read, write = os.pipe()
    outs = [os.fdopen(write, "w"), os.fdopen(os.dup(write), "w")]
    writers = [LineWriter(out) for out in outs]

    with reading(read) as pieces:
        for number in range(3000):
            for name, writer in enumerate(writers):
                writer.write(b"%d" % name * (1 + number % 1500))
        for writer, out in zip(writers, outs, strict=True):
            writer.close(PATIENCE_S)
            out.close()

    lines = b"".join(pieces).splitlines()
    assert len(lines) == 6000
    assert {bytes(sorted(set(line))) for line in lines} == {b"0", b"1"}


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="needs pipes that keep writes apart")
def test_a_write_to_a_pipe_holds_whole_lines_and_never_more_than_stays_together() -> None:
    read, write = os.pipe2(os.O_DIRECT)
    file = _File(write)
    os.close(write)
    a, b, c, long = (
        b"a" * 1500,
        b"b" * 1500,
        b"c" * (select.PIPE_BUF - 1),
        b"d" * 2 * select.PIPE_BUF,
    )

    assert file.write([a, b, c, long, b"e"]) == 0
    assert file.close() == 0

    with reading(read) as writes:
        pass
    assert writes[:2] == [a + b"\n" + b + b"\n", c + b"\n"]
    assert b"".join(writes[2:]) == long + b"\ne\n"
    assert writes[-1] == b"e\n"


def test_lines_that_nobody_can_read_any_more_are_counted() -> None:
    read, write = os.pipe()
    os.close(read)
    out = os.fdopen(write, "w")
    writer = LineWriter(out)

    for _ in range(100):
        writer.write(b"x" * 1000)
    writer.close()

    assert writer.dropped == 100
    with suppress(BrokenPipeError):
        out.close()


def test_a_stream_that_was_closed_costs_its_lines_alone() -> None:
    out = in_memory()
    writer = LineWriter(out)
    out.close()

    writer.write(b"line")
    writer.close()

    assert writer.dropped == 1


def test_closing_a_file_under_the_writer_never_sends_its_lines_elsewhere(tmp_path: Path) -> None:
    out = (tmp_path / "log").open("w")
    writer, number = LineWriter(out), out.fileno()
    out.close()
    elsewhere = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)

    writer.write(b"line")
    writer.close()

    assert elsewhere == number
    os.close(elsewhere)
    assert (tmp_path / "other").read_bytes() == b""
    assert (tmp_path / "log").read_bytes() == b"line\n"


def test_what_comes_after_the_end_is_counted_as_dropped() -> None:
    writer = LineWriter(in_memory())
    writer.close()

    writer.write(b"line")

    assert writer.dropped == 1


def test_a_full_disk_costs_lines_and_they_are_counted() -> None:
    with Path("/dev/full").open("w") as out:
        writer = LineWriter(out)
        for _ in range(100):
            writer.write(b"x" * 1000)
        writer.close()

    assert writer.dropped == 100


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """A disk that is full when a file has `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("room", "whole"), [(0, 0), (1, 1), (99, 1), (100, 1), (101, 2), (250, 3), (300, 3)]
)
def test_a_line_that_a_full_disk_cut_is_ended_when_there_is_room_again(
    tmp_path: Path, room: int, whole: int
) -> None:
    lines = [letter * 99 for letter in (b"a", b"b", b"c", b"d", b"e")]
    with (tmp_path / "log").open("w") as out:
        file = _File(out.fileno())
        with room_for(room):
            lost = file.write(lines)
            lost += file.write(lines)
        lost += file.write([b"later"])
        lost += file.close()

    assert (tmp_path / "log").read_bytes().splitlines() == [*lines[:whole], b"later"]
    assert lost == 10 - whole


def test_a_line_that_stays_cut_is_counted_at_the_end(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as out, room_for(150):
        writer = LineWriter(out)
        for _ in range(3):
            writer.write(b"x" * 99)
        writer.close()

    assert writer.dropped == 2
