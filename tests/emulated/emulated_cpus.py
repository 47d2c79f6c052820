#!/usr/bin/env python3
"""The program that was built for every processor of its kind, on some that lack instructions.

  emulated_cpus.py QEMU-CPU SET...   QEMU-CPU as `qemu-x86_64 -cpu` takes it, or the emulator that
                                     programs for another system run under; the kernel sets that
                                     such a processor runs, the best one last

QEMU stops a program at the first instruction that its processor does not know, so a program that
tells a story there used none of them. The story is the one of the processor at hand.
"""

import json
import shutil
import sys
import unittest

import program  # of tests/cli

KNOWN_SETS = ("scalar", "avx2", "avx2_vnni", "avx512", "avx512_gfni", "avx512_bf16", "amx", "neon",
              "neon_i8mm")
NOT_BUILT = "this build has no kernel set"
NOT_RUN = "this processor does not run the kernel set"

QEMU = program.EMULATOR or ["qemu-x86_64"]
CPU, *RUNNING_SETS = sys.argv[1:]


N_TOKENS = 40  # of the story: each costs an emulator a quarter of a second


def story_case():
    """A model, a prompt, and the text that follows."""
    case = json.loads((program.GOLDEN / "demo.json").read_text("utf-8"))["cases"][0]
    assert len(case["greedy_ids"]) > N_TOKENS
    return program.DEMO.with_name("demo-f16.gguf"), case["prompt"], case["text"]


def on_cpu(name, *arguments):
    return program.run_program([*QEMU, "-cpu", CPU, program.BIN / name], *arguments)


class EmulatedCpu(unittest.TestCase):
    def setUp(self):
        model, prompt, text = story_case()
        self.story = ("run", model, "-p", prompt, "--temperature", "0", "--threads", "2", "-n",
                      N_TOKENS, "--kernels")
        self.text = text.encode()
        self.built = [name for name in KNOWN_SETS
                      if NOT_BUILT not in program.puna(*self.story, name, "-n", "1").stderr.decode()]

    def check_story(self, result):
        self.assertEqual(result.returncode, 0, result)
        self.assertGreater(len(result.stdout), 2 * N_TOKENS)
        self.assertTrue(self.text.startswith(result.stdout), result)

    def test_each_kernel_set_tells_the_story_or_is_refused(self):
        self.assertIn("scalar", self.built)
        for name in self.built:
            with self.subTest(name):
                result = on_cpu("puna", *self.story, name)
                if name in RUNNING_SETS:
                    self.check_story(result)
                else:
                    program.check_failure(self, result, 1, NOT_RUN, name)

    def test_the_best_set_that_runs_is_chosen(self):
        best = [name for name in RUNNING_SETS if name in self.built][-1]
        result = on_cpu("puna-chosen-kernels")
        self.assertEqual((result.returncode, result.stdout), (0, best.encode() + b"\n"), result)
        result = on_cpu("puna", *self.story[:-1])  # without --kernels
        self.check_story(result)


if __name__ == "__main__":
    if not shutil.which(QEMU[0]):
        print(f"left out: there is no {QEMU[0]}, the emulator of processors")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
