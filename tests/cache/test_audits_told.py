"""The record of a call tells what its audit is at, also after the call has ended."""

from dataclasses import replace

import pytest

from proxy.core.errors import Unreachable
from proxy.core.journal import NearRecord
from tests.cache.test_audits import ASKED, Bench, call, hit, saying


@pytest.mark.parametrize(
    ("said", "told"), [("kept", "match"), ("wrong", "mismatch"), ("perhaps", "unsure")]
)
async def test_first_that_it_is_due_then_what_it_found(said: str, told: str) -> None:
    bench, record = Bench(), NearRecord()

    async def answer(_: object) -> dict[str, object]:
        return saying(said)

    bench.answers = answer
    bench.audits.consider(call(), ASKED, replace(hit(), record=record))
    before = record.audit
    await bench.audits.idle()

    assert (before, record.audit) == ("due", told)


async def test_or_that_it_could_not_be_made() -> None:
    bench, record = Bench(), NearRecord()

    async def fail(_: object) -> dict[str, object]:
        raise Unreachable("refused")

    bench.answers = fail
    bench.audits.consider(call(), ASKED, replace(hit(), record=record))
    await bench.audits.idle()

    assert record.audit == "not made"


async def test_nothing_is_told_of_a_hit_that_is_not_audited() -> None:
    bench, record = Bench(share=0.0), NearRecord()

    bench.audits.consider(call(), ASKED, replace(hit(), record=record))
    await bench.audits.idle()

    assert record.audit == ""
