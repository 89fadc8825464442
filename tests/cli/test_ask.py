"""The command `ask`: against the whole house and the simulator, and against odd providers."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from proxy.asker import Asker, NotAnswered, Place, one_line, place_of, plain
from proxy.asking import _latest
from proxy.config.errors import ConfigError
from proxy.config.settings import Config
from proxy.rag.shelves import Patience
from tests.cli.commands import clean_environment, run
from tests.conftest import House, Opener
from tests.stories.raw import DONE, EVENTS, LAST, Line, Script, event, raw, said, stopped, whole

HELLO: Any = [{"role": "user", "content": "Hello"}]
ECHO = "sim/echo"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a finished command said."""

    code: int
    out: str
    err: str


async def typed(url: str, directory: Path, *args: str, said: str = "", key: str = "") -> Ended:
    """`groq-proxy ask ARGS`, as a user runs it."""
    environment = {**clean_environment(), "PROXY_URL": url, "HTTP_PROXY": "http://127.0.0.1:9"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "ask", *args),
        cwd=directory,
        env={**environment, **({"PROXY_KEY": key} if key else {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate(said.encode())
    assert process.returncode is not None
    assert b"Traceback" not in err
    return Ended(process.returncode, out.decode(), err.decode())


async def test_an_answer_is_printed(house: House, tmp_path: Path) -> None:
    ended = await typed(house.url, tmp_path, "Say this back", "--model", ECHO)

    assert (ended.code, ended.out, ended.err) == (0, "Say this back\n", "")


async def test_it_is_streamed_unless_that_is_not_wanted(house: House, tmp_path: Path) -> None:
    streamed = await typed(house.url, tmp_path, "Hello there", "--model", ECHO)
    whole_one = await typed(house.url, tmp_path, "Hello there", "--model", ECHO, "--no-stream")

    assert streamed == whole_one
    assert [call.body["stream"] for call in chats(house)] == [True, False]


async def test_without_a_model_the_proxy_chooses(house: House, tmp_path: Path) -> None:
    ended = await typed(house.url, tmp_path, "Hello")

    assert ended.code == 0
    assert [call.body["model"] for call in chats(house)] == ["openai/gpt-oss-20b"]


async def test_a_question_may_come_from_the_standard_input(house: House, tmp_path: Path) -> None:
    ended = await typed(house.url, tmp_path, "-", "--model", ECHO, said="two\nlines of text")

    assert (ended.code, ended.out) == (0, "two\nlines of text\n")


async def test_an_empty_question_is_wrong_usage(house: House, tmp_path: Path) -> None:
    for args in (["-"], [""], [" "]):
        ended = await typed(house.url, tmp_path, *args)

        assert ended.code == 2
        assert ended.err.endswith("Error: the question is empty\n")
    assert chats(house) == []


async def test_a_talk_remembers_what_was_said(house: House, tmp_path: Path) -> None:
    lines = "first\n\nsecond\n/new\nthird\nexit\nnever asked\n"

    ended = await typed(house.url, tmp_path, "--model", ECHO, said=lines)

    assert (ended.code, ended.out) == (0, "first\nsecond\nthird\n")
    sent = [[each["content"] for each in call.body["messages"]] for call in chats(house)]
    assert sent == [["first"], ["first", "first", "second"], ["third"]]


async def test_a_talk_goes_on_after_a_question_that_failed(tmp_path: Path) -> None:
    async def script(line: Line) -> None:
        if line.number == 1:
            await line.say(whole({"error": {"message": "no luck"}}, "502 Bad Gateway"))
        else:
            await line.say(EVENTS, said("yes"), stopped(), DONE, LAST)

    async with raw(script) as provider:
        ended = await typed(provider.url, tmp_path, said="one\ntwo\n")

    assert (ended.code, ended.out, ended.err) == (1, "yes\n", "groq-proxy: 502: no luck\n")
    assert [len(line.body["messages"]) for line in provider.lines] == [1, 1]


async def test_a_key_is_taken_from_the_environment(opener: Opener, tmp_path: Path) -> None:
    key = {"name": "app", "sha256": sha256(b"gp-app").hexdigest()}
    async with opener(keys=[key]) as house:
        without = await typed(house.url, tmp_path, "Hi", "--model", ECHO)
        with_it = await typed(house.url, tmp_path, "Hi", "--model", ECHO, key="gp-app")

    assert (with_it.code, with_it.out) == (0, "Hi\n")
    assert (without.code, without.out) == (1, "")
    assert without.err.startswith("groq-proxy: 401: ")
    assert "PROXY_KEY" in without.err
    assert len(without.err.splitlines()) == 1


async def test_a_limit_is_told_with_the_wait(opener: Opener, tmp_path: Path) -> None:
    terms = {"limits": ["1 request/hour"]}
    key = {"name": "app", "sha256": sha256(b"gp-app").hexdigest(), **terms}
    async with opener(keys=[key]) as house:
        args = (house.url, tmp_path, "Hi", "--model", ECHO)
        await typed(*args, key="gp-app")
        ended = await typed(*args, key="gp-app")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("groq-proxy: 429: ")
    assert "; it may be asked again in " in ended.err
    assert ended.err.endswith(" min\n") or ended.err.endswith(" s\n") or ended.err.endswith(" h\n")
    assert len(ended.err.splitlines()) == 1


async def test_a_proxy_that_does_not_run_is_one_line(tmp_path: Path) -> None:
    ended = await typed("http://127.0.0.1:9", tmp_path, "Hi")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "groq-proxy: nothing answers at http://127.0.0.1:9: start it with `groq-proxy serve`,"
        " or name another address by PROXY_URL\n"
    )


def chats(house: House) -> list[Any]:
    return [call for call in house.simulator.calls if call.path.endswith("/chat/completions")]


@asynccontextmanager
async def facing(script: Script, patience_s: float = 10.0) -> AsyncIterator[Asker]:
    async with raw(script) as provider:
        place = place_of(config(), {"PROXY_URL": provider.url})
        yield Asker(place, patience_s=patience_s)


def config(listen: str = "127.0.0.1:8080") -> Config:
    groq = {"keys": [{"name": "a", "value": "gsk_test"}]}
    return Config.model_validate({"providers": {"groq": groq}, "listen": listen})


async def refused(script: Script, *, stream: bool = True, patience_s: float = 10.0) -> str:
    async with facing(script, patience_s) as asker:
        with pytest.raises(NotAnswered) as caught:
            await asker.ask(HELLO, stream=stream)
    return str(caught.value)


@pytest.mark.parametrize(
    ("wait", "told"),
    [
        ("7", "; it may be asked again in 7 s"),
        ("0.25", "; it may be asked again in 0.25 s"),
        ("61", "; it may be asked again in 1 min 1 s"),
        ("3600", "; it may be asked again in 1 h"),
        ("86340", "; it may be asked again in 23 h 59 min"),
        ("soon", ""),
        ("nan", ""),
        ("-1", ""),
    ],
)
async def test_a_wait_is_told_in_words(wait: str, told: str) -> None:
    async def script(line: Line) -> None:
        body = {"error": {"message": "rate limit\nreached"}}
        await line.say(whole(body, "429 Too Many Requests", retry_after=wait))

    assert await refused(script) == f"429: rate limit reached{told}"


@pytest.mark.parametrize("stream", [True, False])
async def test_silence_is_told_with_how_long_it_was(stream: bool) -> None:
    async def script(line: Line) -> None:
        await line.until_left()

    told = await refused(script, stream=stream, patience_s=0.2)

    assert told.startswith("no answer from http://127.0.0.1:")
    assert told.endswith(" within 0.2 s")


async def test_silence_in_the_middle_is_told_too() -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("Hel"))
        await line.until_left()

    assert (await refused(script, patience_s=0.2)).endswith(" within 0.2 s")


async def test_a_stream_that_is_cut_is_told_and_what_came_was_shown() -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("Hel"))
        line.close()

    shown: list[str] = []
    async with facing(script) as asker:
        with pytest.raises(NotAnswered) as caught:
            await asker.ask(HELLO, stream=True, on_text=shown.append)

    assert shown == ["Hel"]
    assert str(caught.value) == "the connection broke before the answer was complete"


