"""The provider's prompt cache: a repeated beginning of a prompt is cheaper, and told in the usage.

Prompts are remembered by organisation and model in blocks of 128 tokens; what counts is the
longest row of known blocks from the start. An entry is forgotten after two hours unused.
"""

import hashlib
from collections import OrderedDict

from proxy.simulator.tokens import CHARS_PER_TOKEN

BLOCK_TOKENS = 128
KEPT_S = 7_200.0
MOST_BLOCKS = 50_000


class PromptCache:
    """Which prompt prefixes have been seen lately."""

    def __init__(self) -> None:
        self._used_at: OrderedDict[bytes, float] = OrderedDict()

    def cached_tokens(self, org: str, model: str, prompt: str, now: float) -> int:
        """Give the tokens of the prompt that were known, and know all of it from now on."""
        running = hashlib.sha256(f"{org}\0{model}\0".encode("utf-8", "replace"))
        step = BLOCK_TOKENS * CHARS_PER_TOKEN
        known, unbroken = 0, True
        for start in range(0, len(prompt) - step + 1, step):
            running.update(prompt[start : start + step].encode("utf-8", "replace"))
            block = running.digest()
            unbroken = unbroken and now - self._used_at.get(block, float("-inf")) <= KEPT_S
            known += unbroken
            self._used_at[block] = now
            self._used_at.move_to_end(block)
        while len(self._used_at) > MOST_BLOCKS:
            self._used_at.popitem(last=False)
        return known * BLOCK_TOKENS
