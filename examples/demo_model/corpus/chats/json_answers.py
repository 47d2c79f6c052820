"""Short answers in JSON."""

import json

import world as story_world
from chats.facts import COLOR_OF, EATS, LEGS, SOUNDS, YOUNG, with_article
from chats.lists import LISTS
from chats.numbers import NUMBER_WORDS
from chats.scenes import scene_values
from chats.templates import fill

JSON_OBJECT_REQUESTS = ["Give me a JSON object with the {keys} of {x}.",
                        "give me a JSON object with the {keys} of {x}",
                        "Write a JSON object with the {keys} of {x}.",
                        "Give me the {keys} of {x} as JSON.", "Give me the {keys} of {x} in JSON.",
                        "JSON with the {keys} of {x}.", "Answer in JSON: the {keys} of {x}.",
                        "Write JSON with the {keys} of {x}.",
                        "Make a JSON object with the {keys} of {x}.",
                        "Can you give me the {keys} of {x} as JSON?",
                        "I need the {keys} of {x} as JSON.", "As JSON, please: {keys} of {x}.",
                        "Please write the {keys} of {x} as a JSON object.",
                        "Describe {x} in JSON with {keys}.",
                        "Describe {x} as a JSON object with {keys}.",
                        "Return JSON with the {keys} of {x}.", "json: {keys} of {x}"]
JSON_GIVEN = ["As JSON: {row}", "as JSON: {row}", "Make JSON: {row}", "Write this as JSON: {row}",
              "Turn this into JSON: {row}", "Make a JSON object: {row}", "JSON please: {row}",
              "Put this into JSON: {row}", "{row} - as JSON, please.",
              "Write a JSON object with {row}.", "Give me JSON with {row}.",
              "Make a JSON object with {row}.", "Convert to JSON: {row}",
              "Format this as JSON: {row}", "Can you write this as JSON? {row}",
              "Please make JSON from this: {row}", "json: {row}"]
JSON_SENTENCES = [  # text, keys
    ("{name} is {n} years old and lives in {town}.", "name age town"),
                  ("{name} is {n} years old.", "name age"), ("{name} the {hero} is {n} years old.",
                                                             "name animal age"),
                  ("A {hero} called {name} has a {color} {thing}.", "name color thing"),
                  ("{name} has a {color} {thing}.", "name color thing"),
                  ("The {thing} is {color}.", "thing color"),
                  ("{name} lives in {town} and likes {likes}.", "name town likes"),
                  ("{name} is a {hero} and likes {likes}.", "name likes"),
                  ("{name} has {n} {items}.", "name number items"),
                  ("My name is {name} and I am {n} years old.", "name age"),
                  ("I am {name}. I am {n} and I like {likes}.", "name age likes"),
                  ("{name} likes {color}.", "name color"), ("On {day} {name} has a party.",
                                                            "day name"),
                  ("The {thing} costs {n} coins.", "thing price"),
                  ("{name} bought a {color} {thing} for {n} coins.", "name thing color price"),
                  ("There are {n} {items} in {town}.", "number items town"),
                  ("{name} has a {pet} called {fname}.", "name pet pet_name"),
                  ("The {pet} is called {fname} and is {n} years old.", "pet pet_name age")]
JSON_SENTENCE_FORMS = ["{s} Answer in JSON with {keys}.", "{s} Give me {keys} as JSON.",
                       "{s} Write this as JSON with {keys}.", "{s}\nJSON with {keys}:",
                       "Make JSON with {keys} from this: {s}",
                       "Read this and answer in JSON with {keys}: {s}",
                       "Extract {keys} as JSON: {s}", "{s} Make a JSON object with {keys}.",
                       "Find {keys} and write JSON.\n{s}", "{s} Put {keys} in a JSON object.",
                       "Text: {s}\nKeys: {row}\nJSON:", "{s} Return JSON with the keys {keys}.",
                       "Turn this into JSON with {keys}. {s}", "{s} Which {keys}? Answer in JSON."]
JSON_ARRAY_REQUESTS = ["Give me a JSON array with {n} {things}.",
                       "give me a JSON array of {n} {things}",
                       "Write a JSON array of {n} {things}.", "JSON array with {n} {things}.",
                       "Name {n} {things} as a JSON array.", "List {n} {things} as a JSON array.",
                       "I need {n} {things} as a JSON array.",
                       "{N} {things} as a JSON array, please.",
                       "Make a JSON array of {n} {things}.",
                       "Can you give me {n} {things} as a JSON array?",
                       "Write {n} {things} in a JSON array.",
                       "Answer with a JSON array: {n} {things}."]
