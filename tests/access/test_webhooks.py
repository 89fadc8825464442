"""What webhooks get: forms, signatures, retries; and no secret anywhere else."""

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from proxy.access.news import Alert
from proxy.access.outbox import Outbox, pause_s
from proxy.access.webhooks import Message, Poster, Reply, Webhook, body_of, signature, webhooks_of
from proxy.checks import check_all
from proxy.config.settings import Config, WebhookSettings
from proxy.core.events import AlertDelivered, AlertKind, DeliveryResult
from proxy.core.money import NANO
from tests.access.records import MemoryRecords
from tests.fakes import FakeClock
from tests.stories.receiver import Receiver, receiving

DAY = 1_800_000_000 // 86_400 * 86_400
ALERT = Alert(
    "team:search|day|1|0",
    AlertKind.THRESHOLD,
    "team:search",
    "team search",
    "day",
    DAY,
    DAY + 86_400,
    True,
    4_023_400_001,
    5 * NANO,
    DAY + 3600.0,
    threshold=0.8,
)
SECRET_PATH = "/services/T000/B000/XXXXhunter2XXXX"


@dataclass
class Postman:
    """A `post` that answers from a script, then with 200, and keeps what it was given."""

    replies: list[Reply] = field(default_factory=list)
    sent: list[tuple[str, str, str]] = field(default_factory=list)  # webhook, delivery, text
    hold: dict[str, asyncio.Event] = field(default_factory=dict)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def post(self, webhook: Webhook, message: Message, *, id: str, at: float) -> Reply:
        self.sent.append((webhook.label, id, message.text))
        self.asked.set()
        if webhook.label in self.hold:
            await self.hold[webhook.label].wait()
        return self.replies.pop(0) if self.replies else Reply(True, "status 200")


DOWN = Reply(False, "status 503")


@dataclass
class Office:
    """Outboxes of several workers over one store."""

    records: MemoryRecords = field(default_factory=MemoryRecords)
    clock: FakeClock = field(default_factory=FakeClock)
    postman: Postman = field(default_factory=Postman)
    told: list[AlertDelivered] = field(default_factory=list)

    def worker(self, *webhooks: Webhook) -> Outbox:
        outbox = Outbox(
            self.records,
            self.postman.post,
            wall=self.clock.wall,
            chance=Random(7),
            tell=self.told.append,
        )
        outbox.webhooks = webhooks or (webhook(1),)
        return outbox

    async def pass_time(self, seconds: int, *outboxes: Outbox) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            for outbox in outboxes:
                await outbox.beat()
            for outbox in outboxes:
                await outbox.idle()


def webhook(number: int, secret: str = "") -> Webhook:
    return Webhook(f"json-{number}", "json", f"http://127.0.0.1:9/{number}", secret)


def settings(url: str, format: str = "json", secret: str | None = None) -> WebhookSettings:
    return WebhookSettings.model_validate(
        {
            "url": SecretStr(url),
            "format": format,
            "secret": None if secret is None else SecretStr(secret),
        }
    )


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@asynccontextmanager
async def posting(each: WebhookSettings) -> AsyncIterator[tuple[Poster, Webhook]]:
    async with Poster() as poster:
        (found,) = webhooks_of((each,))
        yield poster, found


def test_the_json_form_has_the_documented_fields_and_exact_money() -> None:
    body = body_of("json", Message("words", ALERT), "d1")

    assert b'"spent_usd":4.023400001,"limit_usd":5,' in body
    told = json.loads(body)
    assert {name: told[name] for name in list(told)[:14]} == {
        "event": "threshold",
        "delivery": "d1",
        "message": "words",
        "budget": "team:search",
        "owner": "team search",
        "period": "day",
        "hard": True,
        "threshold": 0.8,
        "spent_usd": 4.023400001,
        "limit_usd": 5,
        "window_start": "2027-01-15T00:00:00Z",
        "window_end": "2027-01-16T00:00:00Z",
        "ends_at": None,
        "raised_at": "2027-01-15T01:00:00Z",
    }


