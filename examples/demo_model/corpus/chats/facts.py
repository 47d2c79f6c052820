"""Simple facts about animals, things, days and opposites."""

from chats.templates import capital, exchange, plural, typed


def pairs(text):
    """"a: b; c: d" as a table."""
    return dict(pair.strip().split(": ") for pair in text.replace("\n",
                                                                  " ").split(";") if pair.strip())


EATS = pairs("""rabbit: grass and carrots; cow: grass; horse: grass and hay; sheep: grass;
goat: grass and leaves; bear: berries, fish and honey; fox: mice and berries; cat: meat and fish;
dog: meat; mouse: seeds and grain; owl: mice; squirrel: nuts; hedgehog: insects and worms;
frog: insects; panda: bamboo; koala: leaves; monkey: fruit; elephant: grass and leaves;
giraffe: leaves; lion: meat; tiger: meat; wolf: meat; penguin: fish; seal: fish; bee: nectar;
butterfly: nectar; caterpillar: leaves; snail: leaves; hen: grain; duck: plants and small animals;
pig: nearly everything; deer: grass and leaves; beaver: bark and leaves; otter: fish;
spider: insects; parrot: seeds and fruit; pelican: fish; bat: insects; camel: dry grass;
shark: fish""")
LIVES = pairs("""fox: in the forest; bear: in the forest; rabbit: in a burrow; bee: in a hive;
bird: in a nest; fish: in the water; cow: on a farm; pig: on a farm; hen: on a farm;
horse: in a stable; lion: in the grassland; tiger: in the jungle; monkey: in the jungle;
penguin: on the cold coast; whale: in the sea; dolphin: in the sea; shark: in the sea;
crab: by the sea; camel: in the desert; frog: by the pond; duck: by the pond;
mole: under the ground; worm: in the earth; ant: in an anthill; spider: in a web;
squirrel: in a tree; owl: in the forest; deer: in the forest; beaver: by the river;
otter: by the river; polar bear: in the snow and ice; king: in a castle; sailor: on a ship;
dragon: in a cave, in stories; snail: in its shell; dog: with people; goat: in the mountains;
eagle: in the mountains""")
SOUNDS = pairs("""cow: moo; dog: woof; cat: meow; sheep: baa; duck: quack; pig: oink; hen: cluck;
rooster: cock-a-doodle-doo; horse: neigh; donkey: hee-haw; owl: hoot; frog: ribbit; bee: buzz;
mouse: squeak; lion: roar; snake: hiss; crow: caw; chick: peep; goose: honk; wolf: howl;
pigeon: coo; bird: tweet""")
YOUNG = pairs("""cow: calf; dog: puppy; cat: kitten; sheep: lamb; horse: foal; pig: piglet;
hen: chick; duck: duckling; goose: gosling; bear: cub; lion: cub; wolf: pup; deer: fawn; goat: kid;
frog: tadpole; butterfly: caterpillar; swan: cygnet; owl: owlet; elephant: calf; kangaroo: joey;
seal: pup; fox: kit; whale: calf""")
COLOR_OF = pairs("""fox: red; strawberry: red; tomato: red; cherry: red; lemon: yellow;
banana: yellow; sun: yellow; canary: yellow; chick: yellow; grass: green; leaf: green; frog: green;
cucumber: green; sky: blue; sea: blue; blueberry: blue; snow: white; milk: white; swan: white;
polar bear: white; coal: black; crow: black; raven: black; carrot: orange; orange: orange;
pumpkin: orange; plum: purple; eggplant: purple; pig: pink; flamingo: pink; elephant: grey;
mouse: grey; bear: brown; chocolate: brown; beaver: brown; gold: golden; coconut: brown; pea: green;
sunflower: yellow; fire engine: red; salt: white; night sky: black""")
NO_ARTICLE = "grass snow milk coal gold chocolate salt".split()
ONLY_ONE = ["sun", "sky", "sea", "night sky"]
USES = pairs("""key: open a lock; lamp: make light; umbrella: stay dry in the rain; spoon: eat soup;
fork: eat; broom: sweep the floor; hammer: drive in nails; needle: sew; pencil: write; book: read;
bed: sleep; cup: drink; clock: tell the time; kite: play in the wind; boat: cross the water;
ladder: climb up high; bucket: carry water; comb: tidy your hair; scarf: keep your neck warm;
blanket: keep warm; hat: keep your head warm; glove: keep your hand warm; map: find the way;
compass: find north; mirror: look at yourself; bell: ring; drum: make music; flute: make music;
violin: make music; shovel: dig; kettle: boil water; oven: bake bread; rope: tie things;
net: catch fish; basket: carry things; candle: make light; chair: sit; toothbrush: clean your teeth;
telescope: look at the stars; watch: tell the time; paintbrush: paint; bicycle: ride;
sled: slide over the snow; whistle: call somebody; bag: carry things""")
WORK = pairs("""baker: bakes bread; farmer: grows food; fisherman: catches fish;
gardener: takes care of plants; painter: paints pictures; sailor: sails on a ship;
doctor: helps sick people; teacher: teaches children; tailor: sews clothes; cook: cooks food;
clockmaker: makes clocks; shepherd: takes care of sheep; miller: makes flour;
carpenter: makes things of wood; blacksmith: makes things of iron; postman: brings letters;
pilot: flies a plane; librarian: takes care of books; potter: makes pots;
beekeeper: takes care of bees; musician: plays music; cobbler: mends shoes; weaver: weaves cloth;
astronaut: flies into space; poet: writes poems; juggler: throws and catches balls;
clown: makes people laugh; king: rules a country""")
OPPOSITES = pairs("""big: small; hot: cold; tall: short; fast: slow; young: old; new: old;
happy: sad; light: dark; heavy: light; wet: dry; open: closed; full: empty; high: low; hard: soft;
loud: quiet; early: late; clean: dirty; strong: weak; thick: thin; wide: narrow; long: short;
good: bad; right: wrong; near: far; up: down; day: night; black: white; summer: winter; first: last;
yes: no; in: out; rich: poor; brave: afraid; sweet: sour; rough: smooth; sharp: blunt;
deep: shallow; left: right; north: south; east: west; begin: end; laugh: cry; give: take; come: go;
push: pull; love: hate; friend: enemy; small: big; cold: hot; slow: fast; old: young; sad: happy;
dark: light; dry: wet; closed: open; empty: full; low: high; soft: hard; quiet: loud; late: early;
dirty: clean; weak: strong; night: day; winter: summer""")
MADE_OF = pairs("""bread: flour; cheese: milk; butter: milk; a snowman: snow; a window: glass;
a table: wood; paper: wood; a coin: metal; a sweater: wool; a candle: wax; a brick: clay;
a pot: clay; a shoe: leather; a bottle: glass; a key: metal; a book: paper;
a kite: paper and sticks; a sandcastle: sand; ice: frozen water; a cloud: tiny drops of water;
honey: nectar; a nest: twigs; jam: fruit and sugar; a barrel: wood; a web: thin threads;
chocolate: cocoa; a mirror: glass; a hammer: wood and metal""")
LEGS = {**dict.fromkeys("dog cat horse cow fox bear rabbit mouse sheep goat pig lion tiger elephant frog deer wolf hedgehog lizard turtle table chair".split(),
                        4),
        **dict.fromkeys("bird hen duck goose owl penguin person boy girl robin swan".split(), 2),
        **dict.fromkeys("bee ant beetle butterfly ladybug fly".split(), 6), "spider": 8,
        **dict.fromkeys("snake fish worm".split(), 0)}
