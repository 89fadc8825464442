"""Reads request bodies: JSON, multipart and urlencoded forms, however malformed."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from proxy.simulator.problems import Problem, unreadable
from proxy.simulator.reply import Upload

Fields = Mapping[str, Any]
Uploads = Mapping[str, Upload]

_DISPOSITION = re.compile(rb"(?i)^content-disposition:\s*form-data\b.*?$", re.MULTILINE)
_PARAMETER = re.compile(rb'\b(name|filename)="([^"]*)"')


def read(body: bytes, content_type: str) -> tuple[Fields, Uploads, Problem | None]:
    """Give the fields and files of a body, and what is wrong with it if it cannot be read."""
    lowered = content_type.lower()
    if lowered.startswith("multipart/form-data"):
        # SDKs say multipart even when they send no file and hence another form.
        boundary = re.search(r'boundary="?([^";,]+)', content_type, re.IGNORECASE)
        if boundary is not None:
            return _multipart(body, boundary[1].strip().encode("utf-8", "replace"))
    if lowered.startswith("application/x-www-form-urlencoded"):
        text = body.decode("utf-8", "replace")
        return _gathered(parse_qsl(text, keep_blank_values=True)), {}, None
    return _json(body)


def _json(body: bytes) -> tuple[Fields, Uploads, Problem | None]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return {}, {}, unreadable(f"it is not JSON ({error})")
    if not isinstance(value, dict):
        return {}, {}, unreadable("it must be a JSON object")
    return value, {}, None


def _multipart(body: bytes, boundary: bytes) -> tuple[Fields, Uploads, Problem | None]:
    fields: list[tuple[str, str]] = []
    uploads: dict[str, Upload] = {}
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        return {}, {}, unreadable("the form does not end with its boundary")
    for part in parts[:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        disposition = _DISPOSITION.search(head)
        named = dict(_PARAMETER.findall(disposition[0])) if disposition else {}
        name = named.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in named:
            filename = named[b"filename"].decode("utf-8", "replace")
            uploads[name] = Upload(filename, data)
        elif name:
            fields.append((name, data.decode("utf-8", "replace")))
    return _gathered(fields), uploads, None


def _gathered(pairs: list[tuple[str, str]]) -> Fields:
    """Give `name[]` fields as lists, the others by their last value."""
    gathered: dict[str, Any] = {}
    for name, value in pairs:
        if name.endswith("[]"):
            gathered.setdefault(name[:-2], [])
            if isinstance(gathered[name[:-2]], list):
                gathered[name[:-2]].append(value)
        else:
            gathered[name] = value
    return gathered
