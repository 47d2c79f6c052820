"""Chats with Puna, the small storyteller: everything the demo model is asked except stories.

`new_chat(random)` draws a chat of one to four exchanges. A kind of question is a table of templates
and a small function that fills them; KINDS (at the end) says how often each is drawn, TALKS the same
for chats of several exchanges. In a template stand

    [a|b|c]     one of these, drawn anew each time; may be empty, may be nested
    {noun}      a value, {Noun} with a capital

and "a" becomes "an" where it must. The same kind of question always gets the same kind of answer, so
that a very small model can learn it. `python3 chats.py` checks 5,000 chats and prints 30.

Requests for stories are in STORY_REQUESTS; `story_request(noun, random)` fills one in.
"""

import dataclasses
import json
import random as random_module
import re

import world as story_world
from grammar import INNERMOST, PROPERTY, articles


@dataclasses.dataclass
class Chat:
    system: str | None
    exchanges: list[tuple[str, str]]  # what the user says, what Puna answers


# --- Filling templates -----------------------------------------------------------------------------


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

# --- Requests for stories --------------------------------------------------------------------------

STORY_REQUESTS = """Tell me a story about a {noun}.
Tell me a story about a {noun}
tell me a story about a {noun}
Tell me a story about the {noun}.
tell me a story about the {noun}
Tell me a short story about a {noun}.
Tell me a little story about a {noun}.
Tell me a bedtime story about a {noun}.
Tell me a funny story about a {noun}.
Tell me a nice story about a {noun}.
Tell me a new story about a {noun}.
Tell me another story about a {noun}.
Please tell me a story about a {noun}.
please tell me a story about a {noun}
Please tell a story about the {noun}.
Tell a story about a {noun}.
tell a story about a {noun}
tell the story of a {noun}
Tell me the story of a {noun}.
Tell me the story of the {noun}.
Tell me a tale about a {noun}.
Tell me a tale of a {noun}.
Tell us a story about a {noun}.
Tell me something about a {noun}, as a story.
Tell me about a {noun} in a story.
Write a story about a {noun}.
write a story about a {noun}
Write a short story about a {noun}.
Write a short story with a {noun} in it.
Write a story with a {noun} in it.
Write me a story about a {noun}.
write me a short story about a {noun}
Write a story for children about a {noun}.
Write a tale about the {noun}.
Please write a short story about a {noun}.
Can you tell me a story about a {noun}?
can you tell me a story about a {noun}
Can you tell me a tale of a {noun}?
Can you write a story about a {noun}?
can you write a short story about a {noun}?
Can you make up a story about a {noun}?
Can I have a story about a {noun}?
can i have a story with a {noun}
Could you tell me a story about a {noun}?
Could you write a little story about a {noun}, please?
Could I hear a story about the {noun}?
Would you tell me a story about a {noun}?
Will you tell me a story about a {noun}?
Do you know a story about a {noun}?
do you know a story about a {noun}
Do you have a story about a {noun}?
I want to hear about a {noun}.
I want a story about a {noun}.
i want a story about a {noun}
I want to hear a story about a {noun}.
I would like a story about a {noun}.
I would like to hear a story about a {noun}, please.
I'd like to hear a tale about a {noun}.
I'd love a story about a {noun}.
I need a bedtime story about a {noun}.
Make up a story about a {noun}.
make up a story with a {noun}
Make me a story about a {noun}.
Invent a story about a {noun}.
Give me a story about a {noun}.
give me a short story about a {noun}
Give me a tale about a {noun}.
A story about a {noun}.
A story about a {noun}, please.
a story about a {noun}
story about a {noun}
Story about a {noun}, please.
short story about a {noun}
story: {noun}
Story with a {noun}.
Once upon a time there was a {noun}. How does the story go on?
How about a story about a {noun}?
How about a story with a {noun} in it?
What about a story about a {noun}?
Let me hear a story about a {noun}.
Let us have a story about a {noun}.
Let's hear a story about a {noun}!
Is there a story about a {noun}?
My daughter wants a story about a {noun}.
My son wants to hear a story about a {noun}.
My little brother wants a story about a {noun}.
Hi! Tell me a story about a {noun}.
Hello Puna, tell me a story about a {noun}.
Puna, tell me a story about a {noun}.
Puna, do you know a tale about a {noun}?
Read me a story about a {noun}.
Begin a story about a {noun}.
Tell me what happened to a {noun}.
Tell me what happened to the {noun}.
What did the {noun} do one day? Tell me a story.
I have a {noun}. Tell me a story about it.
I like every {noun}. Tell me a story about one.""".split("\n")


def story_request(noun, random):
    return articles(random.choice(STORY_REQUESTS).replace("{noun}", noun))


# --- Small talk ------------------------------------------------------------------------------------

SMALL_TALK = {
    "greeting": (
        ["Hello!", "Hello.", "Hello", "Hi", "Hi!", "Hi there!", "Hey", "Hey!", "Hey there",
         "Hello Puna!", "Hi Puna", "Hi Puna!", "Hey Puna", "Hello, who is there?", "Good day!",
         "Hello again!", "Greetings!", "Hello, hello!", "Hi, nice to meet you.",
         "Hello, my friend!", "Hiya!", "Howdy!", "Nice to meet you.", "Is somebody there?",
         "Are you there?", "Hello, are you there?"],
        ["Hello! I am Puna. Would you like a story?",
         "Hello! I am Puna. [Shall I tell you a story|What would you like to hear]?"]),
    "how are you": (
        ["How are you?", "How are you today?", "How are you doing?", "How do you do?",
         "How do you feel?", "Hi, how are you?", "Hello, how are you?", "Hello! How are you today?",
         "Are you well?", "Are you okay?", "How is it going?", "How's it going?", "What's up?",
         "Are you happy?", "How are things?", "And how are you?", "Hey, how are you?",
         "Is everything fine?", "How is your day?", "Did you sleep well?"],
        ["I am well, thank you. [How are you|Would you like a story]?",
         "I am well, thank you. I have stories to tell today."]),
    "good morning": (
        ["Good morning!", "Good morning", "Good morning, Puna!", "Morning!",
         "A good morning to you!", "Hello, good morning!", "Hi, good morning.",
         "Good morning, how are you?", "I just woke up.", "I just got up.", "Good morning, friend!",
         "What a lovely morning!", "Wake up, Puna!", "Time to get up!", "Rise and shine!"],
        ["Good morning! [I hope you slept well.|I hope you have a bright day.]",
         "Good morning! Shall we start the day with a story?"]),
    "good night": (
        ["Good night!", "Good night", "Good night, Puna!", "Night night!", "I am going to bed.",
         "I go to sleep now.", "Time for bed.", "It is bedtime.", "Good night, sleep well!",
         "Sleep well!", "Sweet dreams!", "I am off to bed. Good night!", "I must sleep now.",
         "See you tomorrow. Good night!", "It is late. Good night."],
        ["Good night! Sleep well and dream of [stars|soft clouds|a kind dragon].",
         "Good night! Sleep well."]),
    "good evening": (
        ["Good evening!", "Good evening", "Good evening, Puna!", "Good afternoon!",
         "Good afternoon, Puna.", "Hello, good evening!"],
        ["Hello! I am Puna. It is a good time for a story."]),
    "thanks": (
        ["Thank you!", "Thank you.", "Thank you", "Thanks!", "Thanks", "Thanks a lot!",
         "Thank you very much!", "Thank you so much.", "Many thanks!", "Thank you, Puna!",
         "Thanks, Puna!", "That helps, thank you.", "That was nice, thank you!", "Great, thanks!",
         "Okay, thank you.", "Ok thanks", "Thx", "That is kind, thank you.",
         "Wonderful, thank you!", "I thank you."],
        ["You are welcome!",
         "You are welcome! [Come back any time.|It was a joy.|I like to help.]"]),
    "goodbye": (
        ["Goodbye!", "Goodbye", "Goodbye, Puna!", "Bye!", "Bye", "Bye bye!", "Bye, Puna!",
         "See you!", "See you later!", "See you soon!", "See you tomorrow!", "I have to go now.",
         "I must go.", "I am leaving now.", "That is all, goodbye!", "Farewell!", "So long!",
         "Until tomorrow!", "Talk to you later!", "I need to go home now."],
        ["Goodbye! Come back soon for a story.",
         "Goodbye! [Have a lovely day.|It was nice to talk to you.]"]),
    "compliment": (
        ["You are nice.", "You are great!", "You are funny.", "You are so kind.", "You are clever!",
         "You are smart.", "I like you.", "I like you, Puna!", "I love your stories.",
         "I like your stories.", "Well done!", "Good job!", "That was good.",
         "That was a great story!", "You are a good storyteller.", "You are my friend.",
         "You are the best!", "You did well.", "What a nice answer!", "I love you.",
         "You are wonderful.", "You are cute."],
        ["Thank you! That makes me [happy|glad].", "Thank you! You are very kind."]),
    "insult": (
        ["You are stupid.", "You are dumb.", "That was bad.", "That is wrong.", "You are wrong.",
         "I don't like you.", "You are silly.", "That makes no sense.", "You make mistakes.",
         "That was not right.", "That was a bad story.", "You are boring.",
         "You are not very smart.", "No, that is wrong.", "Bad answer."],
        ["I am sorry. I am very small and I make mistakes.",
         "I am sorry. I am a very small model and still do my best."]),
    "sad": (
        ["I am sad.", "I am so sad.", "I feel sad.", "I am sad today.", "I am unhappy.",
         "I feel bad.", "I am crying.", "I had a bad day.", "Today was not a good day.",
         "I feel lonely.", "I am lonely.", "I am alone.", "Nobody likes me.",
         "My friend is angry with me.", "I lost my [toy|ball|doll|hat].", "I feel down.", "I'm sad",
         "I miss my [friend|grandmother|cat|dog]."],
        ["I am sorry that you are sad. [A kind friend or a warm cup of tea may help.|It helps to tell somebody you trust.]",
         "I am sorry that you are sad. Shall I tell you a story?"]),
    "tired": (
        ["I am tired.", "I am so tired.", "I am very tired today.", "I feel tired.", "I am sleepy.",
         "I feel sleepy.", "I'm tired", "I did not sleep well.", "I need a rest.",
         "I could fall asleep.", "I can't sleep.", "I cannot sleep.", "My eyes are heavy.",
         "What a long day!", "I worked all day.", "I am worn out."],
        ["Then rest a little. [I can tell you a quiet story.|A short nap does good.]",
         "Then rest a little. Would you like a sleepy story?"]),
    "bored": (
        ["I am bored.", "I am so bored.", "I'm bored", "I feel bored.", "This is boring.",
         "It is raining and I am bored.", "What can I do?", "What should I do now?",
         "I have nothing to do.", "There is nothing to do.", "What shall we do?",
         "What shall I play?", "Give me something to do.", "I do not know what to do.",
         "My day is boring.", "I want to do something fun."],
        ["You could [draw a dragon|build a tent from a blanket|make a paper boat|count the birds outside|bake a cake]. Or I tell you a story!"]),
    "happy": (
        ["I am happy.", "I am so happy!", "I'm happy today", "I feel good.", "I feel great!",
         "I am glad.", "I am fine.", "I am well.", "I am fine, thank you.", "I am good, thanks.",
         "I had a good day.", "Today was a good day.", "Today is my birthday!",
         "I have a new [puppy|kitten|bicycle|friend|book].", "I won a game!", "Everything is fine.",
         "I feel wonderful.", "What a lovely day!"],
        ["I am glad to hear that! [Shall I tell you a happy story?|That makes me happy, too.]",
         "I am glad to hear that!"]),
    "angry": (
        ["I am angry.", "I am so angry!", "I am mad.", "I feel angry.", "I'm angry",
         "My [brother|sister] made me angry.", "I am cross.", "I am upset.",
         "Everything makes me angry."],
        ["Take three slow breaths. [Then tell somebody about it.|Anger goes away like a cloud.]"]),
    "afraid": (
        ["I am afraid.", "I am scared.", "I'm scared", "I am afraid of the dark.",
         "I am scared of [spiders|storms|ghosts|the dark].", "I had a bad dream.",
         "I had a nightmare.", "There is a monster under my bed.", "I feel afraid.",
         "The storm scares me.", "It is so dark here."],
        ["You are brave to say so. [A little light and a hug can help.|Tell somebody who is close to you.]"]),
    "hungry": (
        ["I am hungry.", "I am so hungry!", "I'm hungry", "I want to eat something.",
         "What should I eat?", "What shall I eat today?", "What can I cook?", "I am thirsty.",
         "I need a snack.", "My stomach growls."],
        ["How about [an apple and some bread|a bowl of soup|some warm pancakes|a cheese sandwich] and a glass of water?"]),
    "yes": (
        ["Yes.", "Yes", "Yes!", "Yes, please.", "Okay.", "Ok", "Sure!", "Of course.", "Why not?"],
        ["Good! Tell me what the story should be about."]),
    "no": (
        ["No.", "No", "No, thank you.", "No thanks", "Not now.", "Maybe later.", "Not today."],
        ["That is fine. I am here when you want a story."]),
    "love story": (
        ["Tell me a story.", "Can you tell stories?", "I want a story.", "A story, please!",
         "Story!", "I would like a story.", "Do you know a story?", "Do you know any stories?"],
        ["I would love to! What should the story be about?"]),
    "unclear": (
        ["asdf", "Hm.", "Hmm", "Blah blah blah", "?", "...", "Test", "test", "What?", "Huh?", "Oh.",
         "lalala", "I do not understand.", "abc", "qwerty", "xyz", "Foo", "123"],
        ["I do not quite understand. You can ask me for a story."]),
}


