"""Asks the running proxy as any client does, with Groq's own SDK."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import groq
import httpx

from proxy.config.errors import ConfigError
from proxy.config.names import LABEL, Address
from proxy.config.settings import Config

PATIENCE_S: Final = 180.0  # for the next sign of an answer; the proxy itself gives up earlier

_CONNECT_S = 5.0
_NOBODY = "none"  # while the proxy is open it looks at no key, but an SDK must send one
_ODD = (ValueError, LookupError, AttributeError, TypeError)  # of an answer that is none


class NotAnswered(Exception):
    """No answer, or not all of one: a line for the person who asked."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the proxy is (without a path), and our key there, "" for none."""

    url: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that the answer was given by."""

    collection: str
    document: str
    title: str
    score: float | None


@dataclass(slots=True)
class Answer:
    """What came back; filled while it comes."""

    text: str = ""
    model: str = ""
    finish_reason: str = ""
    sources: list[Source] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what is worth knowing about it


def place_of(config: Config, env: Mapping[str, str]) -> Place:
    """The proxy of `config`, or the one that `PROXY_URL` names; the key is `PROXY_KEY`."""
    named, key = env.get("PROXY_URL"), env.get("PROXY_KEY", "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("PROXY_KEY", None, "must be of ASCII letters, digits and signs")
    if named is None:
        listen = config.listen
        here = Address("127.0.0.1", listen.port) if listen.wildcard else listen
        return Place(f"http://{here}", key)
    url = named.rstrip("/").removesuffix("/v1").removesuffix("/openai")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ConfigError("PROXY_URL", None, "must be like http://127.0.0.1:8080")
    return Place(url, key)


class Asker:
    """Asks one proxy, of one model and collection ("" is what the proxy chooses)."""

    def __init__(
        self, place: Place, *, collection: str = "", model: str = "", patience_s: float = PATIENCE_S
    ) -> None:
        self.place = place
        self._model = model
        self._collection = collection
        self._headers = {"x-proxy-rag": collection} if collection else {}
        self._patience_s = patience_s

    async def ask(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        stream: bool = False,
        on_text: Callable[[str], None] = lambda _: None,
    ) -> Answer:
        """The whole answer; its text is also handed out as it comes. Raises `NotAnswered`."""
        if self._collection and not LABEL.fullmatch(self._collection):
            raise NotAnswered(f"{self._collection[:100]!r} cannot be the name of a collection")
        answer = Answer()
        try:
            async with self._client() as client:
                raw = await client.chat.completions.with_raw_response.create(
                    model=self._model or _unsaid(),
                    messages=[dict(each) for each in messages],  # type: ignore[misc]
                    stream=stream,
                    extra_headers=self._headers,
                    extra_body={"x_proxy": {"sources": True}},
                )
                answer.notes.extend(_notes(raw.headers))
                parsed: Any = await raw.parse()
                if stream:
                    async for chunk in parsed:
                        _take(answer, chunk, on_text)
                else:
                    _take(answer, parsed, on_text)
        except groq.APIStatusError as error:
            raise NotAnswered(_refusal(error)) from error
        except (groq.APITimeoutError, httpx.TimeoutException) as error:
            told = f"no answer from {self.place.url} within {_duration(self._patience_s)}"
            raise NotAnswered(told) from error
        except (groq.APIConnectionError, httpx.TransportError) as error:
            raise NotAnswered(self._cut(answer)) from error
        except groq.APIError as error:  # in the middle of a stream
            raise NotAnswered(one_line(error.message)) from error
        except _ODD as error:
            raise NotAnswered(f"what answers at {self.place.url} is no groq-proxy") from error
        if not answer.finish_reason:
            raise NotAnswered("the answer broke off")
        if answer.finish_reason == "length":
            answer.notes.append("the answer has reached its limit of tokens")
        return answer

    def _client(self) -> groq.AsyncGroq:
        host = urlsplit(self.place.url).hostname or ""
        timeout = groq.Timeout(self._patience_s, connect=min(_CONNECT_S, self._patience_s))
        return groq.AsyncGroq(
            base_url=self.place.url,
            api_key=self.place.key or _NOBODY,
            max_retries=0,  # the proxy has tried again already, and a wait is to be told
            timeout=timeout,
            # HTTP_PROXY and its like are for the way out, not for this machine.
            http_client=groq.DefaultAsyncHttpxClient(
                timeout=timeout, trust_env=host not in {"127.0.0.1", "::1", "localhost"}
            ),
        )

    def _cut(self, answer: Answer) -> str:
        if answer.text or answer.model:
            return "the connection broke before the answer was complete"
        return (
            f"nothing answers at {self.place.url}: start it with `groq-proxy serve`,"
            " or name another address by PROXY_URL"
        )


def _unsaid() -> Any:
    """What the SDK leaves out of a request, so that the proxy's own default fills it."""
    return groq.omit


