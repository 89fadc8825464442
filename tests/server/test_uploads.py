import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import psutil
import pytest
from aiohttp import web

from proxy.simulator.calls import Outcome, RecordedCall
from tests.conftest import House, Opener
from tests.server.conftest import refusal, send
from tests.server.plug import plugged

FORM = "multipart/form-data; boundary=b"
UPLOADS = ["/v1/files", "/v1/audio/transcriptions", "/v1/audio/translations"]


@dataclass
class Sink:
    """A provider that takes uploads and keeps nothing of them."""

    received: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        async for piece in request.content.iter_any():
            self.received += len(piece)
        return web.json_response({"id": "file_1"})


@asynccontextmanager
async def _sink() -> AsyncIterator[tuple[Sink, str]]:
    """A sink and its base URL."""
    sink, application = Sink(), web.Application(client_max_size=1 << 40)
    application.router.add_post("/v1/files", sink.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield sink, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def _nothing() -> None:
    return None


async def _pieces(
    count: int, size: int = 65_536, each: Callable[[], None] = _nothing
) -> AsyncIterator[bytes]:
    piece = b"x" * size
    for _ in range(count):
        each()
        yield piece


async def _upload(
    house: House, pieces: AsyncIterator[bytes], path: str = "/v1/files", **headers: str
) -> aiohttp.ClientResponse:
    headers = {"Content-Type": FORM, **headers}
    return await house.session.post(house.url + path, data=pieces, headers=headers)


async def test_a_large_upload_goes_through_without_being_kept(opener: Opener) -> None:
    async with _sink() as (sink, base_url), opener(groq={"base_url": base_url}) as house:
        await _upload(house, _pieces(16))  # whatever grows once has grown now
        process, sizes = psutil.Process(), list[int]()

        answer = await _upload(
            house, _pieces(320, each=lambda: sizes.append(process.memory_info().rss))
        )

    assert answer.status == 200
    assert sink.received == (16 + 320) * 65_536
    assert max(sizes) - sizes[0] < 5_000_000


async def test_an_upload_keeps_its_type_and_its_length(opener: Opener) -> None:
    async with _sink() as (sink, base_url), opener(groq={"base_url": base_url}) as house:
        await _upload(house, _pieces(2, 500), **{"Content-Length": "1000"})
        await _upload(house, _pieces(2, 500))

    stated, counted = sink.headers
    assert stated["content-type"] == counted["content-type"] == FORM
    assert stated["content-length"] == "1000"
    assert "transfer-encoding" not in stated
    assert counted["transfer-encoding"] == "chunked"


async def test_an_upload_is_passed_on_byte_for_byte(house: House) -> None:
    body = bytes(range(256)) * 40

    await send(house, body, path="/v1/files", kind=FORM)

    call = house.simulator.calls[-1]
    assert call.raw == body
    assert call.headers["content-type"] == FORM


@pytest.mark.parametrize("path", UPLOADS)
async def test_an_upload_that_says_it_is_too_large_is_refused(opener: Opener, path: str) -> None:
    async with opener(limits={"upload": 2000}) as house:
        answer = await send(house, b"x" * 2001, path=path, kind=FORM)

        error = await refusal(answer, 413, "request_too_large")
        assert "2000 bytes" in error["message"]


@pytest.mark.parametrize("path", UPLOADS)
async def test_an_upload_that_turns_out_too_large_is_refused(opener: Opener, path: str) -> None:
    async with opener(limits={"upload": 2000}) as house:
        answer = await _upload(house, _pieces(21, 100), path)

        await refusal(answer, 413, "request_too_large")


async def test_an_upload_may_be_larger_than_a_body(opener: Opener) -> None:
    async with opener(limits={"body": 1000, "upload": 9000}) as house:
        await send(house, b"x" * 5000, path="/v1/files", kind=FORM)

        assert len(house.simulator.calls[-1].raw) == 5000


@pytest.mark.parametrize("fault", ["reset", "close", "status-503", "status-500", "429-rpm"])
async def test_an_upload_is_attempted_once(house: House, fault: str) -> None:
    form = aiohttp.FormData({"model": f"sim/{fault}"})
    form.add_field("file", b"x", filename="a.wav")

    answer = await house.session.post(f"{house.url}/v1/audio/transcriptions", data=form)

    assert answer.status in {429, 502, 503}
    assert len(_uploads(house, "audio/transcriptions")) == 1
    await house.calls_closed()
    assert len(house.seen.attempts) == 1


async def test_a_client_that_leaves_its_upload_ends_the_call(house: House) -> None:
    async with plugged(house) as (_, writer):
        writer.write(
            b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
            + FORM.encode()
            + b"\r\nContent-Length: 100000\r\n\r\n"
            + b"x" * 1000
        )
        async with asyncio.timeout(5):
            while not _uploads(house):
                await house.session.get(f"{house.url}/healthz")
    await house.calls_closed()

    assert house.seen.calls[-1].outcome == "client_abort"
    (call,) = _uploads(house)
    async with asyncio.timeout(1):
        await call.ended.wait()
    assert call.outcome is not Outcome.RUNNING
    assert call.status != 200


def _uploads(house: House, to: str = "files") -> list[RecordedCall]:
    return [call for call in house.simulator.calls if call.path == f"/openai/v1/{to}"]


async def test_a_binary_answer_is_passed_on_byte_for_byte(house: House) -> None:
    wish = {"model": "canopylabs/orpheus-v1-english", "voice": "hannah", "input": "Good morning."}
    direct = await house.session.post(
        f"{house.simulator.base_url}/audio/speech",
        json=wish,
        headers={"Authorization": "Bearer gsk_test"},
    )

    answer = await send(house, wish, path="/v1/audio/speech")

    assert answer.headers["Content-Type"] == "audio/wav"
    assert answer.headers["Content-Length"] == direct.headers["Content-Length"]
    assert await answer.read() == await direct.read()


async def test_a_binary_answer_that_breaks_off_does_not_look_complete(house: House) -> None:
    wish = {"model": "sim/cut-after-1", "voice": "hannah", "input": "Good morning."}

    with pytest.raises(aiohttp.ClientError):
        await send(house, wish, path="/v1/audio/speech")

    await house.calls_closed()
    assert house.seen.calls[-1].outcome == "upstream_error"


async def test_of_the_query_of_files_only_what_we_know_goes_through(house: House) -> None:
    query = "purpose=batch&limit=5&api_key=secret&order=asc&after=file_1&Limit=9&beta=true"

    answer = await house.session.get(f"{house.url}/v1/files?{query}")

    assert answer.status == 200
    assert house.simulator.calls[-1].path == (
        "/openai/v1/files?purpose=batch&limit=5&order=asc&after=file_1"
    )


@pytest.mark.parametrize(
    "query",
    ["after=a%26b%3Dc", "after=%0d%0aX:%20y", "limit=", "limit=%D9%A3", f"after={'a' * 129}"],
)
async def test_a_query_that_could_say_something_else_is_refused(house: House, query: str) -> None:
    answer = await house.session.get(f"{house.url}/v1/files?{query}")

    error = await refusal(answer, 400, "invalid_request")
    assert error["param"] == query.partition("=")[0]


async def test_files_and_batches_stay_with_the_first_key(opener: Opener) -> None:
    keys = [{"name": name, "value": f"gsk_{name}"} for name in ("first", "second")]
    async with opener(groq={"keys": keys}) as house:
        for number in range(16):  # conversations: each stays with a key
            await house.session.get(f"{house.url}/v1/files")
            await house.session.get(f"{house.url}/v1/batches")
            await house.chat(messages=[{"role": "user", "content": f"What is {number} squared?"}])

        calls = list(house.simulator.calls)

    used = {call.key for call in calls if call.path.endswith(("/files", "/batches"))}
    assert used == {"gsk_first"}
    chats = [call.key for call in calls if call.path.endswith("/chat/completions")]
    assert set(chats) == {"gsk_first", "gsk_second"}


async def test_a_connection_whose_body_was_refused_is_not_used_again(opener: Opener) -> None:
    async with opener(limits={"upload": 1_000_000}) as house:
        for _ in range(5):
            answer = await _upload(house, _pieces(40))

            await refusal(answer, 413, "request_too_large")


async def test_an_upload_that_says_it_is_too_large_costs_no_attempt(opener: Opener) -> None:
    async with opener(limits={"upload": 2000}) as house:
        await send(house, b"x" * 2001, path="/v1/files", kind="multipart/form-data; boundary=b")
        await house.calls_closed()

    assert house.seen.attempts == []
