"""Questions about a scene that is told in a few sentences."""

import world as story_world
from chats.facts import DAYS
from chats.small_talk import NAMES, any_name
from chats.templates import capital, fill, plural

ITEMS = "apple pear ball book shell button coin egg cookie nut stone flower carrot ribbon marble plum stick candle balloon pebble".split()
SPOTS = """under the bed;behind the door;in a box;on the table;in the drawer;on the shelf;
under a tree;behind the curtain;in the kitchen;on the roof;in a basket;under the stairs;
by the window;in the cupboard;on a chair;in the attic;under the bridge;behind the barn;in the boat;
next to the well;under the rug;in the old trunk""".replace("\n", "").split(";")
ACTIVITIES = """painted a picture;read a book;baked a cake;sang a song;built a raft;planted a tree;
caught a fish;wrote a letter;swept the floor;picked berries;counted the clouds;fixed a wheel;
made a soup;danced in the rain;told a story;fed the ducks;climbed a hill;washed the windows;
played the flute;drew a map""".replace("\n", "").split(";")
LIKES = """plums;pancakes;rain;music;honey;snow;stories;apples;cheese;flowers;boats;warm bread;carrots;long walks;puzzles;berries;the moon;dancing;swimming;nuts;soup;loud drums;quiet evenings;old maps""".replace("\n",
                                                                                                                                                                                                                    "").split(";")
MOODS_WHY = """sad:it was raining;sad:the {thing} was broken;sad:{gname} had gone away;
happy:it was {his} birthday;happy:the sun was shining;happy:{fname} had come to visit;
angry:somebody had eaten the {food};tired:the way was long;tired:the wind had been loud all night;
afraid:it was very dark;afraid:there was a strange noise outside;proud:{he} had won a prize;
proud:{he} had learned to swim;hungry:{he} had eaten nothing all day;late:the clock had stopped;
excited:the fair was in town;lonely:nobody had come to play;wet:{he} had no umbrella;
cold:{he} had no coat;happy:the {thing} was found""".replace("\n", "").split(";")
PETS = "cat dog rabbit hamster parrot pony turtle goldfish kitten puppy".split()
NOISES = "wubb bip grool tock pling mumm zeep hoom".split()
WEATHER = "sunny rainy windy snowy foggy cold warm stormy cloudy".split()
TIMES = "in the morning;in the evening;at noon;at night;after lunch;before dinner;at sunrise".split(";")

# A scene is a row of beats told in order; at least the first two are told. A beat is a sentence with
# questions about it: a pair of question and answer each.
WHO_IS = [("Who is the story about?", "The story is about {name} the {hero}."),
          ("What is the name of the {hero}?", "The name of the {hero} is {name}."),
          ("[Who|What] is {name}?", "{name} is a {hero}."), ("What kind of creature is {name}?",
                                                             "{name} is a {hero}.")]
LIVES_THERE = [("Where did {name} live?", "{name} lived {inplace}."),
               ("Where did the {hero} live?", "The {hero} lived {inplace}."),
               ("Who lived {inplace}?", "{name} the {hero} lived {inplace}.")]