async def test_a_stream_that_ends_without_a_reason_is_not_taken_for_whole() -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("Hel"), DONE, LAST)

    assert await refused(script) == "the answer broke off"


async def test_an_error_in_the_middle_of_a_stream_is_told() -> None:
    async def script(line: Line) -> None:
        body = {"error": {"message": "the provider broke off", "type": "server_error"}}
        await line.say(EVENTS, said("Hel"), event(body), LAST)

    assert await refused(script) == "the provider broke off"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        whole(b"<html>hello</html>", content_type="text/html"),
        whole(b"{", content_type="application/json"),
        whole([1, 2]),
        whole({"choices": [None]}),
        whole({"choices": 3}),
        whole({}),
        whole(b""),
        whole(b"data: {\n\n", content_type="text/event-stream"),
        whole(b"data: [1]\n\n", content_type="text/event-stream"),
        whole(b'data: {"choices": [{"delta": 3}]}\n\n', content_type="text/event-stream"),
        whole(b"\xff\xfe", "500 Oops", content_type="text/plain"),
        whole({"error": "no object"}, "500 Oops"),
    ],
)
async def test_garbage_is_one_line(answer: bytes, stream: bool) -> None:
    async def script(line: Line) -> None:
        await line.say(answer)

    told = await refused(script, stream=stream)

    assert told
    assert "\n" not in told


