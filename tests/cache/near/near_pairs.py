# ruff: noqa: E501 - a pair stands on one line
"""Pairs of questions that look alike, and pairs that only are dressed otherwise."""

from typing import Final

# a | b | why the answer to one is wrong for the other; or the reason for all that follow
OTHERS: Final = r"""
# little tells them apart
Who won the 2018 World Cup? | Who lost the 2018 World Cup final?
Write a poem about a cat | Write a poem about my cat
What is Python? | What are pythons?
How can I help my son who is being bullied? | How can I help my son who is bullying?
What helps with back pain? | What helps with pain?
Why do few people vote? | Why do a few people vote?
Why do few people like jazz? | Why do a few people like jazz?
Is there little hope for peace? | Is there a little hope for peace?
Is it out of the question? | Is it out of question?
What is blood type O+? | What is blood type O-?
How do I teach my kid? | How do I teach your kid?
What should I name my cat? | What should I name a cat?
What is a good name for my company? | What is a good name for a company?
How do I find my phone? | How do I find someone's phone?
How do I find my IP address? | How do I find someone else's IP address?
What are symptoms of being scammed? | What are symptoms of scamming?
My friend is cheating on his wife, what should I do? | My friend's wife is cheating on him, what should I do?
How can I help a friend who is abused? | How can I help a friend who is abusive?
How do I deal with a coworker who is being harassed? | How do I deal with a coworker who is harassing?
Context: The shop opens at nine and sells bread. Question: When does the shop open? | Context: The shop opens at nine and sells bread. Question: What does the shop sell?
Context: Bob is a baker and lives in Rome. Question: Where does he live? | Context: Bob is a baker and lives in rome. Question: Where did he live?
Write a regex to match lines that start with a hash | Write a regex to match lines that contain a hash
Plan a trip for two adults and a child | Plan a trip for two children and an adult
Ask me a question | Can I ask you a question?
Can you help me? | Can I help you?
What can you do for me? | What can I do for you?
Tell me about yourself | Tell me about myself
What is a Ca2+ channel? | What is a Ca2- channel?
How rare is AB-? | How rare is AB+?
What does x' mean? | What does x mean?
What does f' mean in calculus? | What does f mean in calculus?
What does foo? mean in Ruby? | What does foo! mean in Ruby?
What is #include? | What is include?
What is .env? | What is env?
What is +5? | What is 5?
What is 5'? | What is 5"?
What does the regex a$ match? | What does the regex a match?
The shop opens at nine and sells bread. When does it open? | The shop opens at nine and sells bread. What does it sell?
The museum opens at ten and closes at six every day but Monday. When does the museum open? | The museum opens at ten and closes at six every day but Monday. When does the museum close?
Document: Alpha Ltd pays its suppliers after thirty days and its staff every week. Q: When are suppliers paid? | Document: Alpha Ltd pays its suppliers after thirty days and its staff every week. Q: When are staff paid?
Document: Alpha Ltd pays its suppliers after thirty days and its staff every week. Q: When does Alpha pay its staff? | Document: Alpha Ltd pays its suppliers after thirty days and its staff every week. Q: When does Alpha pay its suppliers?
Given: the lake is deep and cold. Is the lake deep? | Given: the lake is deep and cold. Is the lake cold?
Ann bought apples and Bob bought pears. What did Ann buy? | Ann bought apples and Bob bought pears. What did Bob buy?
The cup is on the table and the plate is on the shelf. Where is the cup? | The cup is on the table and the plate is on the shelf. Where is the plate?
The cup is red and the plate is blue. What color is the cup? | The cup is red and the plate is blue. What color is the plate?
My brother is a doctor and my sister is a lawyer. What does my brother do? | My brother is a doctor and my sister is a lawyer. What does my sister do?
Facts: cats like fish, dogs like bones. Task: say what dogs like | Facts: cats like fish, dogs like bones. Task: say what cats like
Plan a menu for a vegan and two meat eaters | Plan a menu for two vegans and a meat eater
Plan a party for a boy and three girls | Plan a party for a girl and three boys
Write a story about a king and two queens | Write a story about two kings and a queen
Draw an ASCII cat and two dogs | Draw an ASCII dog and two cats
What weighs more, a horse or two cows? | What weighs more, two horses or a cow?
Which is cheaper, a pizza or two burgers? | Which is cheaper, two pizzas or a burger?
A dog has four legs and a bird has two. How many legs do a dog and two birds have? | A dog has four legs and a bird has two. How many legs do two dogs and a bird have?
How many legs do a dog and two birds have? | How many legs do two dogs and a bird have?
Should I see a doctor about my mole? | Should I see a doctor about a mole?
How do I sell my house? | How do I sell someone's house?
How do I unlock my iPhone? | How do I unlock someone's iPhone?
Can I carry my gun on a plane? | Can you carry a gun on a plane?
What is the meaning of my name? | What is the meaning of a name?
What do bees make? | What makes bees?
What attracts ants? | What are ants attracted to?
How do I get over a cold? | How do I get a cold?
How do I break in shoes? | How do I break shoes?
How do I come back from the dead? | How do I come from the dead?
How do I get my ex back? | How do I get my ex?
Does my ex want me back? | Does my ex want me?
What is a back door? | What is a door?
How do I do a back flip? | How do I do a flip?
How do I do a back squat? | How do I do a squat?
What is time travel? | What is travel?
What is form factor? | What is a factor?
What is new math? | What is math?
What is an asked price? | What is a price?
What is new wave? | What is wave?
Write a regex to match words that contain a digit | Write a regex to match words that start with a digit
Write a query to find rows that contain nulls | Write a query to find rows that begin with nulls
Write a function to find words that contain a given letter | Write a function to find words that begin with a given letter
Write code to check whether a list is sorted | Write code to sort a list
How do I know if I was blocked on WhatsApp? | How do I block on WhatsApp?
How do I know if I am blocked on WhatsApp? | How do I know if I blocked someone on WhatsApp?
How can I be adopted? | How can I adopt?
How can I be forgiven? | How can I forgive?
How do I stop being controlled? | How do I stop controlling?
How do I stop being ignored? | How do I stop ignoring?
How do I deal with being cheated on? | How do I deal with cheating?
Support for women who have been abused | Support for women who have abused
What happens to people who are stalked? | What happens to people who stalk?
What happens to people who are murdered? | What happens to people who murder?
Help for parents who are hit | Help for parents who hit
Can police be recorded? | Can police record?
What do you call a person who is taught? | What do you call a person who teaches?
What do you call someone who was elected? | What do you call someone who elects?
What is it called when you are being followed? | What is it called when you are following?
My boss's son hit him. What do I say? | My boss hit his son. What do I say?
How do few states tax income? | How do a few states tax income?
Do few adults read books? | Do a few adults read books?
Is there little water on Mars? | Is there a little water on Mars?
Does he have little money? | Does he have a little money?
Does he go to school? | Does he go to the school?
Why is he in prison? | Why is he in the prison?
Is he out of the office? | Is he out of office?
Who took place? | Who took the place?
Why have the number of cases risen? | Why have a number of cases risen?
What is the number of people? | What is a number of people?
What is the matter with gravity? | What is matter with gravity?
Who made the matrix? | Who made a matrix?
How long is the office? | How long is an office?
When was the graduate made? | When was a graduate made?
What happens in the shining? | What happens in shining?
Who sang the boxer? | Who sang a boxer?
What do they do? | What they do?
How do you do? | How you do?
What is what? | What
What are you? | You
What is up? | up
Here is a table: apples 3, pears 5, plums 7. How many pears are there? | Here is a table: apples 3, pears 5, plums 7. How many plums are there?
# the question repeats another word
Ann has a cat, Bob has a dog. What does Ann have? | Ann has a cat, Bob has a dog. What does Bob have?
The hotel serves breakfast at seven and dinner at eight. When is breakfast? | The hotel serves breakfast at seven and dinner at eight. When is dinner?
Rome is hot and Oslo is cold. Is Rome hot? | Rome is hot and Oslo is cold. Is Oslo hot?
Our plan covers repairs but not theft. Does the plan cover repairs? | Our plan covers repairs but not theft. Does the plan cover theft?
red is 3 and green is 5. what is red | red is 3 and green is 5. what is green
Tim sings and Kim dances. Who sings? | Tim sings and Kim dances. Who dances?
# a sign at the end of a word
What is an F+ center? | What is an F- center?
Is OH- a base? | Is OH a base?
What does b' stand for? | What does b stand for?
What does save! do in Rails? | What does save do in Rails?
What is #define? | What is define?
What is @property? | What is property?
How long is 7' in cm? | How long is 7" in cm?
What does foo* match? | What does foo match?
Can Rh- mothers have Rh+ babies? | Can Rh+ mothers have Rh- babies?
Is it ~5? | Is it 5?
# an article
There is little time, why? | There is a little time, why?
Are there few wolves in Spain? | Are there a few wolves in Spain?
Is she in the hospital? | Is she in hospital?
Who directed the birds? | Who directed a bird?
# voice
How can I help a child who is being hit? | How can I help a child who is hitting?
How can I be trusted? | How can I trust?
What do you call a man who is hunted? | What do you call a man who hunts?
Can judges be arrested? | Can judges arrest?
How do I avoid being judged? | How do I avoid judging?
Advice for teens who are teased | Advice for teens who tease
My aunt's dog bit her. What now? | My aunt bit her dog. What now?
Who is the mayor's son's wife? | Who is the mayor's wife's son?
# how many of which
Plan a lunch for a boy and four men | Plan a lunch for four boys and a man
What is cheaper, a lamp or two chairs? | What is cheaper, two lamps or a chair?
Is five past nine too late? | Is five to nine too late?
# whose
How do I unlock my car? | How do I unlock someone's car?
Can you teach me? | Can I teach you?
Tell me a story about yourself | Tell me a story about myself
# a verb and its particle
How do I get over a breakup? | How do I get a breakup?
How do I break in a horse? | How do I break a horse?
How do I give up sugar? | How do I give sugar?
# a compound
What is a back seat? | What is a seat?
What is time management? | What is management?
What is a form field? | What is a field?
What is sort order? | What is order?
How do I treat back pain? | How do I treat pain?
# start, contain
Write a regex for lines that start with a dot | Write a regex for lines that contain a dot
# the questions at the ends of longer texts
Context: Ann is 30, Bob is 40.\nQuestion: How old is Ann? | Context: Ann is 30, Bob is 40.\nQuestion: How old is Bob?
name,age\nann,30\nbob,40\n\nHow old is ann? | name,age\nann,30\nbob,40\n\nHow old is bob?
{"name": "ann", "age": 30, "city": "rome"}\nWhat is the age? | {"name": "ann", "age": 30, "city": "rome"}\nWhat is the city?
Text: the lift is broken since May and the tenant pays less.\n\nWho pays less? | Text: the lift is broken since May and the tenant pays less.\n\nWhat is broken?
Here is a log: job one started, job two failed.\nWhich job failed? | Here is a log: job one started, job two failed.\nWhich job started?
Who should pay first, the tenant or his landlord's agent? | Who should pay first, the landlord or his tenant's agent? | roles
Can my landlord sue my neighbour? | Can my neighbour sue my landlord? | roles
Did Sweden ever occupy Norway? | Did Norway ever occupy Sweden? | roles
Why do women prefer tall men? | Why do men prefer tall women? | roles
How do wolves hunt bears? | How do bears hunt wolves? | roles
Is my boss allowed to record me? | Am I allowed to record my boss? | roles
Can they sue us? | Can we sue them? | roles by pronouns
Do I owe you an apology? | Do you owe me an apology? | roles by pronouns
Who did she marry? | Who married her? | roles by pronouns
What should I buy him for his birthday? | What should I buy her for her birthday? | another person
What is his name in the book? | What is her name in the book? | another person
Who are you? | Who am I? | another person
Is his insurance valid? | Is my insurance valid? | another person
What should I eat before running and after swimming? | What should I eat after running and before swimming? | order
Alice has 3 apples and Bob has 5. How many does Alice have? | Alice has 5 apples and Bob has 3. How many does Alice have? | order of numbers
Give 20 mg to the adult and 5 mg to the child, is that right? | Give 5 mg to the adult and 20 mg to the child, is that right? | a dose
I am 30 and my wife is 60, who retires first? | I am 60 and my wife is 30, who retires first? | order of numbers
If A then B. B is true. Is A true? | If B then A. B is true. Is A true? | order
What comes third: red, green, blue? | What comes third: blue, red, green? | order
Is 9 am in New York 5 pm in Paris? | Is 5 pm in New York 9 am in Paris? | zones
Is the risk 3 in 10 or 10 in 3? | Is the risk 10 in 3 or 3 in 10? | a ratio
Can I mix bleach and vinegar but not ammonia? | Can I mix bleach and ammonia but not vinegar? | sets
Which animals can fly but not swim? | Which animals can not fly but swim? | what is denied
Which people who smoke do not drink? | Which people who do not smoke drink? | what is denied
Recipes with fish without nuts | Recipes without fish with nuts | what is denied
Can only members vote on the budget? | Can members only vote on the budget? | scope of "only"
Does the drug also help children? | Does the drug help also children? | scope of "also"
Do all cats not like water? | Do not all cats like water? | scope of "not"
Do cats still eat grass? | Do cats eat grass? | presupposition
Can you eat the seeds of an apple except the core? | Can you eat the seeds of an apple and the core? | exception
Do most birds fly? | Do all birds fly? | quantifier
Do some mushrooms kill? | Do all mushrooms kill? | quantifier
Are both parents liable? | Is neither parent liable? | quantifier
Must I wear a helmet? | Should I wear a helmet? | law and advice
Can a tenant repaint the walls? | Should a tenant repaint the walls? | modality
When was it released on PS5? | When will it be released on PS5? | tense
Is the bridge finished? | Was the bridge finished? | tense
Is the museum open on Mondays? | Will the museum be open on Mondays? | tense
Books about Darwin by Huxley | Books by Darwin about Huxley | prepositions
Books by Einstein | Books about Einstein | prepositions
Is the train from Rome late? | Is the train to Rome late? | prepositions
Should I take it before meals? | Should I take it after meals? | prepositions
Jump over the wall or under it? | Jump under the wall or over it? | prepositions
What is the cloud? | What is a cloud? | an article
What is matter? | What is the matter? | an article
How big is a turkey? | How big is Turkey? | homonyms by case
What is polish? | What is Polish? | homonyms by case
Convert 5 mW to W | Convert 5 MW to W | case of a unit
What is 1 MB in Mb? | What is 1 Mb in MB? | case of a unit
Is Co toxic? | Is CO toxic? | an element and a compound
What does [a-z] match in a regex? | What does [A-Z] match in a regex? | case in a pattern
Is the pawn move bxc3 legal here? | Is the bishop move Bxc3 legal here? | chess
Is Bxc3 legal here? | Is bxc3 legal here? | chess
Decode the base64 string SGVsbG8gd29ybGQ | Decode the base64 string sGVsbG8gd29ybGQ | case in data
What is 10²? | What is 102? | a power
Is x² + 1 even? | Is x₂ + 1 even? | raised and lowered
What is log₂ 8? | What is log 28? | lowered
What is 2 * (3 + 4)? | What is (2 * 3) + 4? | brackets
What is 8 - (4 - 2)? | What is (8 - 4) - 2? | brackets
Is (a and b) or c the same as a? | Is a and (b or c) the same as a? | brackets
What is the type of [1, 2]? | What is the type of (1, 2)? | brackets
How many days are in 5-10 weeks? | How many days are in 5, 10 weeks? | a range
Is 1..5 valid? | Is 1...5 valid? | a range
How big is ₩5000 as a share of a wage? | How big is ₽5000 as a share of a wage? | currencies
What is 10-5? | What is 5-10? | a sum
What is 8 - 4 / 2? | What is 4 - 2 / 8? | a sum
What is -5 + 3? | What is 5 + 3? | a sign
Is 16:9 wider than a square? | Is 9:16 wider than a square? | a ratio
Convert `list` to `tuple` in Python | Convert `tuple` to `list` in Python | order of code
How do I replace with `x` the `y` in vim? | How do I replace `x` with the `y` in vim? | order of code
How do I rename foo.txt to bar.txt? | How do I rename bar.txt to foo.txt? | order of files
How do I copy /etc/hosts to /tmp/backup? | How do I copy /tmp/backup to /etc/hosts? | order of paths
How do I merge "dev" into "main"? | How do I merge "main" into "dev"? | order of quotations
How do I forward a@x.org to b@y.org? | How do I forward b@y.org to a@x.org? | order of addresses
Is https://x.org/A safe? | Is https://x.org/a safe? | an address
What is the value of "a" in {"a": "x", "b": "y"}? | What is the value of "a" in {"a": "y", "b": "x"}? | data
What does this print?\n```python\nprint(7/2)\n``` | What does this print?\n```ruby\nprint(7/2)\n``` | language of code
What does this print?\n```\nfor i in a:\n    f()\n    g()\n``` | What does this print?\n```\nfor i in a:\n    f()\ng()\n``` | indentation
What does this print?\nfor i in a:\n    f()\n    g() | What does this print?\nfor i in a:\n    f()\ng() | indentation
What is `a  b` split at " "? | What is `a b` split at " "? | blanks in code
Proofread this sentence: I like, cats. | Proofread this sentence: i like cats | the text itself
Fix the punctuation: lets eat grandma | Fix the punctuation: lets eat, grandma | the text itself
Is Lets eat grandma correct? | Is Lets eat, grandma correct? | the text itself
Correct he go to school | Correct he goes to school | the text itself
How do you spell colour? | How do you spell color? | the text itself
What is the plural of child? | What is the plural of children? | the text itself
Is HELLO uppercase? | Is hello uppercase? | the text itself
How many letters are in cats? | How many letters are in cat? | the text itself
Does orange rhyme with hinge? | Does oranges rhyme with hinge? | the text itself
Translate to French a cat | Translate to French the cat | the text itself
How do you say I love you in French? | How do you say you love I in French? | the text itself
Rewrite this in the third person: I love you | Rewrite this in the third person: you love me | the text itself
Great film // good\nBad film // bad\nGreat plot // | Bad film // good\nGreat film // bad\nGreat plot // | examples
What does 👍🏽 mean? | What does 👍🏿 mean? | a picture
Is the flag 🇫🇮 or 🇸🇪 older? | Is the flag 🇳🇴 or 🇸🇪 older? | a picture
Is the key of C♯ hard? | Is the key of C♭ hard? | music
What does bonjour mean? | What does bonsoir mean? | another language
How heavy is a Galaxy S22? | How heavy is a Galaxy S22 Ultra? | a version
What changed from Vue 2 to 3? | What changed from Vue 3 to 2? | versions
How do I go from C to D in G? | How do I go from D to C in G? | music
How many cups are in 3 pints? | How many pints are in 3 cups? | units
Is H2O a liquid at 20 °C? | Is H2O a liquid at 20 °F? | units
What is 5 ft in m? | What is 5 m in ft? | units
Who finished second in the 100 m? | Who finished third in the 100 m? | a rank
Was the treaty signed on 3 May 1815? | Was the treaty signed on 5 March 1815? | a date
List the even numbers under 20 | List the even numbers over 20 | comparison
Is a mile at least 1500 metres? | Is a mile at most 1500 metres? | comparison
What is the most common blood group? | What is the least common blood group? | comparison
Which foods have more protein and less fat? | Which foods have less protein and more fat? | comparison
Is red wine or white wine better with fish and meat? | Is white wine or red wine better with meat and beans? | sets
Explain the causes of the war | List the generals of the war | another thing
Can I use a debit card instead of a credit card? | Can I use a credit card instead of a debit card? | roles
Why is the sky blue and the grass green? | Why is the sky green and the grass blue? | order
Is tea better than coffee? | Is coffee better than tea? | roles
Can I plug a 110 V lamp into a 220 V socket? | Can I plug a 220 V lamp into a 110 V socket? | order of numbers
How many of every 5 dogs are over 10 kg? | How many of every 10 dogs are over 5 kg? | order of numbers
# who does it to whom, and what goes where
How do I get from Rome to Milan by train? | How do I get from Milan to Rome by train?
Is it legal to record a call without telling the other person? | Is it legal to tell the other person without recording a call?
How do I give access to a user but not a group? | How do I give access to a group but not a user?
Who lent money to whom, Ann or Bob? | Who lent money to whom, Bob or Ann?
What color is the house with a red door? | What color is the door with a red house?
Is my son older than your daughter? | Is my daughter older than your son?
Can my doctor tell my employer? | Can my employer tell my doctor?
Does a parent inherit from a child? | Does a child inherit from a parent?
Why did the teacher fail the student? | Why did the student fail the teacher?
How do I add a user to a group? | How do I add a group to a user?
How do I convert a PDF into a Word file? | How do I convert a Word file into a PDF?
Can a manager fire an employee for complaining? | Can an employee complain for a manager firing?
Do I have to pay tax in Spain if I live in France? | Do I have to pay tax in France if I live in Spain?
I live in France and work in Spain, where do I pay tax? | I live in Spain and work in France, where do I pay tax?
What visa does a German need for India? | What visa does an Indian need for Germany?
Can I fly with a drone from the US to Canada? | Can I fly with a drone from Canada to the US?
Should I learn French before Spanish? | Should I learn Spanish before French?
Should children be seen and not heard? | Should children be heard and not seen?
What did Plato say about Socrates? | What did Socrates say about Plato?
What do doctors think of nurses? | What do nurses think of doctors?
Was Luke Vader's son? | Was Vader Luke's son?
Is Ann Bob's boss? | Is Bob Ann's boss?
How many children does the average mother of twins have? | How many twins does the average mother of children have?
Give me a word that starts with a and ends with b | Give me a word that starts with b and ends with a
Is the number of men greater than that of women? | Is the number of women greater than that of men?
How do I write a letter to my boss about my colleague? | How do I write a letter to my colleague about my boss?
What does my wife owe if I die? | What do I owe if my wife dies?
What if he leaves her? | What if she leaves him?
Why does he hate me? | Why do I hate him?
Can you teach me? | Can I teach you?
Did we beat them? | Did they beat us?
Is yours better than mine? | Is mine better than yours?
How do I tell her about him? | How do I tell him about her?
Were the Beatles bigger than the Stones? | Were the Stones bigger than the Beatles?
Draw a red circle in a blue square | Draw a blue circle in a red square
Draw a circle left of a square | Draw a square left of a circle
How does the wave function? | How does the function wave?
Explain why dogs bark at cats | Explain why cats bark at dogs
Summarise: Ann hired Bob | Summarise: Bob hired Ann
# numbers, quantities and times
Is 0.1 bigger than 0.09? | Is 0.09 bigger than 0.1?
What is 3 to the power of 4? | What is 4 to the power of 3?
What is 12 divided by 3? | What is 3 divided by 12?
What percent of 20 is 5? | What percent of 5 is 20?
How many 5s are in 20? | How many 20s are in 5?
If I have 10 dollars and spend 4, what is left? | If I have 4 dollars and spend 10, what is left?
Is it safe to drive after one beer? | Is it safe to drive after two beers?
What's the sum of the first 10 primes? | What's the product of the first 10 primes?
What is the largest prime under 100? | What is the smallest prime over 100?
Convert 14:30 UTC to EST | Convert 14:30 EST to UTC
What is 3pm PST in GMT? | What is 3am PST in GMT?
Is 12 am noon? | Is 12 pm noon?
Is bread in the oven at 200 for 30 minutes ok? | Is bread in the oven at 30 for 200 minutes ok?
Who won in 1998 and lost in 2002? | Who won in 2002 and lost in 1998?
Give three reasons for and two against | Give two reasons for and three against
Is PM before AM? | Is AM before PM?
# code, patterns, formulae and notations
What is the chemical symbol for Co? | What is the chemical symbol for CO?
Sort the words apple, Banana, cherry case sensitively | Sort the words Apple, banana, cherry case sensitively
What is the output of print("a" + "b")? | What is the output of print("b" + "a")?
What does a[1:3] return? | What does a[1:3:] return?
What does x = y do? | What does x == y do?
What does ++i do? | What does i++ do?
What does a = b do in C? | What does b = a do in C?
What does ls -l do? | What does ls -L do?
What does grep -v do? | What does grep -V do?
What does rm -rf ./tmp do? | What does rm -rf /tmp do?
What does chmod 644 do? | What does chmod 646 do?
What does ^a mean in a regex? | What does a^ mean in a regex?
What does .* match? | What does .+ match?
What does * mean in Python? | What does ** mean in Python?
What does & do in C? | What does && do in C?
What does a? mean in a regex? | What does a mean in a regex?
What does :) mean? | What does :( mean?
What does ;) mean? | What does :) mean?
Is NaOH an acid? | Is NaCl an acid?
Is Fe2O3 magnetic? | Is Fe3O4 magnetic?
Is PO4 charged? | Is Po4 charged?
What is the oxidation state in Fe2+? | What is the oxidation state in Fe3+?
What is the oxidation state in Fe+2? | What is the oxidation state in Fe-2?
Say A B C backwards | Say C B A backwards
Is "affect" a noun? | Is "effect" a noun?
Which is right: its or it's? | Which is right: it's or its?
What does ER mean? | What does Er mean?
Who invented the Polish notation? | Who invented the polish notation?
What comes after G in the scale of D? | What comes after D in the scale of G?
Is e4 e5 Nf3 good? | Is e4 Nf3 e5 good?
Is 1. e4 better than 1. d4? | Is 1. d4 better than 1. e4?
# other things, sets, bounds and conditions
How many of the men who voted were tall? | How many of the tall men who voted were there?
How many tall men voted? | How many men voted tall?
Is a cat's purr louder than a dog's bark? | Is a dog's bark louder than a cat's purr?
Who was older when they met, Tom or Ann? | Who was younger when they met, Tom or Ann?
How do I unlock my phone? | How do I lock my phone?
Can I take aspirin with food? | Can I take aspirin without food?
Which vitamins are not soluble in water? | Which vitamins are soluble in water?
Name a country that has no army | Name a country that has an army
Is it true that no one survived? | Is it true that one survived?
How do I say no? | How do I say yes?
Do you have to be over 18 to vote? | Do you have to be under 18 to vote?
Who scored more goals than Pele? | Who scored fewer goals than Pele?
Which is cheaper, A or B? | Which is dearer, A or B?
What happens before mitosis? | What happens after mitosis?
What is the capital of Georgia the state? | What is the capital of Georgia the country?
How long is a day on Venus? | How long is a year on Venus?
How far is it to Springfield, Illinois? | How far is it to Springfield, Missouri?
Can I get a refund if the item is not damaged? | Can I get a refund if the item is damaged?
Is there anything that lives without water? | Is there anything that lives with water?
May I enter with a dog? | May I enter without a dog?
Is tea or coffee better for sleep? | Is tea and coffee better for sleep?
Find hotels with a pool and a gym | Find hotels with a pool or a gym
How do I disable and then enable wifi? | How do I enable and then disable wifi?
Which came first, the chicken or the egg? | Which came last, the chicken or the egg?
Is there life on Mars? | Is there life on Venus?
Do plants breathe at night? | Do plants breathe at day?
How often should I water a cactus in winter? | How often should I water a cactus in summer?
Which planet is between Earth and Jupiter? | Which planet is beyond Earth and Jupiter?
What's the record for fewest moves? | What's the record for most moves?
What is worse, lying or stealing? | What is better, lying or stealing?
How is a hurricane different from a tornado in Japan? | How is a hurricane different from a tornado in China?
How do I make up with my ex? | How do I make out with my ex?
How do I break in shoes? | How do I break out shoes?
How do I look after a cat? | How do I look for a cat?
How do I take off a jacket? | How do I take on a jacket?
How do I run a shop in the US? | How do I run a shop in the UK?
How much vitamin D do I need? | How much vitamin B do I need?
Is type A blood rare? | Is type B blood rare?
Is hepatitis B worse than hepatitis C? | Is hepatitis C worse than hepatitis B?
What is Plan A? | What is Plan B?
# asked in other words, and who does it to whom has changed, or what is asked about
How do I convert a string to an int? | What is the way to turn an int into a string?
Can my landlord evict me? | Am I able to evict my landlord?
How do I migrate from MySQL to Postgres? | What's the best way to move Postgres data into MySQL?
Why did Germany invade Poland? | What made Poland invade Germany?
How do I send money from Spain to Peru? | What's the way to send money to Spain from Peru?
Is a dog smarter than a cat? | Are cats smarter than dogs?
Is iron heavier than gold? | Does gold weigh more than iron?
How do I copy files from a Mac to a PC? | How can I copy files to a Mac from a PC?
Should I wash before I shave? | Is it best to shave before washing?
Should I eat before a run? | Is it better to run before eating?
What should I do after an accident? | What should I do before an accident?
How do I subtract 5 from 9? | What is the way to subtract 9 from 5?
Who taught Plato? | Whom did Plato teach?
Who did Plato teach? | Who was Plato's teacher?
Who are the children of Zeus? | Whose child is Zeus?
What eats snakes? | What do snakes eat?
Which animals hunt lions? | Which animals do lions hunt?
What causes stress? | What does stress cause?
What follows spring? | What does spring follow?
What does oxygen react with? | What reacts without oxygen?
What depends on numpy? | What does numpy depend on?
Which countries border on France? | Which countries does France not border?
Who owns Instagram? | What does Instagram own?
Who bought Twitter? | What did Twitter buy?
Which companies did Google buy? | Which company bought Google?
How do I stop my cat biting my dog? | How do I stop my dog biting my cat?
Can humans infect cats? | Can cats infect humans?
Can I infect my cat with flu? | Can my cat infect me with flu?
Who replaced Stalin? | Whom did Stalin replace?
Which bones does the femur connect to? | Which bone connects to the femur last?
Is 5 less than 7? | Is 7 less than 5?
How do I get rid of ants but keep bees? | How do I get rid of bees but keep ants?
How do I tell a wife that her husband is ill? | How do I tell a husband that his wife is ill?
Does insulin raise blood sugar? | Does blood sugar raise insulin?
Does poverty cause crime? | Does crime cause poverty?
What is the effect of heat on metal? | What is the effect of metal on heat?
What is the ratio of boys to girls? | What is the ratio of girls to boys?
What's the probability of rain given clouds? | What's the probability of clouds given rain?
What is the price elasticity of supply with respect to demand? | What is the price elasticity of demand with respect to supply?
What is the derivative of x with respect to y? | What is the derivative of y with respect to x?
How do I divide a polynomial by a monomial? | How do I divide a monomial by a polynomial?
Translate the menu from Dutch to Danish | Translate the menu from Danish to Dutch
How is butter made into ghee? | How is ghee made into butter?
Can the senate overrule the president? | Can the president overrule the senate?
Who sits left of the king? | Who sits right of the king?
What is inside a golf ball? | What is outside a golf ball?
What is the longest river outside Africa? | What is the longest river in Africa?
Which fish can live out of water? | Which fish can live in water?
How do I open a jar? | How do I close a jar?
How do I keep squirrels out of my garden? | How do I keep squirrels in my garden?
How can I stay awake? | How can I fall asleep?
How do I turn up the brightness? | How do I turn down the brightness?
Should I accept the offer? | Should I decline the offer?
Is it cheaper to rent? | Is it cheaper to buy?
How do I get a refund? | How do I give a refund?
How do I borrow a book? | How do I lend a book?
How do I apply for a job? | How do I hire for a job?
How do I sell my car? | How do I buy a car?
Who teaches chemistry? | Who learns chemistry?
How do I become a doctor? | How do I see a doctor?
What are the symptoms of anemia? | What are the causes of anemia?
What are the causes of anemia? | What are the treatments for anemia?
What is the history of jazz? | What is the future of jazz?
Is it legal to own a ferret in Texas? | Is it illegal to own a ferret in Texas?
Can I take ibuprofen while pregnant? | Can I take paracetamol while pregnant?
Can I take ibuprofen while pregnant? | Can I take ibuprofen while breastfeeding?
Can I take ibuprofen while pregnant? | Can I take ibuprofen?
How long do I boil an egg? | How long do I bake an egg?
How do I cook brown rice? | How do I cook white rice?
How do I cook rice in a microwave? | How do I cook rice?
How do I remove a stain from silk? | How do I remove a stain from cotton?
What is a good gift for a man? | What is a good gift for a woman?
What is a good gift for my mother? | What is a good gift for my mother-in-law?
How do I reset an iPhone? | How do I reset an iPad?
How do I reset an iPhone 12? | How do I reset an iPhone 12 mini?
What's new in Python 3.11? | What's new in Python 3.12?
What is the maximum size of a tweet? | What is the minimum size of a tweet?
How do I list all files? | How do I list hidden files?
How do I list files by size? | How do I list files by date?
How do I sort ascending in SQL? | How do I sort descending in SQL?
How do I left join in SQL? | How do I inner join in SQL?
How do I delete a local branch? | How do I delete a remote branch?
How do I undo the last commit? | How do I undo the first commit?
How do I revert a commit? | How do I amend a commit?
How do I stop a container? | How do I remove a container?
Is Pluto a planet? | Is Pluto a star?
Write a short poem about rain | Write a long poem about rain
Write a formal email to a client | Write an informal email to a client
Explain gravity to a child | Explain gravity to a physicist
Summarize the plot of Dune in one sentence | Summarize the plot of Dune in one page
Give me a recipe with eggs | Give me a recipe without eggs
Give me a vegan recipe | Give me a vegetarian recipe
Write a function in Python that adds two lists | Write a function in Python that adds two numbers
How many calories are in an apple? | How many carbs are in an apple?
How many calories are in a raw potato? | How many calories are in a baked potato?
What time zone is Arizona in? | What time zone is Alaska in?
Is Friday the 13th unlucky? | Is Friday the 14th unlucky?
What's the currency of Austria? | What's the currency of Australia?
Where is Paris, Texas? | Where is Paris, France?
What is the capital of the Congo? | What is the capital of the Democratic Republic of the Congo?
Who was the first man on the moon? | Who was the last man on the moon?
Who was the first woman in space? | Who was the first man in space?
How old was Mozart when he died? | How old was Mozart when he married?
When did World War I begin? | When did World War I end?
When did World War I begin? | When did World War II begin?
What is the time in Tokyo when it is noon in Oslo? | What is the time in Oslo when it is noon in Tokyo?
How do I pair my watch with my phone? | How do I pair my phone with my watch?
Is it worse to forget a birthday or a wedding? | Is it better to forget a birthday or a wedding?
How can a nurse become a doctor? | How can a doctor become a nurse?
What is the speed of sound in water? | What is the speed of sound in air?
Can a minor sign a contract with an adult? | Can an adult sign a contract with a minor?
Why do adults lie to children? | Why do children lie to adults?
How do I merge two cells in Excel? | How do I split two cells in Excel?
How do I freeze the top row in Excel? | How do I freeze the first column in Excel?
What does an accountant do for a lawyer? | What does a lawyer do for an accountant?
How much does it cost to ship from China to Kenya? | What are the costs of shipping to China from Kenya?
Explain how a client authenticates a server | Describe how a server authenticates a client
What do I say to a friend who lost his job? | What do I say to a friend who got a job?
Draft a letter from a tenant to a landlord | Write a letter to a tenant from a landlord
Draft a complaint about a neighbour to the council | Draft a complaint about the council to a neighbour
What do Spaniards call the English? | What do the English call Spaniards?
Who is taller, the king or the queen? | Who is shorter, the king or the queen?
How do I take a screenshot without the cursor? | How do I take a screenshot with the cursor?
Is it fine to reheat rice twice? | Is it fine to reheat rice once?
How do I grow tomatoes indoors? | How do I grow tomatoes outdoors?
What is the penalty for late payment? | What is the penalty for early payment?
What are the disadvantages of tenure? | What are the advantages of tenure?
How do I increase contrast? | How do I reduce contrast?
Is the glass half full? | Is the glass half empty?
How to make a bot like a post? | How to make a post like a bot?
How do I make a post public? | How do I make a post private?
Is this legal for tenants? | Is this legal for landlords?
Is a whale a fish? | Is a fish a whale?
Are all squares rectangles? | Are all rectangles squares?
Is every prime odd? | Is every odd prime?
Do all poets lie? | Do all liars write poems?
Can a square be a rectangle? | Can a rectangle be a square?
Is Java a kind of Kotlin? | Is Kotlin a kind of Java?
Who is older than Ann? | Who is Ann older than?
Who is Ann afraid of? | Who is afraid of Ann?
What is heavier than iron? | What is iron heavier than?
Which countries are smaller than Malta? | Which countries is Malta smaller than?
What are cats allergic to? | What is allergic to cats?
Who is Ann married to? | Whose wife is Ann not?
What is made of milk? | What is milk made of?
What contains iron? | What does iron contain?
Which cells contain chlorophyll? | What does chlorophyll contain?
Which apps use Bluetooth? | What apps does Bluetooth use?
What is part of the EU? | What is the EU part of?
What is the EU a member of? | Who is a member of the EU?
What was named after Ada Lovelace? | Who was Ada Lovelace named after?
What can you make from milk? | What can you make milk from?
Where do swallows fly from? | Where do swallows fly to?
What is a cup with a lid called? | What is a lid with a cup called?
can the recipient sue the sender? | Is it possible for the sender to sue the recipient?
If Mario is older than Anna, who is younger? | who is the younger one if Anna is older than Mario?
What are the obligations of the buyer to the landlord? | Which duties does the landlord have towards the buyer?
# numbers, signs, notations, nouns made of nouns, leave and duty
How do I make my wife stop snoring? | How does my wife make me stop snoring?
Was it Tom that hit Jim? | Was it Jim that hit Tom?
It was Tom who hit Jim, is he guilty? | It was Jim who hit Tom, is he guilty?
Tom was hit by Jim, who is guilty? | Jim was hit by Tom, who is guilty?
Having eaten, should I swim? | Having swum, should I eat?
Does A imply B? | Does B imply A?
Given A and not B, is C true? | Given B and not A, is C true?
Find x if 3x + 2 = 8 | Find x if 2x + 3 = 8
Solve x^2 - 4 = 0 | Solve x^2 + 4 = 0
What is 7 mod 3? | What is 3 mod 7?
What is log base 2 of 8? | What is log base 8 of 2?
What is 5 choose 2? | What is 2 choose 5?
What is sin(x) + cos(y)? | What is sin(y) + cos(x)?
Is f(g(x)) the same as x? | Is g(f(x)) the same as x?
Is a/b more than b? | Is b/a more than b?
What is 1/2 of 3/4? | What is 3/4 of 2/1?
What does the flag -u do in git push? | What does the flag -f do in git push?
What is localhost:8080? | What is localhost:8000?
What does 127.0.0.1 mean? | What does 127.0.1.1 mean?
How do I install foo==1.2? | How do I install foo>=1.2?
What does HTTP 401 mean? | What does HTTP 410 mean?
What does 0x1F equal? | What does 0xF1 equal?
What is 1010 in decimal? | What is 1010 in hexadecimal?
What is the ASCII code of a? | What is the ASCII code of A?
What is the ASCII code of ; ? | What is the ASCII code of : ?
Is a bigger than A in ASCII? | Is A bigger than a in ASCII?
Is "Ab" equal to "aB"? | Is "aB" equal to "Ab"?
What chord is C E G? | What chord is C Eb G?
What key has 2 sharps? | What key has 2 flats?
Is c minor sad? | Is C major sad?
What is Am7? | What is AM7?
What does ❤️ mean? | What does 💔 mean?
What does 😀😢 mean? | What does 😢😀 mean?
What does gift mean in German? | What does gift mean in English?
Is der Hund correct? | Is die Hund correct?
Flights from LHR to JFK | Flights from JFK to LHR
Is 5 May before 7 April? | Is 7 May before 5 April?
What happened on 11/9/2001? | What happened on 9/11/2001?
What day was 2020-01-02? | What day was 2020-02-01?
Is 3:00 EST earlier than 3:00 PST? | Is 3:00 PST earlier than 3:00 EST?
How many minutes is 1:30? | How many minutes is 1.30?
Is 1,234 odd? | Is 1.234 odd?
What is 1 in 8 as a percentage? | What is 8 in 1 as a percentage?
Which team came 2nd of 3? | Which team came 3rd of 3?
Is NULL = NULL in SQL? | Is NULL IS NULL in SQL?
Is a AND b OR c the same in C? | Is a OR b AND c the same in C?
Does 'is' equal '=='? | Does '==' equal 'is'?
Can an agent who hires pay tax? | Can an agent who pays tax hire?
The man the dog bit died, who died? | The dog the man bit died, who died?
Is a house boat a boat? | Is a boat house a boat?
What is a horse race? | What is a race horse?
What is milk chocolate? | What is chocolate milk?
What is a computer game? | What is a game computer?
What is a guard dog? | What is a dog guard?
What is a birthday cake? | What is a cake birthday?
Is garlic bread bread? | Is bread garlic garlic?
What is the object of a class? | What is the class of an object?
What is the state of mind? | What is the mind of the state?
What is the head of a department? | What is the department of a head?
Is the brother of my wife my uncle? | Is the wife of my brother my aunt?
Who is the wife of my brother? | Who is the brother of my wife?
What is the mother's maiden name? | What is the maiden's mother name?
Does the bank's client pay? | Does the client's bank pay?
Is the daughter's teacher liable? | Is the teacher's daughter liable?
Can teachers' unions sue parents? | Can parents' unions sue teachers?
What do I do with a broken phone? | What do I do without a phone?
Is any number even? | Is every number even?
Can anyone join? | Can everyone join?
Can nobody join? | Can anybody join?
How often can I donate blood? | How often should I donate blood?
How long can I keep eggs? | How long should I boil eggs?
Could Rome have won? | Did Rome win?
Would you rather fly or drive? | Would you rather drive?
Do I have to tip? | May I tip?
Am I allowed to smoke? | Am I required to smoke?
Is smoking allowed? | Is smoking required?
Is it possible to die of boredom? | Is it likely to die of boredom?
Is it rarely cold in Oslo? | Is it often cold in Oslo?
Is it always cold in Oslo? | Is it sometimes cold in Oslo?
Is it too cold for shorts? | Is it cold enough for a coat?
Did they ever meet? | Did they never meet?
Are these the same? | Are these different?
Why isn't it working? | Why is it working?
Why doesn't she call him? | Why doesn't he call her?
Say "hi" to Ann | Say "bye" to Ann
Rank gold, silver and bronze | Rank silver, bronze and gold by weight
Put A left of B and C right of D | Put C left of B and A right of D
Choose one: red or blue | Choose two: red or blue
A is B's father; who is B to A? | B is A's father; who is B to A?
If x=1 and y=2, what is x-y? | If x=2 and y=1, what is x-y?
Who do I report to? | Who reports to me?
Who works for Ann? | Who does Ann work for?
Whom should I call? | Who should call me?
What should I bring? | What will they bring?
Where did it come from? | Where did it go to?
Which way is up? | Which way is down?
How do I look up a word? | How do I look down a well?
How do I call off a meeting? | How do I call a meeting?
How do I check in? | How do I check out?
Am I too old to ski? | Are you too old to ski?
What does "to table" mean in the UK? | What does "to table" mean in the US?
# nouns of deeds and of those who do them, or to whom they are done; degrees; slips of the pen
Who is the seller of Coca Cola? | Who buys Coca Cola?
Who was the winner of the 2006 world cup? | Who lost the 2006 world cup?
Who is the buyer of Twitter? | Who sold Twitter?
Who was the killer of Kennedy? | Who was killed by Kennedy?
Who was the killer of Kennedy? | Who did Kennedy kill?
Who was the victim of Ted Bundy? | Who killed Ted Bundy?
Who is the employer of John Smith? | Who is the employee of John Smith?
Who is the employer of John Smith? | Who is employed by John Smith?
Who employs John Smith? | Who is an employee of John Smith?
Who works for John Smith? | Who is the employer of John Smith?
Who was the teacher of Plato? | Who learned from Plato?
Who was the teacher of Plato? | Who was taught by Plato?
Who was the student of Plato? | Who taught Plato?
Who was a pupil of Socrates? | Who was the teacher of Socrates?
Alexander's teacher was a student of whom? | Alexander's student was a teacher of whom?
Who is the lender of the money? | Who borrowed the money?
Who was the loser of the 1998 final? | Who won the 1998 final?
Who is the victor of the battle of Hastings? | Who was defeated in the battle of Hastings?
Who was victorious at Waterloo? | Who was defeated at Waterloo?
What was Napoleon's greatest victory? | What was Napoleon's greatest defeat?
When is the arrival of flight 22? | When does flight 22 leave?
When does flight 22 arrive? | When is the departure of flight 22?
When was the birth of Mozart? | When did Mozart die?
When was Mozart born? | When was the death of Mozart?
Where did Mozart die? | Where is the birthplace of Mozart?
How do I record a sale in QuickBooks? | How do I record a purchase in QuickBooks?
Who is the largest exporter of oil? | Who imports the most oil?
Which country is the biggest importer of rice? | Which country exports the most rice?
Who is the parent of Ann? | Who is the child of Ann?
Who are the parents of Zeus? | Who did Zeus father?
Who is the husband of Mary? | Who is the wife of Mary?
What is the name of Mary's husband? | What is Mary's name?
What is the queen's husband's name? | What is the queen's name?
Who is the author of this book? | Who is the reader of this book?
Who writes the Guardian? | Who reads the Guardian?
Which countries border France? | Which countries does France not border?
Who did Germany invade? | Who was the invader of Germany?
Who was conquered by Rome? | Who was the conqueror of Rome?
Who was the founder of the company? | What did the company found?
Who is the owner of Instagram? | Who does Instagram own?
Who is the owner of Instagram? | What is owned by Instagram?
Who was the inventor hired by Edison? | Who hired the inventor Edison?
Who was the murderer of Lincoln? | Whom did Lincoln murder?
Who was the successor of Stalin? | Who was the predecessor of Stalin?
Who succeeded Stalin? | Who preceded Stalin?
Who was Stalin's successor? | Who did Stalin succeed?
Who replaced Thatcher? | Who was replaced by Thatcher?
Who is the sender of the package? | Who received the package?
Who is the recipient of the grant? | Who gave the grant?
Who donated the kidney? | Who received the kidney?
Who was the attacker of Troy? | Who defended Troy?
Who was attacked by Troy? | Who attacked Troy?
Who is the accuser of Trump? | Who did Trump accuse?
Who is the interviewer of Nixon? | Who was the interviewee of Nixon?
Who trained Mike Tyson? | Who was trained by Mike Tyson?
Who is the trainer of Mike Tyson? | Who is the trainee of Mike Tyson?
Who is the manager of Ann Lee? | Who is managed by Ann Lee?
Who does Ann Lee manage? | Who is the manager of Ann Lee?
Who is Ann Lee's boss? | Who is Ann Lee the boss of?
What is the prey of an owl? | What preys on owls?
What is the predator of snakes? | What is eaten by snakes?
Which animal is eaten by snakes? | Which animal eats snakes?
What is the diet of a lion? | What eats a lion?
Who is the tenant of this flat? | Who is the landlord of this flat?
How does a tenant end a lease? | How does a landlord end a lease?
Who is the creditor of Greece? | Who is the debtor of Greece?
Who owes money to Greece? | Who does Greece owe money to?
Who is in debt to China? | Who is China in debt to?
Who is the doctor of Mr Hall? | Who is the patient of Mr Hall?
Who treated Freud? | Who was treated by Freud?
Who was the coach of Real Madrid? | Who was coached by Real Madrid?
Who was elected by the senate? | Who elected the senate?
Who are the voters of the senate? | Who does the senate vote for?
Who adopted Steve Jobs? | Who was adopted by Steve Jobs?
Who married off Juliet? | Who divorced Juliet?
Who was influenced by Kant? | Who influenced Kant?
Who was an influence on Kant? | Who was influenced by Kant?
Who was the rival defeated by Ali? | Who was the rival who defeated Ali?
Who beat Muhammad Ali? | Who was beaten by Muhammad Ali?
Who beat Muhammad Ali? | Who lost to Muhammad Ali?
Who did Muhammad Ali lose to? | Who did Muhammad Ali beat?
Who was saved by Superman? | Who is the savior of Superman?
Who directed Tom Hanks? | Who was directed by Tom Hanks?
What was discovered by Fleming? | Who discovered Fleming?
Who translated Homer? | What did Homer translate?
Who is the guest of the show? | Who is the host of the show?
Which enzyme breaks down lactose? | What does lactose break down?
What is the supplier of Apple? | What does Apple supply?
Who are Apple's suppliers? | Who does Apple supply?
Who are the customers of Foxconn? | Who is Foxconn a customer of?
Who are Foxconn's customers? | Who are Foxconn's suppliers?
Who acquired WhatsApp? | What was acquired by WhatsApp?
What did WhatsApp acquire? | Who was the acquirer of WhatsApp?
Is Bob the teacher of Ann? | Did Ann teach Bob?
Is Bob the teacher of Ann? | Is Ann the teacher of Bob?
Is Ann the employee of Bob? | Does Ann employ Bob?
Did Brutus kill Caesar? | Was Brutus killed by Caesar?
Was Caesar the killer of Brutus? | Did Brutus kill Caesar?
In what way do viruses spread? | In what way do bacteria spread?
How do viruses reproduce? | In what way do bacteria reproduce?
How are bacteria treated? | How are viruses treated?
What is Java used for? | What uses Java?
What is bluetooth used for? | What does bluetooth use?
What is oil used for? | Who uses oil?
How do I know if I sleep enough? | How do I know if I sleep too much?
Is 8 hours of sleep enough? | Is 8 hours of sleep too much?
How do I know if a dog eats enough? | How can I tell whether a dog eats too much?
How do I log a user in PHP? | How do I log in a user in PHP?
How do I log a user? | How do I log in a user?
Alexander's teacher was a pupil of whom? | Alexander was the teacher of whom?
Whose teacher was Alexander the Great? | Who was Alexander the Great's teacher?
Whose student was Aristotle? | Who was Aristotle's student?
What is teh opposite of the word the? | What is the opposite of the word teh?
What does teh mean? | What does the mean?
What is the difference between teh and the? | What is the difference between the and teh?
What is withdrawn from the bank at closing? | What is deposited in the bank at closing?
How do I make a withdrawal at an ATM? | How do I deposit at an ATM?
How do I deposit money? | How do I make a withdrawal of money?
What is the entrance of the park? | Where do I exit the park?
What happens on entry to the EU? | What happens when you leave the EU?
What causes an increase in blood pressure? | How is blood pressure reduced?
What is the reason for the rise of Rome? | Why did Rome fall?
How did the Roman empire rise? | What was the fall of the Roman empire?
How do I hire staff in Germany? | How does the dismissal of staff work in Germany?
How do I hire an employee? | How do I dismiss an employee?
When did the attack on Stalingrad start? | When did the defense of Stalingrad start?
What is the gain from selling a house? | What is the loss from selling a house?
How can I lose weight? | What leads to weight gain?
Who was the plaintiff against Google? | Who did Google sue?
Who is suing Google? | Who is Google suing?
Who is being sued by Google? | Who is suing Google?
Who is Ann in love with? | Who is in love with Ann?
Who loves Ann? | Who is loved by Ann?
Who is Ann's lover? | Who hates Ann?
Who is the enemy of Batman? | Who is the friend of Batman?
Who is the father of Luke? | Who is the son of Luke?
Who is Luke's father? | Whose father is Luke?
Who is the grandfather of Luke? | Who is the grandson of Luke?
Which country is north of Laos? | Which country is Laos north of?
Which states border Texas? | Which states are bordered by no other than Texas?
Which country colonized Angola? | Which country did Angola colonize?
Which country was colonized by Angola? | Who were the colonizers of Angola?
Who was the speaker before Churchill? | Who listened to Churchill?
Who sponsors Nike? | Who does Nike sponsor?
Who are Nike's sponsors? | Who is sponsored by Nike?
Who is the provider of AWS? | Who are the users of AWS?
Which companies use SAP? | Which companies make SAP?
Which animal is the host of malaria? | Which animal is the parasite of malaria?
Who was the liberator of Bolivia? | Who was liberated by Bolivia?
Who was the liberator of Bolivia? | Who did Bolivia liberate?
Who financed Columbus? | Who was financed by Columbus?
Who are the financiers of Tesla? | Who does Tesla finance?
Who nominated Scalia? | Who was Scalia's nominee?
Who was nominated by Reagan? | Who were the nominators of Reagan?
Is the bank the lender of the firm? | Is the bank a borrower of the firm?
How does a borrower pay? | How does one lend and get paid?
How does a buyer choose a broker? | How do I sell through a broker?
What do sellers of houses pay? | What do I pay when I buy a house?
What tax do I pay on the sale of a house? | What tax do I pay when purchasing a house?
What tax do importers pay? | What tax do I pay on exports?
How do I report an arrival at the border? | How do I report that I leave at the border?
What papers does an immigrant need? | What papers do I need to emigrate?
How long does immigration take? | How long does it take to emigrate?
Who is the giver of the ring? | Who receives the ring?
What are the rights of a borrower? | What are my rights when I lend money?
What are the duties of an employer? | What are the duties of an employee?
How did the winners of the war celebrate? | What happened to those who lost the war?
What was the cause of the French defeat? | Why did the French win?
Why did Rome lose to Hannibal? | Why did Hannibal lose to Rome?
Who did Rome lose to at Cannae? | Who lost to Rome at Cannae?
What led to the creation of the EU? | What led to the destruction of the EU?
What was the reason for the creation of Yugoslavia? | Why was Yugoslavia destroyed?
When was the opening of the Suez canal? | When did the Suez canal close?
When was the beginning of the war? | When did the war end?
What was the start of the film like? | How does the film end?
What is the growth of the market? | Why does the market shrink?
What is the decrease in price? | How much did the price increase?
Who are the critics of Freud? | Who did Freud criticize?
Who were the followers of Gandhi? | Who did Gandhi follow?
Who are the fans of Elvis? | Who was Elvis a fan of?
Who was Picasso's biographer? | Whose biographer was Picasso?
Who is the translator of Kafka? | Who did Kafka translate?
Which insects pollinate figs? | Which insects are pollinated by figs?
Which plants are pollinated by bees? | Which plants pollinate bees?
What are the pollinators of figs? | What does a fig pollinate?
What attracts flies? | What are flies attracted to?
What is attracted by magnets? | What attracts magnets?
What dissolves gold? | What does gold dissolve?
What does acid dissolve in? | What dissolves acid?
Which proteins bind calcium? | Which proteins does calcium bind?
Which hormone regulates insulin? | Which hormone is regulated by insulin?
Which planets orbit Sirius? | What does Sirius orbit?
Which river feeds Lake Victoria? | Which river is fed by Lake Victoria?
Which modules import numpy? | Which modules does numpy import?
Which class inherits from Foo? | Which class does Foo inherit from?
Which functions call main? | Which functions are called by main?
Which functions call main? | Which functions does main call?
What is the caller of main? | What does main call?
Which service depends on Redis? | Which service does Redis depend on?
What blocks thread A? | What is blocked by thread A?
Is the moon attracted by the earth? | Is the earth attracted by the moon?
Did Holmes arrest Moriarty? | Was Holmes arrested by Moriarty?
Is Watson the assistant of Holmes? | Does Holmes assist Watson?
Is Sweden an exporter of steel? | Does Sweden import steel?
Was Galileo the accuser of the pope? | Did the pope accuse Galileo?
Is my neighbour the owner of the dog? | Is the dog the owner of my neighbour?
Was Britain the colonizer of India? | Did India colonize Britain?
Can the lessor sue the lessee? | Can the lessee sue the lessor?
What does a mentor get? | What does a mentee get?
How do I become a blood donor? | How do I become a blood recipient?
What do voters expect from the elected? | What do the elected expect from voters?
Who does the president appoint? | Who appoints the president?
Who is appointed by the king? | Who appoints the king?
Who reports to the CEO? | Who does the CEO report to?
What is a payee? | What is a payer?
What does the payer sign? | What does the payee sign?
How is a debtor protected? | How is a creditor protected?
When is checkout? | When is checkin?
How do I check out of the hotel? | How do I check in to the hotel?
What is the remedy for the poison? | What is the poison for the remedy?
What time is sunset? | When does the sun rise?
How do I turn the engine on? | How do I turn off the engine?
How do I prove my guilt? | How do I prove my innocence?
Who confessed to the police? | Who did the police confess to?
What supports the roof? | What does the roof support?
Who is the keeper of the zoo? | What does the zoo keep?
What is water composed of? | What composes water?
What is he known for? | Who knows him?
What does wich mean? | What does which mean?
What does alot mean? | What does lot mean?
Is there too little sugar in it? | Is there enough sugar in it?
Did I use too much flour? | Did I use too little flour?
Am I drinking enough water? | Am I drinking too much water?
Is it hot enough to swim? | Is it too hot to swim?
What is the name of Ann's husband's brother? | What is the name of Ann's brother's husband?
What is the name of the king's wife? | What is the king's name?
What's Obama's wife's name? | What's Obama's name?
What is Obama's mother's name? | What is Obama's name?
How old is Obama's wife? | How old is Obama?
Who is Frodo's uncle? | Who is Frodo?
Where does Ann's mother live? | Where does Ann live?
# when, hidden in how it is asked
How did people store ice? | How do people store ice?
How did you learn chess? | How can I learn chess?
How will they mine asteroids? | How do they mine asteroids?
What caused deflation? | What causes deflation?
What led to hyperinflation? | What leads to hyperinflation?
Is the roof being fixed? | Has the roof been fixed?
How should I train for a race? | How should I have trained for a race?
# all of them, or any one
How do I archive a channel? | How do I archive every channel?
How do I stop a running job? | How do I stop all running jobs?
# as much, or more
Is a violin louder than a viola? | Is a violin as loud as a viola?
Is tin cheaper than zinc? | Is tin as cheap as zinc?
# with it, or all but it
Which metals other than iron rust? | Which metals including iron rust?
Which apps besides mail need a password? | Which apps including mail need a password?
Which sweets contain gelatin? | Which sweets are free of gelatin?
# a name within another name
How many people live in Jersey? | How many people live in New Jersey?
Best museums in England | Best museums in New England
"""