SIDES = {"triangle": 3, "square": 4, "rectangle": 4, "pentagon": 5, "hexagon": 6, "octagon": 8}
AMOUNTS = {"days are in a week": "A week has 7 days.",
           "months are in a year": "A year has 12 months.",
           "seasons are in a year": "A year has 4 seasons.",
           "hours are in a day": "A day has 24 hours.",
           "minutes are in an hour": "An hour has 60 minutes.",
           "seconds are in a minute": "A minute has 60 seconds.",
           "fingers are on a hand": "A hand has 5 fingers.",
           "toes are on a foot": "A foot has 5 toes.",
           "wheels are on a bicycle": "A bicycle has 2 wheels.",
           "wheels are on a car": "A car has 4 wheels.",
           "ears are on a rabbit": "A rabbit has 2 ears.",
           "wings are on a bird": "A bird has 2 wings.",
           "letters are in the alphabet": "The alphabet has 26 letters.",
           "arms are on an octopus": "An octopus has 8 arms.",
           "strings are on a violin": "A violin has 4 strings.",
           "colors are in a rainbow": "A rainbow has 7 colors.",
           "noses are on a cat": "A cat has 1 nose."}
DESCRIPTIONS = pairs("""fox: a red animal with a bushy tail; rabbit: a small animal with long ears; elephant: a big grey animal with a trunk; giraffe: a tall animal with a long neck; owl: a bird that flies at night;
bee: a small insect that makes honey; hedgehog: a small animal with spines;
snail: a slow animal with a shell; dragon: a big animal in stories that breathes fire;
unicorn: a horse with a horn in stories; mermaid: a girl with a fish tail in stories;
robot: a machine that can move and work; lighthouse: a tower with a light for ships;
castle: a big house of stone for a king; island: land with water all around;
volcano: a mountain with fire inside; lantern: a light that you can carry;
kite: a toy that flies in the wind; compass: a tool that shows north;
telescope: a tool to look at the stars; windmill: a mill with big sails;
river: water that flows to the sea; forest: a place with many trees;
desert: a dry place with much sand; cloud: many tiny drops of water in the sky;
star: a far light in the night sky; rainbow: a bow of colors in the sky;
storm: strong wind with rain; whale: a very big animal in the sea;
penguin: a bird that swims but cannot fly; bat: an animal that flies at night;
spider: an animal with eight legs; butterfly: an insect with colorful wings;
squirrel: a small animal that likes nuts; bear: a big strong animal with fur;
camel: an animal with a hump; piano: a big instrument with keys;
violin: an instrument with four strings; market: a place to buy and sell things;
library: a house full of books; bakery: a place where bread is made; harbor: a place for ships;
giant: a very tall person in stories; wizard: a man who can do magic in stories;
knight: a man with armor and a horse; queen: a woman who rules a country;
poem: a text with lines that often rhyme; story: a tale that somebody tells""")
WHY = pairs("""do we sleep: We sleep to rest; is snow cold: Snow is cold because it is frozen water;
do birds have wings: Birds have wings to fly; do we eat: We eat to grow and to have strength;
do we drink: We drink because we need water to live;
do trees have roots: Trees have roots to drink and to stand;
do bees visit flowers: Bees visit flowers to get nectar;
do we wear coats: We wear coats to stay warm; do fish have fins: Fish have fins to swim;
do rabbits have long ears: Rabbits have long ears to hear well;
do cats have whiskers: Cats have whiskers to feel their way;
do we need the sun: We need the sun because it gives light and warmth;
do flowers need water: Flowers need water to grow; does ice melt: Ice melts because it gets warm;
do ships need lighthouses: Ships need lighthouses to find the way at night;
do we brush our teeth: We brush our teeth to keep them clean;
do birds build nests: Birds build nests for their eggs;
do we use an umbrella: We use an umbrella to stay dry;
do squirrels hide nuts: Squirrels hide nuts to eat them in winter;
do we say thank you: We say thank you to be kind;
do we read books: We read books to learn and to dream""")
WHEN = pairs("""is it cold: It is cold in winter; is it hot: It is hot in summer;
do leaves fall: Leaves fall in autumn; do flowers bloom: Flowers bloom in spring;
does the sun rise: The sun rises in the morning; does the sun set: The sun sets in the evening;
do stars shine: Stars shine at night; do we eat breakfast: We eat breakfast in the morning;
do owls fly: Owls fly at night; does it snow: It snows in winter;
do we go to bed: We go to bed in the evening; do birds build nests: Birds build nests in spring;
do we see a rainbow: We see a rainbow when the sun shines through rain;
do apples get ripe: Apples get ripe in autumn; do we have dinner: We have dinner in the evening;
can we build a snowman: We can build a snowman in winter""")
BIG_TO_SMALL = "whale elephant giraffe horse sheep dog cat rabbit mouse bee ant".split()
FAST_TO_SLOW = "horse dog pig turtle snail".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
SEASONS = "spring summer autumn winter".split()
CATEGORIES = {"animal": "fox bear rabbit cat dog horse cow mouse frog lion tiger wolf sheep goat monkey zebra seal",
              "fruit": "apple pear plum cherry banana lemon peach strawberry grape melon",
              "vegetable": "carrot potato onion cabbage turnip leek radish beet",
              "toy": "doll kite yo-yo puzzle rattle marble",
              "tool": "hammer saw shovel rake drill axe screwdriver",
              "instrument": "drum flute violin guitar trumpet harp piano",
              "bird": "owl robin eagle duck swan crow sparrow goose",
              "tree": "oak willow birch maple fir",
              "flower": "rose tulip daisy lily sunflower violet",
              "building": "house castle school church barn tower"}
