"""The training texts: from every source its share, without doubles, counted aloud."""

import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import yaml

from tests.training.embedder_manuals import Section, manuals, sentences
from tests.training.embedder_questions import Questions
from tests.training.embedder_wordnet import WordNet

_PASSAGE_CHARACTERS = 700
_TAG = re.compile(r"<[^>]+>")
_WORD_QUESTIONS = (
    *("What is {}?", "What does {} mean?", "Define {}", "{} definition", "Explain the word {}"),
    *("meaning of {}", "What do you call {}?", "Tell me about {}"),
)


@dataclass(frozen=True, slots=True)
class Text:
    """One text to learn from; a passage may be longer than a question."""

    text: str
    source: str
    passage: bool = False


def corpus(folders: dict[str, Path], dice: Random, told: Callable[[str], None]) -> list[Text]:
    """All texts, each once. Needs no data of ours but what stands in this folder."""
    seen: set[str] = set()
    texts: list[Text] = []
    for source, limit, found in _sources(folders, dice):
        passage = source == "passages of manuals"
        fresh = (text for text in found if text not in seen)
        taken: list[str] = []
        for text in islice(fresh, limit):
            if text not in seen:
                seen.add(text)
                taken.append(text)
        texts += [Text(text, source, passage=passage) for text in taken]
        words = sum(len(text.split()) for text in taken) / max(1, len(taken))
        told(f"{source:28} {len(taken):7,} texts of {words:5.1f} words")
    told(f"{'all':28} {len(texts):7,}")
    return texts


def _sources(folders: dict[str, Path], dice: Random) -> Iterator[tuple[str, int, Iterable[str]]]:
    wordnet = WordNet(folders["wordnet-base"])
    synsets = [synset for synset in wordnet.synsets if not synset.held_out]
    dice.shuffle(synsets)
    yield "glosses", 35_000, filter(_readable, (synset.gloss for synset in synsets))
    examples = (example for synset in synsets for example in synset.examples)
    yield "examples", 20_000, filter(_readable, examples)
    alike = (", ".join(synset.words) for synset in synsets if len(synset.words) > 1)
    yield "words that mean the same", 10_000, alike
    asked = (dice.choice(_WORD_QUESTIONS).format(synset.words[0]) for synset in synsets)
    yield "words as questions", 12_000, asked
    asking = Questions(wordnet.common_nouns(), dice)
    yield "own questions", 40_000, asking.singles(60_000)
    threes = asking.groups(3_800)
    yield "own questions in 3 wordings", 11_400, (text for group in threes for text in group)
    yield from _from_manuals(folders, dice)
    yield "descriptions of interfaces", 7_500, _shuffled(_descriptions(folders), dice)
    yield "small talk", 700, _shuffled(_small_talk(folders["chatterbot-corpus"]), dice)


def _from_manuals(
    folders: dict[str, Path], dice: Random
) -> Iterator[tuple[str, int, Iterable[str]]]:
    sections = list(manuals(folders))
    dice.shuffle(sections)
    said = {s for section in sections for p in section.paragraphs for s in sentences(p)}
    yield "sentences of manuals", 25_000, _shuffled(filter(_readable, said), dice)
    headed = [section for section in sections if _titled(section)]
    passages = [section for section in headed if len(section.passage(_PASSAGE_CHARACTERS)) > 100]
    yield (
        "passages of manuals",
        9_000,
        (section.passage(_PASSAGE_CHARACTERS) for section in passages[:9_000]),
    )
    yield "titles of passages", 9_000, (section.title for section in passages[:9_000])
    yield "headings", 6_000, (section.title for section in headed)


def _titled(section: Section) -> bool:
    return 2 <= len(section.title.split()) <= 15


def _readable(text: str) -> bool:
    letters = sum(character.isalpha() for character in text)
    solid = sum(not character.isspace() for character in text)
    return 4 <= len(text.split()) <= 45 and letters > 0.8 * solid


def _shuffled(found: Iterable[str], dice: Random) -> list[str]:
    # a set forgets its order between two runs, so the order is made anew before the dice roll
    texts = sorted(set(found))
    dice.shuffle(texts)
    return texts


def _descriptions(folders: dict[str, Path]) -> Iterator[str]:
    for path in sorted(folders["botocore"].rglob("service-2.json.gz")):
        service = json.loads(gzip.decompress(path.read_bytes()))
        for operation in service["operations"].values():
            yield from _first_sentence(operation.get("documentation", ""))
    documents = "googleapiclient/discovery_cache/documents/*.json"
    for path in sorted(folders["google-api-python-client"].glob(documents)):
        for description in _methods(json.loads(path.read_text(encoding="utf-8"))):
            yield from _first_sentence(description)


def _methods(node: dict[str, object]) -> Iterator[str]:
    methods, resources = node.get("methods"), node.get("resources")
    if isinstance(methods, dict):
        yield from (str(method.get("description", "")) for method in methods.values())
    if isinstance(resources, dict):
        for resource in resources.values():
            yield from _methods(resource)


def _first_sentence(description: str) -> Iterator[str]:
    plain = " ".join(_TAG.sub(" ", description).split())
    sentence = sentences(plain)[0] if plain else ""
    if _readable(sentence):
        yield sentence


def _small_talk(package: Path) -> Iterator[str]:
    for path in sorted(package.glob("chatterbot_corpus/data/english/*.yml")):
        for exchange in yaml.safe_load(path.read_text(encoding="utf-8"))["conversations"]:
            yield from filter(_readable, (line for line in exchange if isinstance(line, str)))
