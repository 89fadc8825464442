"""`python -m proxy.worker TETHER SOCKETS [ADMIN_SOCKETS]`: one of several processes that serve.

It is started by the supervisor (never by hand) with these file descriptors, commas between them.
"""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Sequence

from proxy.app import App
from proxy.config.secrets import secrets_of
from proxy.config.settings import Config
from proxy.core.events import ConfigReloaded
from proxy.core.secrets import Secrets
from proxy.server.sockets import Listening
from proxy.telemetry import operations
from proxy.telemetry.estate import EVERY_S, Inherited
from proxy.tether import Refused, Reload, Start, Stop, Tether


def main(tether: str, *shared: str) -> None:
    """Serve as told, until told to stop or the supervisor is gone."""
    sockets = [[Listening(fileno=int(each)) for each in some.split(",")] for some in shared]
    asyncio.run(_serve(socket.socket(fileno=int(tether)), *sockets))


async def _serve(
    sock: socket.socket,
    sockets: Sequence[socket.socket],
    admin_sockets: Sequence[socket.socket] = (),
) -> None:
    tether = await Tether.over(sock)
    match await tether.next_order():
        case Start(config, place, simulated):
            set_up_logs(config, worker=place.index)
        case _:  # gone before it said anything
            return
    inherited = await asyncio.to_thread(Inherited.of, await tether.inherited())
    app = App(
        config,
        simulated=simulated,
        sockets=sockets,
        admin_sockets=admin_sockets,
        place=place,
        inherited=inherited,
    )
    # Not by its own `signals`: a signal and an order to stop are not two wishes to stop.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _stop, app)
    async with asyncio.TaskGroup() as group:
        async with app:
            obeying = group.create_task(_obey(tether, app))
            tether.serves_at(app.url)
            leaving = group.create_task(_leave(tether, app))
            spare_collector()
            await app.run()
        obeying.cancel()
        leaving.cancel()
    tether.close()


async def _leave(tether: Tether, app: App) -> None:
    """Hand over what a successor is to know, again and again."""
    while True:
        await asyncio.sleep(EVERY_S)
        if tether.said_all and (packet := app.news()):
            tether.leave(packet)


async def _obey(tether: Tether, app: App) -> None:
    """Do what the supervisor says; without one, stop."""
    while order := await tether.next_order():
        match order:
            case Reload(config):
                app.take(config)
            case Refused():  # it has been logged; here it is only counted
                app.state.metrics.happened(ConfigReloaded(ok=False))
            case Stop(at_once):
                _stop(app)
                if at_once:
                    app.stop()
            case Start():
                raise AssertionError("a worker starts once")
    _stop(app)


def _stop(app: App) -> None:
    if not app.stopping:
        app.stop()


def set_up_logs(config: Config, *, worker: int | None = None) -> None:
    """Send `logging` to stderr, in the form that `config` or the terminal asks for."""
    form = config.telemetry.log
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    operations.set_up(Secrets(secrets_of(config)), text=text, worker=worker)


def spare_collector() -> None:
    """Have the garbage collector skip what start-up made, and do a little at a time.

    It finds next to nothing: calls leave no cycles. What it looks at is what questions leave in
    memory, a millisecond for two or three thousand objects. It takes some when 250 are new, and
    those of two such rounds once more, and all of them hardly ever.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(250, 0, 8_000)


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the supervisor reloads
    main(*sys.argv[1:])
