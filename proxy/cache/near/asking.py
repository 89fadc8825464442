"""What is asked, once greetings and the usual frames are off, and what kind of answer is wanted."""

import re
from collections.abc import Sequence
from typing import Final, Literal

from proxy.cache.near import lexicon_words as lists

Asks = Literal["", "what", "who", "when", "where", "why", "how", "amount", "whether", "ought"]

# What comes before the question itself: greetings, politeness, ways of asking.
_OPENING: Final = re.compile(
    r"""(?:
      (?:hey|hi|hello|there|greetings|dear|please|kindly|ok|okay|so|well|alright|basically|sorry
        |actually|just|also|anyway|yo|um|uh|hmm|honestly|quickly|thanks|now) (?:[ ]all|[ ]everyone)?
    | good[ ](?:morning|afternoon|evening|day)
    | (?:can|could|would|will|may|might)[ ](?:you|anyone|someone|somebody|i)
      (?:[ ](?:please|kindly|also|quickly|possibly|just))*[ ]
      (?:tell|explain|show|give|help|describe|list|name|ask|suggest|recommend|let)
      (?:[ ]to)?(?:[ ](?:me|us))?(?:[ ](?:please|with|understand|about|know|out|a[ ]bit))*
    | would[ ]you[ ]mind[ ](?:telling|explaining|showing|describing|giving|helping)
      (?:[ ]to)?(?:[ ](?:me|us))?(?:[ ](?:with|about))?
    | (?:i|we)[ ](?:would|just|really|do|only|also|wish|want|need|have|am|was|will|have[ ]been)
      (?:[ ](?:just|really|also|simply|like|love|always|been|want|need|trying))*
      (?:[ ](?:to[ ](?:know|understand|learn|ask|find|see|hear)(?:[ ]out)?
        |wondering|wonder|curious|interested|a[ ]question|question|to[ ]know|asking)
        (?:[ ](?:about|in[ ]knowing|to[ ]know|on))?)
    | i[ ]wonder | (?:just[ ])?(?:wondering|curious)(?:[ ]about)?
    | do[ ](?:you|we)[ ](?:happen[ ]to[ ])?know | does[ ]anyone[ ]know | any[ ]idea
    | tell[ ](?:me|us)(?:[ ]about)? | let[ ](?:me|us)[ ]know | help[ ]me(?:[ ](?:to|with))*
      (?:[ ]understand)?
    | (?:i[ ]have[ ])?(?:a[ ])?(?:quick|simple|short)?[ ]?question(?:[ ](?:about|on))?
    | one[ ]more[ ]thing | (?:i[ ]am[ ])?(?:sorry[ ])?to[ ]bother[ ]you | (?:dear[ ])?assistant
    | i[ ](?:have[ ])?always[ ]wondered | help | can[ ](?:you|i) [ ]tell[ ]me
    | i[ ](?:would[ ])?(?:love|like|appreciate)[ ](?:it[ ])?if[ ]you[ ](?:could|would)
    | explain(?:[ ]to)?(?:[ ](?:me|us))? | describe(?:[ ]to[ ]me)?
    | give[ ](?:me|us) | show[ ](?:me|us)? | provide(?:[ ](?:me|us))?(?:[ ]with)?
    | name(?=[ ](?:the|a|some|\d)) | list(?=[ ](?:the|a|some|all|\d)) | define
    | as[ ]an?[ ](?:expert|assistant|ai) | you[ ]are[ ]an?[ ](?:expert|assistant|ai)
    | and | but | or | if(?=[ ])
    )[ ]""",
    re.VERBOSE,
)
_CLOSING: Final = re.compile(
    r"(?:[ ](?:please|thanks|thankyou|thank you|cheers|in advance|asap|for me|exactly"
    r"|(?:i (?:would )?)?(?:really )?appreciate(?:d)?(?: it| your help| that| any help)?|any ideas"
    r"|how do i do that|how do i do this|how do i do it|can you help|help))+$"
)
_AT_END: Final = 120  # letters that a closing may take
_LAST: Final = lists.words(  # of what closes: to search takes longer than to look
    """
        please thanks thankyou you cheers advance asap me exactly appreciate appreciated it help
        that ideas this
        """
)
_SOME: Final = re.compile(
    r"((?:what|which|who) (?:is|are|was|were) )(?:(?:some|all|any|a few) (?:of )?)(?:the )?"
)
_WAY: Final = (
    r"(?:way|ways|method|methods|step|steps|process|procedure|approach|technique|techniques|trick"
    r"|tricks|tip|tips|strategy|strategies|thing i can do|things i can do)"
)
_GOOD: Final = (
    r"(?:(?:very|most|some|good|great|best|right|correct|proper|recommended|common|different"
    r"|possible|usual|effective|preferred|ideal|easy|simple|standard|various) ){0,5}"
)
_ANYBODY: Final = r"(?:i|you|we|one|someone|people|anyone|they|a person)"
_BEST: Final = r"(?:(?:go about|best) )?"
_FRAMES: Final = (
    (
        rf"(?:what|which) (?:is|are|would be|will be) "
        rf"(?:(?:the|a|an|some|your|there) ){{0,3}}{_GOOD}{_WAY} "
        r"(?:(?:to|for|of|by which|in which|that|i can|you can|use) )+",
        "how to ",
    ),
    (rf"(?:is|are) there (?:a|an|any|some) {_GOOD}{_WAY} (?:to|of|for) ", "how to "),
    (rf"(?:the|a|some) {_GOOD}{_WAY} (?:to|of|for) ", "how to "),
    (rf"{_GOOD}{_WAY} (?:to|of|for) ", "how to "),
    (r"what (?:should|can|must|do|could) (?:i|you|we|one) do (?:to|if|when) ", "how to "),
    (rf"how did {_ANYBODY} {_BEST}", "how did "),
    (rf"how will (?:we|people|they) {_BEST}", "how will "),
    (
        r"how (?:do|does|can|could|should|would|might|may|must|will|shall) "
        rf"{_ANYBODY} {_BEST}",
        "how to ",
    ),
    (r"how (?:would|do) you ", "how to "),
    (
        r"(?:what|which) (?:is|are|was|were) (?:(?:the|some|main|possible|real) )*"
        r"(?:reason|reasons|cause|causes) (?:for|of|behind|why|that) ",
        "why ",
    ),
    (r"what (?:makes|causes|leads to) ", "why do "),
    (r"what (?:made|caused|led to) ", "why did "),
    (r"how come ", "why "),
    (r"in (?:what|which) (?:way|ways|manner) ", "how "),
    (r"which (?=(?:is|are|was|were) )", "what "),
    (r"what (?:is|are) the (?:name|names) of ", "what is "),
    (r"what (?:is|are) (?:the )?(?:meaning|definition)s? of ", "what is "),
    (r"what (?:is|are|was|were) (?:the )?howmany ", "howmany "),
)
# The first that matches: one pattern is tried faster than each of them in turn.
_FRAME: Final = re.compile("|".join(f"({pattern})" for pattern, _ in _FRAMES))
_MEANING: Final = re.compile(r"what (?:do|does|did|is) (.+) (?:mean|meaning)$")


