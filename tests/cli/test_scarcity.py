"""A machine that lacks something: files, disk, a place for state. Calls are served all the same."""

import asyncio
import contextlib
from pathlib import Path

from tests.cli.service import PATIENCE_S, serving

FILES = 128
CROWD = 300


async def test_more_connections_than_files_hold_up_no_call(tmp_path: Path) -> None:
    async with serving(tmp_path, shell=f'ulimit -n {FILES}; exec "$@"') as service:
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
    async with serving(tmp_path, shell='exec "$@" >/dev/full') as service:
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
    long = "d" * 100  # more than the path of a socket may have
    (tmp_path / "groq-proxy.yaml").write_text(f"state_dir: {long}\n")
    async with serving(tmp_path, "--workers", "2") as service:
        answer = await service.chat()
        async with service.session.get(f"{service.url}/metrics") as metrics:
            page = await metrics.text()

        assert answer.status == 200
        assert 'llmproxy_worker_up{worker="0"} 1.0' in page
        assert 'llmproxy_worker_up{worker="1"} 1.0' in page
        assert "cannot be used" in service.said
        assert await service.end() == 0
