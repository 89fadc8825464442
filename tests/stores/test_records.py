"""What every store of records promises."""

import asyncio

from proxy.stores.open import Stores
from proxy.stores.protocols import Kept


async def put(stores: Stores, id: str, value: bytes | None, kind: str = "key") -> Kept:
    kept = await stores.records.put(kind, id, value)
    assert kept is not None
    return kept


async def test_what_was_put_is_there(stores: Stores) -> None:
    kept = await put(stores, "a", b"one")

    assert (kept.kind, kept.id, kept.value) == ("key", "a", b"one")
    assert kept.version > 0
    assert await stores.records.get("key", "a") == kept


async def test_what_never_was_is_none(stores: Stores) -> None:
    await put(stores, "a", b"one")

    assert await stores.records.get("key", "b") is None
    assert await stores.records.get("alert", "a") is None


async def test_a_deleted_record_is_remembered(stores: Stores) -> None:
    await put(stores, "a", b"one")
    gone = await put(stores, "a", None)

    assert await stores.records.get("key", "a") == gone
    assert gone.value is None


async def test_nothing_is_a_value_too(stores: Stores) -> None:
    await put(stores, "a", b"")

    found = await stores.records.get("key", "a")

    assert found is not None
    assert found.value == b""


async def test_any_bytes_are_kept(stores: Stores) -> None:
    value = bytes(range(256)) * 100

    await put(stores, "ü:{b} \n'", value)

    found = await stores.records.get("key", "ü:{b} \n'")
    assert found is not None
    assert found.value == value


async def test_versions_grow_over_all_kinds(stores: Stores) -> None:
    versions = [
        (await put(stores, id, b"", kind)).version
        for kind, id in [("a", "1"), ("b", "1"), ("a", "1"), ("a", "2"), ("b", "1")]
    ]

    assert versions == sorted(set(versions))


async def test_changes_are_told_once_in_their_order(stores: Stores) -> None:
    first = await put(stores, "a", b"1")
    second = await put(stores, "b", b"1")
    await put(stores, "z", b"1", kind="alert")
    third = await put(stores, "a", b"2")
    fourth = await put(stores, "b", None)

    assert list(await stores.records.since("key")) == [third, fourth]
    assert list(await stores.records.since("key", first.version)) == [third, fourth]
    assert list(await stores.records.since("key", second.version)) == [third, fourth]
    assert list(await stores.records.since("key", third.version)) == [fourth]
    assert not await stores.records.since("key", fourth.version)
    assert not await stores.records.since("nothing")


async def test_what_is_expected_to_be_new_is_put_once(stores: Stores) -> None:
    kept = await stores.records.put("key", "a", b"one", expected=0)
    again = await stores.records.put("key", "a", b"two", expected=0)

    assert kept is not None
    assert again is None
    assert await stores.records.get("key", "a") == kept


async def test_a_record_changes_only_from_the_version_expected(stores: Stores) -> None:
    first = await put(stores, "a", b"one")
    second = await stores.records.put("key", "a", b"two", expected=first.version)

    assert second is not None
    assert await stores.records.put("key", "a", b"three", expected=first.version) is None
    assert await stores.records.get("key", "a") == second


async def test_a_deleted_record_is_not_new_again(stores: Stores) -> None:
    await put(stores, "a", b"one")
    gone = await put(stores, "a", None)

    assert await stores.records.put("key", "a", b"two", expected=0) is None
    assert await stores.records.put("key", "a", b"two", expected=gone.version) is not None


async def test_of_many_who_claim_a_record_one_gets_it(stores: Stores) -> None:
    claims = await asyncio.gather(
        *(stores.records.put("alert", "a", str(n).encode(), expected=0) for n in range(50))
    )

    winners = [claim for claim in claims if claim is not None]
    assert len(winners) == 1
    assert await stores.records.get("alert", "a") == winners[0]
