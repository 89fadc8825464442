"""All secrets of a configuration, for those who keep them out of sight."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr


def secrets_of(knob: object) -> Iterator[str]:
    """Every secret below a section or a knob, wherever it stands."""
    if isinstance(knob, SecretStr):
        yield from _with_parts(knob.get_secret_value())
    elif isinstance(knob, BaseModel):
        for _, below in knob:
            yield from secrets_of(below)
    elif isinstance(knob, Mapping):
        for below in knob.values():
            yield from secrets_of(below)
    elif isinstance(knob, tuple | list):
        for below in knob:
            yield from secrets_of(below)


def _with_parts(secret: str) -> Iterator[str]:
    """A secret; of an address also what makes it one, as libraries show addresses in parts."""
    if secret:
        yield secret
    try:
        parts = urlsplit(secret)
        password = parts.password
    except ValueError:
        return
    if parts.netloc and password:
        yield password
    if parts.netloc and len(parts.path) >= _LONG_PATH:
        yield parts.path


_LONG_PATH = 16  # `/0` of Redis is no secret, `/services/T…/B…/…` of Slack is
