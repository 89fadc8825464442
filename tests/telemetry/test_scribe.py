import io
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.core.parcels import parcel
from proxy.core.redaction import Redactor
from proxy.telemetry.scribe import FILES, MOST_TEXT, Scribe, main, orders
from proxy.telemetry.transcript import told


def capture(**more: Any) -> dict[str, Any]:
    answer = more.pop("answer", '{"a": 1}')
    return {
        "request": {"q": "hello"},
        "form": "whole",
        "answer": answer,
        "answer_bytes": len(answer),
        "id": "x",
        **more,
    }


def test_a_full_file_is_moved_on_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    scribe = Scribe(path, Redactor(str), most_in_file=200)
    for number in range(40):
        scribe.write(capture(id=number))

    files = sorted(tmp_path.iterdir())
    assert len(files) == FILES
    assert all(each.stat().st_size <= 200 for each in files)
    assert orjson.loads(path.read_text().splitlines()[-1])["id"] == 39


def test_an_answer_that_was_too_long_to_look_at_loses_its_last_words(tmp_path: Path) -> None:
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "to ann@exam"}}]}\n\n'
    path = tmp_path / "c.jsonl"
    Scribe(path, Redactor(str)).write(
        capture(form="chat", answer=event.decode(), answer_bytes=10_000_000)
    )

    line = orjson.loads(path.read_text())
    assert line["answer"]["choices"][0]["content"] == "to"
    assert line["answer_cut"] is True


def test_what_is_long_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    Scribe(path, Redactor(str)).write(capture(request={"q": "x" * 200_000}))

    assert len(orjson.loads(path.read_text())["request"]) == MOST_TEXT


def test_each_capture_is_answered_for_and_a_bad_one_ends_nothing(tmp_path: Path) -> None:
    path, sink = tmp_path / "c.jsonl", io.BytesIO()
    parcels = [orders(path, {}, ()), orjson.dumps(capture()), b"{", orjson.dumps(capture())]
    main(io.BytesIO(b"".join(map(parcel, parcels)) + b"\0\0"), sink)

    assert sink.getvalue() == b"+-+"
    assert path.read_text().count("\n") == 2


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    sink = io.BytesIO()
    parcels = [orders(tmp_path / "no" / "c.jsonl", {}, ()), orjson.dumps(capture())]
    main(io.BytesIO(b"".join(map(parcel, parcels))), sink)

    assert sink.getvalue() == b"-"


@pytest.mark.parametrize(
    ("body", "form", "said"),
    [
        (b'{"a": 1}', "whole", {"a": 1}),
        (b"<html>", "whole", "<html>"),
        (b"data: 5\n\ndata: [DONE]\n\n: comment\n\n", "chat", {"choices": []}),
        (b'data: {"delta": "a"}\n\ndata: {"delta": "b"}\n\n', "events", {"output_text": "ab"}),
        (b'data: {"response": {"output": [1]}}\n\n', "events", {"output": [1]}),
        (
            b'data: {"choices": [{"delta": {"tool_calls": [{"function": {"name": "f",'
            b' "arguments": "{"}}]}}]}\n\ndata: {"choices": [{"delta": {"tool_calls": [{"function":'
            b' {"arguments": "}"}}]}, "finish_reason": "stop"}, 5], "id": "i"}\n\n',
            "chat",
            {
                "id": "i",
                "choices": [
                    {
                        "index": 0,
                        "tool_calls.0.name": "f",
                        "tool_calls.0.arguments": "{}",
                        "finish_reason": "stop",
                    }
                ],
            },
        ),
    ],
)
def test_what_was_sent_is_read_as_what_it_said(body: bytes, form: str, said: Any) -> None:
    assert told(body, form) == said


def test_ids_are_kept_whatever_their_digits_look_like(tmp_path: Path) -> None:
    path, card = tmp_path / "c.jsonl", "4111111111111111"
    ids = {"request_id": f"prx_681106fb{card}", "trace_id": card * 2}
    Scribe(path, Redactor(str)).write(capture(**ids, tenant=card))

    line = orjson.loads(path.read_text())
    assert {name: line[name] for name in ids} == ids
    assert card not in line["tenant"]