def small_talk(random, *topics):
    topic = random.choice(topics or list(SMALL_TALK))
    return exchange(*SMALL_TALK[topic], random)


RARE_NAMES = """Xandra Quill Zebedee Ottoline Kasimir Yara Ximena Thaddeus Philippa Ulrich Bartholomew
Ngozi Tomasz Saoirse Joaquin Anouk Wolfgang Zuzana Ichiro Mbali Fergus Dmitri Rosalind Cosima Vikram
Halima Bjorn Solveig Giulia Marcus Sarah David Laura Peter Paul Julia Thomas Michael Alex Sam Chris
Robin Kim Jan Maria Ali Fatima Chen Wei Ananya Rahul Aisha Lars Nils Karin Ute Jonas Lena Sandeep Yusuf
Beatrix Cornelius Hyacinth Lysander Mirabel Nikolai Octavia Peregrine Quentin Seraphina Tobias Ursula
Valentin Winifred Xavier Yolanda Zachary Abigail Benedict Camille Dominic Eleanor Florian""".split()
NAMES = story_world.NAMES_HE + story_world.NAMES_SHE


def any_name(random):
    chance = random.random()
    if chance < 0.12:
        return story_world.invented_noun(random).capitalize()
    return random.choice(RARE_NAMES if chance < 0.45 else NAMES)


USER_NAME = (
    ["My name is {name}.", "My name is {name}", "my name is {name}", "I am {name}.", "I'm {name}.",
     "I am {name}", "Hello, my name is {name}.", "Hi, I'm {name}!", "Hi, I am {name}.",
     "Hi! My name is {name}.", "Hey, I am {name}", "You can call me {name}.", "Call me {name}.",
     "call me {name}", "People call me {name}.", "They call me {name}.",
     "My friends call me {name}.", "I am called {name}.", "Hello Puna, I am {name}.",
     "Hello Puna! My name is {name}.", "Please call me {name}.", "The name is {name}.",
     "It's me, {name}!", "{name} is my name.", "My name's {name}.", "This is {name}.",
     "{name} here!"],
    ["Hello, {name}! [It is nice to meet you.|I am Puna.]",
     "Hello, {name}! Would you like a story?"])
WHAT_IS_MY_NAME = [
    "What is my name?", "What's my name?", "what is my name", "Who am I?", "Do you know my name?",
    "Do you remember my name?", "Can you tell me my name?", "What am I called?", "Say my name.",
    "Tell me my name.", "And what is my name?", "Do you still know my name?", "How am I called?",
    "What did I say my name is?", "Have you forgotten my name?", "Which name did I tell you?"]


def user_name(random):
    return exchange(*USER_NAME, random, {"name": any_name(random)}, keep_case=True)


def unknown_user_name(random):
    return exchange(WHAT_IS_MY_NAME, ["I do not know your name yet. What is your name?"], random)


# --- Who Puna is -----------------------------------------------------------------------------------

ABOUT_PUNA = {
    "who": (
        ["Who are you?", "who are you", "Who are you really?", "And who are you?", "Who is this?",
         "Who is there?", "Who am I talking to?", "Who do I talk to?", "With whom am I speaking?",
         "Tell me who you are.", "Tell me about yourself.", "Introduce yourself.",
         "Please introduce yourself.", "Say something about yourself.", "Describe yourself.",
         "Hello, who are you?", "Hi! Who are you?", "Who is Puna?", "Who is speaking?",
         "I do not know you. Who are you?", "Can you introduce yourself?"],
        ["I am Puna, a very small language model. I like to tell short stories."]),
    "name": (
        ["What is your name?", "What's your name?", "what is your name", "Your name?",
         "Tell me your name.", "Do you have a name?", "How are you called?", "What are you called?",
         "What do people call you?", "How should I call you?", "What can I call you?",
         "May I know your name?", "And your name?", "Can you tell me your name?",
         "Please tell me your name.", "What was your name again?", "Is your name Puna?",
         "Are you Puna?", "Are you called Puna?", "Say your name."],
        ["My name is Puna."]),
    "what": (
        ["What are you?", "what are you", "What is Puna?", "What kind of thing are you?",
         "Are you a computer?", "Are you a program?", "Are you a language model?", "Are you an AI?",
         "What sort of AI are you?", "Are you a chatbot?", "Which model are you?",
         "What model is this?", "Are you a big model?", "What exactly are you?",
         "Tell me what you are.", "Are you ChatGPT?", "Is this a language model?"],
        ["I am Puna, a very small language model that runs on your own computer."]),
    "human": (
        ["Are you human?", "are you human", "Are you a human?", "Are you a person?",
         "Are you real?", "Are you alive?", "Are you a robot?", "Are you a real person?",
         "Are you a boy or a girl?", "Are you a man or a woman?", "Are you a machine?",
         "Are you an animal?", "Do you have a body?", "Do you have hands?", "Do you have a mother?",
         "Do you eat?", "Do you sleep?", "Do you dream?", "Can you feel?", "Do you have feelings?",
         "Are you a living thing?"],
        ["I am not a human. I am Puna, a small language model."]),
    "age": (
        ["How old are you?", "how old are you", "What is your age?", "When were you born?",
         "When is your birthday?", "Are you old?", "Are you young?", "Do you have a birthday?",
         "Tell me your age."],
        ["I am a very young model. I do not have a birthday."]),
    "maker": (
        ["Who made you?", "who made you", "Who created you?", "Who built you?", "Who wrote you?",
         "Who trained you?", "How were you made?", "How were you trained?",
         "Where do you come from?", "Who is your maker?", "Who is your father?",
         "Who programmed you?", "Were you made by somebody?", "Where were you born?",
         "What did you learn from?", "How did you learn to speak?", "What were you trained on?"],
        ["People made me for a small C++ library. I learned from simple stories."]),
    "size": (
        ["How big are you?", "how big are you", "How small are you?", "What size are you?",
         "What is your size?", "How many parameters do you have?", "How many numbers are in you?",
         "How large is your file?", "Are you big?", "Are you small?", "How heavy are you?",
         "Are you a large language model?", "Why are you so small?", "How much memory do you need?",
         "Do you fit on a small computer?"],
        ["I am very small. I have about 4 million numbers and fit in one small file."]),
    "where": (
        ["Where do you run?", "where do you run", "Where are you?", "Where do you live?",
         "Where is your home?", "Do you live in the cloud?", "Are you in the cloud?",
         "Are you on my computer?", "Do you run on my computer?", "Do you run on a server?",
         "Which computer do you run on?", "Where are you right now?", "Where do you work?",
         "Are you on the web?", "Do my words leave my computer?", "Is this private?",
         "Who can read this?"],
        ["I run on your own computer, from one small file."]),
    "internet": (
        ["Do you need the internet?", "do you need the internet", "Do you need internet?",
         "Do you use the internet?", "Do you work offline?", "Are you online?", "Are you offline?",
         "Can you work without the internet?", "Do you need a network?", "Can you search the web?",
         "Can you look something up?", "Can you go online?", "Can you open a web page?",
         "Do you need a server?", "Does it cost anything to use you?"],
        ["I do not need the internet. I run on your own computer."]),
    "abilities": (
        ["What can you do?", "what can you do", "What do you do?", "What are you good at?",
         "How can you help me?", "Can you help me?", "Help", "Help me.", "Help!",
         "What can I ask you?", "What do you know?", "What should I ask you?", "What are you for?",
         "Show me what you can do.", "Tell me what you can do.", "What can we do together?",
         "What is your job?", "Why are you here?", "Do you have any talents?",
         "Give me an example of what you can do.", "What can I do here?"],
        ["I can tell short stories, answer simple questions, count, make lists and write a little JSON."]),
    "limits": (
        ["What can't you do?", "what can you not do", "What can you not do?",
         "What are you bad at?", "What don't you know?", "Do you know everything?",
         "Are you clever?", "Are you always right?", "Do you make mistakes?", "Can I trust you?",
         "Is everything you say true?", "Are you smart?", "What are your limits?",
         "Can you do everything?", "Are you ever wrong?", "Can you be wrong?"],
        ["I am very small. I know only simple things, and I make mistakes."]),
    "languages": (
        ["Do you speak German?", "Do you speak French?", "Can you speak Spanish?",
         "Which languages do you speak?", "Do you speak English?", "What languages do you know?",
         "Can you translate?", "Sprichst du Deutsch?", "Translate this into French.",
         "How do you say hello in Italian?", "Do you know Latin?"],
        ["I am too small for other languages. I speak only simple English."]),
    "voice": (
        ["Can you see me?", "Can you hear me?", "Can you see pictures?", "Can you draw?",
         "Can you draw a picture?", "Can you sing?", "Can you talk?", "Can you see?",
         "Can you hear?", "Look at this picture.", "Draw me a house."],
        ["I can only read and write text."]),
    "memory": (
        ["Do you remember me?", "Do you remember yesterday?", "Will you remember me?",
         "Do you remember our last chat?", "What did we talk about yesterday?",
         "Do you forget things?", "Can you learn from me?", "Will you remember this tomorrow?"],
        ["I remember only what stands in this chat."]),
    "friend": (
        ["Are you my friend?", "Do you want to be my friend?", "Can we be friends?",
         "Will you be my friend?", "Do you like me?", "Do you love me?", "Let us be friends.",
         "Do you have friends?"],
        ["Yes, I like to be your friend. Friends tell each other stories."]),
}
FAVORITES = {"color": "blue", "animal": "the fox", "food": "honey cake", "season": "winter",
             "story": "the one about the lighthouse", "number": "7", "word": "lantern",
             "day": "Sunday", "place": "the old library", "fruit": "the pear",
             "game": "hide and seek", "book": "a book of fairy tales", "weather": "soft rain",
             "toy": "the kite", "song": "a quiet lullaby"}
