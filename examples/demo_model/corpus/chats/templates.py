"""Filling templates, and how people type."""

from grammar import INNERMOST, PROPERTY, articles


def capital(text):
    return text[:1].upper() + text[1:]


def fill(template, random, values=None):
    while (match := INNERMOST.search(template)) is not None:
        choice = random.choice(match[1].split("|"))
        template = template[:match.start()] + choice + template[match.end():]

    def value(match):
        key = match[1]
        if key in values:
            return str(values[key])
        return capital(str(values[key[0].lower() + key[1:]]))

    return articles(PROPERTY.sub(value, template))


def typed(text, random, keep_case=False):
    """As people type: at times in lower case, without the full stop, with "please" or a name."""
    chance = random.random()
    if chance < 0.05 and text[-1] in ".?" and "lease" not in text:
        text = text[:-1] + ", please" + text[-1]
    elif chance < 0.08 and not keep_case:
        first = text if text.startswith(("I ", "I'")) else text[0].lower() + text[1:]
        text = random.choice(["Puna, ", "Hey Puna, ", "Hi Puna, "]) + first
    if random.random() < 0.2 and text[-1] in ".?":
        text = text[:-1].rstrip()
    chance = random.random()
    if chance < 0.14 and not keep_case:
        text = text.lower()
    elif chance < 0.2 and not text.startswith(("I ", "I'")) and not keep_case:
        text = text[0].lower() + text[1:]
    return text


def exchange(questions, answers, random, values=None, keep_case=False):
    question = fill(random.choice(questions), random, values)
    return typed(question, random, keep_case), fill(random.choice(answers), random, values)


def plural(noun):
    if noun in PLURALS:
        return PLURALS[noun]
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


PLURALS = {"mouse": "mice", "wolf": "wolves", "fish": "fish", "sheep": "sheep", "deer": "deer",
           "goose": "geese", "calf": "calves", "leaf": "leaves", "child": "children",
           "potato": "potatoes", "tomato": "tomatoes", "loaf": "loaves", "person": "people",
           "fisherman": "fishermen", "postman": "postmen"}
