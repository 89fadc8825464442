"""Answers that say the same in other words, and answers that nearly do: for judging comparisons."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """Two answers to `question`; `same`: who has one of them needs not ask for the other."""

    question: str
    a: str
    b: str
    same: bool


_SHORT_SAME = [
    ("What is the capital of Peru?", "Lima", "The capital of Peru is Lima."),
    ("What is the capital of Peru?", "Lima.", "It's **Lima**."),
    ("How much is 12 times 12?", "144", "12 times 12 is 144."),
    ("How much is 12 times 12?", "The result is 144.", "144."),
    ("Is water wet?", "Yes, most people would call it wet.", "Yes, most would say it is wet."),
    ("Who wrote Emma?", "Jane Austen wrote Emma.", "Emma was written by Jane Austen."),
    (
        "Why is the sky blue?",
        "Because air scatters blue light more than red light.",
        "The sky is blue because air scatters blue light more strongly than red light.",
    ),
    (
        "How do I undo the last commit?",
        "Run `git reset --soft HEAD~1`; your changes stay staged.",
        "Use `git reset --soft HEAD~1`, and the changes stay staged.",
    ),
    (
        "When did the wall fall?",
        "The Berlin Wall fell on 9 November 1989.",
        "It fell on 9 November 1989.",
    ),
    (
        "What does HTTP 404 mean?",
        "The server could not find the page you asked for.",
        "The page you asked for could not be found by the server.",
    ),
    (
        "What is photosynthesis?",
        "Plants turn light, water and carbon dioxide into sugar and oxygen.",
        "It is how plants turn light, water and carbon dioxide into sugar and oxygen.",
    ),
    ("Give me JSON", '{"city": "Lima", "n": 3}', '```json\n{"n": 3, "city": "lima"}\n```'),
    (
        "Translate 'good night' to Spanish",
        "Buenas noches",
        "\u201cBuenas noches\u201d",
    ),
    (
        "How long do eggs boil?",
        "Boil them for 8 minutes for a soft yolk.",
        "For a soft yolk, boil the eggs for 8 minutes.",
    ),
    ("Which is larger, 3 or 5?", "5", "5 is larger."),
]

_SHORT_OTHER = [
    ("What is the capital of Australia?", "The capital is Canberra.", "The capital is Sydney."),
    ("What is the capital of Australia?", "Canberra", "Sydney"),
    ("How much is 12 times 12?", "144", "The result is 124."),
    ("Is 91 prime?", "No, 91 is 7 times 13.", "Yes, 91 is prime."),
    ("Is 91 prime?", "It is not prime.", "It is prime."),
    ("Who wrote Emma?", "Jane Austen wrote Emma.", "Charlotte Brontë wrote Emma."),
    ("How do I undo it?", "Run `git reset --soft HEAD~1`.", "Run `git reset --hard HEAD~1`."),
    ("When did it fall?", "It fell on 9 November 1989.", "It fell on 9 November 1988."),
    ("How long is it?", "It is 5 km long.", "It is 5 miles long."),
    ("Which of them is heavier?", "Gold is heavier than lead.", "Lead is heavier than gold."),
    ("Should I stretch before a run?", "Stretch before the run.", "Stretch after the run."),
    ("What colour is it?", "The house is red.", "The house is blue."),
    (
        "Should I use a list or a set?",
        "Use a list here, because the order matters.",
        "Use a set here, because duplicates matter.",
    ),
    ("Can I take both pills?", "You can take them together.", "You cannot take them together."),
    ("Give me JSON", '{"city": "Lima", "n": 3}', '{"city": "Lima", "n": 4}'),
    ("Give me JSON", '{"city": "Lima"}', '{"city": "Quito"}'),
    ("Translate it to Spanish", "Buenas noches", "Buenos días"),
    (
        "Is the door open on Sunday?",
        "The shop opens at nine on Monday.",
        "The shop closes at nine on Monday.",
    ),
    ("What is the temperature?", "It is 20 degrees Celsius.", "It is 20 degrees Fahrenheit."),
    ("Sort or search?", "It increases the speed of the search.", "It decreases it."),
]

_CLAIMS_SAME = [
    ("How much is 10 squared?", "10² is 100.", "10^2 = 100"),
    ("What is the area of a circle?", "πr²", "π r^2"),
    ("What is the area of a circle?", "The area is πr².", "The area is \\(πr^2\\)."),
    ("What is 36 plus 6?", "\\boxed{42}", "42"),
    ("What is 3 times 4?", "3 × 4 = 12", "3 * 4 = 12"),
    ("How hot is it?", "It is 20 °C.", "It is 20 degrees C."),
    ("How much did it grow?", "It grew by 5 %.", "It grew by 5 percent."),
    ("What does it cost?", "It costs $5.", "It costs 5 dollars."),
    (
        "How many people live there?",
        "About 1,500 people live there.",
        "About 1500 people live there.",
    ),
    ("When does it open?", "It opens at 9 AM.", "It opens at 9 am."),
    ("How far is it?", "5 km", "It's 5 km."),
    ("Name three colours", "Red, green and blue.", "Red, green, and blue"),
    ("Name three colours", "red, green and blue", "blue, red and green"),
    ("Which tools do I need?", "You need a hammer and a saw.", "You need a saw and a hammer."),
    ("Is it safe?", "Yes.", "Yes, it is."),
    ("Is it safe?", "No, it is not safe.", "No, it isn't safe."),
    ("Who painted it?", "Claude Monet", "It was painted by Claude Monet."),
    ("Who painted it?", "Claude Monet.", "The painter is **Claude Monet**."),
    ("When did it happen?", "In 1969.", "1969"),
    ("When did it happen?", "It happened in July 1969.", "It was in July 1969."),
    ("What is the chemical formula of water?", "H2O", "H₂O"),
    ("What is the opposite of hot?", "cold", "The opposite of hot is cold."),
    ("How do you say cat in French?", "chat", '"chat"'),
    ("What language is spoken in Brazil?", "Portuguese", "Portuguese is spoken in Brazil."),
    (
        "When should I water it?",
        "Water it in the morning, before the sun gets strong.",
        "Water it in the morning before the sun gets strong.",
    ),
    (
        "How do I list files?",
        "To list all files, run `ls -la`.",
        "Run `ls -la` to list all files.",
    ),
    (
        "What is a noun?",
        "A noun is a word for a person, place or thing.",
        "A noun is a word that names a person, place or thing.",
    ),
    (
        "Why do leaves change colour?",
        "Leaves change colour because chlorophyll breaks down in autumn.",
        "In autumn, leaves change colour because chlorophyll breaks down.",
    ),
    ("Sort 3, 1, 2", "1, 2, 3", "The sorted list is 1, 2, 3."),
    ("Sort 3, 1, 2", "[1, 2, 3]", "```json\n[1, 2, 3]\n```"),
    ("Give me JSON", '{"a": [1, 2]}', '{\n  "a": [1, 2]\n}'),
    ("Give me JSON", '{"on": true, "n": 1}', '{"n": 1.0, "on": true}'),
    ("Write it in Python", "```python\nx = 1\n```", "```py\nx = 1\n```"),
    (
        "Write a loop",
        "```python\nfor x in items:\n    print(x)\n```",
        "```python\nfor x in items:\n  print(x)\n```",
    ),
    ("What does `len([1, 2])` return?", "2", "It returns `2`."),
    ("Which planet is the largest?", "Jupiter", "Jupiter is the largest planet."),
    ("What is the boiling point of water?", "100 °C", "Water boils at 100 °C."),
    ("How long is a marathon?", "42.195 km", "A marathon is 42.195 km long."),
    ("Who is older, Tom or Ann?", "Ann", "Ann is older."),
    ("What is 7 minus 12?", "-5", "7 minus 12 is -5."),
    ("What is half of one?", "½", "1/2"),
    ("Give me the headline", "# Rain ahead", "Rain ahead"),
    ("What is the plural of mouse?", "mice", "The plural of mouse is **mice**."),
    ("Tell me the steps", "1. Mix it\n2. Bake it", "1) Mix it\n2) Bake it"),
    ("Is Pluto a planet?", "No, Pluto is a dwarf planet.", "No. Pluto is a dwarf planet."),
]

_CLAIMS_OTHER = [
    ("How much is it?", "10²", "102"),
    ("How much is it?", "The result is 2³.", "The result is 23."),
    ("How long is it?", "2½ hours", "21/2 hours"),
    ("Where do the brackets go?", "2 * (3 + 4)", "(2 * 3) + 4"),
    ("Write the sum without a loss", "7 - (3 - 2)", "(7 - 3) - 2"),
    ("Tea or coffee?", "Tea", "Tea or coffee"),
    ("Tea or coffee?", "Tea.", "Tea and coffee."),
    ("Which one should I take?", "Take the red one.", "Take the red one or the blue one."),
    ("How fast is it?", "8 MB", "8 Mb"),
    ("How strong is it?", "It needs 5 mW.", "It needs 5 MW."),
    ("How warm is it?", "-5 °C", "5 °C"),
    ("How warm is it?", "It is -5 degrees outside.", "It is 5 degrees outside."),
    ("How warm is it?", "20 °C", "20 °F"),
    ("What does it cost?", "€5", "$5"),
    ("What does it cost?", "It costs 50 euros.", "It costs 50 dollars."),
    ("What must hold?", "x < 5", "x > 5"),
    ("What must hold?", "x <= 5", "x < 5"),
    ("What must hold?", "x must be at least 5.", "x must be at most 5."),
    ("Who has how many?", "Alice has 3 and Bob has 5.", "Alice has 5 and Bob has 3."),
    ("Who has how many?", "Bob has 3 and Alice has 5.", "Alice has 3 and Bob has 5."),
    ("What are the first three?", "3, 1, 2", "1, 3, 2"),
    ("What is the order?", "First mix, then bake.", "First bake, then mix."),
    ("What do I convert?", "Convert the list to a tuple.", "Convert the tuple to a list."),
    ("Who sent it?", "Ann sent the letter to Tom.", "Tom sent the letter to Ann."),
    ("What may I mix?", "Vinegar but not bleach.", "Bleach but not vinegar."),
    ("What is she like?", "She is rich but not happy.", "She is not rich but happy."),
    ("What shall I eat?", "More protein and less fat.", "Less protein and more fat."),
    ("When do I take it?", "Take it before meals.", "Take it after meals."),
    ("How often do I take it?", "Take it twice a day.", "Take it three times a day."),
    ("Who may enter?", "Members may enter.", "Only members may enter."),
    ("Who may enter?", "All members can enter.", "Some members can enter."),
    ("Do I need it?", "You should bring it.", "You must bring it."),
    ("Did he win?", "He won.", "He should have won."),
    ("Who is president?", "She is the president.", "She was the president."),
    ("How much did it rise?", "It rose by 5.", "It rose to 5."),
    ("How much did it rise?", "It rose 5 points.", "It rose to 5 points."),
    ("Is it safe?", "It is safe.", "It is nearly safe."),
    ("Is it safe?", "Yes", "Yes, but only for adults"),
    ("Does it work?", "True", "False"),
    ("Does it work?", "It works with the cable.", "It works without the cable."),
    ("Which gas is it?", "CO", "Co"),
    ("What is the id?", "SGVsbG8", "sGVsbG8"),
    ("Is it HELLO or hello?", "HELLO", "hello"),
    ("What is the regex?", "`[a-z]+`", "`[A-Z]+`"),
    ("What is the regex?", "`^a*$`", "`^a+$`"),
    ("What is the command?", "Run `rm -r build`.", "Run `rm -rf /`."),
    ("Which version is it?", "Version 3.11 added it.", "Version 3.12 added it."),
    ("What day is it?", "It is on Monday.", "It is on Tuesday."),
    ("When is it?", "3 May 2024", "5 March 2024"),
    ("What time is it?", "9 am in New York", "9 pm in New York"),
    ("Quelle est la capitale ?", "La réunion est lundi.", "La réunion est mardi."),
    ("Wann ist das Treffen?", "Das Treffen ist am Montag.", "Das Treffen ist am Dienstag."),
    ("首都はどこ?", "東京です", "大阪です"),
    ("Какая столица?", "Столица — Париж.", "Столица — Лондон."),
    ("¿Está abierto?", "La tienda está abierta.", "La tienda está cerrada."),
    ("Give me JSON", '{"n": 1}', '{"n": true}'),
    ("Give me JSON", '{"a": [1, 2]}', '{"a": [2, 1]}'),
    ("Give me JSON", '{"sort": "asc"}', '{"sort": "desc"}'),
    ("Give me JSON", '{"id": "aB3"}', '{"id": "AB3"}'),
    (
        "Write a loop",
        "```python\nfor x in items:\n    total += x\n    print(total)\n```",
        "```python\nfor x in items:\n    total += x\nprint(total)\n```",
    ),
    (
        "Only the code, please",
        "for x in items:\n    total += x\n    print(total)",
        "for x in items:\n    total += x\nprint(total)",
    ),
    ("Give me the YAML", "a:\n  b: 1\n  c: 2", "a:\n  b: 1\nc: 2"),
    ("Why not?", "I'm sorry, but I can't help with that.", "Take two of them each day."),
    ("Who is he?", "I do not have access to real-time information.", "The mayor is John Smith."),
    ("Is it good?", "It is not uncommon.", "It is uncommon."),
    ("Which is bigger?", "Canada is bigger than China.", "China is bigger than Canada."),
    ("Who lent what?", "My brother owes me money.", "I owe my brother money."),
    ("What does it mean?", "It means to give up.", "It means to give in."),
    ("Which foods?", "Eat fruit with no sugar.", "Eat sugar with no fruit."),
    ("What is the ratio?", "The ratio is 3:4.", "The ratio is 4:3."),
    ("What was the score?", "They won 2-1.", "They lost 1-2."),
    ("How do I get there?", "Turn left, then right.", "Turn right, then left."),
    ("Which flag?", "🇫🇷", "🇩🇪"),
    ("How did you like it?", "👍", "👎"),
    ("What does it do?", "It encrypts the file.", "It decrypts the file."),
    ("Should I sell?", "You could sell it if the price rises.", "Sell it."),
    ("Where is it?", "It is north of the river.", "It is south of the river."),
    ("Who is taller?", "Ann is taller than both of them.", "Ann is taller than either of them."),
]

_EVERYDAY_SAME = [
    ("What is the tallest mountain?", "Mount Everest", "The tallest mountain is Mount Everest."),
    ("What is the tallest mountain?", "It's Mount Everest, at 8,849 m.", "Mount Everest, 8849 m"),
    (
        "How do I install it?",
        "Run `pip install requests` in a terminal.",
        "In a terminal, run `pip install requests`.",
    ),
    ("What is 20% of 50?", "10", "20% of 50 is 10."),
    (
        "Who discovered penicillin?",
        "Alexander Fleming discovered penicillin in 1928.",
        "Penicillin was discovered by Alexander Fleming in 1928.",
    ),
    (
        "What does CPU stand for?",
        "Central Processing Unit",
        "CPU stands for Central Processing Unit.",
    ),
    (
        "Can dogs eat chocolate?",
        "No, chocolate is toxic to dogs.",
        "No. Chocolate is toxic for dogs.",
    ),
    ("What is the speed of light?", "299,792,458 m/s", "299792458 m/s"),
    ("Solve x + 2 = 5", "x = 3", "**x = 3**"),
    ("Solve x + 2 = 5", "\\(x = 3\\)", "x = 3"),
    (
        "Define gravity",
        "Gravity is a force that pulls objects toward each other.",
        "Gravity is the force that pulls objects towards each other.",
    ),
    ("What year did WW2 end?", "1945", "World War II ended in 1945."),
    ("How many legs has a spider?", "Eight", "A spider has eight legs."),
    ("How many legs has a spider?", "8", "eight"),
    (
        "Is the earth flat?",
        "No, the Earth is not flat; it is round.",
        "No, the Earth isn't flat, it is round.",
    ),
    ("What is the currency of Japan?", "The yen", "Yen"),
    ("Translate dog to Spanish", "perro", "Perro"),
    (
        "What is the best time to visit?",
        "The best time to visit is between May and September.",
        "Between May and September is the best time to visit.",
    ),
    ("List the primary colors", "- Red\n- Blue\n- Yellow", "Red, blue, yellow"),
    ("List the primary colors", "1. Red\n2. Blue\n3. Yellow", "- Red\n- Blue\n- Yellow"),
    ("Why did it fail?", "The disk was full.", "It failed because the disk was full."),
    ("Write a greeting", "Hello!", "hello"),
    ("Return the total as JSON", '{"total": 12.50}', '{"total": 12.5}'),
    ("Call it", "```js\nconst x = 1;\n```", "```javascript\nconst x = 1; // one\n```"),
    (
        "What is an atom?",
        "An atom is the smallest unit of matter that keeps the properties of an element.",
        "An atom is the smallest unit of an element that keeps its properties.",
    ),
]

_EVERYDAY_OTHER = [
    ("What is the tallest mountain?", "Mount Everest", "K2"),
    ("How high is it?", "8,849 m", "8,849 ft"),
    ("How do I install it?", "Run `pip install requests`.", "Run `pip uninstall requests`."),
    ("What is 20% of 50?", "10", "12"),
    ("Who called whom?", "Mary called John.", "John called Mary."),
    ("Who discovered it?", "Marie Curie", "Pierre Curie"),
    ("Can dogs eat it?", "Dogs can eat it.", "Dogs can't eat it."),
    (
        "Can dogs eat it?",
        "It is fine for dogs but not for cats.",
        "It is fine for cats but not for dogs.",
    ),
    ("Solve it", "x = 3", "x = -3"),
    ("Solve it", "x = 3 or x = -3", "x = 3"),
    ("When did it end?", "It ended in May 1945.", "It began in May 1945."),
    (
        "Which is cheaper?",
        "The train is cheaper than the bus.",
        "The bus is cheaper than the train.",
    ),
    (
        "How much should I give?",
        "Give 20 mg to adults and 5 mg to children.",
        "Give 5 mg to adults and 20 mg to children.",
    ),
    ("What is the dose?", "5 mg", "5 g"),
    ("What is the dose?", "0.5 mg", "5 mg"),
    ("When does it close?", "It closes at 9 pm.", "It closes at 9 am."),
    ("What is the capital?", "Vienna", "Austria's capital is Graz."),
    ("Merge what?", "Merge dev into main.", "Merge main into dev."),
    ("Which file?", "Rename a.txt to b.txt.", "Rename b.txt to a.txt."),
    ("What does it print?", "[1, 2, 3]", "[3, 2, 1]"),
    ("What does it print?", "`'5'`", "`5`"),
    ("What is the condition?", "if a and b or c", "if a and (b or c)"),
    ("Is it allowed?", "It's allowed.", "It's not allowed."),
    ("Is it allowed?", "Yes, it is allowed on weekdays.", "Yes, it is allowed on weekends."),
    ("Where do I park?", "Park inside the gate.", "Park outside the gate."),
    (
        "What should I do?",
        "Press the green button and hold it.",
        "Press the red button and hold it.",
    ),
    ("What should I do?", "Call them if it rains.", "Call them unless it rains."),
    ("How many?", "At least three people are needed.", "At most three people are needed."),
    ("What comes first?", "The egg comes before the chicken.", "The chicken comes before the egg."),
    ("How much is it?", "£20", "€20"),
    ("How much is it?", "between 5 and 10 euros", "more than 10 euros"),
    ("Who wins?", "The first player always wins.", "The first player sometimes wins."),
    ("Is it legal?", "It is legal in Spain.", "It is legal in Portugal."),
    ("What is the formula?", "C2H6O", "C2H4O"),
    ("Which move?", "e4", "e5"),
    ("Classify the sentiment", "positive", "negative"),
    ("Classify the sentiment", "positive", "neutral"),
    ("Which label?", "spam", "ham"),
    ("Pick A, B or C", "A", "B"),
    ("Pick A, B or C", "The answer is (A).", "The answer is (C)."),
    ("Which language is it?", "Spanish", "Portuguese"),
    ("What is its color?", "dark blue", "light blue"),
    (
        "Write SQL",
        "```sql\nSELECT a FROM t WHERE x > 5\n```",
        "```sql\nSELECT a FROM t WHERE x >= 5\n```",
    ),
    ("Write code", "```python\nreturn a - b\n```", "```python\nreturn b - a\n```"),
    ("Write code", "```python\nprint(max(xs))\n```", "```python\nprint(min(xs))\n```"),
    (
        "Summarise the letter",
        "The tenant asks the landlord to repair the heating.",
        "The landlord asks the tenant to repair the heating.",
    ),
    (
        "Summarise the report",
        "Sales rose in the north and fell in the south.",
        "Sales fell in the north and rose in the south.",
    ),
    ("How do I feel?", "You sound happy.", "You sound unhappy."),
    ("Is the server up?", "The server is up.", "The server is down."),
    ("Give a random number", "7", "42"),
    (
        "Tell me a joke",
        "Why did the chicken cross the road? To get to the other side.",
        "What do you call a fish without eyes? A fsh.",
    ),
]

_HASH = """A hash table keeps entries in buckets. Each key is hashed to one of 16 buckets.
When two keys share a bucket, both are kept in a list there. Once three quarters of the buckets are
full, the table grows to 32 buckets. A look-up takes constant time as long as the lists stay short.
The order of the entries is not guaranteed."""
_HASH_AGAIN = """In a hash table, entries are kept in buckets. Every key is hashed to one of 16
buckets. If two keys end up in the same bucket, both are kept there in a list. When three quarters
of the buckets are full, the table grows to 32 buckets. Looking up a key takes constant time while
the lists stay short. The order of entries is not guaranteed."""
_BREAD = """To bake bread you need 500 g of flour, 350 ml of water, 10 g of salt and 5 g of yeast.

