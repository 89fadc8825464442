"""A gateway in which all goes wrong that could show a secret; `test_leaks.py` runs it.

`python -m tests.telemetry.leaky json|text`, with the folder for its state in LEAKY_STATE. Whatever
it prints must hold none of the secrets. Each way to leak one is named, so that a test can see that
it was taken. It ends by an exception that nobody catches.
"""

import asyncio
import contextlib
import gc
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from proxy.app import App
from proxy.config.secrets import secrets_of
from proxy.config.settings import Config
from proxy.core.events import Event
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord
from proxy.core.secrets import Secrets
from proxy.telemetry.operations import set_up
from tests.conftest import NO_CACHE
from tests.stories.raw import EVENTS, LAST, WHOLE, Line, chunk, event, raw, said, whole

PROVIDER_KEY = 'pr0vider"key\\with$(odd)+[signs]'
LATER_KEY = "pr0vider-key-of-the-next-configuration"
WEBHOOK = "https://hooks.slack.com/services/T000/B000/hookhookhook"
CLIENT_KEY = "gsk_clientclientclient"
BASIC = "Y2xpZW50OnBhc3N3b3Jk"
PROMPT = "my aunt Agatha's secret marriage in the year of the great flood"

# Parts, so that no way of writing them can hide one.
NEVER_SHOWN = ("pr0vider", "odd)", "hookhook", "clientclient", BASIC[:12], "Agatha")


@dataclass
class Clumsy:
    """An observer that chokes on calls, quoting all there is."""

    def call_opened(self, record: CallRecord) -> None:
        pass

    def call_closed(self, record: CallRecord) -> None:
        body = record.call.body if record.call else None
        raise ValueError(f"way:observer {record.user_agent} {PROVIDER_KEY} {body!r}")

    def flight_closed(self, record: FlightRecord) -> None:
        raise KeyError(PROMPT)

    def attempt_closed(self, record: AttemptRecord) -> None:
        raise RuntimeError(f"way:attempt Authorization: Bearer {PROVIDER_KEY}")

    def happened(self, event: Event) -> None:
        raise RuntimeError(f"way:event {PROVIDER_KEY}")


class Dying:
    """Fails where nobody can be told."""

    def __del__(self) -> None:
        raise RuntimeError(f"way:del {PROVIDER_KEY} {PROMPT!r}")

    def __repr__(self) -> str:
        return f"<Dying {CLIENT_KEY}>"


async def echo(line: Line) -> None:
    """Answers with the request in it, where nobody expects it."""
    told = line.request.decode("latin-1")
    error = {"error": {"message": told, "type": told, "code": PROVIDER_KEY}}
    match line.number % 8:
        case 0:
            await line.say(WHOLE)
        case 1:
            await line.say(whole(error, "400 Bad", x_request_id=PROVIDER_KEY))
        case 2:
            await line.say(whole(error, "429 Slow", x_ratelimit_limit_tokens=PROVIDER_KEY))
        case 3:
            await line.say(whole(error, "500 Oh", retry_after=PROVIDER_KEY))
        case 4:
            await line.say(f"HTTP/1.1 {PROVIDER_KEY} {CLIENT_KEY}\r\n\r\n".encode())
            line.close()
        case 5:
            await line.say(EVENTS, said("a"), event({"error": error}), LAST)
        case 6:
            await line.say(EVENTS, said("a"), chunk(line.request), b"zz\r\n" + line.request)
            line.close()
        case _:
            await line.say(whole(error, "401 No"))


def configured(url: str, state: str, log: str, key: str) -> Config:
    return Config.model_validate(
        {
            "listen": "127.0.0.1:0",
            "state_dir": state,
            "providers": {"groq": {"base_url": url, "keys": [{"name": "k", "value": key}]}},
            "alerts": {"webhooks": [{"url": WEBHOOK}]},
            "telemetry": {"log": log},
            "cache": NO_CACHE,
        }
    )