def _take(answer: Answer, part: Any, on_text: Callable[[str], None]) -> None:
    """Take over what a chunk or a whole completion says."""
    answer.model = getattr(part, "model", "") or answer.model
    told = (part.model_extra or {}).get("x_proxy")
    if isinstance(told, Mapping):
        answer.sources.extend(_source(each) for each in told.get("sources") or ())
    for choice in part.choices[:1]:
        said = choice.delta if hasattr(choice, "delta") else choice.message
        text = plain((said.content if said else None) or "")
        answer.text += text
        answer.finish_reason = choice.finish_reason or answer.finish_reason
        if text:
            on_text(text)


def _source(told: Mapping[str, Any]) -> Source:
    collection, document, title = (
        plain(str(told.get(name) or "")) for name in ("collection", "document", "title")
    )
    score = told.get("score")
    return Source(collection, document, title, score if isinstance(score, int | float) else None)


def _notes(headers: Mapping[str, str]) -> Iterator[str]:
    """What the answer's headers say that its reader should know."""
    name, _, rest = headers.get("x-proxy-rag", "").partition(";")
    if "rag" in headers.get("x-proxy-degraded", "").replace(",", " ").split():
        yield "the documents are out of reach just now: this answer is without them"
    elif name and rest == "chunks=0":
        yield f"nothing in {name!r} fits this question: this answer is without documents"
    if headers.get("x-proxy-simulated") == "true":
        yield "this is the demo: a simulator answers, not Groq"


def _refusal(error: groq.APIStatusError) -> str:
    """One line for an answer that is an error, with what its reader can do."""
    body = error.body
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    message = inner.get("message") if isinstance(inner, Mapping) else None
    told = one_line(str(message)) if message else "no reason was given"
    if error.status_code == 401:
        told += " (PROXY_KEY is where `ask` takes it from)"
    if error.status_code == 429 and (wait := _wait(error.response.headers)):
        told += f"; it may be asked again in {wait}"
    return f"{error.status_code}: {told}"


def _wait(headers: Mapping[str, str]) -> str:
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return ""
    return _duration(seconds) if 0 <= seconds < math.inf else ""


def _duration(seconds: float) -> str:
    """`0.5 s`, `12 s`, `5 min 3 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{math.ceil(seconds)} s"
    whole = math.ceil(seconds)
    units = ((3_600, "h", 60, "min"), (60, "min", 1, "s"))
    size, unit, part, rest = units[0] if whole >= 3_600 else units[1]
    left = whole % size // part
    return f"{whole // size} {unit} {left} {rest}" if left else f"{whole // size} {unit}"


def plain(text: str) -> str:
    """`text` without what a terminal would obey: a model's words may come from anywhere."""
    return "".join(each for each in text if each in "\n\t" or not _is_control(each))


def one_line(text: str) -> str:
    """`text` as one printable line."""
    return " ".join(plain(text).split())


def _is_control(each: str) -> bool:
    return each < " " or "\x7f" <= each <= "\x9f"
