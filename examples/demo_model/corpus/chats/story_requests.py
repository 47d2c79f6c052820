"""Ways to ask for a story."""

from grammar import articles

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
