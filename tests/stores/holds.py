"""Holds, buckets and charges for tests, in few words."""

from proxy.core.money import Bucket, Charge, Hold, Kind, Spender, Tokens

ALICE = Spender("alice", "search", "groq", "openai/gpt-oss-20b")
BOB = Spender("bob", "", "gemini", "gemini-3.5-flash")

RICH = 10**12


def bucket(scope: str = "global", limit: int | None = RICH) -> Bucket:
    """A bucket of all time."""
    return Bucket(scope, "total", 0, None, limit)


def hour(start: int, scope: str = "global", limit: int | None = RICH) -> Bucket:
    """A bucket of the hour that begins at `start`."""
    return Bucket(scope, "hour", start, start + 3600, limit)


def chain(key: str = "a", team: str = "x", limit: int | None = RICH) -> tuple[Bucket, ...]:
    """The buckets of a key, its team, and all."""
    return tuple(bucket(scope, limit) for scope in (f"key:{key}", f"team:{team}", "global"))


def hold(
    id: str = "c1.1",
    amount: int = 100,
    *buckets: Bucket,
    spender: Spender = ALICE,
    ttl_s: float = 60.0,
) -> Hold:
    """A hold on `buckets`, on the global one where none is given."""
    return Hold(id, amount, buckets or (bucket(),), spender, "prices-1", ttl_s)


def cost(amount: int, *, reason: str = "usage", listed: int = 0, wasted: int = 0) -> Charge:
    """A charge for 10 tokens in, of which 4 were cached, and 5 out."""
    return Charge(Kind.SETTLE, amount, reason, listed, wasted, Tokens(10, 4, 5))


NOTHING = Charge(Kind.RELEASE, 0, "refused")
