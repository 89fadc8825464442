"""How long the audio in an upload may be, told from its first bytes while it passes unread.

A form says what it holds part by part, and the head of a WAV, MP3 or FLAC file says how fast it
plays. Nothing here raises for what a client sends: what cannot be read is not known. Money hangs on
it, and the provider reads the same form by rules of its own. So a form that two readers could read
differently cannot be read, and a file is believed to be short only where decoders must agree.
"""

import re
from dataclasses import dataclass, replace
from math import inf
from typing import Final

HEAD_BYTES: Final = 1 << 16  # of the file; and of the whole upload, before we stop waiting for it

_LOWEST_RATE: Final = 750  # bytes a second: 6 kbit/s, the least that speech is coded with
_USUAL_RATE: Final = 4_000  # 32 kbit/s, as recorders and messengers do
_HEADER_BYTES: Final = 8_192  # of one part
_VALUE_BYTES: Final = 1_024  # of one field
_MOST_PARTS: Final = 64  # each costs a copy of what was fed with it
_RAW_MP3: Final = 40_000  # 320 kbit/s, the most there is

_ONCE: Final = frozenset({"model", "url", "file"})  # of two, readers take the first or the last
_AS_IT_IS: Final = frozenset({b"7bit", b"8bit", b"binary"})

_FORM = re.compile(
    r'multipart/form-data(?:[ \t]*;[ \t]*[\w-]+=(?:"[^"\\]*"|[^\s;,"\\]+))+[ \t]*',
    re.IGNORECASE | re.ASCII,
)
_BOUNDARY = re.compile(
    r'(?<=[; \t])boundary=(?:"([!#-\[\]-~]{1,70})"|([!#-+\--:<-\[\]-~]{1,70}))(?![^ \t;])',
    re.IGNORECASE,
)
_LINE = re.compile(rb"([\w-]+):[ \t]*([^\r\n\0]*)")
# A quote behind a backslash ends the value for some readers, and not for others.
_VALUE = rb'(?:"(?:[^"\\]|\\[^"])*"|[^\s;"\\]+)'
_PARAMETER = re.compile(rb";[ \t]*(name|filename\*?)=(" + _VALUE + rb")[ \t]*", re.IGNORECASE)
_DISPOSITION = re.compile(
    rb"form-data[ \t]*(?:;[ \t]*(?:name|filename\*?)=" + _VALUE + rb"[ \t]*)+", re.IGNORECASE
)
_NAME = re.compile(rb"[!#$&-\[\]-~]{1,64}")  # no quote, backslash or % that someone may decode


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a file plays: a steady rate in bytes a second, or how long it says that it is.

    `most` is the rate in bytes a second that a file of its kind cannot be above. `sure` means that
    no decoder plays it longer; otherwise the figures are the file's own word.
    """

    rate: float | None = None
    seconds: float | None = None
    most: float = inf
    sure: bool = False

    def longest_s(self, size: int) -> float:
        """The longest that `size` bytes can play; never below `likely_s`."""
        likely = self.likely_s(size)
        return likely if self.sure else max(likely, size / _LOWEST_RATE)

    def likely_s(self, size: int) -> float:
        """How long `size` bytes probably play."""
        if self.seconds is not None:  # unless the file is too large for what it says
            return max(self.seconds, size / self.most)
        return size / (self.rate or _USUAL_RATE)


UNKNOWN_PACE: Final = Pace()


class AudioSniff:
    """Looks at a form as it passes: its short fields, and the head of its file.

    `ready` turns true when more bytes will hardly tell more. What comes behind the file is seen
    only when all of the form was fed: a `url` or a second `model` there, or what cannot be read,
    makes `seconds_bound` infinite at last.
    """

    def __init__(self, content_type: str) -> None:
        mark = _mark(content_type)
        self.fields: dict[str, str] = {}  # the short ones that were complete, named as written
        self._dashes = b"--" + mark
        self._rest = b"\r\n"  # the first delimiter has no line before it
        self._lost = not mark  # it cannot be read, or not any more
        self._done = False
        self._in_header = False
        self._name: str | None = None  # of the part that is passing; None for a file and before
        self._value = bytearray()
        self._file: bytearray | None = None
        self._file_ended = False
        self._files = 0
        self._seen: set[str] = set()  # of the names that may be there once
        self._parts = 0
        self._fed = 0
        self._pace: Pace | None = None

    @property
    def model(self) -> str:
        """The model that the form names; "" while it has not, and where it cannot be read."""
        return "" if self._lost else self.fields.get("model", "")

    @property
    def response_format(self) -> str:
        """The form of answer that is asked for; "" while none is."""
        return self.fields.get("response_format", "")

    @property
    def ready(self) -> bool:
        """Whether enough was fed."""
        head = self._file is not None and (len(self._file) >= HEAD_BYTES or self._file_ended)
        return self._lost or self._done or head or self._fed >= HEAD_BYTES

    def feed(self, data: bytes) -> None:
        """The next bytes of the form."""
        self._fed += len(data)
        if self._lost:
            return
        self._rest += data
        while not self._lost and self._step():
            pass
        if self._lost:
            self._rest = b""

    def seconds_bound(self, total_bytes: int) -> float:
        """The longest that the audio in a form of `total_bytes` can be.

        Infinite where the form cannot be read, has no file or names audio that lies elsewhere.
        """
        if self._lost or self._file is None or "url" in self._seen:
            return inf
        return self._heard().longest_s(total_bytes)

    def seconds_guess(self, total_bytes: int) -> float:
        """How long the audio in a form of `total_bytes` probably is."""
        return self._heard().likely_s(total_bytes)

    def _heard(self) -> Pace:
        """The file's pace; looked at anew while its head may still grow."""
        if self._file is None or self._files > 1:
            return UNKNOWN_PACE
        if self._pace is None or not self.ready:
            self._pace = pace_of(bytes(self._file))
        return self._pace

    def _step(self) -> bool:
        """Read on by a delimiter or a header; False when it takes more bytes."""
        if self._done:  # some read on behind the end, so there must be nothing
            self._lost = bool(self._rest.strip(b" \t\r\n"))
            self._rest = b""
            return False
        return self._read_header() if self._in_header else self._read_content()

    def _read_content(self) -> bool:
        at = self._rest.find(self._dashes)
        if at < 0:  # a part of the delimiter may be at the end, and the line end before it
            safe = max(0, len(self._rest) - len(self._dashes) - 1)
            self._keep(self._rest[:safe])
            self._rest = self._rest[safe:]
            return False
        if self._rest[max(0, at - 2) : at] != b"\r\n":  # to some a delimiter, to others content
            self._lost = True
            return False
        self._keep(self._rest[: at - 2])
        self._close_part()
        self._rest = self._rest[at + len(self._dashes) :]
        self._in_header = True
        return True

    def _read_header(self) -> bool:
        if len(self._rest) < 2:
            return False
        if self._rest.startswith(b"--"):
            self._rest = self._rest[2:]
            self._done = True
            return True
        end = self._rest.find(b"\r\n\r\n")
        too_long = end > _HEADER_BYTES or (end < 0 and len(self._rest) > _HEADER_BYTES + 3)
        if too_long or not self._rest.startswith(b"\r\n"):
            self._lost = True
            return False
        if end < 0:
            return False
        header = self._rest[2:end]
        self._rest = self._rest[end + 4 :]
        self._in_header = False
        self._open_part(header)
        return True

    def _open_part(self, header: bytes) -> None:
        self._parts += 1
        told = _named(header)
        if told is None or self._parts > _MOST_PARTS:
            self._lost = True
            return
        name, is_file = told
        if name in _ONCE:
            # A `model` or a `url` that is a file counts for some, and is none for others.
            self._lost = name in self._seen or (is_file and name != "file")
            self._seen.add(name)
        if is_file or name == "file":
            self._files += 1
            if self._file is None:
                self._file = bytearray()
        else:
            self._name = name

    def _keep(self, content: bytes) -> None:
        if self._name is not None:
            self._value += content[: _VALUE_BYTES - len(self._value)]
        elif self._file is not None and self._files == 1 and not self._file_ended:
            self._file += content[: HEAD_BYTES - len(self._file)]

    def _close_part(self) -> None:
        if self._name is not None:
            text = bytes(self._value).decode("utf-8", "replace").strip()
            self.fields.setdefault(self._name, text)
        elif self._file is not None:
            self._file_ended = True
        self._name, self._value = None, bytearray()