def stream_of(*, sources: Any, headers: bytes = b"") -> Script:
    async def script(line: Line) -> None:
        begun = EVENTS.removesuffix(b"\r\n") + headers + b"\r\n"
        first = said("Cats sleep", model="m", x_proxy={"sources": sources})
        await line.say(begun, first, said(" a lot."), stopped(), DONE, LAST)

    return script


CATS = {"collection": "pets", "document": "cats.md", "title": "Cats > Sleep", "score": 0.8312}


async def test_sources_are_listed_below_the_answer(tmp_path: Path) -> None:
    bare = {"collection": "pets", "document": "dogs\x1b[2J.md", "title": "", "score": None}
    async with raw(stream_of(sources=[CATS, bare])) as provider:
        ended = await typed(provider.url, tmp_path, "How long do cats sleep?", "--rag", "pets")

    assert ended.code == 0
    assert ended.out == (
        "Cats sleep a lot.\n\nSources:\n  0.83  pets: cats.md, Cats > Sleep\n  pets: dogs[2J.md\n"
    )
    [line] = provider.lines
    assert b"x-proxy-rag: pets\r\n" in line.request
    assert line.body["x_proxy"] == {"sources": True}


async def test_documents_that_were_brought_in_answer_and_are_named(
    opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that runs many tests is busy.
    monkeypatch.setattr("proxy.library.BUILTIN", Patience(10.0, 10.0, 0.5, 10.0))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "cats.md").write_text("# Cats\n\n## Sleep\n\nCats sleep 16 hours a day.\n")
    (tmp_path / "groq-proxy.yaml").write_text(f"state_dir: {tmp_path}\n")
    command = ("rag", "ingest", "docs", "--collection", "pets")
    async with opener() as house:
        ingested = await asyncio.to_thread(run, *command, cwd=tmp_path, env={"GROQ_API_KEY": "x"})
        assert ingested.returncode == 0, ingested.stderr
        args = (house.url, tmp_path, "How long do cats sleep?", "--model", ECHO)
        ended = await typed(*args, "--rag", "pets")
        bare = await typed(*args)
        elsewhere = await typed(house.url, tmp_path, "What is the GDP of Peru?", "--rag", "pets")
        unknown = await typed(house.url, tmp_path, "Hi", "--rag", "birds")

    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"\n\nSources:\n  0\.\d\d  pets: \S*cats\.md, Cats > Sleep\n$", ended.out)
    assert (bare.code, bare.out) == (0, "How long do cats sleep?\n")
    assert "Sources" not in elsewhere.out
    assert elsewhere.err == (
        "note: nothing in 'pets' fits this question: this answer is without documents\n"
    )
    assert (unknown.code, unknown.out) == (1, "")
    assert re.fullmatch(r"groq-proxy: 400: there is no collection 'birds'; .*pets.*\n", unknown.err)


