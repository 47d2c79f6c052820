"""Writes what tests compare puna with: results of the framework and of SentencePiece themselves."""

import itertools
import json
import random

import data
import export
import reference

CLEAR_GAP = 0.02  # greedy choices closer than this are left out: an F16 cache may turn them over
N_CASES = 4  # of stories, and as many of answers
N_LOGITS = 24
N_HELD_OUT = 160

PROMPTS = ["Once upon a time there was a little dragon", "The lighthouse",
           "Long ago there was a robot", "There was once a kite", "Tom the baker",
           "In the forest there lived a fox", "This is the story of a lamp", "Once upon a time",
           "A story about a mountain.", "Lily was a", "Far away", "The old bridge",
           "There once was a queen", "One rainy day", "Everybody knew the",
           "My grandmother told me about a", "A violin", "The", "Have you heard"]
QUESTIONS = ["Who are you?", "What is 3 plus 4?", "Name three animals.", "Hello!",
             "What does a cow say?", "My name is Zorbo.", "List five colors.", "Tell me a joke.",
             "Anna the fox has a red hat. What color is the hat?",
             "Give me a JSON object with the name and color of a frog."]


def held_out_text(corpus):
    """Stories that no training has seen, as one text."""
    generator = random.Random("held out stories")
    return "\n\n".join(corpus.story(generator)[1] for _ in range(N_HELD_OUT)) + "\n"


def question_prompt(question):
    return f"<|user|>\n{question}</s>\n<|assistant|>\n"


def prompt_tokens(tokenizer, prompt):
    """As puna reads a prompt in which </s> is spelled out."""
    tokens = [data.BOS]
    for i, text in enumerate(prompt.split("</s>")):
        tokens += ([data.EOS] if i else []) + (tokenizer.encode(text) if text else [])
    return tokens


def greedy_cases(parameters, config, tokenizer):
    """The longest clear continuations: of stories, and of answers."""
    cases = []
    for prompts in (PROMPTS, list(map(question_prompt, QUESTIONS))):
        found = []
        for prompt in prompts:
            tokens = prompt_tokens(tokenizer, prompt)
            told = reference.greedy(parameters, tokens, config, 64, CLEAR_GAP)
            found.append({"prompt": prompt, "prompt_ids": tokens, "greedy_ids": told,
                          "ended": told[-1:] == [data.EOS],
                          "text": continuation(tokenizer, tokens, told)})
        found.sort(key=lambda case: (not case["ended"], -len(case["greedy_ids"])))
        cases += found[:N_CASES]
    return cases


def continuation(tokenizer, prompt, ids):
    """What the tokens add to the text of the prompt."""
    return tokenizer.decode(prompt + ids)[len(tokenizer.decode(prompt)):]


def strange_text(generator):
    """A text that no corpus has: spaces, scripts, symbols, markup, halves of words."""
    pieces = [" ", "  ", "\n", "\t", "   \n", "\r\n", "\u00a0", "\u3000", "\u2581", "</s>", "<s>",
              "<unk>", "<0x0A>", "<|user|>", "{\"a\": [1, 2.5e-3]}", "\u00e9\u00e8\u00fc\u00df",
              "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac", "\u65e5\u672c\u8a9e",
              "\u0627\u0644\u0639\u0631\u0628\u064a\u0629", "\U0001f600",
              "\U0001f469\u200d\U0001f680", "e\u0301", "\ufeff", "\u200b", "123456", "0.5", "don't",
              "e-mail", "x_y", "A" * 9, "once upon", "Story", "the", "ing", "!?", "...", "--", "\"",
              "'", "\\n", "/*", "#"]
    letters = [*range(32, 127), *range(161, 0x600), *range(0x4e00, 0x4f00)]
    return "".join(generator.choice(pieces) if generator.random() < 0.7
                   else chr(generator.choice(letters)) for _ in range(generator.randint(1, 24)))


def tokenizer_cases(corpus, tokenizer, n=500):
    generator = random.Random("tokenizer")
    texts = ["", " ", "\n", "a", " a", "a ", "\u2581"]
    some = data.documents(corpus, "tokenizer texts")
    texts += itertools.islice((text for texts_of in some for text in texts_of), 150)
    while len(texts) < n:
        texts.append(strange_text(generator))
    return [{"text": text, "ids": tokenizer.encode(text)} for text in texts]


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, indent=None, separators=(",", ":"))
                    .replace("},{", "},\n{") + "\n", encoding="utf-8")


def write(folder, corpus, tokenizer, config):
    """Into the folder, with the weights of the GGUF files above it. Returns the perplexities."""
    text = held_out_text(corpus)
    (folder / "held_out.txt").write_text(text, encoding="utf-8")
    text_tokens = [data.BOS] + tokenizer.encode(text)
    golden = {"vocab": config.n_vocab, "tokens": text_tokens[:N_LOGITS], "held_out": {}}
    for name in ("demo-f16", "demo"):
        parameters = export.parameters_of(folder.parent / f"{name}.gguf")
        if name == "demo-f16":
            golden["cases"] = greedy_cases(parameters, config, tokenizer)
        value, n_scored = reference.perplexity(parameters, text_tokens, config)
        golden["held_out"][name] = {"perplexity": value, "n_tokens": n_scored}
        rows = reference.logits(parameters, text_tokens[:N_LOGITS], config)
        (folder / f"{name}.logits.f32").write_bytes(rows.astype("<f4").tobytes())
    write_json(folder / "demo.json", golden)
    write_json(folder / "sentencepiece_ids.json", tokenizer_cases(corpus, tokenizer))
    return golden["held_out"]