SCENES = [
    [("[{name} the {hero}|A {hero} called {name}|A {trait} {hero} named {name}] lived {inplace}.",
      WHO_IS + LIVES_THERE),
     ("{He} had a {color} {thing}.", [("What did {name} have?", "{name} had a {color} {thing}."),
                                      ("What color was the {thing}?", "The {thing} was {color}."),
                                      ("Who had a {thing}?", "{name} had a {thing}.")]),
     ("One day {he} lost it {inplace2}.", [("Where did {name} lose the {thing}?",
                                            "{name} lost the {thing} {inplace2}."),
                                           ("What did {name} lose?",
                                            "{name} lost the {color} {thing}."),
                                           ("Who lost the {thing}?", "{name} lost the {thing}.")]),
     ("{fname} the {friend} found it {time}.", [("Who found the {thing}?",
                                                 "{fname} found the {thing}."),
                                                ("When did {fname} find the {thing}?",
                                                 "{fname} found the {thing} {time}."),
                                                ("[Who|What] is {fname}?",
                                                 "{fname} is a {friend}.")])],
    [("{name} gave {fname} a {color} {thing}.", [("Who gave {fname} the {thing}?",
                                                  "{name} gave {fname} the {thing}."),
                                                 ("What did {name} give {fname}?",
                                                  "{name} gave {fname} a {color} {thing}."),
                                                 ("Who got the {thing}?",
                                                  "{fname} got the {thing}."),
                                                 ("What color was the {thing}?",
                                                  "The {thing} was {color}.")]),
     ("{fname} put it {spot}.", [("Where did {fname} put the {thing}?",
                                  "{fname} put the {thing} {spot}."),
                                 ("Where is the {thing}?", "The {thing} is {spot}.")]),
     ("{fname} gave {name} a {food}.", [("What did {fname} give {name}?",
                                         "{fname} gave {name} a {food}."),
                                        ("Who got the {food}?", "{name} got the {food}.")])],
    [("{name} the {hero} went to {place} {time}.", WHO_IS + [("Where did {name} go?",
                                                              "{name} went to {place}."),
                                                             ("Where did the {hero} go?",
                                                              "The {hero} went to {place}."),
                                                             ("When did {name} go to {place}?",
                                                              "{name} went to {place} {time}."),
                                                             ("Who went to {place}?",
                                                              "{name} went to {place}.")]),
     ("There {he} ate a {food}.", [("What did {name} eat?", "{name} ate a {food}."),
                                   ("Who ate the {food}?", "{name} ate the {food}."),
                                   ("What did the {hero} eat?", "The {hero} ate a {food}.")]),
     ("{He} also met {fname} the {friend}.", [("Who did {name} meet?",
                                               "{name} met {fname} the {friend}."),
                                              ("Who met {fname}?", "{name} met {fname}."),
                                              ("What is the name of the {friend}?",
                                               "The name of the {friend} is {fname}.")]),
     ("Then they {activity}.", [("What did they do?", "They {activity}."),
                                ("What did {name} and {fname} do?",
                                 "{name} and {fname} {activity}.")])],
    [("The {hero} hid a {thing} {spot}.", [("Where did the {hero} hide the {thing}?",
                                            "The {hero} hid the {thing} {spot}."),
                                           ("What did the {hero} hide?",
                                            "The {hero} hid a {thing}."),
                                           ("Who hid the {thing}?",
                                            "The {hero} hid the {thing}.")]),
     ("The {friend} looked for it {inplace}.", [("Where did the {friend} look for the {thing}?",
                                                 "The {friend} looked for the {thing} {inplace}."),
                                                ("Who looked for the {thing}?",
                                                 "The {friend} looked for the {thing}.")]),
     ("But {fname} the {third} only found a {color} {small}.",
      [("What did {fname} find?", "{fname} found a {color} {small}."),
       ("Who found the {small}?", "{fname} found the {small}."),
       ("What color was the {small}?", "The {small} was {color}.")])],
    [("A {new} is a {look} animal.", [("What is a {new}?", "A {new} is a {look} animal.")]),
     ("It is {color} and lives {inplace}.", [("What color is a {new}?", "A {new} is {color}."),
                                             ("Where does a {new} live?",
                                              "A {new} lives {inplace}.")]),
     ("It likes {likes}.", [("What does a {new} like?", "A {new} likes {likes}.")]),
     ("When it is happy, it says {noise}.", [("What does a {new} say?", "A {new} says {noise}."),
                                             ("When does a {new} say {noise}?",
                                              "A {new} says {noise} when it is happy.")])],
    [("{name} is a {hero} and {fname} is a {friend}.", [("[Who|What] is {name}?",
                                                         "{name} is a {hero}."),
                                                        ("[Who|What] is {fname}?",
                                                         "{fname} is a {friend}."),
                                                        ("What is the name of the {hero}?",
                                                         "The name of the {hero} is {name}."),
                                                        ("What is the name of the {friend}?",
                                                         "The name of the {friend} is {fname}."),
                                                        ("Who is a {friend}?",
                                                         "{fname} is a {friend}.")]),
     ("{name} likes {likes}, but {fname} likes {likes2}.", [("What does {name} like?",
                                                             "{name} likes {likes}."),
                                                            ("What does {fname} like?",
                                                             "{fname} likes {likes2}."),
                                                            ("Who likes {likes}?",
                                                             "{name} likes {likes}."),
                                                            ("Who likes {likes2}?",
                                                             "{fname} likes {likes2}."),
                                                            ("What does the {friend} like?",
                                                             "The {friend} likes {likes2}.")]),
     ("They both live {inplace}.", [("Where do they live?", "They live {inplace}."),
                                    ("Where does {name} live?", "{name} lives {inplace}."),
                                    ("Where does the {friend} live?",
                                     "The {friend} lives {inplace}.")])],
    [("{name} has a {color} {thing}.", [("What color is the {thing} of {name}?",
                                         "The {thing} of {name} is {color}."),
                                        ("Who has a {color} {thing}?",
                                         "{name} has a {color} {thing}."),
                                        ("What does {name} have?",
                                         "{name} has a {color} {thing}.")]),
     ("{fname} has a {color2} {thing}.", [("What color is the {thing} of {fname}?",
                                           "The {thing} of {fname} is {color2}."),
                                          ("Who has a {color2} {thing}?",
                                           "{fname} has a {color2} {thing}."),
                                          ("What does {fname} have?",
                                           "{fname} has a {color2} {thing}.")]),
     ("{gname} has a {small}.", [("Who has a {small}?", "{gname} has a {small}."),
                                 ("What does {gname} have?", "{gname} has a {small}.")])],
    [("{name} the {hero} bought a {thing} and a {small} at the market.",
      WHO_IS + [("What did {name} buy?", "{name} bought a {thing} and a {small}."),
                ("Where did {name} buy the {thing}?", "{name} bought the {thing} at the market."),
                ("Who bought a {small}?", "{name} bought a {small}.")]),
     ("The {thing} was {color} and the {small} was {color2}.",
      [("What color was the {thing}?", "The {thing} was {color}."),
       ("What color was the {small}?", "The {small} was {color2}."),
       ("What was {color2}?", "The {small} was {color2}."), ("What was {color}?",
                                                             "The {thing} was {color}.")]),
     ("{He} gave the {small} to {fname} the {friend}.", [("Who got the {small}?",
                                                          "{fname} got the {small}."),
                                                         ("What did {name} give to {fname}?",
                                                          "{name} gave the {small} to {fname}."),
                                                         ("Who is {fname}?",
                                                          "{fname} is a {friend}.")])],
    [("It was a {weather} day.", [("How was the day?", "It was a {weather} day."),
                                  ("How was the weather?", "It was a {weather} day.")]),
     ("{name} the {hero} {activity}.", WHO_IS + [("What did {name} do?", "{name} {activity}."),
                                                 ("What did the {hero} do?",
                                                  "The {hero} {activity}."),
                                                 ("Who {activity}?", "{name} {activity}.")]),
     ("{fname} the {friend} {activity2}.", [("What did {fname} do?", "{fname} {activity2}."),
                                            ("What did the {friend} do?",
                                             "The {friend} {activity2}."),
                                            ("Who {activity2}?", "{fname} {activity2}.")])],
    [("On {day} {name} went to {place}.", [("When did {name} go to {place}?",
                                            "{name} went to {place} on {day}."),
                                           ("Where did {name} go on {day}?",
                                            "On {day} {name} went to {place}.")]),
     ("On {day2} {he} went to {place2}.", [("When did {name} go to {place2}?",
                                            "{name} went to {place2} on {day2}."),
                                           ("Where did {name} go on {day2}?",
                                            "On {day2} {name} went to {place2}.")]),
     ("{He} came home with a {color} {thing}.", [("What did {name} bring home?",
                                                  "{name} came home with a {color} {thing}."),
                                                 ("What color was the {thing}?",
                                                  "The {thing} was {color}.")])],
    [("The {thing} is {spot}.", [("Where is the {thing}?", "The {thing} is {spot}."),
                                 ("What is {spot}?", "The {thing} is {spot}.")]),
     ("The {small} is {spot2}.", [("Where is the {small}?", "The {small} is {spot2}."),
                                  ("What is {spot2}?", "The {small} is {spot2}.")]),
     ("The {hero} is {inplace}.", [("Where is the {hero}?", "The {hero} is {inplace}."),
                                   ("Who is {inplace}?", "The {hero} is {inplace}.")])],
    [("[{name} the {hero}|The {hero} {name}] was {mood} because {why}.",
      [("Why was {name} {mood}?", "{name} was {mood} because {why}."),
       ("Why was the {hero} {mood}?", "The {hero} was {mood} because {why}."),
       ("How did {name} feel?", "{name} was {mood}."), ("Who was {mood}?", "{name} was {mood}.")]),
     ("{fname} the {friend} brought {him} a {food2}.", [("What did {fname} bring?",
                                                         "{fname} brought a {food2}."),
                                                        ("Who brought a {food2}?",
                                                         "{fname} brought a {food2}."),
                                                        ("[Who|What] is {fname}?",
                                                         "{fname} is a {friend}.")]),
     ("Then they {activity} {inplace}.", [("What did they do?", "They {activity}."),
                                          ("Where were they?", "They were {inplace}.")])],
    [("{name} has {n} {items}.", [("How many {items} does {name} have?", "{name} has {n} {items}."),
                                  ("Who has {n} {items}?", "{name} has {n} {items}.")]),
     ("{fname} has {m} {items}.", [("How many {items} does {fname} have?",
                                    "{fname} has {m} {items}."),
                                   ("Who has {m} {items}?", "{fname} has {m} {items}.")]),
     ("They keep them {spot}.", [("Where are the {items}?", "The {items} are {spot}."),
                                 ("Where do they keep the {items}?",
                                  "They keep the {items} {spot}.")])],
    [("My name is {name} and I am {n} years old.", [("How old am I?", "You are {n} years old."),
                                                    ("What is my name?", "Your name is {name}.")]),
     ("I have a {pet} called {fname}.", [("What is my {pet} called?",
                                          "Your {pet} is called {fname}."),
                                         ("Who is {fname}?", "{fname} is your {pet}."),
                                         ("What pet do I have?",
                                          "You have a {pet} called {fname}.")]),
     ("I like {likes}.", [("What do I like?", "You like {likes}.")]),
     ("My {thing} is {color}.", [("What color is my {thing}?", "Your {thing} is {color}."),
                                 ("What is {color}?", "Your {thing} is {color}.")])],
    [("Once there was a {look} {hero} called {name}.", WHO_IS),
     ("{He} wanted to see {place}.", [("What did {name} want to see?",
                                       "{name} wanted to see {place}."),
                                      ("What did the {hero} want?",
                                       "The {hero} wanted to see {place}."),
                                      ("Who wanted to see {place}?",
                                       "{name} wanted to see {place}.")]),
     ("So {he} packed a {thing} and a {food}.", [("What did {name} pack?",
                                                  "{name} packed a {thing} and a {food}."),
                                                 ("Who packed a {thing}?",
                                                  "{name} packed a {thing}.")]),
     ("On the way {he} met a {friend} called {fname}.", [("Who did {name} meet?",
                                                          "{name} met a {friend} called {fname}."),
                                                         ("What was the {friend} called?",
                                                          "The {friend} was called {fname}."),
                                                         ("Who met {fname}?",
                                                          "{name} met {fname}.")])],
    [("{fname} the {friend} lived with {name} the {hero}.", [("Who lived with {name}?",
                                                              "{fname} lived with {name}."),
                                                             ("Who lived with the {hero}?",
                                                              "{fname} the {friend} lived with the {hero}."),
                                                             ("What was {name}?",
                                                              "{name} was a {hero}."),
                                                             ("Who are in the story?",
                                                              "{fname} the {friend} and {name} the {hero} are in the story.")]),
     ("Their house stood {inplace}.", [("Where did their house stand?",
                                        "Their house stood {inplace}."),
                                       ("Where did they live?", "They lived {inplace}."),
                                       ("What stood {inplace}?", "Their house stood {inplace}.")]),
     ("It had a {color} roof and a {color2} door.", [("What color was the roof?",
                                                      "The roof was {color}."),
                                                     ("What color was the door?",
                                                      "The door was {color2}."),
                                                     ("What was {color}?",
                                                      "The roof was {color}.")]),
     ("Every evening they had a {food}.", [("What did they have every evening?",
                                            "They had a {food} every evening."),
                                           ("When did they have a {food}?",
                                            "They had a {food} every evening.")])],
]
SCENE_FORMS = ["{scene} {question}", "{scene} {question}", "{scene}\n{question}",
               "{scene}\n\n{question}", "{scene}\nQuestion: {question}",
               "Read this: {scene} {question}", "Here is a story: {scene} {question}",
               "Listen: {scene} {question}", "Text: {scene}\nQuestion: {question}",
               "Text: {scene}\n{question}", "I tell you something. {scene} {question}",
               "{question}\n\n{scene}", "Answer the question. {scene} {question}",
               "Read the text and answer the question.\n{scene}\n{question}",
               "{scene} Now tell me: {question}", "{scene} Question: {question}",
               "Question: {question}\nText: {scene}", "{scene} Tell me: {question}"]


