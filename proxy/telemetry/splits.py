"""The arms of names that split their calls, side by side -> Prometheus."""

from collections.abc import Collection, Mapping

from proxy.core.call import Target
from proxy.core.errors import Outcome
from proxy.core.journal import CallRecord, FlightRecord
from proxy.core.money import NANO
from proxy.telemetry.labels import ModelLabels
from proxy.telemetry.meters import TTFT, Families

MAX_ARMS = 40  # over all names; none beyond is counted
_MOST_LATE = 10_000  # flights that go on after their call


class SplitMetrics:
    """The families that compare arms. A call counts for the arm it was given, whoever answered."""

    def __init__(self, families: Families, models: ModelLabels) -> None:
        self._models = models
        self._arms: Mapping[str, Collection[Target]] = {}
        self._late: dict[int, tuple[str, str]] = {}
        labels = ("alias", "arm")
        self._requests = families.counter(
            "split_requests_total",
            "Calls to names with weights, by the arm they were given and how they ended.",
            (*labels, "outcome"),
        )
        self._cost = families.counter(
            "split_cost_usd_total", "What those calls cost, by our prices.", labels
        )
        self._tokens = families.counter(
            "split_tokens_total", "Tokens of those calls.", (*labels, "direction")
        )
        self._first_token = families.histogram(
            "split_time_to_first_token_seconds",
            "From the request to the first content flushed to the client; streams not from the"
            " cache.",
            labels,
            TTFT,
        )

    def configure(self, arms: Mapping[str, Collection[Target]]) -> None:
        """Compare the arms of these names, from 0 on."""
        room = MAX_ARMS
        kept: dict[str, Collection[Target]] = {}
        for alias, targets in arms.items():
            if len(targets) <= room:
                kept[alias] = frozenset(targets)
                room -= len(targets)
        for alias, targets in kept.items():
            for target in targets:
                arm = self._models.of(target)
                self._cost(alias, arm)
                for outcome in Outcome:
                    self._requests(alias, arm, outcome)
                for direction in ("input", "output"):
                    self._tokens(alias, arm, direction)
        self._arms = kept

    def call_closed(self, record: CallRecord) -> None:
        """Count a call to such a name."""
        call, target = record.call, record.target
        if call is None or target is None or not self._arms:
            return
        alias = record.choice.to if record.choice is not None else call.model
        if target not in self._arms.get(alias, ()):
            return
        labels = alias, self._models.of(target)
        self._requests(*labels, record.outcome).inc()
        flight = record.flight
        if flight is None:
            return
        if flight.ended:
            self._pay(flight, labels)
        elif len(self._late) < _MOST_LATE:
            self._late[id(flight)] = labels
        first_at = record.sent.first_content_at
        if record.streaming and first_at is not None:
            self._first_token(*labels).observe(first_at - record.started)

    def flight_closed(self, record: FlightRecord) -> None:
        """Count what a flight cost that went on without its call."""
        if self._late and (labels := self._late.pop(id(record), None)) is not None:
            self._pay(record, labels)

    def _pay(self, flight: FlightRecord, labels: tuple[str, str]) -> None:
        self._cost(*labels).inc((flight.cost or 0) / NANO)
        usage = flight.summary.usage
        if usage is not None:
            self._tokens(*labels, "input").inc(usage.prompt)
            self._tokens(*labels, "output").inc(usage.completion)