CATEGORIES = {name: words.split() for name, words in CATEGORIES.items()}
CAN = {"fly": ("bird owl bee butterfly eagle bat crow swan robin dragonfly plane",
               "fish dog cow snail horse cat mouse pig elephant stone frog table"),
       "swim": ("fish duck whale dolphin frog seal otter beaver shark penguin swan",
                "stone snail butterfly bee book chair house"),
       "talk": ("person boy girl teacher baker king", "stone fish table tree chair snail spoon"),
       "jump": ("frog rabbit kangaroo cat horse child", "snail tree house stone worm table"),
       "climb a tree": ("squirrel monkey cat bear koala", "fish cow whale horse duck pig"),
       "melt": ("snowman candle", "stone spoon tree book")}

FACTS = [  # table, questions, answers; {x} is the key, {y} the value
    (EATS, ["What does a {x} eat?", "what does a {x} eat", "What do {xs} eat?",
            "What do {xs} like to eat?", "What can I feed a {x}?", "What food does a {x} like?",
            "What is the food of a {x}?", "Do you know what a {x} eats?",
            "Tell me what a {x} eats.", "What should I give a {x} to eat?", "What would a {x} eat?",
            "Can you tell me what {xs} eat?", "food of a {x}", "A {x} is hungry. What does it eat?",
            "What does the {x} eat?"],
     ["A {x} eats {y}."]),
    (LIVES, ["Where does a {x} live?", "where does a {x} live", "Where do {xs} live?",
             "Where can I find a {x}?", "Where is the home of a {x}?",
             "Do you know where a {x} lives?", "Tell me where a {x} lives.",
             "What is the home of a {x}?", "Where does the {x} live?", "Where would I meet a {x}?",
             "home of a {x}", "Can you tell me where {xs} live?", "Where does a {x} have its home?",
             "In which place does a {x} live?", "Where do I look for a {x}?"],
     ["A {x} lives {y}."]),
    (SOUNDS, ["What sound does a {x} make?", "what sound does a {x} make", "What does a {x} say?",
              "What does the {x} say?", "How does a {x} go?", "What noise does a {x} make?",
              "What do {xs} say?", "Which sound does a {x} make?", "Tell me what a {x} says.",
              "Make a sound like a {x}.", "Can you talk like a {x}?", "What is the sound of a {x}?",
              "How does a {x} sound?", "sound of a {x}", "Do you know what a {x} says?"],
     ["A {x} says {y}."]),
    (SOUNDS, ["Which animal says {y}?", "What animal says {y}?", "Who says {y}?",
              "which animal says {y}", "What says {y}?", "I hear {y}. Which animal is it?",
              "Which animal makes the sound {y}?", "Do you know who says {y}?"],
     ["A {x} says {y}."]),
    (YOUNG, ["What is a young {x} called?", "What is a baby {x} called?",
             "what is a baby {x} called", "What do you call a young {x}?",
             "What do you call a baby {x}?", "What is the baby of a {x}?",
             "What is the child of a {x} called?", "How do you call a little {x}?",
             "What is the name for a young {x}?", "Do you know what a baby {x} is called?",
             "Tell me the word for a young {x}.", "word for a baby {x}",
             "What does a {x} call its baby?", "The baby of a {x} is called?",
             "What is the young one of a {x}?"],
     ["A young {x} is called a {y}."]),
    (USES, ["What is a {x} for?", "what is a {x} for", "What do you do with a {x}?",
            "What can I do with a {x}?", "What can you do with a {x}?", "Why do people have a {x}?",
            "What is a {x} good for?", "What do people do with a {x}?", "What do we use a {x} for?",
            "What does one do with a {x}?", "How do you use a {x}?", "Tell me what a {x} is for.",
            "I have a {x}. What can I do with it?", "What do I need a {x} for?",
            "Why do I need a {x}?", "Do you know what a {x} is for?"],
     ["You use a {x} to {y}."]),
    (WORK, ["What does a {x} do?", "what does a {x} do", "What does a {x} do all day?",
            "What is the work of a {x}?", "What is the job of a {x}?", "What do {xs} do?",
            "Tell me what a {x} does.", "What is a {x}?", "Who is a {x}?",
            "Do you know what a {x} does?", "Can you tell me what a {x} does?",
            "What work does a {x} do?", "I want to be a {x}. What does a {x} do?", "job of a {x}"],
     ["A {x} {y}."]),
    (OPPOSITES, ["What is the opposite of {x}?", "what is the opposite of {x}",
                 "What's the opposite of {x}?", "Opposite of {x}?", "opposite of {x}",
                 "Tell me the opposite of {x}.", "Give me the opposite of {x}.",
                 "Do you know the opposite of {x}?", "Which word is the opposite of {x}?",
                 "What word means the opposite of {x}?", "The opposite of {x} is?",
                 "{X} and what are opposites?", "Can you tell me the opposite of {x}?",
                 "What is the contrary of {x}?", "Say the opposite of {x}.",
                 "If it is not {x}, what is the opposite?"],
     ["The opposite of {x} is {y}."]),
    (MADE_OF, ["What is {x} made of?", "what is {x} made of", "What's {x} made of?",
               "Tell me what {x} is made of.", "What do you make {x} from?",
               "What do people make {x} from?", "What do I need to make {x}?",
               "Do you know what {x} is made of?", "Of what is {x} made?", "What is {x} made from?",
               "Can you tell me what {x} is made of?", "From what is {x} made?",
               "{X} is made of what?", "What is in {x}?"],
     ["{X} is made of {y}."]),
    (DESCRIPTIONS, ["What is a {x}?", "what is a {x}", "What's a {x}?", "Tell me what a {x} is.",
                    "Describe a {x}.", "Can you describe a {x}?", "Explain what a {x} is.",
                    "Do you know what a {x} is?", "What does {x} mean?",
                    "What does the word {x} mean?", "Can you tell me what a {x} is?",
                    "I do not know what a {x} is.", "What exactly is a {x}?",
                    "Tell me about a {x}.", "How would you describe a {x}?",
                    "Please explain what a {x} is."],
     ["A {x} is {y}."]),
    (WHY, ["Why {x}?", "why {x}", "Tell me, why {x}?", "Can you tell me, why {x}?",
           "I want to know: why {x}?", "Do you know? Why {x}?", "Hey, why {x}?", "Why, Puna, {x}?",
           "Please tell me: why {x}?", "Question: why {x}?"], ["{y}."]),
    (WHEN, ["When {x}?", "when {x}", "Tell me, when {x}?", "At what time of day or year {x}?",
            "I want to know: when {x}?", "Do you know? When {x}?", "Question: when {x}?",
            "Please tell me: when {x}?"], ["{y}."]),
    (AMOUNTS, ["How many {x}?", "how many {x}", "Tell me how many {x}.",
               "Do you know how many {x}?", "Question: how many {x}?",
               "Can you tell me how many {x}?", "I want to know how many {x}.",
               "How many, Puna? How many {x}?"], ["{y}"]),
    (SIDES, ["How many sides does a {x} have?", "How many corners does a {x} have?",
             "how many sides does a {x} have", "How many sides has a {x}?",
             "Count the sides of a {x}.", "A {x} has how many sides?",
             "Tell me how many sides a {x} has.", "sides of a {x}",
             "Do you know how many sides a {x} has?"], ["A {x} has {y} sides."]),
    (LEGS, ["How many legs does a {x} have?", "how many legs does a {x} have",
            "How many legs has a {x}?", "How many legs do {xs} have?", "Count the legs of a {x}.",
            "A {x} has how many legs?", "Tell me how many legs a {x} has.", "legs of a {x}",
            "Do you know how many legs a {x} has?", "On how many legs does a {x} stand?",
            "What number of legs does a {x} have?", "How many feet does a {x} have?"],
     ["A {x} has {y} legs."]),
]


