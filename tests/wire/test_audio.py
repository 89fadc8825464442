import io
import struct
import wave
from itertools import pairwise
from math import inf
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.wire.audio import HEAD_BYTES, UNKNOWN_PACE, AudioSniff, Pace, pace_of

KIND = "multipart/form-data; boundary=xyz"


def part(name: str, content: bytes | str, more: str = "") -> bytes:
    text = content.encode() if isinstance(content, str) else content
    head = f'--xyz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + text + b"\r\n"


def file(content: bytes, name: str = "file") -> bytes:
    return part(name, content, '; filename="a.bin"\r\nContent-Type: audio/wav')


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xyz--\r\n"


def sniffed(*pieces: bytes, kind: str = KIND) -> AudioSniff:
    sniff = AudioSniff(kind)
    for piece in pieces:
        sniff.feed(piece)
    return sniff


def a_wav(seconds: float, rate: int = 16_000, channels: int = 1, width: int = 2) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(b"\0" * int(seconds * rate) * channels * width)
    return out.getvalue()


def a_header(
    code: int = 1,
    channels: int = 1,
    hertz: int = 16_000,
    bits: int = 16,
    block: int | None = None,
    byte_rate: int | None = None,
    more: bytes = b"",
) -> bytes:
    """A WAV file up to its sound; its figures agree where no other is given."""
    block = channels * bits // 8 if block is None else block
    byte_rate = hertz * block if byte_rate is None else byte_rate
    form = struct.pack("<HHIIHH", code, channels, hertz, byte_rate, block, bits) + more
    head = b"RIFF\0\0\0\0WAVEfmt " + len(form).to_bytes(4, "little") + form
    return head + b"data\xff\xff\xff\xff"


