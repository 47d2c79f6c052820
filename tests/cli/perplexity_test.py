"""puna perplexity, against figures worked out here from the rows of puna logits."""

import array
import json
import math
import os
import pty
import random
import re
import signal
import subprocess
import sys
import unittest

from program import (EMULATOR, FOLDER, big_model, check_failure, command, document, ending_model,
                     output, puna, small_model)

N_VOCAB = 512
BOS = 1
EXACT = ("--kernels", "scalar", "--kv-type-k", "f32", "--kv-type-v", "f32")
WORDS = "tell the story about a cat and dog that went far away </s> over hills".split()
TEXT = FOLDER / "text.txt"
TEXT.write_text(" ".join(random.Random(1).choices(WORDS, k=80)))


def tokens_of(path):
    with open(path, "rb") as text:
        return document("tokenize", small_model(), "--no-special", stdin=text.read())["tokens"]


def surprises(tokens, skip):
    """-log(p) of the tokens that more than `skip` others stand before."""
    data = output("logits", small_model(), "--tokens", ",".join(map(str, tokens)), "--out", "-",
                  *EXACT)
    numbers = array.array("f", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    result = []
    for i in range(skip + 1, len(tokens)):
        row = numbers[(i - 1) * N_VOCAB:i * N_VOCAB]
        largest = max(row)
        total = math.fsum(math.exp(logit - largest) for logit in row)
        result.append(math.log(total) + largest - row[tokens[i]])
    return result


def expected(tokens, n_ctx, skip):
    chunks = [[BOS] + tokens[i + 1:i + n_ctx]
              for i in range(0, len(tokens) // n_ctx * n_ctx, n_ctx)]
    values = [value for chunk in chunks for value in surprises(chunk, skip)]
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
    error = math.exp(mean) * math.sqrt(variance / (len(values) - 1))
    return len(chunks), len(values), mean, error


def perplexity(*options, text=TEXT, model=None, **more):
    return document("perplexity", model or small_model(), "-f", text, "--json", *EXACT, *options,
                    **more)


class Perplexity(unittest.TestCase):
    def check(self, got, tokens, n_ctx, skip):
        n_chunks, n_tokens, mean, error = expected(tokens, n_ctx, skip)
        self.assertEqual((got["n_ctx"], got["skip"], got["n_chunks"], got["n_tokens"]),
                         (n_ctx, skip, n_chunks, n_tokens))
        self.assertAlmostEqual(got["mean_nll"], mean, delta=1e-5)
        self.assertAlmostEqual(got["perplexity"], math.exp(mean), delta=1e-4 * math.exp(mean))
        self.assertAlmostEqual(got["error"], error, delta=1e-3 * error)

    def test_chunks(self):
        tokens = tokens_of(TEXT)
        self.assertGreater(len(tokens), 3 * 48)
        self.assertNotEqual(len(tokens) % 48, 0)
        self.check(perplexity("--ctx", "48"), tokens, 48, 24)
        self.check(perplexity("--ctx", "7", "--batch", "2"), tokens, 7, 3)
        self.check(perplexity("--ctx", "48", "--skip", "0", "--batch", "5"), tokens, 48, 0)
        self.check(perplexity("--ctx", "48", "--skip", "46"), tokens, 48, 46)

    def test_short_texts_are_one_chunk(self):
        tokens = tokens_of(TEXT)
        self.assertLess(len(tokens), 512)
        self.check(perplexity(), tokens, len(tokens), len(tokens) // 2)

        short = FOLDER / "short.txt"
        short.write_bytes(b"a")
        tokens = tokens_of(short)
        got = perplexity(text=short)
        self.assertEqual((got["n_ctx"], got["n_tokens"]),
                         (len(tokens), len(tokens) - 1 - got["skip"]))

    def test_no_end_token_is_scored(self):
        ending = perplexity("--ctx", "48", model=ending_model())
        plain = perplexity("--ctx", "48")
        self.assertEqual(ending["perplexity"], plain["perplexity"])

    def test_text(self):
        values = perplexity("--ctx", "48")
        text = TEXT.read_bytes()
        line = output("perplexity", small_model(), "-f", "-", "--ctx", "48", *EXACT, stdin=text)
        self.assertEqual(line.decode(), f"perplexity: {values['perplexity']:.4f} +/- "
                                        f"{values['error']:.4f} ({values['n_tokens']} tokens)\n")
        self.assertEqual(list(values), ["model", "perplexity", "error", "mean_nll", "n_tokens",
                                        "n_chunks", "n_ctx", "skip", "seconds"])

    def test_kernels_and_caches_change_rounding_at_most(self):
        exact = perplexity("--ctx", "48")
        default = document("perplexity", small_model(), "-f", TEXT, "--json", "--ctx", "48")
        self.assertAlmostEqual(default["mean_nll"], exact["mean_nll"], delta=0.02)

    def test_failures(self):
        run = lambda *options, stdin=b"": puna("perplexity", small_model(), "-f", "-", *options,
                                               stdin=stdin)
        check_failure(self, run(), 1, "standard input", "1 tokens")
        check_failure(self, run("--ctx", "16", "--skip", "15", stdin=b"a story " * 20), 1,
                      "--skip 15", "14")
        check_failure(self, run("--ctx", "1"), 2, "--ctx")
        check_failure(self, run("--skip", "-2"), 2, "--skip")
        check_failure(self, puna("perplexity", small_model()), 2, "--file")
        check_failure(self, puna("perplexity", small_model(), "-f", "no.txt"), 1, "no.txt")

    @unittest.skipIf(EMULATOR, "an interrupt would reach the emulator, not the program in it")
    def test_interrupt_shows_what_there_is(self):
        text = FOLDER / "long.txt"
        text.write_text("word " * 20000)
        ours, theirs = pty.openpty()
        process = subprocess.Popen([*command("puna"), "perplexity", big_model(), "-f", text,
                                    "--ctx", "32", "--kernels", "scalar", "--json"],
                                   stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        shown = b""
        try:
            while b"chunk 2/" not in shown:
                shown += os.read(ours, 4096)
            process.send_signal(signal.SIGINT)
            out = process.stdout.read()
            self.assertEqual(process.wait(timeout=60), 130)
            try:
                while data := os.read(ours, 4096):
                    shown += data
            except OSError:  # how Linux says that nobody writes any more
                pass
        finally:
            process.kill()
            process.communicate()
            os.close(ours)
        result = json.loads(out)
        figures = re.findall(rb"chunk (\d+)/(\d+): ([\d.]+)", shown)
        self.assertEqual(result["n_chunks"], int(figures[-1][0]))
        self.assertLess(result["n_chunks"], int(figures[-1][1]))
        self.assertEqual(result["n_tokens"], 15 * result["n_chunks"])
        self.assertAlmostEqual(result["perplexity"], float(figures[-1][2]), delta=1e-4)
        self.assertRegex(shown, rb"puna: interrupted after \d+ of \d+ chunks")


if __name__ == "__main__":
    unittest.main()
