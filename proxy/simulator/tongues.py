"""What sets the dialects apart: one row of a table for each."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.simulator import catalogue, checks, headers, keys, listing
from proxy.simulator.catalogue import Catalogue, Model
from proxy.simulator.completion import Completion
from proxy.simulator.gemini import answers as gemini_answers
from proxy.simulator.gemini import errors as gemini_errors
from proxy.simulator.gemini import models as gemini_models
from proxy.simulator.gemini import projects as gemini_projects
from proxy.simulator.gemini import requests as gemini_requests
from proxy.simulator.ids import Ids
from proxy.simulator.limits import Making, Pool, draining
from proxy.simulator.ollama import answers as ollama_answers
from proxy.simulator.ollama import errors as ollama_errors
from proxy.simulator.ollama import models as ollama_models
from proxy.simulator.ollama import requests as ollama_requests
from proxy.simulator.problems import Problem
from proxy.simulator.reply import Piece, Told, in_groqs_words
from proxy.simulator.request import Chat
from proxy.simulator.scenario import Endpoint
from proxy.simulator.settings import Dialect

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tongue:
    """How one provider speaks."""

    base_path: str
    endpoints: frozenset[Endpoint]
    models: Catalogue
    shown: Callable[[Model], dict[str, Any]]  # a model as the list has it
    organisation: Callable[[str, Mapping[str, str]], str]  # of a key; raises what refuses it
    chat: Callable[[Body], Chat]  # the request in a body; raises what is wrong with it
    known: Callable[[Body, frozenset[str]], tuple[Body, tuple[str, ...]]]
    answer_id: Callable[[Ids], str]
    whole: Callable[[Completion], dict[str, Any]]
    frames: Callable[[Completion], Iterator[Piece]]
    tell: Callable[[Problem], Told]
    edge: Callable[[str], Mapping[str, str]]  # headers of every answer, by the request's id
    rate_limits: Callable[[Pool, float], Mapping[str, str]]
    bucket: Making
    bills_output: bool  # whether answers count against the tokens per minute
    proves_json: bool  # whether an answer that should be JSON and is not becomes an error


def _all(body: Body, _known: frozenset[str]) -> tuple[Body, tuple[str, ...]]:
    return body, ()


def _no_limits(_pool: Pool, _now: float) -> Mapping[str, str]:
    return {}


_FEW = frozenset({Endpoint.CHAT, Endpoint.EMBEDDINGS, Endpoint.MODELS})

GROQ = Tongue(
    base_path="/openai/v1",
    endpoints=frozenset(Endpoint),
    models=catalogue.GROQ,
    shown=listing.shown,
    organisation=keys.organisation,
    chat=checks.chat,
    known=_all,
    answer_id=Ids.completion,
    whole=Completion.whole,
    frames=Completion.frames,
    tell=in_groqs_words,
    edge=headers.edge,
    rate_limits=headers.rate_limits,
    bucket=draining,
    bills_output=True,
    proves_json=True,
)
GEMINI = Tongue(
    base_path="/v1beta/openai",
    endpoints=_FEW,
    models=gemini_models.GEMINI,
    shown=gemini_models.shown,
    organisation=gemini_projects.project,
    chat=gemini_requests.chat,
    known=_all,
    answer_id=gemini_answers.answer_id,
    whole=gemini_answers.whole,
    frames=gemini_answers.frames,
    tell=gemini_errors.tell,
    edge=gemini_answers.edge,
    rate_limits=_no_limits,
    bucket=gemini_projects.bucket,
    bills_output=False,
    proves_json=False,
)
OLLAMA = Tongue(
    base_path="/v1",
    endpoints=_FEW,
    models=ollama_models.OLLAMA,
    shown=ollama_models.shown,
    organisation=ollama_requests.anyone,
    chat=ollama_requests.chat,
    known=ollama_requests.known,
    answer_id=Ids.numbered,
    whole=ollama_answers.whole,
    frames=ollama_answers.frames,
    tell=ollama_errors.tell,
    edge=ollama_answers.edge,
    rate_limits=_no_limits,
    bucket=draining,
    bills_output=True,
    proves_json=False,
)

_TONGUES = {Dialect.GROQ: GROQ, Dialect.GEMINI: GEMINI, Dialect.OLLAMA: OLLAMA}


def tongue_of(dialect: Dialect) -> Tongue:
    """Give the row of a dialect."""
    return _TONGUES[dialect]
