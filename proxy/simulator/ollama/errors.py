"""How Ollama tells what went wrong: a type by status, and a `code` that is always null."""

from proxy.simulator.problems import Problem
from proxy.simulator.reply import Told, retry_after

_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
_TOO_LONG = "the input length exceeds the context length"
_BY_STATUS = {
    429: "too many requests",
    500: "llama runner process has terminated",
    502: "upstream error",
    503: "server busy, please try again.  maximum pending requests exceeded",
}
_BY_CODE = {
    "unknown_url": "404 page not found",
    "context_length_exceeded": _TOO_LONG,
    "invalid_api_key": "unauthorized",
    "permission_denied": "forbidden",
}


def tell(problem: Problem) -> Told:
    """Tell a problem as Ollama does."""
    status = _status(problem)
    error = {
        "message": _message(problem, status),
        "type": _TYPES.get(status, "api_error"),
        "param": None,
        "code": None,
    }
    return Told(status, {"error": error}, event={"error": error}, headers=retry_after(problem))


def _status(problem: Problem) -> int:
    refusal = problem.about.refusal
    if refusal is not None and refusal.never:
        return 400
    return 503 if problem.status == 498 else problem.status


def _message(problem: Problem, status: int) -> str:
    about = problem.about
    if about.refusal is not None and about.refusal.never:
        return _TOO_LONG
    if problem.code == "model_not_found":
        return f'model "{about.model}" not found, try pulling it first'
    return _BY_CODE.get(problem.code) or _BY_STATUS.get(status) or problem.message
