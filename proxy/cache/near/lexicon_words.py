"""Our own lists of ordinary English words: forms, spellings, numbers, small words."""

from typing import Final


def _pairs(text: str) -> dict[str, str]:
    """`a:b` items as a table; one that has no colon would be a slip of the pen."""
    return dict(item.split(":", 1) for item in text.split())


def _row(text: str) -> list[str]:
    return text.split()


def words(text: str) -> frozenset[str]:
    """The words of `text`, which white space parts."""
    return frozenset(text.split())


CONTRACTIONS: Final[dict[str, tuple[str, ...]]] = {
    word: tuple(opened.split("_"))
    for word, opened in _pairs(
        """
        can't:can_not cant:can_not cannot:can_not won't:will_not wont:will_not shan't:shall_not
        don't:do_not dont:do_not doesn't:do_not doesnt:do_not didn't:did_not didnt:did_not
        isn't:is_not isnt:is_not aren't:are_not arent:are_not wasn't:was_not wasnt:was_not
        weren't:were_not werent:were_not hasn't:have_not hasnt:have_not haven't:have_not
        havent:have_not hadn't:had_not couldn't:could_not couldnt:could_not wouldn't:would_not
        wouldnt:would_not shouldn't:should_not shouldnt:should_not mustn't:must_not
        needn't:need_not mightn't:might_not ain't:is_not
        i'm:i_am im:i_am i've:i_have ive:i_have i'll:i_will i'd:i_would
        you're:you_are youre:you_are you've:you_have you'll:you_will you'd:you_would
        we're:we_are we've:we_have we'll:we_will we'd:we_would they're:they_are theyre:they_are
        they've:they_have they'll:they_will they'd:they_would
        he's:he_is she's:she_is it's:it_is he'll:he_will she'll:she_will it'll:it_will
        he'd:he_would she'd:she_would that's:that_is thats:that_is there's:there_is
        theres:there_is here's:here_is what's:what_is whats:what_is who's:who_is whos:who_is
        where's:where_is wheres:where_is when's:when_is why's:why_is how's:how_is hows:how_is
        which's:which_is what're:what_are who're:who_are how're:how_are where're:where_are
        what'll:what_will who'll:who_will that'll:that_will what'd:what_did how'd:how_did
        what've:what_have let's:let_us lets:let_us gonna:going_to wanna:want_to gotta:have_to
        lemme:let_me gimme:give_me dunno:do_not_know kinda:kind_of w/:with
        mph:mile_per_hour kph:km_per_hour kmh:km_per_hour kmph:km_per_hour mps:meter_per_second
        mpg:mile_per_gallon
        pls:please plz:please thx:thanks ty:thanks u:you ur:your
        """
    ).items()
}

SPELLINGS: Final = _pairs(
    """
    colour:color favourite:favorite favour:favor flavour:flavor honour:honor humour:humor
    labour:labor neighbour:neighbor neighbourhood:neighborhood behaviour:behavior harbour:harbor
    rumour:rumor tumour:tumor vapour:vapor vigour:vigor odour:odor armour:armor saviour:savior
    endeavour:endeavor splendour:splendor parlour:parlor mould:mold moult:molt smoulder:smolder
    centre:center metre:meter litre:liter kilometre:kilometer centimetre:centimeter
    millimetre:millimeter theatre:theater fibre:fiber calibre:caliber sabre:saber spectre:specter
    lustre:luster meagre:meager sombre:somber manoeuvre:maneuver
    licence:license defence:defense offence:offense pretence:pretense practise:practice
    analyse:analyze paralyse:paralyze catalyse:catalyze dialogue:dialog catalogue:catalog
    analogue:analog travelling:traveling traveller:traveler travelled:traveled
    cancelled:canceled cancelling:canceling labelled:labeled labelling:labeling
    modelling:modeling modelled:modeled fuelled:fueled signalling:signaling
    counselling:counseling counsellor:counselor jewellery:jewelry marvellous:marvelous
    woollen:woolen skilful:skillful fulfil:fulfill enrol:enroll enrolment:enrollment
    instalment:installment wilful:willful programme:program cheque:check tyre:tire kerb:curb
    plough:plow grey:gray sceptical:skeptical sceptic:skeptic aluminium:aluminum
    aeroplane:airplane aeroplanes:airplanes pyjamas:pajamas moustache:mustache doughnut:donut
    yoghurt:yogurt storey:story draught:draft sulphur:sulfur ageing:aging judgement:judgment
    acknowledgement:acknowledgment oestrogen:estrogen anaemia:anemia diarrhoea:diarrhea
    foetus:fetus haemoglobin:hemoglobin leukaemia:leukemia paediatric:pediatric
    orthopaedic:orthopedic encyclopaedia:encyclopedia mediaeval:medieval archaeology:archeology
    learnt:learned burnt:burned dreamt:dreamed spelt:spelled spoilt:spoiled
    whilst:while amongst:among towards:toward afterwards:afterward maths:math
    grammer:grammar definately:definitely seperate:separate recieve:receive teh:the
    occured:occurred untill:until wich:which becuase:because alot:lot
    """
)

