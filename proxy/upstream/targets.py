"""Model name -> route: which targets may answer, in which order."""

from collections.abc import Callable, Collection, Iterator, Sequence
from hashlib import blake2b
from itertools import islice

from proxy.config.settings import AliasSettings, Config, RouteSettings
from proxy.core.call import Call, Endpoint, Target
from proxy.core.journal import Choice
from proxy.core.light import light
from proxy.upstream.conversation import text_chars, user_of
from proxy.upstream.examples import ALIKE, Likeness
from proxy.upstream.retired import SUCCESSORS

MOST_HOPS = 3  # from one target to the next
_UNMEASURED: Likeness = {}

# Ids of Groq's own that look like `PROVIDER/rest`; for the moments before its list has been read.
_GROQ_OWN = frozenset(
    {
        "openai/gpt-oss-120b",
        "openai/gpt-oss-20b",
        "openai/gpt-oss-safeguard-20b",
    }
)


@light
class Route:
    """The target asked first, then those that may answer in its place."""

    targets: Sequence[Target]
    replaced: str = ""  # the retired model that the first one stands for
    choice: Choice | None = None  # of a name with routes: which one was taken


class Targets:
    """Resolves names by the configuration, by what providers list and by what they have retired.

    `gone` tells of models that a provider has answered to be no more.
    """

    def __init__(
        self,
        config: Config,
        listed: Callable[[str], Collection[str]],
        gone: Callable[[Target], bool] = lambda _: False,
    ) -> None:
        self._providers = frozenset(config.providers)
        self._default = config.default_provider
        self._listed = listed
        self._gone = gone
        self._models = config.models
        self._replaces = config.retired_models == "replace"
        self._fallbacks = [self._split(name) for name in config.fallbacks]
        self._usual = self._split_or_own(config.default_model)

    @property
    def aliases(self) -> Collection[str]:
        """Names of our own."""
        return self._models.keys()

    @property
    def configured(self) -> Iterator[Target]:
        """All targets that the configuration names."""
        yield self._usual
        for alias in self._models.values():
            yield from map(self._split, alias.targets)
        yield from self._fallbacks

    @property
    def splits(self) -> dict[str, list[Target]]:
        """The names whose calls are shared out by weights, with their targets."""
        return {
            name: [self._split(target) for target in alias.targets]
            for name, alias in self._models.items()
            if alias.weights
        }

    def first(self, model: str) -> Target:
        """The target that a name means, whatever the call.

        In this order: an alias; an id of the default provider's own; `PROVIDER/rest` with a
        configured provider; anything else goes unchanged to the default provider.
        """
        return self._named(model, None)[0][0]

    def route(self, call: Call, likeness: Likeness = _UNMEASURED) -> Route:
        """Where `call` may be answered. Only chats are answered by other models than asked.

        `likeness` is what `Examples` measured; without it no route with examples is taken.
        """
        named, choice = self._named(call.model, call, likeness)
        first = self.alive(named[0])
        replaced = named[0].model if first != named[0] else ""
        others = named[1:] or self._fallbacks
        if not others or not call.fallback or call.endpoint is not Endpoint.CHAT:
            return Route((first,), replaced, choice)
        targets = dict.fromkeys((first, *map(self.alive, others)))
        return Route(tuple(islice(targets, 1 + MOST_HOPS)), replaced, choice)

    def alive(self, target: Target) -> Target:
        """`target`, or its successor where Groq has retired it.

        An id is retired only when the provider no longer lists it or has answered so: contracts
        keep some ids longer than the public list.
        """
        successor = self.successor(target)
        if successor is None:
            return target
        listed = self._listed(target.provider)
        unlisted = bool(listed) and target.model not in listed
        return successor if unlisted or self._gone(target) else target

    def successor(self, target: Target) -> Target | None:
        """What Groq suggests in the place of an id, if we know and may use it."""
        if not self._replaces or target.provider != "groq":
            return None
        model = SUCCESSORS.get(target.model)
        return Target(target.provider, model) if model else None

    def _named(
        self, name: str, call: Call | None, likeness: Likeness = _UNMEASURED
    ) -> tuple[Sequence[Target], Choice | None]:
        seen: set[str] = set()
        choice = None
        while (alias := self._models.get(name)) is not None and name not in seen:
            seen.add(name)
            if alias.targets:
                return self._in_order(alias, name, call), choice
            choice = _chosen(alias, name, call, likeness)
            name = choice.to
        return (self._split_or_own(name),), choice

    def _in_order(self, alias: AliasSettings, name: str, call: Call | None) -> Sequence[Target]:
        targets = [self._split(target) for target in alias.targets]
        if alias.weights and call is not None:
            chosen = _drawn(alias.weights, f"{name}\0{user_of(call)}")
            targets.insert(0, targets.pop(chosen))
        return targets

    def _split_or_own(self, name: str) -> Target:
        own = self._default == "groq" and name in _GROQ_OWN
        if own or name in self._listed(self._default):
            return Target(self._default, name)
        return self._split(name)

    def _split(self, name: str) -> Target:
        provider, slash, rest = name.partition("/")
        if slash and rest and provider in self._providers:
            return Target(provider, rest)
        return Target(self._default, name)


def _chosen(alias: AliasSettings, name: str, call: Call | None, likeness: Likeness) -> Choice:
    """The first route of which all holds. Of those with examples, only the nearest one may hold."""
    assert alias.else_ is not None  # stands beside routes
    if call is None:
        return Choice(name, alias.else_)
    fitting = [index for index, route in enumerate(alias.routes) if _fits(route, call)]
    scores = {index: likeness[name, index] for index in fitting if (name, index) in likeness}
    nearest = max(scores, key=scores.__getitem__, default=None)
    score = None if nearest is None else scores[nearest]
    for index in fitting:
        route = alias.routes[index]
        if not route.like or (index == nearest and scores[index] >= ALIKE):
            return Choice(name, route.to, score)
    return Choice(name, alias.else_, score)


def _fits(route: RouteSettings, call: Call) -> bool:
    """Whether a call meets what a rule asks for besides likeness; asking nothing, it fits none."""
    if route.min_chars is None and route.tools is None:
        return bool(route.like)
    has_tools = isinstance(call.body, dict) and bool(call.body.get("tools"))
    return (route.min_chars is None or text_chars(call) >= route.min_chars) and (
        route.tools is None or has_tools is route.tools
    )


def _drawn(weights: Sequence[int], seed: str) -> int:
    """An index by its share; the same for the same seed, for as long as the weights stay."""
    digest = blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    point = int.from_bytes(digest, "big") % sum(weights)
    for index, weight in enumerate(weights):
        point -= weight
        if point < 0:
            return index
    raise AssertionError("the point lies below the sum")