def test_receivers_of_alertmanager_understand_the_json_form_too() -> None:
    firing = json.loads(body_of("json", Message("words", ALERT), "d1"))
    over = replace(ALERT, kind=AlertKind.RESOLVED, threshold=None)
    resolved = json.loads(body_of("json", Message("words", over), "d2"))

    assert firing["version"] == "4"
    assert firing["status"] == firing["alerts"][0]["status"] == "firing"
    assert firing["alerts"][0]["labels"]["budget"] == "team:search"
    assert firing["alerts"][0]["annotations"] == {"summary": "words"}
    assert resolved["status"] == resolved["alerts"][0]["status"] == "resolved"


def test_the_slack_form_is_text_and_blocks_with_slacks_signs_escaped() -> None:
    told = json.loads(body_of("slack", Message("a <b> & c", ALERT), "d1"))

    assert told["text"] == "a &lt;b&gt; &amp; c"
    assert told["blocks"][0]["text"]["text"] == told["text"]


async def test_a_signature_verifies_over_the_timestamp_and_the_very_bytes(
    receiver: Receiver,
) -> None:
    async with posting(settings(receiver.url, secret="hush-hush")) as (poster, to):
        await poster.post(to, Message("words", ALERT), id="d1", at=1_800_000_000.9)

    (got,) = receiver.got
    signed = got.headers["x-proxy-timestamp"].encode() + b"." + got.body
    assert got.headers["x-proxy-timestamp"] == "1800000000"
    expected = hmac.new(b"hush-hush", signed, sha256).hexdigest()
    assert got.headers["x-proxy-signature"] == f"sha256={expected}"
    assert got.delivery == "d1"


async def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    async with posting(settings(receiver.url)) as (poster, to):
        await poster.post(to, Message("words", ALERT), id="d1", at=0.0)

    assert "x-proxy-signature" not in receiver.got[0].headers


