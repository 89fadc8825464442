"""Our own lists of names and terms whose change changes a question: units, languages, formats."""

from typing import Final


def _one_word(text: str) -> dict[str, str]:
    """Every word of a line stands for the line's first."""
    rows = [line.split() for line in text.strip().splitlines()]
    return {word: row[0] for row in rows for word in row}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Units: any spelling -> one word. Those in the second table are units only beside a number.
UNITS: Final = _one_word(
    """
    km kilometer kilometers kilometre kilometres kms
    cm centimeter centimeters centimetre centimetres cms
    mm millimeter millimeters millimetre millimetres
    nm nanometer nanometers nanometre nanometres
    micrometer micrometers micron microns
    meter meters metre metres
    mile miles
    foot feet
    inch inches
    yard yards
    nauticalmile nmi
    furlong furlongs
    fathom fathoms
    lightyear lightyears
    lightsecond lightseconds
    lightminute lightminutes
    parsec parsecs
    au astronomicalunit
    kg kilogram kilograms kilogramme kilogrammes kilo kilos kgs
    mg milligram milligrams
    mcg microgram micrograms
    gram grams gramme grammes
    pound pounds lb lbs
    ounce ounces oz
    stone stones
    tonne tonnes ton tons
    carat carats
    liter liters litre litres
    ml milliliter milliliters millilitre millilitres
    cl centiliter centiliters
    gallon gallons
    quart quarts
    pint pints
    cup cups
    tablespoon tablespoons tbsp
    teaspoon teaspoons tsp
    barrel barrels
    hectare hectares
    acre acres
    squaremeter sqm
    squarefoot sqft
    squarekm
    squaremile
    cubicmeter
    cubicfoot
    fluidounce
    celsius centigrade
    fahrenheit
    kelvin
    radian radians
    degree degrees
    knot knots
    volt volts
    ampere amperes amps
    watt watts
    kw kilowatt kilowatts
    kwh kilowatthour kilowatthours
    megawatt megawatts
    ohm ohms
    joule joules
    calorie calories
    kcal kilocalorie kilocalories
    newton newtons
    pascal pascals
    psi
    millibar millibars
    hertz hz
    khz kilohertz
    mhz megahertz
    ghz gigahertz
    decibel decibels
    lumen lumens
    bit bits
    byte bytes
    kb kilobyte kilobytes
    mb megabyte megabytes
    gb gigabyte gigabytes
    tb terabyte terabytes
    pb petabyte petabytes
    kib kibibyte kibibytes
    mib mebibyte mebibytes
    gib gibibyte gibibytes
    mbps megabitspersecond
    gbps
    kbps
    pixel pixels px
    horsepower hp bhp
    mole moles
    bushel bushels
    dpi
    rpm
    bpm
    fps
    mpg
    percent pct
    usd dollar dollars bucks
    eur euro euros
    gbp sterling quid
    jpy yen
    cny yuan rmb renminbi
    inr rupee rupees rs
    chf
    cad
    aud
    nzd
    sek krona kronor
    nok krone
    dkk
    pln zloty
    krw
    brl
    mxn peso pesos
    rub ruble rubles rouble roubles
    try lira
    zar
    thb baht
    hkd
    sgd
    aed dirham dirhams
    sar riyal
    btc bitcoin bitcoins
    eth ether ethereum
    cent cents
    """
)
UNITS_WITH_NUMBER: Final = _one_word(
    """
    meter m
    gram g
    liter l
    foot ft
    mile mi
    yard yd
    ms millisecond milliseconds msec
    second seconds sec secs s
    minute minutes min mins
    hour hours hr hrs h
    day days
    week weeks wk wks
    month months
    year years yr yrs
    decade decades
    century centuries
    nanosecond nanoseconds ns
    microsecond microseconds
    volt v
    watt w
    celsius c
    fahrenheit f
    am
    pm
    """
)
# Durations are units, also without a number, where an answer is wanted in them.
DURATIONS: Final = _words(
    """
    nanosecond microsecond ms second minute hour day week month year decade century
    """
)
SIGNS: Final = {
    "%": "percent",
    "$": "usd",
    "€": "eur",
    "£": "gbp",
    "¥": "jpy",
    "₹": "inr",
    "₿": "btc",
    "°c": "celsius",
    "°f": "fahrenheit",
    "°": "degree",
    "℃": "celsius",
    "℉": "fahrenheit",
}
OPERATORS: Final = {
    "+": "plus",
    "-": "minus",
    "−": "minus",
    "*": "times",
    "×": "times",
    "x": "times",
    "/": "divided",
    "÷": "divided",
    "^": "power",
    "**": "power",
    "=": "equals",
    "<": "less",
    ">": "greater",
    "<=": "atmost",
    ">=": "atleast",
    "≤": "atmost",
    "≥": "atleast",
    "==": "equalequal",
    "===": "identical",
    "!=": "unequal",
    "//": "floordivided",
    "&": "and",
    "&&": "andand",
    "||": "oror",
    "|": "pipe",
    "%": "percent",
}

