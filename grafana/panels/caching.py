"""What the cache saves, whether its answers are right, and what documents add."""

from grafana.layout import Board, Row, heat, lines, stat, table
from grafana.promql import BOARD as B
from grafana.promql import Query, quantiles
from grafana.values import HITS

_RANGE = "$__range"
_FOUND = "result=~match|mismatch"

SAVED = Row(
    "Over the time range",
    (
        stat(
            "Saved",
            "currencyUSD",
            "List price of the answers that were not bought.",
            B.grown("cache_saved_usd_total", window=_RANGE),
        ),
        stat(
            "Time saved",
            "s",
            "How much longer those answers took to make than to tell.",
            B.grown("cache_saved_seconds_total", window=_RANGE),
        ),
        stat(
            "Tokens saved",
            "short",
            "Of those answers, with their prompts.",
            B.grown("cache_saved_tokens_total", window=_RANGE),
        ),
        stat(
            "Answered",
            "percentunit",
            "Of the chats that the cache was asked for.",
            f"({B.grown('cache_requests_total', where=HITS, window=_RANGE)} or vector(0))"
            f" / {B.grown('cache_requests_total', where='result!=off', window=_RANGE)}",
        ),
        stat(
            "Wrong, of audited hits",
            "percentunit",
            "Audits that found another answer, of those that could tell.",
            f"({B.grown('cache_shadow_checks_total', where='result=mismatch', window=_RANGE)}"
            " or vector(0))"
            f" / {B.grown('cache_shadow_checks_total', where=_FOUND, window=_RANGE)}",
            0.01,
            0.05,
        ),
        stat(
            "Complaints",
            "short",
            "Answers that callers said were wrong.",
            B.grown("cache_complaints_total", window=_RANGE),
            1,
            10,
        ),
    ),
)

HIT = Row(
    "Hits",
    (
        lines(
            "What the cache was to chats",
            "reqps",
            "`exact`: kept; `semantic`: kept for another wording; `joined`: shared with a call "
            "under way.",
            Query(B.rate("cache_requests_total", "result"), "{{result}}"),
            stacked=True,
        ),
        lines(
            "Hits of each tier",
            "percentunit",
            "Of the look-ups in it.",
            Query(
                f"{B.rate('cache_lookups_total', 'tier', 'result=hit')}"
                f" / {B.rate('cache_lookups_total', 'tier')}",
                "{{tier}}",
            ),
        ),
        lines(
            "Look-up p95",
            "s",
            "Of each tier, without embedding; and of embedding.",
            Query(B.quantile(0.95, "cache_lookup_duration_seconds", "tier"), "{{tier}}"),
            Query(B.quantile(0.95, "embedding_duration_seconds", "purpose"), "embed: {{purpose}}"),
        ),
        lines(
            "Age of what was told again",
            "s",
            "How stale hits are.",
            *quantiles(0.5, 0.95, name="cache_hit_age_seconds", by="tier"),
        ),
        lines(
            "Shared calls under way",
            "reqps",
            "Calls that got the answer of another one in flight.",
            Query(B.moving("coalesced_requests_total", "model"), "{{model}}"),
        ),
        lines(
            "Money saved, an hour",
            "currencyUSD",
            "By tier.",
            Query(f"{B.rate('cache_saved_usd_total', 'tier')} * 3600", "{{tier}}"),
            stacked=True,
        ),
    ),
)

