"""Our own lists of deeds: who does them, to whom, and which ones undo or answer each other."""

from typing import Final

from proxy.cache.near.lexicon_words import words


def _table(text: str) -> dict[str, frozenset[str]]:
    """Lines of `words: deeds`; each word stands for all the deeds of its line."""
    rows = (line.partition(":") for line in text.strip().splitlines())
    return {word: words(deeds) for said, _, deeds in rows for word in said.split()}


# Whoever is called so does it; endings like that of "seller" are read without a list.
DOERS: Final = _table(
    """
    author: write
    boss chief superior: manage lead
    butcher assassin: kill murder
    champion victor: win beat defeat
    critic: criticize
    customer shopper: buy
    father mother parent: father parent
    god deity: create
    heir: inherit
    landlord: rent
    liar: lie
    mentor tutor professor: teach mentor
    pupil student disciple: learn
    recipient: receive
    savior rescuer: save rescue
    sculptor: sculpt make
    successor: succeed follow
    predator: eat hunt
    plaintiff accuser: accuse sue
    thief burglar: steal
    spy: spy
    tenant: rent
    """
)
# To whoever is called so it is done.
SUFFERERS: Final = _table(
    """
    apprentice: train teach
    child son daughter: father parent
    diet: eat
    employee worker servant: employ
    nominee: nominate
    patient: treat
    defendant accused: accuse sue
    predecessor: succeed follow
    prey: eat hunt prey
    prisoner captive hostage: capture
    pupil student disciple: teach
    subordinate underling: manage lead
    victim: kill murder attack harm
    """
)
# With these small words, what is said is the deed of whoever follows: to work for, to lose to.
ANSWERED: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("learn", "from"): words("teach"),
    ("study", "under"): words("teach"),
    ("work", "for"): words("employ"),
    ("lose", "to"): words("beat defeat"),
    ("surrender", "to"): words("beat defeat"),
    ("report", "to"): words("manage"),
    ("belong", "to"): words("own"),
}
# Deeds and states in other forms than their own.
FORMS: Final = _table(
    """
    birth birthplace birthday birthdate born bear: born
    death dead died dying deathplace: die
    sale seller vendor salesman: sell
    purchase bought customer shopper: buy
    victory victor victorious champion won triumph: win
    defeat loss lost loser defeated: lose
    thief theft: steal
    gift gave given donor donation donate: give
    recipient receipt receiver: receive
    sunset: set
    sunrise: rise
    pupil student disciple apprentice: learn
    mentor tutor professor: teach
    loan: lend
    debt debtor: owe
    exit leaving left departure: leave
    growth: grow
    entry entrance: enter
    fall fell: fall
    author: write
    marriage wedding: marry
    success: succeed
    failure: fail
    lover beloved: love
    hatred hater: hate
    successor: succeed
    predecessor preceding: precede
    dismissal: dismiss
    supply provider vendor: supply
    user: use
    maker manufacturer: make
    """
)
# What one does the other undoes, answers or suffers: where one is asked for, the other is not.
OPPOSED: Final = frozenset(
    frozenset(pair.split("/"))
    for pair in words(
        """
        buy/sell win/lose beat/lose defeat/win teach/learn lend/borrow give/receive send/receive
        give/take born/die live/die import/export arrive/leave arrive/depart enter/leave
        enter/exit attack/defend invade/defend love/hate hire/fire hire/dismiss employ/dismiss
        marry/divorce rise/fall rise/set immigrate/emigrate increase/reduce increase/decrease
        gain/lose grow/shrink deposit/withdraw earn/spend succeed/precede succeed/fail
        accept/reject approve/reject open/close start/end begin/end start/finish write/read
        build/destroy create/destroy speak/listen lead/follow produce/consume supply/consume
        make/use supply/use make/buy produce/buy publish/read hide/seek remember/forget
        protect/attack lend/owe accuse/defend prosecute/defend praise/criticize admit/deny
        host/visit join/leave appoint/dismiss raise/lower capture/release imprison/release
        free/imprison free/capture help/harm save/kill rescue/kill heal/harm freeze/melt
        evaporate/condense inhale/exhale improve/worsen appear/disappear
        """
    )
)
