"""Every way in which the simulated Groq can fail: one table for scenarios, magic names and docs."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proxy.simulator.catalogue import Metric

Count = Annotated[int, Field(ge=0, le=1_000_000)]
Seconds = Annotated[float, Field(ge=0, le=1_000_000)]
Cut = Literal["reset", "eof", "clean_end"]


class Fault(BaseModel):
    """One fault, with the options that belong to it; `KINDS` says what each does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Annotated[int, Field(ge=200, le=599)] | None = None
    limit: Metric | None = None
    too_large: bool = False
    capacity: bool = False
    hang: bool = False
    reset: bool = False
    close: bool = False
    keepalive_close: bool = False
    slow_first_byte_s: Seconds | None = None
    cut_after_chunks: Count | None = None
    stall_after_chunks: Count | None = None
    error_event_after_chunks: Count | None = None
    no_done: bool = False
    after_done: bool = False
    comments: bool = False
    garbage: bool = False
    html: bool = False
    empty: bool = False
    no_choices: bool = False
    error_in_200: bool = False
    wrong_content_type: bool = False
    wrong_length: bool = False
    bad_chunk: bool = False
    gzip: bool = False
    gzip_bomb: bool = False
    huge_answer: Annotated[int, Field(ge=1, le=256)] | None = None
    huge_header: bool = False
    redirect: bool = False
    echo_key: bool = False

    # Options.
    as_html: bool = False
    code: str | None = None
    retry_after_s: Seconds | None = None
    how: Cut | None = None
    named: bool = True

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = self.model_fields_set
        kinds = [kind for kind in KINDS if self._has(kind)]
        if len(kinds) != 1:
            named = ", ".join(kind.name for kind in kinds) or "none"
            raise ValueError(f"a fault names exactly one kind, this one {named}")
        alien = sorted(given - {kind.name for kind in KINDS} - set(kinds[0].options))
        if alien:
            raise ValueError(f"{kinds[0].name} does not take {', '.join(alien)}")
        return self

    @property
    def kind(self) -> "FaultKind":
        """The row of the table that this fault is of."""
        return next(kind for kind in KINDS if self._has(kind))

    def _has(self, kind: "FaultKind") -> bool:
        value = getattr(self, kind.name)
        return value is not None and value is not False  # 0 is a value

    def __str__(self) -> str:
        value = getattr(self, self.kind.name)
        return self.kind.name if value is True else f"{self.kind.name}: {value}"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row of the table."""

    name: str  # the key in a scenario file
    says: str
    takes: str = ""  # what its value is; empty: true
    options: tuple[str, ...] = ()

    @property
    def magic(self) -> str:
        """The model name that asks for it: `sim/` and this."""
        if self.name == "limit":
            return "429-LIMIT"
        stem = self.name.removesuffix("_s").removesuffix("_chunks").replace("_", "-")
        return f"{stem}-{self.takes}" if self.takes else stem


KINDS: tuple[FaultKind, ...] = (
    FaultKind(
        "status",
        "answers this status with Groq's usual body; `as_html`: an HTML page as from the edge; "
        "`code`: the 400 with this code",
        "STATUS",
        ("as_html", "code", "retry_after_s"),
    ),
    FaultKind(
        "limit",
        "429 as if this limit (rpm, rpd, tpm, tpd, ash, asd) were used up; "
        "`retry_after_s`: the wait it names",
        "LIMIT",
        ("retry_after_s",),
    ),
    FaultKind("too_large", "413: the request can never fit the tokens per minute"),
    FaultKind("capacity", "498: no capacity on the flex tier"),
    FaultKind("hang", "reads the request and never answers"),
    FaultKind("reset", "resets the connection before any byte"),
    FaultKind("close", "closes the connection before any byte"),
    FaultKind(
        "keepalive_close",
        "answers well, then resets the connection when its next request arrives",
    ),
    FaultKind("slow_first_byte_s", "waits so long before the first byte", "SECONDS"),
    FaultKind(
        "cut_after_chunks",
        "sends K events of a stream (half of a whole answer) and cuts; `how`: reset, eof (default) "
        "or clean_end, which ends the HTTP body properly but without [DONE]",
        "K",
        ("how",),
    ),
    FaultKind(
        "stall_after_chunks", "sends K events (half of a whole answer), then nothing more", "K"
    ),
    FaultKind(
        "error_event_after_chunks",
        "sends K events, then an error event and the end; `named: false`: without `event: error`",
        "K",
        ("named",),
    ),
    FaultKind("no_done", "ends a stream after its finish reason, without [DONE]"),
    FaultKind("after_done", "sends more after [DONE]"),
    FaultKind(
        "comments",
        "dresses a stream in all that the format allows: comments, CRLF, `id:`, `retry:`, "
        "data over two lines",
    ),
    FaultKind("garbage", "sends what is not JSON; in a stream: one broken event"),
    FaultKind("html", "200 with an HTML page"),
    FaultKind("empty", "200 with no body"),
    FaultKind("no_choices", "an answer, or chunks, with an empty `choices`"),
    FaultKind("error_in_200", "status 200, but the body (or first event) is an error"),
    FaultKind("wrong_content_type", "a good answer called text/html"),
    FaultKind("wrong_length", "a Content-Length larger than the body, then the end"),
    FaultKind("bad_chunk", "half an answer, then broken chunked framing"),
    FaultKind("gzip", "a compressed body, though nobody asked for it"),
    FaultKind("gzip_bomb", "a small compressed body that unpacks to 64 MiB"),
    FaultKind("huge_answer", "an answer (or one event) of so many MiB", "MIB"),
    FaultKind("huge_header", "a header of 64 KiB"),
    FaultKind("redirect", "307 to another path"),
    FaultKind("echo_key", "400 whose message quotes the Authorization header"),
)
