"""Greetings, feelings, thanks, and names."""

import world as story_world
from chats.templates import exchange

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
