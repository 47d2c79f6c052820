"""Arithmetic, word problems, comparing and counting."""

import world as story_world
from chats.scenes import ITEMS, scene_values
from chats.templates import exchange, fill, plural, typed

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