_WRAPPINGS: Final = 12  # taken off; whoever greets more often is not understood


def _frame(text: str) -> str:
    """The question without the wrapping, its usual frames in one wording."""
    for _ in range(_WRAPPINGS):
        match = _OPENING.match(text)
        if match is None:
            break
        text = text[match.end() :]
    if text[text.rfind(" ") + 1 :] in _LAST:
        text = text[:-_AT_END] + _CLOSING.sub("", text[-_AT_END:])
    if match := _SOME.match(text):
        text = match.group(1) + text[match.end() :]
    if match := _FRAME.match(text):
        _, new = _FRAMES[(match.lastindex or 1) - 1]
        text = new + text[match.end() :]
    if match := _MEANING.match(text):
        return f"what is {match.group(1)}"
    return text


def asked(forms: Sequence[str]) -> list[str]:
    """The words of the question itself, its frame in one wording: `how to fold a map`."""
    return _frame(" ".join(forms)).split()


_AUXILIARIES: Final = lists.words(
    """
        is are was were am do does did have has had can could may might must shall should
        will would
        """
)
_QUESTION_WORDS: Final[dict[str, Asks]] = {
    "what": "what",
    "which": "what",
    "who": "who",
    "whom": "who",
    "whose": "who",
    "when": "when",
    "where": "where",
    "why": "why",
    "how": "how",
    "howmany": "amount",
    "howmuch": "amount",
}
_MEASURES: Final = lists.words(
    """
        long far often old tall big large deep high fast heavy wide many much hot cold warm
        """
)
_WHEN: Final = lists.words(
    """
        time year day date month century decade
        """
)
_WHERE: Final = lists.words(
    """
        place location
        """
)


_OUGHT: Final = re.compile(
    r"(?:should|must|shall|need)\b"
    r"|(?:is|are|was|would) (?:it|there|this) (?:be )?(?:safe|legal|illegal|worth|ok|okay|bad|good"
    r"|healthy|unhealthy|wise|necessary|dangerous|normal|rude)\b"
)


def asks(words: Sequence[str]) -> Asks:
    """What kind of answer is wanted; "" where no question word says it."""
    if words and words[0] == "whether":
        return "whether"
    if words and words[0] in _AUXILIARIES:
        return "ought" if _OUGHT.match(" ".join(words[:4])) else "whether"
    for i, word in enumerate(words):
        kind = _QUESTION_WORDS.get(word)
        if kind is None:
            continue
        after = words[i + 1] if i + 1 < len(words) else ""
        if kind == "where" and words[-1] == "from":
            return ""  # may be another why
        if kind == "how" and after in _MEASURES:
            return "amount"
        if kind == "what" and after in _WHEN:
            return "when"
        if kind == "what" and after in _WHERE:
            return "where"
        if kind == "what" and after in ("person", "people"):
            return "who"
        return kind
    return ""
