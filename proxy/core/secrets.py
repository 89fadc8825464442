r"""What must not be shown: the secrets we know, and what looks like one.

Whatever leaves the program as a log line or as a provider's words goes through `hide`, and there
is no second list. A pattern's first group tells the kind of a secret and stays, the rest goes. No
pattern looks back over what it has read (`*+` and `++` give nothing back), so that a text made to
be slow costs little more than any other of its length. They stand behind single characters only:
behind groups, Python before 3.11.5 reads on past what does not match
(https://github.com/python/cpython/issues/106052).

A known secret of fewer than eight characters is hidden only where a pattern shows what it is: it
may be an ordinary word (`test`, `ollama`), and a log without its ordinary words is no log.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote, quote_plus

_SHORTEST = 8
_MOST_FORMS = 1000  # that are remembered, of this configuration and of those before

# What may stand before a key: texts are cleaned as raw JSON too, where `\n` ends in a letter.
_BORDER = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2}))"
_SCHEMES = r"(?:basic|bearer|digest|negotiate|ntlm|token|api-?key)[ \t]++"
_SCHEME = rf"(?:{_SCHEMES}|(?!{_SCHEMES}))"  # if there is one, it is not given back
_GAP = r"(?:[\s:=+]|%20|\\[nrt])"
_API_KEY = r"api[_-]?keys?(?:_\d{1,6})?"
_HIDDEN = r"\*\*\*"  # it is already
_PROSE = r"(?:tokens?|auth(?:entication|orization)?)\b(?![._~+/=-])"

# (what every match holds one of in lower case, pattern): most texts hold none of these words.
_PATTERNS: Sequence[tuple[Sequence[str], re.Pattern[str]]] = tuple(
    (words, re.compile(pattern, re.IGNORECASE if folded else 0))
    for words, pattern, folded in (
        (  # 'Authorization': 'Basic …', as mappings, raw headers, JSON and JSON in JSON show it
            ("authorization", "cookie", "api"),
            rf"((?:authorization|cookie|{_API_KEY})(?:\\*+[\"'])?"
            rf"\s*+(?:[:=]|,\s*+(?=b[\"']))\s*+b?\\*+[\"']{_SCHEME})"
            rf"(?!{_HIDDEN})[^\"'\\\r\n]++",
            True,
        ),
        (  # Authorization: Basic …; after a scheme that we do not know, the rest of the line
            ("authorization", "cookie"),
            rf"((?:authorization|cookie)[ \t]*+[:=][ \t]*+(?:({_SCHEMES})|(?!{_SCHEMES})))"
            rf"(?!{_HIDDEN}|[\"'])"
            r"(?(2)[^\s\"'\\,;]++|[^\"'\\\r\n]++)",
            True,
        ),
        (
            ("api",),
            rf"({_API_KEY}[ \t]*+[:=][ \t]*+{_SCHEME})"
            rf"(?!{_HIDDEN})[^\s\"'\\,;&(){{}}\[\]]{{6,}}+",
            True,
        ),
        (
            ("bearer",),
            rf"(bearer{_GAP}+(?!{_GAP}))(?!{_HIDDEN}|{_PROSE})[^\s\"'\\]++",
            True,
        ),
        (  # Basic and what looks like base64: no ordinary word
            ("basic",),
            rf"([Bb]asic[ \t]++)(?!{_HIDDEN})(?=[a-z]*+[A-Z0-9+/=])[A-Za-z0-9+/]{{8,}}+=*+",
            False,
        ),
        (("gsk_", "aiza"), r"()(?:gsk_|AIza)[A-Za-z0-9_-]{6,}+", False),
        (("gp-",), rf"({_BORDER})gp-[A-Za-z0-9_-]{{20,}}+", False),
        (("sk-",), rf"({_BORDER})sk-[A-Za-z0-9_-]{{6,}}+", False),
        (
            ("org_", "org-"),
            rf"({_BORDER}org[_-])(?:(?=[A-Za-z]*+[0-9])[A-Za-z0-9]{{4,}}+|[A-Za-z0-9]{{16,}}+)",
            False,
        ),
        (("://",), rf"(://[^\s/@:]*+:)(?!{_HIDDEN})[^\s/@\"'\\]++(?=@)", False),  # a password
    )
)
_WORDS = sorted({word for words, _ in _PATTERNS for word in words})


Mask = Callable[[str], str]


@lru_cache(maxsize=1024)
def hashed(secret: str) -> str:
    """`***` and the first eight hex digits of its SHA-256: tells secrets apart, and no more."""
    return f"***{sha256(secret.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


@lru_cache(maxsize=1024)
def forms(secret: str) -> Sequence[str]:
    """Every way in which it may be written: plain, in JSON (also within JSON), as `repr`, in a URL.

    A secret that needs no escapes has one.
    """
    escaped = json.dumps(secret)
    found = {
        secret,
        escaped[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(escaped)[3:-3],
        repr(secret)[1:-1],
    }
    sound = secret.encode("utf-8", "replace")  # the environment may hold odd bytes
    for encoded in (quote(sound), quote(sound, safe=""), quote_plus(sound)):
        found |= {encoded, re.sub(r"%..", lambda code: code[0].lower(), encoded)}
    return tuple(sorted(found))


def hide(text: str, known: Mapping[str, str], mask: Mask = hashed) -> str:
    """`text` without secrets: the `known` (as written -> what is shown), and whatever looks so."""
    present = [form for form in known if form in text]
    if present:
        text = _any_of(tuple(present)).sub(lambda found: _known(found, known, mask), text)
    lowered = text.lower()
    if not any(map(lowered.__contains__, _WORDS)):
        return text
    for words, pattern in _PATTERNS:
        if any(map(lowered.__contains__, words)):
            text = pattern.sub(lambda found: found[1] + mask(found[0][len(found[1]) :]), text)
    return text


@lru_cache(maxsize=64)
def _any_of(known: Sequence[str]) -> re.Pattern[str]:
    """The longest first, as one may begin another; and what goes on may be a key that we lack."""
    longest = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    return re.compile(rf"({longest})[A-Za-z0-9_-]*?(?={longest}|[^A-Za-z0-9_-]|\Z)")


def _known(found: re.Match[str], known: Mapping[str, str], mask: Mask) -> str:
    return known[found[1]] if found[0] == found[1] else mask(found[0])


class Secrets:
    """The secrets that a running program knows, and what takes them out of its texts."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._shown: dict[str, str] = {}
        self.know(known)

    def know(self, secrets: Iterable[str]) -> None:
        """Hide these from now on too: a key that a reload takes away is still a secret."""
        shown = dict(self._shown)
        for secret in secrets:
            if len(secret) >= _SHORTEST:
                for form in forms(secret):
                    shown.pop(form, None)
                    shown[form] = hashed(secret)
        # Made anew, as other threads may be reading.
        self._shown = dict(list(shown.items())[-_MOST_FORMS:])

    @property
    def known(self) -> Mapping[str, str]:
        """All that is known now: as written -> what is shown. Another object after each change."""
        return self._shown

    def hide(self, text: str) -> str:
        """`text` with each secret replaced by the prefix of its hash."""
        return hide(text, self._shown)