def scene_values(random):
    noun = story_world.invented_noun(random) if random.random() < 0.2 else None
    values = story_world.new_world("creature", random, noun)
    if random.random() < 0.25:
        values["thing"] = story_world.invented_noun(random)
    values["name"], values["fname"], values["gname"] = distinct_names(values, random)
    values["color"], values["color2"] = random.sample(story_world.COLORS, 2)
    values["spot"], values["spot2"] = random.sample(SPOTS, 2)
    values["activity"], values["activity2"] = random.sample(ACTIVITIES, 2)
    values["likes"], values["likes2"] = random.sample(LIKES, 2)
    values["day"], values["day2"] = random.sample(DAYS, 2)
    values["food"], values["food2"] = random.sample(story_world.FOODS, 2)
    values["n"], values["m"] = random.sample(range(3, 16), 2)
    values["mood"], why = random.choice(MOODS_WHY).split(":")
    values.update(new=story_world.invented_noun(random), noise=random.choice(NOISES),
                  weather=random.choice(WEATHER), time=random.choice(TIMES),
                  items=plural(random.choice(ITEMS)), pet=random.choice(PETS),)
    others = [animal for animal in story_world.ANIMALS if animal not in (values["hero"],
                                                                         values["friend"])]
    values["third"] = random.choice(others)
    values["why"] = fill(why, random, values)
    return values


