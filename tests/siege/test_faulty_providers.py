"""Whatever a provider does, its caller learns the truth in time, and nobody learns a secret."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

import openai
import pytest
import pytest_asyncio

from tests.conftest import QUESTION
from tests.siege import provider_answers, provider_silences, provider_wire
from tests.siege.fortress import SECRET, Fortress, answer_well, fortress, together, unharmed
from tests.siege.provider_cases import Case
from tests.siege.provider_scripts import (
    BEGUN,
    BODY,
    End,
    answering,
    fin,
    keep,
    leave_open,
    rst,
    saying,
)
from tests.siege.provider_silences import TIMES
from tests.siege.provider_verdicts import (
    BAD,
    GONE,
    ORGANISATION,
    PAUSES_S,
    SLACK_S,
    Told,
    all_on_record,
    ask,
    complete,
    nothing_shown,
    on_record,
)
from tests.stories.raw import (
    DONE,
    EVENTS,
    LAST,
    Line,
    RawProvider,
    Script,
    chunk,
    event,
    head,
    raw,
    stopped,
    whole,
)
from tests.unhurried import undisturbed

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

AT_ONCE_S = 15.0  # even on a busy machine; the gateway would wait longer for its provider
PATIENT = {
    "connect_s": 10,
    "first_byte_s": 20,
    "idle_s": 20,
    "total_s": 20,
    "stream_total_s": 20,
}
PROMPT = [*provider_wire.CASES, *provider_answers.CASES]
SLOW = provider_silences.CASES


@dataclass
class Stage:
    """The fortress, and the provider whose script follows the name of the model."""

    fortress: Fortress
    provider: RawProvider
    scripts: dict[str, Script]
    canary: RawProvider  # whom no call must reach

    async def ask(self, model: str, *, stream: bool = False) -> Told:
        """One call, which the fortress must stand."""
        async with unharmed(self.fortress, within_s=AT_ONCE_S):
            return await ask(self.fortress, model, stream=stream)

    async def hold(self, case: Case) -> Told:
        """Let one case happen."""
        self.scripts[case.model.rpartition("/")[2]] = case.script
        return await self.ask(case.model, stream=case.stream)


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A port that refuses connections: taken, but not listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def full_port() -> Iterator[int]:
    """A port whose listener accepts nobody, with a queue that is full."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield full.getsockname()[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    tmp_path_factory: pytest.TempPathFactory, closed_port: int, full_port: int
) -> AsyncIterator[Stage]:
    """One fortress for all cases: what one of them breaks, the next would notice."""

    async def script(line: Line) -> None:
        await scripts.get(line.body["model"], answer_well)(line)

    async def refuse(line: Line) -> None:
        line.close()

    def provider_at(url: str) -> dict[str, object]:
        return {"base_url": url, "keys": [{"name": "k", "value": SECRET}], "timeouts": TIMES}

    scripts: dict[str, Script] = {}
    async with raw(script) as provider, raw(refuse) as canary:
        groq = {"base_url": provider.url, "timeouts": PATIENT}
        others = {
            "hasty": provider.url,
            "closed": f"http://127.0.0.1:{closed_port}/v1",
            "full": f"http://127.0.0.1:{full_port}/v1",
            "nameless": "http://provider.invalid/v1",
            "untrusted": provider.url.replace("http:", "https:"),
        }
        providers = {"groq": groq, **{name: provider_at(url) for name, url in others.items()}}
        async with fortress(
            provider.url, tmp_path_factory.mktemp("stage"), providers=providers
        ) as built:
            for stream in (False, True):
                await built.chat(stream=stream)
            yield Stage(built, provider, scripts, canary)
            await all_on_record(built)
            await nothing_shown(built)


@pytest.mark.parametrize("case", PROMPT, ids=str)
async def test_a_faulty_answer_is_told_truly_and_at_once(stage: Stage, case: Case) -> None:
    async def attempt() -> None:
        told = await stage.hold(case)

        case.verdict(told)
        assert told.status != 500
        await on_record(stage.fortress, told)
        await nothing_shown(stage.fortress, told)

    await undisturbed(attempt)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("provider", ["closed", "nameless", "untrusted", "full"])