def an_mp3(kbits: list[int], tag: bytes = b"") -> bytes:
    """Frames of MPEG 1, layer III, mono, 44.1 kHz, one for each rate."""
    indexes = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    frames = []
    for each in kbits:
        header = bytes([0xFF, 0xFB, (indexes.index(each) + 1) << 4, 0xC0])
        frames.append(header.ljust(144 * each * 1_000 // 44_100, b"\0"))
    if tag:
        frames[0] = frames[0][:21] + tag + frames[0][21 + len(tag) :]
    return b"".join(frames)


def a_flac(samples: int, rate: int = 16_000, channels: int = 1, bits: int = 16) -> bytes:
    packed = rate << 44 | channels - 1 << 41 | bits - 1 << 36 | samples
    block = bytes(10) + packed.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + b"\x80\0\0\x22" + block


def test_the_short_fields_are_read_wherever_they_stand() -> None:
    data = form(
        part("model", "whisper-large-v3"),
        file(b"\0" * 200_000),
        part("response_format", " verbose_json "),
    )

    sniff = sniffed(data)

    assert sniff.model == "whisper-large-v3"
    assert sniff.response_format == "verbose_json"


@given(st.data())
@example(None)
def test_a_form_cut_at_any_bytes_tells_the_same(data: st.DataObject | None) -> None:
    whole = form(part("model", "m"), file(a_wav(0.5)), part("language", "\r\n--xy\r\n-"))
    cuts = [*range(len(whole) + 1)]
    if data is not None:
        places = st.lists(st.integers(0, len(whole)), max_size=8)
        cuts = sorted({0, *data.draw(places), len(whole)})

    sniff = sniffed(*(whole[one:next_] for one, next_ in pairwise(cuts)))

    assert sniff.fields == {"model": "m", "language": "--xy\r\n-"}
    assert sniff.ready
    assert sniff.seconds_bound(16_044) == 16_044 / 32_000


def test_it_is_ready_with_the_head_of_the_file() -> None:
    sniff = sniffed(part("model", "m"))
    assert not sniff.ready
    assert sniff.seconds_bound(100) == inf  # no file until now

    sniff.feed(file(b"")[:-2])
    assert not sniff.ready

    sniff.feed(b"\0" * HEAD_BYTES)
    assert sniff.ready


def test_waiting_ends_where_a_file_never_begins() -> None:
    assert sniffed(part("model", "m" * HEAD_BYTES)).ready


@pytest.mark.parametrize(
    ("rate", "channels", "width"), [(16_000, 1, 2), (44_100, 2, 2), (8_000, 1, 1), (48_000, 6, 3)]
)
def test_a_wav_file_says_how_fast_it_plays(rate: int, channels: int, width: int) -> None:
    recording = a_wav(2, rate, channels, width)

    sniff = sniffed(form(file(recording)))

    assert sniff.seconds_bound(len(recording)) == pytest.approx(2, rel=0.01)
    assert sniff.seconds_bound(len(recording)) >= 2
    assert sniff.seconds_guess(len(recording)) == sniff.seconds_bound(len(recording))


def test_the_format_of_a_wav_file_may_stand_behind_other_chunks() -> None:
    recording = a_wav(1)
    odd = b"LIST" + (3).to_bytes(4, "little") + b"abc\0"

    assert pace_of(recording[:12] + odd + recording[12:]) == Pace(rate=32_000, sure=True)


@pytest.mark.parametrize(
    ("code", "bits"),
    [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64), (6, 8), (7, 8)],
)
def test_a_plain_wav_file_is_believed(code: int, bits: int) -> None:
    recording = a_header(code=code, channels=2, hertz=48_000, bits=bits)

    assert pace_of(recording) == Pace(rate=2 * 48_000 * bits / 8, sure=True)


@pytest.mark.parametrize(
    "doubts",
    [
        {"code": 0xFFFE},
        {"code": 1, "bits": 12},
        {"code": 6, "bits": 16},
        {"code": 3, "bits": 16},
        {"byte_rate": 10**9},
        {"byte_rate": 0},
        {"block": 1},
        {"hertz": 4_000_000_000, "byte_rate": 0},
        {"hertz": 400_000},
        {"channels": 200},
        {"more": bytes(24)},
    ],
)
def test_a_wav_file_that_decoders_may_doubt_is_guessed_by_its_word_only(
    doubts: dict[str, Any],
) -> None:
    pace = pace_of(a_header(**doubts))

    assert not pace.sure
    assert pace.rate
    assert pace.longest_s(75_000) >= 100
    assert pace.likely_s(75_000) == 75_000 / pace.rate


@pytest.mark.parametrize("name", [b"XMA2", b"fmt ", b"SMV0", b"abcd"])
@pytest.mark.parametrize("place", [12, 36])
def test_a_chunk_that_may_tell_of_another_format_takes_the_belief(name: bytes, place: int) -> None:
    recording = a_wav(1)
    other = name + (4).to_bytes(4, "little") + bytes(4)

    pace = pace_of(recording[:place] + other + recording[place:])

    assert pace.longest_s(75_000) == 100


def test_a_wav_file_whose_sound_is_not_in_sight_is_not_believed() -> None:
    assert pace_of(a_wav(1)[:36]).longest_s(75_000) == 100


def test_of_two_formats_in_a_wav_file_the_second_counts_for_nothing() -> None:
    coded, recording = a_header(code=0x31), a_wav(1)

    assert pace_of(coded[:36] + recording[12:]) == UNKNOWN_PACE


def test_a_compressed_wav_file_plays_at_an_unknown_pace() -> None:
    recording = bytearray(a_wav(1))
    recording[20:22] = (0x31).to_bytes(2, "little")  # GSM

    assert pace_of(bytes(recording)) == UNKNOWN_PACE


def test_an_mp3_file_of_a_steady_rate_plays_at_that() -> None:
    assert pace_of(an_mp3([64] * 20)) == Pace(rate=8_000)
    assert pace_of(an_mp3([64] * 20)[:-100]) == Pace(rate=8_000)
    assert pace_of(an_mp3([64] * 20) + b"TAG" + bytes(125)) == Pace(rate=8_000)


def test_an_mp3_file_begins_behind_its_id3_tag() -> None:
    tag = b"ID3\x04\0\0" + bytes([0, 0, 2, 0]) + bytes(256)

    assert pace_of(tag + an_mp3([128] * 3)) == Pace(rate=16_000)


def test_an_mp3_file_of_changing_rates_plays_at_an_unknown_pace() -> None:
    assert pace_of(an_mp3([320, 32, 32])) == UNKNOWN_PACE
    assert pace_of(an_mp3([64, 64]) + b"something else") == UNKNOWN_PACE


def test_a_table_in_an_mp3_file_tells_its_length() -> None:
    table = b"Xing" + b"\0\0\0\1" + (1_000).to_bytes(4, "big")

    pace = pace_of(an_mp3([32, 64, 128], table))

    assert pace.likely_s(100_000) == pytest.approx(1_000 * 1_152 / 44_100)
    assert pace.likely_s(10**9) == 10**9 / 40_000  # more than fits what it says


def test_the_frame_of_a_steady_files_table_does_not_count() -> None:
    assert pace_of(an_mp3([32, 128, 128], b"Info" + bytes(8))) == Pace(rate=16_000)


def test_a_flac_file_tells_its_length() -> None:
    pace = pace_of(a_flac(samples=160_000))

    assert pace.likely_s(100_000) == 10.0
    assert pace.likely_s(3_200_000) == 100.0  # more than 10 seconds can be
    assert pace_of(a_flac(samples=0)) == UNKNOWN_PACE
    assert pace_of(a_flac(samples=1)[:30]) == UNKNOWN_PACE


@pytest.mark.parametrize(
    "recording",
    [
        an_mp3([320] * 20),
        an_mp3([320] * 20, b"Xing" + b"\0\0\0\1" + (1).to_bytes(4, "big")),
        an_mp3([320] * 20, b"Info" + bytes(8)),
        a_flac(samples=1, rate=655_350, channels=8, bits=32),
    ],
)
def test_no_compressed_file_makes_itself_short(recording: bytes) -> None:
    sniff = sniffed(form(file(recording)))

    assert sniff.seconds_bound(75_000) == 100
    assert sniff.seconds_guess(75_000) < 10


def test_a_file_that_says_it_is_long_is_believed() -> None:
    sniff = sniffed(form(file(a_flac(samples=16_000 * 36_000))))  # silence needs few bytes

    assert sniff.seconds_bound(75_000) == sniff.seconds_guess(75_000) == 36_000


def test_what_is_not_known_is_bounded_by_the_lowest_plausible_rate() -> None:
    sniff = sniffed(form(file(b"OggS" + bytes(100))))

    assert sniff.seconds_bound(7_500) == 10
    assert sniff.seconds_guess(8_000) == 2


@pytest.mark.parametrize("where", ["before", "behind"])
def test_audio_that_lies_elsewhere_has_no_bound(where: str) -> None:
    url, recording = part("url", "https://x/long.mp3"), file(a_wav(0.1))

    sniff = sniffed(form(*((url, recording) if where == "before" else (recording, url))))

    assert sniff.seconds_bound(100) == inf
    assert sniff.seconds_guess(8_000) < inf


def test_beside_a_file_of_another_name_nobody_knows_which_one_counts() -> None:
    sniff = sniffed(form(file(a_wav(0.1)), file(b"OggS", name="sound")))

    assert sniff.seconds_bound(7_500) == 10


@pytest.mark.parametrize("name", ["model", "url", "file"])
@pytest.mark.parametrize("between", [b"", file(a_wav(0.1), name="sound")])
def test_a_name_that_is_there_twice_makes_a_form_unreadable(name: str, between: bytes) -> None:
    twice = part(name, "same")

    sniff = sniffed(part("model", "m") if name != "model" else b"", twice, between, twice)

    assert sniff.seconds_bound(100) == inf
    assert sniff.model == ""
    assert sniff.ready


def test_a_second_model_is_seen_with_its_header() -> None:
    begun = part("model", "cheap") + file(a_wav(0.1))
    head = part("model", "")[:-2]

    assert sniffed(begun, head[:-1]).model == "cheap"
    assert sniffed(begun, head).model == ""


def test_names_are_read_exactly_as_they_are_written() -> None:
    sniff = sniffed(form(part("Model", "cheap"), part("model", "dear"), part("URL", "x")))

    assert sniff.model == "dear"
    assert sniff.fields == {"Model": "cheap", "model": "dear", "URL": "x"}


@pytest.mark.parametrize("name", ["model", "url"])
def test_a_short_field_that_is_a_file_makes_a_form_unreadable(name: str) -> None:
    sniff = sniffed(form(file(b"x", name=name), file(a_wav(0.1))))

    assert sniff.seconds_bound(100) == inf
    assert sniff.model == ""


def test_other_fields_may_be_there_twice() -> None:
    often = part("timestamp_granularities[]", "word")

    sniff = sniffed(form(part("model", "m"), often, often, file(a_wav(0.1))))

    assert sniff.model == "m"
    assert sniff.seconds_bound(32_000) == 1


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; xboundary=AAA; boundary=xyz",
        "multipart/form-data; boundary=xyz; xboundary=AAA",
        "multipart/form-data; boundary=AAA; boundary=xyz",
        "multipart/form-data; boundary=xyz; BOUNDARY=AAA",
        'multipart/form-data; boundary=xyz; a="; boundary=AAA"',
        "multipart/form-data; boundary*=UTF-8''xyz",
        "multipart/form-data; boundary*0=x; boundary*1=yz",
        "multipart/form-data; boundary=xyz; boundary*=AAA; boundary=xyz",
        "multipart/form-data; boundary =xyz",
        "multipart/form-data; boundary=xyz abc",
        "multipart/form-data; boundary=xyz,AAA",
        'multipart/form-data; boundary="x\\yz"',
        'multipart/form-data; boundary="xyz',
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=xyz\u00e9",
        "multipart/form-data; boundary=xyz\udce9",
        f"multipart/form-data; boundary={'x' * 71}",
        "multipart/form-data boundary=xyz",
        "multipart/form-data, multipart/form-data; boundary=xyz",
    ],
)
def test_a_boundary_that_may_be_another_makes_a_form_unreadable(kind: str) -> None:
    sniff = sniffed(form(part("model", "m"), file(a_wav(1))), kind=kind)

    assert sniff.ready
    assert sniff.model == ""
    assert sniff.seconds_bound(100) == inf