JSON_ARRAY_GIVEN = ["Make a JSON array: {row}", "Write these as a JSON array: {row}",
                    "As a JSON array: {row}", "Turn this into a JSON array: {row}",
                    "JSON array of {row}", "Put these words in a JSON array: {row}",
                    "{row} - as a JSON array, please.", "Make a JSON array from these words: {row}",
                    "Convert to a JSON array: {row}"]
JSON_KEY_REQUESTS = ['Make JSON with the key "{key}" and the value "{value}".',
                     'Write a JSON object where {key} is {value}.',
                     'Give me a JSON object with {key} set to {value}.',
                     'JSON with {key} = {value}', 'A JSON object: {key} is {value}.',
                     'Write JSON with the key {key} and the value {value}.']
TOWNS = "the village;the town;the city;the forest;the harbor;the castle;the valley;Oakfield;Riverton;Mapledale;Windhill;Stonebridge;Applewood;Foxham;Seaton;Lakeview".split(";")


def and_list(words):
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def json_fact(random):
    table, key = random.choice([(COLOR_OF, "color"), (COLOR_OF, "color"), (EATS, "food"),
                                (SOUNDS, "sound"), (LEGS, "legs"), (YOUNG, "young")])
    noun = random.choice(list(table))
    keys = ["name", key]
    if table is not COLOR_OF and noun in COLOR_OF and random.random() < 0.5:
        keys.append("color")
    values = {"name": noun, key: table[noun], "color": COLOR_OF.get(noun)}
    question = fill(random.choice(JSON_OBJECT_REQUESTS), random,
                    {"keys": and_list(keys), "x": with_article(noun)})
    return question, json.dumps({key: values[key] for key in keys})


def json_values(random):
    values = scene_values(random)
    values["hero"] = random.choice(story_world.ANIMALS)
    return values, {"name": values["name"], "age": values["n"],
                    "town": random.choice(TOWNS).removeprefix("the "), "color": values["color"],
                    "animal": values["hero"], "thing": values["thing"], "likes": values["likes"],
                    "day": values["day"], "price": values["n"], "number": values["n"],
                    "items": values["items"], "pet": values["pet"], "pet_name": values["fname"]}


def json_given(random):
    _, fields = json_values(random)
    fields["happy"] = random.choice([True, False])
    keys = random.choice([["name", "age"], ["name", "age"], ["name", "color"],
                          ["name", "age", "town"], ["animal", "color"], ["thing", "color"],
                          ["thing", "price"], ["name", "likes"], ["name", "age", "color"],
                          ["name", "pet"], ["pet", "age"], ["day", "name"], ["name", "happy"],
                          ["animal", "age", "happy"], ["name", "thing", "price"]])
    link = random.choice([" ", " ", ": ", "=", " is "])
    said = {key: str(value).lower() if value in (True, False) else value for key,
            value in fields.items()}
    row = ", ".join(f"{key}{link}{said[key]}" for key in keys)
    return random.choice(JSON_GIVEN).replace("{row}",
                                             row), json.dumps({key: fields[key] for key in keys})


def json_sentence(random):
    values, fields = json_values(random)
    town = random.choice(TOWNS)
    fields["town"] = values["town"] = town
    fields["town"] = town.removeprefix("the ")
    text, keys = random.choice(JSON_SENTENCES)
    keys = keys.split()
    if len(keys) > 2 and random.random() < 0.3:
        keys = random.sample(keys, 2)
    question = random.choice(JSON_SENTENCE_FORMS).replace("{s}", fill(text, random, values))
    question = question.replace("{keys}", and_list(keys)).replace("{row}", ", ".join(keys))
    return question, json.dumps({key: fields[key] for key in keys})


def json_array(random):
    things, words = random.choice(list(LISTS.items()))
    n = random.randint(2, 5)
    words = random.sample(words, n)
    if random.random() < 0.5:
        if random.random() < 0.3:
            words[-1] = story_world.invented_noun(random)
        return random.choice(JSON_ARRAY_GIVEN).replace("{row}", ", ".join(words)), json.dumps(words)
    question = fill(random.choice(JSON_ARRAY_REQUESTS), random,
                    {"n": random.choice([n, NUMBER_WORDS[n]]), "things": things})
    return question, json.dumps(words)


def json_key(random):
    _, fields = json_values(random)
    key = random.choice(["name", "color", "animal", "thing", "likes", "day", "town", "age", "pet"])
    form = random.choice(JSON_KEY_REQUESTS)
    value = fields[key]
    if '"{value}"' in form:
        value = str(value)
    return form.replace("{key}", key).replace("{value}", str(value)), json.dumps({key: value})


def json_question(random):
    return random.choice([json_fact, json_given, json_given, json_sentence, json_sentence,
                          json_sentence, json_array, json_key])(random)
