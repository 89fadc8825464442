"""The command `mcp`, met by the SDK's own client, over stdio and in memory."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="needs the extra mcp")

from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CallToolResult, TextContent, TextResourceContents

from proxy.asker import Place
from proxy.config.settings import Config
from proxy.mcp_server import URI, Documents, build
from proxy.rag.opening import open_stores
from tests.cli.commands import clean_environment, run, run_cold
from tests.conftest import House
from tests.rag.shelf_of import MemoryPassages, passage

ECHO = "sim/echo"
CATS = "Cats sleep up to sixteen hours a day."
DOGS = "Dogs have to be walked twice a day."


def config(tmp_path: Path, **knobs: Any) -> Config:
    groq = {"keys": [{"name": "a", "value": "gsk_test"}]}
    return Config.model_validate(
        {"providers": {"groq": groq}, "state_dir": str(tmp_path / "state"), **knobs}
    )


async def pets() -> MemoryPassages:
    store = MemoryPassages()
    await store.write("cats", [passage(CATS, document="cats.md", title="Cats > Sleep")])
    await store.write("dogs", [passage(DOGS, document="dogs.md"), passage("Woof.")])
    return store


@asynccontextmanager
async def met(
    tmp_path: Path, store: MemoryPassages, url: str = "http://127.0.0.1:9", **knobs: Any
) -> AsyncIterator[Client]:
    """A client of a server in this process, whose documents are in memory."""
    documents = Documents(config(tmp_path, **knobs), {"builtin": store})
    async with Client(build(Place(url), documents)) as client:
        yield client


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    """The structured result of a tool."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert not result.is_error, result.content
    return result.structured_content


