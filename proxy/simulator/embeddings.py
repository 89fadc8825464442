"""POST /embeddings: texts that share words lie close, so that searches make sense."""

import base64
import hashlib
import math
import re
import struct
from dataclasses import replace
from typing import Any

from proxy.simulator import checks, shape, tokens
from proxy.simulator.catalogue import Kind, Metric
from proxy.simulator.clock import Clock
from proxy.simulator.metering import Meter
from proxy.simulator.reply import Arrival, Reply, whole

DIMENSIONS = 768
MOST_TEXTS = 2_048

_PROPERTIES: dict[str, shape.Check] = {
    "model": shape.string,
    "input": shape.anything,
    "encoding_format": shape.one_of("float", "base64"),
    "user": shape.string,
}


class EmbeddingDesk:
    """Turns texts into vectors by the words in them."""

    def __init__(self, clock: Clock, meter: Meter) -> None:
        self._clock = clock
        self._meter = meter

    def reply(self, arrival: Arrival) -> Reply:
        """Answer one request."""
        tongue = self._meter.tongue
        asked, ignored = tongue.known(arrival.fields, frozenset(_PROPERTIES))
        shape.fields(asked, _PROPERTIES, ("model", "input"))
        model = checks.served(asked["model"], Kind.EMBEDDING, tongue.models)
        texts = _texts(asked["input"])
        spent = sum(tokens.count(text) for text in texts)
        cost = {Metric.RPM: 1, Metric.RPD: 1, Metric.TPM: spent, Metric.TPD: spent}
        metered = self._meter.charge(arrival, model, cost, self._clock.now())
        packed = asked.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": n, "embedding": _shown(vector(text), packed=packed)}
            for n, text in enumerate(texts)
        ]
        value = {
            "object": "list",
            "data": data,
            "model": arrival.model,
            "usage": {"prompt_tokens": spent, "total_tokens": spent},
        }
        return replace(whole(200, value, at_s=0.02, metered=metered), ignored=ignored)


def vector(text: str) -> list[float]:
    """Give the unit vector of a text: each word, and each of its trigrams, moves one dimension."""
    sums = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()) or [text]:
        padded = f" {word[:40]} "
        trigrams = [padded[at : at + 3] for at in range(len(padded) - 2)]
        for feature, weight in [(word, 1.0), *((part, 0.3) for part in trigrams)]:
            digest = hashlib.blake2b(feature.encode("utf-8", "replace"), digest_size=4).digest()
            place = int.from_bytes(digest[:3])
            sums[place % DIMENSIONS] += weight if digest[3] & 1 else -weight
    length = math.sqrt(sum(x * x for x in sums)) or 1.0
    return [x / length for x in sums]


def _shown(values: list[float], *, packed: bool) -> Any:
    if not packed:
        return values
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def _texts(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise shape.wrong("input", "must be a text or an array of texts, none of them empty")
    if not 1 <= len(texts) <= MOST_TEXTS:
        raise shape.wrong("input", f"must have 1 to {MOST_TEXTS} items")
    return texts