# Words in -ise and -yse that are not American -ize.
KEEP_ISE: Final = words(
    """
        advise arise compromise concise demise despise devise disguise enterprise excise
        exercise expertise franchise guise improvise merchandise noise otherwise poise
        praise precise premise promise raise revise rise supervise surmise surprise televise
        treatise wise chastise likewise paradise turquoise cruise bruise malaise mayonnaise
        anise advertise
        """
)

ONES: Final = {
    word: value
    for value, word in enumerate(
        _row(
            """
        zero one two three four five six seven eight nine ten eleven twelve thirteen
        fourteen fifteen sixteen seventeen eighteen nineteen
        """
        )
    )
}
TENS: Final = {
    word: 10 * value
    for value, word in enumerate(
        _row(
            """
        twenty thirty forty fifty sixty seventy eighty ninety
        """
        ),
        start=2,
    )
}
SCALES: Final = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
    "billion": 1_000_000_000,
    "trillion": 1_000_000_000_000,
    "lakh": 100_000,
    "crore": 10_000_000,
}
ORDINALS: Final = {
    word: value
    for value, word in enumerate(
        _row(
            """
        first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth
        thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth
        twentieth
        """
        ),
        start=1,
    )
} | {
    "thirtieth": 30,
    "fortieth": 40,
    "fiftieth": 50,
    "sixtieth": 60,
    "seventieth": 70,
    "eightieth": 80,
    "ninetieth": 90,
    "hundredth": 100,
    "thousandth": 1000,
}
MULTIPLES: Final = {"dozen": 12, "twice": 2, "thrice": 3}
ROMANS: Final = {
    roman: value
    for value, roman in enumerate(
        _row(
            """
        I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX
        """
        ),
        start=1,
    )
}
# Before these a lone "I", "V" or "X" is a number, too.
NUMBERED: Final = words(
    """
        war part chapter type phase volume act book section title stage level schedule class
        episode grade article appendix figure elizabeth henry louis george charles edward
        james richard william philip frederick catherine napoleon pope ramses darius xerxes
        """
)
# After these "second" is a unit.
SECOND_AFTER: Final = words(
    """
        per each every one split light leap half milli nano micro
        """
)

FUNCTION_WORDS: Final = words(
    """
        a an the this that these those some any each every all both either neither no none i
        me my mine myself we us our ours ourselves you your yours yourself he him his
        himself she her hers herself it its itself they them their theirs themselves one
        someone anyone everyone somebody anybody everybody something anything everything
        there here what which who whom whose when where why how whether am is are was were
        be been being do does did done doing have has had having can could may might must
        shall should will would ought need and or but nor so yet if then than because as
        while although though since unless until of at by for with about against between
        into through during before after above below to from up down in out on off over
        under again further per via within without toward towards among across along around behind
        beside besides beyond despite except inside near onto outside throughout upon like
        unlike versus vs instead not never very too also just only even still already ever
        much many more most less least few lot lots such own same other another else quite
        rather really actually basically simply maybe perhaps please thanks thank hello hi
        hey ok okay well etc ie eg howmany howmuch
        """
)
# Function words whose exchange changes a question.
TELLING_WORDS: Final = words(
    """
        not never no none without with before after against all any some only more most less
        least few many both either neither except despite unless until up down in out on off
        over under above below between inside outside into from per other same because
        although if
        """
)
NEGATORS: Final = words(
    """
    not never no none nothing nobody nowhere neither nor without unable lack hardly except
    """
)

ENGLISH_SIGNS: Final = FUNCTION_WORDS - words(
    """
        me he an am as so on was are in is
        """
)
FOREIGN_SIGNS: Final = words(
    """
        el la los las una unos unas del que qué cuál cual como cómo cuándo dónde por para
        con sin es son está están mi su sus y o en de se al lo un muy más pero porque quién
        hay puedo puede le les des du au aux une est sont dans pour avec sans sur que qui
        quoi où quand comment pourquoi je tu il elle nous vous ils mon ma mes ce cette ces
        et ou ne pas plus peut suis der die das den dem des ein eine einen einer und oder
        ist sind nicht ich du er sie wir ihr wie was wo wann warum wer mit ohne für auf von
        zu zum zur im am bei nach über kann mein meine il gli uno della dello delle nel
        nella che chi cosa dove quando perché sono è sei con senza per tra fra più anche mio
        mia questo questa o os um uma uns umas da das dos na nas no nos não com sem por para
        é são meu minha você qual quais onde como eu ele ela de het een van en ik je jij hij
        zij wij niet met voor aan op te dat wat waar hoe waarom og och att det som jag du vi
        inte är på av til ikke jeg hvad hvor hvordan kan med jak co je to na se kde proč
        jest nie czy gdzie ve bir bu ne nasıl için
        """
) - words(
    """
        no me so on do as i an am in was die we he she o y is are to a hat war
        """
)