@given(st.text(), st.binary())
def test_any_secret_and_any_body_can_be_signed(secret: str, body: bytes) -> None:
    assert len(signature(secret, "1", body)) == len("sha256=") + 64


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answers, receiver.headers = [302], {"Location": f"{receiver.url}/elsewhere"}

    async with posting(settings(receiver.url)) as (poster, to):
        reply = await poster.post(to, Message("words", ALERT), id="d1", at=0.0)

    assert (reply.good, reply.told, len(receiver.got)) == (False, "status 302", 1)


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:1{SECRET_PATH}",
        f"https://no-such-host.invalid{SECRET_PATH}",
        f"ftp://127.0.0.1{SECRET_PATH}",
        f"http://127.0.0.1:99999{SECRET_PATH}",
        f"http://[hunter2{SECRET_PATH}",
        f"http://a..b{SECRET_PATH}",
        f"not an address {SECRET_PATH}",
        SECRET_PATH,
        "http://hunter2:hunter2@127.0.0.1:1/\r\nx",
    ],
)
async def test_an_address_that_fails_is_told_without_itself(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async with posting(settings(url, secret="hunter2")) as (poster, to):
        reply = await poster.post(to, Message("words", ALERT), id="d1", at=0.0)

    assert not reply.good
    assert "hunter2" not in f"{reply} {to!r} {to.label} {to.id} {caplog.text}"


def test_webhooks_are_called_by_format_and_place_and_one_without_address_is_left_away() -> None:
    found = webhooks_of((settings("https://a", "slack"), settings(""), settings("https://b")))

    assert [each.label for each in found] == ["slack-1", "json-3"]


async def test_a_delivery_arrives_once_whoever_adds_it_and_however_many_workers_send() -> None:
    office = Office()
    workers = [office.worker() for _ in range(3)]
    for worker in workers:
        await worker.add(ALERT, "words")

    await office.pass_time(60, *workers)

    assert [text for _, _, text in office.postman.sent] == ["words"]
    assert [each.result for each in office.told] == [DeliveryResult.OK]


async def test_a_receiver_that_fails_is_told_again_under_the_same_id_until_it_is_well() -> None:
    office = Office()
    office.postman.replies = [DOWN, Reply(False, "unreachable: ClientConnectorError"), DOWN]
    worker = office.worker()
    await worker.add(ALERT, "words")

    await office.pass_time(300, worker)

    assert len(office.postman.sent) == 4
    assert len({id for _, id, _ in office.postman.sent}) == 1
    results = [str(each.result) for each in office.told]
    assert results == ["retry", "retry", "retry", "ok"]


async def test_after_eight_tries_a_delivery_is_given_up_and_kept_as_such(
    caplog: pytest.LogCaptureFixture,
) -> None:
    office = Office()
    office.postman.replies = [DOWN] * 20
    worker = office.worker()
    await worker.add(ALERT, "words")

    await office.pass_time(3000, worker)

    assert len(office.postman.sent) == 8
    assert office.told[-1] == AlertDelivered("json-1", DeliveryResult.GAVE_UP)
    (kept,) = office.records.kept.values()
    told = json.loads(kept.value or b"")
    assert (told["state"], told["tries"], told["told"]) == ("gave_up", 8, "status 503")
    assert "json-1 could not be told, after 8 tries: status 503" in caplog.text


@given(st.integers(0, 2**32), st.integers(1, 7), st.floats(0, 1e5))
def test_every_pause_lies_between_a_second_and_five_minutes(
    seed: int, tried: int, asked_s: float
) -> None:
    pause = pause_s(tried, asked_s, Random(seed))

    assert max(1.0, min(asked_s, 300.0)) <= pause <= 300.0


def test_eight_tries_take_about_ten_minutes() -> None:
    chance = Random(1)

    taken = [sum(pause_s(tried, 0.0, chance) for tried in range(1, 8)) for _ in range(500)]

    assert 480 < sum(taken) / len(taken) < 660


async def test_what_a_webhook_asks_for_is_waited() -> None:
    office = Office()
    office.postman.replies = [Reply(False, "status 429", retry_after_s=120.0)]
    worker = office.worker()
    await worker.add(ALERT, "words")

    await office.pass_time(119, worker)
    before = len(office.postman.sent)
    await office.pass_time(3, worker)

    assert (before, len(office.postman.sent)) == (1, 2)


async def test_a_slow_webhook_delays_no_other() -> None:
    office = Office()
    office.postman.hold["json-1"] = asyncio.Event()
    worker = office.worker(webhook(1), webhook(2))
    for number in range(3):
        await worker.add(replace(ALERT, id=f"a{number}"), f"words {number}")
    await worker.beat()

    for _ in range(100):
        await asyncio.sleep(0)

    assert [text for label, _, text in office.postman.sent if label == "json-2"] == [
        "words 0",
        "words 1",
        "words 2",
    ]
    assert [label for label, _, _ in office.postman.sent].count("json-1") == 1
    office.postman.hold["json-1"].set()
    await worker.idle()


async def test_another_worker_takes_over_what_a_dead_one_had_claimed() -> None:
    office = Office()
    dying, heir = office.worker(), office.worker()
    office.postman.hold["json-1"] = asyncio.Event()
    await dying.add(ALERT, "words")
    await dying.beat()
    await office.postman.asked.wait()
    await asyncio.wait_for(_killed(dying), 1)
    office.postman.hold.clear()

    await office.pass_time(25, heir)
    before = len(office.postman.sent)
    await office.pass_time(20, heir)

    assert (before, len(office.postman.sent)) == (1, 2)
    assert len({id for _, id, _ in office.postman.sent}) == 1  # so that the double can be dropped


async def _killed(outbox: Outbox) -> None:
    lanes = list(outbox._lanes.values())
    for lane in lanes:
        lane.cancel()
    await asyncio.wait(lanes)


async def test_a_store_that_is_away_when_the_answer_comes_makes_no_second_message() -> None:
    office = Office()
    worker, other = office.worker(), office.worker()
    await worker.add(ALERT, "words")
    office.records.fails_after = 1  # the claim still goes through

    await worker.beat()
    await worker.idle()
    office.records.away, office.records.fails_after = False, None
    await office.pass_time(60, worker, other)

    assert len(office.postman.sent) == 1
    assert [each.result for each in office.told] == [DeliveryResult.OK]


async def test_a_webhook_that_a_reload_took_away_is_given_up() -> None:
    office = Office()
    office.postman.replies = [DOWN] * 9
    worker = office.worker()
    await worker.add(ALERT, "words")
    await office.pass_time(1, worker)

    worker.webhooks = (webhook(2),)
    await office.pass_time(60, worker)

    assert [label for label, _, _ in office.postman.sent] == ["json-1"]
    assert office.told[-1].result is DeliveryResult.GAVE_UP


async def test_a_wall_clock_set_back_holds_no_delivery_up() -> None:
    office = Office()
    worker = office.worker()
    await worker.add(ALERT, "words")

    office.clock.set_wall(office.clock.wall() - 86_400)
    await office.pass_time(2, worker)

    assert len(office.postman.sent) == 1


async def test_old_deliveries_are_forgotten_and_never_sent_again() -> None:
    office = Office()
    worker = office.worker()
    await worker.add(ALERT, "words")
    await office.pass_time(1, worker)

    office.clock.advance(36 * 86_400)
    await worker.clean()
    await worker.add(ALERT, "words")
    await office.pass_time(2, worker, office.worker())

    assert [kept.value for kept in office.records.kept.values()] == [None]
    assert len(office.postman.sent) == 1


async def test_what_is_unreadable_in_the_store_stops_nothing() -> None:
    office = Office()
    worker = office.worker()
    for number, value in enumerate([b"", b"{", b"[]", b"null", b'{"alert": 7}', b"\xff"]):
        await office.records.put("delivery", str(number), value)
    await worker.add(ALERT, "words")

    await office.pass_time(1, worker)
    await worker.clean()

    assert len(office.postman.sent) == 1


async def test_nothing_that_is_kept_or_logged_holds_an_address_or_a_secret(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    office = Office()
    receiver.answers = [500, 404]
    async with posting(settings(receiver.url + SECRET_PATH, "slack", "hunter2")) as (poster, to):
        worker = Outbox(
            office.records,
            poster.post,
            wall=office.clock.wall,
            chance=Random(7),
            tell=office.told.append,
        )
        worker.webhooks = (to,)
        await worker.add(ALERT, "words")
        await office.pass_time(120, worker)

    assert len(receiver.got) == 3
    assert receiver.got[0].path == SECRET_PATH
    seen = f"{caplog.text} {office.records.kept} {office.told} {worker.webhooks}"
    assert "hunter2" not in seen
    assert "/services" not in seen


async def checked(*webhooks: WebhookSettings) -> bool:
    config = Config.model_validate(
        {
            "providers": {"ollama": {"base_url": "http://127.0.0.1:1/v1", "keys": "none"}},
            "default_provider": "ollama",
            "alerts": {"webhooks": webhooks},
        }
    )
    return await asyncio.to_thread(check_all, config, None, alerts=True)


async def test_check_sends_a_test_message_to_every_webhook_with_a_line_each(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answers = [200]
    one, two = settings(receiver.url, "slack"), settings(f"http://127.0.0.1:1{SECRET_PATH}")

    assert not await checked(one, two)

    assert [line for line in capsys.readouterr().out.splitlines() if "alert" in line] == [
        "ok    alert     slack-1: status 200",
        "FAIL  alert     json-2: unreachable: ClientConnectorError",
    ]
    assert receiver.texts == ["this is a test of groq-proxy: alerts about budgets will arrive here"]


async def test_check_of_alerts_that_nobody_hears_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert not await checked()

    assert "FAIL  alert     nobody is told" in capsys.readouterr().out
