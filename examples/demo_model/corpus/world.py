"""Who and what a story is about: nouns, names and places, drawn once per story.

No noun goes on with the tokens of another ("dragon", "dragonfly"): a prompt that ends with the
shorter one would be continued to the longer.
"""

ANIMALS = """fox rabbit bear mouse cat dog puppy kitten owl duck hen pig goat sheep lamb horse
pony donkey cow frog toad turtle tortoise hedgehog squirrel badger otter beaver mole deer fawn
wolf lion tiger elephant giraffe zebra monkey parrot penguin seal whale dolphin crab octopus snail
bee butterfly ladybug spider ant cricket beetle moth swan goose pigeon crow raven eagle hawk robin
sparrow magpie peacock rooster lizard snake crocodile camel llama panda koala kangaroo raccoon
skunk bat fish shark walrus hippo rhino hamster caterpillar stork heron pelican woodpecker chick
calf foal gosling cub hare weasel lynx moose reindeer buffalo yak ostrich flamingo salmon firefly
worm bird""".split()
PEOPLE_HE = "boy man king prince knight wizard farmer fisherman grandfather shepherd  ".split()
PEOPLE_SHE = "girl woman queen princess witch grandmother milkmaid seamstress".split()
PEOPLE = """baker painter gardener sailor doctor teacher tailor cook child pirate musician dancer
singer potter carpenter blacksmith postman captain pilot driver librarian juggler clown cobbler
weaver inventor astronaut explorer student merchant traveler piper poet""".split()
MAGICAL = """dragon robot giant fairy mermaid unicorn troll gnome elf ghost monster snowman
scarecrow goblin genie phoenix griffin dwarf sprite ogre centaur puppet doll yeti""".split()
OBJECTS = """kite lamp key book bell clock cup hat drum ball doll coin map flute box basket
umbrella mirror pencil paintbrush teapot spoon blanket button candle lantern ring shoe boot scarf
glove whistle violin guitar trumpet harp compass spyglass bottle jar vase necklace crown feather
shell pebble stone marble puzzle letter picture photograph ribbon coat pillow bucket shovel hammer
broom kettle plate bowl fork cake pie pumpkin apple pear lemon cookie egg nut seed acorn stick
rope telescope magnet balloon wagon sled scooter bicycle skateboard top yo-yo suitcase backpack
notebook needle thimble watch medal flag mask wand cloak sweater sock mitten radio camera toy
toothbrush comb jewel pearl diamond locket bracelet hourglass music-box chair stool ladder net
snowglobe rocket paper-boat wheel pinwheel pocketknife teacup carrot potato turnip mushroom
sandwich loaf computer""".split()
LANDMARKS = """lighthouse bridge windmill castle boat train ship tower house cottage barn garden
well fountain tree oak willow river lake island mountain hill cave star moon cloud rainbow flower
rose sunflower rock statue school library bakery shop market theater church palace tent bus tram
tractor truck balloon ferry canoe raft swing bench gate wall road path field meadow forest beach
pond waterfall volcano snowdrift iceberg shadow wind storm village town farm mill workshop museum
hut inn stable tunnel submarine spaceship sailboat harbor scarecrow greenhouse playground moon car
airplane""".split()
INVENTED_PARTS = ("b d f g k l m n p r s t v w z bl br dr fl gl gr kl pl sn sp tr ch sh".split(),
                  "a e i o u oo ee ai".split(),
                  "b d f g l m n p r t x ck ff lk mp nd nk rk st zz".split(),
                  ["", "", "le", "y", "er", "o", "in", "et", "us"])

NAMES_HE = """Tom Ben Sam Max Leo Finn Oscar Hugo Milo Theo Jack Toby Felix Otto Noah Eli Pip
Rufus Jasper Arlo Bruno Kofi Ravi Omar Luca Emil Ivan Hans Pedro Diego Kenji Tariq Anton Igor
Percy Wally Barnaby Monty Gus Ned Rolf Sven Dario Amir Caspar""".split()
NAMES_SHE = """Lily Anna Mia Ella Rosa Nora Ivy Ruby Clara Emma Lucy Maya Zoe Tilly Daisy Poppy
Hazel Olive Greta Freya Ingrid Leila Amara Priya Yuki Sofia Elena Marta Nina Wanda Pearl Dora
Betty Molly Hattie Flora Stella Luna Willa Juno Esme Thea Bea Odette Mina""".split()

TRAITS = """brave kind shy clever curious quiet cheerful lonely patient stubborn proud gentle lazy
busy careful hungry sleepy silly wise merry honest timid playful polite grumpy lively dreamy
restless helpful forgetful hopeful clumsy""".split()
LOOKS = """little small tiny young old big tall plump thin round red brown grey white spotted blue
green golden silver shaggy""".split()
THING_LOOKS = """old little small tiny red blue green yellow golden silver wooden shiny dusty
strange broken round painted magic pretty plain crooked heavy striped rusty soft""".split()