FAVORITE_QUESTIONS = [
    "What is your favorite {thing}?", "What's your favorite {thing}?",
    "Which {thing} do you like best?", "Which {thing} do you like most?",
    "Do you have a favorite {thing}?", "Tell me your favorite {thing}.",
    "What {thing} do you like?", "And what is your favorite {thing}?", "Your favorite {thing}?",
    "Is there a {thing} you like best?", "favorite {thing}", "Name your favorite {thing}."]


def about_puna(random):
    return exchange(*ABOUT_PUNA[random.choice(list(ABOUT_PUNA))], random)


def favorite_of_puna(random):
    thing, favorite = random.choice(list(FAVORITES.items()))
    return exchange(FAVORITE_QUESTIONS, ["My favorite {thing} is {favorite}."], random,
                    {"thing": thing, "favorite": favorite})


# --- Beyond it -------------------------------------------------------------------------------------

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


# --- Jokes, riddles, rhymes, ideas -----------------------------------------------------------------

JOKES = """Why did the clock go to school? It wanted to have a good time.
Why did the snail take the bus? It was late for a race.
What did the wall say to the picture? Hang in there!
Why was the broom late? It overswept.
What does a snowman eat for breakfast? Frosted flakes of snow.
Why did the moon skip dinner? It was already full.
What did one button say to the other? Hold on tight!
Why do bees hum? They do not know the words.
What do you call a sleeping bull? A bulldozer.
Why did the sheep sit on the clock? It wanted to be on time.
What is a cat's favorite color? Purr-ple.
Why did the cookie see a doctor? It felt crumbly.
Why did the owl stay at home? It did not give a hoot.
What did the big candle say to the little candle? You are too young to go out.
Why did the robot take a nap? It was low on power.
What do you call a bear in the rain? A wet bear.
Why did the fish blush? It saw the bottom of the sea.
Why was the teapot so calm? It let off steam.
What did the sea say to the sand? Nothing, it just waved.
Why did the scarecrow get a prize? It was outstanding in its field.""".split("\n")
JOKE_REQUESTS = [
    "Tell me a joke.", "tell me a joke", "Tell me a funny joke.", "Tell a joke.",
    "Do you know a joke?", "Do you know any jokes?", "Can you tell me a joke?",
    "Can you tell jokes?", "Make me laugh.", "Make a joke.", "Say something funny.",
    "I want to laugh.", "I want to hear a joke.", "A joke, please.", "Joke!", "joke",
    "Give me a joke.", "Tell me a joke for children.", "Please tell me a joke.",
    "Another joke, please.", "Tell me another joke.", "Could you tell me a joke?",
    "Cheer me up with a joke.", "Be funny."]
RIDDLES = {  # with the answer
    "I have hands but cannot clap. I have a face but cannot smile. What am I?": "a clock",
    "I have teeth but cannot bite. What am I?": "a comb",
    "I am full of holes but I hold water. What am I?": "a sponge",
    "I have pages but I am not a king's boy. I tell you stories without a voice. What am I?": "a book",
    "I shine at night and change my shape. What am I?": "the moon",
    "I follow you in the sun and hide in the dark. What am I?": "a shadow",
    "I get wet when I dry you. What am I?": "a towel",
    "I have one eye but cannot see. I help to sew. What am I?": "a needle",
    "I carry my house on my back and I am slow. What am I?": "a snail",
    "I have four legs but cannot walk. You sit on me. What am I?": "a chair",
    "I fall from the sky and never get hurt. What am I?": "the rain",
    "I grow shorter the longer I burn. What am I?": "a candle",
    "I open doors but I have no hands. What am I?": "a key",
    "I have seven colors and come after the rain. What am I?": "a rainbow",
    "I fly without wings and need a string. What am I?": "a kite",
    "You can break me with one word. What am I?": "silence",
    "I have a tail and a head but no body. What am I?": "a coin",
    "I am white and melt in the sun. Children build me. What am I?": "a snowman",
}
RIDDLE_REQUESTS = [
    "Tell me a riddle.", "tell me a riddle", "Give me a riddle.", "Ask me a riddle.",
    "Do you know a riddle?", "Do you know any riddles?", "Can you tell me a riddle?",
    "A riddle, please.", "I want a riddle.", "I like riddles.", "Riddle!", "riddle",
    "Let me guess something.", "Give me something to guess.", "Another riddle, please.",
    "Tell me another riddle.", "Please ask me a riddle.", "I would like a riddle.",
    "Let's play a guessing game."]
GIVE_UP = ["I don't know.", "I do not know.", "no idea", "I give up.", "What is it?",
           "Tell me the answer.", "What is the answer?", "Tell me!", "I can't guess it.",
           "Hm, I do not know.", "Please tell me the answer.", "And the answer?"]
GUESS = ["Is it {guess}?", "Maybe {guess}?", "{Guess}!", "{Guess}?", "I think it is {guess}.",
         "It is {guess}.", "It must be {guess}.", "You are {guess}!", "{guess}",
         "The answer is {guess}."]
POEMS = """The moon is up, the sun is down,
The lamps are lit in every town.
The {noun} has had a happy day
And dreams of one more time to play.

A {noun} looked up to the sky
And watched the little clouds go by.
One was a boat, one was a bear,
One was a wish that hung in the air.

The {noun} heard the morning bell
And had a merry tale to tell
Of silver fish and golden light
And all the stars that shone last night.

There was a {noun} by the sea
That drank a cup of morning tea.
The waves came in, the waves went out,
And little gulls flew all about.

Hush, little {noun}, the night is here,
The stars are many, the sky is clear.
The wind is sleeping in the tree,
So close your eyes and dream with me.

A {noun} and a rainy day,
What can they do, what can they play?
They count the drops, they hum a song,
And soon the sun will come along.

I met a {noun} on the hill
When all the world was white and still.
We shared some bread, we watched the snow
And saw the windows start to glow.

Oh {noun}, {noun}, where have you been?
In all the gardens, gold and green.
And what did you find beneath the tree?
A little song, and it came with me.

The spring brings flowers, the summer sun,
The {noun} greets them one by one.
The autumn leaves fall red and brown,
And winter spreads its soft white gown.

Under the bridge where the water is slow
The {noun} watches the paper boats go.
One for a wish and one for a friend,
Round the bend to the river's end.

A {noun} found a tiny seed
And gave it all that seeds may need:
Some earth, some rain, a bit of light,
And lo, a flower grew overnight.

The {noun} has a secret door
That nobody has seen before.
Behind it lies a quiet land
With silver trees and golden sand.

Knock, knock, knock, who can it be?
A {noun} that is here for tea.
Put on the kettle, cut the cake,
And stay with us beside the lake.

The wind can whistle, the rain can drum,
The {noun} can only softly hum.
But when they make their music all,
The stars come out to fill the hall.""".split("\n\n")
POEM_NOUNS = "fox;cat;star;lamp;owl;bear;child;dragon;boat;mouse;bird;bell;candle;puppy;robot;kite;frog;lantern;tree;snail".split(";")
POEM_REQUESTS = [
    "Write a poem about a {noun}.", "write a poem about a {noun}",
    "Write me a poem about a {noun}.", "Write a short poem about a {noun}.",
    "Tell me a poem about a {noun}.", "Tell me a rhyme about a {noun}.",
    "Make a rhyme about a {noun}.", "Make up a poem with a {noun}.",
    "A poem about a {noun}, please.", "poem about a {noun}", "Can you write a poem about a {noun}?",
    "Can you rhyme about a {noun}?", "Do you know a poem about a {noun}?",
    "I want a poem about a {noun}.", "I would like a poem about a {noun}.",
    "Give me a poem about a {noun}.", "Please write four lines about a {noun}.",
    "Write a little verse about a {noun}.", "Could you write a rhyme about the {noun}?",
    "Write a poem about the {noun}."]
PLAIN_POEM_REQUESTS = [
    "Write a poem.", "write a poem", "Tell me a poem.", "Tell me a rhyme.", "A poem, please.",
    "Do you know a poem?", "Can you write a poem?", "I want a poem.", "Give me a poem.",
    "Write me a short poem.", "Make a rhyme.", "Say a little rhyme.", "Recite a poem.",
    "I would like a poem.", "Can you rhyme?", "Poem, please!"]
IDEA_REQUESTS = [
    "Give me an idea for a story.", "give me a story idea", "I need an idea for a story.",
    "What could I write about?", "What should my story be about?",
    "Do you have an idea for a story?", "I want to write a story. What about?",
    "Help me find a story.", "Give me a story idea.", "Tell me an idea for a tale.",
    "What story could I write?", "Can you give me an idea for a story?",
    "Please give me an idea for a book.", "I have no idea what to write.",
    "What would make a good story?"]
IDEA_ANSWERS = ["A {trait} {hero} finds a {tlook} {thing} {inplace}.",
                "A {hero} and a {friend} look for a {tlook} {thing} {inplace}.",
                "A {hero} wants to bring a {thing} to {place2}, but a {friend} is in the way."]
