"""What WordNet gives: glosses, examples, words that mean the same, and nouns by how common."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_EXAMPLE = re.compile(r'"([^"]+)"')
_HELD_OUT_ONE_IN = 20  # of the noun synsets, kept away from training


@dataclass(frozen=True, slots=True)
class Synset:
    """One meaning: its words, its definition and sentences that use it."""

    kind: str  # noun, verb, adj, adv
    offset: int
    words: tuple[str, ...]
    gloss: str
    examples: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        """Whether training must not see it."""
        return self.kind == "noun" and self.offset // 8 % _HELD_OUT_ONE_IN == 0


class WordNet:
    """All of WordNet that we use, read once."""

    def __init__(self, package: Path) -> None:
        self._folder = package / "usr/share/wordnet"
        self.synsets = [
            synset for kind in ("noun", "verb", "adj", "adv") for synset in self._read(kind)
        ]

    def common_nouns(self) -> list[str]:
        """Nouns that WordNet's own text counts know, the most frequent first, without names."""
        counts: dict[str, int] = {}
        for line in (self._folder / "cntlist.rev").read_text().splitlines():
            key, _, count = line.split(" ")
            word, _, place = key.partition("%")
            if place.startswith("1:") and word.replace("_", "").isalpha():
                counts[word] = counts.get(word, 0) + int(count)
        names = {w for s in self.synsets if s.kind == "noun" for w in s.words if w != w.lower()}
        small = {w for s in self.synsets if s.kind == "noun" for w in s.words if w == w.lower()}
        words = sorted(counts, key=lambda word: (-counts[word], word))
        plain = (word.replace("_", " ") for word in words)
        return [word for word in plain if len(word) > 2 and word in small - names]

    def _read(self, kind: str) -> Iterator[Synset]:
        for line in (self._folder / f"data.{kind}").read_text().splitlines():
            if line.startswith("  "):  # the licence stands on top
                continue
            data, _, text = line.partition(" | ")
            fields = data.split(" ")
            many = int(fields[3], 16)
            words = tuple(re.sub(r"\(\w+\)$", "", word) for word in fields[4 : 4 + 2 * many : 2])
            yield Synset(
                kind,
                int(fields[0]),
                tuple(word.replace("_", " ") for word in words),
                _EXAMPLE.sub("", text).strip(" ;"),
                tuple(_EXAMPLE.findall(text)),
            )
