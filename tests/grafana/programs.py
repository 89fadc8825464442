"""Debian's Prometheus and Alertmanager, run on loopback in a directory of the test."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

PATIENCE_S = 20


def program(name: str) -> str:
    """Where a program is; without it a test skips, or fails where it was promised."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(f"{name} is not installed, and REQUIRE_SERVICES is 1")
        pytest.skip(f"{name} is not installed")
    return found


@dataclass
class Prometheus:
    """A running one, asked over its HTTP API."""

    url: str
    session: aiohttp.ClientSession

    async def query(self, expr: str, at: float | None = None) -> list[dict[str, Any]]:
        """What an expression gives now; a scalar as a list of one."""
        params = {"query": expr, **({"time": str(at)} if at else {})}
        return _rows(await self._get("query", params))

    async def query_range(
        self, expr: str, start: float, end: float, step: float
    ) -> list[dict[str, Any]]:
        """What it gave from `start` to `end`."""
        span = {"query": expr, "start": str(start), "end": str(end), "step": str(step)}
        return _rows(await self._get("query_range", span))

    async def label_values(self, metric: str, label: str) -> list[str]:
        """The values of a label of the series that `metric` selects."""
        found = await self._get(f"label/{label}/values", {"match[]": metric})
        return [str(value) for value in found]

    async def rules(self) -> list[dict[str, Any]]:
        """All rules, as they stand."""
        groups = (await self._get("rules", {}))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def _get(self, path: str, params: Mapping[str, str]) -> Any:
        async with self.session.get(f"{self.url}/api/v1/{path}", params=params) as answer:
            told = await answer.json()
        assert told["status"] == "success", f"{params}: {told.get('error')}"
        return told["data"]


def _rows(data: Any) -> list[dict[str, Any]]:
    if data["resultType"] == "scalar":
        return [{"metric": {}, "value": data["result"]}]
    return list(data["result"])


@asynccontextmanager
async def prometheus(
    directory: Path,
    target: str,
    rules: Sequence[Mapping[str, Any]] = (),
    alertmanager: str = "",
) -> AsyncIterator[Prometheus]:
    """One that scrapes `target` (HOST:PORT) each second, with these files of rules."""
    files = []
    for number, rule in enumerate(rules):
        path = directory / f"rules{number}.yml"
        path.write_text(yaml.safe_dump(rule, sort_keys=False))
        files.append(str(path))
    config: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": files,
        "scrape_configs": [{"job_name": "groq-proxy", "static_configs": [{"targets": [target]}]}],
    }
    if alertmanager:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    url = f"http://127.0.0.1:{port}"
    async with running(command, f"{url}/-/ready") as session:
        yield Prometheus(url, session)


@asynccontextmanager
async def alertmanager(directory: Path, config: Mapping[str, Any]) -> AsyncIterator[str]:
    """One with this configuration; gives HOST:PORT."""
    file, port = directory / "alertmanager.yml", free_port()
    file.write_text(yaml.safe_dump(config))
    command = [
        program("prometheus-alertmanager"),
        f"--config.file={file}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    async with running(command, f"http://127.0.0.1:{port}/-/ready"):
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def running(command: Sequence[str], ready: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A program from when it answers at `ready` to the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with aiohttp.ClientSession() as session:
            await _until_ready(process, session, ready)
            yield session
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _until_ready(
    process: asyncio.subprocess.Process, session: aiohttp.ClientSession, url: str
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while process.returncode is None:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
    assert process.stderr is not None
    raise AssertionError(f"it ended, saying: {(await process.stderr.read()).decode()[-2000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