# Languages that people speak. Those that are ordinary words, too, are not here ("polish").
NATURAL_LANGUAGES: Final = _words(
    """
    english spanish french german italian portuguese dutch swedish norwegian danish finnish
    icelandic russian ukrainian belarusian czech slovak slovenian slovene croatian serbian bosnian
    bulgarian macedonian romanian hungarian greek turkish arabic hebrew persian farsi kurdish
    pashto urdu hindi bengali punjabi gujarati marathi tamil telugu kannada malayalam sinhala
    nepali thai lao burmese khmer vietnamese indonesian malay javanese tagalog filipino chinese
    mandarin cantonese japanese korean mongolian tibetan kazakh uzbek azerbaijani armenian
    georgian albanian estonian latvian lithuanian irish gaelic welsh scottish catalan basque
    galician maltese swahili zulu xhosa yoruba igbo hausa amharic somali afrikaans latin esperanto
    yiddish sanskrit hawaiian maori samoan quechua brazilian mexican british american australian
    canadian
    """
)
POLISHED: Final = _words("polish")  # a language only when capitalised
# Which form of a language or script.
LANGUAGE_FORMS: Final = _words("simplified traditional cyrillic hiragana katakana romaji pinyin")

PROGRAMMING_LANGUAGES: Final = _one_word(
    """
    python
    javascript
    typescript
    java
    kotlin
    scala
    groovy
    clojure
    ruby
    php
    perl
    lua
    haskell
    ocaml
    fsharp f#
    csharp c#
    cpp c++ cplusplus
    objectivec
    golang
    erlang
    elixir
    fortran
    cobol
    matlab
    sql
    plsql
    tsql
    css
    sass scss
    bash
    powershell
    zsh
    vba
    delphi
    assembly
    solidity
    verilog
    vhdl
    graphql
    cuda
    webassembly wasm
    nodejs
    react reactjs
    vue vuejs
    angular angularjs
    svelte
    django
    flask
    fastapi
    rails
    laravel
    jquery
    numpy
    pandas
    polars
    pytorch
    tensorflow
    keras
    """
)
# What runs in one language only, and so names it.
LANGUAGE_OF: Final = {
    tool: language
    for language, tools in (
        ("python", "numpy pandas polars pytorch tensorflow keras django flask fastapi pip conda"),
        ("javascript", "nodejs node react vue angular svelte jquery npm yarn pnpm express"),
        ("ruby", "rails"),
        ("php", "laravel"),
        ("bash", "shell terminal"),
        ("sql", "mysql postgresql sqlite mariadb query"),
    )
    for tool in tools.split()
}
# Ordinary words that are languages when capitalised, or beside a word of the trade.
SHY_LANGUAGES: Final = {
    "go": "golang",
    "c": "c",
    "r": "r",
    "d": "d",
    "swift": "swift",
    "rust": "rust",
    "dart": "dart",
    "julia": "julia",
    "basic": "basic",
    "pascal": "pascal",
    "scheme": "scheme",
    "lisp": "lisp",
    "crystal": "crystal",
    "elm": "elm",
    "nim": "nim",
    "zig": "zig",
    "scratch": "scratch",
    "ada": "ada",
    "node": "nodejs",
    "spring": "spring",
    "flutter": "flutter",
    "express": "express",
}
# What else programs run on or with: their names do not stand for one another.
PLATFORMS: Final = _one_word(
    """
    linux
    windows win10 win11
    macos mac osx macbook
    ubuntu
    debian
    fedora
    centos
    android
    ios
    iphone
    ipad
    chromebook
    chrome
    firefox
    safari
    mysql
    postgresql
    sqlite
    mongodb
    redis
    mariadb
    oracle
    cassandra
    dynamodb
    elasticsearch
    kafka
    rabbitmq
    docker
    podman
    kubernetes
    aws
    azure
    gcp
    heroku
    github
    gitlab
    bitbucket
    gmail
    outlook
    slack
    whatsapp
    telegram
    facebook
    instagram
    twitter
    linkedin
    youtube
    tiktok
    snapchat
    pinterest
    reddit
    excel
    msword
    powerpoint
    photoshop
    npm
    yarn
    pnpm
    pip
    conda
    maven
    gradle
    brew homebrew
    apt
    git
    svn
    vim
    emacs
    vscode
    intellij
    eclipse
    nginx
    apache
    playstation ps4 ps5
    xbox
    chatgpt
    openai
    claude
    gemini
    llama
    gpt
    """
)