async def failed(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says that failed."""
    result = await client.call_tool(tool, arguments)
    assert isinstance(result, CallToolResult)
    assert result.is_error
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text.removeprefix(f"Error executing tool {tool}: ")  # the SDK's own words


async def read(client: Client, name: str) -> Any:
    [content] = (await client.read_resource(f"{URI}{name}")).contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    return json.loads(content.text)


async def test_over_stdio_everything_is_there(house: House, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "cats.md").write_text(f"# Cats\n\n## Sleep\n\n{CATS}\n")
    (tmp_path / "docs" / "dogs.md").write_text(f"# Dogs\n\n{DOGS}\n")
    ingested = run("rag", "ingest", "docs", "--collection", "pets", cwd=tmp_path)
    assert ingested.returncode == 0, ingested.stderr
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "proxy", "mcp"],
        cwd=tmp_path,
        env={**clean_environment(), "PROXY_URL": house.url},
    )

    async with Client(server, read_timeout_seconds=30) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        resources = (await client.list_resources()).resources
        found = await called(client, "search_documents", query="How long do cats sleep?")
        answer = await called(client, "ask", question="Say this back", model=ECHO)
        pet = await read(client, "pets")

    assert set(tools) == {"ask", "search_documents"}
    assert [resource.name for resource in resources] == ["pets"]
    assert found["passages"][0]["text"].endswith(CATS)
    assert found["passages"][0]["collection"] == "pets"
    assert answer["answer"] == "Say this back"
    assert pet["store"] == "builtin"
    assert pet["documents_in_all"] == 2


async def test_its_output_is_the_protocol_alone_and_it_ends_with_its_input(tmp_path: Path) -> None:
    result = run("mcp", cwd=tmp_path)

    assert (result.returncode, result.stdout) == (0, "")


async def test_tools_say_what_they_take(tmp_path: Path) -> None:
    async with met(tmp_path, await pets()) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}

    ask, search = tools["ask"], tools["search_documents"]
    assert ask.input_schema["required"] == ["question"]
    assert set(ask.input_schema["properties"]) == {"question", "collection", "model"}
    assert search.input_schema["required"] == ["query"]
    assert set(search.input_schema["properties"]) == {"query", "collection", "limit"}
    assert all(tool.description and tool.output_schema for tool in (ask, search))
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in (ask, search))


async def test_a_search_finds_passages_with_where_they_stand(tmp_path: Path) -> None:
    async with met(tmp_path, await pets()) as client:
        found = await called(client, "search_documents", query="cats sleep", collection="cats")

    assert found == {
        "passages": [
            {
                "collection": "cats",
                "document": "cats.md",
                "title": "Cats > Sleep",
                "score": 1.0,
                "text": CATS,
            }
        ]
    }


async def test_without_a_collection_all_are_searched(tmp_path: Path) -> None:
    store = await pets()
    async with met(tmp_path, store) as client:
        both = await called(client, "search_documents", query="a day")
        best = await called(client, "search_documents", query="dogs a day", limit=1)
        none = await called(client, "search_documents", query="quantum chromodynamics")

    assert {each["collection"] for each in both["passages"]} == {"cats", "dogs"}
    assert [each["document"] for each in best["passages"]] == ["dogs.md"]
    assert none == {"passages": []}


async def test_the_settings_of_a_collection_hold(tmp_path: Path) -> None:
    strict = {"cats": {"min_score": 0.9}, "dogs": {"top_k": 1, "min_score": 0.1}}
    async with met(tmp_path, await pets(), rag=strict) as client:
        found = await called(client, "search_documents", query="walked cats")
        one = await called(client, "search_documents", query="dogs", collection="dogs")

    assert [each["document"] for each in found["passages"]] == ["dogs.md"]
    assert len(one["passages"]) == 1


async def test_a_collection_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    async with met(tmp_path, await pets()) as client:
        told = await failed(client, "search_documents", query="x", collection="birds")
    async with met(tmp_path, MemoryPassages()) as client:
        empty = await failed(client, "search_documents", query="x", collection="birds")

    assert told == "there is no collection 'birds'; known: cats, dogs"
    assert empty == "there is no collection 'birds'; known: none is there yet"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search_documents", {}),
        ("search_documents", {"query": ""}),
        ("search_documents", {"query": "x", "limit": 0}),
        ("search_documents", {"query": "x", "limit": 51}),
        ("search_documents", {"query": 3}),
        ("ask", {}),
        ("ask", {"question": ""}),
    ],
)
async def test_odd_arguments_are_refused(
    tmp_path: Path, tool: str, arguments: dict[str, Any]
) -> None:
    async with met(tmp_path, await pets()) as client:
        assert await failed(client, tool, **arguments)


async def test_a_store_that_is_down_is_told_by_tools_and_leaves_the_rest(tmp_path: Path) -> None:
    store = await pets()
    async with met(tmp_path, store, rag={"cats": {}}) as client:
        store.broken = "the disk is gone"
        found = await failed(client, "search_documents", query="x", collection="cats")
        anywhere = await failed(client, "search_documents", query="x")
        with pytest.raises(MCPError):
            await client.read_resource(f"{URI}dogs")
        resources = (await client.list_resources()).resources

    assert found == anywhere == "the documents are out of reach: the disk is gone"
    assert [resource.name for resource in resources] == ["cats"]


async def test_collections_are_the_resources_also_those_that_come_later(tmp_path: Path) -> None:
    store = await pets()
    async with met(tmp_path, store, rag={"Planned.v1": {}}) as client:
        before = (await client.list_resources()).resources
        await store.write("birds", [passage("Birds fly.")])
        after = (await client.list_resources()).resources
        [template] = (await client.list_resource_templates()).resource_templates
        dogs, planned = await read(client, "dogs"), await read(client, "Planned.v1")

    assert [each.name for each in before] == ["Planned.v1", "cats", "dogs"]
    assert {each.name for each in after} == {"Planned.v1", "birds", "cats", "dogs"}
    assert before[1].uri == f"{URI}cats"
    assert before[1].description == "collection of documents, 1 passages"
    assert template.uri_template == f"{URI}{{name}}"
    assert dogs == {
        "name": "dogs",
        "store": "builtin",
        "passages": 2,
        "pending": 0,
        "documents": [
            {"document": "dogs.md", "passages": 1},
            {"document": "guide.md", "passages": 1},
        ],
        "documents_in_all": 2,
    }
    assert (planned["passages"], planned["documents"]) == (0, [])


async def test_a_resource_that_is_not_there_is_an_error_of_the_protocol(tmp_path: Path) -> None:
    async with met(tmp_path, await pets()) as client:
        for name in ("birds", "a/b", ".."):
            with pytest.raises(MCPError):
                await client.read_resource(f"{URI}{name}")


async def test_a_question_that_is_not_answered_says_why(tmp_path: Path) -> None:
    async with met(tmp_path, await pets()) as client:
        told = await failed(client, "ask", question="Hello")

    assert told.startswith("nothing answers at http://127.0.0.1:9")


async def test_an_answer_comes_with_its_model_and_sources(house: House, tmp_path: Path) -> None:
    async with met(tmp_path, await pets(), house.url) as client:
        answer = await called(client, "ask", question="Hello", model=ECHO)

    assert answer["answer"] == "Hello"
    assert answer["sources"] == answer["notes"] == []
    assert answer["model"]


async def test_each_collection_is_looked_for_in_its_own_store(tmp_path: Path) -> None:
    here, there = await pets(), MemoryPassages()
    await there.write("birds", [passage("Birds fly a day.", document="birds.md")])
    await there.write("cats", [passage("Not in this store.")])
    index = {"url": "http://127.0.0.1:9", "token": "t"}
    rag = {"cats": {"store": "builtin"}}
    documents = Documents(
        config(tmp_path, rag=rag, upstash=index), {"builtin": here, "upstash": there}
    )
    async with Client(build(Place(""), documents)) as client:
        found = await called(client, "search_documents", query="a day")
        birds = await read(client, "birds")

    assert {each["document"] for each in found["passages"]} == {"birds.md", "cats.md"}
    assert birds["store"] == "upstash"


async def test_the_stores_of_the_commands_open_where_there_is_nothing_yet(tmp_path: Path) -> None:
    async with open_stores(config(tmp_path)) as stores:
        shelves = await Documents(config(tmp_path), stores).shelves()

    assert shelves == {}
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240


def test_without_the_extra_it_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "mcp.py").write_text("raise ModuleNotFoundError('no', name='mcp')\n")

    result = run_cold("mcp", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})

    assert result.returncode == 1
    assert result.stderr == "groq-proxy: mcp needs an extra: pip install 'groq-proxy[mcp]'\n"
