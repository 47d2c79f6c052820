"""The documents that the model learns from: stories as they are, stories on request, and chats.

A document is a list of texts. Between two of them, and after the last, stands the end-of-text
token, as in the template of TinyLlama's chat models:

    <|user|>\\nWho are you?</s>\\n<|assistant|>\\nI am Puna.</s>
"""

import re

import chats
from chats.story_requests import story_request
from grammar import FOLDER, Grammar, articles, polished
from world import new_world

MAX_WORDS = 225  # of a story: less than 400 tokens

SUBJECTS = ["creature"] * 5 + ["object"] * 3 + ["landmark"] * 2
HEADINGS = ["A story about {a}.", "A story about {a}", "The story of the {noun}", "Story: {a}",
            "A short story about {a}:", "The {Noun}", "The {Look} {Noun}", "{A}",
            "The tale of the {noun}.", "Tell me a story about {a}.", "A bedtime story about {a}."]
OPEN_REQUESTS = ["Tell me a story.", "tell me a story", "Tell me a short story.",
                 "Tell me something.", "Please tell me a story.", "Can you tell me a story?",
                 "I want to hear a story.", "A story, please.", "Write a story.",
                 "write me a short story", "Another story!", "Do you know a story?",
                 "Tell me a bedtime story.", "Surprise me with a story.", "Make up a story for me.",
                 "story please", "I cannot sleep. Tell me a story."]


class Corpus:
    def __init__(self):
        self.plots = Grammar(sorted(FOLDER.glob("*.txt")))
        self.openings = Grammar([FOLDER.parent / "openings.txt"])
        self.by_subject = {
            subject: ([plot for plot in self.plots.plots if plot.subject == subject],
                      next(plot for plot in self.openings.plots if plot.subject == subject))
            for subject in set(SUBJECTS)}

    def story(self, random, world=None):
        """(world, text) of a story that is short enough and names its subject."""
        while True:
            subject = world.kind if world else random.choice(SUBJECTS)
            told = world or new_world(subject, random)
            plots, opening = self.by_subject[subject]
            text = self.openings.tell(opening, told, random)
            text += " " if random.random() < 0.7 else "\n\n"
            text = polished(text + self.plots.tell(random.choice(plots), told, random))
            if len(text.split()) <= MAX_WORDS and re.search(rf"\b{told.subject}\b", text, re.I):
                return told, text

    def document(self, random):
        """(kind, texts): one document of any kind."""
        draw = random.random()
        if draw < 0.26:
            return "story", [self.story(random)[1]]
        if draw < 0.33:
            world, text = self.story(random)
            return "story with heading", [heading(world, random) + "\n\n" + text]
        if draw < 0.46:
            return "story on request", chat_texts(system(random), [self.requested_story(random)])
        if draw < 0.50:
            before, after = chats.new_chat(random), chats.new_chat(random)
            exchanges = before.exchanges + [self.requested_story(random)] + after.exchanges
            return "story in a chat", chat_texts(before.system, exchanges)
        chat = chats.new_chat(random)
        return "chat", chat_texts(chat.system, chat.exchanges)

    def requested_story(self, random):
        """(user text, story)"""
        world, text = self.story(random)
        if random.random() < 0.1:
            return random.choice(OPEN_REQUESTS), text
        phrase = subject_phrase(world, random)
        friend = world["friend"]
        if world.kind == "creature" and random.random() < 0.2 and f" {friend} " in text:
            phrase += " and a " + friend
        return story_request(phrase, random), text


def system(random):
    return chats.new_chat(random).system


def subject_phrase(world, random):
    look = world["look"] if world.kind == "creature" else world["tlook"]
    return (look + " " if random.random() < 0.2 else "") + world.subject


def heading(world, random):
    noun = world.subject
    look = world["look"] if world.kind == "creature" else world["tlook"]
    text = random.choice(HEADINGS)
    a = articles(f"a {noun}")
    return text.format(a=a, A=a[0].upper() + a[1:], noun=noun, Noun=noun.title(), Look=look.title())


def chat_texts(system, exchanges):
    """The texts of a chat between its end-of-text tokens."""
    texts = [f"<|system|>\n{system}"] if system else []
    for user, assistant in exchanges:
        texts += [("\n" if texts else "") + f"<|user|>\n{user}", f"\n<|assistant|>\n{assistant}"]
    return texts
