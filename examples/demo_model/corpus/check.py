#!/usr/bin/env python3
"""Tells some stories of plot files and counts what repeats: python3 check.py [FILE...]"""

import collections
import random
import re
import sys

from grammar import Grammar, polished
from world import new_world


def four_grams(text):
    words = re.findall(r"[\w']+", text.lower())
    return [tuple(words[i:i + 4]) for i in range(len(words) - 3)]


def repeated(grams):
    return 1 - len(set(grams)) / max(1, len(grams))


grammar = Grammar(sys.argv[1:] or None)
generator = random.Random()
for plot in grammar.plots:
    texts = []
    for _ in range(200):
        world = new_world(plot.subject, generator)
        text = polished(grammar.tell(plot, world, generator))
        assert "{" not in text and "[" not in text and "<" not in text, text
        assert "|" not in text and "]" not in text, text
        if len(re.findall(r"\b%s\b" % re.escape(world.subject), text, re.I)) < 1:
            print("does not name its subject:", world.subject, "/", text)
        texts.append(text)
    lengths = [len(text.split()) for text in texts]
    inside = sum(repeated(four_grams(text)) for text in texts) / len(texts)
    pairs = [repeated(four_grams(a) + four_grams(b)) for a, b in zip(texts[::2], texts[1::2])]
    alternatives = sum(len(section.alternatives) for section in plot.sections)
    print(f"=== {plot.title} ({plot.subject}): {alternatives} alternatives, {min(lengths)} to "
          f"{max(lengths)} words, 4-grams repeated inside {inside:.1%}, between two stories "
          f"{sum(pairs) / len(pairs):.1%}")
    print(texts[0], "\n")
counts = collections.Counter()
grams = []
for _ in range(20):
    plot = generator.choice(grammar.plots)
    world = new_world(plot.subject, generator)
    grams += four_grams(polished(grammar.tell(plot, world, generator)))
print(f"twenty stories, plots at random: {repeated(grams):.1%} of their 4-grams are repeated")
