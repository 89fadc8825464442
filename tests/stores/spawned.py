"""Work in a process of its own, whose limits hurt nobody else."""

import multiprocessing
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any


def in_a_process(work: Callable[..., Any], *arguments: object) -> Any:
    """What `work` sends, in a process that its limits die with."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, *arguments))
    process.start()
    theirs.close()
    try:
        assert ours.poll(30)
        return ours.recv()
    finally:
        process.kill()
        process.join()


def visit(pipe: Any, path: Path) -> None:
    """Read the database as another program would, and go: the last one out deletes the log."""
    with closing(sqlite3.connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()
    pipe.send(version)
