"""GET and POST /batches: work from a file, done into another while the clock goes on.

Nothing runs in the background. A batch knows when each of its states begins; whoever asks later
sees it further.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.simulator import shape
from proxy.simulator.chat import ChatDesk
from proxy.simulator.clock import Clock
from proxy.simulator.files import FileStore
from proxy.simulator.ids import Ids
from proxy.simulator.problems import Problem, bad, not_found
from proxy.simulator.reply import Arrival, Reply, whole

ENDPOINT = "/v1/chat/completions"
VALIDATING_S = 2.0
LINE_S = 0.5
FINALIZING_S = 1.0
MOST_LINES = 10_000
MOST_BATCHES = 200

_PROPERTIES: dict[str, shape.Check] = {
    "input_file_id": shape.string,
    "endpoint": shape.one_of(ENDPOINT),
    "completion_window": shape.string,
    "metadata": shape.mapping,
}


@dataclass(slots=True)
class Batch:
    """One batch: what is to be done, and what has been written."""

    id: str
    org: str
    input_file_id: str
    window: str
    window_s: int
    metadata: Any
    created: float
    lines: list[dict[str, Any]]
    mistakes: list[dict[str, Any]]
    cancelled: float | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    failed_lines: int = 0
    written: bool = field(default=False)

    @property
    def finalizing(self) -> float:
        """The moment when all lines are done."""
        return self.created + VALIDATING_S + max(1.0, LINE_S * len(self.lines))

    def status(self, now: float) -> str:
        """Give the state that the batch is in by now."""
        if self.cancelled is not None:
            return "cancelled" if now >= self.cancelled + FINALIZING_S else "cancelling"
        if now < self.created + VALIDATING_S:
            return "validating"
        if self.mistakes:
            return "failed"
        if now < self.finalizing:
            return "in_progress"
        return "completed" if now >= self.finalizing + FINALIZING_S else "finalizing"

    def shown(self, now: float) -> dict[str, Any]:
        """Give the batch object."""
        status = self.status(now)
        done = len(self.lines) if status == "completed" else 0
        began = self.created + VALIDATING_S
        reached = {
            "in_progress_at": began if not self.mistakes else None,
            "failed_at": began if status == "failed" else None,
            "finalizing_at": self.finalizing if status in {"finalizing", "completed"} else None,
            "completed_at": self.finalizing + FINALIZING_S if status == "completed" else None,
            "cancelling_at": self.cancelled,
            "cancelled_at": None if self.cancelled is None else self.cancelled + FINALIZING_S,
            "expired_at": None,
        }
        shown_errors = {"object": "list", "data": self.mistakes} if status == "failed" else None
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": ENDPOINT,
            "errors": shown_errors,
            "input_file_id": self.input_file_id,
            "completion_window": self.window,
            "status": status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": int(self.created),
            "expires_at": int(self.created) + self.window_s,
            "request_counts": {
                "total": len(self.lines),
                "completed": done - self.failed_lines if done else 0,
                "failed": self.failed_lines,
            },
            "metadata": self.metadata,
            **{name: _moment(at, now) for name, at in reached.items()},
        }


class BatchDesk:
    """Takes batches in and does their work when somebody asks for the result."""

    def __init__(self, chat: ChatDesk, files: FileStore, clock: Clock, ids: Ids) -> None:
        self._chat = chat
        self._files = files
        self._clock = clock
        self._ids = ids
        self._batches: OrderedDict[str, Batch] = OrderedDict()

    def reply(self, arrival: Arrival) -> Reply:
        """Answer one request."""
        now = self._clock.now()
        if not arrival.item:
            if arrival.method == "POST":
                return whole(200, self._created(arrival, now).shown(now))
            mine = [b for b in reversed(self._batches.values()) if b.org == arrival.org]
            return whole(200, {"object": "list", "data": [self._seen(b, now) for b in mine]})
        batch = self._batches.get(arrival.item)
        if batch is None or batch.org != arrival.org:
            raise not_found("Batch", arrival.item)
        if arrival.action:
            if batch.status(now) not in {"validating", "in_progress", "finalizing"}:
                raise bad(f"Batch `{batch.id}` is {batch.status(now)} and cannot be cancelled.")
            batch.cancelled = now
        return whole(200, self._seen(batch, now))

    def _seen(self, batch: Batch, now: float) -> dict[str, Any]:
        if batch.status(now) == "completed" and not batch.written:
            self._write(batch)
        return batch.shown(now)

    def _created(self, arrival: Arrival, now: float) -> Batch:
        asked = arrival.fields
        shape.fields(asked, _PROPERTIES, ("input_file_id", "endpoint", "completion_window"))
        stored = self._files.get(arrival.org, asked["input_file_id"])
        if stored is None:
            raise not_found("File", asked["input_file_id"])
        lines, mistakes = _read_lines(stored.data)
        batch = Batch(
            id=self._ids.short("batch_"),
            org=arrival.org,
            input_file_id=stored.id,
            window=asked["completion_window"],
            window_s=_window_s(asked["completion_window"]),
            metadata=asked.get("metadata"),
            created=now,
            lines=lines,
            mistakes=mistakes,
        )
        self._batches[batch.id] = batch
        if len(self._batches) > MOST_BATCHES:
            self._batches.popitem(last=False)
        return batch

    def _write(self, batch: Batch) -> None:
        """Answer every line and put the results into files."""
        good: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for line in batch.lines:
            result = self._result(batch, line)
            (good if result["response"]["status_code"] == 200 else failed).append(result)
        for name, results in (("output", good), ("error", failed)):
            if results:
                data = b"".join(orjson.dumps(result) + b"\n" for result in results)
                stored = self._files.put(
                    batch.org, f"{batch.id}_{name}.jsonl", data, "batch_output"
                )
                setattr(batch, f"{name}_file_id", stored.id)
        batch.failed_lines = len(failed)
        batch.written = True

    def _result(self, batch: Batch, line: dict[str, Any]) -> dict[str, Any]:
        request_id = self._ids.short("req_")
        body = {name: value for name, value in line["body"].items() if name != "stream"}
        arrival = Arrival("POST", ENDPOINT, batch.org, request_id, body, bare=True)
        try:
            reply = self._chat.reply(arrival)
            status, answer = reply.status, orjson.loads(reply.pieces[0].data)
        except Problem as problem:
            status, answer = problem.status, {"error": problem.error}
        return {
            "id": self._ids.short("batch_req_"),
            "custom_id": line["custom_id"],
            "response": {"status_code": status, "request_id": request_id, "body": answer},
            "error": None,
        }


def _read_lines(data: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Give the requests of an input file, and what is wrong with the lines that are none."""
    lines: list[dict[str, Any]] = []
    mistakes: list[dict[str, Any]] = []
    rows = data.splitlines()
    if len(rows) > MOST_LINES:
        why = f"the file has more than {MOST_LINES} lines"
        return [], [{"code": "too_many_lines", "line": MOST_LINES + 1, "message": why}]
    for number, raw in enumerate(rows, start=1):
        if raw.strip():
            line, why = _read_line(raw)
            if line is None:
                mistakes.append({"code": "invalid_request", "line": number, "message": why})
            else:
                lines.append(line)
    if not lines and not mistakes:
        mistakes.append({"code": "empty_file", "line": 1, "message": "the file has no requests"})
    return lines, mistakes


def _read_line(raw: bytes) -> tuple[dict[str, Any] | None, str]:
    try:
        line = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None, "the line is not JSON"
    if not isinstance(line, dict) or not isinstance(line.get("custom_id"), str):
        return None, "the line has no custom_id"
    if line.get("method") != "POST" or line.get("url") != ENDPOINT:
        return None, f"method and url must be POST and {ENDPOINT}"
    return (line, "") if isinstance(line.get("body"), dict) else (None, "the line has no body")


def _window_s(window: str) -> int:
    match = re.fullmatch(r"(\d{1,3})([hd])", window)
    seconds = int(match[1]) * {"h": 3_600, "d": 86_400}[match[2]] if match else 0
    if not 86_400 <= seconds <= 7 * 86_400:
        raise shape.wrong("completion_window", "must be from `24h` to `7d`")
    return seconds


def _moment(at: float | None, now: float) -> int | None:
    return int(at) if at is not None and at <= now else None
