"""Jokes, riddles, poems, ideas for stories and names."""

import world as story_world
from chats.templates import capital, exchange, fill, typed

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
