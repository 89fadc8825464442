"""Questions about a text as it is written: a comma more is another question.

Of such a question only the frame may be worded in another way. What the text is, a colon or quotes
say; where neither stands, it is all that is not of the frame.
"""

import re
from collections.abc import Sequence
from typing import Final

from proxy.cache.near import lexicon_words as lists

# They ask for work on a text when the request begins with them.
_TASKS: Final = lists.words(
    """
    translate rewrite rephrase paraphrase reword proofread edit summarize summarise shorten correct
    fix punctuate capitalize capitalise spell transcribe transliterate pronounce decode encode
    encrypt decrypt classify label say count reverse complete continue finish repeat echo quote
    parse tag conjugate scan alphabetize sort
    """
)
# They ask about letters and signs wherever they stand.
_OF_SIGNS: Final = re.compile(
    r"\b(?:punctuat\w*|proofread\w*|(?:mis)?spell(?:ed|ing|s|t)?|capitali[sz]ed|uppercase|lowercase"
    r"|upper case|lower case|grammatical(?:ly)?|plural|singular|past tense|participle|syllables?"
    r"|letters? (?:in|of|are|does|is)|vowels?|consonants?|characters? (?:in|of|are|does|is)"
    r"|words? (?:in|are in) (?:this|the)|rhymes? with|anagrams?|palindromes?|homophones?|typos?"
    r"|pronounced?|apostrophes?|commas?|hyphens?|hyphenated|semicolons?|backwards|base64"
    r"|how (?:do|would|can|to) (?:you |i |one )?(?:say|write|spell|pronounce)"
    r"|(?:correct|right|wrong) (?:sentence|english|grammar)|third person|passive|active voice"
    r"|(?:this|the following) (?:\w+ )?(?:sentence|text|phrase|paragraph|passage))\b",
    re.IGNORECASE,
)
# One of these stands in whatever `_OF_SIGNS` finds.
_HINTS: Final = lists.words(
    """
    punctuation punctuate punctuated punctuating proofread proofreading spell spelled spelling
    spells spelt misspell misspelled misspelling misspelt capitalized uppercase lowercase upper
    lower grammatical grammatically plural singular tense participle syllable syllables letter
    letters vowel vowels consonant consonants character characters word words rhyme rhymes anagram
    anagrams palindrome palindromes homophone homophones typo typos pronounce pronounced apostrophe
    apostrophes comma commas hyphen hyphens hyphenated semicolon semicolons backwards base64 say
    write sentence english grammar person passive voice text phrase paragraph passage base
    """
)
_TECHNICAL: Final = re.compile(r"how (?:do|can|to|should|would)\b(?! (?:you |i |one )?"
                               r"(?:say|write|spell|pronounce)\b)", re.IGNORECASE)  # fmt: skip
_IS_RIGHT: Final = re.compile(
    r"\A(?:is|are)\b.*\b(?:correct|right|grammatical|proper|wrong|capitali[sz]ed|uppercase"
    r"|lowercase)\b[\s?.!]*\Z",
    re.IGNORECASE | re.DOTALL,
)
_HANDED_OVER: Final = re.compile(r"[^:]{3,120}:\s+(?P<text>\S.*)\Z", re.DOTALL)
_THANKS: Final = re.compile(
    r"(?:,?\s+(?:please|thanks|thank you|thx|ty|cheers|in advance|very much|so much|a lot)"
    r"(?=[\s.!,]|\Z)[.!]*)+\s*\Z",
    re.IGNORECASE,
)
_AT_END: Final = 120  # letters that thanks may take
_POLITE: Final = re.compile(
    r"(?:(?:hey|hi|hello|please|kindly|ok|(?:can|could|would|will) you(?: please)?(?: help me)?"
    r"|(?:tell|show|teach) me|i (?:want|need|would like) to(?: know)?)\b[\s,]*)+",
    re.IGNORECASE,
)
_WHAT: Final = r"(?:(?:the |this )?(?:word|words|phrase|sentence) )?(?P<text>\S.*?)"
_IN: Final = r"(?: (?:in|into|to) (?:the )?\w+(?: language)?)"
_LONGEST: Final = 300  # letters: whoever writes more has a colon or quotes
_FRAMES: Final = tuple(
    (kind, re.compile(pattern + r"\s*[.?]?", re.IGNORECASE | re.DOTALL))
    for kind, pattern in (
        ("say", rf"translate (?:from \w+ )?(?:in)?to \w+ {_WHAT}"),
        ("say", rf"translate {_WHAT}(?: from \w+)?{_IN}"),
        ("say", rf"(?:how (?:do|would|can|to|should)(?: (?:you|i|we|one))? |)say {_WHAT}{_IN}"),
        ("say", rf"what(?: is|'s) (?:the )?\w+ (?:word |translation )?(?:for|of) {_WHAT}"),
        ("say", rf"what(?: is|'s) {_WHAT}(?: called)?{_IN}"),
        ("spell", rf"(?:how (?:do|would|can|to|is)(?: (?:you|i|we|one))? |)spell(?:ed)? {_WHAT}"),
        ("pronounce", rf"how (?:do|would|can|to)(?: (?:you|i|we|one))? pronounce {_WHAT}"),
    )
)


def is_about_text(text: str, words: Sequence[str]) -> bool:
    """Whether the form of a text matters to the answer. `words`: those of the question itself."""
    if words and words[0] in _TASKS:
        return True
    if _IS_RIGHT.match(text):
        return True
    if _HINTS.isdisjoint(words):  # the patterns take their time
        return False
    return _OF_SIGNS.search(text) is not None and _TECHNICAL.search(text) is None


def handed_over(text: str) -> str:
    """What follows a colon, as it was written, thanks apart; "" where there is none."""
    match = _HANDED_OVER.match(text)
    return without_thanks(match.group("text")) if match else ""


def without_thanks(text: str) -> str:
    """A text less the thanks and the white space at its end."""
    text = text.rstrip()
    return (text[:-_AT_END] + _THANKS.sub("", text[-_AT_END:])).rstrip()


def framed(text: str) -> tuple[str, str]:
    """What is asked of which words, as they were written; both "" where no frame is known."""
    if len(text) > _LONGEST:
        return "", ""
    text = _POLITE.sub("", without_thanks(text.strip()), count=1)
    for kind, frame in _FRAMES:
        if match := frame.fullmatch(text):
            return kind, match.group("text")
    return "", ""
