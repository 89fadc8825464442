"""Make the shipped word table from WordNet 3.0: `python -m tests.training.lexicon [FOLDER]`.

FOLDER holds WordNet's own files, as Debian's package `wordnet-base` puts them into
/usr/share/wordnet. Single words only; a word keeps its few most frequent senses.
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from click import echo

from proxy.cache.near import lexicon

POS = ("noun", "verb", "adj", "adv")
SENSES = {"noun": 6, "verb": 4, "adj": 3, "adv": 2}  # senses kept of a word
_WORD = re.compile(r"[a-z]{2,24}\Z")
_LETTER = {"n": "noun", "v": "verb", "a": "adj", "s": "adj", "r": "adv"}
_KIND = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}

Key = tuple[str, int]  # part of speech, offset in its file


@dataclass
class Synset:
    """One line of a data file: its words, what it is a kind of, and its pointers from words."""

    words: list[str]
    parents: list[Key] = field(default_factory=list)
    links: list[tuple[str, int, Key, int]] = field(default_factory=list)


def synsets(folder: Path) -> dict[Key, Synset]:
    """All synsets of the four data files."""
    return {
        key: synset
        for pos in POS
        for line in _lines(folder / f"data.{pos}")
        for key, synset in [_synset(pos, line)]
    }


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from (line for line in file if not line.startswith("  "))


def _synset(pos: str, line: str) -> tuple[Key, Synset]:
    parts = line.split("|", 1)[0].split()
    n_words = int(parts[3], 16)
    words = [re.sub(r"\(.*", "", parts[4 + 2 * i]).lower() for i in range(n_words)]
    at = 4 + 2 * n_words
    synset = Synset(words)
    for i in range(int(parts[at])):
        symbol, offset, letter, ends = parts[at + 1 + 4 * i : at + 5 + 4 * i]
        target = (_LETTER[letter], int(offset))
        if symbol in ("@", "@i", "&"):
            synset.parents.append(target)
        elif symbol in ("!", "+", "\\", "<"):
            source, end = divmod(int(ends, 16), 256)
            synset.links.append((symbol, source, target, end))
    return (pos, int(parts[0])), synset


def senses(folder: Path) -> dict[str, list[Key]]:
    """The synsets of each single word, most frequent first, cut to `SENSES`."""
    found: dict[str, list[Key]] = defaultdict(list)
    for pos in POS:
        for line in _lines(folder / f"index.{pos}"):
            parts = line.split()
            if _WORD.match(parts[0]):
                count = int(parts[2])
                offsets = parts[-count:][: SENSES[pos]]
                found[parts[0]] += [(pos, int(offset)) for offset in offsets]
    return found


def counts(folder: Path) -> dict[str, dict[str, int]]:
    """How often each word was seen as each part of speech in the texts that WordNet tagged."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in _lines(folder / "cntlist.rev"):
        key, _, count = line.split()
        word, _, rest = key.partition("%")
        if _WORD.match(word):
            found[word][_KIND[rest[0]]] += int(count)
    return found


def exceptions(folder: Path) -> dict[str, str]:
    """Irregular forms and their base, as in "geese goose"; verbs and nouns win over the rest."""
    found: dict[str, str] = {}
    for pos in ("verb", "noun"):
        for line in _lines(folder / f"{pos}.exc"):
            form, base = line.split()[:2]
            if _WORD.match(form) and _WORD.match(base) and form != base:
                found.setdefault(form, base)
    return found


def make(folder: Path, target: Path) -> None:
    """Write the table of WordNet's files in `folder` to `target`."""
    nets, of, seen = synsets(folder), senses(folder), counts(folder)
    words = sorted(of)
    number = {word: i for i, word in enumerate(words)}
    used = sorted({key for keys in of.values() for key in keys})
    while above := {p for key in used for p in nets[key].parents} - set(used):
        used += sorted(above)
    ids = {key: i for i, key in enumerate(used)}

    pairs: dict[str, set[tuple[int, int]]] = {"!": set(), "+": set()}
    for key in used:
        synset = nets[key]
        for symbol, source, other, end in synset.links:
            if not source or not end:
                continue
            a, b = synset.words[source - 1], nets[other].words[end - 1]
            if a in number and b in number and a != b:
                kind = "!" if symbol == "!" else "+"
                x, y = sorted((number[a], number[b]))
                pairs[kind].add((x, y))

    at = np.zeros(len(words) + 1, np.uint32)
    at[1:] = np.cumsum([len(of[word]) for word in words])
    tallies = np.array(
        [[min(seen[word][pos], 65535) for pos in ("noun", "verb", "adj", "adv")] for word in words],
        np.uint16,
    )
    irregular = exceptions(folder)
    np.savez_compressed(
        target,
        words=_text(words),
        senses_at=at,
        senses=np.array([ids[key] for word in words for key in of[word]], np.uint32),
        parents=np.array(
            [
                _parents(i, [ids[p] for p in nets[k].parents if p in ids])
                for i, k in enumerate(used)
            ],
            np.uint32,
        ).T.copy(),
        nouns=np.packbits(np.array([key[0] == "noun" for key in used])),
        antonyms=np.array(sorted(pairs["!"]), np.uint32),
        kin=np.array(sorted(pairs["+"]), np.uint32),
        counts=tallies.T.copy(),
        irregular=_text([f"{form} {base}" for form, base in sorted(irregular.items())]),
    )
    echo(
        f"{len(words):,} words, {at[-1]:,} senses, {len(used):,} synsets, "
        f"{len(pairs['!']):,} antonyms, {len(pairs['+']):,} derivations, "
        f"{len(irregular):,} irregular forms: {target.stat().st_size / 1e6:.2f} MB"
    )


def _parents(own: int, above: list[int]) -> list[int]:
    """Two numbers: its own stands where there is no parent, or no second one."""
    return [*above, own, own][:2]


def _text(lines: list[str]) -> np.ndarray:
    return np.frombuffer("\n".join(lines).encode(), np.uint8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--target", type=Path, default=lexicon.TABLE)
    chosen = parser.parse_args()
    if not (chosen.folder / "data.noun").exists():
        parser.error(f"no WordNet files in {chosen.folder}; Debian: apt-get install wordnet-base")
    make(chosen.folder, chosen.target)
