"""Who is behind a key, in every worker, and for how long."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from proxy.access.keybook import KeyBook, KeyConflict, Made, UnknownKey
from proxy.access.keys import KEY, VirtualKeys
from proxy.access.knocks import EVERY_S, MOST, TooManyWrongKeys
from proxy.access.virtual_key import State, hashed
from proxy.config.settings import Config
from proxy.core.clock import SystemClock
from proxy.core.errors import InvalidRequest, StoreUnavailable, Unauthenticated
from proxy.core.money import Budget
from proxy.core.rates import Limit
from proxy.stores.open import open_stores
from proxy.stores.protocols import StoreFailed
from tests.access.records import MemoryRecords
from tests.fakes import FakeClock

HERE = "203.0.113.7"
HOUR, DAY = 3_600, 86_400


def config(**knobs: Any) -> Config:
    return Config.model_validate(
        {"providers": {"groq": {"keys": [{"name": "a", "value": "gsk_test"}]}}, **knobs}
    )


def in_file(name: str, secret: str, **terms: Any) -> dict[str, Any]:
    return {"name": name, "sha256": hashed(secret), **terms}


@dataclass
class Place:
    """One store, the book that changes it, and workers that follow it."""

    records: MemoryRecords
    clock: FakeClock
    config: Config
    book: KeyBook

    async def worker(self) -> VirtualKeys:
        keys = VirtualKeys(self.records, self.clock)
        keys.configure(self.config)
        await keys.refresh()
        return keys


def opened(**knobs: Any) -> Place:
    records, clock, told = MemoryRecords(), FakeClock(), config(**knobs)
    return Place(records, clock, told, KeyBook(records, clock, lambda: told))


@pytest.fixture
def place() -> Place:
    return opened()


def refused(keys: VirtualKeys, secret: str, address: str = HERE) -> str:
    """Why `keys` does not let a secret in."""
    with pytest.raises(Unauthenticated) as caught:
        keys.authenticate(f"Bearer {secret}", address)
    assert secret not in caught.value.message
    return caught.value.reason


def name_of(keys: VirtualKeys, secret: str) -> str:
    return keys.authenticate(f"Bearer {secret}", HERE).name


# What a key leads to


async def test_a_key_leads_to_its_caller_with_all_its_terms(place: Place) -> None:
    made = await place.book.create(
        {
            "name": "app",
            "team": "search",
            "models": ["fast"],
            "endpoints": ["files"],
            "budgets": ["5 USD/day", "50 USD/month soft"],
            "limits": ["60 requests/minute", "8 concurrent", "100000 tokens/2h"],
        }
    )

    caller = (await place.worker()).authenticate(f"Bearer {made.secret}", HERE)

    assert caller.key_id == made.key.id
    assert (caller.name, caller.team) == ("app", "search")
    assert (caller.models, caller.endpoints) == (("fast",), ("files",))
    assert caller.budgets == (
        Budget(5 * 10**9, "day"),
        Budget(50 * 10**9, "month", hard=False),
    )
    assert caller.limits == (
        Limit(60, "requests", 60),
        Limit(8, "concurrent"),
        Limit(100_000, "tokens", 7_200),
    )


async def test_a_secret_has_256_random_bits_and_its_id_tells_nothing_of_it(place: Place) -> None:
    made = [await place.book.create({"name": f"app{i}"}) for i in range(20)]

    secrets = {each.secret for each in made}
    assert len(secrets) == len({each.key.id for each in made}) == 20
    for each in made:
        assert each.secret.startswith("gp-")
        assert len(each.secret) == len("gp-") + 43
        assert each.key.hint == each.secret[-4:]
        assert each.secret not in repr(each)


async def test_a_key_of_the_configuration_counts_without_the_store() -> None:
    place = opened(keys=[in_file("search-team", "gp-mine", team="search", models=["fast"])])
    keys = await place.worker()

    caller = keys.authenticate("Bearer gp-mine", HERE)

    assert (caller.key_id, caller.name, caller.team) == ("c_search-team", "search-team", "search")
    assert caller.models == ("fast",)
    keys.configure(config())
    assert refused(keys, "gp-mine") == "unknown_key"


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER   {} "])
async def test_the_scheme_may_be_written_in_any_case(place: Place, header: str) -> None:
    made = await place.book.create({"name": "app"})

    caller = (await place.worker()).authenticate(header.format(made.secret), HERE)

    assert caller.name == "app"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer{}"])
async def test_without_a_bearer_token_a_key_is_missing(place: Place, header: str) -> None:
    made = await place.book.create({"name": "app"})
    keys = await place.worker()

    with pytest.raises(Unauthenticated) as caught:
        keys.authenticate(header.format(made.secret), HERE)

    assert caught.value.reason == "missing"
    assert caught.value.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "other",
    ["unused", "gp-", "{}x", "{}=", "x{}", "{} {}", "\udcff", "é", "0" * 64, "x" * 10**6],
    ids=range(10),
)
async def test_anything_else_is_an_unknown_key(place: Place, other: str) -> None:
    made = await place.book.create({"name": "app"})
    keys = await place.worker()

    assert refused(keys, other.format(made.secret, made.secret)) == "unknown_key"
    assert refused(keys, made.secret.swapcase()) == "unknown_key"
    assert refused(keys, made.key.sha256) == "unknown_key"
    assert refused(keys, made.key.id) == "unknown_key"


# How it ends


async def test_a_disabled_key_ends_for_good_and_is_remembered(place: Place) -> None:
    made = await place.book.create({"name": "app"})
    keys = await place.worker()

    await place.book.disable("app")
    await keys.refresh()

    assert refused(keys, made.secret) == "disabled"
    assert (await place.book.find("app")).state(place.clock.wall()) is State.DISABLED
    assert await place.book.disable("app") == await place.book.find(made.key.id)


@pytest.mark.parametrize(
    ("expires", "after_s"),
    [
        ("30d", 30 * DAY),
        ("90s", 90),
        ("2027-01-15", 57_600),  # the clock stands at 08:00 UTC on that day
        ("2027-01-15T18:00", 10 * HOUR),
        ("2027-01-15T18:00+02:00", 8 * HOUR),
        ("2027-01-16T00:00:00Z", 57_600),
    ],
)
async def test_a_key_expires_when_it_was_said(place: Place, expires: str, after_s: int) -> None:
    made = await place.book.create({"name": "app", "expires": expires})
    keys = await place.worker()

    place.clock.advance(after_s - 1)
    assert name_of(keys, made.secret) == "app"
    place.clock.advance(1)

    assert refused(keys, made.secret) == "expired"


async def test_a_day_ends_in_the_zone_of_budgets() -> None:
    place = opened(budgets={"zone": "Asia/Tokyo"})

    made = await place.book.create({"name": "app", "expires": "2027-01-15"})

    assert made.key.expires == place.clock.wall() + 7 * HOUR


async def test_those_who_could_call_are_known_once_each() -> None:
    place = opened(keys=[in_file("mine", "gp-x")])
    for name in ("app", "off", "old"):
        await place.book.create({"name": name, "expires": "1h" if name == "old" else None})
    await place.book.rotate("app")
    await place.book.disable("off")
    keys = await place.worker()

    place.clock.advance(HOUR - 1)
    assert sorted(caller.name for caller in keys.callers) == ["app", "mine", "old"]
    place.clock.advance(1)
    assert sorted(caller.name for caller in keys.callers) == ["app", "mine"]


async def test_a_rotated_key_has_two_secrets_for_an_hour(place: Place) -> None:
    old = await place.book.create({"name": "app", "budgets": ["5 USD/day"]})
    keys = await place.worker()

    new = await place.book.rotate("app")
    await keys.refresh()

    assert new.key.id == old.key.id
    assert new.secret != old.secret
    assert keys.authenticate(f"Bearer {old.secret}", HERE) == new.key.caller()
    place.clock.advance(HOUR - 1)
    assert name_of(keys, old.secret) == "app"
    place.clock.advance(1)
    assert refused(keys, old.secret) == "expired"
    assert name_of(keys, new.secret) == "app"


@pytest.mark.parametrize(("overlap", "s"), [("0s", 0), ("0", 0), ("10m", 600), ("1d", DAY)])
async def test_the_overlap_may_be_chosen(place: Place, overlap: str, s: int) -> None:
    old = await place.book.create({"name": "app"})
    new = await place.book.rotate(old.key.id, overlap)
    keys = await place.worker()

    if s:
        place.clock.advance(s - 1)
        assert name_of(keys, old.secret) == "app"
        place.clock.advance(1)

    assert refused(keys, old.secret) in ("unknown_key", "expired")
    assert name_of(keys, new.secret) == "app"


async def test_of_many_rotations_the_last_two_secrets_count(place: Place) -> None:
    first = await place.book.create({"name": "app"})
    second = await place.book.rotate("app")
    third = await place.book.rotate("app")
    keys = await place.worker()

    assert refused(keys, first.secret) == "unknown_key"
    assert (name_of(keys, second.secret), name_of(keys, third.secret)) == ("app", "app")


async def test_what_has_ended_is_not_rotated(place: Place) -> None:
    await place.book.create({"name": "off"})
    await place.book.disable("off")
    await place.book.create({"name": "old", "expires": "1h"})
    place.clock.advance(HOUR)

    with pytest.raises(KeyConflict, match="is disabled"):
        await place.book.rotate("off")
    with pytest.raises(KeyConflict, match="is expired"):
        await place.book.rotate("old")


# Names


async def test_a_name_belongs_to_one_active_key(place: Place) -> None:
    first = await place.book.create({"name": "app"})

    with pytest.raises(KeyConflict, match="the name 'app' is taken"):
        await place.book.create({"name": "app"})

    await place.book.disable("app")
    second = await place.book.create({"name": "app"})
    assert await place.book.find("app") == second.key
    assert (await place.book.find(first.key.id)).disabled


async def test_an_expired_key_leaves_its_name(place: Place) -> None:
    await place.book.create({"name": "app", "expires": "1h"})
    place.clock.advance(HOUR)

    await place.book.create({"name": "app"})

    assert len(await place.book.all()) == 2


async def test_of_many_who_want_a_name_at_once_one_gets_it(place: Place) -> None:
    wishes = [place.book.create({"name": "app"}) for _ in range(20)]

    ends = await asyncio.gather(*wishes, return_exceptions=True)

    assert sum(isinstance(end, Made) for end in ends) == 1
    assert sum(isinstance(end, KeyConflict) for end in ends) == 19
    assert len(await place.book.all()) == 1


async def test_a_name_whose_key_was_never_made_is_free_again(place: Place) -> None:
    await place.records.put("key_name", "app", b'{"key":"k_gone","at":%f}' % place.clock.wall())

    with pytest.raises(KeyConflict):
        await place.book.create({"name": "app"})
    place.clock.advance(11)

    assert (await place.book.create({"name": "app"})).key.name == "app"


async def test_names_of_the_configuration_are_taken_and_its_keys_are_changed_there() -> None:
    place = opened(keys=[in_file("mine", "gp-x")])

    with pytest.raises(KeyConflict, match="taken"):
        await place.book.create({"name": "mine"})
    with pytest.raises(KeyConflict, match="configuration file"):
        await place.book.disable("mine")
    with pytest.raises(KeyConflict, match="configuration file"):
        await place.book.rotate("c_mine")
    assert [key.id for key in await place.book.all()] == ["c_mine"]


async def test_of_several_ended_keys_one_is_named_by_its_id(place: Place) -> None:
    for _ in range(2):
        made = await place.book.create({"name": "app"})
        await place.book.disable("app")

    with pytest.raises(KeyConflict, match="2 keys are called 'app'"):
        await place.book.find("app")
    assert await place.book.disable(made.key.id)


async def test_a_key_that_is_not_there_is_told(place: Place) -> None:
    for ask in (place.book.find, place.book.disable, place.book.rotate):
        with pytest.raises(UnknownKey, match="there is no key 'nobody'"):
            await ask("nobody")


async def test_a_key_named_by_its_secret_is_refused_and_not_repeated(place: Place) -> None:
    made = await place.book.create({"name": "app"})

    for ask in (place.book.find, place.book.disable, place.book.rotate):
        with pytest.raises(InvalidRequest) as caught:
            await ask(made.secret)
        assert made.secret not in str(caught.value)


@pytest.mark.parametrize(
    ("wish", "param", "message"),
    [
        ({}, "name", "name: is required"),
        ({"name": "a b"}, "name", "name: must be 1 to 64 letters, digits"),
        ({"name": "gp-app"}, "name", "name: must not begin with gp-"),
        ({"name": 7}, "name", "name: must be text"),
        ({"name": "a", "budgets": ["5 EUR/day"]}, "budgets[0]", "must be a budget like"),
        ({"name": "a", "budgets": "5 USD/day"}, "budgets", "must be a list"),
        ({"name": "a", "limits": ["often"]}, "limits[0]", "must be a limit like"),
        ({"name": "a", "endpoints": ["chat"]}, "endpoints[0]", "must be 'files' or 'batches'"),
        ({"name": "a", "models": ["a b"]}, "models[0]", "without spaces"),
        ({"name": "a", "budget": ["5 USD/day"]}, "budget", "did you mean 'budgets'"),
        ({"name": "a", "sha256": "0" * 64}, "sha256", "there is no such knob"),
        ({"name": "a", "expires": "soon"}, "expires", "must be a date like 2027-12-31"),
        ({"name": "a", "expires": "2020-01-01"}, "expires", "must lie in the future"),
        ({"name": "a", "expires": "9999-12-31"}, "expires", "must be a date"),
        ({"name": "a", "expires": 7}, "expires", "must be text"),
    ],
)
async def test_terms_that_cannot_be_are_refused(
    place: Place, wish: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await place.book.create(wish)

    assert caught.value.param == param
    assert message in caught.value.message
    assert place.records.kept == {}


# Open or closed


@pytest.mark.parametrize("auth", ["auto", "keys", "none"])
async def test_auth_decides_whether_a_key_is_needed(auth: str) -> None:
    place = opened(auth=auth)

    assert (await place.worker()).closed is (auth == "keys")
    await place.book.create({"name": "app"})

    assert (await place.worker()).closed is (auth != "none")


async def test_the_first_key_closes_it_for_good(place: Place) -> None:
    keys = await place.worker()
    assert not keys.closed

    await place.book.create({"name": "app"})
    await keys.refresh()
    assert keys.closed
    await place.book.disable("app")
    await keys.refresh()

    assert keys.closed
    assert (await place.worker()).closed


async def test_a_key_of_the_configuration_closes_it_for_good() -> None:
    place = opened(keys=[in_file("mine", "gp-x")])
    keys = await place.worker()
    assert keys.closed

    keys.configure(config())
    await keys.refresh()

    assert keys.closed
    place.config = config()
    assert (await place.worker()).closed


async def test_a_key_of_the_configuration_for_less_than_a_second_closes_it_too(
    place: Place,
) -> None:
    keys = await place.worker()

    keys.configure(config(keys=[in_file("mine", "gp-x")]))
    keys.configure(config())
    await keys.refresh()

    assert keys.closed
    assert (await place.worker()).closed


async def test_until_the_store_was_asked_it_is_closed(place: Place) -> None:
    keys = VirtualKeys(place.records, place.clock)
    assert keys.closed

    keys.configure(place.config)
    assert keys.closed
    place.records.away = True
    with pytest.raises(StoreFailed):
        await keys.refresh()

    assert keys.closed
    assert refused(keys, "gp-x") == "unknown_key"


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", "[::]:1", "10.0.0.5:80"])
async def test_where_other_machines_may_call_auto_means_keys(listen: str) -> None:
    assert (await opened(listen=listen).worker()).closed
    assert not (await opened(listen=listen, auth="none").worker()).closed


async def test_a_reload_may_open_it_only_in_so_many_words(place: Place) -> None:
    await place.book.create({"name": "app"})
    keys = await place.worker()

    keys.configure(config(auth="none"))
    assert not keys.closed
    keys.configure(config())

    assert keys.closed


# Workers and the store


async def test_what_one_worker_changes_the_others_know_at_their_next_look(place: Place) -> None:
    one, other = await place.worker(), await place.worker()

    made = await place.book.create({"name": "app"})
    for keys in (one, other):
        assert refused(keys, made.secret) == "unknown_key"
        await keys.refresh()
        assert name_of(keys, made.secret) == "app"
    await place.book.disable(made.key.id)
    for keys in (one, other):
        await keys.refresh()
        assert refused(keys, made.secret) == "disabled"


async def test_processes_that_share_a_store_on_disk_see_each_others_changes(
    tmp_path: Path, place: Place
) -> None:
    clock = SystemClock()
    async with open_stores(tmp_path, None, clock) as one, open_stores(tmp_path, None, clock) as two:
        workers = [VirtualKeys(stores.records, clock) for stores in (one, two)]
        books = [KeyBook(stores.records, clock, lambda: place.config) for stores in (one, two)]
        for keys in workers:
            keys.configure(place.config)
            await keys.refresh()
            assert not keys.closed

        made = await asyncio.gather(
            *(book.create({"name": "app"}) for book in books * 5), return_exceptions=True
        )
        [winner] = [each for each in made if isinstance(each, Made)]
        for keys in workers:
            await keys.refresh()
            assert name_of(keys, winner.secret) == "app"
        await books[1].disable("app")
        await workers[0].refresh()

        assert refused(workers[0], winner.secret) == "disabled"
        assert all(keys.closed for keys in workers)


async def test_while_the_store_is_away_keys_go_on_and_none_is_made(place: Place) -> None:
    made = await place.book.create({"name": "app"})
    keys = await place.worker()

    place.records.away = True
    with pytest.raises(StoreFailed):
        await keys.refresh()
    await keys.catch_up()
    for ask in (place.book.create({"name": "b"}), place.book.all(), place.book.disable("app")):
        with pytest.raises(StoreUnavailable, match="the store is away"):
            await ask
    assert name_of(keys, made.secret) == "app"

    place.records.away = False
    await keys.refresh()
    assert name_of(keys, made.secret) == "app"


async def test_a_store_that_was_emptied_is_followed_within_a_minute(place: Place) -> None:
    lost = [await place.book.create({"name": f"lost{i}"}) for i in range(3)]
    keys = await place.worker()

    place.records.kept.clear()
    place.records.version = 0
    made = await place.book.create({"name": "app"})
    await keys.refresh()
    place.clock.advance(60)
    await keys.refresh()

    assert name_of(keys, made.secret) == "app"
    assert {refused(keys, each.secret) for each in lost} == {"unknown_key"}
    assert keys.closed


async def test_a_record_that_cannot_be_read_is_one_key_less(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    good = await place.book.create({"name": "good"})
    bad = await place.book.create({"name": "bad"})
    for damaged in (b"", b"[]", b"{}", b"\xff", b'{"name":"bad"}'):
        await place.records.put(KEY, bad.key.id, damaged)
        keys = await place.worker()

        assert name_of(keys, good.secret) == "good"
        assert refused(keys, bad.secret) == "unknown_key"
        assert [key.name for key in await place.book.all()] == ["good"]
    assert f"key {bad.key.id} cannot be read" in caplog.text


async def test_nothing_that_is_stored_or_shown_holds_a_secret(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    made = await place.book.create({"name": "app"})
    new = await place.book.rotate("app")
    keys = await place.worker()
    refused(keys, new.secret + "x")
    name_of(keys, new.secret)

    stored = b"".join(each.value or b"" for each in place.records.kept.values()).decode()
    seen = stored + caplog.text + repr(await place.book.all()) + repr(made) + repr(vars(keys))

    assert hashed(new.secret) in stored
    for secret in (made.secret, new.secret):
        assert secret not in seen
        assert secret.removeprefix("gp-")[:20] not in seen


# Guessing


def knock(keys: VirtualKeys, address: str, times: int = 1) -> list[int]:
    statuses = []
    for i in range(times):
        with pytest.raises(Unauthenticated) as caught:
            keys.authenticate(f"Bearer gp-guess{i}", address)
        statuses.append(caught.value.status)
    return statuses


async def test_a_hundred_wrong_keys_are_enough(place: Place) -> None:
    made = await place.book.create({"name": "app"})
    keys = await place.worker()

    assert knock(keys, HERE, MOST) == [401] * MOST
    assert knock(keys, HERE, 50) == [429] * 50

    assert name_of(keys, made.secret) == "app"
    assert knock(keys, "203.0.113.8") == [401]


async def test_whoever_guessed_too_much_is_told_when_to_come_again(place: Place) -> None:
    keys = await place.worker()
    knock(keys, HERE, MOST)

    with pytest.raises(TooManyWrongKeys) as caught:
        keys.authenticate("Bearer gp-x", HERE)
    place.clock.advance(int(caught.value.headers["retry-after"]))

    assert caught.value.headers["retry-after"] == str(int(EVERY_S))
    assert caught.value.reason == "unknown_key"
    assert knock(keys, HERE, 2) == [401, 429]
    place.clock.advance(MOST * EVERY_S)
    assert knock(keys, HERE, MOST + 1) == [*[401] * MOST, 429]


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "", True),
    ],
)
async def test_neighbours_of_an_ipv6_network_are_one(
    place: Place, one: str, other: str, together: bool
) -> None:
    keys = await place.worker()

    knock(keys, one, MOST)

    assert knock(keys, other) == [429 if together else 401]


async def test_a_call_without_a_key_or_with_one_that_ended_is_no_guess(place: Place) -> None:
    made = await place.book.create({"name": "app"})
    await place.book.disable("app")
    keys = await place.worker()

    for _ in range(MOST + 1):
        assert refused(keys, made.secret) == "disabled"
        with pytest.raises(Unauthenticated, match="wants a key"):
            keys.authenticate("", HERE)

    assert knock(keys, HERE) == [401]


async def test_guesses_from_everywhere_take_bounded_memory(place: Place) -> None:
    keys = await place.worker()

    for i in range(12_000):
        knock(keys, f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}")

    assert len(keys.knocks._forgiven_at) == 10_000


# The law: whoever shows a secret comes in exactly as long as it counts


class OnlyLiveSecrets(RuleBasedStateMachine):
    """Keys come and go in any order, under a clock that moves; two workers look now and then."""

    @initialize()
    def open(self) -> None:
        self.place = opened()
        self.loop = asyncio.new_event_loop()
        self.workers = [self.loop.run_until_complete(self.place.worker()) for _ in range(2)]
        self.ends: dict[str, float] = {}  # secret -> when it ends
        self.secret_of: dict[str, str] = {}  # id of a live key -> its present secret
        self.expiry: dict[str, float] = {}
        self.former: dict[str, str] = {}  # secret that was replaced -> id
        self.names = 0

    def teardown(self) -> None:
        self.loop.close()

    @property
    def now(self) -> float:
        return self.place.clock.wall()

    def live(self) -> list[str]:
        return [id for id in self.secret_of if self.now < self.expiry[id]]

    @rule(expires=st.sampled_from([None, "1m", "1h"]))
    def create(self, expires: str | None) -> None:
        self.names += 1
        wish = {"name": f"n{self.names}", "expires": expires}
        made = self.loop.run_until_complete(self.place.book.create(wish))
        end = {None: float("inf"), "1m": self.now + 60, "1h": self.now + HOUR}[expires]
        self.secret_of[made.key.id], self.expiry[made.key.id] = made.secret, end
        self.ends[made.secret] = end

    @rule(data=st.data(), overlap=st.sampled_from([0, 60, 7_200]))
    def rotate(self, data: st.DataObject, overlap: int) -> None:
        if not self.live():
            return
        id = data.draw(st.sampled_from(self.live()))
        made = self.loop.run_until_complete(self.place.book.rotate(id, f"{overlap}s"))
        self.end_former(id)
        self.ends[self.secret_of[id]] = min(self.now + overlap, self.expiry[id])
        self.former[self.secret_of[id]] = id
        self.secret_of[id], self.ends[made.secret] = made.secret, self.expiry[id]

    def end_former(self, id: str) -> None:
        for secret, owner in self.former.items():
            if owner == id:
                self.ends[secret] = 0.0

    @rule(data=st.data())
    def disable(self, data: st.DataObject) -> None:
        if not self.secret_of:
            return
        id = data.draw(st.sampled_from(list(self.secret_of)))
        self.loop.run_until_complete(self.place.book.disable(id))
        self.ends[self.secret_of.pop(id)] = 0.0
        self.end_former(id)

    @rule(seconds=st.sampled_from([1, 59, 60, 3_600]))
    def wait(self, seconds: int) -> None:
        self.place.clock.advance(seconds)

    @invariant()
    def only_live_secrets_come_in(self) -> None:
        for keys in self.workers:
            self.loop.run_until_complete(keys.refresh())
            for secret, end in self.ends.items():
                try:
                    keys.authenticate(f"Bearer {secret}", HERE)
                    came_in = True
                except Unauthenticated:
                    came_in = False
                assert came_in is (self.now < end)


TestOnlyLiveSecrets = OnlyLiveSecrets.TestCase
TestOnlyLiveSecrets.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
