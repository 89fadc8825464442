"""How Gemini tells what went wrong: an array of one object, status words, details.

Source of quota ids and of the misleading wait of a day's limit: public reports of 2025 and 2026.
"""

from math import ceil
from typing import Any

from proxy.simulator.catalogue import Metric
from proxy.simulator.limits import Refusal
from proxy.simulator.problems import Problem
from proxy.simulator.reply import Told

_TYPE = "type.googleapis.com/google.rpc."
_DOMAIN = "generativelanguage.googleapis.com"

_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_BY_CODE = {
    "invalid_api_key": "API key not valid. Please pass a valid API key.",
    "organization_restricted": "User location is not supported for the API use.",
    "blocked_api_access": "Billing is not enabled for this project.",
    "context_length_exceeded": (
        "The input token count exceeds the maximum number of tokens allowed (1048576)."
    ),
    "unknown_url": "The requested URL was not found on this server.",
}
_BY_STATUS = {
    401: "Request had invalid authentication credentials.",
    429: "Resource has been exhausted (e.g. check quota).",
    500: "An internal error has occurred. Please retry or report the problem.",
    503: "The model is overloaded. Please try again later.",
    504: "The request timed out. Please try again.",
}
_PRECONDITIONS = {"organization_restricted", "blocked_api_access"}
_QUOTAS = {
    Metric.RPM: "GenerateRequestsPerMinutePerProjectPerModel",
    Metric.RPD: "GenerateRequestsPerDayPerProjectPerModel",
    Metric.TPM: "GenerateContentInputTokensPerModelPerMinute",
    Metric.TPD: "GenerateContentInputTokensPerModelPerDay",
}
_DAY = {Metric.RPD, Metric.TPD}


def tell(problem: Problem) -> Told:
    """Tell a problem as Gemini does; after a 200 without the array around it."""
    status = _status(problem)
    word = _WORDS.get(status, "INVALID_ARGUMENT" if status < 500 else "UNKNOWN")
    if problem.code in _PRECONDITIONS and status == 400:
        word = "FAILED_PRECONDITION"
    error = {
        "code": status,
        "message": _message(problem, status),
        "status": word,
        "details": _details(problem, status),
    }
    return Told(status, body=[{"error": error}], event={"error": error})


def _status(problem: Problem) -> int:
    """Every quota is a 429, also one that the call alone exceeds; no tier lacks capacity."""
    if problem.about.refusal is not None:
        return 429
    return 503 if problem.status == 498 else problem.status


def _message(problem: Problem, status: int) -> str:
    about = problem.about
    if about.unknown:
        at = f" at '{about.at}'" if about.at else ""
        return (
            f'Invalid JSON payload received. Unknown name "{about.unknown}"{at}: Cannot find field.'
        )
    if about.refusal is not None:
        return (
            "You exceeded your current quota, please check your plan and billing details.\n"
            f"* Quota exceeded for metric: {_metric(about.refusal)}, "
            f"limit: {about.refusal.limit}, model: {about.model}\n"
            f"Please retry in {_wait_s(problem)}s."
        )
    if problem.code == "model_not_found":
        return f"models/{about.model} is not found for API version v1main, or is not supported."
    by_status = _BY_STATUS.get(status, problem.message)
    return by_status if status == 401 else _BY_CODE.get(problem.code, by_status)


def _details(problem: Problem, status: int) -> list[dict[str, Any]]:
    about = problem.about
    if about.unknown:
        violation = {"description": _message(problem, status)}
        return [{"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]}]
    if problem.code == "invalid_api_key" and status == 400:
        info = {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}
        return [{"@type": f"{_TYPE}ErrorInfo", **info, "metadata": {"service": _DOMAIN}}]
    details = []
    if about.refusal is not None:
        exceeded = {
            "quotaMetric": _metric(about.refusal),
            "quotaId": _quota_id(about.refusal, free=about.free),
            "quotaDimensions": {"location": "global", "model": about.model},
            "quotaValue": str(about.refusal.limit),
        }
        details.append({"@type": f"{_TYPE}QuotaFailure", "violations": [exceeded]})
    if problem.retry_after_s is not None or details:
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{_wait_s(problem)}s"})
    return details


def _metric(refusal: Refusal) -> str:
    counted = "requests" if refusal.metric.value.startswith("r") else "input_token_count"
    return f"{_DOMAIN}/generate_content_{counted}"


def _quota_id(refusal: Refusal, *, free: bool) -> str:
    name = _QUOTAS.get(refusal.metric, "GenerateContentOtherPerProjectPerModel")
    return f"{name}-FreeTier" if free else name


def _wait_s(problem: Problem) -> int:
    """Give the wait that is named; that of a day's limit is within a minute, and no use."""
    wait_s = problem.retry_after_s if problem.retry_after_s is not None else 60.0
    refusal = problem.about.refusal
    spent_today = refusal is not None and refusal.metric in _DAY
    return max(1, ceil(wait_s % 60 if spent_today else wait_s))
