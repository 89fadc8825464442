import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from proxy.config.settings import ProviderSettings
from proxy.core.call import Target
from proxy.core.errors import BadAnswer, KeyRejected, TimedOut, Unreachable
from proxy.core.events import KeyChecked, KeyState
from proxy.upstream.catalogue import FRESH_S, RETRY_S, Catalogue
from proxy.upstream.provider import Provider
from proxy.upstream.transport import Incoming, Outgoing
from tests.fakes import FakeClock

MODELS = [{"id": "openai/gpt-oss-20b", "created": 1}, {"id": "models/gemini-3.5-flash"}]


class Told(Incoming):
    """An answer that is there at once."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {}
        self._body = body

    async def read(self, limit: int) -> bytes:
        return self._body

    async def chunk(self) -> bytes:
        body, self._body = self._body, b""
        return body

    held_s = 0.0

    def progressed(self) -> None: ...

    async def close(self, *, grace_s: float = 0.0) -> None: ...


class Listing:
    """A transport to a provider that lists `models`, or fails with `error`."""

    def __init__(self, models: Any = MODELS) -> None:
        self.body = orjson.dumps({"object": "list", "data": models})
        self.status = 200
        self.error: Exception | None = None
        self.rejected: set[str] = set()
        self.asked: list[Outgoing] = []

    async def request(self, outgoing: Outgoing) -> Incoming:
        self.asked.append(outgoing)
        await asyncio.sleep(0)  # as a real one, it lets others run
        if self.error is not None:
            raise self.error
        key = outgoing.headers.get("Authorization", "").removeprefix("Bearer ")
        return Told(401 if key in self.rejected else self.status, self.body)


def provider(listing: Listing, *keys: str, name: str = "groq") -> Provider:
    settings = ProviderSettings.model_validate(
        {
            "base_url": "http://provider/v1",
            "keys": [{"name": key, "value": f"gsk_{key}"} for key in keys] or "none",
        }
    )
    return Provider(name, settings, listing, FakeClock())


async def test_a_list_is_read_and_its_models_are_known_by_their_bare_ids() -> None:
    listing, catalogue = Listing(), Catalogue(FakeClock())

    models = await catalogue.models(provider(listing, "a"))

    assert models["openai/gpt-oss-20b"] == MODELS[0]
    assert set(catalogue.listed("groq")) == {"openai/gpt-oss-20b", "gemini-3.5-flash"}
    assert (listing.asked[0].method, listing.asked[0].url) == ("GET", "http://provider/v1/models")
    assert listing.asked[0].headers["Authorization"] == "Bearer gsk_a"


async def test_nothing_is_listed_before_the_first_reading() -> None:
    assert not Catalogue(FakeClock()).listed("groq")


async def test_a_provider_without_keys_is_asked_without_one() -> None:
    listing = Listing()

    await Catalogue(FakeClock()).models(provider(listing))

    assert "Authorization" not in listing.asked[0].headers


async def test_a_list_is_read_again_only_when_it_is_old() -> None:
    listing, clock = Listing(), FakeClock()
    catalogue, groq = Catalogue(clock), provider(listing, "a")

    await catalogue.models(groq)
    clock.advance(FRESH_S)
    await catalogue.models(groq)
    assert len(listing.asked) == 1

    clock.advance(0.1)
    listing.body = b'{"data":[{"id":"new"}]}'
    assert set(await catalogue.models(groq)) == {"new"}


async def test_many_who_ask_at_once_are_one_question() -> None:
    listing = Listing()
    catalogue, groq = Catalogue(FakeClock()), provider(listing, "a")

    await asyncio.gather(*(catalogue.models(groq) for _ in range(20)))

    assert len(listing.asked) == 1


@pytest.mark.parametrize("error", [Unreachable("x"), TimedOut("x"), BadAnswer("x")])
async def test_an_old_list_serves_while_a_new_one_cannot_be_had(error: Exception) -> None:
    listing, clock = Listing(), FakeClock()
    catalogue, groq = Catalogue(clock), provider(listing, "a")
    old = dict(await catalogue.models(groq))

    clock.advance(2 * FRESH_S)
    listing.error = error

    assert await catalogue.models(groq) == old


async def test_without_any_list_the_failure_is_told() -> None:
    listing, catalogue = Listing(), Catalogue(FakeClock())
    listing.error = Unreachable("x")

    with pytest.raises(Unreachable):
        await catalogue.models(provider(listing, "a"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"data":null}',
        b'{"data":{}}',
        b'{"data":7}',
        b'{"data":[7]}',
        b'{"data":["m"]}',
        b'{"data":[{}]}',
        b'{"data":[{"id":7}]}',
        b'{"data":[{"id":null}]}',
    ],
)
async def test_what_is_no_list_is_a_bad_answer_and_changes_nothing(body: bytes) -> None:
    listing, clock = Listing(), FakeClock()
    catalogue, groq = Catalogue(clock), provider(listing, "a")
    listing.body = body
    with pytest.raises(BadAnswer):
        await catalogue.models(groq)
    assert not catalogue.listed("groq")

    listing.body = b'{"data":[{"id":"m"}]}'
    clock.advance(RETRY_S + 1)
    assert set(await catalogue.models(groq)) == {"m"}


async def test_a_provider_that_cannot_be_asked_is_left_alone_for_a_moment() -> None:
    listing, clock = Listing(), FakeClock()
    catalogue, groq = Catalogue(clock), provider(listing, "a")
    listing.error = Unreachable("down")

    for _ in range(10):
        with pytest.raises(Unreachable):
            await catalogue.models(groq)
    assert len(listing.asked) == 1

    listing.error = None
    clock.advance(RETRY_S + 1)
    assert await catalogue.models(groq)


async def test_a_list_without_end_is_cut_at_ten_thousand() -> None:
    listing = Listing([{"id": f"m{number}"} for number in range(10_001)])

    assert len(await Catalogue(FakeClock()).models(provider(listing, "a"))) == 10_000


async def test_the_list_is_asked_for_with_a_key_that_is_accepted() -> None:
    listing, clock = Listing(), FakeClock()
    catalogue, groq = Catalogue(clock), provider(listing, "a", "b")

    await catalogue.models(groq)
    catalogue.learn("groq", "a", rejected=True)
    clock.advance(2 * FRESH_S)
    await catalogue.models(groq)
    catalogue.learn("groq", "b", rejected=True)
    clock.advance(2 * FRESH_S)
    await catalogue.models(groq)  # none is: then it is the first one's turn to prove itself

    used = [outgoing.headers["Authorization"] for outgoing in listing.asked]
    assert used == ["Bearer gsk_a", "Bearer gsk_b", "Bearer gsk_a"]


def test_a_model_that_is_gone_is_back_when_it_is_listed() -> None:
    catalogue, target = Catalogue(FakeClock()), Target("groq", "m")

    assert not catalogue.gone(target)
    catalogue.lost(target)

    assert catalogue.gone(target)


async def test_of_models_that_clients_make_up_only_some_are_remembered_as_gone() -> None:
    listing = Listing()
    catalogue = Catalogue(FakeClock())
    for number in range(200):
        catalogue.lost(Target("groq", f"m{number}"))

    assert not catalogue.gone(Target("groq", "m0"))
    assert catalogue.gone(Target("groq", "m199"))
    await catalogue.models(provider(listing, "a"))
    assert catalogue.gone(Target("groq", "m199"))


async def test_each_key_is_tried_by_itself() -> None:
    listing = Listing()
    listing.rejected = {"gsk_b"}
    catalogue, groq = Catalogue(FakeClock()), provider(listing, "a", "b")

    good, bad = [await catalogue.check(groq, key) for key in groq.keys]

    assert good == KeyChecked("groq", "a", KeyState.ACTIVE, 2, "accepted")
    assert (bad.key, bad.state, bad.models) == ("b", KeyState.DISABLED, None)
    assert "gsk_b" not in bad.reason
    assert catalogue.can_serve({"groq": groq})


async def test_a_key_that_could_not_be_tried_is_not_held_against_it() -> None:
    listing = Listing()
    listing.error = Unreachable("nobody there")
    catalogue, groq = Catalogue(FakeClock()), provider(listing, "a")

    checked = await catalogue.check(groq, groq.keys[0])

    assert checked == KeyChecked("groq", "a", KeyState.ACTIVE, None, "nobody there")
    assert catalogue.can_serve({"groq": groq})


async def test_nothing_can_be_served_while_every_key_is_rejected() -> None:
    listing = Listing()
    listing.rejected = {"gsk_a", "gsk_b"}
    catalogue, groq = Catalogue(FakeClock()), provider(listing, "a", "b")
    for key in groq.keys:
        await catalogue.check(groq, key)
    assert not catalogue.can_serve({"groq": groq})
    assert catalogue.can_serve({"groq": groq, "ollama": provider(Listing(), name="ollama")})

    listing.rejected = set()
    await catalogue.check(groq, groq.keys[0])

    assert catalogue.can_serve({"groq": groq})


async def test_nothing_can_be_served_without_providers() -> None:
    assert not Catalogue(FakeClock()).can_serve({})


async def test_a_rejected_key_fails_a_list_that_was_never_read() -> None:
    listing = Listing()
    listing.rejected = {"gsk_a"}

    with pytest.raises(KeyRejected):
        await Catalogue(FakeClock()).models(provider(listing, "a"))