def _mark(content_type: str) -> bytes:
    """The boundary of a form; nothing unless it is stated once, whoever looks for it."""
    found = _BOUNDARY.search(content_type)
    once = content_type.lower().count("boundary=") == 1
    if found is None or not once or not _FORM.fullmatch(content_type):
        return b""
    return (found[1] or found[2]).encode()


def _named(header: bytes) -> tuple[str, bool] | None:
    """A part's name, and whether it is a file; None where that, or its content, is in doubt."""
    lines: dict[bytes, bytes] = {}
    for each in header.split(b"\r\n"):
        line = _LINE.fullmatch(each)
        if line is None or line[1].lower() in lines:
            return None
        lines[line[1].lower()] = line[2].rstrip(b" \t")
    disposition = lines.get(b"content-disposition", b"")
    coding = lines.get(b"content-transfer-encoding", b"binary").lower()
    nested = lines.get(b"content-type", b"").lower().startswith(b"multipart/")
    if nested or coding not in _AS_IT_IS or not _DISPOSITION.fullmatch(disposition):
        return None
    stated = [(name.lower(), value.strip(b'"')) for name, value in _PARAMETER.findall(disposition)]
    told = dict(stated)
    name = told.get(b"name", b"")
    if len(told) < len(stated) or not _NAME.fullmatch(name):
        return None
    return name.decode(), b"filename" in told or b"filename*" in told