@pytest.mark.parametrize(
    ("header", "note"),
    [
        (b"x-proxy-degraded: rag\r\n", "the documents are out of reach just now"),
        (b"x-proxy-rag: pets;chunks=0\r\n", "nothing in 'pets' fits this question"),
        (b"x-proxy-simulated: true\r\n", "this is the demo"),
        (b"x-proxy-degraded: cache, rag\r\n", "the documents are out of reach just now"),
        (b"x-proxy-degraded: cache\r\n", ""),
        (b"x-proxy-rag: pets;chunks=3\r\n", ""),
    ],
)
async def test_what_an_answer_lacks_is_noted(header: bytes, note: str) -> None:
    async with facing(stream_of(sources=[], headers=header)) as asker:
        answer = await asker.ask(HELLO, stream=True)

    assert len(answer.notes) == (1 if note else 0)
    assert all(each.startswith(note) for each in answer.notes)


async def test_odd_sources_do_no_harm() -> None:
    async with facing(stream_of(sources=[{"score": "x", "title": None}])) as asker:
        answer = await asker.ask(HELLO, stream=True)

    assert [(each.document, each.title, each.score) for each in answer.sources] == [("", "", None)]
    assert await refused(stream_of(sources=[3])) != ""


async def test_an_answer_that_is_too_long_says_so(house: House) -> None:
    async def script(line: Line) -> None:
        choice = {"index": 0, "delta": {}, "finish_reason": "length"}
        await line.say(EVENTS, said("Hel"), event({"choices": [choice]}), DONE, LAST)

    async with facing(script) as asker:
        answer = await asker.ask(HELLO, stream=True)

    assert answer.notes == ["the answer has reached its limit of tokens"]


def test_no_text_can_steer_a_terminal() -> None:
    assert plain("a\x1b[31mb\r\n\tc\x9b2Jd\x7f\x00") == "a[31mb\n\tc2Jd"
    assert one_line(" a\n b\x1b]0;c\x07 ") == "a b]0;c"


@pytest.mark.parametrize(
    ("listen", "env", "url"),
    [
        ("127.0.0.1:8080", {}, "http://127.0.0.1:8080"),
        ("0.0.0.0:9000", {}, "http://127.0.0.1:9000"),
        ("[::]:9000", {}, "http://127.0.0.1:9000"),
        ("[::1]:9000", {}, "http://[::1]:9000"),
        ("10.0.0.7:80", {"PROXY_URL": "https://ai.example/v1/"}, "https://ai.example"),
        ("10.0.0.7:80", {"PROXY_URL": "http://h:1/openai/v1"}, "http://h:1"),
        ("10.0.0.7:80", {}, "http://10.0.0.7:80"),
    ],
)
def test_the_proxy_is_where_the_configuration_or_the_environment_says(
    listen: str, env: dict[str, str], url: str
) -> None:
    assert place_of(config(listen), env) == Place(url)
    assert place_of(config(listen), {**env, "PROXY_KEY": "k"}).key == "k"


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://", "x"])
def test_an_address_that_is_none_is_wrong_configuration(url: str) -> None:
    with pytest.raises(ConfigError):
        place_of(config(), {"PROXY_URL": url})


@pytest.mark.parametrize("key", ["gp-ä", "gp-\nx"])
def test_a_key_that_no_header_can_carry_is_wrong_configuration(key: str) -> None:
    with pytest.raises(ConfigError, match="PROXY_KEY"):
        place_of(config(), {"PROXY_KEY": key})


@pytest.mark.parametrize("name", ["a\nb", "ä", "a b", "../x"])
async def test_what_cannot_be_a_collection_is_told_before_anybody_is_asked(name: str) -> None:
    asker = Asker(Place("http://127.0.0.1:1"), collection=name)

    with pytest.raises(NotAnswered, match="cannot be the name of a collection"):
        await asker.ask(HELLO)


def test_of_a_long_talk_the_end_is_sent_from_a_question_on() -> None:
    long = "x" * 60_000
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": long},
        {"role": "user", "content": "second"},
        {"role": "assistant", "content": "short"},
        {"role": "user", "content": long},
    ]

    assert _latest(messages) == messages[2:]
    assert _latest([{"role": "user", "content": "y" * 200_000}]) != []