# What makes another product of it, behind a number: "14 Pro", "4o mini".
VARIANTS: Final = _words(
    """
    pro max plus mini ultra lite air se turbo flash nano home enterprise lts beta alpha preview
    xl xs fe ti super
    """
)
# Shapes that an answer, or a file, may have.
FILE_FORMATS: Final = _one_word(
    """
    json
    jsonl
    yaml yml
    xml
    toml
    ini
    csv
    tsv
    html
    markdown md
    latex tex
    pdf
    docx
    xlsx
    pptx
    png
    jpeg jpg
    gif
    svg
    webp
    mp3
    mp4
    wav
    parquet
    avro
    protobuf
    base64
    hexadecimal hex
    bullet bullets bulleted bulletlist
    numbered
    plaintext
    checklist
    essay essays
    paragraph paragraphs
    outline outlines outlining
    haiku haikus
    limerick limericks
    sonnet sonnets
    poem poems
    ballad
    ode
    acrostic
    tweet tweets
    headline headlines
    blogpost blogposts
    pseudocode
    screenplay
    onesentence
    oneparagraph
    oneword
    perline
    commaseparated
    uppercase
    lowercase
    yesno
    truefalse
    coverletter
    """
)
# Everyday words, which are shapes of an answer only where something is to be written.
TEXT_FORMATS: Final = _one_word(
    """
    summary summaries summarize summarise summarized summarizing
    binary
    table tables tabular
    flowchart
    diagram
    chart
    graph
    timeline
    sentence sentences
    abstract
    rap
    song songs lyrics
    story stories
    joke jokes
    riddle riddles
    script
    dialog dialogs
    monologue
    email emails
    letter letters
    memo
    slogan slogans tagline
    article articles
    report
    review
    speech
    resume cv
    biography bio
    presentation slides slideshow
    quiz
    flashcards
    """
)
# Format words that come as two or three, in normalised form.
FORMAT_PHRASES: Final[dict[tuple[str, ...], str]] = {
    ("bullet", "list"): "bullet",
    ("bulleted", "list"): "bullet",
    ("bullet", "point"): "bullet",
    ("bullet", "points"): "bullet",
    ("numbered", "list"): "numbered",
    ("ordered", "list"): "numbered",
    ("plain", "text"): "plaintext",
    ("blog", "post"): "blogpost",
    ("blog", "posts"): "blogpost",
    ("one", "word"): "oneword",
    ("one", "sentence"): "onesentence",
    ("one", "paragraph"): "oneparagraph",
    ("capital", "letters"): "uppercase",
    ("all", "caps"): "uppercase",
    ("comma", "separated"): "commaseparated",
    ("per", "line"): "perline",
    ("each", "line"): "perline",
    ("separate", "lines"): "perline",
    ("single", "word"): "oneword",
    ("single", "sentence"): "onesentence",
    ("cover", "letter"): "coverletter",
    ("flow", "chart"): "flowchart",
    ("flash", "cards"): "flashcards",
}

