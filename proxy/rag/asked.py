"""What a chat asks, as far as passages can be looked for by it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from proxy.core.call import JsonObject

_LONGEST: Final = 2_000  # characters; of more, the beginning and the end are taken


def place_of(messages: Sequence[object]) -> int | None:
    """Where the last message of the user stands; None where no text of a user is to be found."""
    return next(_places(messages, len(messages)), None)


def asked(body: JsonObject) -> Iterator[str]:
    """What to look for, best first: the user's last turn, then that with the turn before it.

    Nothing where no user says anything in words. "And what does it cost?" finds little by itself.
    """
    messages = body.get("messages")
    if not isinstance(messages, list):
        return
    last = place_of(messages)
    if last is None:
        return
    question = _words(messages[last])
    yield _cut(question)
    before = next(_places(messages, last), None)
    if before is not None:
        yield _cut(f"{_cut(_words(messages[before]))}\n{question}")


def _places(messages: Sequence[object], end: int) -> Iterator[int]:
    """Where users say something, from `end` backwards."""
    for index in range(end - 1, -1, -1):
        message = messages[index]
        if isinstance(message, Mapping) and message.get("role") == "user" and _words(message):
            yield index


def _words(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content.strip()
    parts = content if isinstance(content, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str)).strip()


def _cut(text: str) -> str:
    """A question stands at the beginning or at the end of a long turn."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}\n{text[-half:]}"
