"""Houses that answer from documents: what these say, and who puts them there."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from proxy.core.clock import SystemClock
from proxy.embedding.builtin import Builtin
from proxy.rag.embedding import embeds
from proxy.stores.passages import Passage, Passages
from proxy.stores.passages_open import open_passages
from tests.conftest import House
from tests.rag.shelf_of import passage
from tests.stories.money import eventually, shown

ECHO = "sim/echo"  # answers with the last message of its user
DEPOT = passage(
    "The depot opens at seven in the morning and closes at six in the evening.",
    document="depot.md",
    title="Depot > Opening hours",
)
LEAVE = passage(
    "Everyone has thirty days of paid leave a year; unused days expire in March.",
    document="leave.md",
    title="Leave",
)
WHEN = "When does the depot open in the morning?"
LEAVE_DAYS = "How many days of paid leave does everyone have?"


@asynccontextmanager
async def shelf(state: Path, redis: str | None = None) -> AsyncIterator[Passages]:
    """The collections of a house, as another process opens them."""
    words, clock = Builtin(), SystemClock()
    async with open_passages(
        state / "collections", redis, clock, embeds(lambda: words, clock)
    ) as opened:
        yield opened


async def put(
    state: Path, name: str = "handbook", passages: Sequence[Passage] = (DEPOT, LEAVE)
) -> None:
    """Write a collection, from outside."""
    async with shelf(state) as opened:
        await opened.write(name, passages)


async def reads(house: House) -> None:
    """Wait until the house embeds by itself, and has seen the collections."""

    async def ready() -> bool:
        return house.app.state.nearness.words() is not None

    await eventually(ready, within_s=30.0)


def said_by(text: str) -> str:
    """The words of an answer, whole or streamed."""
    if not text.startswith("data:"):
        return str(orjson.loads(text)["choices"][0]["message"]["content"])
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line[6:7] == "{"]
    choices = [choice for event in events for choice in orjson.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def ask(
    house: House,
    question: str = WHEN,
    rag: str | None = "handbook",
    *,
    key: str = "",
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> tuple[Mapping[str, str], str, int]:
    """Headers, text and status of an answer, which is kept by then if it ever is."""
    body = {"model": ECHO, "messages": [{"role": "user", "content": question}], **fields}
    wish = {} if rag is None else {"x-proxy-rag": rag}
    async with house.session.post(
        f"{house.url}/v1/chat/completions",
        json=body,
        headers={**shown(key), **wish, **(headers or {})},
    ) as answer:
        text = await answer.text()
    await house.app.state.flights.idle()
    return answer.headers, text, answer.status


async def line_of(house: House, call: int) -> dict[str, Any]:
    """The line of a call, counted from 0."""
    await house.calls_closed(call + 1)

    async def written() -> bool:
        return len(house.log.lines()) > call

    await eventually(written)
    line: dict[str, Any] = orjson.loads(house.log.lines()[call])
    return line
