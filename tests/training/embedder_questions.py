"""Questions as people ask an assistant, written by ourselves: patterns filled with words."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import yaml

_PARTS = " | "
_OPENED, _SMALL, _BARE = 0.06, 0.12, 0.08  # shares: polite openers, no capitals, no `?`


class Questions:
    """Makes questions from `embedder_questions.yaml` and the nouns handed in, common ones first."""

    def __init__(self, nouns: list[str], dice: Random) -> None:
        path = Path(__file__).with_name("embedder_questions.yaml")
        lists = yaml.safe_load(path.read_text(encoding="utf-8"))
        self._patterns = [line.split(_PARTS) for line in lists.pop("patterns").splitlines()]
        self._lists = {name: " ".join(text.split()).split(_PARTS) for name, text in lists.items()}
        self._nouns = nouns
        self._dice = dice

    def groups(self, count: int) -> Iterator[list[str]]:
        """`count` times three wordings of one question, with everyday blemishes."""
        for _ in range(count):
            words = self._words()
            wordings = self._dice.choice(self._patterns)
            yield [self._worn(wording.format_map(words)) for wording in wordings]

    def singles(self, count: int) -> Iterator[str]:
        """`count` single questions."""
        for group in self.groups(count):
            yield self._dice.choice(group)

    def _words(self) -> dict[str, str]:
        nouns, lists, dice = self._nouns, self._lists, self._dice
        # the square: common words are asked about more often than rare ones
        thing, other = (nouns[int(len(nouns) * dice.random() ** 2)] for _ in range(2))
        place, next_place = dice.sample(lists["places"], 2)
        product, next_product = dice.sample(lists["products"], 2)
        subject, next_subject = dice.sample(lists["subjects"], 2)
        return {
            "n": thing,
            "m": other,
            "p": place,
            "q": next_place,
            "t": product,
            "u": next_product,
            "c": subject,
            "d": next_subject,
            "v": dice.choice(lists["tasks"]),
            "l": dice.choice(lists["languages"]),
            "a": dice.choice(lists["adjectives"]),
        }

    def _worn(self, question: str) -> str:
        dice = self._dice
        question = question[0].upper() + question[1:]
        if dice.random() < _OPENED:
            opener = dice.choice(self._lists["openers"])
            ended = opener[-1] in "!?:"
            question = f"{opener} {question if ended else question[0].lower() + question[1:]}"
        if dice.random() < _SMALL:
            question = question.lower()
        return question.rstrip("?") if dice.random() < _BARE else question