@pytest.mark.parametrize(
    "mark", ["----WebKitFormBoundary7MA4YWxkTrZu0gW", "=_Part_0'()+/:.?", "-" * 70]
)
def test_boundaries_as_clients_make_them_are_read(mark: str) -> None:
    data = form(part("model", "m"), file(a_wav(1))).replace(b"--xyz", b"--" + mark.encode())

    sniff = sniffed(data, kind=f"multipart/form-data; boundary={mark}")

    assert sniff.model == "m"


@pytest.mark.parametrize(
    "header",
    [
        'Content-Disposition: form-data; name="prompt"; name="model"',
        "Content-Disposition: form-data; name=\"prompt\"; name*=UTF-8''model",
        'Content-Disposition: form-data; name*0="mo"; name*1="del"',
        'Content-Disposition: form-data; name="m\\odel"',
        'Content-Disposition: form-data; name="%6Dodel"',
        'Content-Disposition: form-data; name=" model"',
        'Content-Disposition: form-data; name="prompt"; filename="\\"; name="model"',
        'Content-Disposition: form-data; name="prompt" name="model"',
        'Content-Disposition: form-data; name="prompt",form-data; name="model"',
        'Content-Disposition: attachment; name="model"',
        'Content-Disposition: form-data; name="prompt"\nX: x',
        'Content-Disposition: form-data;\r\n name="model"',
        'Content-Disposition : form-data; name="model"',
        'Content-Disposition: form-data; name="prompt"\r\ncontent-disposition: form-data; name="b"',
        'Content-Disposition: form-data; name="prompt"\r\nContent-Transfer-Encoding: base64',
        'Content-Disposition: form-data; name="p"\r\nContent-Type: Multipart/mixed; boundary=q',
        "",
    ],
)
def test_a_header_that_can_be_read_in_two_ways_makes_a_form_unreadable(header: str) -> None:
    odd = f"--xyz\r\n{header}\r\n\r\nx\r\n".encode()

    sniff = sniffed(part("model", "cheap"), file(a_wav(0.1)), odd)

    assert sniff.model == ""
    assert sniff.seconds_bound(100) == inf


