"""Whole chat answers for tests, and streams that say the same in any way a provider might."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import strategies as st

from proxy.core.call import JsonObject
from proxy.wire.frames import DONE
from tests.wire.sse import cut, event

LETTERS = st.characters(codec="utf-8")
TEXT = st.text(LETTERS, max_size=40) | st.sampled_from(
    [
        "data: [DONE]\n\n",
        'event: error\ndata: {"error":1}',
        '"choices":[]',
        "\u2028\x00\ufeff",
        "👩‍👩‍👧 e\u0301 \U0001f600",
        "один два три " * 300,
        "€" * 1500,
        "x" * 5000,
        "word\n" * 1000,
    ]
)
NAME = st.text("abcdefgh_", min_size=1, max_size=12)
COUNT = st.integers(0, 10**6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT | st.just(0.5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=3),
    max_leaves=5,
)
REASONS = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "function_call"])
USAGE = st.fixed_dictionaries(
    {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT},
    optional={
        "queue_time": st.floats(0, 9),
        "completion_time": st.floats(0, 9),
        "prompt_tokens_details": st.fixed_dictionaries({"cached_tokens": COUNT}),
        "completion_tokens_details": st.none() | st.fixed_dictionaries({"reasoning_tokens": COUNT}),
    },
)
X_GROQ = st.fixed_dictionaries(
    {"id": st.just("req_01abc")},
    optional={"seed": COUNT, "usage": st.fixed_dictionaries({"dram_cached_tokens": COUNT})},
)
CALL = st.fixed_dictionaries(
    {
        "id": NAME,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": NAME, "arguments": TEXT}),
    },
    optional={"x_more": VALUES},
)
ANNOTATIONS = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("url_citation"), "url_citation": st.fixed_dictionaries({"url": TEXT})}
    ),
    max_size=2,
)
CALLS = st.lists(CALL, max_size=3)
MESSAGE = st.fixed_dictionaries(
    {"role": st.just("assistant")},
    optional={
        "content": st.none() | TEXT,
        "refusal": st.none() | TEXT,
        "reasoning": TEXT,
        "reasoning_content": TEXT,
        "annotations": ANNOTATIONS,
    },
)
ANSWER = st.fixed_dictionaries(
    {
        "id": st.just("chatcmpl-1"),
        "object": st.just("chat.completion"),
        "created": COUNT,
        "model": NAME,
        "usage": USAGE,
    },
    optional={
        "system_fingerprint": st.none() | NAME,
        "service_tier": st.none() | st.just("on_demand"),
        "usage_breakdown": st.none(),
        "x_groq": X_GROQ,
    },
)
UNKNOWN = st.dictionaries(NAME.map("x_{}".format), VALUES, max_size=2)
UNKNOWN_OF_MESSAGES = st.fixed_dictionaries(
    {}, optional={"executed_tools": st.lists(VALUES, max_size=2), "function_call": st.none()}
)


def token(text: bytes) -> JsonObject:
    """The logprob of one token, which may be a part of a character."""
    shown = text.decode("utf-8", "replace")
    return {"token": shown, "bytes": [*text], "logprob": -0.5, "top_logprobs": []}


@st.composite
def tokens_of(draw: st.DrawFn, text: str) -> list[JsonObject] | None:
    """Logprobs of `text`, cut anywhere; sometimes of another text, or none."""
    kind = draw(st.sampled_from(["right", "right", "other", "empty", "none"]))
    if kind in {"empty", "none"}:
        return [] if kind == "empty" else None
    said = text.encode() if kind == "right" else b"other"
    return [*map(token, cut(said, draw(st.lists(st.integers(0, len(said)), max_size=9))))]


@st.composite
def choices(draw: st.DrawFn, index: int, *, bare: bool) -> JsonObject:
    """One choice; a `bare` one has only what the SDK's types know."""
    message = draw(MESSAGE)
    if calls := draw(CALLS):
        message["tool_calls"] = calls
        if message.get("content") == "":  # which Groq leaves out
            del message["content"]
    choice = {"index": index, "message": message, "finish_reason": draw(REASONS)}
    beside = draw(st.sampled_from(["absent", "null", "told"]))
    if beside == "null":
        choice["logprobs"] = None
    elif beside == "told":
        texts = {key: message.get(key) or "" for key in ("content", "refusal")}
        choice["logprobs"] = {key: draw(tokens_of(text)) for key, text in texts.items()}
    if not bare:
        message |= draw(UNKNOWN_OF_MESSAGES) | draw(UNKNOWN)
        choice |= draw(UNKNOWN)
    return choice


@st.composite
def wholes(draw: st.DrawFn, *, bare: bool = False) -> JsonObject:
    """Whole answers, as providers give them and a little odder."""
    answer = draw(ANSWER)
    if not bare:
        answer |= draw(UNKNOWN)
    count = draw(st.integers(1, 3))
    return answer | {"choices": [draw(choices(index, bare=bare)) for index in range(count)]}


@st.composite
def tellings(draw: st.DrawFn, answer: JsonObject) -> list[bytes]:
    """Events of a stream that says `answer`: cut anywhere, its choices and calls interleaved."""
    head = {key: answer[key] for key in answer if key not in {"choices", "usage", "object"}}
    lanes = [lane for choice in answer["choices"] for lane in draw(_lanes(choice))]
    events = []
    while lanes:
        lane = draw(st.sampled_from(lanes))
        events.append({**head, "object": "chat.completion.chunk", "choices": [lane.pop(0)]})
        lanes = [each for each in lanes if each]
    events += [
        {**head, "choices": [{"index": each["index"], "delta": {}, "finish_reason": reason}]}
        for each in answer["choices"]
        for reason in [each["finish_reason"]]
    ]
    events.append({**head, "choices": [], "usage": answer["usage"]})
    return [*map(event, events), DONE]


@st.composite
def _lanes(draw: st.DrawFn, choice: JsonObject) -> list[list[JsonObject]]:
    """What comes in order: each text of a message, each of its calls; the rest is said at once."""
    message = dict(choice["message"])
    beside = {key: value for key, value in choice.items() if key != "message"}
    texts = [key for key in message if isinstance(message[key], str) and key != "role"]
    lanes = [[{key: piece} for piece in draw(_cuts(message.pop(key)))] for key in texts]
    for place, call in enumerate(message.pop("tool_calls", [])):
        pieces = draw(_cuts(call["function"]["arguments"]))
        first = {**call, "function": {**call["function"], "arguments": pieces[0]}, "index": place}
        more = [{"index": place, "function": {"arguments": piece}} for piece in pieces[1:]]
        lanes.append([{"tool_calls": [delta]} for delta in [first, *more]])
    said = [
        [{"index": choice["index"], "delta": delta, "finish_reason": None} for delta in lane]
        for lane in lanes
    ]
    return [[{**beside, "delta": message, "finish_reason": None}], *said]


@st.composite
def _cuts(draw: st.DrawFn, text: str) -> Sequence[str]:
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[a:b] for a, b in pairwise([0, *places, len(text)])]


@st.composite
def framings(draw: st.DrawFn, events: list[bytes]) -> list[bytes]:
    """`events` in frames that each hold one or several of them."""
    places = sorted(draw(st.lists(st.integers(0, len(events)), max_size=6)))
    frames = [b"".join(events[a:b]) for a, b in pairwise([0, *places, len(events)])]
    return [frame for frame in frames if frame]