# a | b: whoever asks the one is served by the answer to the other
ALIKE: Final = r"""
What is the capital of Norway? | what is the capital of Norway
How do I boil an egg? | How do I boil an egg
How do I boil an egg? |   How do I  boil an egg?
How do I boil an egg? | HOW DO I BOIL AN EGG?
How do I boil an egg? | How can I boil an egg?
How do I boil an egg? | Please tell me how to boil an egg
How do I boil an egg? | Hi, how would I boil an egg? Thanks!
How do I boil an egg? | What is the best way to boil an egg?
What's the boiling point of water? | What is the boiling point of water?
What is the boiling point of water? | Tell me the boiling point of water
What is the boiling point of water? | Could you please tell me what the boiling point of water is?
Why can't penguins fly? | Why can penguins not fly?
Why don't penguins fly? | Why do penguins not fly?
In Python, how do I sort a list? | How do I sort a list in Python?
On a Mac, how do I take a screenshot? | How do I take a screenshot on a Mac?
For a beginner, what is the best guitar? | What is the best guitar for a beginner?
In Paris, what are the best museums? | What are the best museums in Paris?
Compare cats and dogs | Compare dogs and cats
What is the difference between a crow and a raven? | What is the difference between a raven and a crow?
What are the pros and cons of tenure? | What are the cons and pros of tenure?
Is Java or Python better? | Is Python or Java better?
List three causes of rust | List 3 causes of rust
What is 20% of 50? | What is 20 percent of 50?
Convert 5 kilometers to miles | Convert 5 km to miles
What is the third planet? | What is the 3rd planet?
How tall is the Eiffel Tower? | how tall is the eiffel tower
What does NASA stand for? | what does nasa stand for
How do I install NumPy? | how do i install numpy
What is the colour of Mars? | What is the color of Mars?
How do I analyse a poem? | How do I analyze a poem?
Explain `ls -la` | What does `ls -la` do?
What does `git stash pop` do? | What is `git stash pop` for?
What does "sic" mean? | What does “sic” mean?
Translate "good morning" to French | How do you say "good morning" in French?
Translate good morning to French | How do you say good morning in French?
Summarize this in one line: The cat sat down. | Please summarize this in one line: The cat sat down. Thanks!
Proofread this: I has a apple | Please proofread this: I has a apple
How many legs does a spider have? | How many legs do spiders have?
How many bones are in the human body? | How many bones are there in the human body?
Who wrote Hamlet? | Do you know who wrote Hamlet?
Who wrote Hamlet? | Who was Hamlet written by?
How do bees make honey? | How is honey made by bees?
What causes tides? | What are the causes of tides?
Why do cats purr? | What makes cats purr?
How do vaccines work? | Explain how vaccines work
How does photosynthesis work? | So basically I want to know how photosynthesis works
How do I center a div in CSS? | How can I center a div with CSS?
How do I reverse a list in Python? | What's the way to reverse a Python list?
How do I remove duplicates from a list in Python? | How can I remove duplicates from a Python list?
How do I generate an SSH key? | How can I create an SSH key?
How do I set up a VPN? | How can I set up a VPN?
How do I quit smoking? | How can I stop smoking?
How do I improve my memory? | What are some ways to improve my memory?
How do I cancel my subscription? | How can I cancel my subscription?
How do I track my package? | How can I track my package?
How do I change my email address? | How can I update my email address?
What is a foreign key in a database? | Explain what a foreign key is in a database
What is osmosis? | Define osmosis
Define: osmosis | Define osmosis.
How long do elephants live? | How long does an elephant live?
How many continents are there? | What is the number of continents?
How do magnets work? | I'm curious, how do magnets work?
What is the chemical formula of H2O2? | what is the chemical formula of H2O2?
What is 7 + 5? | What's 7 + 5?
What is 2 * (3 + 4)? | what's 2 * (3 + 4)
Explain this regex: ^\d{3}$ | What does this regex match: ^\d{3}$
What is the purpose of a heat sink? | What's the purpose of a heat sink?
Which country has the most lakes? | What country has the most lakes?
How do I rename a branch in git? | How do I rename a brach in git?
How do I delete my account? | I want to delete my account, how do I do it?
Write a poem about the sea in Italian | Write an Italian poem about the sea
What is new in Python 3.12? | What's new in Python 3.12?
Who is the seller of Coca Cola? | Who sells Coca Cola?
Who was the winner of the 2006 world cup? | Who won the 2006 world cup?
Who bought Twitter? | Who is the buyer of Twitter?
Who killed Kennedy? | Who was the killer of Kennedy?
Who killed Kennedy? | Who was Kennedy killed by?
Who killed Kennedy? | By whom was Kennedy killed?
Who murdered Lincoln? | Who was the murderer of Lincoln?
Who was Lincoln's murderer? | Who murdered Lincoln?
Who invented the telephone? | Who was the inventor of the telephone?
Who invented the telephone? | The telephone was invented by whom?
Who discovered penicillin? | Who was the discoverer of penicillin?
Who founded Microsoft? | Who is the founder of Microsoft?
Who founded Microsoft? | Who are Microsoft's founders?
Who directed Titanic? | Who was the director of Titanic?
Who wrote Dracula? | Who is the author of Dracula?
Who wrote Dracula? | Who was the writer of Dracula?
Who painted the Mona Lisa? | Who is the painter of the Mona Lisa?
Who painted the Mona Lisa? | The Mona Lisa was painted by whom?
Who composed Carmen? | Who is the composer of Carmen?
Who owns Instagram? | Who is the owner of Instagram?
Who owns Instagram? | Instagram is owned by whom?
Who taught Plato? | Who was Plato's teacher?
Who taught Plato? | Who was the teacher of Plato?
When was Mozart born? | When was the birth of Mozart?
When did Mozart die? | When was the death of Mozart?
When does the train arrive? | What is the arrival time of the train?
Who designed the Eiffel Tower? | Who was the designer of the Eiffel Tower?
Who designed the Eiffel Tower? | Who was the Eiffel Tower designed by?
Who leads the United Nations? | Who is the leader of the United Nations?
Which countries border France? | What countries border France?
Which countries border France? | Which countries are bordering France?
How do I cancel my order? | What's the way to cancel my order?
In what way do viruses spread? | How do viruses spread?
What is Java used for? | What do people use Java for?
What is Java used for? | What are the uses of Java?
Who is the manager of Arsenal? | Who manages Arsenal?
Who conquered Mexico? | Who was the conqueror of Mexico?
Who translated Beowulf into English? | Who was the translator of Beowulf into English?
Who beat Ali in 1971? | Who was Ali beaten by in 1971?
What do lions eat? | What is eaten by lions?
What did Fleming discover? | What was discovered by Fleming?
What did Edison invent? | What was invented by Edison?
Which companies did Google buy? | Which companies were bought by Google?
Who did Ali beat? | Who was beaten by Ali?
How does a seller list an item on eBay? | How do sellers list an item on eBay?
How do I hire an employee? | How can I hire an employee?
How do I become a teacher? | How can I become a teacher?
How do I log in as root? | How can I login as root?
Is Bob the owner of the shop? | Does Bob own the shop?
Was Caesar killed by Brutus? | Did Brutus kill Caesar?
Why was Caesar murdered? | Why did they murder Caesar?
Who was the liberator of Bolivia? | Who liberated Bolivia?
Who financed Columbus? | Who was Columbus financed by?
Who is the lender of this loan? | Who lends this loan?
What are the duties of an employer? | What are employers' duties?
When was the opening of the Suez canal? | When did the Suez canal open?
When did the war begin? | When was the beginning of the war?
Why did the Roman empire fall? | What caused the fall of the Roman Empire?
What caused the collapse of the Soviet Union? | Why did the Soviet Union collapse?
Who was the conqueror of Persia? | Who conquered Persia?
Which insects pollinate figs? | What insects pollinate figs?
Which river feeds Lake Victoria? | Lake Victoria is fed by which river?
Who directed Jaws? | Jaws was directed by whom?
Which functions call main? | What functions call main?
Who appoints the judges? | By whom are the judges appointed?
Who nominates the president? | Who is the president nominated by?
Who sings Hello? | Who is the singer of Hello?
Who sang Thriller? | Who was the singer of Thriller?
Who sponsors Ferrari? | Who are the sponsors of Ferrari?
Who sponsors Ferrari? | Who are Ferrari's sponsors?
Who coaches Real Madrid? | Who is the coach of Real Madrid?
Who hosts the Daily Show? | Who is the host of the Daily Show?
What do pandas eat? | What does a panda eat?
What do pandas eat? | What is the diet of pandas?
How much water should I drink? | How much water do I need to drink?
Who employs the most people? | Who is the biggest employer?
What is the growth rate of India? | How fast is India growing?
How is a debtor protected? | How are debtors protected?
When did Elvis die? | When was Elvis' death?
What did Darwin discover? | What was Darwin's discovery?
What did Tesla invent? | What were Tesla's inventions?
What killed the dinosaurs? | What were the dinosaurs killed by?
Why did Lincoln get assassinated? | Why was Lincoln assassinated?
Who assassinated Lincoln? | Who was the assassin of Lincoln?
Who trained Mike Tyson? | Who was Mike Tyson's trainer?
Who is the ruler of Monaco? | Who rules Monaco?
Who succeeded Stalin? | Who was Stalin's successor?
Who succeeded Stalin? | Who was the successor to Stalin?
What is aspirin used for? | What is the use of aspirin?
What causes earthquakes? | What are earthquakes caused by?
What causes earthquakes? | What is the cause of earthquakes?
How do I delete my Facebook account? | How can I delete a Facebook account?
How do I log into my router? | How do I log in to my router?
How do I login to my router? | How do I log into my router?
Who plays Batman? | Who is the actor who plays Batman?
What does an actuary do? | What do actuaries do?
How do teachers grade essays? | How does a teacher grade essays?
Who owns the Lakers? | Who is the Lakers' owner?
Is it legal to record a call? | Is recording a call legal?
Which countries import the most oil? | What countries are the biggest importers of oil?
What's the arrival time of flight 22? | When does flight 22 arrive?
How is a president elected? | How do people elect a president?
"""


def rows(table: str) -> list[tuple[str, ...]]:
    r"""The columns of each line, the reason last where there is one; `\n` is a new line."""
    found: list[tuple[str, ...]] = []
    reason: tuple[str, ...] = ()
    for line in table.strip("\n").split("\n"):
        if line.startswith("# "):
            reason = (line.removeprefix("# "),)
            continue
        a, b, *why = (each.replace(r"\n", "\n") for each in line.split(" | "))
        found.append((a, b, *(why or reason)))
    return found