def requests() -> Iterator[dict[str, Any]]:
    """What clients do with keys."""
    chat = {"messages": [{"role": "user", "content": PROMPT}]}
    usual = {"Authorization": f"Bearer {CLIENT_KEY}", "x-api-key": CLIENT_KEY}
    for stream in [False, True] * 8:
        yield {"json": {**chat, "stream": stream}, "headers": usual}
    for name in ("User-Agent", "x-request-id", "x-proxy-timeout-ms", "Content-Type", "Origin"):
        for value in (CLIENT_KEY, PROVIDER_KEY, f"Basic {BASIC}"):
            yield {"json": chat, "headers": {"Authorization": f"Basic {BASIC}", name: value}}
    for model in (CLIENT_KEY, f"groq/{CLIENT_KEY}", PROVIDER_KEY, f"{CLIENT_KEY}/x"):
        yield {"json": {**chat, "model": model}}
    yield {"data": f'{{"messages": "{PROMPT}", {CLIENT_KEY}', "headers": usual}


async def speak(url: str) -> list[str]:
    """Sends everything; what came back."""
    heard = []
    each_its_own = aiohttp.TCPConnector(force_close=True)  # some answers end their connection
    async with aiohttp.ClientSession(connector=each_its_own) as session:
        for request in requests():
            async with session.post(f"{url}/v1/chat/completions", **request) as answer:
                with contextlib.suppress(aiohttp.ClientError):
                    heard.append(f"{answer.headers} {await answer.text()}")
        async with session.get(f"{url}/v1/{CLIENT_KEY}?api_key={CLIENT_KEY}") as answer:
            await answer.read()
    port = int(url.rpartition(":")[2])
    for text in (
        f"GET /{CLIENT_KEY} HTTP/9\r\nAuthorization: Bearer {CLIENT_KEY}\r\n\r\n",
        f"{CLIENT_KEY} / HTTP/1.1\r\n\r\n",
        f"GET / HTTP/1.1\r\nAuthorization: Basic {BASIC}\r\n{CLIENT_KEY}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {CLIENT_KEY}\r\nX: \x01{CLIENT_KEY}\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(text.encode())
        writer.write_eof()
        await reader.read()
        writer.close()
    return heard


def hurt() -> None:
    """Has libraries and the language itself say what they should not."""
    logging.getLogger("aiohttp.server").error(
        "way:library %s", {"Authorization": f"Basic {BASIC}", "key": PROVIDER_KEY}
    )
    logging.getLogger("lib").warning("way:split %s%s", PROVIDER_KEY[:9], PROVIDER_KEY[9:])
    logging.getLogger("lib").warning("way:number %d", PROVIDER_KEY)
    warnings.warn(f"way:warning {CLIENT_KEY}", RuntimeWarning, stacklevel=1)
    thread = threading.Thread(target=lambda: int(f"way:thread {CLIENT_KEY} {PROMPT}"))
    thread.start()
    thread.join()
    dying = Dying()
    del dying
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "way:loop", "handle": CLIENT_KEY, "future": Dying})
    loop.call_soon(lambda: int(f"way:callback {PROVIDER_KEY}"))
    lost = loop.create_future()
    lost.set_exception(RuntimeError(f"way:future {PROVIDER_KEY}"))
    del lost
    gc.collect()


async def main(log: str) -> None:
    state = os.environ["LEAKY_STATE"]
    async with raw(echo) as provider:
        config = configured(provider.url, state, log, PROVIDER_KEY)
        operations = set_up(Secrets(secrets_of(config)), text=log == "text")
        async with App(config, observers=(Clumsy(),)) as app:
            heard = await speak(app.url)
            app.take(configured(provider.url, state, log, LATER_KEY))
            logging.getLogger("lib").warning("way:reload %s", [LATER_KEY])
            hurt()
            heard += await speak(app.url)
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{app.url}/metrics") as answer,
            ):
                heard.append(await answer.text())
        for told in heard:  # clients must not see it either; what is theirs may come back to them
            for secret in (PROVIDER_KEY, LATER_KEY):
                assert secret not in told, "way:answer"
        assert operations.dropped == 0
    raise RuntimeError(f"way:end {PROVIDER_KEY} {LATER_KEY} {PROMPT!r} {WEBHOOK}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