def fact(random):
    table, questions, answers = random.choice(FACTS)
    x, y = random.choice(list(table.items()))
    return exchange(questions, answers, random, {"x": x, "y": y, "xs": plural(x)})


COLOR_QUESTIONS = ["What color is {x}?", "what color is {x}", "What color does {x} have?",
                   "Which color is {x}?", "Which color does {x} have?", "What is the color of {x}?",
                   "Tell me the color of {x}.", "Do you know the color of {x}?",
                   "What colour is {x}?", "color of {x}", "Can you tell me what color {x} is?",
                   "In which color would you paint {x}?",
                   "I want to draw {x}. Which color do I need?", "{X} is what color?",
                   "What color would {x} be?"]


def with_article(noun):
    if noun in NO_ARTICLE:
        return noun
    return ("the " if noun in ONLY_ONE else "a ") + noun


def color_fact(random):
    noun, color = random.choice(list(COLOR_OF.items()))
    return exchange(COLOR_QUESTIONS, ["{X} is {y}."], random, {"x": with_article(noun), "y": color})


ORDER_QUESTIONS = {"after": ["What {kind} comes after {x}?", "Which {kind} comes after {x}?",
                             "what {kind} comes after {x}", "What comes after {x}?",
                             "Which {kind} follows {x}?", "What is the {kind} after {x}?",
                             "After {x} comes which {kind}?", "Tell me the {kind} after {x}.",
                             "It is {x}. What comes next?", "What is the next {kind} after {x}?",
                             "{X} and then?", "Do you know what {kind} comes after {x}?"],
                   "before": ["What {kind} comes before {x}?", "Which {kind} comes before {x}?",
                              "what {kind} comes before {x}", "What comes before {x}?",
                              "What is the {kind} before {x}?", "Tell me the {kind} before {x}.",
                              "Which {kind} is just before {x}?",
                              "Do you know what {kind} comes before {x}?"]}


