"""The headers around an answer: rate limits, and the noise of the edge in front of Groq."""

import hashlib
from collections.abc import Mapping

from proxy.simulator.catalogue import Metric
from proxy.simulator.limits import Pool
from proxy.simulator.problems import go_duration

REGION = "sim"

# Header name by the one metric that it tells; RPM, TPD and ASD are told by none.
TOLD = {Metric.RPD: "requests", Metric.TPM: "tokens", Metric.ASH: "audio-seconds"}


def rate_limits(pool: Pool, now: float) -> dict[str, str]:
    """Give the `x-ratelimit-*` headers of a pool."""
    told = {}
    for metric, name in TOLD.items():
        bucket = pool.buckets.get(metric)
        if bucket is not None:
            told[f"x-ratelimit-limit-{name}"] = str(bucket.limit)
            told[f"x-ratelimit-remaining-{name}"] = str(bucket.remaining(now))
            told[f"x-ratelimit-reset-{name}"] = go_duration(bucket.full_in_s(now))
    return told


def edge(request_id: str) -> Mapping[str, str]:
    """Give what every answer carries, the cookie included: a gateway must not pass that on."""
    noise = hashlib.sha256(request_id.encode()).hexdigest()
    return {
        "x-request-id": request_id,
        "x-groq-region": REGION,
        "server": "cloudflare",
        "cf-ray": f"{noise[:16]}-SIM",
        "cf-cache-status": "DYNAMIC",
        "via": "1.1 google",
        "alt-svc": 'h3=":443"; ma=86400',
        "vary": "Origin",
        "cache-control": "private, max-age=0, no-store, no-cache, must-revalidate",
        "set-cookie": f"__cf_bm={noise[16:59]}; path=/; HttpOnly; Secure; SameSite=None",
    }
