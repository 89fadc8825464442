"""A machine that lacks something: files, disk, a place for state. Calls are served all the same."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.cli.test_commands import clean_environment
from tests.cli.test_serve import PATIENCE_S, Service

FILES = 128
CROWD = 300


@asynccontextmanager
async def scarce(directory: Path, shell: str, *args: str) -> AsyncIterator[Service]:
    """A service that `shell` starts, as `"$@"`."""
    command = (sys.executable, "-m", "proxy", "serve", "--demo", "--listen", "127.0.0.1:0", *args)
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", shell, "sh", *command),
        cwd=directory,
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with aiohttp.ClientSession() as session:
            service = Service(process, session)
            await service.hear("groq-proxy serves at ")
            service.url = service.said.partition("groq-proxy serves at ")[2].split()[0]
            yield service
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_more_connections_than_files_hold_up_no_call(tmp_path: Path) -> None:
    async with scarce(tmp_path, f'ulimit -n {FILES}; exec "$@"') as service:
        host, port = service.url.removeprefix("http://").split(":")
        writers = []
        for _ in range(CROWD):
            _, writer = await asyncio.open_connection(host, int(port))
            writers.append(writer)
        async with asyncio.timeout(PATIENCE_S):
            answer = await service.chat()
        for writer in writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

        assert answer.status == 200
        assert await service.end() == 0
        assert service.process.stderr is not None
        service.said += (await service.process.stderr.read()).decode()
        assert "Traceback" not in service.said


async def test_a_log_on_a_full_disk_loses_lines_and_no_call(tmp_path: Path) -> None:
    async with scarce(tmp_path, 'exec "$@" >/dev/full') as service:
        answer = await service.chat()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with service.session.get(f"{service.url}/metrics") as metrics:
                    if 'telemetry_dropped_total{signal="logs"} 1.0' in await metrics.text():
                        break

        assert answer.status == 200


async def test_workers_that_cannot_meet_in_the_state_directory_meet_elsewhere(
    tmp_path: Path,
) -> None:
    (tmp_path / "groq-proxy.yaml").write_text("state_dir: /proc/nowhere\n")
    async with scarce(tmp_path, 'exec "$@"', "--workers", "2") as service:
        answer = await service.chat()
        async with service.session.get(f"{service.url}/metrics") as metrics:
            page = await metrics.text()

        assert answer.status == 200
        assert 'llmproxy_worker_up{worker="0"} 1.0' in page
        assert 'llmproxy_worker_up{worker="1"} 1.0' in page
        assert "cannot be used" in service.said
        assert await service.end() == 0
