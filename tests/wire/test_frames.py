import tracemalloc
from collections import deque
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import BadAnswer
from proxy.wire.frames import DONE, MAX_EVENT_BYTES, Splitter, payloads
from tests.wire.sse import chunk, cuttings, event, split

ENDS = st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\n", "\r\n"]])  # CR before LF would be one end
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=12)
BOM = "\ufeff".encode()


@st.composite
def blocks(draw: st.DrawFn) -> tuple[list[str], tuple[bool, bytes] | None]:
    """The lines of one event, and what has to come out of it."""
    text = draw(TEXT)
    data = event({"choices": [], "t": text}).decode()[len("data: ") : -2]
    comment, error = [f": {draw(TEXT)}"], event({"error": text}).decode().strip()[len("data: ") :]
    return draw(
        st.sampled_from(
            [
                ([f"data: {data}"], (False, data.encode())),
                ([f"data:{data}"], (False, data.encode())),
                ([*comment, f"data: {data}", "id: 7"], (False, data.encode())),
                (["retry: 10", f"data: {data}"], (False, data.encode())),
                (["event: message", f"data: {data}"], (False, data.encode())),
                (["data: {", f"data: {data[1:]}"], (False, b"{ " + data[1:].encode())),
                (["event: error", f"data: {error}"], (True, error.encode())),
                (["data: [DONE]"], (False, b"[DONE]")),
                (["event: ping", 'data: {"type":"ping"}'], None),
                (comment, None),
                (["id: 7", "retry: 10"], None),
                (["data:"], None),
                (["data"], None),
                (["data: "], None),
                ([], None),
            ]
        )
    )


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[tuple[bool, bytes]]]:
    """An SSE stream in any of its spellings, and its events."""
    written = [draw(blocks()) for _ in range(draw(st.integers(1, 8)))]
    end = st.sampled_from(draw(ENDS))
    text = BOM if draw(st.booleans()) else b""
    for lines, _ in written:
        text += "".join(line + draw(end) for line in [*lines, ""]).encode()
    return text, [expected for _, expected in written if expected]


@given(st.data())
def test_a_stream_cut_at_any_byte_gives_the_same_events(data: st.DataObject) -> None:
    text, events = data.draw(streams())
    _, pieces = data.draw(cuttings(st.just(text)))

    assert payloads(split(pieces)) == events


@given(streams())
def test_only_data_lines_and_our_error_events_go_on(stream: tuple[bytes, object]) -> None:
    lines = split([stream[0]]).split(b"\n")

    assert all(line == b"event: error" or line.startswith(b"data: ") for line in lines if line)
    assert b"data: " not in lines


@given(st.lists(TEXT, min_size=1, max_size=6), st.booleans())
def test_the_fast_path_gives_what_the_slow_path_gives(texts: list[str], done: bool) -> None:
    run = b"".join(map(chunk, texts)) + (DONE if done else b"")
    fast, slow = Splitter(), Splitter()

    quick = fast.feed(run)
    careful = slow.feed(b": odd\n\n" + run)

    assert (fast.clean, slow.clean) == (True, False)
    assert quick == careful == run


@given(st.binary(max_size=200))
def test_the_fast_path_takes_no_bytes_that_the_slow_path_would_change(noise: bytes) -> None:
    for run in (noise + b"\n\n", b'data: {"a":1}\n\n' + noise + b"}\n\n"):
        splitter = Splitter()
        out = splitter.feed(run)

        if splitter.clean and out:
            assert Splitter().feed(b": odd\n\n" + out) == out


@given(cuttings(st.lists(st.sampled_from([BOM, b"\r", b"\n", b"data: {}", b":"])).map(b"".join)))
def test_even_line_noise_is_read_the_same_however_it_is_cut(
    cutting: tuple[bytes, list[bytes]],
) -> None:
    noise, pieces = cutting

    assert split(pieces) == split([noise])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_characters_of_many_bytes_survive_cuts_inside_them(end: str) -> None:
    text = f'data: {{"t":"héé 日本 🌍"}}{end}{end}'.encode()

    assert split([bytes([byte]) for byte in text]) == 'data: {"t":"héé 日本 🌍"}\n\n'.encode()


def test_an_event_is_given_as_soon_as_its_blank_line_is_in() -> None:
    splitter = Splitter()

    assert splitter.feed(b'data: {"a":1}\r\n') == b""
    assert splitter.feed(b"\r") == b""
    assert splitter.feed(b"\n") == b'data: {"a":1}\n\n'


def test_events_with_names_of_their_own_go_on_only_if_they_are_chunks() -> None:
    assert split([event({"type": "ping"}, "ping")]) == b""
    assert split([event({"choices": []}, "chunk")]) == event({"choices": []})


def test_a_last_event_without_its_blank_line_is_found_at_the_end() -> None:
    assert split([b'data: {"a":1}']) == b'data: {"a":1}\n\n'


def test_blocks_without_data_are_counted_until_one_has_some() -> None:
    splitter = Splitter()

    splitter.feed(b": ping\n\n: ping\n\n")
    assert splitter.silent == 2

    splitter.feed(b'data: {"a":1}\n\n')
    assert splitter.silent == 0


def test_an_event_of_the_largest_size_goes_through() -> None:
    longest = b'data: {"t":"' + b"x" * (MAX_EVENT_BYTES - 16) + b'"}\n\n'

    assert split([longest[:-2], longest[-2:]]) == longest


@pytest.mark.parametrize("start", [b'data: {"t":"', b": ", b"x"])
def test_an_endless_event_is_refused_with_bounded_memory(start: bytes) -> None:
    splitter, piece = Splitter(), b"x" * 65_536
    splitter.feed(start)

    tracemalloc.start()
    with pytest.raises(BadAnswer, match="event of more than"):
        deque(map(splitter.feed, repeat(piece, 1000)), maxlen=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 4 * MAX_EVENT_BYTES
