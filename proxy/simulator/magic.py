"""Magic model names: `sim/status-503` fails on request, without a scenario file.

Otherwise such a model behaves as `openai/gpt-oss-20b` (or the matching audio or embedding model).
Names are made from the table of faults: the kind with dashes, its value, then its options, as in
`sim/cut-after-3-reset`.
"""

from proxy.simulator.faults import KINDS, Fault, FaultKind

PREFIX = "sim/"
ECHO = "sim/echo"
TOKENS = "sim/tokens-"
_PLAIN = {
    ECHO: "answers with the last user message, word for word",
    f"{TOKENS}N": "answers with exactly N tokens of content and no reasoning",
}
_HOW = ("reset", "eof", "clean_end")


def is_magic(name: str) -> bool:
    """Tell whether this is a magic model that exists."""
    return name == ECHO or wanted_tokens(name) is not None or fault_of(name) is not None


def wanted_tokens(name: str) -> int | None:
    """Give the N of `sim/tokens-N`."""
    figure = name.removeprefix(TOKENS)
    return int(figure) if name != figure and figure.isdecimal() and len(figure) < 6 else None


def fault_of(name: str) -> Fault | None:
    """Give the fault that a model name asks for."""
    if not name.startswith(PREFIX) or len(name) > 80:
        return None
    wish = name.removeprefix(PREFIX)
    for kind in KINDS:
        stem = kind.magic.removesuffix(kind.takes)
        if kind.takes and wish.startswith(stem):
            value, *options = wish.removeprefix(stem).split("-")
            return _fault(kind, value, options)
        if not kind.takes and wish == stem:
            return Fault.model_validate({kind.name: True})
    return None


def _fault(kind: FaultKind, value: str, options: list[str]) -> Fault | None:
    asked: dict[str, str | bool] = {kind.name: value}
    for option in options:
        name = _option(option)
        asked[name] = {"as_html": True, "named": False}.get(name, option)
    try:
        return Fault.model_validate(asked)
    except ValueError:
        return None


def _option(word: str) -> str:
    if word in _HOW:
        return "how"
    if word in {"html", "unnamed"}:
        return {"html": "as_html", "unnamed": "named"}[word]
    return "retry_after_s" if word.replace(".", "", 1).isdecimal() else "code"


def table() -> str:
    """Give the Markdown table of faults: magic name, key of a scenario file, what happens."""
    rows = ["| model | in a scenario | what happens |", "|---|---|---|"]
    rows += [f"| `{name}` | | {says} |" for name, says in _PLAIN.items()]
    for kind in KINDS:
        value = kind.takes or "true"
        rows.append(f"| `{PREFIX}{kind.magic}` | `{kind.name}: {value}` | {kind.says} |")
    return "\n".join(rows)
