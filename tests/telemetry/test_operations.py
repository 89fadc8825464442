import io
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from proxy.core.secrets import Secrets, hashed
from proxy.telemetry.operations import Formatter, Operations, in_force
from tests.telemetry.test_lines import PATIENCE_S, reading

ROOT = Path(__file__).parent.parent.parent
KEY = "gsk_abcdefghijklmnop"
OURS = 'p@ss "word" of ours\\'
PROMPT = "Tell me, dear model, of the secret marriage of my aunt Agatha"


def formatter(*, text: bool = False, worker: int | None = None) -> Formatter:
    return Formatter(text=text, hide=Secrets([OURS]).hide, worker=worker)


def told_of(message: str, *args: object, error: BaseException | None = None) -> dict[str, str]:
    """The line of a record, read again."""
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("proxy.x", logging.ERROR, "f", 1, message, args, info)
    told: dict[str, str] = orjson.loads(formatter().format(record))
    return told


def logged(*, text: bool, fail: bool, worker: int | None = None) -> str:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord(
            "proxy.x", logging.ERROR, "f", 1, "%s failed", ("it",), sys.exc_info() if fail else None
        )
    return formatter(text=text, worker=worker).format(record)


def test_messages_have_the_shape_of_the_access_log() -> None:
    told = orjson.loads(logged(text=False, fail=True))

    assert told["event"] == "log"
    assert (told["level"], told["logger"], told["message"]) == ("error", "proxy.x", "it failed")
    assert told["traceback"].endswith("ValueError: two\nlines\n")
    assert "\n" not in logged(text=False, fail=True)


def test_messages_for_people_are_short() -> None:
    assert logged(text=True, fail=False).endswith("  error: it failed")
    assert "ValueError" in logged(text=True, fail=True)


def test_messages_name_the_worker_where_there_are_several() -> None:
    for worker in (0, 1):
        assert orjson.loads(logged(text=False, fail=False, worker=worker))["worker"] == worker
        told = logged(text=True, fail=False, worker=worker)
        assert told.endswith(f"  worker {worker}  error: it failed")

    assert orjson.loads(logged(text=False, fail=False))["worker"] is None
    assert "worker" not in logged(text=True, fail=False)


def test_what_would_steer_a_terminal_is_spelled_out() -> None:
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "a\x1b[2Jb\r\x9b", (), None)

    assert formatter(text=True).format(record).endswith("error: a\\x1b[2Jb\\r\\x9b")


@pytest.mark.parametrize("secret", [KEY, OURS])
def test_a_secret_is_hidden_wherever_it_comes_from(secret: str) -> None:
    split = told_of("%s%s!", secret[:7], secret[7:])
    mapping = told_of("%s", {"value": secret})
    raw = told_of("%r", secret.encode())
    raised = told_of("no", error=RuntimeError(f"bad {secret}"))
    chained = RuntimeError("outer")
    chained.__cause__ = ExceptionGroup("all", [KeyError(secret), OSError(secret)])

    assert split["message"] == f"{hashed(secret)}!"
    assert mapping["message"] == f"{{'value': '{hashed(secret)}'}}"
    assert raw["message"] == f"b'{hashed(secret)}'"
    assert raised["traceback"].endswith(f"bad {hashed(secret)}\n")
    assert told_of("no", error=chained)["traceback"].count(hashed(secret)) == 2


def test_an_exceptions_long_values_are_cut_as_they_may_be_prompts() -> None:
    for error in (KeyError(PROMPT), ValueError(f"odd: {PROMPT!r}, {PROMPT.encode()!r}")):
        trace = told_of("no", error=error)["traceback"]
        assert "Agatha" not in trace
        assert "…" in trace

    assert (
        "'NoneType' object is not subscriptable"
        in told_of("no", error=TypeError("'NoneType' object is not subscriptable"))["traceback"]
    )


