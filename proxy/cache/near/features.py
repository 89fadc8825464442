"""What a model is told of two questions: numbers between 0 and about 10, in a fixed order.

The verifier's cosine stands last and only where a verifier looked; all before is the same with
and without one.
"""

from itertools import pairwise, product
from typing import Final

from proxy.cache.near import alignment
from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.canonical import agree, canonical
from proxy.cache.near.difference import Difference, difference
from proxy.cache.near.guards import CHECKS, lacking
from proxy.cache.near.lexicon import Relation, relation, weight
from proxy.cache.near.reading import Reading

_FLAGS: Final = {guard: check for guard, check in CHECKS.items() if check[0] <= 2}

STATIC_NAMES: Final = (
    "jaccard",
    "weighted_jaccard",
    "word_jaccard",
    "trigram_dice",
    "order",
    "length_ratio",
    "shorter_length",
    "content_ratio",
    "shorter_content",
    "unmatched_less",
    "unmatched_more",
    "unmatched_weight_less",
    "unmatched_weight_more",
    "unmatched_heaviest",
    "unmatched_share",
    "missing_less",
    "missing_more",
    "missing_weight",
    "synonyms",
    "kin",
    "typos",
    "substitution",
    "one_sided",
    "siblings",
    "broader",
    "strangers",
    "unrelated",
    "aligned_less",
    "aligned_more",
    "aligned_worst",
    "aligned_together",
    "canonical",
    "asks_same",
    "asks_unsaid",
    "function_words",
    "telling_words",
    "person",
    "names_lacking",
    "names_shared",
    "names_in_order",
    "numbers",
    "conditions_less",
    "conditions_more",
    "head_same",
    "shared_content",
    *(f"guard_{guard}" for guard in _FLAGS),
    "cosine",
)
NAMES: Final = (*STATIC_NAMES, "verified")


def features(
    a: Reading, b: Reading, cosine: float, verified: float | None, *, cleared: int = 0
) -> list[float]:
    """One row, in the order of `NAMES`; of `STATIC_NAMES`, where nobody verified.

    `cosine` is that of the static vectors. Guards up to the level `cleared` are known to let the
    pair through, and are not asked again. The row does not change when `a` and `b` change places.
    """
    found = difference(a, b)
    row = [
        *_overlap(a, b),
        *_unmatched(a, b, found),
        *_relations(found),
        *_alignment(a, b, found),
        *_small_things(a, b),
        *_shape(a, b, found),
        *(float(level > cleared and differs(a, b)) for level, differs in _FLAGS.values()),
        cosine,
    ]
    return row if verified is None else [*row, verified]


def _overlap(a: Reading, b: Reading) -> tuple[float, ...]:
    shared, either = a.stem_set & b.stem_set, a.stem_set | b.stem_set
    words_a, words_b = set(a.words), set(b.words)
    trigrams_a, trigrams_b = a.trigrams, b.trigrams
    lengths = sorted((len(a.words), len(b.words)))
    contents = sorted((len(a.stem_set), len(b.stem_set)))
    return (
        _share(len(shared), len(either)),
        _share(_mass(shared), _mass(either)),
        _share(len(words_a & words_b), len(words_a | words_b)),
        _share(2 * len(trigrams_a & trigrams_b), len(trigrams_a) + len(trigrams_b)),
        _in_order(a, b),
        _share(*lengths),
        min(lengths[0], 20) / 10,
        _share(*contents),
        min(contents[0], 10) / 5,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _mass(words: frozenset[str]) -> float:
    return sum(sorted(weight(word) for word in words))  # sorted: sums do not depend on hashing


def _in_order(a: Reading, b: Reading) -> float:
    """How much of the shared words stands in the same order: neighbours kept, from 0 to 1."""
    ours = [stem for stem in a.stems if stem in b.stem_set]
    theirs = [stem for stem in b.stems if stem in a.stem_set]
    if len(ours) < 2 or len(theirs) < 2:
        return 1.0
    pairs = set(pairwise(ours))
    others = set(pairwise(theirs))
    return _share(len(pairs & others), len(pairs | others))


def _unmatched(a: Reading, b: Reading, found: Difference) -> tuple[float, ...]:
    rest = sorted((len(found.our_rest), len(found.their_rest)))
    masses = sorted(_mass(frozenset(side)) for side in (found.our_rest, found.their_rest))
    missing = sorted((len(found.ours), len(found.theirs)))
    all_mass = _mass(a.stem_set) + _mass(b.stem_set)
    return (
        *map(float, rest),
        *masses,
        max((weight(word) for word in (*found.our_rest, *found.their_rest)), default=0.0),
        sum(masses) / all_mass if all_mass else 0.0,
        *map(float, missing),
        _mass(frozenset(found.ours)) + _mass(frozenset(found.theirs)),
    )


def _relations(found: Difference) -> tuple[float, ...]:
    kinds = [relation(x, y) for x, y in product(found.our_rest, found.their_rest)]
    return (
        float(found.synonyms),
        float(found.kin),
        float(found.typos),
        float(bool(found.our_rest and found.their_rest)),
        float(bool(found.our_rest) != bool(found.their_rest)),
        float(kinds.count(Relation.SIBLING)),
        float(kinds.count(Relation.BROADER)),
        float(kinds.count(Relation.STRANGER)),
        float(kinds.count(Relation.NONE)),
    )


def _shape(a: Reading, b: Reading, found: Difference) -> tuple[float, ...]:
    """Conditions that only one side makes, the first word with content, and what is common."""
    conditions = sorted(
        (
            _mass(a.conditional.intersection(found.our_rest)),
            _mass(b.conditional.intersection(found.their_rest)),
        )
    )
    heads = relation(a.stems[0], b.stems[0]) if a.stems and b.stems else Relation.NONE
    return (
        *conditions,
        float(heads in (Relation.SAME, Relation.SYNONYM, Relation.KIN)),
        min(len(a.stem_set & b.stem_set), 10) / 5,
    )


def _alignment(a: Reading, b: Reading, found: Difference) -> tuple[float, ...]:
    ours = alignment.best(found.our_rest, b.stems)
    theirs = alignment.best(found.their_rest, a.stems)
    means = (sum(side) / len(side) if side else 1.0 for side in (ours, theirs))
    return (
        *sorted(means),
        min((*ours, *theirs), default=1.0),
        alignment.together(found.our_rest, found.their_rest),
    )


_OURS: Final = frozenset({"i", "me", "my", "mine", "myself", "we", "our", "us"})
_YOURS: Final = frozenset({"you", "your", "yours", "yourself"})


def _names(reading: Reading, other: Reading) -> list[str]:
    """The names that both have, in the order of the first."""
    shared = reading.entities & other.entities
    return [word for word in reading.stems if word in shared]


def _small_things(a: Reading, b: Reading) -> tuple[float, ...]:
    small_a, small_b = a.word_set & lists.FUNCTION_WORDS, b.word_set & lists.FUNCTION_WORDS
    changed = small_a ^ small_b
    only = sorted((len(lacking(a.entities, b)), len(lacking(b.entities, a))))
    return (
        float(canonical(a) == canonical(b)),
        float(a.asks == b.asks),
        float(agree(a, b)),
        _share(len(small_a & small_b), len(small_a | small_b)),
        float(len(changed & lists.TELLING_WORDS)),
        float(not _OURS.isdisjoint(changed)) + float(not _YOURS.isdisjoint(changed)),
        float(sum(only)),
        float(len(a.entities & b.entities)),
        float(_names(a, b) == _names(b, a)),
        float(bool(a.numbers or b.numbers)),
    )
