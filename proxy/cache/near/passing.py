"""Questions whose answers pass, though no word for a day says so; wishes for another answer."""

import re
from typing import Final

from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.reading import Reading

_FEAST: Final = (
    r"(?:christmas|easter|ramadan|eid|diwali|thanksgiving|hanukkah|passover|new years?|halloween"
    r"|lent|pentecost|mothers day|fathers day)"
)
_RIDES: Final = r"(?:trains?|bus|buses|metro|subway|trams?|ferry|ferries|flights?|planes?)"
_OFFICE: Final = (
    r"(?:president|primeminister|chancellor|king|queen|pope|monarch|ceo|mayor|governor)"
)
_PASSING: Final = re.compile(
    "|".join(
        rf"\b(?:{each})\b"
        for each in (
            # the day
            r"what is the (?:date|day|year)$",
            r"(?:days|weeks|months|hours) (?:are |do we have )?left (?:in|until|till|to)",
            rf"long (?:is it )?(?:until|till|to) {_FEAST}|long until|when is {_FEAST}$",
            r"what time (?:do|does|will) (?:the )?(?:sun|moon) (?:set|rise)",
            r"sun(?:set|rise) (?:in|at)",
            # money
            r"net ?worth of|net ?worth$|market ?cap(?:italization)?",
            r"howmuch (?:do|does|is|are) (?!it\b)(?:\w+ ){1,5}(?:cost|worth|sell for|go for)",
            r"(?:interest|mortgage|inflation|unemployment|base|prime) rates? (?:of|at|in|for|on)",
            r"(?:mortgage|inflation|unemployment) rate$|minimum wage (?:in|of|for)",
            # people
            rf"^(?:who|name) is (?:the )?(?:\w+ ){{0,2}}{_OFFICE}$|^who is \w+ {_OFFICE}$",
            r"(?:richest|wealthiest) (?:person|people|man|men|woman|women|celebrity)",
            r"oldest (?:living )?(?:person|man|woman)|(?:person|man|woman) alive",
            r"^who (?:is )?(?:winning|leading|ahead)|^who holds (?:\w+ ){0,5}(?:record|title)",
            r"odds (?:for|on|of) (?:the )?(?:\w+ )?(?:game|match|bowl|cup|election|race|final)",
            r"^(?:is|are) (?:\w+ ){1,5}(?:alive|dead)$",
            r"^(?:is|are|do|does|has|have) (?!it\b|there\b|you\b)(?:\w+ ){1,5}still",
            # what goes on
            rf"{_RIDES} (?:\w+ ){{0,3}}(?:running|delayed|late|canceled|cancelled|on time)",
            r"^(?:is|are) (?:\w+ ){1,6}(?:open|closed|delayed|canceled|sold out|in stock|out yet)$",
            r"^(?:is|are) there (?:(?:a|an|any|still) )*"
            r"(?:war|strike|protest|outage|curfew|lockdown|riot|storm|fire)s? (?:in|at|on|near)",
            r"what is (?:happening|going on) (?:in|at|with) (?!this|that|my|the|a|an)",
            r"in (?:theaters|theatres|cinemas|the cinema)$|now showing",
            r"(?:what|which) (?:\w+ )?version (?:of )?(?:\w+ )?"
            r"(?:should|is (?:lts|stable|supported|recommended))",
        )
    )
)
_AGE: Final = re.compile(r"^how old (?:is|are) (?!the\b|a\b|an\b|my\b|planet\b|earth\b)\w+ \w+$")
_MONEY: Final = lists.words(
    "usd eur gbp jpy inr btc chf cny cad aud dollar dollars euro euros yen rupee rupees pounds yuan"
)
_RATED: Final = lists.words("rate rates howmuch worth exchange")


def passes(reading: Reading, words: str) -> bool:
    """Whether what is true of it today may not be so in a month; `words` are its, joined."""
    if len(_MONEY.intersection(reading.words)) > 1 and not _RATED.isdisjoint(reading.words):
        return True
    if reading.asks == "amount" and _AGE.match(words):
        return True
    return _PASSING.search(words) is not None


_KIND: Final = (
    r"(?:poem|story|joke|example|riddle|quote|fact|name|idea|suggestion|option|version|answer|one"
    r"|haiku|limerick|song|tip|recipe|question|sentence|title|slogan|topic)s?"
)
_ANOTHER: Final = re.compile(
    rf"\b(?:random|surprise me|jokes?|riddles?|another {_KIND}"
    rf"|(?:new|more|other|different|fresh|better) {_KIND})\b"
)
_ON: Final = re.compile(
    r"(?:please )?(?:(?:try|do it|say it|once) )?(?:again|next|continue|regenerate|retry|redo|go on"
    r"|keep going|more|another|another one|next one|one more|carry on)(?: please)?"
    r"|(?:regenerate|redo|retry|repeat|rewrite) (?:your |the |that |this |last )*"
    r"(?:answer|response|reply|it|that|this|message)"
)
_FIRST: Final = 6  # words of a wish in which its object stands
_PROGRAMS: Final = lists.words("code function script program array list method query regex class")


def wants_another(reading: Reading) -> bool:
    """Whether one answer is as good as another, and it should not be that of before."""
    if reading.spans or reading.languages or not _PROGRAMS.isdisjoint(reading.words):
        return False
    if _ON.fullmatch(" ".join(reading.words)) or _ON.fullmatch(reading.folded.lower().rstrip("!")):
        return True
    return not reading.asks and _ANOTHER.search(" ".join(reading.words[:_FIRST])) is not None
