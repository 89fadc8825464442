"""How this Groq counts tokens: about four characters each, where real tokenizers differ."""

from collections.abc import Iterator

CHARS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4  # role and delimiters of the chat template
TOKENS_PER_IMAGE = 800


def count(text: str) -> int:
    """Give the tokens in a text; 0 for the empty one."""
    return -(-len(text) // CHARS_PER_TOKEN)


def first(text: str, tokens: int) -> str:
    """Give the beginning of a text that is worth at most so many tokens."""
    return text[: max(0, tokens) * CHARS_PER_TOKEN]


def pieces(text: str, at_most: int = 12) -> Iterator[str]:
    """Cut a text as a stream would: word by word with the space before it, long words in parts."""
    start = 0
    for end in range(1, len(text) + 1):
        breaks = end == len(text) or (text[end].isspace() and not text[end - 1].isspace())
        if breaks or end - start >= at_most:
            yield text[start:end]
            start = end
