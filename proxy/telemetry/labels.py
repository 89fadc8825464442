"""Names that may become label values; all others are `other`."""

from collections.abc import Callable, Collection, Iterable

from proxy.core.call import Target

OTHER = "other"
MAX_NAMES = 200


class ModelLabels:
    """Target -> `model` label. Known are configured targets and ids that their provider lists."""

    def __init__(
        self, listed: Callable[[str], Collection[str]], on_fold: Callable[[], None]
    ) -> None:
        self._listed = listed
        self._on_fold = on_fold
        self._configured: frozenset[Target] = frozenset()
        self._default_provider = ""
        self._seen: dict[Target, str] = {}

    def configure(self, default_provider: str, configured: Iterable[Target]) -> None:
        """Take over what a configuration names; what was seen keeps its label."""
        self._default_provider = default_provider
        self._configured = frozenset(configured)

    def of(self, target: Target | None) -> str:
        """The label of `target`: its bare id at the default provider, `provider/id` elsewhere."""
        if target is None or not target.model:
            return OTHER
        label = self._seen.get(target) or self.own(target)
        if label is None:
            self._on_fold()
            return OTHER
        return label

    def own(self, target: Target) -> str | None:
        """The label that `target` has for itself; None where it has to share `other`."""
        label = self._seen.get(target)
        if label is not None:
            return label
        known = target in self._configured or target.model in self._listed(target.provider)
        if not target.model or not known or len(self._seen) >= MAX_NAMES:
            return None
        label = target.model if target.provider == self._default_provider else str(target)
        self._seen[target] = label
        return label


class FieldLabels:
    """Name of a request's field -> `field` label. Known are those that some dialect speaks of."""

    def __init__(self, on_fold: Callable[[], None]) -> None:
        self.known: Collection[str] = frozenset()
        self._on_fold = on_fold

    def of(self, name: str) -> str:
        """The label of a field, dotted inside messages: `messages.reasoning`."""
        if name in self.known:
            return name
        self._on_fold()
        return OTHER


class OwnerLabels:
    """Who pays -> label: names of keys and teams, which admins give; the first MAX_NAMES."""

    def __init__(self, on_fold: Callable[[], None]) -> None:
        self._on_fold = on_fold
        self._seen: set[str] = set()

    def of(self, name: str) -> str:
        """The label of a name."""
        if name in self._seen:
            return name
        if len(self._seen) >= MAX_NAMES:
            self._on_fold()
            return OTHER
        self._seen.add(name)
        return name
