"""What stories of money share: keys of callers, what a provider answers, and what the books say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from proxy.access.virtual_key import hashed
from proxy.core.money import NANO, Balance, Row, Standing, usd_text
from tests.conftest import House
from tests.stories.raw import DONE, EVENTS, LAST, event, said, stopped
from tests.stories.test_budgets import PROMPT, QUESTION, price, usage

SMALL, LARGE = "openai/gpt-oss-20b", "openai/gpt-oss-120b"
LITE = "gemini-3.5-flash-lite"

# Nano-dollars for a token of the prompt, and for one of the answer.
RATES: Mapping[str, tuple[int, int]] = {
    f"groq/{SMALL}": (75, 300),
    f"groq/{LARGE}": (150, 600),
    f"gemini/{LITE}": (300, 2500),
}


def cost_at(target: str, prompt: int, completion: int) -> int:
    """Nano-dollars for so many tokens at `PROVIDER/MODEL`."""
    into, out = RATES[target]
    return prompt * into + completion * out


OUTPUT = 50
COST = price(PROMPT, OUTPUT)  # of one call at its most, in nano-dollars


def dollars(nano: int, window: str, *, soft: bool = False) -> str:
    """A budget as it is written."""
    return f"{usd_text(nano)} USD/{window}{' soft' if soft else ''}"


def secret_of(name: str) -> str:
    """What the key of that name shows."""
    return f"gp-{name}"


def key(name: str, **terms: Any) -> dict[str, Any]:
    """A key as the file has it."""
    return {"name": name, "sha256": hashed(secret_of(name)), **terms}


def shown(name: str) -> dict[str, str]:
    """The header by which that key comes in; "" for no key."""
    return {"Authorization": f"Bearer {secret_of(name)}"} if name else {}


async def ask(house: House, name: str = "", **fields: Any) -> aiohttp.ClientResponse:
    """A call of the key of that name, at its most `COST`; read, unless it is a stream."""
    body = {
        "model": SMALL,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_completion_tokens": OUTPUT,
        **fields,
    }
    url = f"{house.url}/v1/chat/completions"
    answer = await house.session.post(url, json=body, headers=shown(name))
    if not fields.get("stream"):
        await answer.read()
    return answer


async def error_code(answer: aiohttp.ClientResponse) -> str:
    """The code of a refusal, "" of what is none."""
    told = orjson.loads(await answer.read())
    return str(told["error"]["code"]) if "error" in told else ""


def streamed(prompt: int, completion: int, words: Sequence[str] = ("one ", "two")) -> list[bytes]:
    """A whole stream, which states its usage."""
    told = event({"choices": [], "usage": usage(prompt, completion)})
    return [EVENTS, *map(said, words), stopped(), told, DONE, LAST]


def standing(house: House, owner: str, window: str) -> Standing:
    """A budget as the worker knows it: of `global`, `team search` or `key app`."""
    callers = list(house.app.state.keys.callers)
    for each in house.app.house.spending.standings(callers):
        if (each.owner, each.bucket.window) == (owner, window):
            return each
    raise AssertionError(f"{owner} has no budget by the {window}")


async def balance(house: House, owner: str = "global", window: str = "total") -> Balance:
    """What a budget holds by the store."""
    id = standing(house, owner, window).bucket.id
    [found] = await house.app.state.stores.books.balances([id])
    return found


async def all_rows(house: House) -> list[Row]:
    """The whole ledger."""
    books, rows = house.app.state.stores.books, list[Row]()
    while page := await books.rows(rows[-1].seq if rows else ""):
        rows += page
    return rows


async def eventually(holds: Callable[[], Awaitable[bool]], within_s: float = 10.0) -> None:
    """Look again and again, for a bounded time."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - what is looked at tells no event
            await asyncio.sleep(0.02)


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client whose calls have a connection each."""
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as session:
        yield session


def in_dollars(nano: int) -> float:
    """The same money as a float, as metrics, logs and JSON have it."""
    return nano / NANO
