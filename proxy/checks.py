"""The command `check`: whether all that the configuration names is there and willing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import aiohttp
import click
import groq

from proxy.access.prices import Prices, table
from proxy.access.webhooks import Message, Poster, webhooks_of
from proxy.config.settings import (
    AlertSettings,
    CacheSettings,
    Config,
    EmbedderSettings,
    ProviderSettings,
    SemanticCacheSettings,
)
from proxy.core.clock import Clock, SystemClock
from proxy.embedding.loading import open_builtin, open_minilm
from proxy.embedding.protocol import Embedder, EmbedderFailed
from proxy.embedding.remote import Endpoint, open_remote
from proxy.embedding.selfcheck import check as check_embedder
from proxy.rag.opening import open_stores as open_shelves
from proxy.stores.open import open_stores
from proxy.stores.passages import Passages
from proxy.stores.protocols import StoreFailed, Values

_TIMEOUT_S = 15.0
_LOOKS = 3  # questions put to an embedder of somebody else's, one of which has to be in time
_GROQ_PATH = "/openai/v1"  # the SDK adds it to its base_url
_TEST = Message("this is a test of groq-proxy: alerts about budgets will arrive here", None)
_NOT_JSON = (ValueError, LookupError, RecursionError)  # also odd bytes, odd charsets, and depth


class _Unfit(Exception):
    """The provider answered, but not as it should; says how."""


def check_all(
    config: Config, path: Path | None, *, alerts: bool = False, asks: bool = True
) -> bool:
    """Print a line for each part of the house and each provider key; whether all is well.

    `asks` is false where there is no provider key to ask with.
    With `alerts`, every webhook is sent a test message, and has a line too.
    """
    click.echo(f"ok    config    {path or 'environment'}")
    return asyncio.run(_check_rest(config, alerts=alerts, asks=asks))


async def _check_rest(config: Config, *, alerts: bool, asks: bool) -> bool:
    _tell_of_prices(config)
    verdicts = [await _check_store(config), await _check_embedders(config.cache.semantic)]
    verdicts.append(await _check_collections(config))
    if asks:
        verdicts.append(await _check_providers(config))
    else:
        click.echo("FAIL  key       none is set: GROQ_API_KEY, or try `groq-proxy serve --demo`")
        verdicts.append(False)
    if alerts:
        verdicts.append(await _check_alerts(config.alerts))
    return all(verdicts)


def _tell_of_prices(config: Config) -> None:
    prices, wall = Prices(config.prices), SystemClock().wall()
    told = f"{len(table())} shipped, {prices.age_days(wall)} days old"
    if config.prices:
        told += f"; {len(config.prices)} of your own"
    click.echo(f"ok    prices    version {prices.version}: {told}")


async def _check_store(config: Config) -> bool:
    place = "redis" if config.redis_url else f"sqlite in {config.state_dir}"
    try:
        async with open_stores(config.state_dir, config.redis_url, SystemClock()) as stores:
            faults = await stores.books.check()
            if not faults:
                click.echo(f"ok    store     {place}, the ledger adds up")
                return await _check_cache(stores.values, config.cache)
    except StoreFailed as error:
        click.echo(f"FAIL  store     {place}: {error}")
        return False
    click.echo(f"FAIL  store     {place}: {faults[0]} (groq-proxy budget check-ledger)")
    return False


async def _check_cache(values: Values, settings: CacheSettings) -> bool:
    try:
        kept = await values.stats()
    except StoreFailed as error:
        click.echo(f"FAIL  cache     {error}; calls are answered without it")
        return False
    told = f"{kept.entries} answers kept"
    if not settings.exact.enabled:
        told += "; it is off (`cache.exact.enabled: false`): nothing is kept or found"
        if settings.semantic.mode != "off":
            told += ", by meaning neither, whatever `cache.semantic` says"
    click.echo(f"ok    cache     {told}")
    return True


async def _check_collections(config: Config) -> bool:
    """Ask each store of documents what it has; nothing is said where there are none."""
    async with open_shelves(config) as stores:
        verdicts = [await _check_shelves(name, store) for name, store in stores.items()]
    return all(verdicts)


async def _check_shelves(name: str, store: Passages) -> bool:
    try:
        shelves = await store.shelves()
    except StoreFailed as error:
        click.echo(f"FAIL  rag       {name}: {error}")
        return False
    if shelves or name != "builtin":
        told = ", ".join(f"{each.name} ({each.passages} passages)" for each in shelves)
        click.echo(f"ok    rag       {name}: {told or 'no collections'}")
    return True


async def _check_embedders(settings: SemanticCacheSettings) -> bool:
    """Embed with the built-in one, and with the one that is asked for, if that is another."""
    asked = settings.embedder
    verdicts = [await _tell_of("builtin", _try_builtin())]
    if asked == "semantic":
        verdicts.append(await _tell_of("semantic", _try_minilm()))
    elif isinstance(asked, EmbedderSettings):
        verdicts.append(await _tell_of(asked.model, _try_remote(asked)))
    return all(verdicts)


async def _tell_of(name: str, trial: Awaitable[str]) -> bool:
    try:
        told = await trial
    except EmbedderFailed as error:
        click.echo(f"FAIL  embedder  {name}: {error}")
        return False
    click.echo(f"ok    embedder  {name}: {told}")
    return True


async def _try_builtin() -> str:
    async with open_builtin() as embedder:
        await check_embedder(embedder)
    return "works"


async def _try_minilm() -> str:
    try:
        async with open_minilm() as embedder:
            await check_embedder(embedder)
    except EmbedderFailed as error:
        raise EmbedderFailed(f"{error}; until it works nothing near is found") from error
    return "works"


async def _try_remote(settings: EmbedderSettings) -> str:
    """Meet it, in the time that its model may need to load; then it has to be quick."""
    clock = SystemClock()
    async with aiohttp.ClientSession() as session:
        endpoint = Endpoint(settings.url, settings.model)
        async with open_remote(session, clock, endpoint) as embedder:
            await check_embedder(embedder)
            took_s = await _took(embedder, clock)
    return f"passes the test at {settings.url}, a question takes {took_s * 1000:.0f} ms"


async def _took(embedder: Embedder, clock: Clock) -> float:
    """The fewest seconds for one question, as a look-up would ask; raises `EmbedderFailed`."""
    took_s, reason = [], ""
    for number in range(_LOOKS):
        began = clock.now()
        try:
            await embedder.embed([f"What is {number} times {number}?"])
            took_s.append(clock.now() - began)
        except EmbedderFailed as error:
            reason = str(error)
    if not took_s:
        raise EmbedderFailed(f"it passes the test, but fails as in a look-up: {reason}")
    return min(took_s)


async def _check_alerts(settings: AlertSettings) -> bool:
    webhooks, wall = webhooks_of(settings.webhooks), SystemClock().wall()
    async with Poster() as poster:
        replies = await asyncio.gather(
            *(poster.post(each, _TEST, id=uuid4().hex, at=wall) for each in webhooks)
        )
    for webhook, reply in zip(webhooks, replies, strict=True):
        click.echo(f"{'ok   ' if reply.good else 'FAIL '} alert     {webhook.label}: {reply.told}")
    if not webhooks:
        click.echo("FAIL  alert     nobody is told: alerts.webhooks names no address")
    return bool(webhooks) and all(reply.good for reply in replies)


async def _check_providers(config: Config) -> bool:
    checks = [
        (f"{name}/{key or 'no key'}", _asker(settings, secret))
        for name, settings in config.providers.items()
        for key, secret in _keys(settings)
    ]
    verdicts = await asyncio.gather(*(_verdict(ask) for _, ask in checks))
    for (place, _), (good, told) in zip(checks, verdicts, strict=True):
        click.echo(f"{'ok   ' if good else 'FAIL '} key       {place}: {told}")
    return all(good for good, _ in verdicts)


def _keys(settings: ProviderSettings) -> list[tuple[str, str]]:
    keys = [(key.name, key.value.get_secret_value()) for key in settings.secrets]
    return keys or [("", "")]


def _asker(settings: ProviderSettings, secret: str) -> Callable[[], Awaitable[int]]:
    """How to count the models that a key may use: Groq is asked with Groq's own SDK."""
    if settings.base_url.endswith(_GROQ_PATH):
        return lambda: _ask_groq(settings.base_url.removesuffix(_GROQ_PATH), secret)
    return lambda: _ask(settings.base_url, secret)


