"""Tells webhooks: what is posted, how it is signed, and what came of it.

A webhook is called by its format and its place in the list (`slack-1`): its address is a secret,
and stands in no name, message or error.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import aiohttp
import orjson

from proxy import __version__
from proxy.access.news import Alert, iso
from proxy.config.settings import WebhookSettings
from proxy.core.events import AlertKind
from proxy.core.money import usd_text

_TIMEOUT_S: Final = 5.0
_ALERT_NAMES: Final = {
    AlertKind.THRESHOLD: "GroqProxyBudgetThreshold",
    AlertKind.FORECAST: "GroqProxyBudgetForecast",
}


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told."""

    label: str
    format: Literal["slack", "json"]
    url: str = field(repr=False)
    secret: str = field(default="", repr=False)  # signs the body; "" leaves it unsigned

    @property
    def id(self) -> str:
        """The same wherever it stands in the list, and not its address."""
        return sha256(f"{self.format} {self.url}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def webhooks_of(settings: Sequence[WebhookSettings]) -> tuple[Webhook, ...]:
    """Those that have an address: a variable that is not set leaves it empty."""
    return tuple(
        Webhook(
            f"{each.format}-{place}",
            each.format,
            url,
            each.secret.get_secret_value() if each.secret else "",
        )
        for place, each in enumerate(settings, start=1)
        if (url := each.url.get_secret_value().strip())
    )


@dataclass(frozen=True, slots=True)
class Message:
    """What a webhook is sent: an alert in words; of a test, only words."""

    text: str
    alert: Alert | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a try: `told` is a status or the name of an error."""

    good: bool
    told: str
    retry_after_s: float = 0.0


class Post(Protocol):
    """Sends a message once."""

    async def __call__(self, webhook: Webhook, message: Message, *, id: str, at: float) -> Reply:
        """What came of it; `id` is the delivery's, `at` the time in Unix seconds."""
        ...


class Poster:
    """Sends messages over HTTP, five seconds each, to where they are addressed and no further."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"groq-proxy/{__version__}"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def post(self, webhook: Webhook, message: Message, *, id: str, at: float) -> Reply:
        """Send a message once."""
        body = body_of(webhook.format, message, id)
        headers = {
            "Content-Type": "application/json",
            "x-proxy-delivery": id,
            "x-proxy-timestamp": str(int(at)),
        }
        if webhook.secret:
            signed = signature(webhook.secret, headers["x-proxy-timestamp"], body)
            headers["x-proxy-signature"] = signed
        try:
            async with self._session.post(
                webhook.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return Reply(
                    200 <= answer.status < 300,
                    f"status {answer.status}",
                    _seconds(answer.headers.get("Retry-After", "")),
                )
        except TimeoutError:
            return Reply(False, f"no answer within {_TIMEOUT_S:.0f} s")
        except (aiohttp.InvalidURL, ValueError, TypeError):  # of an address that is none
            return Reply(False, "its url is no http(s) address")
        except (aiohttp.ClientError, OSError) as error:  # whose text may hold the address
            return Reply(False, f"unreachable: {type(error).__name__}")


def _seconds(header: str) -> float:
    return float(header) if header.isascii() and header.isdigit() and len(header) < 6 else 0.0


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=HEX`: HMAC-SHA256 of `TIMESTAMP.BODY`, so that neither can be changed."""
    key = secret.encode("utf-8", "surrogatepass")
    return f"sha256={hmac.new(key, timestamp.encode() + b'.' + body, sha256).hexdigest()}"


def body_of(format: Literal["slack", "json"], message: Message, delivery: str) -> bytes:
    """The JSON that is posted."""
    fields = _slack(message) if format == "slack" else _json(message, delivery)
    return orjson.dumps(fields)


def _slack(message: Message) -> dict[str, Any]:
    """Three signs are escaped: https://docs.slack.dev/messaging/formatting-message-text/."""
    text = message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    alert = message.alert
    about = "test" if alert is None else f"{alert.kind} · {alert.scope} · {alert.window}"
    return {
        "text": text,
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": text}},
            {
                "type": "context",
                "elements": [{"type": "plain_text", "text": f"groq-proxy · {about}"}],
            },
        ],
    }


def _json(message: Message, delivery: str) -> dict[str, Any]:
    """Fields of our own, and those of Alertmanager's webhooks, for receivers that know these."""
    alert = message.alert
    told: dict[str, Any] = {"event": "test" if alert is None else str(alert.kind)}
    told |= {"delivery": delivery, "message": message.text}
    if alert is None:
        return told | _as_alertmanager({"alertname": "GroqProxyTest"}, message.text, None)
    told |= {
        "budget": alert.scope,
        "owner": alert.owner,
        "period": alert.window,
        "hard": alert.hard,
        "threshold": alert.threshold,
        # exact decimals: no float comes near money
        "spent_usd": orjson.Fragment(usd_text(alert.spent)),
        "limit_usd": orjson.Fragment(usd_text(alert.limit)),
        "window_start": iso(alert.start),
        "window_end": iso(alert.end),
        "ends_at": iso(alert.ends_at),
        "raised_at": iso(alert.at),
    }
    labels = {
        "alertname": _ALERT_NAMES.get(alert.kind, "GroqProxyBudget"),
        "budget": alert.scope,
        "period": alert.window,
        "severity": "page" if alert.hard and (alert.threshold or 0) >= 1 else "ticket",
    }
    return told | _as_alertmanager(labels, message.text, alert)


def _as_alertmanager(labels: dict[str, str], summary: str, alert: Alert | None) -> dict[str, Any]:
    """Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config."""
    resolved = alert is not None and alert.kind is AlertKind.RESOLVED
    status = "resolved" if resolved else "firing"
    annotations = {"summary": summary}
    return {
        "version": "4",
        "status": status,
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": annotations,
                "startsAt": iso(alert.at if alert else 0),
                "endsAt": iso(alert.at) if alert and resolved else "0001-01-01T00:00:00Z",
            }
        ],
    }
