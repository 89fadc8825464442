"""Which keys open the door, and to which organisation they belong."""

from collections.abc import Mapping

from proxy.simulator.problems import forbidden, invalid_key, restricted

DEFAULT_ORG = "demo"


def organisation(key: str, organisations: Mapping[str, str]) -> str:
    """Give the organisation of a key, or raise what Groq answers to it.

    `gsk_<org>_<anything>` belongs to <org>, other `gsk_...` keys to one called demo. Keys that
    begin with `gsk_invalid`, `gsk_restricted` and `gsk_forbidden` are refused in three ways.
    """
    if key in organisations:
        return organisations[key]
    if not key.isascii() or not key.startswith("gsk_") or key.startswith("gsk_invalid"):
        raise invalid_key()
    if key.startswith("gsk_restricted"):
        raise restricted()
    if key.startswith("gsk_forbidden"):
        raise forbidden()
    org, separated, _ = key.removeprefix("gsk_").partition("_")
    return org if separated and org else DEFAULT_ORG


def bearer(authorization: str) -> str:
    """Give the key in an Authorization header, or nothing."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
