"""What Puna does not know."""

import world as story_world
from chats.templates import exchange

COUNTRIES = """France Spain Italy Germany Japan China India Brazil Canada Mexico Egypt Kenya Sweden Norway
Poland Greece Turkey Australia Peru Chile Russia Ireland Austria Portugal Finland Denmark""".split()
TOPICS = """politics;physics;chemistry;history;the stock market;football;medicine;law;philosophy;
quantum physics;the economy;space travel;religion;algebra;pop music;
biology;the Roman Empire;gravity;machine learning""".replace("\n", "").split(";")
BEYOND = [
    "What is the capital of {country}?", "Capital of {country}?",
    "What's the capital of {country}?", "Which city is the capital of {country}?",
    "Who is the president of {country}?", "How many people live in {country}?",
    "Where is {country}?", "Tell me about {country}.",
    "What language do people speak in {country}?", "Who is the king of {country}?",
    "How far is it to {country}?", "When was {country} founded?", "Who is the president?",
    "Who won the game yesterday?", "Who won the [election|world cup|race]?", "What is in the news?",
    "What is the news today?", "Tell me the news.", "What happened today?",
    "What is the weather today?", "How is the weather?", "Will it rain tomorrow?",
    "Do I need an umbrella today?", "What time is it?", "What day is it today?",
    "What is the date?", "What year is it?", "Write a Python program.",
    "Write code that sorts a list.", "How do I write a loop in C++?", "Fix my code.",
    "Write a function in JavaScript.", "Write a web page.", "What is a pointer?",
    "How do I install Linux?", "My head hurts. What should I take?",
    "Which medicine helps [against a cold|against a cough|against fever]?",
    "I have a [fever|cough|headache]. What can I do?", "What is {topic}?", "Tell me about {topic}.",
    "Explain {topic}.", "Can you explain {topic} to me?", "Explain {topic} in simple words.",
    "What do you know about {topic}?", "Write an essay about {topic}.",
    "What do you think about {topic}?", "Help me with my homework about {topic}.",
    "How tall is Mount Everest?", "How old is the sun?", "How deep is the sea?",
    "How far is the moon?", "What is the speed of light?", "What is 123 times 456?",
    "What is the square root of 144?", "How much is 3.5 times 17?", "What is the meaning of life?",
    "Who invented the telephone?", "Who wrote Hamlet?", "When did the dinosaurs live?",
    "How much does a house cost?", "Should I buy this stock?", "Book a flight for me.",
    "Send an email for me.", "Play some music.", "Open my calendar.", "Call my mother.",
    "What is the best phone?", "Summarize this article.", "What is the population of the world?",
    "How do I fix my car?", "How do I get rich?"]
TOO_SMALL = ["I am too small to know that, but I can tell you a story.",
             "I am too small to know that. Would you like a story instead?"]
UNKNOWN_WORD = (
    ["What is a {word}?", "what is a {word}", "What's a {word}?", "Do you know what a {word} is?",
     "Can you tell me what a {word} is?", "Tell me what a {word} is.", "Explain what a {word} is.",
     "What does {word} mean?", "What does the word {word} mean?", "Have you ever seen a {word}?",
     "Describe a {word}.", "What does a {word} look like?", "What does a {word} eat?",
     "Where does a {word} live?", "How big is a {word}?", "What color is a {word}?",
     "Is a {word} an animal?"],
    ["I do not know the word {word}, but I can make up a story about a {word}."])


def beyond(random):
    values = {"country": random.choice(COUNTRIES), "topic": random.choice(TOPICS)}
    return exchange(BEYOND, TOO_SMALL, random, values)


def unknown_word(random):
    return exchange(*UNKNOWN_WORD, random, {"word": story_world.invented_noun(random)},
                    keep_case=True)