# Times ---------------------------------------------------------------------------------------

MONTHS: Final = _one_word(
    """
    january jan
    february feb
    april apr
    june jun
    july jul
    august aug
    september sept sep
    october oct
    november nov
    december dec
    """
)
CAPITAL_MONTHS: Final = {"may": "may", "march": "march", "mar": "march"}  # words, if not capital
WEEKDAYS: Final = _one_word(
    """
    monday mondays
    tuesday tuesdays tue
    wednesday wednesdays
    thursday thursdays thu
    friday fridays fri
    saturday saturdays
    sunday sundays
    """
)
TIME_WORDS: Final = _one_word(
    """
    today todays
    tonight
    tomorrow tomorrows
    yesterday yesterdays
    christmas xmas
    easter
    halloween
    thanksgiving
    ramadan
    diwali
    bc bce
    """
)
HOURS: Final = _one_word(
    """
    weekend weekends
    noon midday
    midnight
    morning mornings
    afternoon afternoons
    evening evenings
    daily
    nightly
    hourly
    weekly
    monthly
    yearly annually annual
    quarterly
    biweekly fortnightly
    winter winters
    summer summers
    autumn autumns
    """
)
TIME_MODIFIERS: Final = _words("next last this previous coming past following current")
TIME_NOUNS: Final = _words(
    """
    week month year quarter semester decade century night weekend morning evening afternoon
    season term monday tuesday wednesday thursday friday saturday sunday summer winter autumn
    spring hour day minute january february march april may june july august september october
    november december
    """
)
# Frequent English words that are names of days or times only: not entities.
NOT_ENTITIES: Final = (
    frozenset(MONTHS)
    | frozenset(CAPITAL_MONTHS)
    | frozenset(WEEKDAYS)
    | _words(
        """
        i i'm i've i'll i'd god internet ok a an the and or of in on at to for is are my your what
        how why when where who which if it english http https tv pc id ok
        """
    )
)

# Places and the people or things from there: one entity.
DEMONYMS: Final = _one_word(
    """
    china chinese
    france french
    germany german germans
    spain spanish spaniard
    italy italian italians
    sweden swedish
    norway norwegian
    denmark danish danes
    finland finnish
    iceland icelandic
    poland polish poles
    portugal portuguese
    netherlands dutch holland
    greece greek greeks
    turkey turkish
    switzerland swiss
    ireland irish
    scotland scottish
    wales welsh
    england english
    uk british britain
    usa american americans america us
    thailand thai
    philippines filipino filipinos
    pakistan pakistani pakistanis
    israel israeli
    vietnam vietnamese
    japan japanese
    korea korean koreans
    russia russian russians
    india indian indians
    brazil brazilian brazilians
    mexico mexican mexicans
    canada canadian canadians
    australia australian australians
    austria austrian
    europe european europeans
    africa african africans
    asia asian asians
    egypt egyptian
    iran iranian
    iraq iraqi
    argentina argentine argentinian
    peru peruvian
    chile chilean
    """
)
