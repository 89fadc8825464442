"""Addresses, origins and names: how they must be written, and what they become."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, SecretStr

_ADDRESS = re.compile(r"(\[[^\[\]]+\]|[^:\[\]\s/@]+):([0-9]{1,5})")
_PROVIDER = re.compile(r"[a-z0-9_-]+")
LABEL: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; port 0 lets the system choose a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        """`127.0.0.1:8080`, `[::1]:8080`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, written: object) -> "Address":
        """Read `HOST:PORT`; an IPv6 host stands in brackets. `ValueError` otherwise."""
        match = _ADDRESS.fullmatch(written) if isinstance(written, str) else None
        if match is None or int(match[2]) > 65_535:
            raise ValueError("must be HOST:PORT, like 127.0.0.1:8080 or [::1]:8080")
        host = match[1].strip("[]")
        if match[1] != host and not isinstance(_ip(host), IPv6Address):
            raise ValueError("must have an IPv6 address between the brackets")
        return cls(host, int(match[2]))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it; of names, only localhost is trusted to be."""
        ip = _ip(self.host)
        return self.host.lower() == "localhost" if ip is None else ip.is_loopback

    @property
    def wildcard(self) -> bool:
        """Whether it stands for every address of the machine."""
        ip = _ip(self.host)
        return ip is not None and ip.is_unspecified


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address(host)
    except ValueError:
        return None
    return (isinstance(ip, IPv6Address) and ip.ipv4_mapped) or ip


def _address(written: object) -> Address:
    return written if isinstance(written, Address) else Address.parse(written)


def _parts(written: str) -> SplitResult:
    """Take an http(s) address without credentials apart; a message never repeats it."""
    try:
        parts = urlsplit(written)
        sound = bool(parts.hostname) and parts.port != 0  # a port is checked on access
    except ValueError:
        parts, sound = SplitResult("", "", "", "", ""), False
    plain = written.isascii() and written.isprintable() and " " not in written
    if not (plain and sound) or parts.scheme not in {"http", "https"}:
        raise ValueError("must be an address that starts with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must not contain a user name or password")
    return parts


def base_url(written: str) -> str:
    """Check an API's address; a slash at its end goes."""
    parts = _parts(written)
    if "?" in written or "#" in written:
        raise ValueError("must not contain a query (?) or a fragment (#)")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _origin(written: str) -> str:
    """Write a web page's origin as browsers do: lower case, without the scheme's own port."""
    parts = _parts(written)
    if parts.path not in {"", "/"} or "?" in written or "#" in written:
        raise ValueError("must be SCHEME://HOST or SCHEME://HOST:PORT, without a path")
    own_port = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(own_port)}"


def _provider(written: str) -> str:
    if not _PROVIDER.fullmatch(written):
        raise ValueError("must be a name of a-z, 0-9, _ and -")
    return written


def _label(written: str) -> str:
    if not LABEL.fullmatch(written):
        raise ValueError("must be 1 to 64 letters, digits, '_', '-' or '.'")
    return written


def _model(written: str) -> str:
    if not 1 <= len(written) <= 256 or not written.isprintable() or " " in written:
        raise ValueError("must be 1 to 256 printable characters without spaces")
    return written


def _target(written: str) -> str:
    provider, slash, model = written.partition("/")
    if not slash or not _PROVIDER.fullmatch(provider) or not model:
        raise ValueError("must be PROVIDER/MODEL, like groq/openai/gpt-oss-20b")
    return _model(written)


def _zone(written: str) -> str:
    """Check an IANA time zone; UTC is known even where no zone files are installed."""
    try:
        known = written == "UTC" or ZoneInfo(written).key == written
    except (ValueError, OSError, KeyError):  # odd characters, a folder of zones, no such zone
        known = False
    if not known:
        raise ValueError("must be an IANA time zone, like UTC or Europe/Berlin")
    return written


def _pattern(written: str) -> str:
    try:
        re.compile(written)
    except re.error as error:
        raise ValueError(f"must be a regular expression: {error.msg}") from None
    return written


def _text_of_secret(written: object) -> object:
    """Read a variable that is not set as an empty secret."""
    return "" if written is None else written


def _credential(written: SecretStr) -> SecretStr:
    """Check that a secret fits into an HTTP header; it may be empty."""
    secret = written.get_secret_value()
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ValueError("must be one word of plain ASCII, without spaces or line breaks")
    return written


def _folder(written: object) -> Path:
    if not written or not isinstance(written, str | Path):
        raise ValueError("must be the path of a folder")
    try:
        return Path(written).expanduser()
    except RuntimeError:
        raise ValueError("must not start with ~: the home folder is not known") from None


def _hidden(secret: SecretStr) -> str:
    return "********" if secret.get_secret_value() else ""


AddressText = Annotated[Address, BeforeValidator(_address), PlainSerializer(str)]
BaseUrl = Annotated[str, AfterValidator(base_url)]
Origin = Annotated[str, AfterValidator(_origin)]
ProviderName = Annotated[str, AfterValidator(_provider)]
Label = Annotated[str, AfterValidator(_label)]
ModelName = Annotated[str, AfterValidator(_model)]
TargetName = Annotated[str, AfterValidator(_target)]
ZoneName = Annotated[str, AfterValidator(_zone)]
Folder = Annotated[Path, BeforeValidator(_folder)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Secret = Annotated[SecretStr, PlainSerializer(_hidden, return_type=str)]
Credential = Annotated[Secret, BeforeValidator(_text_of_secret), AfterValidator(_credential)]
