"""POST /audio/transcriptions, /audio/translations and /audio/speech."""

import hashlib
import io
import math
import struct
import wave
from collections.abc import Mapping
from random import Random
from typing import Any

from proxy.simulator import checks, shape, tokens
from proxy.simulator.catalogue import Kind, Metric, Plan
from proxy.simulator.clock import Clock
from proxy.simulator.metering import Meter
from proxy.simulator.problems import bad, body_too_large
from proxy.simulator.prose import Writer
from proxy.simulator.reply import Arrival, Piece, Reply, Upload, whole
from proxy.simulator.settings import SimulatorSettings

FORMATS = ("flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm")
LARGEST = {Plan.FREE: 25 << 20, Plan.DEVELOPER: 100 << 20}
REAL_TIME_FACTOR = 200.0  # seconds of audio heard in a second
_BYTES_PER_S = 16_000  # of compressed audio, to guess a length
_URL_S = 60  # length of audio that only a URL names: nothing is fetched
_LONGEST_SPEECH_S = 60.0


class ListeningDesk:
    """Writes down, or translates, audio that it does not hear."""

    def __init__(self, task: str, settings: SimulatorSettings, clock: Clock, meter: Meter) -> None:
        self._task = task
        self._settings = settings
        self._clock = clock
        self._meter = meter

    def reply(self, arrival: Arrival) -> Reply:
        """Answer one request."""
        asked = arrival.fields
        model = checks.served(_text(asked, "model"), Kind.TRANSCRIPTION)
        shown = asked.get("response_format") or "json"
        rule = shape.one_of("json", "text", "verbose_json")(shown)
        if rule is not None:
            raise shape.wrong("response_format", rule)
        name, data = self._audio(arrival)
        seconds = duration_s(data) if data else _URL_S
        cost = {Metric.RPM: 1, Metric.RPD: 1, Metric.ASH: seconds, Metric.ASD: seconds}
        metered = self._meter.charge(arrival, model, cost, self._clock.now())
        text = _heard(name, data, seconds, self._settings.seed)
        at_s = 0.05 + seconds / REAL_TIME_FACTOR
        if shown == "text":
            body = Piece(text.encode("utf-8", "replace"), at_s)
            return Reply(200, (body,), content_type="text/plain; charset=utf-8", metered=metered)
        heard: dict[str, Any] = {"text": text, "x_groq": {"id": arrival.request_id}}
        if shown == "verbose_json":
            heard = {**self._details(asked, text, seconds), **heard}
        return whole(200, heard, at_s=at_s, metered=metered)

    def _audio(self, arrival: Arrival) -> tuple[str, bytes]:
        upload: Upload | None = arrival.uploads.get("file")
        url = arrival.fields.get("url")
        if upload is None:
            if not isinstance(url, str) or not url:
                raise bad("one of `file` or `url` is required")
            return url, b""
        if upload.name.rpartition(".")[2].lower() not in FORMATS:
            raise bad(f"file must be one of the following types: [{' '.join(FORMATS)}]")
        if not upload.data:
            raise bad("file is empty")
        if len(upload.data) > LARGEST[self._settings.plan]:
            raise body_too_large()
        return upload.name, upload.data

    def _details(self, asked: Mapping[str, Any], text: str, seconds: int) -> dict[str, Any]:
        language = asked.get("language")
        segment = {
            "id": 0,
            "seek": 0,
            "start": 0,
            "end": seconds,
            "text": text,
            "tokens": [],
            "temperature": 0,
            "avg_logprob": -0.1,
            "compression_ratio": 1.2,
            "no_speech_prob": 0.01,
        }
        return {
            "task": self._task,
            "language": language if isinstance(language, str) and language else "English",
            "duration": seconds,
            "segments": [segment],
        }


class SpeechDesk:
    """Speaks in tones: a playable WAV file whose length follows the text."""

    def __init__(self, clock: Clock, meter: Meter) -> None:
        self._clock = clock
        self._meter = meter

    def reply(self, arrival: Arrival) -> Reply:
        """Answer one request."""
        asked = arrival.fields
        shape.fields(asked, _SPEECH, ("model", "input", "voice"))
        model = checks.served(asked["model"], Kind.SPEECH)
        text: str = asked["input"]
        if not text or tokens.count(text) > model.context_window:
            raise shape.wrong("input", f"must have 1 to {model.context_window} tokens")
        spent = tokens.count(text)
        cost = {Metric.RPM: 1, Metric.RPD: 1, Metric.TPM: spent, Metric.TPD: spent}
        metered = self._meter.charge(arrival, model, cost, self._clock.now())
        sound = _tones(text, asked.get("sample_rate") or 24_000, asked.get("speed") or 1.0)
        at_s = 0.1 + spent / model.tokens_per_s
        return Reply(200, (Piece(sound, at_s),), content_type="audio/wav", metered=metered)


_SPEECH: dict[str, shape.Check] = {
    "model": shape.string,
    "input": shape.string,
    "voice": shape.string,
    "response_format": shape.one_of("wav"),  # all that the served voices can do
    "sample_rate": shape.integer(8_000, 48_000),
    "speed": shape.number(0.5, 5),
}


def duration_s(data: bytes) -> int:
    """Give the whole seconds of some audio: read from a WAV header, guessed for the rest."""
    try:
        with wave.open(io.BytesIO(data), "rb") as sound:
            seconds = sound.getnframes() / sound.getframerate()
    except (wave.Error, EOFError, ZeroDivisionError):
        seconds = len(data) / _BYTES_PER_S
    return max(1, math.ceil(seconds))


def _heard(name: str, data: bytes, seconds: int, seed: int) -> str:
    digest = hashlib.sha256(data or name.encode("utf-8", "replace")).hexdigest()
    writer = Writer(name.replace(".", " "), Random(f"{seed}:{digest}"))  # noqa: S311
    return f" This is a simulated transcript of {seconds} seconds of audio. {writer.remark()}"


def _tones(text: str, rate: int, speed: float) -> bytes:
    """Give a WAV file with one tone a word, its pitch chosen by the word."""
    sound, left = bytearray(), int(_LONGEST_SPEECH_S * rate)
    for word in text.split() or [text]:
        pitch = 150 + sum(word.encode("utf-8", "replace")) % 300
        length = min(left, int(rate * 0.06 * min(len(word), 20) / speed))
        period = [
            int(6_000 * math.sin(2 * math.pi * pitch * n / rate)) for n in range(rate // pitch)
        ]
        wavelet = struct.pack(f"<{len(period)}h", *period)
        sound += (wavelet * (length // len(period) + 1))[: 2 * length] + bytes(rate // 10)
        left -= length + rate // 20
        if left <= 0:
            break
    packed = io.BytesIO()
    with wave.open(packed, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(bytes(sound))
    return packed.getvalue()


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise bad(f"`{name}` is required")
    return value