@pytest.mark.parametrize(
    "more",
    [
        '; filename="my; name=x.wav"',
        "; filename=\"a.wav\"; filename*=utf-8''a%C3%A9.wav",
        '; filename="a\\\\b \u00e9.wav"\r\nContent-Transfer-Encoding: binary',
        '; filename=""\r\nContent-Type: application/octet-stream\r\nContent-Length: 3',
    ],
)
def test_headers_as_clients_write_them_are_read(more: str) -> None:
    sniff = sniffed(form(part("model", "m"), part("file", a_wav(1), more)))

    assert sniff.model == "m"
    assert sniff.seconds_bound(32_000) == 1


@pytest.mark.parametrize(
    "inside",
    [
        b"\n--xyz\n",
        b"x--xyz\r\n",
        b"\r\n--xyz \r\n",
        b"\r\n--xyzabc",
        b"\r\n--xyz\n",
        b"\r\n--xyz-",
    ],
)
def test_a_delimiter_that_only_some_would_see_makes_a_form_unreadable(inside: bytes) -> None:
    sniff = sniffed(part("model", "cheap"), file(b"sound" + inside + b"sound"))

    assert sniff.model == ""


@pytest.mark.parametrize(
    ("behind", "model"), [(b"\r\n", "m"), (b" \r\n", "m"), (b"--xyz", ""), (b"x", "")]
)
def test_behind_its_end_a_form_holds_nothing(behind: bytes, model: str) -> None:
    sniff = sniffed(form(part("model", "m"), file(a_wav(1))))
    assert sniff.model == "m"

    sniff.feed(behind)

    assert sniff.model == model


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=xyz",
        "multipart/form-data; boundary=other",
        "",
    ],
)
def test_a_form_that_cannot_be_read_has_no_bound(kind: str) -> None:
    sniff = sniffed(form(file(a_wav(1))), kind=kind)

    assert sniff.seconds_bound(100) == inf
    assert sniff.fields == {}


