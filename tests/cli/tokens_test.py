"""puna tokenize and puna detokenize."""

import json
import unittest

from program import check_failure, document, output, puna, random_model, small_model

PLAIN = ("--no-bos", "--no-special")


def tokenize(text, *options):
    return document("tokenize", small_model(), *options, stdin=text)["tokens"]


def detokenize(text):
    return document("detokenize", small_model(), stdin=text)["text"]


class Tokens(unittest.TestCase):
    def test_beginning(self):
        self.assertEqual(tokenize(b"hello"), [1] + tokenize(b"hello", "--no-bos"))
        self.assertEqual(tokenize(b""), [1])
        self.assertEqual(tokenize(b"", "--no-bos"), [])

    def test_control_tokens(self):
        self.assertIn(2, tokenize(b"a</s>b"))
        self.assertNotIn(2, tokenize(b"a</s>b", "--no-special"))
        self.assertEqual(detokenize(b"[2]"), "</s>")

    def test_round_trip(self):
        for text in ("hello", " leading", "  two", "trailing ", "", "\n\t\r\n", "nul\0nul", "</s>",
                     "\u6f22\u5b57 \U0001f600 e\u0301", "x" * 10000):
            reply = output("tokenize", small_model(), *PLAIN, stdin=text.encode())
            self.assertEqual(detokenize(reply), text)

    def test_bytes_that_are_no_text(self):
        tokens = tokenize(b"a\xff\xe2\x82", *PLAIN)
        self.assertRegex(detokenize(json.dumps(tokens).encode()), "^a\ufffd+$")

    def test_ways_to_write_a_list(self):
        tokens = tokenize(b"hello there", *PLAIN)
        for text in (json.dumps(tokens), json.dumps({"tokens": tokens}), json.dumps(tokens, indent=2),
                     ", ".join(map(str, tokens)) + "\n"):
            self.assertEqual(detokenize(text.encode()), "hello there")
        self.assertEqual(detokenize(b"[]"), "")

    def test_wrong_lists(self):
        for text in (b"", b" \n", b"[1", b"hello", b"[1.5]", b'["1"]', b"[-1]", b"[4294967297]",
                     b"[1e3]", b"[[1]]", b"{}", b'{"tokens":3}', b'{"token":[1]}', b"null", b"\xff",
                     b"[" * 100000):
            with self.subTest(text[:20]):
                result = puna("detokenize", small_model(), stdin=text)
                check_failure(self, result, 1, "standard input")
        check_failure(self, puna("detokenize", small_model(), stdin=b"[512]"), 1, "512")

    def test_model_without_tokenizer(self):
        model = random_model("--n-layer", "1", "--n-embd", "64", "--no-tokenizer")
        check_failure(self, puna("tokenize", model, stdin=b"x"), 1, "tokenizer")
        check_failure(self, puna("detokenize", model, stdin=b"[1]"), 1, "tokenizer")


if __name__ == "__main__":
    unittest.main()
