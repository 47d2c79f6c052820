"""puna logits."""

import array
import os
import sys
import unittest

from program import FOLDER, WINDOWS, check_failure, document, output, puna, small_model

N_VOCAB = 512
TOKENS = [1] + [(i * 37) % 500 + 3 for i in range(40)]
OUT = FOLDER / "logits.f32"


# Logits have a deviation of 3. Attention in bf16, by AMX in larger batches, changes one by 0.1 at most.
BATCH_BOUND = 0.2


def rows_of(data):
    numbers = array.array("f", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return [numbers[i:i + N_VOCAB] for i in range(0, len(numbers), N_VOCAB)]


def logits(*options, tokens=TOKENS, stdin=b""):
    output("logits", small_model(), "--tokens", ",".join(map(str, tokens)), "--out", OUT, *options,
           stdin=stdin)
    return OUT.read_bytes()


class Logits(unittest.TestCase):
    def test_rows(self):
        rows = rows_of(logits())
        self.assertEqual([len(row) for row in rows], [N_VOCAB] * len(TOKENS))
        # A row depends on what stands before it alone, and on what kernels round in larger batches.
        for row, alone in zip(rows, rows_of(logits(tokens=TOKENS[:7]))):
            self.assertLess(max(abs(a - b) for a, b in zip(row, alone)), BATCH_BOUND)

    def test_last_row_predicts_what_run_says(self):
        tokens = document("tokenize", small_model(), stdin=b"a story")["tokens"]
        row = rows_of(logits(tokens=tokens))[-1]
        reply = document("run", small_model(), "-p", "a story", "-n", "1", "--temperature", "0",
                         "--json", "--logprobs", "1")
        best = max(range(N_VOCAB), key=row.__getitem__)
        self.assertEqual(reply["choices"][0]["logprobs"]["token_ids"], [best])

    def test_options_change_rounding_at_most(self):
        rows = rows_of(logits())
        # 8 bits of activations or of the cache cost 2 % of the deviation in this model.
        for bound, options in ((0.5, ("--batch", "1")), (0.5, ("--kernels", "scalar")),
                               (BATCH_BOUND, ("--batch", "7")), (BATCH_BOUND, ("--batch", "65536")),
                               (BATCH_BOUND, ("--threads", "1")), (BATCH_BOUND, ("--threads", "2")),
                               (BATCH_BOUND, ("--kv-type-k", "f32", "--kv-type-v", "f32")),
                               (0.5, ("--kv-type-k", "bf16", "--kv-type-v", "q8_0")),
                               (BATCH_BOUND, ("--gpu-layers", "0"))):
            for row, other in zip(rows, rows_of(logits(*options))):
                self.assertLess(max(abs(a - b) for a, b in zip(row, other)), bound, options)

    def test_deterministic_logits_are_the_same_bits(self):
        data = logits("--deterministic")
        for options in (("--batch", "1"), ("--batch", "7"), ("--batch", "32"), ("--threads", "1"),
                        ("--threads", "3", "--batch", "9")):
            self.assertEqual(logits("--deterministic", *options), data, options)

    def test_sources_and_targets(self):
        data = logits()
        text = ",".join(map(str, TOKENS))
        path = FOLDER / "t\u00f6kens.json"
        path.write_text(f'{{"tokens":[{text}]}}')
        out = FOLDER / "\u51fa\u529b.f32"
        output("logits", small_model(), "--tokens", f"@{path}", "--out", out)
        self.assertEqual(out.read_bytes(), data)
        self.assertEqual(output("logits", small_model(), "--tokens", "@-", "--out", "-",
                                stdin=text.encode()), data)

    @unittest.skipIf(WINDOWS, "links need rights there")
    def test_links_stay_and_what_they_lead_to_is_replaced_whole(self):
        data = logits()
        there, new = FOLDER / "there.f32", FOLDER / "new.f32"
        there.write_bytes(b"old")
        for target in (there, new):
            link = FOLDER / "link.f32"
            link.unlink(missing_ok=True)
            link.symlink_to(target.name)
            run = lambda tokens: puna("logits", small_model(), "--tokens", tokens, "--out", link)
            check_failure(self, run("1,512"), 1, "--tokens")
            self.assertEqual(target.read_bytes() if target.exists() else b"",
                             b"old" if target == there else b"")
            self.assertEqual(run(",".join(map(str, TOKENS))).returncode, 0)
            self.assertTrue(link.is_symlink())
            self.assertEqual(target.read_bytes(), data)

    def test_the_model_is_not_replaced(self):
        data = small_model().read_bytes()
        outs = [small_model(), FOLDER / "." / small_model().name]
        if not WINDOWS:
            link = FOLDER / "model-link"
            link.unlink(missing_ok=True)
            link.symlink_to(small_model())
            outs.append(link)
        for out in outs:
            check_failure(self, puna("logits", small_model(), "--tokens", "1", "--out", out), 2,
                          "--out", "is the model")
        self.assertEqual(small_model().read_bytes(), data)

    def test_longer_than_the_training_context(self):
        tokens = [1] + [5] * 599
        self.assertEqual(len(logits("--batch", "100", tokens=tokens)), 600 * N_VOCAB * 4)

    def test_failures_leave_the_old_file(self):
        small_model()
        OUT.write_bytes(b"old")
        folder = sorted(os.listdir(FOLDER))
        run = lambda tokens, out=OUT: puna("logits", small_model(), "--tokens", tokens, "--out", out)
        check_failure(self, run("1,512"), 1, "--tokens", "512")
        check_failure(self, run("[]"), 1, "--tokens")
        check_failure(self, run("@no/such/file"), 1, "no/such/file")
        check_failure(self, run("1", FOLDER / "no" / "such"), 1, "such")
        check_failure(self, run("1", FOLDER), 1, str(FOLDER))
        check_failure(self, puna("logits", "no.gguf", "--tokens", "1", "--out", OUT), 1, "no.gguf")
        if os.path.exists("/dev/full"):
            check_failure(self, run("1,2,3", "/dev/full"), 1, "/dev/full")
        self.assertEqual(OUT.read_bytes(), b"old")
        self.assertEqual(sorted(os.listdir(FOLDER)), folder)


if __name__ == "__main__":
    unittest.main()