PLACES = """the forest|in;the village|in;the meadow|in;the valley|in;the old mill|at;
the farm|on;the river|by;the sea|by;the lake|by;the harbor|at;the market|at;the hill|on;
the mountain|on;the garden|in;the castle|in;the orchard|in;the island|on;the beach|on;
the swamp|in;the desert|in;the snow|in;the city|in;the pond|by;the bridge|near;the barn|in;
the bakery|at;the library|in;the lighthouse|near;the cave|in;the tall trees|among;the woods|in;
the windmill|near;the fields|in;the town|in;the jungle|in;the waterfall|near;
the train station|at;the palace|in;the cliffs|near;the school|at"""
PLACES = [tuple(place.split("|")) for place in PLACES.replace("\n", " ").split(";")]
FOODS = """honey cake;plum pie;bowl of soup;apple;piece of bread;carrot;cheese sandwich;
berry tart;pancake;cup of warm milk;pear;slice of melon;ginger cookie;bowl of porridge;
roasted chestnut;blueberry muffin;corn cake;jar of jam;sweet bun;baked potato;cup of cocoa;
walnut loaf;peach;mushroom stew;lemon cake;rice ball;sugar plum;cherry pie;bag of peanuts;
noodle soup"""
FOODS = [food.strip() for food in FOODS.replace("\n", " ").split(";")]
COLORS = "red blue green yellow purple orange pink white black golden silver brown grey".split()
ELDERS = """old owl;old turtle;wise grandmother;old sailor;old woman;wise toad;grey donkey;
old shepherd;wise heron;old gardener;old carp;wise raven;grandfather tortoise;old baker;
white goose;old postman"""
ELDERS = [elder.strip() for elder in ELDERS.replace("\n", " ").split(";")]

CREATURES = ANIMALS + PEOPLE_HE + PEOPLE_SHE + PEOPLE + MAGICAL
ONE_WORD_NOUNS = tuple(noun for noun in CREATURES + OBJECTS + LANDMARKS if "-" not in noun)


def invented_noun(random):
    """A word that no list has, so that the model learns to copy what the prompt says."""
    while True:
        begin, vowel, end, tail = (random.choice(part) for part in INVENTED_PARTS)
        if not (begin + vowel + end + tail).startswith(ONE_WORD_NOUNS):
            return begin + vowel + end + tail


def invented_name(random):
    while True:
        begin, vowel, end, tail = (random.choice(part) for part in INVENTED_PARTS)
        name = (begin + vowel + end[0] + random.choice(["a", "o", "i", "us", "", tail])).capitalize()
        if not name.startswith(tuple(NAMES_HE + NAMES_SHE)):
            return name


def pronouns(prefix, gender):
    he, him, his = {"he": ("he", "him", "his"), "she": ("she", "her", "her"),
                    "it": ("it", "it", "its")}[gender]
    return {prefix + "he": he, prefix + "him": him, prefix + "his": his,
            prefix + "himself": ("him" if gender == "he" else "her" if gender == "she" else "it") +
            "self"}


def gender_of(noun, random):
    if noun in PEOPLE_HE:
        return "he"
    if noun in PEOPLE_SHE:
        return "she"
    return random.choice(["he", "she"])


class World(dict):
    """The properties of one story; a key with a capital gives the value with one.

    hero, name, he, him, his, himself, trait, look   the hero; of a thing's story: who meets it
    friend, fname, fhe, fhim, fhis, fhimself         somebody else
    thing, tlook                                     an object, or a landmark's story's landmark
    small                                            some other small object
    place "the forest", inplace "in the forest"; place2, inplace2: another one
    food "plum pie", color, elder "old owl"
    """

    def __missing__(self, key):
        if not key[0].isupper():
            raise KeyError(f"no property {{{key}}} in world.py")
        value = self[key[0].lower() + key[1:]]
        return value[0].upper() + value[1:]

    @property
    def subject(self):
        return self["hero"] if self.kind == "creature" else self["thing"]


def new_world(kind, random, noun=None):
    """A world for a plot with such a subject: "creature", "object" or "landmark"."""
    world = World()
    world.kind = kind
    nouns = {"creature": CREATURES, "object": OBJECTS, "landmark": LANDMARKS}[kind]
    if noun is None:
        noun = invented_noun(random) if random.random() < 0.12 else random.choice(nouns)
        noun = noun.replace("-", " ")
    hero = noun if kind == "creature" else random.choice(
        CREATURES if random.random() < 0.5 else ["boy", "girl"] + PEOPLE)
    friend = random.choice([creature for creature in CREATURES if creature != hero])
    thing = noun if kind != "creature" else random.choice(OBJECTS).replace("-", " ")
    gender, friend_gender = gender_of(hero, random), gender_of(friend, random)
    names = {"he": NAMES_HE, "she": NAMES_SHE}
    name = invented_name(random) if random.random() < 0.08 else random.choice(names[gender])
    fname = random.choice([other for other in names[friend_gender] if other != name])
    (place, at), (place2, at2) = random.sample(PLACES, 2)
    small = random.choice([other for other in OBJECTS if other.replace("-", " ") != thing])
    world.update(hero=hero, name=name, friend=friend, fname=fname, thing=thing,
                 trait=random.choice(TRAITS), look=random.choice(LOOKS),
                 tlook=random.choice(THING_LOOKS),
                 small=small.replace("-", " "),
                 place=place, inplace=f"{at} {place}", place2=place2, inplace2=f"{at2} {place2}",
                 food=random.choice(FOODS), color=random.choice(COLORS),
                 elder=random.choice(ELDERS), **pronouns("", gender),
                 **pronouns("f", friend_gender))
    return world
