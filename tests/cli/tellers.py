"""What each kind of evidence tells of calls, brought to one form."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.core.money import NANO, Kind, Row
from tests.cli.crew import Scrape
from tests.stories.spans import Seen

OTHER = "other"
SERVED = frozenset({"exact", "semantic", "joined"})  # what another call had paid for

# (model, prompt | prompt_cached | completion), where the completion is all that was put out
Tokens = Counter[tuple[str, str]]
Label = Callable[[str | None], str]


@dataclass
class Told:
    """Sums. Money in nano-dollars; what is 0 is left out."""

    outcomes: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)  # calls; without `other`
    tokens: Tokens = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)  # calls
    cost: Counter[str] = field(default_factory=Counter)  # by tenant
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)  # calls by model and outcome

    def call(self, model: str, outcome: str, tenant: str | None) -> None:
        """Count one."""
        self.outcomes[outcome] += 1
        self.ends[model, outcome] += 1
        if model != OTHER:
            self.models[model] += 1
        if tenant:
            self.tenants[tenant] += 1

    def use(self, model: str, prompt: float, cached: float, completion: float) -> None:
        """Count tokens; `cached` are part of `prompt`."""
        for kind, count in (
            *(("prompt", prompt - cached), ("prompt_cached", cached)),
            ("completion", completion),
        ):
            if count:
                self.tokens[model, kind] += int(count)


def nano(dollars: float | None) -> int:
    """The money that a number stands for."""
    return round((dollars or 0.0) * NANO)


def labelled(known: Iterable[str]) -> Label:
    """What metrics call a target: `known` ones of the default provider by their bare id."""
    names = frozenset(known)

    def label(target: str | None) -> str:
        bare = (target or "").removeprefix("groq/")
        return bare if bare in names else OTHER

    return label


def metrics_tell(scrape: Scrape) -> Told:
    """From `/metrics`, over all workers."""
    told = Told()
    for labels, value in _samples(scrape, "requests_total"):
        told.outcomes[labels["outcome"]] += int(value)
        told.ends[labels["model"], labels["outcome"]] += int(value)
        if labels["model"] != OTHER:
            told.models[labels["model"]] += int(value)
    for labels, value in _samples(scrape, "tokens_total"):
        kind = {"reasoning": "completion"}.get(labels["type"], labels["type"])
        told.tokens[labels["model"], kind] += int(value)
    for labels, value in _samples(scrape, "tenant_requests_total"):
        told.tenants[labels["tenant"]] += int(value)
    money: dict[str, float] = {}
    for labels, value in _samples(scrape, "tenant_cost_usd_total"):
        money[labels["tenant"]] = money.get(labels["tenant"], 0.0) + value
    told.cost.update({tenant: nano(usd) for tenant, usd in money.items()})
    return _clean(told)


def _samples(scrape: Scrape, name: str) -> Iterable[tuple[Mapping[str, str], float]]:
    for sample in scrape.samples(f"llmproxy_{name}"):
        yield sample.labels, sample.value


def log_tells(lines: Iterable[Mapping[str, Any]], label: Label) -> Told:
    """From the lines that the workers wrote."""
    told = Told()
    for line in lines:
        told.call(label(line["model"]), line["outcome"], line["tenant"])
        if line["tenant"]:
            told.cost[line["tenant"]] += nano(line["cost_usd"])
        if line["prompt_tokens"] is not None and line["cache"] not in SERVED and line["attempts"]:
            told.use(
                label(line["upstream_model"]),
                line["prompt_tokens"],
                line["prompt_cached_tokens"],
                line["completion_tokens"],
            )
    return _clean(told)


def spans_tell(spans: Iterable[Seen], label: Label) -> Told:
    """From what the collector got."""
    told, tenants = Told(), {}
    spans = list(spans)
    for span in spans:
        if span.kind == "server":
            own = span.attributes
            tenants[span.trace] = own.get("llmproxy.tenant")
            told.call(
                label(own.get("llmproxy.model")),
                own["llmproxy.outcome"],
                own.get("llmproxy.tenant"),
            )
    for span in spans:
        own, tenant = span.attributes, tenants.get(span.trace)
        if span.name == "llmproxy.settle" and tenant:
            told.cost[tenant] += nano(own.get("llmproxy.cost_usd"))
        if span.kind == "client" and "gen_ai.usage.input_tokens" in own:
            told.use(
                label(own["gen_ai.request.model"]),
                own["gen_ai.usage.input_tokens"],
                own.get("gen_ai.usage.cache_read.input_tokens", 0),
                own["gen_ai.usage.output_tokens"],
            )
    return _clean(told)


def live_tells(page: Mapping[str, Any]) -> Told:
    """From the slots of `/admin/live`."""
    told = Told()
    for slot in page["slots"]:
        told.outcomes.update(slot["calls"])
        for model, own in slot["models"].items():
            if model != OTHER:
                told.models[model] += own["calls"]
            _disjoint(told, model, own["tokens"])
        for tenant, own in slot["tenants"].items():
            told.tenants[tenant] += own["calls"]
            told.cost[tenant] += nano(own["cost_usd"])
    return _clean(told)


def calls_tell(calls: Iterable[Mapping[str, Any]], label: Label) -> Told:
    """From the records of `/admin/calls`."""
    told = Told()
    for call in calls:
        told.call(label(call["model"]["target"]), call["outcome"], call["tenant"])
        if call["tenant"]:
            told.cost[call["tenant"]] += sum(nano(paid["usd"]) for paid in call["paid"])
        if call["attempts"] and call["tokens"]:
            served = call["model"]["served_by"] or call["attempts"][-1]["target"]
            _disjoint(told, label(served), call["tokens"])
    return _clean(told)


def usage_tells(by_key: Mapping[str, Any], by_model: Mapping[str, Any], label: Label) -> Told:
    """From `/admin/usage`; of calls only those that were understood."""
    told = Told()
    for row in by_key["rows"]:
        told.tenants[row["name"]] += row["calls"]
        told.cost[row["name"]] += nano(row["cost_usd"])
    for row in by_model["rows"]:
        told.use(
            label(row["name"]),
            row["prompt_tokens"],
            row["prompt_cached_tokens"],
            row["completion_tokens"],
        )
    return _clean(told)


def settled(rows: Iterable[Row]) -> Counter[str]:
    """What the ledger holds for each call that cost something."""
    costs: Counter[str] = Counter()
    for row in rows:
        if row.kind is Kind.SETTLE and row.amount:
            costs[row.hold_id.rpartition(".")[0]] += row.amount
    return costs


def _disjoint(told: Told, model: str, tokens: Mapping[str, Any]) -> None:
    prompt, cached = tokens["prompt"], tokens["prompt_cached"]
    told.use(model, prompt + cached, cached, tokens["completion"] + tokens["reasoning"])


def _clean(told: Told) -> Told:
    for sums in (told.outcomes, told.models, told.tokens, told.tenants, told.cost, told.ends):
        for name in [name for name, value in sums.items() if not value]:
            del sums[name]
    return told