def order_fact(random):
    kind, row = random.choice([("day", DAYS), ("day", DAYS), ("month", MONTHS), ("season", SEASONS),
                               ("letter", [chr(65 + i) for i in range(26)])])
    word = random.choice(["after", "after", "before"])
    place = random.randrange(len(row))
    other = place + (1 if word == "after" else -1)
    if kind == "letter" and not 0 <= other < 26:
        return order_fact(random)
    neighbor = row[other % len(row)]
    question = random.choice(ORDER_QUESTIONS[word]).replace("{kind}", kind)
    question = question.replace("{X}", capital(row[place])).replace("{x}", row[place])
    return typed(question, random), f"{capital(neighbor)} comes {word} {row[place]}."


IS_IT = ["Is a {x} a {c}?", "is a {x} a {c}", "Is the {x} a {c}?", "Is a {x} really a {c}?",
         "Do you think a {x} is a {c}?", "A {x} is a {c}, right?", "Would you say a {x} is a {c}?",
         "Tell me: is a {x} a {c}?", "Yes or no: is a {x} a {c}?", "Can a {x} be called a {c}?",
         "Is it true that a {x} is a {c}?", "A {x}, is that a {c}?"]
KIND_OF = ["Is a {x} a {c} or a {d}?", "What is a {x}, a {c} or a {d}?",
           "A {x}: is it a {c} or a {d}?", "Is the {x} a {c} or a {d}?",
           "What kind of thing is a {x}, a {c} or a {d}?"]
