"""Chats with Puna, the small storyteller: everything the demo model is asked except stories.

`new_chat(random)` draws a chat of one to four exchanges. A kind of question is a table of templates
and a small function that fills them; KINDS (kinds.py) says how often each is drawn, TALKS (talks.py)
the same for chats of several exchanges. In a template stand

    [a|b|c]     one of these, drawn anew each time; may be empty, may be nested
    {noun}      a value, {Noun} with a capital

and "a" becomes "an" where it must. The same kind of question always gets the same kind of answer, so
that a very small model can learn it. `python3 -m chats.check` checks 5,000 chats and prints 30.
"""

import dataclasses

from chats.kinds import KINDS, draw
from chats.talks import TALKS

SYSTEM_TEXTS = ["You are a helpful assistant.", "You are a helpful assistant.",
                "You are Puna, a small storyteller.", "You are Puna.",
                "You are Puna, a very small language model.", "You are a friendly storyteller.",
                "You are a kind assistant for children.", "Answer in simple words.",
                "You are Puna and you like stories.", "Be friendly and brief.",
                "You are a small assistant. Answer shortly.",
                "You are a storyteller who runs on a small computer.",
                "Answer the questions of the user.", "You are a helpful, honest assistant."]


@dataclasses.dataclass
class Chat:
    system: str | None
    exchanges: list[tuple[str, str]]  # what the user says, what Puna answers


def new_chat(random):
    system = random.choice(SYSTEM_TEXTS) if random.random() < 0.12 else None
    if random.random() < 0.75:
        return Chat(system, [draw(KINDS, random)(random)])
    return Chat(system, draw(TALKS, random)(random))
