"""Lists of things of a kind, and choices among some."""

import world as story_world
from chats.facts import CATEGORIES, DAYS, SEASONS, pairs
from chats.fun import any_noun
from chats.numbers import NUMBER_WORDS
from chats.templates import exchange

LISTS = pairs("""animals: fox,bear,owl,rabbit,cat,dog,horse,cow,mouse,frog,lion,tiger,wolf,sheep,goat,duck,hedgehog,whale,bee,snail; farm animals: cow,pig,hen,horse,sheep,goat,duck,donkey,goose;
wild animals: fox,wolf,bear,lion,tiger,elephant,zebra,deer;
sea animals: whale,dolphin,shark,crab,octopus,seal,starfish,fish;
birds: owl,robin,eagle,duck,swan,crow,sparrow,goose,parrot,penguin;
insects: bee,ant,beetle,butterfly,moth,ladybug,cricket,dragonfly;
pets: cat,dog,hamster,rabbit,parrot,goldfish;
colors: red,blue,green,yellow,orange,purple,pink,brown,black,white,grey;
fruits: apple,pear,plum,cherry,banana,lemon,peach,strawberry,grape,melon;
vegetables: carrot,potato,onion,cabbage,turnip,leek,radish,pea,bean;
things in a kitchen: pot,pan,spoon,fork,plate,cup,oven,kettle,bowl;
things in a school: desk,book,pencil,chalk,teacher,clock,map,bag;
things in a garden: flower,tree,fence,bench,shovel,bird,hedge,snail;
things in a forest: tree,moss,fox,owl,mushroom,leaf,path,deer;
toys: ball,doll,kite,puzzle,yo-yo,teddy bear,train,top;
things that fly: bird,bee,kite,butterfly,balloon,plane,owl,bat;
things that are round: ball,coin,button,plate,wheel,orange,moon,pearl;
things that are cold: snow,ice,winter wind,ice cream,icicle,frost;
things that are hot: fire,sun,soup,oven,cocoa,summer;
things that are soft: pillow,blanket,feather,wool,kitten,moss;
things made of wood: table,chair,door,ladder,boat,pencil;
pieces of clothing: hat,coat,scarf,sock,shoe,glove,shirt,sweater;
instruments: drum,flute,violin,guitar,trumpet,harp,piano,bell;
tools: hammer,saw,shovel,rake,drill,axe,broom,screwdriver;
flowers: rose,tulip,daisy,lily,sunflower,violet; trees: oak,willow,birch,maple,fir,apple tree;
jobs: baker,farmer,teacher,doctor,painter,cook,sailor,tailor,gardener;
places: forest,village,river,castle,market,harbor,meadow,island;
foods: bread,cheese,soup,pie,porridge,honey,egg,cake; drinks: water,milk,tea,cocoa,juice,lemonade;
names for a cat: Whiskers,Mittens,Tiger,Minka,Smoky,Pepper;
names for a dog: Buddy,Rusty,Bello,Patches,Waldo,Biscuit;
names for a dragon: Ember,Smolder,Zarko,Flicker,Sparky,Brimble;
names for a robot: Bolt,Cog,Beep,Tinny,Sprocket,Gizmo;
shapes: circle,square,triangle,star,heart,rectangle;
vehicles: car,bus,train,boat,bicycle,tram,truck,plane;
parts of a house: door,window,roof,wall,stairs,kitchen,chimney;
parts of the body: head,arm,hand,leg,foot,nose,ear,eye;
weather words: sun,rain,wind,snow,storm,fog,cloud;
story characters: dragon,knight,princess,wizard,giant,fairy,king,witch""")
LISTS = {name: words.split(",") for name, words in LISTS.items()}
ORDERED = {"days of the week": DAYS, "seasons": SEASONS, "seasons of the year": SEASONS}
NAME_REQUESTS = ["Name {n} {things}.", "name {n} {things}", "Give me {n} {things}.",
                 "give me {n} {things}", "Tell me {n} {things}.", "Can you name {n} {things}?",
                 "Can you tell me {n} {things}?", "Can you give me {n} {things}?",
                 "What are {n} {things}?", "I need {n} {things}.", "Please name {n} {things}.",
                 "Say {n} {things}.", "{N} {things}, please.", "{n} {things}",
                 "Do you know {n} {things}?", "Think of {n} {things}.", "Find {n} {things}.",
                 "I want to know {n} {things}.", "Could you name {n} {things}?",
                 "Write down {n} {things}."]
