"""One of several processes that spend the same money: `python -m tests.stores.racer ...`.

Keys, teams and all have a limit; amounts, chains and charges are random. One hold in fifty is never
closed, one in ten is charged twice. `careless` reads what is spent, and then adds to it.
"""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

from proxy.core.clock import SystemClock
from proxy.core.money import Denied, Hold
from proxy.stores.open import Stores, open_stores
from tests.stores.holds import NOTHING, bucket, cost, hold

KEYS, TEAMS = "abcdef", "xyz"
_DRAWN_KEYS, _DRAWN_TEAMS = "aaabbcdef", "xxyz"  # some reach their limit before all do
LIMIT: Final[Mapping[str, int]] = {"key": 200, "team": 350, "global": 900}  # for a hundred holds
LIMITS: Final[Mapping[str, int]] = {
    **{f"key:{key}|total|0": LIMIT["key"] for key in KEYS},
    **{f"team:{team}|total|0": LIMIT["team"] for team in TEAMS},
    "global|total|0": LIMIT["global"],
}
TTL_S: Final = 60.0

_TASKS = 12


def drawn(id: str, random: Random, many: int) -> Hold:
    """A hold on a key, its team and all; limits grow with how many holds there are."""
    scopes = (f"key:{random.choice(_DRAWN_KEYS)}", f"team:{random.choice(_DRAWN_TEAMS)}", "global")
    buckets = [bucket(scope, LIMIT[scope.partition(":")[0]] * many // 100) for scope in scopes]
    return hold(id, random.randint(1, 100), *buckets, ttl_s=TTL_S)


async def spend(stores: Stores, one: Hold, random: Random, *, careless: bool) -> None:
    """Reserve and settle one hold."""
    if careless:
        found = await stores.books.balances([bucket.id for bucket in one.buckets])
        for limit, balance in zip(one.buckets, found, strict=True):
            if limit.limit is not None and balance.spent + one.amount > limit.limit:
                return
        one = replace(one, buckets=tuple(replace(each, limit=None) for each in one.buckets))
    if isinstance(await stores.ledger.reserve(one), Denied) or random.random() < 0.02:
        return
    charge = NOTHING if random.random() < 0.1 else cost(random.randint(0, one.amount))
    times = 2 if random.random() < 0.1 else 1
    await asyncio.gather(*(stores.ledger.settle(one, charge) for _ in range(times)))


def say(line: str) -> None:
    """Tell who started us."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def race(directory: Path, redis: str, name: str, count: int, many: int, how: str) -> None:
    """Spend `count` holds, some at a time; with a count of 0, go on until killed."""
    random = Random(name)
    async with open_stores(directory, redis or None, SystemClock(), patience=20.0) as stores:
        say("ready")
        sys.stdin.readline()

        async def lane(lane: int) -> None:
            n = lane
            while not count or n < count:
                one = drawn(f"{name}-{n}.1", random, many)
                await spend(stores, one, random, careless=how == "careless")
                n += _TASKS
                if not count and n % 20 == lane:
                    say(str(n))

        await asyncio.gather(*map(lane, range(_TASKS)))
    say("done")


if __name__ == "__main__":
    path, url, who, count, many, how = sys.argv[1:]
    asyncio.run(race(Path(path), url, who, int(count), int(many), how))