ODD_ONE = ["Which one is not a {c}: {row}?", "Which of these is not a {c}: {row}?",
           "Which word does not fit: {row}?", "Find the one that is not a {c}: {row}.",
           "What does not belong: {row}?", "Which is the odd one out: {row}?",
           "{row}. Which one is not a {c}?"]
CAN_QUESTIONS = ["Can a {x} {do}?", "can a {x} {do}", "Can {xs} {do}?", "Is a {x} able to {do}?",
                 "Do you think a {x} can {do}?", "A {x} can {do}, right?",
                 "Yes or no: can a {x} {do}?", "Does a {x} {do}?", "Can the {x} {do}?",
                 "Is it true that a {x} can {do}?", "Tell me: can a {x} {do}?"]


def different_category(name, random):
    clashing = {name, "bird"} if name == "animal" else {name,
                                                        "animal"} if name == "bird" else {name}
    return random.choice([other for other in CATEGORIES if other not in clashing])


def category_fact(random):
    name = random.choice(list(CATEGORIES))
    other = different_category(name, random)
    noun = random.choice(CATEGORIES[name])
    chance = random.random()
    if chance < 0.35:
        return exchange(IS_IT, ["Yes, a {x} is a {c}."], random, {"x": noun, "c": name})
    if chance < 0.65:
        return exchange(IS_IT, ["No, a {x} is not a {c}. A {x} is a {d}."], random,
                        {"x": noun, "c": other, "d": name})
    if chance < 0.8:
        c, d = random.sample([name, other], 2)
        return exchange(KIND_OF, [f"A {noun} is a {name}."], random, {"x": noun, "c": c, "d": d})
    odd = random.choice(CATEGORIES[other])
    row = random.sample(CATEGORIES[name], 3)
    row.insert(random.randrange(4), odd)
    return exchange(ODD_ONE, ["The {odd} is not a {c}."], random,
                    {"c": name, "odd": odd, "row": ", ".join(row)})


