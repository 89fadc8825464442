"""The command `serve`: configuration, demo, banner, and the program's life."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from proxy.app import App
from proxy.config.errors import shown
from proxy.config.load import FILE, Demo, find_file, load, read_environment
from proxy.config.names import Address
from proxy.config.notices import notices
from proxy.config.settings import CacheSettings, Config, SemanticCacheSettings
from proxy.core.clock import SystemClock
from proxy.embedding.minilm import lacking
from proxy.keyring import needs_key, secured
from proxy.server.files import raise_limit
from proxy.server.siblings import meeting_place
from proxy.server.sockets import bound
from proxy.stores.protocols import StoreFailed
from proxy.supervisor import Supervisor
from proxy.worker import set_up_logs, spare_collector


def run(file: str | None, *, listen: str | None, workers: int | None, demo: bool) -> int:
    """Serve until told to stop; the exit code."""
    raise_limit()  # for workers too, which inherit it
    directory = Path.cwd()
    env = read_environment(directory, os.environ)
    path = find_file(file, env, directory)

    def read(simulator: Demo | None) -> Config:
        # The environment of a running process does not change, but its .env and file do; and a
        # file may come that was not there at the start.
        env = read_environment(directory, os.environ)
        path = find_file(file, env, directory)
        return load(path, env, listen=listen, workers=workers, demo=simulator)

    async def serve() -> int:
        async with AsyncExitStack() as stack:
            simulator = await _simulator(stack) if demo else None
            config = read(simulator)
            set_up_logs(config)
            try:
                first = await secured(config, make_first=env.get("PROXY_FIRST_KEY") == "1")
                closed = await needs_key(config)
            except StoreFailed as error:
                return _cannot_store(error)
            if first:
                click.echo(f"the first key, shown only now: {first}", err=True)

            def say(url: str, admin_url: str) -> None:
                for line in (*notices(config, env), *cache_notes(config.cache, lacking())):
                    click.echo(f"note: {line}", err=True)
                click.echo(banner(config, url, admin_url, demo=demo, closed=closed), err=True)
                spare_collector()

            service = _Service(
                config,
                read=lambda: read(simulator),
                watch=(path or directory / FILE, directory / ".env"),
                simulated=demo,
                on_serving=say,
            )
            return await (service.alone() if config.workers == 1 else service.several())

    return asyncio.run(serve())


@dataclass(frozen=True, slots=True)
class _Service:
    """What is served, by one process or by several."""

    config: Config
    _: KW_ONLY
    read: Callable[[], Config]
    watch: Sequence[Path]
    simulated: bool
    on_serving: Callable[[str, str], None]  # the addresses of calls and of admins

    async def alone(self) -> int:
        """Serve in this process; the exit code."""
        app = App(
            self.config,
            reload=self.read,
            watch=self.watch,
            simulated=self.simulated,
            signals=True,
        )
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(app)
            except OSError as error:
                return _cannot_listen(self.config, error)
            except StoreFailed as error:
                return _cannot_store(error)
            self.on_serving(app.url, app.admin_url)
            await app.run()
        return 0

    async def several(self) -> int:
        """Have workers serve; the exit code."""
        own, admins = self.config.listen, self.config.admin_listen
        try:
            sockets = bound(own.host, own.port)
            admin_sockets = bound(admins.host, admins.port) if admins else ()
        except OSError as error:
            return _cannot_listen(self.config, error)

        def on_serving(url: str) -> None:
            self.on_serving(url, _url(admins, admin_sockets[0]) if admins else url)

        with ExitStack() as stack:
            try:
                directory = stack.enter_context(meeting_place(self.config.state_dir))
            except OSError as error:
                click.echo(f"groq-proxy: no place for the workers to meet: {error}", err=True)
                return 1
            supervisor = Supervisor(
                self.config,
                sockets=sockets,
                admin_sockets=admin_sockets,
                directory=directory,
                simulated=self.simulated,
                read=self.read,
                watch=self.watch,
                clock=SystemClock(),
                on_serving=on_serving,
            )
            return await supervisor.run()


def _cannot_listen(config: Config, error: OSError) -> int:
    unknown = isinstance(error, socket.gaierror) or not error.errno
    reason = error.strerror or error if unknown else os.strerror(error.errno or 0)
    where = " or ".join(str(each) for each in (config.listen, config.admin_listen) if each)
    click.echo(f"groq-proxy: cannot listen on {where}: {reason}", err=True)
    return 1


def _url(address: Address, sock: socket.socket) -> str:
    """Where a browser on this machine finds what listens there."""
    host, port = sock.getsockname()[:2]
    return f"http://{Address('127.0.0.1' if address.wildcard else host, port)}"


def _cannot_store(error: StoreFailed) -> int:
    click.echo(f"groq-proxy: cannot keep keys and budgets: {error}", err=True)
    return 1


def cache_notes(cache: CacheSettings, lacks: str) -> Iterator[str]:
    """What the cache cannot do, though the configuration asks for it.

    `lacks` is why the extra `semantic` cannot be used, "" where it can.
    """
    settings = cache.semantic
    if settings.mode == "off" or settings.profile == "exact":
        return
    if not cache.exact.enabled:
        if settings != SemanticCacheSettings():
            yield "cache.exact.enabled is false: nothing is kept, so nothing is found by meaning"
    elif settings.embedder == "semantic" and lacks:
        yield f"nothing near is found, as `embedder: semantic` cannot be used: {lacks}"


def banner(
    config: Config, url: str, admin_url: str = "", *, demo: bool, closed: bool = False
) -> str:
    """What to paste, where to look, and who may see prompts; `closed`: to callers without a key."""
    admin_url = admin_url or url
    key = "gp-..." if closed else "unused"
    lines = [
        f"groq-proxy serves at {url}",
        f'  OpenAI SDK   OpenAI(base_url="{url}/v1", api_key="{key}")',
        f'  Groq SDK     Groq(base_url="{url}", api_key="{key}")',
        f"  dashboard    {admin_url}/dashboard",
        f"  metrics      {admin_url}/metrics",
    ]
    if closed:
        lines.append("  keys         needed by every call: groq-proxy keys create NAME makes one")
    if config.workers > 1:
        lines.append(f"  workers      {config.workers}")
    if demo:
        lines += [
            "",
            "  DEMO: answers come from a simulator on this machine, not from Groq.",
            "  Every answer carries x-proxy-simulated: true. Set GROQ_API_KEY for real ones.",
        ]
    else:
        companies = ", ".join(
            f"{name} ({urlsplit(provider.base_url).hostname})"
            for name, provider in config.providers.items()
            if provider.usable
        )
        if config.upstash:  # what is looked for in documents, and those documents
            companies += f", upstash ({urlsplit(config.upstash.url).hostname})"
        lines.append(f"  prompts go to {companies}")
    return "\n".join(lines)


def run_simulator(listen: str, *, scenario: str | None, speed: float) -> int:
    """Serve the simulator alone until told to stop; the exit code."""
    from proxy.simulator.app import Simulator
    from proxy.simulator.catalogue import Plan
    from proxy.simulator.scenario import Scenario, ScenarioError, load
    from proxy.simulator.settings import SimulatorSettings

    try:
        address = Address.parse(listen)
        played = load(Path(scenario)) if scenario else Scenario()
        settings = SimulatorSettings(speed=speed, plan=Plan.FREE, scenario=played)
    except (ScenarioError, ValueError, OSError) as error:
        click.echo(f"groq-proxy: {shown(str(error))}", err=True)
        return 2

    async def serve() -> int:
        simulator = Simulator(settings)
        try:
            async with simulator.serve(address.host, address.port) as base_url:
                click.echo(
                    f"A simulated Groq serves at {base_url}\n"
                    f'  Groq SDK     Groq(base_url="{simulator.origin}", api_key="gsk_demo")\n'
                    f"  its state    {simulator.origin}/simulator/state",
                    err=True,
                )
                await _told_to_stop()
        except OSError as error:
            click.echo(f"groq-proxy: cannot listen on {address}: {error}", err=True)
            return 1
        return 0

    return asyncio.run(serve())


async def _told_to_stop() -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def _simulator(stack: AsyncExitStack) -> Demo:
    from proxy.simulator.app import Simulator
    from proxy.simulator.catalogue import Plan
    from proxy.simulator.settings import SimulatorSettings

    simulator = Simulator(SimulatorSettings(plan=Plan.FREE))
    return Demo(base_url=await stack.enter_async_context(simulator.serve("127.0.0.1", 0)))