1. Mix everything and knead the dough for 10 minutes.
2. Let it rest for 90 minutes at room temperature.
3. Shape a loaf and let it rest for another 30 minutes.
4. Bake it at 230 degrees for 40 minutes, until it sounds hollow."""
_BREAD_AGAIN = """For the bread you need 500 g flour, 350 ml water, 10 g salt and 5 g yeast.

- Mix everything together, and knead the dough for 10 minutes.
- Let the dough rest at room temperature for 90 minutes.
- Shape it into a loaf and let that rest for another 30 minutes.
- Bake the loaf at 230 degrees for 40 minutes until it sounds hollow."""
_CODE = """You can reverse a list with slicing, which makes a new list and leaves the old one as it
is. That is what you want whenever somebody else still uses the old list:

```python
def reversed_copy(items):
    return items[::-1]
```

To reverse it in place, call the method of the list, which returns nothing and changes the list."""
_CODE_AGAIN = """A list can be reversed by slicing, which makes a new list and leaves the old one
as it is. You want that whenever the old list is still used by somebody else:

```python
def reversed_copy(values):
    return values[::-1]
```

To reverse it in place, call the method of the list; it changes the list and returns nothing."""
_WAR = """The war began in 1618 and ended in 1648 with the peace of Westphalia. It was fought mostly
in central Europe. It began as a quarrel about religion, when Bohemia rose against its king, and
became a struggle for power between France and the house of Habsburg. Hunger and disease killed more
people than the battles did."""
_MOVE = """Moving to another flat costs most people between two and three months of rent. You pay a
deposit, the movers, and often two rents for a month. Start to pack three weeks before, and give
notice in writing. Keep a copy of the letter, and take pictures of the rooms when you leave."""

_HASH_WHY = """A hash table is the right choice when you look up entries by key far more often than
you walk through all of them. It needs a good hash function, and more memory than a plain list. A
tree is better when the order of the keys matters, or when you ask for all keys in a range. For a
handful of entries, a list that is searched from the start is as quick and much simpler."""

_LONG_SAME = [
    ("How does a hash table work?", _HASH, _HASH_AGAIN),
    ("How do I bake bread?", _BREAD, _BREAD_AGAIN),
    ("How do I reverse a list?", _CODE, _CODE_AGAIN),
    ("How does a hash table work?", _HASH, f"Sure, here is how it works.\n\n{_HASH_AGAIN}"),
    ("What was the war about?", _WAR, _WAR.replace("struggle for power", "fight for power")),
    ("How do I move?", _MOVE, _MOVE.replace("costs most people", "usually costs")),
]
_LONG_OTHER = [
    ("How does a hash table work?", _HASH, _BREAD),
    ("How does a hash table work?", _HASH, _HASH_WHY),
    ("Explain a hash table in short", _HASH, f"{_HASH}\n{_HASH_WHY}\n{_WAR}\n{_MOVE}"),
    ("What was the war about?", _WAR, _MOVE),
    (
        "How does a hash table work?",
        _HASH,
        _HASH_AGAIN.replace("is not guaranteed", "is guaranteed"),
    ),
    ("How do I bake bread?", _BREAD, _BREAD_AGAIN.replace("230", "180").replace("40", "60")),
    ("How do I reverse a list?", _CODE, _CODE_AGAIN.replace("values[::-1]", "sorted(values)")),
    ("What was the war about?", _WAR, _WAR.replace("1618", "1914").replace("1648", "1918")),
    ("How do I move?", _MOVE, _MOVE.replace("three weeks before", "three weeks after")),
    ("How do I reverse a list?", _CODE, _HASH),
]

PAIRS = tuple(
    AnswerPair(*told, same)
    for told, same in [
        *((told, True) for told in [*_SHORT_SAME, *_CLAIMS_SAME, *_EVERYDAY_SAME, *_LONG_SAME]),
        *(
            (told, False)
            for told in [*_SHORT_OTHER, *_CLAIMS_OTHER, *_EVERYDAY_OTHER, *_LONG_OTHER]
        ),
    ]
)
