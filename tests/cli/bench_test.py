"""puna bench: its report, and whether the figures in it can be."""

import re
import signal
import subprocess
import time
import unittest

from program import big_model, check_failure, command, document, output, puna, random_model

# Large enough that evaluating a row takes longer than getting ready to.
SHAPE = ("--n-layer", "4", "--n-embd", "256", "--n-head", "8", "--n-head-kv", "4", "--n-ff", "704",
         "--n-vocab", "2048")
LAYERS, KV_NUMBERS = 4, 2 * 4 * 32  # keys and values, heads, numbers of each


def expected_bytes(path, mean_cells, tied):
    """Read from memory for one token: weights as `puna inspect` lists them, and the cache."""
    sizes = {}
    for tensor in document("inspect", path, "--json")["tensors"]:
        sizes[tensor["name"]] = (tensor["size_bytes"], tensor["shape"])
    embedding, (_, n_vocab) = sizes["token_embd.weight"]
    weights = sum(size for size, _ in sizes.values()) + embedding / n_vocab
    return weights - (0 if tied else embedding) + mean_cells * LAYERS * KV_NUMBERS * 2


class Bench(unittest.TestCase):
    def test_report(self):
        path = random_model(*SHAPE)
        report = document("bench", path, "--prompt", "40", "--generate", "9", "--depth", "0,100",
                          "--repeat", "3", "--kernels", "scalar", "--threads", "1", "--json")
        self.assertEqual(report["model"], str(path))
        inspected = document("inspect", path, "--json")
        self.assertEqual(report["size_bytes"], inspected["size_bytes"])
        self.assertEqual((report["kernels"], report["threads"], report["backend"]),
                         ("scalar", 1, "cpu"))
        self.assertIsInstance(report["machine"]["cpu"], str)
        self.assertLess(0, report["load_seconds"])
        self.assertLess(report["load_seconds"], report["first_token_seconds"])
        # The engine's, not that of the buffer for the bandwidth.
        self.assertLess(report["size_bytes"], report["peak_rss_bytes"])
        if report["machine"]["read_buffer_bytes"] >= 2 ** 31:
            self.assertLess(report["peak_rss_bytes"], 2 ** 31)
        rows = [(row["format"], row["kernels"], row["device"], row["n_tensors"])
                for row in report["formats"]]
        self.assertIn(("Q8_0", "scalar", "cpu", 2 + 4 * 7), rows)
        self.check_tests(path, report)

    def check_tests(self, path, report):
        tests = {test["name"]: test for test in report["tests"]}
        self.assertEqual(list(tests), ["pp40", "tg9@0", "tg9@100"])
        for test in tests.values():
            self.assertLess(0, test["min"])
            self.assertLessEqual(test["min"], test["tokens_per_second"])
            self.assertLessEqual(test["tokens_per_second"], test["max"])
        read_rate = report["machine"]["read_gb_per_s"] * 1e9
        for depth in (0, 100):
            test = tests[f"tg9@{depth}"]
            # The tokens find 1 to 9 cells behind the depth filled, their own included.
            n_bytes = expected_bytes(path, depth + 5, tied=False)
            self.assertAlmostEqual(test["bytes_per_token"], n_bytes, delta=1)
            self.assertLessEqual(n_bytes * test["max"], read_rate * (1 + 1e-6))
            self.assertAlmostEqual(test["fraction_of_read_bandwidth"],
                                   n_bytes * test["tokens_per_second"] / read_rate, delta=1e-6)
        self.assertNotIn("bytes_per_token", tests["pp40"])
        # Every prompt is evaluated, not found in the cache: 40 rows would cost as one does.
        self.assertLess(tests["pp40"]["tokens_per_second"],
                        10 * tests["tg9@0"]["tokens_per_second"])

    def test_tied_output_and_text(self):
        path = random_model(*SHAPE, "--tied")
        text = output("bench", path, "--prompt", "0", "--generate", "3", "--depth", "5", "--repeat",
                      "1").decode()
        for line in (r"model +\S+\.gguf, 3\.\d+ M parameters, .+ MB",
                     r"machine +.+, \d+ threads?, reads [\d.]+ GB/s",
                     r"weights +Q8_0 by [\w+]+ kernels on cpu: \d+ tensors, .+ MB",
                     r"ready after +[\d.]+ s, first token after [\d.]+ s", r"peak memory +.+",
                     r"tg3@5 +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +\d+ %"):
            self.assertRegex(text, rf"(?m)^{line}$")
        rate, gigabytes = map(float, re.search(r"tg3@5 +([\d.]+) +\S+ +\S+ +([\d.]+)",
                                               text).groups())
        self.assertAlmostEqual(gigabytes, rate * expected_bytes(path, 7, tied=True) / 1e9,
                               delta=0.06)

    def test_prompt_alone(self):
        report = document("bench", random_model(*SHAPE), "--prompt", "8", "--generate", "0",
                          "--repeat", "1", "--json")
        self.assertEqual([test["name"] for test in report["tests"]], ["pp8"])

    def test_failures(self):
        for arguments, words in (("--depth 1,,2", ["--depth", "'1,,2'"]),
                                 ("--depth 1,-2", ["--depth"]),
                                 ("--depth deep", ["--depth"]),
                                 ("--repeat 0", ["--repeat"]),
                                 ("--prompt -1", ["--prompt"]),
                                 ("--prompt 16777217", ["--prompt", "16777216"]),
                                 ("--depth 0,16777089", ["--depth 16777089", "--generate 128",
                                                         "16777216"]),
                                 ("--prompt 0 --generate 0", ["--prompt", "--generate"])):
            with self.subTest(arguments):
                check_failure(self, puna("bench", "m.gguf", *arguments.split()), 2, *words)
        check_failure(self, puna("bench", "no.gguf"), 1, "no.gguf")

    def test_interrupt(self):
        process = subprocess.Popen([*command("puna"), "bench", big_model(), "--kernels", "scalar",
                                    "--prompt", "16000", "--depth", "0"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(1.5)
        self.assertIsNone(process.poll(), "the prompt is too short to be interrupted")
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out, err), (130, b"", b""))
        self.assertLess(time.monotonic() - begin, 5)


if __name__ == "__main__":
    unittest.main()
