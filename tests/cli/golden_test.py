"""A trained model, published vocabularies and reference logits, from the shared test material."""

import array
import json
import math
import sys
import unittest

from program import FOLDER, SHARED, document, output

VOCABULARY = SHARED / "vocab/ggml-vocab-llama-spm.gguf"
SEPARATOR = "\n__ggml_vocab_test__\n"


def kl_divergence(reference, row):
    log_sum = lambda values: math.log(sum(map(math.exp, values)))
    p, q = log_sum(reference), log_sum(row)
    return sum(math.exp(a - p) * ((a - p) - (b - q)) for a, b in zip(reference, row))


class Golden(unittest.TestCase):
    def test_stories(self):
        cases = json.loads((SHARED / "golden/stories260K.json").read_text("utf-8"))["cases"]
        f32 = ("--kv-type-k", "f32", "--kv-type-v", "f32")
        for options in ((), ("--kernels", "scalar"), ("--threads", "1"), ("--threads", "2"),
                        ("--batch", "1"), ("--batch", "3"), f32):
            for case in cases:
                with self.subTest(prompt=case["prompt"], options=options):
                    text = output("run", SHARED / "models/stories260K.gguf", "-p", case["prompt"],
                                  "-n", len(case["greedy_ids"]), "--temperature", "0", *options)
                    self.assertEqual(text.decode(), case["text"])

    def test_token_ids_and_back(self):
        texts = VOCABULARY.with_suffix(".gguf.inp").read_bytes().decode().split(SEPARATOR)
        lines = VOCABULARY.with_suffix(".gguf.out").read_text().split("\n")
        self.assertGreater(len(texts), 20)
        for text, line in zip(texts, lines):
            with self.subTest(text):
                reply = output("tokenize", VOCABULARY, "--no-bos", "--no-special",
                               stdin=text.encode())
                self.assertEqual(json.loads(reply)["tokens"], list(map(int, line.split())))
                self.assertEqual(document("detokenize", VOCABULARY, stdin=reply)["text"], text)

    def test_logits(self):
        golden = json.loads((SHARED / "golden/tiny.json").read_text())
        n_vocab = golden["vocab"]
        out = FOLDER / "tiny.f32"
        for name, bound in (("tiny-f16", 1e-6), ("tiny-q8_0", 1e-6)):
            output("logits", SHARED / f"models/{name}.gguf", "--tokens",
                   ",".join(map(str, golden["tokens"])), "--out", out, "--kernels", "scalar",
                   "--batch", "5", "--kv-type-k", "f32", "--kv-type-v", "f32")
            reference = (SHARED / f"golden/{name}.logits.f32").read_bytes()
            expected, actual = array.array("f", reference), array.array("f", out.read_bytes())
            self.assertEqual(len(actual), len(expected))
            rows = range(0, len(actual), n_vocab)
            mean = sum(kl_divergence(expected[i:i + n_vocab], actual[i:i + n_vocab])
                       for i in rows) / len(rows)
            self.assertLess(mean, bound, name)


if __name__ == "__main__":
    if not (SHARED / "golden").is_dir():
        print(f"left out: there is no test material in {SHARED}; see PUNA_SHARED_DIR")
        sys.exit(77)
    unittest.main()