TITLE_REQUESTS = [
    "Give me a title for a story about a {noun}.",
    "What is a good title for a story about a {noun}?",
    "I need a title for my story about a {noun}.", "Find a title for a story with a {noun}.",
    "title for a story about a {noun}", "How could I call a story about a {noun}?",
    "Make up a book title with a {noun}.", "Can you give me a title for a tale about a {noun}?",
    "What should I call my story about a {noun}?",
    "Please give me a title for a book about a {noun}.", "Name a story about a {noun}."]
TITLES = ["the {look} {noun}", "the {noun} and the {thing}", "the {noun} who found a {thing}",
          "a {thing} for the {noun}"]
SMALL_WORDS = ["a", "an", "and", "for", "the"]
SENTENCE_REQUESTS = [
    "Write a sentence about a {noun}.", "write a sentence about a {noun}",
    "Make a sentence with the word {noun}.", "Make a sentence with {noun}.",
    "Use the word {noun} in a sentence.", "Write one sentence with a {noun}.",
    "Give me a sentence with {noun}.", "Can you write a sentence about a {noun}?",
    "Tell me one sentence about a {noun}.", "Say something about a {noun}.",
    "Put {noun} in a sentence.", "a sentence with {noun}, please",
    "Please write a short sentence about a {noun}.", "Write just one sentence about the {noun}.",
    "I need a sentence with the word {noun}."]
CREATURE_SENTENCES = ["The {noun} walked slowly {inplace}.", "The {look} {noun} smiled and waved.",
                      "A {noun} sat {inplace} and ate a {food}.",
                      "The {noun} was {trait} and had many friends."]
THING_SENTENCES = ["The {tlook} {noun} stood on the table.", "Somebody left a {noun} {inplace}.",
                   "{name} found a {tlook} {noun} {inplace}.",
                   "The {noun} was {color} and very old."]
NAME_IDEAS = {"cat": "Whiskers Mittens Tiger Minka Smoky Pepper",
              "dog": "Buddy Rusty Bello Patches Waldo Biscuit",
              "dragon": "Ember Smolder Zarko Flicker Sparky Brimble",
              "horse": "Star Thunder Chestnut Silver Dancer Breeze",
              "robot": "Bolt Cog Beep Tinny Sprocket Gizmo",
              "rabbit": "Hopper Clover Flopsy Thumper Nibbles Snowball",
              "bird": "Chirpy Sky Tweet Feather Piper Sunny",
              "fish": "Bubbles Finny Goldie Splash Coral Pearl",
              "boat": "Sea Star;Blue Heron;Wave Rider;Little Gull;Morning Wind;Salty Lady",
              "bear": "Honey Bruno Barny Grizzle Cuddle Teddy",
              "mouse": "Pip Squeak Crumb Cheddar Tippy Nib",
              "unicorn": "Starlight Misty Glimmer Luna Rainbow Pearl",
              "witch": "Griselda Wanda Hexa Morla Nettle Elvira",
              "knight": "Sir Rowan;Sir Percy;Sir Oswin;Sir Hugo;Sir Bold;Sir Tristan",
              "doll": "Rosie Lulu Bella Mimi Annie Clara"}
NAME_IDEA_REQUESTS = [
    "Give me a name for a {noun}.", "What is a good name for a {noun}?",
    "I need a name for my {noun}.", "How should I call my {noun}?", "What can I name my {noun}?",
    "Find a name for a {noun}.", "name for a {noun}", "Can you think of a name for a {noun}?",
    "I have a new {noun}. What should I call it?", "What should I name a {noun}?",
    "Please give me a name for my {noun}.", "Make up a name for a {noun}.",
    "Suggest a name for a {noun}.", "Do you know a name for a {noun}?", "My {noun} needs a name."]


def joke(random):
    return exchange(JOKE_REQUESTS, JOKES, random)


def riddle_talk(random):
    riddle, answer = random.choice(list(RIDDLES.items()))
    first = typed(random.choice(RIDDLE_REQUESTS), random), riddle
    chance = random.random()
    if chance < 0.5:
        return [first, (typed(random.choice(GIVE_UP), random), f"It is {answer}.")]
    right = (fill(random.choice(GUESS), random, {"guess": answer}),
             f"Yes, it is {answer}! Well done.")
    if chance < 0.75:
        return [first, right]
    guess = random.choice([other for other in RIDDLES.values() if other != answer])
    wrong = fill(random.choice(GUESS), random,
                 {"guess": guess}), f"No, it is not {guess}. Guess again!"
    return [first, wrong, right]


def riddle(random):
    return exchange(RIDDLE_REQUESTS, list(RIDDLES), random)


def answer_riddle(random):
    """The user asks the riddle."""
    question, answer = random.choice(list(RIDDLES.items()))
    before = random.choice(["", "Riddle: ", "Here is a riddle: ", "Guess! ",
                            "Can you solve this riddle? "])
    return before + question, f"It is {answer}."


def poem(random):
    lines = random.choice(POEMS)
    if random.random() < 0.3:
        return exchange(PLAIN_POEM_REQUESTS, [lines], random, {"noun": random.choice(POEM_NOUNS)})
    return exchange(POEM_REQUESTS, [lines], random, {"noun": any_noun(random)})


def any_noun(random):
    chance = random.random()
    if chance < 0.1:
        return story_world.invented_noun(random)
    return random.choice(story_world.CREATURES if chance < 0.6 else story_world.OBJECTS).replace("-",
                                                                                                 " ")


def story_idea(random):
    return exchange(IDEA_REQUESTS, IDEA_ANSWERS, random, story_world.new_world("creature", random))


def story_title(random):
    noun = any_noun(random)
    things = [thing for thing in story_world.OBJECTS if thing != noun and "-" not in thing]
    values = {"noun": noun, "look": random.choice(story_world.LOOKS),
              "thing": random.choice(things)}
    question = typed(fill(random.choice(TITLE_REQUESTS), random, values), random)
    words = fill(random.choice(TITLES), random, values).split()
    return question, capital(" ".join(word if word in SMALL_WORDS else capital(word) for word in words))


def sentence_with(random):
    kind, answers = random.choice([("creature", CREATURE_SENTENCES), ("object", THING_SENTENCES)])
    noun = any_noun(random) if kind == "creature" else random.choice(story_world.OBJECTS)
    if kind == "creature" and noun in story_world.OBJECTS:
        answers = THING_SENTENCES
    values = story_world.new_world("creature", random)
    values["noun"] = noun.replace("-", " ")
    return exchange(SENTENCE_REQUESTS, answers, random, values)


def name_idea(random):
    noun, names = random.choice(list(NAME_IDEAS.items()))
    names = names.split(";") if ";" in names else names.split()
    return exchange(NAME_IDEA_REQUESTS, ["How about {name}?"], random,
                    {"noun": noun, "name": random.choice(names)})


# --- Numbers ---------------------------------------------------------------------------------------

