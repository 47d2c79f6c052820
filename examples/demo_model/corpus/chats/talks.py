"""Chats of several exchanges."""

import world as story_world
from chats.about_puna import about_puna
from chats.facts import CATEGORIES, DAYS, category_fact, color_fact, fact, order_fact
from chats.fun import joke, riddle_talk
from chats.json_answers import json_question
from chats.kinds import KINDS, SHORT_KINDS, draw
from chats.lists import LISTS, MORE, NAME_REQUESTS
from chats.numbers import NUMBER_WORDS, arithmetic, counting
from chats.scenes import PETS, scene_talk
from chats.small_talk import SMALL_TALK, USER_NAME, WHAT_IS_MY_NAME, any_name, small_talk
from chats.templates import exchange
from chats.words import any_word, rhyme, word_question


def name_talk(random):
    """The user gives a name and asks for it later."""
    name = any_name(random)
    exchanges = [exchange(*USER_NAME, random, {"name": name}, keep_case=True)]
    exchanges += [draw(SHORT_KINDS, random)(random) for _ in range(random.randint(0, 2))]
    return exchanges + [exchange(WHAT_IS_MY_NAME, ["Your name is {name}."], random, {"name": name},
                                 keep_case=True)]


FAVORITE_TOLD = ["My favorite {kind} is {value}.", "my favorite {kind} is {value}",
                 "I like {value}. It is my favorite {kind}.", "The {kind} I like best is {value}.",
                 "My best {kind} is {value}.", "Guess what: my favorite {kind} is {value}!",
                 "Of all, {value} is my favorite {kind}."]
FAVORITE_ASKED = ["What is my favorite {kind}?", "what is my favorite {kind}",
                  "Which {kind} do I like best?", "Do you remember my favorite {kind}?",
                  "Do you know my favorite {kind}?", "What {kind} do I like best?",
                  "Tell me my favorite {kind}.", "And what is my favorite {kind}?"]
PET_TOLD = ["I have a {pet} called {name}.", "I have a {pet}. It is called {name}.",
            "My {pet} is called {name}.", "We have a {pet} with the name {name}.",
            "My {pet}'s name is {name}.", "I got a {pet}! I call it {name}.", "{name} is my {pet}."]
PET_ASKED = ["What is my {pet} called?", "What is the name of my {pet}?", "what is my {pet}'s name",
             "Do you remember the name of my {pet}?", "How did I call my {pet}?",
             "What do I call my {pet}?", "Do you know how my {pet} is called?"]


def favorite_talk(random):
    kind = random.choice(["color", "animal", "fruit", "day", "food", "word", "name"])
    value = {"color": lambda: random.choice(story_world.COLORS),
             "animal": lambda: "the " + random.choice(story_world.ANIMALS),
             "fruit": lambda: "the " + random.choice(CATEGORIES["fruit"]),
             "day": lambda: random.choice(DAYS), "food": lambda: random.choice(LISTS["foods"]),
             "word": lambda: any_word(random), "name": lambda: any_name(random)}[kind]()
    values = {"kind": kind, "value": value}
    first = exchange(FAVORITE_TOLD, ["{Value}! That is a good {kind}."], random, values,
                     keep_case=True)
    between = [draw(SHORT_KINDS, random)(random) for _ in range(random.randint(0, 2))]
    return [first, *between, exchange(FAVORITE_ASKED, ["Your favorite {kind} is {value}."], random,
                                      values, keep_case=True)]


def pet_talk(random):
    values = {"pet": random.choice(PETS), "name": any_name(random)}
    first = exchange(PET_TOLD, ["{name} is a lovely name for a {pet}!"], random, values,
                     keep_case=True)
    between = [draw(SHORT_KINDS, random)(random) for _ in range(random.randint(0, 2))]
    return [first, *between, exchange(PET_ASKED, ["Your {pet} is called {name}."], random, values,
                                      keep_case=True)]


def list_talk(random):
    """A list, then more of it, not the same again."""
    things, words = random.choice([(things, words) for things,
                                   words in LISTS.items() if len(words) >= 6])
    n = random.choice([2, 3])
    words = random.sample(words, 2 * n)
    values = {"n": NUMBER_WORDS[n], "things": things}
    return [exchange(NAME_REQUESTS, [", ".join(words[:n])], random, values),
            exchange(MORE, [", ".join(words[n:])], random, values)]


def same_kind_talk(random):
    kind = random.choice([arithmetic, fact, word_question, rhyme, joke, color_fact, json_question,
                          category_fact, about_puna, counting, order_fact])
    return [kind(random) for _ in range(random.randint(2, 4))]


def mixed_talk(random):
    exchanges = []
    if random.random() < 0.5:
        exchanges.append(small_talk(random, "greeting", "greeting", "how are you", "good morning"))
    exchanges += [draw(KINDS, random)(random) for _ in range(random.randint(1, 2))]
    if random.random() < 0.5 or len(exchanges) == 1:
        exchanges.append(small_talk(random, "thanks", "thanks", "compliment", "goodbye",
                                    "good night"))
    return exchanges


def introduction_talk(random):
    """Greeting, name, a question, thanks."""
    name = any_name(random)
    exchanges = [small_talk(random, "greeting"), exchange(*USER_NAME, random, {"name": name},
                                                          keep_case=True)]
    exchanges.append(random.choice([arithmetic, about_puna, fact, joke])(random))
    last = random.choice([lambda: exchange(WHAT_IS_MY_NAME, [f"Your name is {name}."], random),
                          lambda: (random.choice(SMALL_TALK["thanks"][0]),
                                   f"You are welcome, {name}!"),
                          lambda: (random.choice(SMALL_TALK["goodbye"][0]),
                                   f"Goodbye, {name}! Come back soon for a story.")])
    return exchanges + [last()]


TALKS = [(3, mixed_talk), (2, scene_talk), (1.5, name_talk), (1, introduction_talk),
         (0.7, favorite_talk), (0.7, pet_talk), (0.7, riddle_talk), (0.6, list_talk),
         (1.2, same_kind_talk)]
