"""Chromium without a window, driven by its DevTools protocol."""

import asyncio
import base64
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PATIENCE_S = 30.0
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# What it would do by itself, which is to ask its maker; and /dev/shm may be small.
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--remote-debugging-port=0", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-extensions", "--mute-audio"),
    *("--hide-scrollbars", "--force-color-profile=srgb", "about:blank"),
)


def chromium() -> str:
    """Where the browser is; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail("chromium is not installed, and REQUIRE_SERVICES is 1")
        pytest.skip("chromium is not installed")
    return found


@dataclass
class Tab:
    """A page in the browser, and what became known of it."""

    socket: aiohttp.ClientWebSocketResponse
    requests: list[str] = field(default_factory=list)  # addresses that it asked
    complaints: list[str] = field(default_factory=list)  # errors and warnings of its console

    def __post_init__(self) -> None:
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._hearing = asyncio.create_task(self._hear())

    async def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have the browser do something; what it answers."""
        id = next(self._ids)
        self._waiting[id] = answer = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": id, "method": method, "params": parameters})
        async with asyncio.timeout(PATIENCE_S):
            told = await answer
        assert "error" not in told, told["error"]
        result: dict[str, Any] = told["result"]
        return result

    async def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        told = await self.tell(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, script: str) -> Any:
        """The value of an expression as soon as it is true."""
        async with asyncio.timeout(PATIENCE_S):
            while not (value := await self.run(script)):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)
        return value

    async def open(self, url: str) -> None:
        """Go to an address, and wait until it is there."""
        await self.tell("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def size(self, width: int, height: int, *, phone: bool = False, scale: float = 1) -> None:
        """Be as large as a screen."""
        await self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )

    async def be_dark(self, dark: bool = True) -> None:
        """Prefer dark colours."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.tell("Emulation.setEmulatedMedia", features=features)

    async def press(self, key: str) -> None:
        """Press a key, with what has the focus."""
        text = {"text": "\r"} if key == "Enter" else {}
        code = {"Enter": 13, "Tab": 9, "ArrowLeft": 37, "ArrowRight": 39}.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            await self.tell(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **(text if kind == "keyDown" else {}),
            )

    async def picture(self) -> bytes:
        """What is seen, as a PNG."""
        told = await self.tell("Page.captureScreenshot", format="png")
        return base64.b64decode(told["data"])

    async def close(self) -> None:
        """Hear no more."""
        self._hearing.cancel()
        await self.socket.close()

    async def _hear(self) -> None:
        async for message in self.socket:
            told = message.json()
            if "id" in told:
                self._waiting.pop(told["id"]).set_result(told)
            else:
                self._note(told["method"], told["params"])

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(str(told["entry"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in {"error", "warning"}:
            self.complaints.append(str(told["args"]))


@asynccontextmanager
async def tab(folder: Path) -> AsyncIterator[Tab]:
    """An empty page in a browser of its own, whose profile is below `folder`."""
    profile = folder / "chromium"
    process = await asyncio.create_subprocess_exec(
        chromium(),
        *_FLAGS,
        f"--user-data-dir={profile}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [each for each in await answer.json() if each["type"] == "page"]
            url = pages[0]["webSocketDebuggerUrl"]
            async with session.ws_connect(url, max_msg_size=1 << 28) as socket:
                opened = Tab(socket)
                for domain in ("Page", "Runtime", "Network", "Log"):
                    await opened.tell(f"{domain}.enable")
                try:
                    yield opened
                finally:
                    await opened.close()
    finally:
        process.kill()
        await process.wait()


async def _port(path: Path) -> int:
    async with asyncio.timeout(PATIENCE_S):
        while not (told := _read(path)):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    return int(told[0])


def _read(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