@pytest.mark.parametrize(
    "broken",
    [
        b"--xyz\r\nContent-Type: text/plain\r\n\r\nno name\r\n--xyz--",
        b"--xyz\r\nContent-Disposition: form-data; name*=UTF-8''url\r\n\r\nx\r\n--xyz--",
        b"--xyz\r\nContent-Disposition: form-data; " + b"x" * 10_000,
        part("a", "") * 100,
    ],
)
def test_a_part_that_cannot_be_read_takes_the_bound_away(broken: bytes) -> None:
    sniff = sniffed(file(a_wav(0.1)), broken)

    assert sniff.ready
    assert sniff.seconds_bound(100) == inf


@pytest.mark.parametrize(
    "kind", ['Multipart/Form-Data; charset=x; Boundary="xyz"', KIND + " ; a=b"]
)
def test_a_boundary_may_be_written_in_other_ways(kind: str) -> None:
    head = b"--xyz\r\ncontent-disposition: form-data; filename=a.wav; NAME=file\r\n\r\n"

    sniff = sniffed(head + a_wav(1) + b"\r\n--xyz--", kind=kind)

    assert sniff.seconds_bound(32_000) == 1


def test_memory_stays_small_whatever_is_fed() -> None:
    sniff = sniffed(part("model", "m" * 10_000), file(b"")[:-2], *[b"\0" * 100_000] * 50)

    assert len(sniff.model) <= 1_024
    assert len(sniff._file or b"") <= HEAD_BYTES + 2
    assert len(sniff._rest) < 100


GARBAGE = st.lists(
    st.sampled_from(
        [
            *(b"--xyz", b"--xyz--", b"\r\n", b"\r\n\r\n", b"--", b"name=", b'name="file"', b"\0"),
            *(b"RIFF", b"WAVE", b"fmt ", b"fLaC", b"ID3", b"\xff\xfb\x90\xc0", b"Xing", b"Info"),
            *(b"Content-Disposition: form-data; ", b'filename="', b"url", b"\xff" * 40, bytes(40)),
        ]
    )
    | st.binary(max_size=40),
    max_size=20,
)


@given(GARBAGE, st.sampled_from([KIND, "", "multipart/form-data; boundary=-"]))
def test_whatever_comes_nothing_is_raised(pieces: list[bytes], kind: str) -> None:
    sniff = sniffed(*pieces, kind=kind)

    assert sniff.seconds_bound(1_000) >= 0
    assert 0 <= sniff.seconds_guess(1_000) < inf


@given(GARBAGE, st.sampled_from([a_wav(0.1), a_flac(9), an_mp3([64] * 3), b""]), st.integers(0, 99))
def test_whatever_a_file_holds_it_has_a_pace(pieces: list[bytes], start: bytes, cut: int) -> None:
    pace = pace_of(start[: len(start) - cut] + b"".join(pieces))

    assert 0 <= pace.likely_s(1_000) < inf
    assert pace.longest_s(1_000) >= 0


def test_forms_as_the_sdks_send_them_are_read() -> None:
    fields = {"model": "m", "timestamp_granularities[]": ["word", "segment"]}
    sound = ('a "quoted" \\é name=x.wav', a_wav(1))

    sent = httpx.Request("POST", "http://x", data=fields, files={"file": sound})

    sniff = sniffed(sent.read(), kind=sent.headers["Content-Type"])
    assert sniff.model == "m"
    assert sniff.seconds_bound(32_000) == 1