async def test_a_provider_that_cannot_be_reached_is_a_502(
    stage: Stage, provider: str, stream: bool
) -> None:
    told = await stage.ask(f"{provider}/model", stream=stream)

    GONE(told)
    line = await on_record(stage.fortress, told)
    assert 1 <= line["attempts"] <= 3
    asked_s = line["attempts"] * TIMES["connect_s"] + PAUSES_S
    assert line["duration_ms"] < 1000 * (asked_s + SLACK_S)
    await nothing_shown(stage.fortress, told)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def silences(stage: Stage) -> Mapping[str, asyncio.Task[Told]]:
    """What the callers of all silent providers were told: they wait side by side."""

    async def caller(case: Case) -> Told:
        async with asyncio.timeout(within_s):
            return await ask(stage.fortress, case.model, stream=case.stream)

    within_s = TIMES["stream_total_s"] + AT_ONCE_S
    stage.scripts.update({case.model.rpartition("/")[2]: case.script for case in SLOW})
    async with unharmed(stage.fortress, within_s=within_s + SLACK_S):
        callers = {str(case): asyncio.ensure_future(caller(case)) for case in SLOW}
        await asyncio.wait(callers.values())
    return callers


@pytest.mark.parametrize("case", SLOW, ids=str)
async def test_a_silent_provider_is_not_waited_for_longer_than_we_said(
    stage: Stage, silences: Mapping[str, asyncio.Task[Told]], case: Case
) -> None:
    told = silences[str(case)].result()

    case.verdict(told)
    line = await on_record(stage.fortress, told)
    assert case.within_s is not None
    assert line["duration_ms"] < 1000 * (case.within_s + SLACK_S)
    await nothing_shown(stage.fortress, told)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(stage: Stage, status: int, stream: bool) -> None:
    async def script(line: Line) -> None:
        location = f"{stage.canary.url}/chat/completions?key={SECRET}"
        await line.say(whole({}, f"{status} Moved", location=location))

    case = Case(f"redirect {status}", stream=stream, script=script, verdict=BAD)
    told = await stage.hold(case)

    case.verdict(told)
    assert "location" not in told.headers
    assert stage.canary.connections == 0
    await on_record(stage.fortress, told)
    await nothing_shown(stage.fortress, told)


LEFTOVERS = {
    "a second answer": answering("poison"),
    "half of a second answer": answering("poison")[:-9],
    "a second stream": answering("poison", stream=True),
    "the end of a chunk": chunk(b"poison") + LAST,
    "noise": b"poison" * 99,
    "an interim answer": head("103 Early Hints", link="poison"),
    "empty lines": b"\r\n\r\n",
}


@pytest.mark.parametrize("name", LEFTOVERS)
async def test_bytes_behind_an_answer_reach_no_other_caller(stage: Stage, name: str) -> None:
    async def script(line: Line) -> None:
        told = answering(line.body["user"], stream=line.body["stream"])
        await line.say(told + LEFTOVERS[name])

    async def caller(number: int) -> None:
        for turn in range(5):
            nonce, stream = f"nonce-{number}-{turn}", bool(turn % 2)
            told = await ask(stage.fortress, "leftovers", stream=stream, user=nonce)
            complete(nonce)(told)

    stage.scripts["leftovers"] = script
    async with unharmed(stage.fortress, within_s=AT_ONCE_S):
        await together(map(caller, range(4)))


async def test_an_answer_that_nobody_asked_for_is_nobodys(stage: Stage) -> None:
    async def script(line: Line) -> None:
        await line.say(answering(line.body["user"]))
        if line.body["user"] == "first":
            await told.wait()  # so that the connection is kept for the next one by now
            await line.say(answering("poison"))
            await line.until_left()
            left.set()

    told, left = asyncio.Event(), asyncio.Event()
    stage.scripts["unasked"] = script
    async with unharmed(stage.fortress, within_s=AT_ONCE_S):
        for nonce in ("first", "second", "third"):
            complete(nonce)(await ask(stage.fortress, "unasked", user=nonce))
            told.set()
            await left.wait()


@pytest.mark.parametrize("end", [fin, rst])
async def test_kept_connections_that_are_gone_when_needed_are_replaced_unseen(
    stage: Stage, end: End
) -> None:
    async def script(line: Line) -> None:
        if line.nth_here > 1:
            await end(line)
        else:
            met.append(line)
            if len(met) == 4:
                all_met.set()
            await all_met.wait()
            await line.say(answering(line.body["user"], stream=line.body["stream"]))

    async def caller(number: int, *, stream: bool) -> None:
        nonce = f"nonce-{number}"
        told = await ask(stage.fortress, "stale", stream=stream, user=nonce)
        complete(nonce)(told)

    async def attempt() -> None:
        nonlocal met, all_met
        met, all_met = [], asyncio.Event()
        async with unharmed(stage.fortress, within_s=AT_ONCE_S):
            for stream in (False, True):
                await together(caller(number, stream=stream) for number in range(4))

    met: list[Line] = []
    all_met = asyncio.Event()
    stage.scripts["stale"] = script
    await undisturbed(attempt)  # a provider that ends a connection late is believed


