"""Takes out of prompts and answers what names or charges a person, before anybody keeps them.

Secrets go as everywhere (`core/secrets.py`); besides them e-mail addresses, numbers of payment
cards (of the right length, with the right check digit), telephone numbers, and what an operator's
own patterns match. Rather too much than too little: a date with a time may go for a telephone
number. What is long by its nature (an image as text) is only told of.

Our own patterns bound every repeat, so that no text can make them slow. An operator's may be slow
all the same: whoever runs them must be able to give up (`telemetry/scribe.py`).
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

Hide = Callable[[str], str]

_EMAIL: Final = re.compile(r"[^\s@<>\"'(),:;\[\]\\=&?/]{1,64}@(?:[\w-]{1,63}\.){1,8}\w{2,24}")
# What may stand between groups of a card's digits.
_GAP: Final = "[ \u00a0\u2007\u2009\u202f\n\u2010-\u2015-]"
_DIGITS: Final = re.compile(rf"(?<!\d)\d(?:{_GAP}?\d){{12,80}}(?!\d)")
_PHONE: Final = re.compile(
    r"(?<![\w.])(?<!\d[ -])(?:\+|\()?"
    r"\d(?:[ \u00a0\u202f()./\u2010-\u2015-]{0,3}\d){7,14}(?![ -]?\d)(?!\w)"
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d|\d{1,3}(?:\.\d{1,3}){3}|\d+\.\d+")
_CARD_DIGITS: Final = range(13, 20)
_FIRST_DIGITS: Final = "23456"  # of the networks that there are
_DOUBLED: Final = str.maketrans("0123456789", "0246813579")  # and the digits of that summed
_BASE64: Final = re.compile(
    r"(?=[^0-9]*[0-9])(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[A-Za-z0-9+/_-]+={0,2}"
)
_LONG_DATA: Final = 1024  # characters of a `data:` address, or of bytes written as text
_DEEPEST: Final = 60


class Redactor:
    """What is taken out, by one configuration."""

    def __init__(self, hide: Hide, patterns: Iterable[str] = ()) -> None:
        """`hide` takes out secrets; `patterns` are an operator's own regular expressions."""
        self._hide = hide
        self._own = [re.compile(pattern) for pattern in patterns]

    def text(self, text: str) -> str:
        """`text` without all that."""
        if len(text) > _LONG_DATA and (text.startswith("data:") or _BASE64.fullmatch(text)):
            return f"[data of {len(text)} characters]"
        for pattern in self._own:
            text = pattern.sub("[redacted]", text)
        text = self._hide(text)
        if "@" in text:
            text = _EMAIL.sub("[email]", text)
        text = _DIGITS.sub(_without_card, text)
        return _PHONE.sub(_without_phone, text)

    def json(self, value: Any, depth: int = 0) -> Any:
        """The same of each text in a JSON value, names of fields and long numbers included."""
        if depth > _DEEPEST:
            return "[too deep]"
        match value:
            case str():
                return self.text(value)
            case dict():
                return {
                    self.text(str(name)): self.json(below, depth + 1)
                    for name, below in value.items()
                }
            case list():
                return [self.json(below, depth + 1) for below in value]
            case bool():
                return value
            case int():
                return self.text(shown) if len(shown := str(value)) in _CARD_DIGITS else value
            case _:
                return value


def _without_card(found: re.Match[str]) -> str:
    """The run of digits, unless some groups of it in a row are a card's number."""
    groups = re.split(_GAP, found[0])
    for first in range(len(groups)):
        number = ""
        for group in groups[first:]:
            number += group
            if len(number) >= _CARD_DIGITS.stop:
                break
            if len(number) in _CARD_DIGITS and _checks(number):
                return "[card]"
    return found[0]


def _checks(number: str) -> bool:
    """Whether the last digit is right by Luhn's rule (ISO/IEC 7812-1)."""
    if number[0] not in _FIRST_DIGITS:
        return False
    turned = number[::-1]
    doubled = turned[1::2].translate(_DOUBLED)
    return (sum(map(int, turned[::2])) + sum(map(int, doubled))) % 10 == 0


def _without_phone(found: re.Match[str]) -> str:
    text = found[0]
    digits = sum(map(str.isdigit, text))
    written = text[0] in "+(" or text.startswith("0") or digits < len(text)
    if not written or digits < (8 if text[0] == "+" else 9) or _DATE.fullmatch(text):
        return text
    return "[phone]"
