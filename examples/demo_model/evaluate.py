#!/usr/bin/env python3
"""Has puna tell twenty stories with the model, and counts what a reader would notice.

    python3 evaluate.py build/release/bin/puna demo.gguf

Prints the stories as Markdown, for the model card, and ends with status 1 when one of them does not
end by itself within 400 tokens, does not name what its prompt names, repeats itself or another.
"""

import json
import re
import subprocess
import sys

PROMPTS = [("Once upon a time there was a", noun) for noun in
           "fox dragon lighthouse robot queen snail violin bridge pirate cloud".split()]
PROMPTS += [("Long ago there lived a", "baker"), ("There was once a", "kite"),
            ("This is the story of a", "clock"), ("In the forest there lived a", "bear"),
            ("The little", "tractor"), ("There once was a", "mermaid"),
            ("One day a", "squirrel"), ("My grandmother told me about a", "lantern"),
            ("Everybody knew the", "windmill"), ("A story about a", "penguin")]
MAX_TOKENS = 400
MAX_REPEATED = 0.05


def four_grams(text):
    words = re.findall(r"[\w']+", text.lower())
    return [tuple(words[i:i + 4]) for i in range(len(words) - 3)]


def repeated(grams):
    return 1 - len(set(grams)) / max(1, len(grams))


def tell(puna, model, prompt, seed):
    reply = subprocess.run([puna, "run", model, "-p", prompt, "--temperature", "0.8", "--seed",
                            str(seed), "-n", str(MAX_TOKENS), "--json"],
                           check=True, capture_output=True, stdin=subprocess.DEVNULL)
    reply = json.loads(reply.stdout)
    choice = reply["choices"][0]
    return choice["text"], choice["finish_reason"], reply["usage"]["completion_tokens"]


def faults(text, finish, noun):
    found = []
    if finish != "stop":
        found.append(f"does not end within {MAX_TOKENS} tokens")
    if not re.search(rf"\b{noun}\b", text, re.IGNORECASE):
        found.append(f"does not name the {noun} again")
    if repeated(four_grams(text)) >= MAX_REPEATED:
        found.append(f"repeats {repeated(four_grams(text)):.1%} of its 4-grams")
    return found


def main():
    puna, model = sys.argv[1:]
    all_grams, texts, n_faults = [], set(), 0
    for seed, (beginning, noun) in enumerate(PROMPTS, 1):
        prompt = f"{beginning} {noun}"
        text, finish, n_tokens = tell(puna, model, prompt, seed)
        print(f"**{prompt}**{text}\n\n<sub>seed {seed}, {n_tokens} tokens</sub>\n")
        for fault in faults(text, finish, noun):
            n_faults += 1
            print(f"seed {seed}: {fault}", file=sys.stderr)
        all_grams += four_grams(prompt + text)
        texts.add(text)
    if len(texts) < len(PROMPTS):
        n_faults += 1
        print("two stories are the same", file=sys.stderr)
    print(f"{n_faults} faults; of all 4-grams of the {len(texts)} stories together "
          f"{repeated(all_grams):.1%} are repeated", file=sys.stderr)
    return 1 if n_faults else 0


if __name__ == "__main__":
    sys.exit(main())