_BROKEN_STREAMS = {
    "a FIN": saying(BEGUN),
    "a reset": saying(BEGUN, then=rst),
    "a last chunk": saying(BEGUN, LAST),
    "[DONE] without a finish_reason": saying(BEGUN, DONE, LAST),
    "a bad chunk": saying(BEGUN, b"zz\r\n"),
    "an error": saying(BEGUN, event({"error": {"message": "worker died"}}), DONE, LAST),
    "an error as text": saying(BEGUN, event({"error": "worker died"}), DONE, LAST),
    "a named error": saying(BEGUN, chunk(b"event: error\ndata: worker died\n\n"), DONE, LAST),
    "an error of Groq's": saying(BEGUN, event({"x_groq": {"error": "died"}}), DONE, LAST),
    "what is not JSON": saying(BEGUN, event("{oops"), stopped(), DONE, LAST),
    "nothing at all": saying(EVENTS, LAST),
    "an error at first": saying(EVENTS, event({"error": {"message": "worker died"}}), LAST),
    "a whole answer": saying(answering("one")),
}


@pytest.mark.parametrize("name", _BROKEN_STREAMS)
async def test_the_sdk_raises_on_a_stream_that_breaks(stage: Stage, name: str) -> None:
    stage.scripts["broken"] = _BROKEN_STREAMS[name]
    async with unharmed(stage.fortress, within_s=AT_ONCE_S), _sdk(stage) as client:
        with pytest.raises(openai.APIError):
            await _read_by_sdk(client, "broken")


# Events are passed on without being decoded, unless something about them is odd.
_LOOKING_WELL = {
    "invalid UTF-8": b'"\xff\xfe"',
    "a bare control character": b'"\0"',
    "a text without end": b'"two',
}


@pytest.mark.parametrize("name", _LOOKING_WELL)
async def test_the_sdk_raises_on_an_event_that_only_looks_like_json(
    stage: Stage, name: str
) -> None:
    content = b'data: {"choices":[{"index":0,"delta":{"content":%b}}]}\n\n' % _LOOKING_WELL[name]
    stage.scripts["odd"] = saying(BEGUN, chunk(content), stopped(), DONE, LAST)
    async with unharmed(stage.fortress, within_s=AT_ONCE_S), _sdk(stage) as client:
        with pytest.raises((openai.APIError, ValueError)):
            await _read_by_sdk(client, "odd")


async def test_the_sdk_raises_on_a_stream_that_stalls(stage: Stage) -> None:
    stage.scripts["stalling"] = saying(BEGUN, then=leave_open)
    async with unharmed(stage.fortress, within_s=AT_ONCE_S), _sdk(stage) as client:
        with pytest.raises(openai.APIError, match="sent nothing for"):
            await _read_by_sdk(client, "hasty/stalling")


def _sdk(stage: Stage) -> openai.AsyncOpenAI:
    """The official client, which does not try again by itself."""
    return openai.AsyncOpenAI(api_key="unused", base_url=f"{stage.fortress.url}/v1", max_retries=0)


async def _read_by_sdk(client: openai.AsyncOpenAI, model: str) -> None:
    stream = await client.chat.completions.create(model=model, messages=QUESTION, stream=True)
    async for _ in stream:
        pass


async def test_a_key_that_is_spelled_in_escapes_is_cleaned_away(stage: Stage) -> None:
    async def script(line: Line) -> None:
        spelled = SECRET.replace("_", "\\u005f")
        error = b'{"error":{"message":"bad key %s","type":"t"}}' % spelled.encode()
        await line.say(whole(error, "400 No"))

    stage.scripts["escapes"] = script
    told = await stage.ask("escapes")

    assert SECRET not in str(told.error())


async def test_a_header_that_is_passed_on_names_no_organisation(stage: Stage) -> None:
    stage.scripts["named"] = saying(whole(BODY, x_request_id=f"req_{ORGANISATION}"), then=keep)
    told = await stage.ask("named")

    assert ORGANISATION not in str(told.headers)


async def test_a_header_that_is_passed_on_is_short_enough_for_clients(stage: Stage) -> None:
    stage.scripts["long"] = saying(whole(BODY, x_request_id="r" * 20_000), then=keep)
    told = await stage.ask("long")

    assert told.status in (200, 502)
