"""Every section of the YAML file, in its order: default, unit, meaning."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from proxy.config.known import KNOWN
from proxy.config.names import (
    Address,
    AddressText,
    BaseUrl,
    Credential,
    Folder,
    Label,
    ModelName,
    Origin,
    Pattern,
    ProviderName,
    Secret,
    TargetName,
    ZoneName,
)
from proxy.config.section import Count, Many, Named, Seconds, Section, Share, at, laid_over
from proxy.config.units import Allowance, BudgetText, Duration, LimitText, Size, Usd, budget
from proxy.core.money import Budget
from proxy.core.rates import Limit

# A knob that stands in the place of another one: examples show it commented out.
INSTEAD: Final[JsonDict] = {"instead": True}


class KeySettings(Section):
    """One API key of a provider."""

    name: Label = Field(description="what logs and metrics call the key", examples=["a"])
    value: Credential = Field(
        description="the key itself; one that comes out empty is left away",
        examples=["${GROQ_API_KEY}"],
    )
    org: Label | None = Field(
        None, description="whose quota it uses; keys without one share one (gemini: one each)"
    )
    plan: Literal["free", "developer"] | None = Field(
        None, description="free | developer: gives limits that no header tells"
    )


class TimeoutSettings(Section):
    """How long a provider may take, in seconds."""

    connect_s: Seconds = Field(3.0, description="until the connection stands")
    first_byte_s: Seconds = Field(30.0, description="streams: until the first byte (ollama: 180)")
    idle_s: Seconds = Field(30.0, description="streams: longest gap between two bytes")
    total_s: Seconds = Field(120.0, description="a whole answer that is not streamed")
    stream_total_s: Seconds = Field(600.0, description="a whole streamed answer")


class BreakerSettings(Section):
    """When a target that fails is left alone, and for how long."""

    failures: Count = Field(5, description="in a row, before the breaker opens")
    window_s: Seconds = Field(30.0, description="over which calls are counted")
    failure_rate: Share = Field(
        0.5, description="of 10 calls or more: the failed share that opens it"
    )
    slow_s: Seconds = Field(20.0, description="a later first byte is slow; 80 % slow calls open it")
    open_s: Seconds = Field(5.0, description="first pause (±20 %); each failed probe doubles it")
    max_open_s: Seconds = Field(30.0, description="the longest pause (±20 %)")


def _with_value(keys: tuple[KeySettings, ...]) -> tuple[KeySettings, ...]:
    """Leave away keys whose variable is not set: `value: ${GROQ_API_KEY_2:-}`."""
    return tuple(key for key in keys if key.value.get_secret_value())


def _kind_of_keys(written: object) -> str | None:
    if isinstance(written, str):
        return "<none>" if written == "none" else None
    return "<list>"


_Keys = Annotated[
    Annotated[Many[KeySettings], AfterValidator(_with_value), Tag("<list>")]
    | Annotated[Literal["none"], Tag("<none>")],
    Discriminator(
        _kind_of_keys,
        custom_error_type="list_or_none",
        custom_error_message="must be a list of keys, or none",
    ),
]


class ProviderSettings(Section):
    """One OpenAI-compatible API."""

    base_url: BaseUrl = Field(
        description="where its API lives; groq, gemini, openai and ollama have a default",
        examples=[KNOWN["groq"].base_url],
    )
    keys: _Keys = Field((), description="its API keys, or none; left out: those of the environment")
    timeouts: TimeoutSettings = Field(
        TimeoutSettings(), description="seconds; the client's own deadline may only be shorter"
    )
    breaker: BreakerSettings = Field(
        BreakerSettings(), description="when a failing target is left alone"
    )
    service_tiers: Many[Literal["on_demand", "flex", "auto", "performance"]] = Field(
        ("on_demand",), description="tried in this order: 498 goes to the next one"
    )

    @property
    def usable(self) -> bool:
        """Whether calls can be sent there: it has a key, or needs none."""
        return bool(self.keys)

    @property
    def secrets(self) -> tuple[KeySettings, ...]:
        """Its keys; nothing where it needs none."""
        return () if self.keys == "none" else self.keys

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        for name, times in Counter(key.name for key in self.secrets).items():
            if times > 1:
                raise at(("keys",), f"the name {name!r} stands {times} times")
        return self


_Example = Annotated[str, Field(max_length=500, pattern=r"\S")]  # what it says counts, not much


class RouteSettings(Section):
    """One rule of a routed model."""

    to: ModelName = Field(description="alias or PROVIDER/MODEL", examples=["fast"])
    like: Many[_Example] = Field(
        (),
        description="questions that resemble one of these; the nearest route with examples counts",
    )
    min_chars: Count | None = Field(None, description="prompts at least this long, in characters")
    tools: bool | None = Field(None, description="calls with tools (true) or without (false)")


class AliasSettings(Section):
    """A model name of our own."""

    targets: Many[TargetName] = Field(
        (),
        description="PROVIDER/MODEL, tried in this order",
        examples=[["groq/openai/gpt-oss-20b"]],
    )
    weights: Many[Count] = Field((), description="A/B: a share for each target, sticky per user")
    routes: Many[RouteSettings] = Field(
        (),
        description="instead of targets: by what is asked; the first of which all holds",
        json_schema_extra=INSTEAD,
    )
    else_: ModelName | None = Field(
        None,
        alias="else",
        description="alias or PROVIDER/MODEL where no route fits",
        json_schema_extra=INSTEAD,
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.targets) == bool(self.routes):
            raise at((), "must have either targets or routes")
        if self.weights and len(self.weights) != len(self.targets):
            found = f"{len(self.weights)} for {len(self.targets)}"
            raise at(("weights",), f"must be as many as there are targets (got {found})")
        if bool(self.routes) != bool(self.else_):
            raise at(("else",), "must stand beside routes, and only there")
        return self


class DefaultSettings(Section):
    """What fills a request's gaps."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="0 to 2, where a request names none"
    )
    max_completion_tokens: Count | None = Field(
        None, description="output cap, where a request names none"
    )