def pace_of(head: bytes) -> Pace:
    """How fast the file plays that begins with `head`."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _wav(head)
    if head[:4] == b"fLaC":
        return _flac(head)
    return _mp3(head)


# What a WAV file is believed to hold, as code and bits of a sample: PCM, float, A-law, mu-law.
_PLAIN: Final = frozenset({(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64), (6, 8), (7, 8)})
_EXTENSIBLE: Final = 0xFFFE  # the format stands elsewhere, and may be any
_MOST_HERTZ: Final = 192_000
_MOST_CHANNELS: Final = 8
# Chunks that say nothing of the format; others may take the place of `fmt `.
_ASIDES: Final = frozenset(
    {b"LIST", b"JUNK", b"junk", b"FLLR", b"PAD ", b"bext", b"fact", b"PEAK", b"cue "}
)


def _wav(head: bytes) -> Pace:
    """By the `fmt ` chunk; sure only where it is the one word on the format before the sound."""
    pace, alone, at = None, True, 12
    while len(head) >= at + 8:
        name, size = head[at : at + 4], _little(head, at + 4, 4)
        if name == b"data":
            break
        if name == b"fmt " and pace is None:
            pace = _wav_pace(head[at + 8 : at + 8 + size])
        elif name not in _ASIDES:
            alone = False
        at += 8 + size + size % 2
    else:
        alone = False  # there may be more to come
    pace = pace or UNKNOWN_PACE
    return pace if alone else replace(pace, sure=False)


def _wav_pace(form: bytes) -> Pace:
    """By the content of a `fmt ` chunk; some decoders go by one of its rates, some by another."""
    if len(form) < 16:
        return UNKNOWN_PACE
    code, channels, hertz = _little(form, 0, 2), _little(form, 2, 2), _little(form, 4, 4)
    stated, block, bits = _little(form, 8, 4), _little(form, 12, 2), _little(form, 14, 2)
    rate = hertz * channels * bits / 8
    if not rate or code not in {_EXTENSIBLE, *(plain for plain, _ in _PLAIN)}:
        return UNKNOWN_PACE
    agreed = block * 8 == channels * bits and stated == hertz * block and len(form) <= 18
    usual = hertz <= _MOST_HERTZ and channels <= _MOST_CHANNELS
    return Pace(rate=rate, sure=(code, bits) in _PLAIN and agreed and usual)


def _flac(head: bytes) -> Pace:
    """By the STREAMINFO block, which is the first one."""
    if len(head) < 42 or head[4] & 0x7F:
        return UNKNOWN_PACE
    packed = int.from_bytes(head[18:26], "big")  # 20, 3, 5 and 36 bits
    rate, channels = packed >> 44, (packed >> 41 & 7) + 1
    bits, samples = (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
    if not rate or not samples:
        return UNKNOWN_PACE
    return Pace(seconds=samples / rate, most=rate * channels * bits / 8)


_MP3_KBITS = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5, layer III
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1, layer III
)
_MP3_HERTZ = (44_100, 48_000, 32_000)
_MP3_VERSIONS = {0: 4, 2: 2, 3: 1}  # the bits of the version: by what the sampling rate is divided


@dataclass(frozen=True, slots=True)
class _Mp3Frame:
    size: int
    bytes_a_second: int
    seconds: float
    tag_at: int  # where a table of the file's own may stand


def _mp3(head: bytes) -> Pace:
    """By the frames in the head, or by the table that files of varying rates begin with."""
    at = _behind_id3(head)
    first = _mp3_frame(head, at)
    if first is None:
        return UNKNOWN_PACE
    tag = head[at + first.tag_at : at + first.tag_at + 12]
    if tag[:4] == b"Xing" and len(tag) == 12 and tag[7] & 1:
        frames = int.from_bytes(tag[8:12], "big")
        return Pace(seconds=frames * first.seconds, most=_RAW_MP3) if frames else UNKNOWN_PACE
    rates = set()
    if tag[:4] == b"Info":  # a table again, in a frame that may have a rate of its own
        at += first.size
    while (frame := _mp3_frame(head, at)) is not None:
        rates.add(frame.bytes_a_second)
        at += frame.size
    behind = head[at : at + 4]
    whole = len(behind) < 4 or behind.startswith(b"TAG")  # as far as we can see
    # Where rates differ, the rest of the file is anybody's guess.
    return Pace(rate=rates.pop()) if len(rates) == 1 and whole else UNKNOWN_PACE


def _behind_id3(head: bytes) -> int:
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _mp3_frame(head: bytes, at: int) -> _Mp3Frame | None:
    if len(head) < at + 4:
        return None
    word = int.from_bytes(head[at : at + 4], "big")
    divisor = _MP3_VERSIONS.get(word >> 19 & 3)
    index, hertz = word >> 12 & 15, word >> 10 & 3
    layer_three = word >> 17 & 3 == 1
    if word >> 21 != 0x7FF or divisor is None or not layer_three or index in {0, 15} or hertz == 3:
        return None
    newest = divisor == 1
    bits = _MP3_KBITS[newest][index - 1] * 1_000
    sampling = _MP3_HERTZ[hertz] // divisor
    samples = 1_152 if newest else 576
    mono = word >> 6 & 3 == 3
    side = (17 if mono else 32) if newest else (9 if mono else 17)
    size = samples // 8 * bits // sampling + (word >> 9 & 1)
    return _Mp3Frame(size, bits // 8, samples / sampling, 4 + side)


def _little(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")
