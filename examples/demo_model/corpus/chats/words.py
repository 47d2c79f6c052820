"""Spelling, letters, rhymes, repeating."""

import world as story_world
from chats.scenes import scene_values
from chats.templates import capital, exchange, fill, typed

ALL_WORDS = story_world.CREATURES + story_world.OBJECTS + story_world.LANDMARKS
WORDS = sorted({word for word in ALL_WORDS if "-" not in word and len(word) < 9})
SPELL = ["Spell {w}.", "spell {w}", "Spell the word {w}.", "How do you spell {w}?",
         "how do you spell {w}", "Can you spell {w}?", "Please spell {w}.",
         "Can you spell the word {w}?", "How is {w} spelled?", "Spell it: {w}",
         "Tell me how to spell {w}.", "How do I spell {w}?", "What are the letters of {w}?",
         "Write {w} letter by letter.", "Spell this word: {w}"]
UPPER = ["Write {w} in capitals.", "write {w} in capitals", "Say {w} in capitals.",
         "Write {w} in capital letters.", "Put {w} in capitals.", "{w} in capital letters, please",
         "Write the word {w} in big letters.", "Make {w} all capitals.",
         "Can you write {w} in capitals?", "Uppercase {w}.", "Write this in capitals: {w}",
         "Shout {w}!", "In capitals: {w}", "Please write {w} in upper case.",
         "How does {w} look in capitals?"]
LENGTH = ["How many letters does {w} have?", "how many letters does {w} have",
          "How many letters are in {w}?", "How many letters are in the word {w}?",
          "Count the letters of {w}.", "Count the letters in {w}.", "How long is the word {w}?",
          "Can you count the letters of {w}?", "How many letters has the word {w}?",
          "number of letters in {w}", "Tell me how many letters {w} has."]
FIRST = ["What is the first letter of {w}?", "what is the first letter of {w}",
         "Which letter does {w} start with?", "What letter does {w} begin with?",
         "With which letter does {w} begin?", "First letter of {w}?",
         "Tell me the first letter of {w}.", "{W} starts with which letter?",
         "What's the first letter in {w}?", "How does the word {w} begin?"]
LAST = ["What is the last letter of {w}?", "what is the last letter of {w}",
        "Which letter does {w} end with?", "What letter is at the end of {w}?",
        "Last letter of {w}?", "Tell me the last letter of {w}.", "With which letter does {w} end?"]
RHYMES = [group.split() for group in """cat hat mat bat rat;dog fog log frog;bear pear chair hair;mouse house;moon spoon tune soon;star jar car far;tree sea bee key free;night light kite bright;day play way hay;king ring sing wing;cake lake snake;boat coat goat;bell shell well;
fish dish wish;sun run fun bun;rain train chain;book hook cook look;ball wall tall small;
snow slow crow glow;blue shoe two glue;door floor more;bed red head bread;box fox socks;
sky fly pie tie;stone bone phone;sand hand land band;rose nose toes;mice ice rice;
town crown brown clown;queen green bean;tail whale snail pail;duck truck luck;pot hot dot;
clock rock sock;nest best rest;ship trip lip;cap map nap;hill mill pill;game name flame;
boy toy joy""".replace("\n", "").split(";")]
RHYME_QUESTIONS = ["What rhymes with {w}?", "what rhymes with {w}", "Which word rhymes with {w}?",
                   "Tell me a word that rhymes with {w}.", "Give me a rhyme for {w}.",
                   "Find a rhyme for {w}.", "A rhyme for {w}?", "rhyme with {w}",
                   "Do you know a word that rhymes with {w}?", "Can you rhyme {w}?",
                   "I need a rhyme for {w}.", "What word sounds like {w}?",
                   "Name a word that rhymes with {w}.", "Can you find a rhyme for {w}?",
                   "Say a word that rhymes with {w}."]
REPEAT = ["Repeat after me: {s}", "repeat after me: {s}", "Say: {s}", "Say this: {s}",
          "Repeat: {s}", "Please repeat: {s}", "Can you repeat this? {s}", "Please say: {s}",
          "Write: {s}", "Copy this: {s}", "Write this down: {s}", "Say after me: {s}",
          "Repeat this sentence: {s}", "Echo: {s}", "Could you say this? {s}",
          "Repeat what I say: {s}", "Just write this: {s}"]
SAYINGS = ["The {hero} likes the {thing}.", "{name} the {hero} has a {thing}.",
           "I see a {color} {thing} {inplace}.", "{name} and {fname} are friends.",
           "The {color} {thing} is {inplace}.", "A {look} {hero} lives {inplace}.",
           "I like a {food}.", "Good morning, {name}!", "{hero} {thing} {friend}", "{thing}",
           "{hero}", "{name}, {fname}", "the {tlook} {thing}", "{name} went to {place}.",
           "Hello, {hero}!", "We all like {name} the {hero}."]


def any_word(random):
    return story_world.invented_noun(random) if random.random() < 0.15 else random.choice(WORDS)


def word_question(random):
    word = any_word(random)
    questions, answer = random.choice([
        (SPELL, "-".join(word)), (SPELL, "-".join(word)), (UPPER, word.upper()),
        (LENGTH, f"The word {word} has {len(word)} letters."),
        (FIRST, f"The first letter of {word} is {word[0]}."),
        (LAST, f"The last letter of {word} is {word[-1]}.")])
    return typed(fill(random.choice(questions), random, {"w": word}), random), answer


def rhyme(random):
    word, other = random.sample(random.choice(RHYMES), 2)
    return exchange(RHYME_QUESTIONS, [f"{capital(other)} rhymes with {word}."], random, {"w": word})


def repeat(random):
    sentence = fill(random.choice(SAYINGS), random, scene_values(random))
    if random.random() < 0.15:
        sentence = " ".join(any_word(random) for _ in range(random.randint(2, 4)))
    if random.random() < 0.2:
        return f'{random.choice(["Say", "Repeat", "Write", "Please say", "say"])} "{sentence}".', sentence
    return random.choice(REPEAT).replace("{s}", sentence), sentence