async def _ask_groq(base_url: str, secret: str) -> int:
    async with groq.AsyncGroq(
        base_url=base_url, api_key=secret, max_retries=0, timeout=_TIMEOUT_S
    ) as client:
        try:
            told = await client.models.list()
        except _NOT_JSON:
            told = None
        return _count(getattr(told, "data", None))  # the SDK's types promise what they do not check


async def _ask(base_url: str, secret: str) -> int:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"{base_url}/models", headers=headers, allow_redirects=False) as answer,
    ):
        if answer.status != 200:
            raise _Unfit(f"status {answer.status}")
        try:
            told = await answer.json(content_type=None)
        except _NOT_JSON:
            told = None
        return _count(told.get("data") if isinstance(told, dict) else None)


def _count(models: object) -> int:
    if not isinstance(models, list):
        raise _Unfit("answered 200, but no list of models")
    return len(models)


async def _verdict(ask: Callable[[], Awaitable[int]]) -> tuple[bool, str]:
    try:
        return True, f"accepted, {await ask()} models"
    except groq.AuthenticationError:
        return False, "rejected: invalid key"
    except groq.APIStatusError as error:
        return False, f"status {error.status_code}"
    except (groq.APIConnectionError, aiohttp.ClientError, TimeoutError) as error:
        return False, f"unreachable: {type(error).__name__}"
    except _Unfit as error:
        return False, str(error)
