"""Draws chats, checks what can be checked, and prints some."""

import json
import random as random_module
import re

from chats import new_chat
from chats.numbers import NUMBER_WORDS
from chats.story_requests import STORY_REQUESTS

RESULT = re.compile(r"^(\d+) (plus|minus|times) (\d+) is (\d+)\.$")
WRONG_ARTICLE = re.compile(r"\b[Aa] (?=[aeiou](?!ni|ne\b|nce|se|u|te)[a-z]{2})|\b[Aa]n (?![aeiouhAEIOUH])")


def check_exchange(user, answer):
    assert user and answer and (user + answer).isascii() and user == user.strip() and answer == answer.strip()
    if (match := RESULT.match(answer)) is not None:
        a, operation, b, result = match.groups()
        a, b, result = int(a), int(b), int(result)
        assert result == {"plus": a + b, "minus": a - b,
                          "times": a * b}[operation] and 0 <= result <= 100
        assert all(str(n) in user or NUMBER_WORDS[n] in user.lower() for n in (a, b))
    if answer[0] in "{[" or ("json" in user.lower() and "I can" not in answer):
        json.loads(answer)
    else:
        assert not re.search(r"[{}\[\]|]", user + answer), "a template that is not filled"
    if "letters" in answer and (match := re.match(r"The word (\w+) has (\d+) letters", answer)):
        assert len(match[1]) == int(match[2])
    assert not WRONG_ARTICLE.search(answer), "a or an"
    assert len(answer.split()) <= 50, "a long answer"


def check(number=5000, seed=1):
    """Raises an error where a chat is wrong; returns how many exchanges there were."""
    random = random_module.Random(seed)
    exchanges = 0
    for _ in range(number):
        chat = new_chat(random)
        assert 1 <= len(chat.exchanges) <= 4
        exchanges += len(chat.exchanges)
        for user, answer in chat.exchanges:
            try:
                check_exchange(user, answer)
            except (AssertionError, ValueError) as error:
                raise AssertionError(f"{error}: {user!r} -> {answer!r}") from None
    assert len(set(STORY_REQUESTS)) == len(STORY_REQUESTS) >= 60
    return exchanges


if __name__ == "__main__":
    print(check(), "exchanges in 5,000 chats are right")
    generator = random_module.Random()
    for _ in range(30):
        shown = new_chat(generator)
        print("-" * 20, shown.system or "")
        for said, answered in shown.exchanges:
            print(f"User: {said}\nPuna: {answered}")
