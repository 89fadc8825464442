"""Each fault, as a client on the other end of the connection sees it."""

import asyncio
import gzip
import json
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import groq
import openai
import pytest

from proxy.simulator.app import Simulator
from proxy.simulator.calls import Outcome
from proxy.simulator.clock import VirtualClock
from proxy.simulator.damage import damaged, instead
from proxy.simulator.faults import KINDS, Fault
from proxy.simulator.magic import fault_of, is_magic, table
from proxy.simulator.metering import Meter
from proxy.simulator.reply import Arrival, Ending, Piece, Reply, done, frame
from proxy.simulator.settings import SimulatorSettings
from tests.simulator.conftest import Town, asking, opened

KEY = {"authorization": "Bearer gsk_test"}


async def raw(town: Town, model: str, *, stream: bool = True, path: str = "") -> bytes:
    """Give every byte of an answer, status line and framing included, until the end."""
    host, port = town.simulator.origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({**asking(), "model": model, "stream": stream}).encode()
    writer.write(
        f"POST {path or '/openai/v1/chat/completions'} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        f"authorization: Bearer gsk_test\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    seen = b""
    try:
        while data := await reader.read(65_536):
            seen += data
    except ConnectionResetError:
        seen += b"<reset>"
    writer.close()
    return seen


def events(answer: bytes) -> int:
    return answer.count(b"data: {")


async def test_a_cut_stream_ends_after_k_events_and_without_its_last_chunk(town: Town) -> None:
    answer = await raw(town, "sim/cut-after-3")

    assert events(answer) == 3
    assert not answer.endswith(b"0\r\n\r\n")
    assert (town.last.outcome, town.last.pieces_sent) == (Outcome.CUT, 3)


async def test_a_cut_can_be_a_reset_or_a_clean_end(town: Town) -> None:
    reset = await raw(town, "sim/cut-after-3-reset")
    clean = await raw(town, "sim/cut-after-3-clean_end")

    assert reset.endswith(b"<reset>")
    assert clean.endswith(b"0\r\n\r\n")
    assert (events(clean), clean.count(b"[DONE]")) == (3, 0)


async def test_a_whole_answer_is_cut_in_half(town: Town) -> None:
    url = f"{town.simulator.base_url}/chat/completions"
    body = {**asking(), "model": "sim/cut-after-0"}
    async with town.http.post(url, json=body, headers=KEY) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_a_reset_comes_before_any_byte(town: Town) -> None:
    assert await raw(town, "sim/reset") == b"<reset>"
    assert town.last.status is None


async def test_a_close_comes_before_any_byte(town: Town) -> None:
    assert await raw(town, "sim/close") == b""


async def test_a_stalled_stream_stays_open_until_the_client_leaves(town: Town) -> None:
    stream = await town.openai.chat.completions.create(
        **{**asking(), "model": "sim/stall-after-2"}, stream=True
    )
    seen = [await anext(stream), await anext(stream)]
    assert town.last.outcome is Outcome.RUNNING

    await stream.close()
    async with asyncio.timeout(5):
        await town.last.ended.wait()

    assert len(seen) == 2
    assert (town.last.outcome, town.last.pieces_sent) == (Outcome.CLIENT_LEFT, 2)


async def test_a_hanging_call_ends_with_the_client_or_with_the_simulator(town: Town) -> None:
    async def hanging() -> None:
        await town.post("/chat/completions", {**asking(), "model": "sim/hang"})

    left = asyncio.create_task(hanging())
    stays = asyncio.create_task(hanging())
    await town.arrived(2)
    first, second = town.simulator.calls
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    async with asyncio.timeout(5):
        await first.ended.wait()
    assert first.client_left_at is not None

    assert second.outcome is Outcome.RUNNING
    stays.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stays


async def test_closing_the_simulator_lets_hanging_calls_go() -> None:
    simulator = Simulator(clock=VirtualClock(auto=True))
    async with aiohttp.ClientSession() as http:
        async with simulator.serve():
            town = Town(simulator, http, AsyncExitStack())
            waiting = asyncio.create_task(
                town.post("/chat/completions", {**asking(), "model": "sim/hang"})
            )
            await town.arrived()

        with pytest.raises(aiohttp.ClientConnectionError):
            await waiting
    assert town.last.outcome is Outcome.CUT


async def test_a_simulator_can_go_away_and_come_back_on_its_port() -> None:
    simulator = Simulator(clock=VirtualClock(auto=True))
    async with aiohttp.ClientSession() as http:
        town = Town(simulator, http, AsyncExitStack())
        async with simulator.serve() as base_url:
            assert (await town.post("/chat/completions", asking()))[0] == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await town.post("/chat/completions", asking())
        async with simulator.serve(port=int(base_url.split(":")[2].split("/")[0])):
            assert (await town.post("/chat/completions", asking()))[0] == 200

    assert len(simulator.calls) == 2


async def test_a_client_that_leaves_a_stream_is_noted_with_the_time() -> None:
    clock = VirtualClock()
    async with opened(clock=clock) as town:
        opening = asyncio.create_task(town.openai.chat.completions.create(**asking(), stream=True))
        while not opening.done():
            await clock.advance(0.01)
        stream = await opening
        await anext(stream)
        await stream.close()
        async with asyncio.timeout(5):
            await town.last.ended.wait()

        assert town.last.outcome is Outcome.CLIENT_LEFT
        assert town.last.client_left_at == clock.now()
        assert town.last.pieces_sent >= 1


async def test_a_stream_follows_the_clock() -> None:
    clock = VirtualClock()
    async with opened(clock=clock) as town:
        url = f"{town.simulator.base_url}/chat/completions"
        body = {**asking(), "model": "sim/tokens-1000", "stream": True}
        asked = asyncio.create_task(town.http.post(url, json=body, headers=KEY))
        await town.arrived()
        await clock.advance(0.5)
        answer = await asked
        await answer.content.readany()
        halfway = town.last.pieces_sent
        assert town.last.ended_at is None

        while town.last.ended_at is None:
            await clock.advance(0.05)
        await answer.read()

    assert 0.35 < halfway / town.last.pieces_sent < 0.55
    assert town.last.ended_at - town.last.at == pytest.approx(1.06, abs=0.06)


async def test_a_slow_first_byte_costs_its_seconds(town: Town) -> None:
    before = town.simulator.clock.now()
    await raw(town, "sim/slow-first-byte-5")

    assert town.simulator.clock.now() - before > 5


@pytest.mark.parametrize("name", ["", "-unnamed"])
async def test_an_error_event_raises_in_both_sdks(town: Town, name: str) -> None:
    body = {**asking(), "model": f"sim/error-event-after-2{name}"}
    by_openai = await town.openai.chat.completions.create(**body, stream=True)
    by_groq = await town.groq.chat.completions.create(**body, stream=True)
    for stream in (by_openai, by_groq):
        assert [await anext(stream), await anext(stream)]
        with pytest.raises((openai.APIError, groq.APIError), match="Internal Server Error"):
            await anext(stream)

    text = await raw(town, body["model"])
    assert (b"event: error\ndata: " in text) is (name == "")
    assert b"[DONE]" not in text


async def test_a_stale_connection_dies_at_its_second_request(town: Town) -> None:
    body = {**asking(), "model": "sim/keepalive-close"}
    await town.openai.chat.completions.create(**body)
    with pytest.raises(openai.APIConnectionError):
        await town.openai.chat.completions.create(**body)

    assert town.last.status is None
    answer = await town.openai.chat.completions.create(**body)
    assert answer.choices


async def test_decorated_streams_still_read_well(town: Town) -> None:
    plain = await town.openai.chat.completions.create(**asking())
    for client in (town.openai, town.groq):
        text = ""
        stream = await client.chat.completions.create(
            **{**asking(), "model": "sim/comments"}, stream=True
        )
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
        assert text == plain.choices[0].message.content

    answer = await raw(town, "sim/comments")
    assert b": a comment\r\nid: 0\r\nretry: 1000\r\ndata: {" in answer
    assert b',\r\ndata: "object"' in answer


@pytest.mark.parametrize(
    ("model", "stream", "part"),
    [
        ("sim/no-done", True, b'"finish_reason":"stop"'),
        ("sim/after-done", True, b"data: [DONE]\n\n"),
        ("sim/garbage", True, b"oops\n\n"),
        ("sim/garbage", False, b"oops"),
        ("sim/html", False, b"<!DOCTYPE html>"),
        ("sim/status-502-html", False, b"502 Bad Gateway"),
        ("sim/empty", False, b"Content-Length: 0"),
        ("sim/no-choices", False, b'"choices":[]'),
        ("sim/no-choices", True, b'"choices":[]'),
        ("sim/error-in-200", False, b'{"error":{"message":"Internal Server Error"'),
        ("sim/error-in-200", True, b'data: {"error":{"message"'),
        ("sim/wrong-content-type", False, b"text/html"),
        ("sim/bad-chunk", True, b"this is no size\r\n"),
        ("sim/huge-header", False, b"h" * 65_536),
        ("sim/redirect", False, b"307 Temporary Redirect"),
        ("sim/echo-key", False, b"Bearer gsk_test"),
        ("sim/status-500", True, b"500 Internal Server Error"),
        ("sim/status-204", False, b"204 No Content"),
        ("sim/status-400-tool_use_failed", False, b'"failed_generation"'),
        ("sim/status-400-blocked_api_access", False, b'"code":"blocked_api_access"'),
    ],
)
async def test_faults_that_show_in_the_bytes(
    town: Town, model: str, stream: bool, part: bytes
) -> None:
    answer = await raw(town, model, stream=stream)

    assert part in answer
    finished = {"sim/after-done", "sim/garbage", "sim/no-choices"}
    assert (b"[DONE]" in answer) is (stream and model in finished)


async def test_a_wrong_length_promises_more_than_comes(town: Town) -> None:
    head, _, body = (await raw(town, "sim/wrong-length", stream=False)).partition(b"\r\n\r\n")

    assert f"content-length: {len(body) + 100}".encode() in head.lower()


async def test_compressed_answers_are_real_gzip(town: Town) -> None:
    for stream in (False, True):
        url = f"{town.simulator.base_url}/chat/completions"
        body = {**asking(), "model": "sim/gzip", "stream": stream}
        async with town.http.post(
            url, json=body, headers={**KEY, "accept-encoding": "identity"}
        ) as answer:
            assert answer.headers["content-encoding"] == "gzip"
            assert b'"finish_reason":"stop"' in await answer.read()


async def test_a_bomb_is_small_on_the_wire(town: Town) -> None:
    _, _, body = (await raw(town, "sim/gzip-bomb", stream=False)).partition(b"\r\n\r\n")

    assert len(body) < 1_000_000
    assert len(gzip.decompress(body)) == 64 << 20


async def test_a_huge_answer_is_that_huge(town: Town) -> None:
    assert len(await raw(town, "sim/huge-answer-3", stream=False)) > 3 << 20


async def test_a_limit_fault_names_a_wait_and_shows_an_empty_bucket(town: Town) -> None:
    body = {**asking(), "model": "sim/429-tpm-12"}
    status, headers, answer = await town.post("/chat/completions", body)

    assert (status, headers["retry-after"]) == (429, "12")
    assert headers["x-ratelimit-remaining-tokens"] == "0"
    assert "Please try again in 12s." in answer["error"]["message"]


@pytest.mark.parametrize("endpoint", ["/embeddings", "/audio/speech", "/responses"])
async def test_magic_names_work_on_other_endpoints(town: Town, endpoint: str) -> None:
    body = {"model": "sim/status-503", "input": "x", "voice": "y"}
    status, _, _ = await town.post(endpoint, body)
    assert status == 503

    status, _, _ = await raw_status(town, endpoint)
    assert status == 200


async def raw_status(town: Town, endpoint: str) -> tuple[int, Any, Any]:
    body: dict[str, Any] = {"model": "sim/slow-first-byte-0", "input": "x"}
    if endpoint == "/audio/speech":
        body["voice"] = "y"
    headers = {"authorization": "Bearer gsk_test"}
    url = town.simulator.base_url + endpoint
    async with town.http.post(url, json=body, headers=headers) as answer:
        return answer.status, answer.headers, await answer.read()


WHOLE = Reply(200, (Piece(b'{"choices":[{"a":1}],"usage":{}}'),))
STREAM = Reply(
    200,
    (*(frame({"choices": [], "n": n}, float(n)) for n in range(5)), done(5)),
    stream=True,
)


def example(name: str) -> Fault:
    value = {"status": 503, "limit": "tpm"}.get(name, 1)
    takes = next(kind for kind in KINDS if kind.name == name).takes
    return Fault.model_validate({name: value if takes else True})


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_every_fault_answers_itself_or_changes_a_reply(kind: str) -> None:
    fault = example(kind)
    meter = Meter(SimulatorSettings())
    arrival = Arrival("POST", "/chat/completions", "demo", "req_x", asking())

    own = instead(fault, arrival, meter, "Bearer gsk_x")

    changed = {damaged(fault, reply) != reply for reply in (WHOLE, STREAM)}
    assert (own is not None) is (changed == {False} and kind != "keepalive_close")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.name.startswith("status")])