def can_fact(random):
    ability = random.choice(list(CAN))
    able, unable = (nouns.split() for nouns in CAN[ability])
    if random.random() < 0.5:
        noun, answer = random.choice(able), "Yes, a {x} can {do}."
    else:
        noun, answer = random.choice(unable), "No, a {x} cannot {do}."
    return exchange(CAN_QUESTIONS, [answer], random, {"x": noun, "xs": plural(noun), "do": ability})


COMPARE_ANIMALS = ["Which is {word}, a {a} or a {b}?", "which is {word}, a {a} or a {b}",
                   "What is {word}, a {a} or a {b}?", "Who is {word}, a {a} or a {b}?",
                   "Who is {word}, the {a} or the {b}?", "A {a} or a {b}, which is {word}?",
                   "Which animal is {word}: a {a} or a {b}?", "Is a {a} or a {b} {word}?",
                   "Tell me which is {word}: a {a} or a {b}."]


def compare_animals(random):
    word, row = random.choice([("bigger", BIG_TO_SMALL), ("smaller", BIG_TO_SMALL[::-1]),
                               ("faster", FAST_TO_SLOW), ("slower", FAST_TO_SLOW[::-1])])
    first, second = sorted(random.sample(row, 2), key=row.index)
    a, b = random.sample([first, second], 2)
    return exchange(COMPARE_ANIMALS, [f"A {first} is {word} than a {second}."], random,
                    {"a": a, "b": b, "word": word})
