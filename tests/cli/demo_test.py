"""What a newcomer sees: the model called `demo`, and the stories of its card."""

import re
import subprocess
import sys
import unittest

from program import DEMO, EMULATOR, PUNA, ROOT, check_failure, document, output, puna

QUESTION = "<|user|>\n{}</s>\n<|assistant|>\n"


def answer(question, *options):
    return output("run", "demo", "-p", QUESTION.format(question), "--temperature", "0",
                  *options).decode()


class Demo(unittest.TestCase):
    def test_a_story_ends_by_itself(self):
        reply = document("run", "demo", "-p", "Once upon a time there was a lighthouse",
                         "--temperature", "0.8", "--seed", "1", "--json")
        self.assertEqual(reply["choices"][0]["finish_reason"], "stop")
        self.assertLess(reply["usage"]["completion_tokens"], 400)
        self.assertIn("lighthouse", reply["choices"][0]["text"])

    def test_questions_are_answered(self):
        self.assertIn("Puna", answer("Who are you?"))
        self.assertIn("Zorbo", answer("My name is Zorbo."))

    def test_twenty_stories(self):
        """Each ends by itself, names what its prompt names, and repeats neither itself nor others."""
        if EMULATOR:
            self.skipTest("evaluate.py calls the program by itself, not through an emulator")
        result = subprocess.run([sys.executable, "-B", ROOT / "examples/demo_model/evaluate.py",
                                 PUNA, DEMO], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_share_of_the_read_bandwidth_is_told(self):
        result = puna("run", "demo", "-p", "Once", "-n", "20", "--roofline")
        self.assertEqual(result.returncode, 0, result)
        told = re.search(r"^([\d.]+) MB read for each token: ([\d.]+) GB/s, (\d+) % of the "
                         r"([\d.]+) GB/s at which this machine reads memory",
                         result.stderr.decode(), re.MULTILINE)
        self.assertTrue(told, result.stderr)
        n_mb, rate, percent, machine = map(float, told.groups())
        file_mb = DEMO.stat().st_size / 1e6
        # All but the embedding, of which a token reads one row.
        self.assertTrue(0.8 * file_mb < n_mb < 1.2 * file_mb, told.group())
        self.assertAlmostEqual(percent, 100 * rate / machine, delta=5 + 10 / machine)

    def test_roofline_and_json_exclude_each_other(self):
        check_failure(self, puna("run", "demo", "-p", "a", "--roofline", "--json"), 2, "--json")


if __name__ == "__main__":
    unittest.main()
