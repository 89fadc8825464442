"""Whether two answers say the same: a kept one, and a fresh one to the question now asked.

In this order, and the first that can tell does:

1. *Shape*: one calls a tool, refuses or is filtered, and the other does not. Of two that call
   tools, the calls are compared as JSON is.
2. *Both JSON*: the same structure with the same values. Texts in it are compared as texts are.
3. *Texts*, as `texts` tells.

What these are unsure of is left to a judge, if there is one; so is what is too long to be read.
All reading is done in a thread, one comparison at a time: it takes up to some hundred milliseconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from proxy.cache import claims, sayings
from proxy.cache.sayings import Ending
from proxy.cache.texts import EQUAL, Closeness, Compared, Guards, Texts, Words
from proxy.core.call import JsonObject
from proxy.core.errors import ProxyError
from proxy.stores.protocols import Finding

# Whether two answers to a question say the same; None if it cannot tell.
Judge = Callable[[str, str, str], Awaitable[bool | None]]

# The odds that it is unsure of a wrong answer, as against those that it is unsure of a right one,
# on a table that was labelled by hand: 46 and 113 to 16 and 75. See the test that counts them.
DOUBT: Final = 2.0

_MOST_TEXTS: Final = 50  # that differ in two JSON answers
_LONGEST: Final = 32_000  # characters of an answer that is read


class Comparer:
    """Compares answers. A failing embedder raises `EmbedderFailed`."""

    def __init__(
        self,
        words: Words,
        guards: Guards,
        judge: Judge | None = None,
        closeness: Closeness | None = None,
    ) -> None:
        self._judge = judge
        self._reader = _Reader(Texts(words, guards, closeness or Closeness()))
        self._turn = asyncio.Semaphore(1)  # more would only take the time of calls

    async def compare(self, question: str, kept: JsonObject, fresh: JsonObject) -> Compared:
        """Two whole chat answers; `question` is what the fresh one answers."""
        async with self._turn:
            found = await asyncio.to_thread(self._reader.compare, question, kept, fresh)
        a, b = sayings.text_of(kept), sayings.text_of(fresh)
        if found.finding is not Finding.UNSURE or self._judge is None or a is None or b is None:
            return found
        return await self._judged(self._judge, question, a, b)

    async def _judged(self, judge: Judge, question: str, a: str, b: str) -> Compared:
        try:
            same = await judge(question, a, b)
        except ProxyError:
            same = None
        if same is None:
            return Compared(Finding.UNSURE, "judge")
        return Compared(Finding.RIGHT if same else Finding.WRONG, "judge")


@dataclass(frozen=True, slots=True)
class _Reader:
    """What a comparison does without waiting."""

    texts: Texts

    def compare(self, question: str, kept: JsonObject, fresh: JsonObject) -> Compared:
        """See `Comparer`."""
        ends = {sayings.ending(kept), sayings.ending(fresh)} - {Ending.CUT, Ending.TEXT}
        if ends == {Ending.TOOLS} and sayings.text_of(kept) is sayings.text_of(fresh) is None:
            return self._values(question, sayings.calls_of(kept), sayings.calls_of(fresh))
        a, b = sayings.text_of(kept), sayings.text_of(fresh)
        if ends or a is None or b is None:
            nothing = a is b is None and len(ends) == 1  # both refuse, or are filtered
            return Compared(Finding.UNSURE if nothing else Finding.WRONG, "shape")
        if a == b:
            return EQUAL
        if max(len(a), len(b)) > _LONGEST:
            return Compared(Finding.UNSURE, "length")
        if claims.refuses(a) != claims.refuses(b):
            return Compared(Finding.WRONG, "refusal")
        return self._json(question, a, b) or self.texts.compare(question, a, b)

    def _json(self, question: str, a: str, b: str) -> Compared | None:
        """What they come to as JSON; None where neither is."""
        one, other = sayings.json_in(a), sayings.json_in(b)
        if one is None and other is None:
            return None
        if one is not None and other is not None:
            return self._values(question, one, other)
        one = sayings.json_within(a) if one is None else one
        other = sayings.json_within(b) if other is None else other
        if one is None or other is None:
            return Compared(Finding.WRONG, "shape")
        # Words beside it are no matter to people, but to programs.
        found = self._values(question, one, other)
        return found if found.finding is Finding.WRONG else Compared(Finding.UNSURE, "shape")

    def _values(self, question: str, one: object, other: object) -> Compared:
        texts = sayings.texts_that_differ(one, other)
        if texts is None:
            return Compared(Finding.WRONG, "json")
        if len(texts) > _MOST_TEXTS:
            return Compared(Finding.UNSURE, "json")
        worst = Compared(Finding.RIGHT, "json")
        for left, right in texts:
            found = self.texts.compare(question, left, right)
            if found.finding is Finding.WRONG:
                return found
            if found.finding is Finding.UNSURE:
                worst = found
        return worst
