"""SSE bytes, cut into runs of whole events.

An event ends at a blank line; lines end at CR, LF or CRLF; a read may end anywhere, also inside a
character. What goes on to a client is made of `data:` lines only, besides `event: error`: SDKs in
the field fail on `id:` or `retry:` lines before a comment, on empty `data:` and on events with
names of their own.
"""

from proxy.core.errors import BadAnswer

MAX_EVENT_BYTES = 1 << 20
DONE = b"data: [DONE]\n\n"
_BOM = b"\xef\xbb\xbf"


class Splitter:
    """Collects bytes and gives back whole events as they get complete.

    `clean` tells of the run given last that it holds nothing but `data: {...}` events, one line
    each, as they came, and perhaps `[DONE]` at its end. `silent` counts the blocks without data
    since the last one with data.
    """

    __slots__ = ("_rest", "clean", "silent")

    def __init__(self) -> None:
        self._rest = b""
        self.clean = True
        self.silent = 0

    def feed(self, data: bytes) -> bytes:
        """The whole events that `data` completes, b"" when there are none."""
        if self._rest:
            data = self._rest + data
        half = b""
        if b"\r" in data:
            if data.endswith(b"\r"):  # perhaps half of a CRLF
                data, half = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            self._keep(data + half)
            return b""
        run = data
        if end == len(data):
            self._rest = half
        else:
            run = data[:end]
            self._keep(data[end:] + half)
        self.clean = _is_clean(run)
        if self.clean:
            self.silent = 0
            return run
        return self._normalise(run)

    def flush(self) -> bytes:
        """What is left at the end of the stream, if a blank line would have made an event of it."""
        rest, self._rest = self._rest.rstrip(b"\r\n"), b""
        self.clean = False
        return self._normalise(rest.replace(b"\r", b"\n")) if rest else b""

    def _keep(self, rest: bytes) -> None:
        if len(rest) > MAX_EVENT_BYTES:
            raise BadAnswer(f"the provider sent an event of more than {MAX_EVENT_BYTES} bytes")
        self._rest = rest

    def _normalise(self, run: bytes) -> bytes:
        """The events of `run`, each as one `data:` line; comments and other fields are left out."""
        events = []
        if run and not run.strip(b"\n"):
            self.silent += 1
        for block in run.split(b"\n\n"):
            name, data = _fields(block)
            if not data or (name not in {b"", b"message", b"error"} and b'"choices"' not in data):
                self.silent += bool(block)
                continue
            self.silent = 0
            prefix = b"event: error\ndata: " if name == b"error" else b"data: "
            events.append(prefix + data + b"\n\n")
        return b"".join(events)


def _is_clean(run: bytes) -> bool:
    """Whether a run is as most are: `data: {...}` events of one line, then perhaps `[DONE]`."""
    run = run.removesuffix(DONE)
    if not run:
        return True
    # Every line end belongs to a border between two events or to the end.
    borders = run.count(b"}\n\ndata: {")
    return (
        run.startswith(b"data: {")
        and run.endswith(b"}\n\n")
        and run.count(b"\n") == 2 * (borders + 1)
    )


def _fields(block: bytes) -> tuple[bytes, bytes]:
    """Name and data of one event. Lines of data are joined by a space: the same to JSON."""
    name, data = b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        field = field.removeprefix(_BOM)  # only the first line has one, but cuts hide which it is
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip()
    return name, b" ".join(data).strip()


def payloads(run: bytes) -> list[tuple[bool, bytes]]:
    """(is it an `error` event, its data) for each event of a run that `Splitter` gave."""
    events = []
    for block in run.split(b"\n\n"):
        if block:
            failed = block.startswith(b"event: error\n")
            events.append((failed, block.removeprefix(b"event: error\n").removeprefix(b"data: ")))
    return events


def with_comment(frame: bytes, text: bytes) -> bytes:
    """The last frame of a stream, with an SSE comment before its `[DONE]`."""
    if not frame.endswith(DONE):
        return frame
    return frame.removesuffix(DONE) + b": " + text + b"\n\n" + DONE