class PriceSettings(Section):
    """One model's price, in USD per 1M tokens."""

    input: Usd = Field(description="prompt tokens", examples=[0.075])
    cached_input: Usd | None = Field(None, description="prompt tokens read from its cache")
    output: Usd = Field(description="completion tokens", examples=[0.3])


class KeyTerms(Section):
    """What a key of ours may do, and how much of it."""

    name: Label = Field(description="what usage and logs call it", examples=["search-team"])
    team: Label | None = Field(None, description="whose budgets it shares")
    models: Many[ModelName] = Field((), description="what it may ask for; empty: everything")
    endpoints: Many[Literal["files", "batches"]] = Field((), description="what else it may use")
    rag: Many[Label] = Field(
        (), description="collections it may use, the first put in always; empty: all, on request"
    )
    budgets: Many[BudgetText] = Field((), description="like 5 USD/day")
    limits: Many[LimitText] = Field((), description="like 60 requests/minute, 8 concurrent")


class VirtualKeySettings(KeyTerms):
    """A key of ours, besides those made with `groq-proxy keys create`."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] = Field(
        description="of the key, 64 hex digits", examples=["0" * 64]
    )


class BudgetSettings(Section):
    """How much may be spent."""

    global_: Many[BudgetText] = Field(
        (), alias="global", description="by all; hard unless it ends in soft"
    )
    teams: Named[Label, Many[Allowance]] = Field(
        {}, description="by each team; here limits like 600 requests/minute may stand, too"
    )
    zone: ZoneName = Field("UTC", description="where a day begins, IANA name")
    unpriced: Literal["refuse", "count"] = Field(
        "refuse", description="models without a price, where a hard budget covers the call"
    )
    default_max_output: Count = Field(
        4096, description="output cap written upstream under a hard budget, if the client set none"
    )
    on_abort: Literal["received", "full"] = Field(
        "received", description="received | full: what an aborted call is charged"
    )
    on_timeout: Literal["prompt", "full"] = Field(
        "prompt", description="prompt | full: what a call without an answer is charged"
    )

    @property
    def team_budgets(self) -> Mapping[str, tuple[Budget, ...]]:
        """The budgets of each team that has some."""
        budgets = {
            team: tuple(each for each in allowances if isinstance(each, Budget))
            for team, allowances in self.teams.items()
        }
        return {team: each for team, each in budgets.items() if each}

    @property
    def team_limits(self) -> Mapping[str, tuple[Limit, ...]]:
        """The limits of each team that has some."""
        limits = {
            team: tuple(each for each in allowances if isinstance(each, Limit))
            for team, allowances in self.teams.items()
        }
        return {team: each for team, each in limits.items() if each}


class WebhookSettings(Section):
    """Who is told."""

    url: Secret = Field(description="where alerts are posted", examples=["${ALERT_URL}"])
    format: Literal["slack", "json"] = Field("json", description="slack | json")
    secret: Secret | None = Field(None, description="signs the body (HMAC-SHA256)")


class AlertSettings(Section):
    """When somebody is told about a budget."""

    thresholds: Many[Annotated[float, Field(gt=0, le=10)]] = Field(
        (0.5, 0.8, 1.0), description="shares of a budget that raise an alert"
    )
    forecast: bool = Field(True, description="also when it will not last, at the present rate")
    webhooks: Many[WebhookSettings] = Field((), description="who is told")


class ExactCacheSettings(Section):
    """The same call again."""

    enabled: bool = Field(True, description="answer a repeated call from the cache")
    ttl: Duration = Field(86_400.0, description="how long an answer is kept")
    max_size: Size = Field(10**9, description="on disk; the oldest answers go first")


class EmbedderSettings(Section):
    """An embedder of your own."""

    url: BaseUrl = Field(
        description="full address, OpenAI-compatible: …/v1/embeddings",
        examples=["http://host/v1/embeddings"],
    )
    model: ModelName = Field(description="its model", examples=["bge-small"])


def _kind_of_embedder(written: object) -> str:
    return "<word>" if isinstance(written, str) else "<own>"


_Embedder = Annotated[
    Annotated[Literal["builtin", "semantic"], Tag("<word>")]
    | Annotated[EmbedderSettings, Tag("<own>")],
    Discriminator(_kind_of_embedder),
]


class SemanticCacheSettings(Section):
    """A call that means the same."""

    mode: Literal["serve", "shadow", "off"] = Field(
        "serve", description="serve | shadow (measure only) | off"
    )
    profile: Literal["exact", "careful", "balanced"] = Field(
        "careful", description="exact | careful | balanced"
    )
    trust: Literal["prior", "proven"] = Field(
        "prior", description="prior: serve from the first day, audited; proven: own audits first"
    )
    max_error: Share = Field(
        0.01, description="a score bin whose bound of false hits is above this stops serving"
    )
    audit: Share = Field(0.05, description="share of hits that also go upstream and are compared")
    audit_budget: BudgetText = Field(budget("1 USD/day"), description="what audits may cost")
    embedder: _Embedder = Field("builtin", description="builtin | semantic (extra) | {url, model}")


class CacheSettings(Section):
    """What need not be asked again."""

    exact: ExactCacheSettings = Field(ExactCacheSettings(), description="the same call again")
    semantic: SemanticCacheSettings = Field(
        SemanticCacheSettings(), description="a call that means the same"
    )
    share: Literal["key", "team", "everyone"] = Field(
        "key", description="key | team | everyone: who may see whose cached answers"
    )


class RagSettings(Section):
    """One collection of documents."""

    store: Literal["builtin", "upstash"] = Field("builtin", description="builtin | upstash")
    top_k: Annotated[int, Field(ge=1, le=50)] = Field(3, description="passages put in, at most")
    min_score: Share = Field(0.6, description="passages below this are left out")
    inject: Literal["on-request", "always"] = Field("on-request", description="on-request | always")
    on_failure: Literal["continue", "refuse"] = Field(
        "continue", description="continue | refuse: when the store is down"
    )


class UpstashSettings(Section):
    """An Upstash Vector index, as the environment names it."""

    url: BaseUrl
    token: Credential


class LimitSettings(Section):
    """What one worker takes on."""

    in_flight: Count = Field(512, description="calls at a time")
    in_flight_per_target: Count = Field(100, description="calls at a time to one provider's model")
    in_flight_per_key: Count = Field(64, description="calls at a time of one virtual key")
    body: Size = Field(10**7, description="largest request body")
    upload: Size = Field(10**8, description="largest uploaded file")
    header_timeout_s: Seconds = Field(10.0, description="until a request's headers are there")
    queue_wait_s: Seconds = Field(10.0, description="longest wait for a quota before 429")
    drain_s: Seconds = Field(30.0, description="for streams to finish after SIGTERM")


class TelemetrySettings(Section):
    """What is told about calls, and to whom."""

    log: Literal["auto", "json", "text"] = Field(
        "auto", description="auto (text on a terminal) | json | text"
    )
    sample: Share = Field(1.0, description="share of good calls that are logged; others always are")
    capture: Literal["off", "errors", "full"] = Field(
        "off", description="off | errors | full: keep prompts and answers, redacted"
    )
    traces: BaseUrl | None = Field(None, description="OTLP endpoint that spans are sent to")
    trace_sample: Share = Field(1.0, description="share of calls that are traced")
    redact: Many[Pattern] = Field((), description="regular expressions removed from captures")


def _with_known(providers: object) -> object:
    """Fill in what we know of providers by their name; one that we do not know needs an address."""
    if not isinstance(providers, Mapping):
        return providers
    return {name: _filled(name, written) for name, written in providers.items()}


def _filled(name: str, written: object) -> object:
    if not (written is None or isinstance(written, Mapping)):
        return written
    known = KNOWN.get(name)
    if known is None:
        if not (written or {}).get("base_url"):
            raise at((name, "base_url"), f"is required: only {', '.join(KNOWN)} have a default")
        return written
    filled = laid_over({"base_url": known.base_url, **known.defaults}, written or {})
    keys = filled.get("keys")
    if known.org_per_key and isinstance(keys, list):
        own = [{"org": k.get("name"), **k} if isinstance(k, Mapping) else k for k in keys]
        filled["keys"] = own
    return filled


class Config(Section):
    """The whole file: everything that can be set."""

    listen: AddressText = Field(Address("127.0.0.1", 8080), description="HOST:PORT to serve on")
    admin_listen: AddressText | None = Field(
        None, description="HOST:PORT: then /metrics, /dashboard and /admin move there"
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(1, description="processes that serve")
    state_dir: Folder = Field(
        Path("state"), description="ledger, keys, cache, collections (made with mode 0700)"
    )
    redis: Secret | None = Field(
        None, description="URL; then counters, ledger, keys and exact cache are shared by all hosts"
    )
    providers: Annotated[Named[ProviderName, ProviderSettings], BeforeValidator(_with_known)] = (
        Field({}, description="where prompts may go; left out: those with a key in the environment")
    )
    models: Named[ModelName, AliasSettings] = Field({}, description="names of our own")
    default_provider: ProviderName = Field(
        "groq",
        description="gets every name that is nobody else's; left out: the first one with a key",
    )
    default_model: ModelName = Field(
        KNOWN["groq"].default_model,
        description="where a request names none; left out: GROQ_MODEL, else the provider's",
    )
    defaults: DefaultSettings = Field(
        DefaultSettings(), description="fill what a request leaves out"
    )
    fallbacks: Many[TargetName] = Field(
        (),
        description="PROVIDER/MODEL, for names without their own; left out: those with a key",
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        2, description="further attempts after a failure, over retries and fallbacks together"
    )
    retired_models: Literal["replace", "refuse"] = Field(
        "replace", description="replace | refuse: ids that Groq has switched off"
    )
    prices: Named[TargetName, PriceSettings] = Field(
        {}, description="over the shipped table, USD per 1M tokens"
    )
    auth: Literal["auto", "keys", "none"] = Field(
        "auto", description="auto (open on loopback until the first key was made) | keys | none"
    )
    cors_origins: Many[Origin] = Field((), description="web pages that may call, SCHEME://HOST")
    keys: Many[VirtualKeySettings] = Field((), description="virtual keys, besides those created")
    budgets: BudgetSettings = Field(BudgetSettings(), description="how much may be spent")
    alerts: AlertSettings = Field(AlertSettings(), description="who hears about budgets")
    cache: CacheSettings = Field(CacheSettings(), description="what need not be asked again")
    rag: Named[Label, RagSettings] = Field({}, description="collections of documents")
    limits: LimitSettings = Field(LimitSettings(), description="what one worker takes on")
    telemetry: TelemetrySettings = Field(
        TelemetrySettings(), description="what is told about calls"
    )
    # Of the environment alone: a file is shown, copied and checked in.
    admin_key: Credential | None = Field(None, exclude=True)
    upstash: UpstashSettings | None = Field(None, exclude=True)

    @property
    def redis_url(self) -> str | None:
        """Where Redis is, password included; None where state is kept in `state_dir`."""
        return (self.redis and self.redis.get_secret_value()) or None

    def collection(self, name: str) -> RagSettings:
        """How a collection is kept and put in, also one that is not named under `rag`.

        Such a one is kept in Upstash where the environment names an index.
        """
        settings = self.rag.get(name) or RagSettings(store="upstash")
        # In a demo nothing leaves this machine.
        return settings if self.upstash else settings.model_copy(update={"store": "builtin"})

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for error in _disagreements(self):
            raise error
        return self


def _disagreements(config: Config) -> Iterator[PydanticCustomError]:
    """Knobs that are fine alone but not together."""
    name, default = config.default_provider, config.providers.get(config.default_provider)
    configured = ", ".join(config.providers) or "none"
    if default is None:
        yield at(("default_provider",), f"must be one of the providers: {configured}", name)
    elif not default.usable:
        yield at(("default_provider",), "must be a provider with a key", name)

    if config.admin_listen is not None and config.admin_listen.port:
        both = (config.listen, config.admin_listen)
        hosts = {each.host for each in both}
        if both[0].port == both[1].port and (
            len(hosts) == 1 or any(each.wildcard for each in both)
        ):
            yield at(("admin_listen",), "must be another address than `listen`", str(both[1]))

    for path, target in _targets(config):
        if target not in config.models and target.partition("/")[0] not in config.providers:
            yield at(path, f"must begin with one of the providers: {configured}", target)

    for name, times in Counter(key.name for key in config.keys).items():
        if times > 1:
            yield at(("keys",), f"the name {name!r} stands {times} times")
    if len({key.sha256 for key in config.keys}) < len(config.keys):
        yield at(("keys",), "two of them have the same sha256: one secret cannot be two keys")

    for name, collection in config.rag.items():
        if name.lower() == "off":
            yield at(("rag", name), "is what a call says that wants no documents")
        if collection.store == "upstash" and config.upstash is None:
            reason = (
                "needs UPSTASH_VECTOR_REST_URL and UPSTASH_VECTOR_REST_TOKEN in the environment"
            )
            yield at(("rag", name, "store"), reason)


def _targets(config: Config) -> Iterator[tuple[tuple[int | str, ...], str]]:
    for alias, model in config.models.items():
        for i, target in enumerate(model.targets):
            yield ("models", alias, "targets", i), target
        for i, route in enumerate(model.routes):
            yield ("models", alias, "routes", i, "to"), route.to
        if model.else_:
            yield ("models", alias, "else"), model.else_
    for i, target in enumerate(config.fallbacks):
        yield ("fallbacks", i), target