@pytest.mark.parametrize("filling", ["x", "x ", KEY + " ", OURS, "authorization: a\n", "bearer"])
def test_a_huge_message_makes_a_bounded_line_soon_and_no_part_of_a_secret(filling: str) -> None:
    began = time.process_time()
    told = told_of("%s", filling * (1_000_000 // len(filling)))
    took_s = time.process_time() - began

    assert len(told["message"]) <= 66_000
    assert took_s < 0.2
    for secret in (KEY, OURS):
        assert secret[:10] not in told["message"]


def test_text_that_is_no_unicode_is_told_too() -> None:
    assert told_of("a\udcffb")["message"] == "a\\udcffb"


@contextmanager
def operations(out: io.TextIOWrapper) -> Iterator[tuple[Operations, logging.Logger]]:
    """Operations that only one logger speaks to."""
    logger = logging.Logger("lone")  # noqa: LOG001 - the root's handlers must not hear of it
    handler = Operations(Secrets([OURS]), text=False, out=out)
    logger.addHandler(handler)
    try:
        yield handler, logger
    finally:
        handler.close()


class Sulky:
    def __repr__(self) -> str:
        raise RuntimeError(OURS)


def test_a_message_that_cannot_be_told_is_told_of_without_its_words(
    capfd: pytest.CaptureFixture[str],
) -> None:
    out = io.TextIOWrapper(io.BytesIO())
    with operations(out) as (_, logger):
        logger.error("%d", OURS)
        logger.error("%r", Sulky())
        logger.error("after")

    out.seek(0)
    first, second, third = (orjson.loads(line)["message"] for line in out.read().splitlines())
    assert first.endswith("TypeError")
    assert second.endswith("RuntimeError")
    assert third == "after"
    assert capfd.readouterr() == ("", "")


class Stuck(io.BytesIO):
    """A pipe that takes nothing."""

    def write(self, data: object) -> int:
        raise BlockingIOError


def test_lines_that_are_lost_are_counted() -> None:
    with operations(io.TextIOWrapper(Stuck())) as (handler, logger):
        for _ in range(5):
            logger.error("x")
        handler.close()

        assert handler.dropped == 5


def test_nothing_is_in_force_until_it_is_set_up() -> None:
    assert in_force() is None


def test_a_stderr_that_nobody_reads_costs_lines_and_never_time() -> None:
    read, write = os.pipe()
    count = 5000
    with os.fdopen(write, "w") as out, operations(out) as (handler, logger):
        for number in range(count):  # to wait once would be to wait forever
            logger.warning("%d %s", number, "x" * 200)
        assert handler.dropped > 0

        with reading(read) as pieces:
            handler.close()
            out.close()

    lines = b"".join(pieces).splitlines()
    told = [int(orjson.loads(line)["message"].split()[0]) for line in lines]
    assert told == sorted(told)
    assert len(told) + handler.dropped == count


NUMBERED = """
import logging
from proxy.core.secrets import Secrets
from proxy.telemetry.operations import set_up

set_up(Secrets(), text=False, worker=3)
logging.getLogger("lib").warning("%d", "seven")
raise RuntimeError
"""


def test_a_worker_puts_its_number_on_all_that_it_says() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", NUMBERED],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert [orjson.loads(line)["worker"] for line in ended.stderr.splitlines()] == [3, 3]


PROGRAM = """
import logging
from proxy.core.secrets import Secrets
from proxy.telemetry.operations import set_up

set_up(Secrets(["s3cret of ours"]), text=False)
for number in range(900):
    logging.getLogger("lib").warning("%d " + "x" * 200, number)
raise RuntimeError("s3cret of ours")
"""


@contextmanager
def program() -> Iterator[subprocess.Popen[str]]:
    """A program that says a lot and ends by an exception that nobody catches."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_all_is_written_before_the_end_also_by_an_exception_that_nobody_caught() -> None:
    with program() as process:
        _, said = process.communicate(timeout=PATIENCE_S)

    *lines, last = map(orjson.loads, said.splitlines())
    assert process.returncode == 1
    assert len(lines) == 900
    assert (last["level"], last["logger"]) == ("critical", "proxy")
    assert last["traceback"].endswith(f"RuntimeError: {hashed('s3cret of ours')}\n")


def test_a_program_whose_stderr_nobody_reads_ends_all_the_same() -> None:
    with program() as process:
        assert process.wait(PATIENCE_S) == 1
