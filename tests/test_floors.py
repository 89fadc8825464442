"""Imports run downwards only, and each library is imported in its own rooms."""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

PROXY = Path(__file__).parent.parent / "proxy"

# part -> the parts of the house that it may import; itself and the version are always allowed
FLOORS = {
    "__init__": set(),
    "__main__": {"cli"},
    "asker": {"config"},
    "asking": {"asker"},
    "mcp_server": {"asker", "config", "rag", "stores"},
    "cli": {
        *("accounting", "asker", "asking", "caching", "checks", "collections", "config"),
        *("keyring", "mcp_server", "serve", "simulator"),
    },
    "serve": {
        *("app", "config", "core", "embedding", "keyring", "server", "simulator", "stores"),
        *("supervisor", "worker"),
    },
    "worker": {"app", "config", "core", "server", "telemetry", "tether"},
    "supervisor": {"config", "core", "server", "tether"},
    "tether": {"config", "core", "server"},
    "checks": {"access", "config", "core", "embedding", "rag", "stores"},
    "keyring": {"access", "config", "core", "stores"},
    "accounting": {"access", "config", "core", "stores"},
    "caching": {"cache", "config", "core", "stores"},
    "collections": {"config", "rag", "stores"},
    "app": {
        *("access", "cache", "config", "core", "house", "rounds", "server", "telemetry"),
        "upstream",
    },
    "rounds": {"access", "core", "house", "stores"},
    "nearness": {"cache", "config", "core", "embedding", "stores", "telemetry"},
    "library": {"config", "core", "embedding", "rag", "stores", "telemetry"},
    "house": {
        *(
            "access",
            "cache",
            "config",
            "core",
            "gateway",
            "library",
            "nearness",
            "server",
            "stores",
            "telemetry",
            "upstream",
        ),
        "wire",
    },
    "server": {"access", "cache", "core", "gateway", "telemetry", "wire"},
    "gateway": {"access", "cache", "core", "rag", "upstream", "wire"},
    "rag": {"config", "core", "embedding", "stores", "wire"},
    "cache": {"config", "core", "embedding", "stores", "wire"},
    "access": {"config", "core", "stores", "wire"},
    "stores": {"config", "core"},
    "embedding": {"config", "core"},
    "upstream": {"config", "core", "wire"},
    "wire": {"core"},
    "telemetry": {"config", "core"},
    "simulator": set(),
    "config": {"core"},
    "core": set(),
}

# library -> where it may be imported, so that it can be replaced there
ROOMS = {
    "aiohttp": {
        "access/webhooks.py",
        "app",
        "checks",
        "embedding/kit.py",
        "embedding/remote.py",
        "server",
        "simulator",
    },
    "click": {
        "accounting",
        "asking",
        "caching",
        "checks",
        "cli",
        "collections",
        "keyring",
        "serve",
    },
    "diskcache": {"stores/disk_table.py"},
    "dotenv": {"config/load.py"},
    "faiss": {"stores/vectors_faiss.py"},
    "groq": {"asker", "checks"},
    "httpx": {"asker", "stores/upstash_line.py"},
    "httptools": {"upstream/connections.py"},
    "markdown_it": {"rag/markdown.py"},
    "mcp": {"mcp_server"},
    "openai": set(),
    "opentelemetry": {"telemetry/collector.py"},
    "prometheus_client": {"telemetry/meters.py", "telemetry/metrics.py"},
    "pypdf": {"rag/pdf.py"},
    "pydantic": {"config", "mcp_server", "simulator", "tether"},
    "redis": {"stores/redis"},
    "rich": {"accounting", "caching", "collections", "keyring"},
    "sqlite3": {"stores/disk_table.py", "stores/sqlite", "stores/vectors_table.py"},
    "upstash_vector": {
        "stores/upstash.py",
        "stores/upstash_line.py",
        "stores/upstash_rows.py",
    },
    "yaml": {"config", "simulator"},
    "unittest": set(),
}

FILES = sorted(PROXY.rglob("*.py"))


def part_of(path: Path) -> str:
    first = path.relative_to(PROXY).parts[0]
    return first.removesuffix(".py")


@cache
def imported(path: Path) -> Sequence[str]:
    return list(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROXY)))
def test_a_file_imports_only_from_its_own_floor_and_below(path: Path) -> None:
    part = part_of(path)
    used = {name.split(".")[1] for name in imported(path) if name.startswith("proxy.")}

    assert used - {part} <= FLOORS[part]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROXY)))
def test_a_library_is_imported_in_its_own_rooms_only(path: Path) -> None:
    place = str(path.relative_to(PROXY))
    used = {name.split(".")[0] for name in imported(path)}

    rooms = {part_of(path), place, str(path.relative_to(PROXY).parent)}
    strays = [library for library in used & ROOMS.keys() if not rooms & ROOMS[library]]

    assert not strays


def test_every_part_stands_in_the_table() -> None:
    assert {part_of(path) for path in FILES} == set(FLOORS)