def distinct_names(values, random):
    """Three names; the first one fits the pronouns of the hero."""
    names = [values["name"], values["fname"], random.choice(NAMES)]
    if random.random() < 0.15:
        names[0] = story_world.invented_noun(random).capitalize()
    names[1:] = [any_name(random) if random.random() < 0.25 else name for name in names[1:]]
    return names if len(set(names)) == 3 else distinct_names(values, random)


def scene_with_questions(random):
    """The text of a scene and all the questions and answers about it."""
    values = scene_values(random)
    beats = random.choice(SCENES)
    beats = beats[:random.randint(2, len(beats))]
    scene = " ".join(capital(fill(sentence, random, values)) for sentence, _ in beats)
    asked = [(question, answer) for _, questions in beats for question, answer in questions]
    return scene, [(fill(question, random, values), capital(fill(answer, random,
                                                                 values))) for question,
                   answer in asked]


def asked_about(scene, question, random):
    question = capital(question)
    if random.random() < 0.12:
        question = question.rstrip("?")
    forms = SCENE_FORMS[:4] if scene.startswith("My name is") else SCENE_FORMS
    return random.choice(forms).replace("{scene}", scene).replace("{question}", question)


def scene_question(random):
    scene, asked = scene_with_questions(random)
    question, answer = random.choice(asked)
    return asked_about(scene, question, random), answer


def scene_talk(random):
    """Several questions about one scene."""
    scene, asked = scene_with_questions(random)
    questions = random.sample(asked, min(len(asked), random.randint(2, 4)))
    exchanges = [(asked_about(scene, questions[0][0], random), questions[0][1])]
    for question, answer in questions[1:]:
        before = random.choice(["", "", "", "And ", "Now: "])
        if before == "And ":
            question = question[0].lower() + question[1:]
        exchanges.append((before + question, answer))
    return exchanges