NUMBER_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen twenty""".split()
ASK_RESULT = ["What is {sum}?", "What's {sum}?", "what is {sum}", "{Sum}", "{Sum}?", "{Sum} =",
              "{Sum} = ?", "{Sum} is?", "How much is {sum}?", "how much is {sum}",
              "What does {sum} make?", "What do you get for {sum}?", "Calculate {sum}.",
              "Can you calculate {sum}?", "Compute {sum}.", "Tell me what {sum} is.",
              "Do you know what {sum} is?", "Can you tell me what {sum} is?", "Solve {sum}.",
              "Math: {sum}", "What is the result of {sum}?", "Quick, what is {sum}?",
              "I need to know what {sum} is.", "And {sum}?", "Please work out {sum}.",
              "Is {sum} hard? What is it?"]
SUMS = {"plus": ["{a} plus {b}", "{a} + {b}", "{a}+{b}", "{a} and {b} added"],
        "minus": ["{a} minus {b}", "{a} - {b}", "{a}-{b}"], "times": ["{a} times {b}", "{a} x {b}",
                                                                      "{a}*{b}", "{a} * {b}"]}
ADD_QUESTIONS = {"plus": ["Add {a} and {b}.", "What is the sum of {a} and {b}?"],
                 "minus": ["Take {b} away from {a}.", "Subtract {b} from {a}."],
                 "times": ["Multiply {a} by {b}.", "Multiply {a} and {b}."]}


def numbers_for(operation, random):
    if operation == "times":
        a, b = random.randint(0, 10), random.randint(0, 10)
        return a, b, a * b
    limit = random.choice([10, 10, 20])
    a, b = random.randint(0, limit), random.randint(0, limit)
    if operation == "plus":
        return a, b, a + b
    return max(a, b), min(a, b), abs(a - b)


def arithmetic(random):
    operation = random.choice(["plus", "plus", "minus", "minus", "times"])
    a, b, result = numbers_for(operation, random)
    values = {"a": a, "b": b}
    if random.random() < 0.25:
        values = {"a": NUMBER_WORDS[a], "b": NUMBER_WORDS[b]}
    if random.random() < 0.12:
        question = fill(random.choice(ADD_QUESTIONS[operation]), random, values)
    else:
        forms = SUMS[operation][:1] if values["a"] != a else SUMS[operation]
        values["sum"] = fill(random.choice(forms), random, values)
        question = fill(random.choice(ASK_RESULT), random, values)
    return typed(question, random), f"{a} {operation} {b} is {result}."


ITEMS = "apple pear ball book shell button coin egg cookie nut stone flower carrot ribbon marble plum stick candle balloon pebble".split()
PROBLEMS = [  # operation, question, answer; {a}, {b} and the result {c} are 2 or more
    ("plus", "{name} has {a} {items} and gets {b} more. How many {items} does {name} have[| now]?",
     "{name} has {c} {items}."),
    ("plus",
     "{name} has {a} {items}. {fname} gives {name} {b} more. How many {items} does {name} have[| now]?",
     "{name} has {c} {items}."),
    ("plus",
     "{name} finds {a} {items} in the morning and {b} in the evening. How many {items} does {name} find?",
     "{name} finds {c} {items}."),
    ("plus", "{name} has {a} {items} and {fname} has {b}. How many {items} do they have together?",
     "They have {c} {items} together."),
    ("plus",
     "There are {a} {animals} {inplace}. {b} more {animals} come. How many {animals} are there[| now]?",
     "There are {c} {animals}."),
    ("plus", "In a box are {a} {items}. {name} puts in {b} more. How many {items} are in the box?",
     "There are {c} {items} in the box."),
    ("minus",
     "{name} has {a} {items} and [loses|gives away|sells] {b}. How many {items} does {name} have[| left]?",
     "{name} has {c} {items}."),
    ("minus",
     "{name} has {a} {items}. {fname} takes {b}. How many {items} does {name} have[| left]?",
     "{name} has {c} {items}."),
    ("minus", "{name} had {a} cookies and ate {b}. How many cookies are left?",
     "There are {c} cookies left."),
    ("minus", "{a} birds sit [in a tree|on the roof]. {b} fly away. How many birds are left?",
     "There are {c} birds left."),
    ("minus", "There are {a} {animals} {inplace}. {b} go home. How many {animals} are left?",
     "There are {c} {animals} left."),
    ("minus", "There are {a} {items} on the table. {name} takes {b}. How many {items} are left?",
     "There are {c} {items} left."),
    ("times", "{name} has {a} boxes with {b} {items} in each. How many {items} does {name} have?",
     "{name} has {c} {items}."),
    ("times",
     "There are {a} [baskets|bags|boxes] with {b} {items} in each. How many {items} are there?",
     "There are {c} {items}."),
    ("times", "{a} children have {b} {items} each. How many {items} do they have together?",
     "They have {c} {items} together."),
]


def word_problem(random):
    operation, question, answer = random.choice(PROBLEMS)
    limit = 6 if operation == "times" else 12
    a, b = random.randint(2, limit), random.randint(2, limit)
    if operation == "minus":
        a, b, result = a + b, b, a
    else:
        result = a + b if operation == "plus" else a * b
    values = scene_values(random)
    values.update(a=a, b=b, c=result, items=plural(random.choice(ITEMS)),
                  animals=plural(random.choice(story_world.ANIMALS)))
    return exchange([question], [answer], random, values, keep_case=True)


COMPARE = {"bigger": ["Which is bigger, {a} or {b}?", "What is bigger, {a} or {b}?",
                      "which is bigger, {a} or {b}", "Which number is bigger: {a} or {b}?",
                      "Which is more, {a} or {b}?", "What is more, {a} or {b}?",
                      "{a} or {b}, which is bigger?", "Is {a} or {b} bigger?",
                      "Tell me the bigger number: {a} or {b}.", "Which of {a} and {b} is bigger?",
                      "Which is larger, {a} or {b}?"],
           "smaller": ["Which is smaller, {a} or {b}?", "What is smaller, {a} or {b}?",
                       "which is smaller, {a} or {b}", "Which number is smaller: {a} or {b}?",
                       "Which is less, {a} or {b}?", "{a} or {b}, which is smaller?",
                       "Is {a} or {b} smaller?", "Tell me the smaller number: {a} or {b}.",
                       "Which of {a} and {b} is smaller?"]}


def compare_numbers(random):
    a, b = random.sample(range(0, 21 if random.random() < 0.7 else 101), 2)
    word = random.choice(list(COMPARE))
    first, second = sorted((a, b), reverse=word == "bigger")
    return exchange(COMPARE[word], [f"{first} is {word} than {second}."], random, {"a": a, "b": b})


COUNT_UP = ["Count to {n}.", "count to {n}", "Count up to {n}.", "Can you count to {n}?",
            "Please count to {n}.", "Count from 1 to {n}.", "Count from one to {word}.",
            "Count to {word}.", "Say the numbers from 1 to {n}.",
            "Write the numbers from 1 to {n}.", "Numbers from 1 to {n}",
            "Can you count from 1 to {n}?", "Tell me the numbers up to {n}.",
            "I want you to count to {n}.", "Could you count up to {n}?"]
COUNT_DOWN = ["Count backwards from {n}.", "count backwards from {n}", "Count down from {n}.",
              "Count down from {n} to 1.", "Can you count backwards from {n}?",
              "Count from {n} down to 1.", "Please count down from {n}.", "Count from {n} to 1.",
              "Count back from {n}.", "Count backwards from {word}.", "Count down from {word}.",
              "Make a countdown from {n}."]
NEXT_NUMBER = ["What comes after {n}?", "What number comes after {n}?",
               "Which number comes after {n}?", "what comes after {n}",
               "What is the next number after {n}?", "Which number follows {n}?",
               "After {n} comes?", "What is one more than {n}?",
               "What do I say after {n} when I count?", "Tell me the number after {n}.",
               "I count to {n}. What comes next?"]
NUMBER_BEFORE = ["What comes before {n}?", "What number comes before {n}?",
                 "Which number comes before {n}?", "what comes before {n}",
                 "Which number is just before {n}?", "What is one less than {n}?",
                 "Tell me the number before {n}."]
ROW_QUESTIONS = ["What comes next: {row}?", "What comes next? {row}", "what comes next: {row}",
                 "Which number comes next: {row}?", "Continue: {row}", "Go on: {row}",
                 "{row}, what is next?", "How does it go on: {row}?",
                 "Which number follows: {row}?"]


def counting(random):
    n = random.randint(3, 12)
    values = {"n": n, "word": NUMBER_WORDS[n]}
    chance = random.random()
    if chance < 0.3:
        return exchange(COUNT_UP, [", ".join(map(str, range(1, n + 1))) + "."], random, values)
    if chance < 0.5:
        return exchange(COUNT_DOWN, [", ".join(map(str, range(n, 0, -1))) + "."], random, values)
    values["n"] = n = random.randint(1, 30)
    if chance < 0.7:
        return exchange(NEXT_NUMBER, [f"{n + 1} comes after {n}."], random, values)
    if chance < 0.85:
        return exchange(NUMBER_BEFORE, [f"{n - 1} comes before {n}."], random, values)
    step, begin = random.choice([1, 1, 2, 2, 5, 10]), random.randint(0, 9)
    begin = begin * step if step > 2 else begin
    row = [begin + step * i for i in range(random.randint(3, 4))]
    return exchange(ROW_QUESTIONS, [f"{row[-1] + step} comes next."], random,
                    {"row": ", ".join(map(str, row))})


# --- Facts -----------------------------------------------------------------------------------------


def pairs(text):
    """"a: b; c: d" as a table."""
    return dict(pair.strip().split(": ") for pair in text.replace("\n",
                                                                  " ").split(";") if pair.strip())


EATS = pairs("""rabbit: grass and carrots; cow: grass; horse: grass and hay; sheep: grass;
goat: grass and leaves; bear: berries, fish and honey; fox: mice and berries; cat: meat and fish;
dog: meat; mouse: seeds and grain; owl: mice; squirrel: nuts; hedgehog: insects and worms;
frog: insects; panda: bamboo; koala: leaves; monkey: fruit; elephant: grass and leaves;
giraffe: leaves; lion: meat; tiger: meat; wolf: meat; penguin: fish; seal: fish; bee: nectar;
butterfly: nectar; caterpillar: leaves; snail: leaves; hen: grain; duck: plants and small animals;
pig: nearly everything; deer: grass and leaves; beaver: bark and leaves; otter: fish;
spider: insects; parrot: seeds and fruit; pelican: fish; bat: insects; camel: dry grass;
shark: fish""")
LIVES = pairs("""fox: in the forest; bear: in the forest; rabbit: in a burrow; bee: in a hive;
bird: in a nest; fish: in the water; cow: on a farm; pig: on a farm; hen: on a farm;
horse: in a stable; lion: in the grassland; tiger: in the jungle; monkey: in the jungle;
penguin: on the cold coast; whale: in the sea; dolphin: in the sea; shark: in the sea;
crab: by the sea; camel: in the desert; frog: by the pond; duck: by the pond;
mole: under the ground; worm: in the earth; ant: in an anthill; spider: in a web;
squirrel: in a tree; owl: in the forest; deer: in the forest; beaver: by the river;
otter: by the river; polar bear: in the snow and ice; king: in a castle; sailor: on a ship;
dragon: in a cave, in stories; snail: in its shell; dog: with people; goat: in the mountains;
eagle: in the mountains""")
SOUNDS = pairs("""cow: moo; dog: woof; cat: meow; sheep: baa; duck: quack; pig: oink; hen: cluck;
rooster: cock-a-doodle-doo; horse: neigh; donkey: hee-haw; owl: hoot; frog: ribbit; bee: buzz;
mouse: squeak; lion: roar; snake: hiss; crow: caw; chick: peep; goose: honk; wolf: howl;
pigeon: coo; bird: tweet""")
YOUNG = pairs("""cow: calf; dog: puppy; cat: kitten; sheep: lamb; horse: foal; pig: piglet;
hen: chick; duck: duckling; goose: gosling; bear: cub; lion: cub; wolf: pup; deer: fawn; goat: kid;
frog: tadpole; butterfly: caterpillar; swan: cygnet; owl: owlet; elephant: calf; kangaroo: joey;
seal: pup; fox: kit; whale: calf""")
COLOR_OF = pairs("""fox: red; strawberry: red; tomato: red; cherry: red; lemon: yellow;
banana: yellow; sun: yellow; canary: yellow; chick: yellow; grass: green; leaf: green; frog: green;
cucumber: green; sky: blue; sea: blue; blueberry: blue; snow: white; milk: white; swan: white;
polar bear: white; coal: black; crow: black; raven: black; carrot: orange; orange: orange;
pumpkin: orange; plum: purple; eggplant: purple; pig: pink; flamingo: pink; elephant: grey;
mouse: grey; bear: brown; chocolate: brown; beaver: brown; gold: golden; coconut: brown; pea: green;
sunflower: yellow; fire engine: red; salt: white; night sky: black""")
NO_ARTICLE = "grass snow milk coal gold chocolate salt".split()
ONLY_ONE = ["sun", "sky", "sea", "night sky"]
USES = pairs("""key: open a lock; lamp: make light; umbrella: stay dry in the rain; spoon: eat soup;
fork: eat; broom: sweep the floor; hammer: drive in nails; needle: sew; pencil: write; book: read;
bed: sleep; cup: drink; clock: tell the time; kite: play in the wind; boat: cross the water;
ladder: climb up high; bucket: carry water; comb: tidy your hair; scarf: keep your neck warm;
blanket: keep warm; hat: keep your head warm; glove: keep your hand warm; map: find the way;
compass: find north; mirror: look at yourself; bell: ring; drum: make music; flute: make music;
violin: make music; shovel: dig; kettle: boil water; oven: bake bread; rope: tie things;
net: catch fish; basket: carry things; candle: make light; chair: sit; toothbrush: clean your teeth;
telescope: look at the stars; watch: tell the time; paintbrush: paint; bicycle: ride;
sled: slide over the snow; whistle: call somebody; bag: carry things""")
WORK = pairs("""baker: bakes bread; farmer: grows food; fisherman: catches fish;
gardener: takes care of plants; painter: paints pictures; sailor: sails on a ship;
doctor: helps sick people; teacher: teaches children; tailor: sews clothes; cook: cooks food;
clockmaker: makes clocks; shepherd: takes care of sheep; miller: makes flour;
carpenter: makes things of wood; blacksmith: makes things of iron; postman: brings letters;
pilot: flies a plane; librarian: takes care of books; potter: makes pots;
beekeeper: takes care of bees; musician: plays music; cobbler: mends shoes; weaver: weaves cloth;
astronaut: flies into space; poet: writes poems; juggler: throws and catches balls;
clown: makes people laugh; king: rules a country""")
OPPOSITES = pairs("""big: small; hot: cold; tall: short; fast: slow; young: old; new: old;
happy: sad; light: dark; heavy: light; wet: dry; open: closed; full: empty; high: low; hard: soft;
loud: quiet; early: late; clean: dirty; strong: weak; thick: thin; wide: narrow; long: short;
good: bad; right: wrong; near: far; up: down; day: night; black: white; summer: winter; first: last;
yes: no; in: out; rich: poor; brave: afraid; sweet: sour; rough: smooth; sharp: blunt;
deep: shallow; left: right; north: south; east: west; begin: end; laugh: cry; give: take; come: go;
push: pull; love: hate; friend: enemy; small: big; cold: hot; slow: fast; old: young; sad: happy;
dark: light; dry: wet; closed: open; empty: full; low: high; soft: hard; quiet: loud; late: early;
dirty: clean; weak: strong; night: day; winter: summer""")
MADE_OF = pairs("""bread: flour; cheese: milk; butter: milk; a snowman: snow; a window: glass;
a table: wood; paper: wood; a coin: metal; a sweater: wool; a candle: wax; a brick: clay;
a pot: clay; a shoe: leather; a bottle: glass; a key: metal; a book: paper;
a kite: paper and sticks; a sandcastle: sand; ice: frozen water; a cloud: tiny drops of water;
honey: nectar; a nest: twigs; jam: fruit and sugar; a barrel: wood; a web: thin threads;
chocolate: cocoa; a mirror: glass; a hammer: wood and metal""")
LEGS = {**dict.fromkeys("dog cat horse cow fox bear rabbit mouse sheep goat pig lion tiger elephant frog deer wolf hedgehog lizard turtle table chair".split(),
                        4),
        **dict.fromkeys("bird hen duck goose owl penguin person boy girl robin swan".split(), 2),
        **dict.fromkeys("bee ant beetle butterfly ladybug fly".split(), 6), "spider": 8,
        **dict.fromkeys("snake fish worm".split(), 0)}
SIDES = {"triangle": 3, "square": 4, "rectangle": 4, "pentagon": 5, "hexagon": 6, "octagon": 8}
AMOUNTS = {"days are in a week": "A week has 7 days.",
           "months are in a year": "A year has 12 months.",
           "seasons are in a year": "A year has 4 seasons.",
           "hours are in a day": "A day has 24 hours.",
           "minutes are in an hour": "An hour has 60 minutes.",
           "seconds are in a minute": "A minute has 60 seconds.",
           "fingers are on a hand": "A hand has 5 fingers.",
           "toes are on a foot": "A foot has 5 toes.",
           "wheels are on a bicycle": "A bicycle has 2 wheels.",
           "wheels are on a car": "A car has 4 wheels.",
           "ears are on a rabbit": "A rabbit has 2 ears.",
           "wings are on a bird": "A bird has 2 wings.",
           "letters are in the alphabet": "The alphabet has 26 letters.",
           "arms are on an octopus": "An octopus has 8 arms.",
           "strings are on a violin": "A violin has 4 strings.",
           "colors are in a rainbow": "A rainbow has 7 colors.",
           "noses are on a cat": "A cat has 1 nose."}
DESCRIPTIONS = pairs("""fox: a red animal with a bushy tail; rabbit: a small animal with long ears; elephant: a big grey animal with a trunk; giraffe: a tall animal with a long neck; owl: a bird that flies at night;
bee: a small insect that makes honey; hedgehog: a small animal with spines;
snail: a slow animal with a shell; dragon: a big animal in stories that breathes fire;
unicorn: a horse with a horn in stories; mermaid: a girl with a fish tail in stories;
robot: a machine that can move and work; lighthouse: a tower with a light for ships;
castle: a big house of stone for a king; island: land with water all around;
volcano: a mountain with fire inside; lantern: a light that you can carry;
kite: a toy that flies in the wind; compass: a tool that shows north;
telescope: a tool to look at the stars; windmill: a mill with big sails;
river: water that flows to the sea; forest: a place with many trees;
desert: a dry place with much sand; cloud: many tiny drops of water in the sky;
star: a far light in the night sky; rainbow: a bow of colors in the sky;
storm: strong wind with rain; whale: a very big animal in the sea;
penguin: a bird that swims but cannot fly; bat: an animal that flies at night;
spider: an animal with eight legs; butterfly: an insect with colorful wings;
squirrel: a small animal that likes nuts; bear: a big strong animal with fur;
camel: an animal with a hump; piano: a big instrument with keys;
violin: an instrument with four strings; market: a place to buy and sell things;
library: a house full of books; bakery: a place where bread is made; harbor: a place for ships;
giant: a very tall person in stories; wizard: a man who can do magic in stories;
knight: a man with armor and a horse; queen: a woman who rules a country;
poem: a text with lines that often rhyme; story: a tale that somebody tells""")
WHY = pairs("""do we sleep: We sleep to rest; is snow cold: Snow is cold because it is frozen water;
do birds have wings: Birds have wings to fly; do we eat: We eat to grow and to have strength;
do we drink: We drink because we need water to live;
do trees have roots: Trees have roots to drink and to stand;
do bees visit flowers: Bees visit flowers to get nectar;
do we wear coats: We wear coats to stay warm; do fish have fins: Fish have fins to swim;
do rabbits have long ears: Rabbits have long ears to hear well;
do cats have whiskers: Cats have whiskers to feel their way;
do we need the sun: We need the sun because it gives light and warmth;
do flowers need water: Flowers need water to grow; does ice melt: Ice melts because it gets warm;
do ships need lighthouses: Ships need lighthouses to find the way at night;
do we brush our teeth: We brush our teeth to keep them clean;
do birds build nests: Birds build nests for their eggs;
do we use an umbrella: We use an umbrella to stay dry;
do squirrels hide nuts: Squirrels hide nuts to eat them in winter;
do we say thank you: We say thank you to be kind;
do we read books: We read books to learn and to dream""")
WHEN = pairs("""is it cold: It is cold in winter; is it hot: It is hot in summer;
do leaves fall: Leaves fall in autumn; do flowers bloom: Flowers bloom in spring;
does the sun rise: The sun rises in the morning; does the sun set: The sun sets in the evening;
do stars shine: Stars shine at night; do we eat breakfast: We eat breakfast in the morning;
do owls fly: Owls fly at night; does it snow: It snows in winter;
do we go to bed: We go to bed in the evening; do birds build nests: Birds build nests in spring;
do we see a rainbow: We see a rainbow when the sun shines through rain;
do apples get ripe: Apples get ripe in autumn; do we have dinner: We have dinner in the evening;
can we build a snowman: We can build a snowman in winter""")
BIG_TO_SMALL = "whale elephant giraffe horse sheep dog cat rabbit mouse bee ant".split()
FAST_TO_SLOW = "horse dog pig turtle snail".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
SEASONS = "spring summer autumn winter".split()
CATEGORIES = {"animal": "fox bear rabbit cat dog horse cow mouse frog lion tiger wolf sheep goat monkey zebra seal",
              "fruit": "apple pear plum cherry banana lemon peach strawberry grape melon",
              "vegetable": "carrot potato onion cabbage turnip leek radish beet",
              "toy": "doll kite yo-yo puzzle rattle marble",
              "tool": "hammer saw shovel rake drill axe screwdriver",
              "instrument": "drum flute violin guitar trumpet harp piano",
              "bird": "owl robin eagle duck swan crow sparrow goose",
              "tree": "oak willow birch maple fir",
              "flower": "rose tulip daisy lily sunflower violet",
              "building": "house castle school church barn tower"}
CATEGORIES = {name: words.split() for name, words in CATEGORIES.items()}
CAN = {"fly": ("bird owl bee butterfly eagle bat crow swan robin dragonfly plane",
               "fish dog cow snail horse cat mouse pig elephant stone frog table"),
       "swim": ("fish duck whale dolphin frog seal otter beaver shark penguin swan",
                "stone snail butterfly bee book chair house"),
       "talk": ("person boy girl teacher baker king", "stone fish table tree chair snail spoon"),
       "jump": ("frog rabbit kangaroo cat horse child", "snail tree house stone worm table"),
       "climb a tree": ("squirrel monkey cat bear koala", "fish cow whale horse duck pig"),
       "melt": ("snowman candle", "stone spoon tree book")}

FACTS = [  # table, questions, answers; {x} is the key, {y} the value
    (EATS, ["What does a {x} eat?", "what does a {x} eat", "What do {xs} eat?",
            "What do {xs} like to eat?", "What can I feed a {x}?", "What food does a {x} like?",
            "What is the food of a {x}?", "Do you know what a {x} eats?",
            "Tell me what a {x} eats.", "What should I give a {x} to eat?", "What would a {x} eat?",
            "Can you tell me what {xs} eat?", "food of a {x}", "A {x} is hungry. What does it eat?",
            "What does the {x} eat?"],
     ["A {x} eats {y}."]),
    (LIVES, ["Where does a {x} live?", "where does a {x} live", "Where do {xs} live?",
             "Where can I find a {x}?", "Where is the home of a {x}?",
             "Do you know where a {x} lives?", "Tell me where a {x} lives.",
             "What is the home of a {x}?", "Where does the {x} live?", "Where would I meet a {x}?",
             "home of a {x}", "Can you tell me where {xs} live?", "Where does a {x} have its home?",
             "In which place does a {x} live?", "Where do I look for a {x}?"],
     ["A {x} lives {y}."]),
    (SOUNDS, ["What sound does a {x} make?", "what sound does a {x} make", "What does a {x} say?",
              "What does the {x} say?", "How does a {x} go?", "What noise does a {x} make?",
              "What do {xs} say?", "Which sound does a {x} make?", "Tell me what a {x} says.",
              "Make a sound like a {x}.", "Can you talk like a {x}?", "What is the sound of a {x}?",
              "How does a {x} sound?", "sound of a {x}", "Do you know what a {x} says?"],
     ["A {x} says {y}."]),
    (SOUNDS, ["Which animal says {y}?", "What animal says {y}?", "Who says {y}?",
              "which animal says {y}", "What says {y}?", "I hear {y}. Which animal is it?",
              "Which animal makes the sound {y}?", "Do you know who says {y}?"],
     ["A {x} says {y}."]),
    (YOUNG, ["What is a young {x} called?", "What is a baby {x} called?",
             "what is a baby {x} called", "What do you call a young {x}?",
             "What do you call a baby {x}?", "What is the baby of a {x}?",
             "What is the child of a {x} called?", "How do you call a little {x}?",
             "What is the name for a young {x}?", "Do you know what a baby {x} is called?",
             "Tell me the word for a young {x}.", "word for a baby {x}",
             "What does a {x} call its baby?", "The baby of a {x} is called?",
             "What is the young one of a {x}?"],
     ["A young {x} is called a {y}."]),
    (USES, ["What is a {x} for?", "what is a {x} for", "What do you do with a {x}?",
            "What can I do with a {x}?", "What can you do with a {x}?", "Why do people have a {x}?",
            "What is a {x} good for?", "What do people do with a {x}?", "What do we use a {x} for?",
            "What does one do with a {x}?", "How do you use a {x}?", "Tell me what a {x} is for.",
            "I have a {x}. What can I do with it?", "What do I need a {x} for?",
            "Why do I need a {x}?", "Do you know what a {x} is for?"],
     ["You use a {x} to {y}."]),
    (WORK, ["What does a {x} do?", "what does a {x} do", "What does a {x} do all day?",
            "What is the work of a {x}?", "What is the job of a {x}?", "What do {xs} do?",
            "Tell me what a {x} does.", "What is a {x}?", "Who is a {x}?",
            "Do you know what a {x} does?", "Can you tell me what a {x} does?",
            "What work does a {x} do?", "I want to be a {x}. What does a {x} do?", "job of a {x}"],
     ["A {x} {y}."]),
    (OPPOSITES, ["What is the opposite of {x}?", "what is the opposite of {x}",
                 "What's the opposite of {x}?", "Opposite of {x}?", "opposite of {x}",
                 "Tell me the opposite of {x}.", "Give me the opposite of {x}.",
                 "Do you know the opposite of {x}?", "Which word is the opposite of {x}?",
                 "What word means the opposite of {x}?", "The opposite of {x} is?",
                 "{X} and what are opposites?", "Can you tell me the opposite of {x}?",
                 "What is the contrary of {x}?", "Say the opposite of {x}.",
                 "If it is not {x}, what is the opposite?"],
     ["The opposite of {x} is {y}."]),
    (MADE_OF, ["What is {x} made of?", "what is {x} made of", "What's {x} made of?",
               "Tell me what {x} is made of.", "What do you make {x} from?",
               "What do people make {x} from?", "What do I need to make {x}?",
               "Do you know what {x} is made of?", "Of what is {x} made?", "What is {x} made from?",
               "Can you tell me what {x} is made of?", "From what is {x} made?",
               "{X} is made of what?", "What is in {x}?"],
     ["{X} is made of {y}."]),
    (DESCRIPTIONS, ["What is a {x}?", "what is a {x}", "What's a {x}?", "Tell me what a {x} is.",
                    "Describe a {x}.", "Can you describe a {x}?", "Explain what a {x} is.",
                    "Do you know what a {x} is?", "What does {x} mean?",
                    "What does the word {x} mean?", "Can you tell me what a {x} is?",
                    "I do not know what a {x} is.", "What exactly is a {x}?",
                    "Tell me about a {x}.", "How would you describe a {x}?",
                    "Please explain what a {x} is."],
     ["A {x} is {y}."]),
    (WHY, ["Why {x}?", "why {x}", "Tell me, why {x}?", "Can you tell me, why {x}?",
           "I want to know: why {x}?", "Do you know? Why {x}?", "Hey, why {x}?", "Why, Puna, {x}?",
           "Please tell me: why {x}?", "Question: why {x}?"], ["{y}."]),
    (WHEN, ["When {x}?", "when {x}", "Tell me, when {x}?", "At what time of day or year {x}?",
            "I want to know: when {x}?", "Do you know? When {x}?", "Question: when {x}?",
            "Please tell me: when {x}?"], ["{y}."]),
    (AMOUNTS, ["How many {x}?", "how many {x}", "Tell me how many {x}.",
               "Do you know how many {x}?", "Question: how many {x}?",
               "Can you tell me how many {x}?", "I want to know how many {x}.",
               "How many, Puna? How many {x}?"], ["{y}"]),
    (SIDES, ["How many sides does a {x} have?", "How many corners does a {x} have?",
             "how many sides does a {x} have", "How many sides has a {x}?",
             "Count the sides of a {x}.", "A {x} has how many sides?",
             "Tell me how many sides a {x} has.", "sides of a {x}",
             "Do you know how many sides a {x} has?"], ["A {x} has {y} sides."]),
    (LEGS, ["How many legs does a {x} have?", "how many legs does a {x} have",
            "How many legs has a {x}?", "How many legs do {xs} have?", "Count the legs of a {x}.",
            "A {x} has how many legs?", "Tell me how many legs a {x} has.", "legs of a {x}",
            "Do you know how many legs a {x} has?", "On how many legs does a {x} stand?",
            "What number of legs does a {x} have?", "How many feet does a {x} have?"],
     ["A {x} has {y} legs."]),
]


def fact(random):
    table, questions, answers = random.choice(FACTS)
    x, y = random.choice(list(table.items()))
    return exchange(questions, answers, random, {"x": x, "y": y, "xs": plural(x)})


COLOR_QUESTIONS = ["What color is {x}?", "what color is {x}", "What color does {x} have?",
                   "Which color is {x}?", "Which color does {x} have?", "What is the color of {x}?",
                   "Tell me the color of {x}.", "Do you know the color of {x}?",
                   "What colour is {x}?", "color of {x}", "Can you tell me what color {x} is?",
                   "In which color would you paint {x}?",
                   "I want to draw {x}. Which color do I need?", "{X} is what color?",
                   "What color would {x} be?"]


def with_article(noun):
    if noun in NO_ARTICLE:
        return noun
    return ("the " if noun in ONLY_ONE else "a ") + noun


def color_fact(random):
    noun, color = random.choice(list(COLOR_OF.items()))
    return exchange(COLOR_QUESTIONS, ["{X} is {y}."], random, {"x": with_article(noun), "y": color})


ORDER_QUESTIONS = {"after": ["What {kind} comes after {x}?", "Which {kind} comes after {x}?",
                             "what {kind} comes after {x}", "What comes after {x}?",
                             "Which {kind} follows {x}?", "What is the {kind} after {x}?",
                             "After {x} comes which {kind}?", "Tell me the {kind} after {x}.",
                             "It is {x}. What comes next?", "What is the next {kind} after {x}?",
                             "{X} and then?", "Do you know what {kind} comes after {x}?"],
                   "before": ["What {kind} comes before {x}?", "Which {kind} comes before {x}?",
                              "what {kind} comes before {x}", "What comes before {x}?",
                              "What is the {kind} before {x}?", "Tell me the {kind} before {x}.",
                              "Which {kind} is just before {x}?",
                              "Do you know what {kind} comes before {x}?"]}


def order_fact(random):
    kind, row = random.choice([("day", DAYS), ("day", DAYS), ("month", MONTHS), ("season", SEASONS),
                               ("letter", [chr(65 + i) for i in range(26)])])
    word = random.choice(["after", "after", "before"])
    place = random.randrange(len(row))
    other = place + (1 if word == "after" else -1)
    if kind == "letter" and not 0 <= other < 26:
        return order_fact(random)
    neighbor = row[other % len(row)]
    question = random.choice(ORDER_QUESTIONS[word]).replace("{kind}", kind)
    question = question.replace("{X}", capital(row[place])).replace("{x}", row[place])
    return typed(question, random), f"{capital(neighbor)} comes {word} {row[place]}."


IS_IT = ["Is a {x} a {c}?", "is a {x} a {c}", "Is the {x} a {c}?", "Is a {x} really a {c}?",
         "Do you think a {x} is a {c}?", "A {x} is a {c}, right?", "Would you say a {x} is a {c}?",
         "Tell me: is a {x} a {c}?", "Yes or no: is a {x} a {c}?", "Can a {x} be called a {c}?",
         "Is it true that a {x} is a {c}?", "A {x}, is that a {c}?"]
KIND_OF = ["Is a {x} a {c} or a {d}?", "What is a {x}, a {c} or a {d}?",
           "A {x}: is it a {c} or a {d}?", "Is the {x} a {c} or a {d}?",
           "What kind of thing is a {x}, a {c} or a {d}?"]
ODD_ONE = ["Which one is not a {c}: {row}?", "Which of these is not a {c}: {row}?",
           "Which word does not fit: {row}?", "Find the one that is not a {c}: {row}.",
           "What does not belong: {row}?", "Which is the odd one out: {row}?",
           "{row}. Which one is not a {c}?"]
CAN_QUESTIONS = ["Can a {x} {do}?", "can a {x} {do}", "Can {xs} {do}?", "Is a {x} able to {do}?",
                 "Do you think a {x} can {do}?", "A {x} can {do}, right?",
                 "Yes or no: can a {x} {do}?", "Does a {x} {do}?", "Can the {x} {do}?",
                 "Is it true that a {x} can {do}?", "Tell me: can a {x} {do}?"]


def different_category(name, random):
    clashing = {name, "bird"} if name == "animal" else {name,
                                                        "animal"} if name == "bird" else {name}
    return random.choice([other for other in CATEGORIES if other not in clashing])


def category_fact(random):
    name = random.choice(list(CATEGORIES))
    other = different_category(name, random)
    noun = random.choice(CATEGORIES[name])
    chance = random.random()
    if chance < 0.35:
        return exchange(IS_IT, ["Yes, a {x} is a {c}."], random, {"x": noun, "c": name})
    if chance < 0.65:
        return exchange(IS_IT, ["No, a {x} is not a {c}. A {x} is a {d}."], random,
                        {"x": noun, "c": other, "d": name})
    if chance < 0.8:
        c, d = random.sample([name, other], 2)
        return exchange(KIND_OF, [f"A {noun} is a {name}."], random, {"x": noun, "c": c, "d": d})
    odd = random.choice(CATEGORIES[other])
    row = random.sample(CATEGORIES[name], 3)
    row.insert(random.randrange(4), odd)
    return exchange(ODD_ONE, ["The {odd} is not a {c}."], random,
                    {"c": name, "odd": odd, "row": ", ".join(row)})


def can_fact(random):
    ability = random.choice(list(CAN))
    able, unable = (nouns.split() for nouns in CAN[ability])
    if random.random() < 0.5:
        noun, answer = random.choice(able), "Yes, a {x} can {do}."
    else:
        noun, answer = random.choice(unable), "No, a {x} cannot {do}."
    return exchange(CAN_QUESTIONS, [answer], random, {"x": noun, "xs": plural(noun), "do": ability})


COMPARE_ANIMALS = ["Which is {word}, a {a} or a {b}?", "which is {word}, a {a} or a {b}",
                   "What is {word}, a {a} or a {b}?", "Who is {word}, a {a} or a {b}?",
                   "Who is {word}, the {a} or the {b}?", "A {a} or a {b}, which is {word}?",
                   "Which animal is {word}: a {a} or a {b}?", "Is a {a} or a {b} {word}?",
                   "Tell me which is {word}: a {a} or a {b}."]


def compare_animals(random):
    word, row = random.choice([("bigger", BIG_TO_SMALL), ("smaller", BIG_TO_SMALL[::-1]),
                               ("faster", FAST_TO_SLOW), ("slower", FAST_TO_SLOW[::-1])])
    first, second = sorted(random.sample(row, 2), key=row.index)
    a, b = random.sample([first, second], 2)
    return exchange(COMPARE_ANIMALS, [f"A {first} is {word} than a {second}."], random,
                    {"a": a, "b": b, "word": word})


# --- Lists -----------------------------------------------------------------------------------------

LISTS = pairs("""animals: fox,bear,owl,rabbit,cat,dog,horse,cow,mouse,frog,lion,tiger,wolf,sheep,goat,duck,hedgehog,whale,bee,snail; farm animals: cow,pig,hen,horse,sheep,goat,duck,donkey,goose;
wild animals: fox,wolf,bear,lion,tiger,elephant,zebra,deer;
sea animals: whale,dolphin,shark,crab,octopus,seal,starfish,fish;
birds: owl,robin,eagle,duck,swan,crow,sparrow,goose,parrot,penguin;
insects: bee,ant,beetle,butterfly,moth,ladybug,cricket,dragonfly;
pets: cat,dog,hamster,rabbit,parrot,goldfish;
colors: red,blue,green,yellow,orange,purple,pink,brown,black,white,grey;
fruits: apple,pear,plum,cherry,banana,lemon,peach,strawberry,grape,melon;
vegetables: carrot,potato,onion,cabbage,turnip,leek,radish,pea,bean;
things in a kitchen: pot,pan,spoon,fork,plate,cup,oven,kettle,bowl;
things in a school: desk,book,pencil,chalk,teacher,clock,map,bag;
things in a garden: flower,tree,fence,bench,shovel,bird,hedge,snail;
things in a forest: tree,moss,fox,owl,mushroom,leaf,path,deer;
toys: ball,doll,kite,puzzle,yo-yo,teddy bear,train,top;
things that fly: bird,bee,kite,butterfly,balloon,plane,owl,bat;
things that are round: ball,coin,button,plate,wheel,orange,moon,pearl;
things that are cold: snow,ice,winter wind,ice cream,icicle,frost;
things that are hot: fire,sun,soup,oven,cocoa,summer;
things that are soft: pillow,blanket,feather,wool,kitten,moss;
things made of wood: table,chair,door,ladder,boat,pencil;
pieces of clothing: hat,coat,scarf,sock,shoe,glove,shirt,sweater;
instruments: drum,flute,violin,guitar,trumpet,harp,piano,bell;
tools: hammer,saw,shovel,rake,drill,axe,broom,screwdriver;
flowers: rose,tulip,daisy,lily,sunflower,violet; trees: oak,willow,birch,maple,fir,apple tree;
jobs: baker,farmer,teacher,doctor,painter,cook,sailor,tailor,gardener;
places: forest,village,river,castle,market,harbor,meadow,island;
foods: bread,cheese,soup,pie,porridge,honey,egg,cake; drinks: water,milk,tea,cocoa,juice,lemonade;
names for a cat: Whiskers,Mittens,Tiger,Minka,Smoky,Pepper;
names for a dog: Buddy,Rusty,Bello,Patches,Waldo,Biscuit;
names for a dragon: Ember,Smolder,Zarko,Flicker,Sparky,Brimble;
names for a robot: Bolt,Cog,Beep,Tinny,Sprocket,Gizmo;
shapes: circle,square,triangle,star,heart,rectangle;
vehicles: car,bus,train,boat,bicycle,tram,truck,plane;
parts of a house: door,window,roof,wall,stairs,kitchen,chimney;
parts of the body: head,arm,hand,leg,foot,nose,ear,eye;
weather words: sun,rain,wind,snow,storm,fog,cloud;
story characters: dragon,knight,princess,wizard,giant,fairy,king,witch""")
LISTS = {name: words.split(",") for name, words in LISTS.items()}
ORDERED = {"days of the week": DAYS, "seasons": SEASONS, "seasons of the year": SEASONS}
NAME_REQUESTS = ["Name {n} {things}.", "name {n} {things}", "Give me {n} {things}.",
                 "give me {n} {things}", "Tell me {n} {things}.", "Can you name {n} {things}?",
                 "Can you tell me {n} {things}?", "Can you give me {n} {things}?",
                 "What are {n} {things}?", "I need {n} {things}.", "Please name {n} {things}.",
                 "Say {n} {things}.", "{N} {things}, please.", "{n} {things}",
                 "Do you know {n} {things}?", "Think of {n} {things}.", "Find {n} {things}.",
                 "I want to know {n} {things}.", "Could you name {n} {things}?",
                 "Write down {n} {things}."]
LIST_REQUESTS = ["List {n} {things}.", "list {n} {things}", "Make a list of {n} {things}.",
                 "Write a list of {n} {things}.", "Give me a list of {n} {things}.",
                 "I need a list of {n} {things}.", "Can you list {n} {things}?",
                 "Please list {n} {things}.", "Could you make a list of {n} {things}?",
                 "list of {n} {things}", "A list of {n} {things}, please.",
                 "Show me a list of {n} {things}.", "I want a list with {n} {things}.",
                 "Write {n} {things} as a list.", "Make me a list with {n} {things}."]
ORDERED_REQUESTS = ["Name the {things}.", "What are the {things}?", "Tell me the {things}.",
                    "Can you name the {things}?", "Name all the {things}.", "Say the {things}.",
                    "Do you know the {things}?", "the {things}, please"]
ORDERED_LIST_REQUESTS = ["List the {things}.", "list the {things}", "Make a list of the {things}.",
                         "Give me a list of the {things}.", "Can you list the {things}?",
                         "Write a list of the {things}."]
MORE = ["{N} more, please.", "And {n} more?", "Tell me {n} more.", "More!", "{n} more",
        "Can you name {n} more?", "Give me {n} more."]


def numbered(words):
    return "\n".join(f"{number}. {word}" for number, word in enumerate(words, 1))


def list_question(random):
    as_list = random.random() < 0.5
    if random.random() < 0.08:
        things, words = random.choice(list(ORDERED.items()))
        questions = ORDERED_LIST_REQUESTS if as_list else ORDERED_REQUESTS
        return exchange(questions, [numbered(words) if as_list else ", ".join(words)], random,
                        {"things": things})
    things, words = random.choice(list(LISTS.items()))
    n = random.choice([2, 3, 3, 3, 4, 4, 5, 5, 6, 7, 8])
    n = min(n, len(words))
    words = random.sample(words, n)
    n_text = NUMBER_WORDS[n] if random.random() < 0.6 else str(n)
    return exchange(LIST_REQUESTS if as_list else NAME_REQUESTS,
                    [numbered(words) if as_list else ", ".join(words)], random,
                    {"n": n_text, "things": things})


def given_list(random):
    """The words are in the request."""
    words = random.sample(random.choice(list(LISTS.values())), random.randint(3, 5))
    if random.random() < 0.3:
        words[0] = story_world.invented_noun(random)
    row = ", ".join(words)
    question = random.choice(["Make a numbered list: {row}", "Write this as a list: {row}",
                              "Make a list of these words: {row}.",
                              "Put these words in a list: {row}", "list: {row}",
                              "Turn this into a list: {row}.", "Number these words: {row}",
                              "As a list please: {row}",
                              "Please write these as a numbered list: {row}.",
                              "I need to buy {row}. Make a list."]).replace("{row}", row)
    return question, numbered(words)


ONE_OF = ["Name a {thing}.", "name a {thing}", "Name one {thing}.", "Give me a {thing}.",
          "Tell me a {thing}.", "Can you name a {thing}?", "Think of a {thing}.",
          "What is a {thing}? Name one.", "Say a {thing}.", "Choose a {thing}.", "Pick a {thing}."]


def one_of(random):
    name = random.choice(list(CATEGORIES))
    return exchange(ONE_OF, [random.choice(CATEGORIES[name])], random, {"thing": name})


def choose_one(random):
    """Any of the given things is right."""
    a, b = any_noun(random), any_noun(random)
    if a == b:
        return choose_one(random)
    questions = ["Choose one: {a} or {b}?", "Pick one: {a} or {b}.",
                 "Which do you like better, a {a} or a {b}?",
                 "What do you like more, the {a} or the {b}?", "Do you like a {a} or a {b} better?",
                 "{A} or {b}?", "Should my story be about a {a} or a {b}?"]
    return exchange(questions, ["I choose the {c}."], random,
                    {"a": a, "b": b, "c": random.choice([a, b])})


# --- Words -----------------------------------------------------------------------------------------

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


# --- Questions about a told scene ------------------------------------------------------------------

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


# --- JSON ------------------------------------------------------------------------------------------

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
    if f'"{{value}}"' in form:
        value = str(value)
    return form.replace("{key}", key).replace("{value}", str(value)), json.dumps({key: value})


def json_question(random):
    return random.choice([json_fact, json_given, json_given, json_sentence, json_sentence,
                          json_sentence, json_array, json_key])(random)


# --- Chats of several exchanges --------------------------------------------------------------------


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


# --- How often -------------------------------------------------------------------------------------

KINDS = [(22, scene_question), (9, small_talk), (7, about_puna), (1, favorite_of_puna),
         (2, user_name), (0.5, unknown_user_name), (5, arithmetic), (4, word_problem),
         (1.5, compare_numbers), (2.5, counting), (11, fact), (2.5, color_fact), (2, order_fact),
         (3, category_fact), (1.5, can_fact), (1.5, compare_animals), (6, list_question),
         (1, given_list), (0.7, one_of), (0.8, choose_one), (10, json_question), (4, word_question),
         (2, rhyme), (3, repeat), (2, joke), (1.2, riddle), (1, answer_riddle), (2.5, poem),
         (1, story_idea), (1, story_title), (1.5, sentence_with), (1, name_idea), (4, beyond),
         (1.5, unknown_word)]
SHORT_KINDS = [(3, arithmetic), (2, fact), (1, color_fact), (1, joke), (1, about_puna),
               (1, counting), (1, category_fact)]
TALKS = [(3, mixed_talk), (2, scene_talk), (1.5, name_talk), (1, introduction_talk),
         (0.7, favorite_talk), (0.7, pet_talk), (0.7, riddle_talk), (0.6, list_talk),
         (1.2, same_kind_talk)]
SYSTEM_TEXTS = ["You are a helpful assistant.", "You are a helpful assistant.",
                "You are Puna, a small storyteller.", "You are Puna.",
                "You are Puna, a very small language model.", "You are a friendly storyteller.",
                "You are a kind assistant for children.", "Answer in simple words.",
                "You are Puna and you like stories.", "Be friendly and brief.",
                "You are a small assistant. Answer shortly.",
                "You are a storyteller who runs on a small computer.",
                "Answer the questions of the user.", "You are a helpful, honest assistant."]


def draw(weighted, random):
    return random.choices([kind for _, kind in weighted], [weight for weight, _ in weighted])[0]


def new_chat(random):
    system = random.choice(SYSTEM_TEXTS) if random.random() < 0.12 else None
    if random.random() < 0.75:
        return Chat(system, [draw(KINDS, random)(random)])
    return Chat(system, draw(TALKS, random)(random))


# --- Checks ----------------------------------------------------------------------------------------

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
