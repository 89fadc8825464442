"""How the semantic tier stands, in the words that an admin reads."""

from dataclasses import asdict, dataclass
from typing import Final

from proxy.cache.evidence import Evidence
from proxy.cache.seen import Seen
from proxy.config.settings import SemanticCacheSettings
from proxy.core.call import JsonObject

_COUNTED: Final = (
    *("right", "wrong", "unsure", "noise", "audits", "unsure_share", "point", "upper"),
)


@dataclass(frozen=True, slots=True)
class Tier:
    """Settings, what they have come to, and what was seen of hits.

    `state` is `ready`, `loading`, `failed: REASON` or `off`; `evidence` is None unless it is ready.
    `canonical` is that of equal keys, None where it is off. `quarantined` entries answer no other
    question.
    """

    settings: SemanticCacheSettings
    state: str
    evidence: Evidence | None
    canonical: Evidence | None = None
    quarantined: int = 0

    def told(self) -> JsonObject:
        """As JSON; `bins`, `floor` and what goes with them are null while nobody can know.

        `why` is "" for a bin that is served to whoever is new here, `served` the share of circles
        that are served. `upper` is the bound that counts, where tests stand for audits at first,
        and `upper_own` that by audits alone. `unsure_share` is that of audits which
        nobody could judge: the bounds say nothing of such answers, and where it is above a half, a
        circle's audits prove nothing. `floor` is the share of answers that disagree with another
        one to the very same question: no cache can do better. `audits_needed` is null, too,
        where nothing proves the target.
        """
        settings, evidence, canonical = self.settings, self.evidence, self.canonical
        return {
            "state": self.state,
            "mode": settings.mode,
            "profile": settings.profile,
            "trust": settings.trust,
            "embedder": _name(settings),
            "max_error": settings.max_error,
            "threshold": evidence.threshold if evidence else None,
            "audits": evidence.audits if evidence else None,
            "audits_needed": evidence.needed() if evidence else None,
            "floor": _counted(evidence.floor()) if evidence else None,
            "quarantined": self.quarantined,
            "canonical": _told(canonical.seen()[0]) if canonical else None,
            "bins": [_told(seen) for seen in evidence.seen()] if evidence else None,
        }


def _name(settings: SemanticCacheSettings) -> str:
    embedder = settings.embedder
    return embedder if isinstance(embedder, str) else embedder.model


def _told(seen: Seen) -> JsonObject:
    bounds = {"upper_own": seen.upper_own, "complaints": seen.complaints, "served": seen.served}
    return {"bin": seen.bin, "why": seen.why.value, **_counted(seen), **bounds}


def _counted(seen: Seen) -> JsonObject:
    told = asdict(seen)
    return {name: told[name] for name in _COUNTED}
