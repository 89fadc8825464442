"""The commands of `compose.yaml`, run without containers by the programs that this machine has."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from grafana.values import HERE
from tests.cli.commands import clean_environment
from tests.cli.service import attended
from tests.grafana.programs import free_port, program, running

SERVICES: dict[str, Any] = yaml.safe_load((HERE / "compose.yaml").read_text())["services"]


def as_here(command: list[str], moved: dict[str, str]) -> list[str]:
    """Arguments with the places of this machine for those of the container."""
    for inside, here in moved.items():
        command = [argument.replace(f"={inside}", f"={here}") for argument in command]
    return command


@pytest.mark.parametrize(
    ("service", "binary", "more"),
    [
        ("prometheus", "prometheus", ()),
        ("alertmanager", "prometheus-alertmanager", ("--cluster.listen-address=",)),
    ],
)
async def test_a_service_starts_with_its_command(
    service: str, binary: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    text = (HERE / f"{service}.yml").read_text()
    file, port = tmp_path / f"{service}.yml", free_port()
    file.write_text(text.replace("/etc/prometheus/rules", str(HERE / "rules")))
    moved = {f"/etc/{service}/{service}.yml": str(file), f"/{service}": str(tmp_path / "kept")}
    command = as_here(SERVICES[service]["command"], moved)

    listen = f"--web.listen-address=127.0.0.1:{port}"
    async with (
        running(
            [program(binary), *command, *more, listen], f"http://127.0.0.1:{port}/-/ready"
        ) as session,
        session.get(f"http://127.0.0.1:{port}/-/healthy") as answer,
    ):
        assert answer.status == 200


@pytest.mark.parametrize(
    ("key", "simulated"), [({}, True), ({"GROQ_API_KEY": "gsk_nobody"}, False)]
)
async def test_the_proxy_starts_with_its_command(
    key: dict[str, str], simulated: bool, tmp_path: Path
) -> None:
    proxy = SERVICES["proxy"]
    [line] = proxy["command"]
    line = line.replace("$$", "$").replace("0.0.0.0:8080", "127.0.0.1:0")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *(*proxy["entrypoint"], line),
        cwd=tmp_path,
        env={**clean_environment(), **key, "PATH": path, "PROXY_FIRST_KEY": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with attended(process) as service:
        async with service.session.get(f"{service.url}/healthz") as answer:
            assert answer.status == 200
        assert await service.end() == 0
        assert (tmp_path / "state" / "demo").exists() is simulated