LIST_REQUESTS = ["List {n} {things}.", "list {n} {things}", "Make a list of {n} {things}.",
                 "Write a list of {n} {things}.", "Give me a list of {n} {things}.",
                 "I need a list of {n} {things}.", "Can you list {n} {things}?",
                 "Please list {n} {things}.", "Could you make a list of {n} {things}?",
                 "list of {n} {things}", "A list of {n} {things}, please.",
                 "Show me a list of {n} {things}.", "I want a list with {n} {things}.",
                 "Write {n} {things} as a list.", "Make me a list with {n} {things}."]
ORDERED_REQUESTS = ["Name the {things}.", "What are the {things}?", "Tell me the {things}.",
                    "Can you name the {things}?", "Name all the {things}.", "Say the {things}.",
                    "Do you know the {things}?", "the {things}, please"]
ORDERED_LIST_REQUESTS = ["List the {things}.", "list the {things}", "Make a list of the {things}.",
                         "Give me a list of the {things}.", "Can you list the {things}?",
                         "Write a list of the {things}."]
MORE = ["{N} more, please.", "And {n} more?", "Tell me {n} more.", "More!", "{n} more",
        "Can you name {n} more?", "Give me {n} more."]


def numbered(words):
    return "\n".join(f"{number}. {word}" for number, word in enumerate(words, 1))


def list_question(random):
    as_list = random.random() < 0.5
    if random.random() < 0.08:
        things, words = random.choice(list(ORDERED.items()))
        questions = ORDERED_LIST_REQUESTS if as_list else ORDERED_REQUESTS
        return exchange(questions, [numbered(words) if as_list else ", ".join(words)], random,
                        {"things": things})
    things, words = random.choice(list(LISTS.items()))
    n = random.choice([2, 3, 3, 3, 4, 4, 5, 5, 6, 7, 8])
    n = min(n, len(words))
    words = random.sample(words, n)
    n_text = NUMBER_WORDS[n] if random.random() < 0.6 else str(n)
    return exchange(LIST_REQUESTS if as_list else NAME_REQUESTS,
                    [numbered(words) if as_list else ", ".join(words)], random,
                    {"n": n_text, "things": things})


def given_list(random):
    """The words are in the request."""
    words = random.sample(random.choice(list(LISTS.values())), random.randint(3, 5))
    if random.random() < 0.3:
        words[0] = story_world.invented_noun(random)
    row = ", ".join(words)
    question = random.choice(["Make a numbered list: {row}", "Write this as a list: {row}",
                              "Make a list of these words: {row}.",
                              "Put these words in a list: {row}", "list: {row}",
                              "Turn this into a list: {row}.", "Number these words: {row}",
                              "As a list please: {row}",
                              "Please write these as a numbered list: {row}.",
                              "I need to buy {row}. Make a list."]).replace("{row}", row)
    return question, numbered(words)


ONE_OF = ["Name a {thing}.", "name a {thing}", "Name one {thing}.", "Give me a {thing}.",
          "Tell me a {thing}.", "Can you name a {thing}?", "Think of a {thing}.",
          "What is a {thing}? Name one.", "Say a {thing}.", "Choose a {thing}.", "Pick a {thing}."]


def one_of(random):
    name = random.choice(list(CATEGORIES))
    return exchange(ONE_OF, [random.choice(CATEGORIES[name])], random, {"thing": name})


def choose_one(random):
    """Any of the given things is right."""
    a, b = any_noun(random), any_noun(random)
    if a == b:
        return choose_one(random)
    questions = ["Choose one: {a} or {b}?", "Pick one: {a} or {b}.",
                 "Which do you like better, a {a} or a {b}?",
                 "What do you like more, the {a} or the {b}?", "Do you like a {a} or a {b} better?",
                 "{A} or {b}?", "Should my story be about a {a} or a {b}?"]
    return exchange(questions, ["I choose the {c}."], random,
                    {"a": a, "b": b, "c": random.choice([a, b])})
