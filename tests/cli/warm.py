"""A process that has imported all of the command line, and becomes a command when asked.

To import it takes ten times as long as most commands: here it is done once for many. Each command
is still a process of its own, with its own arguments, directory, environment and streams.
"""

import gc
import os
import sys
from multiprocessing.connection import Connection
from typing import Any, NoReturn

_HEAVY = (
    "proxy.accounting",
    "proxy.caching",
    "proxy.checks",
    "proxy.config.load",
    "proxy.config.template",
    "proxy.keyring",
    "proxy.serve",
)


def _become(args: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> NoReturn:
    """In the child: be `python -m proxy ARGS`, writing to the files `out` and `err`."""
    for path, stream in ((os.devnull, 0), (out, 1), (err, 2)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, stream)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["groq-proxy", *args]
    from proxy.cli import main

    code: Any = 0
    try:
        main()
    except SystemExit as done:
        code = done.code
    except BaseException:  # noqa: BLE001 - as the interpreter would tell it
        sys.excepthook(*sys.exc_info())
        code = 1
    if isinstance(code, str):
        sys.stderr.write(code + "\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def main() -> None:
    """Answer each (arguments, directory, environment, files) with an exit code, until the end."""
    with Connection(int(sys.argv[1])) as asked:
        for module in _HEAVY:
            __import__(module)
        gc.freeze()
        while True:
            try:
                told = asked.recv()
            except EOFError:
                return
            child = os.fork()
            if not child:
                asked.close()
                _become(*told)
            asked.send(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