def test_errors_are_not_damaged_further(kind: Any) -> None:
    error = Reply(404, (Piece(b"{}"),))

    assert damaged(example(kind.name), error) is error


@pytest.mark.parametrize("k", range(8))
def test_cuts_and_stalls_keep_the_first_k_events(k: int) -> None:
    cut = damaged(Fault(cut_after_chunks=k), STREAM)
    stalled = damaged(Fault(stall_after_chunks=k), STREAM)

    assert cut.pieces == stalled.pieces == STREAM.pieces[:k]
    assert (cut.ending, stalled.ending) == (Ending.EOF, Ending.STALL)


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_every_fault_has_a_magic_name(kind: str) -> None:
    row = next(row for row in KINDS if row.name == kind)
    value = {"STATUS": "503", "LIMIT": "tpm", "": ""}.get(row.takes, "1")
    name = "sim/" + row.magic.removesuffix(row.takes) + value

    assert fault_of(name) == example(kind)


@pytest.mark.parametrize(
    "name",
    ["sim/", "sim/status-", "sim/status-99", "sim/429-xyz", "sim/cut-after-x", "sim/cut-after-1-up",
     "sim/hang-1", "sim/tokens-x", "sim/tokens-", "hang", "sim/" + "status-500-" * 20],
)  # fmt: skip
def test_names_that_are_nearly_magic_are_not(name: str) -> None:
    assert not is_magic(name)


def test_the_table_for_people_has_a_row_for_each() -> None:
    rows = table().splitlines()[2:]

    assert len(rows) == len(KINDS) + 2
    assert rows[2].startswith("| `sim/status-STATUS` | `status: STATUS` | ")