RIGHT = Row(
    "Are they right?",
    (
        lines(
            "Upper bound of wrong hits, by score",
            "percentunit",
            "95 % sure that fewer are wrong: for a bin of the decision score and all above it, "
            "tests counted. A bin is served while it is within `max_error`. Hits by key, which "
            "have no score, are in the next panel.",
            Query(B.highest("cache_audit_bound_ratio", "bin", "bin!=canonical"), "from {{bin}}"),
            steps=(0.01, 0.05),
        ),
        lines(
            "The same by audits alone",
            "percentunit",
            "Without the tests that a bin begins with; 1 until the first audits are in.",
            Query(B.highest("cache_audit_own_bound_ratio", "bin"), "from {{bin}}"),
        ),
        lines(
            "Bins that are served",
            "percentunit",
            "Share of the circles (who shares answers) that hits of a bin are served to.",
            Query(B.highest("cache_audit_served", "bin"), "from {{bin}}"),
        ),
        heat(
            "Decision score of the best neighbour",
            "percentunit",
            "The chance that its answer does. Just below the threshold lies money, just above it "
            "risk.",
            B.heat("cache_similarity_ratio"),
        ),
        lines(
            "Near the threshold",
            "reqps",
            "Neighbours whose score is 0.8 to 0.95 and who were not served, and those below 0.98 "
            "who were; and the threshold itself.",
            Query(
                B.below("0.95", "cache_similarity_ratio", where="decision=reject")
                + " - "
                + B.below("0.8", "cache_similarity_ratio", where="decision=reject"),
                "nearly a hit",
            ),
            Query(
                B.below("0.98", "cache_similarity_ratio", where="decision=hit"),
                "hardly a hit",
            ),
            Query(B.highest("cache_similarity_threshold_ratio"), "threshold"),
        ),
        lines(
            "Audits",
            "ops",
            "What they found, and why others were not made.",
            Query(B.rate("cache_shadow_checks_total", "result"), "{{result}}"),
            Query(B.moving("cache_audits_skipped_total", "reason"), "skipped: {{reason}}"),
        ),
        lines(
            "What told neighbours apart",
            "ops",
            "The first guard that did.",
            Query(B.moving("cache_vetoes_total", "guard"), "{{guard}}"),
            stacked=True,
        ),
        lines(
            "Never answered by meaning",
            "ops",
            "By the rule that says so.",
            Query(B.moving("cache_bypasses_total", "rule"), "{{rule}}"),
            stacked=True,
        ),
        lines(
            "Complaints and troubles",
            "ops",
            "Answers that callers found wrong; what the semantic cache could not do.",
            Query(B.rate("cache_complaints_total", "tier"), "complaint: {{tier}}"),
            Query(B.rate("cache_semantic_errors_total"), "not looked up, or not kept"),
            Query(B.rate("embedding_errors_total", "purpose"), "not embedded: {{purpose}}"),
        ),
    ),
)

STORE = Row(
    "What is kept",
    (
        lines(
            "Answers",
            "short",
            "Kept, by all workers together.",
            Query(B.highest("cache_entries", "tier"), "{{tier}}"),
            width=6,
        ),
        lines(
            "Room",
            "bytes",
            "That they take.",
            Query(B.highest("cache_size_bytes", "tier"), "{{tier}}"),
            width=6,
        ),
        lines(
            "Kept and dropped",
            "ops",
            "New answers by whether they were kept, and what was dropped.",
            Query(B.rate("cache_stores_total", "tier result"), "{{tier}}: {{result}}"),
            Query(B.rate("cache_evictions_total", "tier reason"), "{{tier}} dropped: {{reason}}"),
            width=6,
        ),
        lines(
            "Failures of the store",
            "ops",
            "Calls are answered all the same, by the provider.",
            Query(B.rate("cache_errors_total", "op"), "{{op}}"),
            width=6,
        ),
    ),
)

DOCUMENTS = Row(
    "Documents",
    (
        lines(
            "Retrievals",
            "reqps",
            "By what came of them. After an `error` an answer goes out without documents.",
            Query(
                B.rate("rag_requests_total", "collection result"),
                "{{collection}}: {{result}}",
            ),
        ),
        lines(
            "Retrieval p95, by stage",
            "s",
            "Embedding the question, searching, writing the passages into the prompt.",
            Query(B.quantile(0.95, "rag_duration_seconds", "stage"), "{{stage}}"),
        ),
        lines(
            "Passages a call",
            "short",
            "The mean; 0 means that nothing was found.",
            Query(B.mean("rag_chunks", "collection"), "{{collection}}"),
        ),
        lines(
            "Found nothing",
            "percentunit",
            "Share of the retrievals.",
            Query(
                f"{B.below('0.0', 'rag_chunks', 'collection')}"
                f" / {B.count('rag_chunks', 'collection')}",
                "{{collection}}",
            ),
            width=6,
        ),
        lines(
            "Score of the best passage p50",
            "percentunit",
            "Where it falls, documents lack what people ask for.",
            Query(B.quantile(0.5, "rag_top_score_ratio", "collection"), "{{collection}}"),
            width=6,
        ),
        lines(
            "Tokens added to prompts",
            "short",
            "A second.",
            Query(B.rate("rag_context_tokens_total", "collection"), "{{collection}}"),
            width=6,
        ),
        table(
            "Passages kept",
            "short",
            "Of each collection.",
            B.highest("rag_documents", "collection"),
            width=6,
        ),
    ),
)

CACHING = Board(
    "llmproxy-cache",
    "LLM proxy / Cache and documents",
    "What the cache saves, whether its answers are right, and what documents add.",
    (SAVED, HIT, RIGHT, STORE, DOCUMENTS),
)
