"""Nothing that a client sends makes the simulator fail: no 500, no traceback."""

import json
import logging
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from proxy.simulator import app as app_module
from proxy.simulator import forms
from proxy.simulator.app import Simulator
from proxy.simulator.catalogue import Metric
from proxy.simulator.checks import _PROPERTIES
from proxy.simulator.clock import VirtualClock
from proxy.simulator.problems import Problem
from proxy.simulator.reply import Arrival
from proxy.simulator.scenario import Endpoint
from proxy.simulator.settings import SimulatorSettings
from tests.simulator.conftest import MODEL, Town, opened

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        [MODEL, "qwen/qwen3.8-27b", "sim/echo", "sim/status-503", "sim/comments", "user", "tool",
         "assistant", "text", "function", "json_schema", "auto", "required", "high", "none"]
    ),
)  # fmt: skip
NAMES = st.sampled_from(
    ["role", "content", "type", "text", "image_url", "url", "function", "name", "arguments",
     "parameters", "properties", "tool_calls", "id", "schema", "json_schema", "include_usage",
     "format", "effort", "call_id", "output", "document", "data", "tool_call_id", "reasoning"]
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "assistant", "tool", "function"]) | JSON},
    optional={"content": JSON, "tool_calls": JSON, "tool_call_id": JSON, "name": JSON},
)
ANY_CHAT = st.fixed_dictionaries(
    {"model": st.just(MODEL) | SCALARS, "messages": st.lists(MESSAGE, max_size=4) | JSON},
    optional={name: JSON for name in _PROPERTIES if name not in {"model", "messages"}},
)
GOOD_MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system"]), "content": st.text(max_size=30)}
)
# One odd field in an otherwise good request reaches deeper than many at once.
ODD_CHAT = st.builds(
    lambda messages, name, value: {"model": MODEL, "messages": messages, name: value},
    st.lists(GOOD_MESSAGE, min_size=1, max_size=3),
    st.sampled_from(sorted(_PROPERTIES)),
    JSON | st.lists(JSON, max_size=3),
)
ANY_OTHER = st.dictionaries(
    st.sampled_from(
        ["model", "input", "instructions", "text", "reasoning", "tools", "stream", "voice", "file",
         "url", "response_format", "encoding_format", "sample_rate", "speed", "purpose",
         "input_file_id", "endpoint", "completion_window", "max_output_tokens", "tool_choice"]
    ),
    JSON | st.just(MODEL) | st.just("whisper-large-v3"),
    max_size=6,
)  # fmt: skip


def answered(simulator: Simulator, endpoint: Endpoint, fields: dict[str, Any]) -> int:
    """Ask an endpoint without sockets; what is no `Problem` fails the test."""
    # What cannot be written as JSON cannot arrive as JSON.
    read = forms.read(json.dumps(fields).encode(), "application/json")
    arrival = Arrival("POST", "/x", "demo", "req_x", *read)
    try:
        return simulator._answered(endpoint, arrival).status
    except Problem as problem:
        return problem.status


EXAMPLES = 300 if os.environ.get("SOAK") else 80


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    unlimited: dict[str, None] = dict.fromkeys(Metric)
    return Simulator(SimulatorSettings(limits={"*": unlimited}), clock=VirtualClock(auto=True))


@settings(max_examples=EXAMPLES, deadline=None)
@given(fields=ANY_CHAT | ODD_CHAT)
def test_any_chat_is_answered_or_refused(simulator: Simulator, fields: dict[str, Any]) -> None:
    assert answered(simulator, Endpoint.CHAT, fields) in {200, 400, 404}


@settings(max_examples=EXAMPLES, deadline=None)
@given(endpoint=st.sampled_from(Endpoint), fields=ANY_OTHER)
def test_any_other_request_is_answered_or_refused(
    simulator: Simulator, endpoint: Endpoint, fields: dict[str, Any]
) -> None:
    assert answered(simulator, endpoint, fields) in {200, 400, 404}


KINDS = ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=x",
         "application/x-www-form-urlencoded"]  # fmt: skip


@given(body=st.binary(max_size=300), kind=st.sampled_from(KINDS))
def test_any_body_is_read_or_refused(body: bytes, kind: str) -> None:
    fields, _, wrong = forms.read(body, kind)

    assert not (wrong and fields)


@given(parts=st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=50)), max_size=4))
def test_forms_come_out_as_they_went_in(parts: list[tuple[str, bytes]]) -> None:
    sent = {f"f{n}": data for n, (_, data) in enumerate(parts) if b"--frontier" not in data}
    body = b"".join(
        b"--frontier\r\nContent-Disposition: form-data; "
        + f'name="{name}"; filename="a"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in sent.items()
    )
    if sent:
        _, uploads, wrong = forms.read(
            body + b"--frontier--\r\n", "multipart/form-data; boundary=frontier"
        )
        assert wrong is None
        assert {name: upload.data for name, upload in uploads.items()} == sent


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-encoding": "gzip"}, b"not gzip"),
        ({"content-type": "multipart/form-data"}, b"x"),
        ({"content-type": "multipart/form-data; boundary="}, b"x"),
        ({"authorization": "Bearer gsk_\xff_1"}, b"{}"),
        ({"authorization": "gsk_x"}, b"{}"),
        ({}, b'{"model": "\\ud800", "messages": []}'),
        ({}, b'{"model": "a", "n": ' + b"9" * 400 + b"}"),
    ],
)
@pytest.mark.parametrize("path", ["/chat/completions", "/audio/transcriptions", "/files"])
async def test_odd_requests_over_the_wire(
    town: Town, path: str, headers: dict[str, str], body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        status, _, _ = await town.post(path, body, **headers)

    assert 400 <= status < 500
    assert not caplog.records


@pytest.mark.parametrize("path", ["/%80", "/%00", "/openai/v1/models/%ED%A0%80", "/%2F..%2F", "/*"])
async def test_odd_paths_are_a_404(town: Town, path: str) -> None:
    url = URL(town.simulator.origin + path, encoded=True)
    async with town.http.get(url, headers={"authorization": "Bearer gsk_x"}) as answer:
        assert answer.status == 404
        assert "error" in await answer.json()


async def test_a_body_beyond_the_bound_is_a_413(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "LARGEST_BODY", 1_000)
    async with opened() as town:
        status, _, _ = await town.post("/chat/completions", b"x" * 2_000)

    assert status == 413
