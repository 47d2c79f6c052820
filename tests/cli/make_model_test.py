"""puna make-model."""

import subprocess
import unittest

from program import FOLDER, WINDOWS, check_failure, command, document, output, puna

SHAPE = "n_embd=256,n_layer=2,n_head=8,n_head_kv=2,n_ff=512,n_vocab=400"
MIXES = ("q2_k", "q3_k_s", "q3_k_m", "q3_k_l", "q4_0", "q4_k_s", "q4_k_m", "q5_0", "q5_k_s",
         "q5_k_m", "q6_k", "q8_0")
FORMATS = ("f32", "f16", "bf16", "q4_1", "q5_1", "q3_k", "q4_k", "q5_k", "iq4_nl", "iq4_xs", "iq3_s",
           "iq3_xxs", "iq2_s", "iq2_xs", "iq2_xxs", "iq1_s", "iq1_m", "mxfp4", "tq1_0", "tq2_0")


def make(name, *options, shape=SHAPE, type="q8_0"):
    path = FOLDER / name
    output("make-model", path, "--shape", shape, "--type", type, *options)
    return path


def story(model, *options):
    return output("run", model, "-p", "a", "-n", "8", "--temperature", "0", *options)


class MakeModel(unittest.TestCase):
    def test_every_type_runs(self):
        for type in MIXES + FORMATS:
            model = make("type.gguf", type=type)
            self.assertTrue(story(model).strip(), type)

    def test_vocabulary(self):
        model = make("vocab.gguf")
        ids = document("tokenize", model, stdin=b"a story")["tokens"]
        other = make("other.gguf", "--vocab", model, shape=SHAPE.replace(",n_vocab=400", ""),
                     type="q4_k_m")
        self.assertEqual(document("tokenize", other, stdin=b"a story")["tokens"], ids)
        clash = puna("make-model", FOLDER / "no.gguf", "--shape", SHAPE.replace("400", "401"),
                     "--type", "q8_0", "--vocab", model)
        check_failure(self, clash, 2, "n_vocab", "401", "400")

    def test_the_seed_decides(self):
        one = make("one.gguf").read_bytes()
        self.assertEqual(make("one.gguf", "--seed", "1").read_bytes(), one)
        self.assertNotEqual(make("one.gguf", "--seed", "2").read_bytes(), one)

    @unittest.skipIf(WINDOWS, "it may refuse to replace a file that another process is replacing")
    def test_several_at_once_write_whole_files(self):
        models = {make(f"seed-{seed}.gguf", "--seed", seed).read_bytes() for seed in "1234"}
        path = FOLDER / "race.gguf"
        processes = [subprocess.Popen([*command("puna"), "make-model", path, "--shape", SHAPE,
                                       "--type", "q8_0", "--seed", seed],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                     for seed in "1234"]
        self.assertEqual([process.wait(timeout=60) for process in processes], [0] * 4)
        self.assertIn(path.read_bytes(), models)

    def test_files_of_others_stay(self):
        other = FOLDER / "own.gguf.part-1"
        other.write_bytes(b"mine")
        make("own.gguf")
        self.assertEqual(other.read_bytes(), b"mine")
        self.assertEqual(sorted(path.name for path in FOLDER.glob("own.gguf*")),
                         ["own.gguf", "own.gguf.part-1"])

    @unittest.skipIf(WINDOWS, "links need rights there")
    def test_a_link_stays(self):
        target, link = make("target.gguf", "--seed", "1"), FOLDER / "link.gguf"
        link.unlink(missing_ok=True)
        link.symlink_to(target.name)
        old = target.read_bytes()
        make(link.name, "--seed", "2")
        self.assertTrue(link.is_symlink())
        self.assertNotEqual(target.read_bytes(), old)

    def test_split_files_run(self):
        text = story(make("whole.gguf"))
        make("split.gguf", "--split-size", "300K")
        parts = sorted(FOLDER.glob("split-*-of-*.gguf"))
        self.assertGreater(len(parts), 2)
        for part in (parts[0], parts[-1]):
            self.assertEqual(story(part), text)
        parts[1].rename(FOLDER / "away.gguf")
        result = puna("run", parts[0], "-p", "a")
        (FOLDER / "away.gguf").rename(parts[1])
        check_failure(self, result, 1, parts[1].name)

    def test_named_shapes_and_fields(self):
        shape = "stories15m,n_layer=1,n_vocab=300,n_ff=32"
        self.assertTrue(story(make("named.gguf", shape=shape, type="q4_0")).strip())
        self.assertTrue(story(make("tied.gguf", shape=SHAPE + ",tied=1,head_dim=16,n_ctx=64")))

    def test_refusals(self):
        out = FOLDER / "refused.gguf"
        run = lambda *options: puna("make-model", out, *options)
        check_failure(self, run("--shape", "huge", "--type", "q8_0"), 2, "--shape", "huge",
                      "tinyllama-1.1b")
        check_failure(self, run("--shape", "n_embd=64", "--type", "q8_0"), 2, "n_layer")
        check_failure(self, run("--shape", SHAPE + ",x=1", "--type", "q8_0"), 2, "'x'")
        check_failure(self, run("--shape", SHAPE.replace("256", "two"), "--type", "q8_0"), 2, "two")
        check_failure(self, run("--shape", SHAPE, "--type", "q4_k_xxl"), 2, "q4_k_xxl", "Q4_K_M")
        check_failure(self, run("--shape", SHAPE.replace("n_head_kv=2", "n_head_kv=3"), "--type",
                                "q8_0"), 2, "n_head_kv")
        check_failure(self, run("--shape", SHAPE, "--type", "q8_0", "--split-size", "1T"), 2,
                      "--split-size")
        check_failure(self, run("--shape", SHAPE, "--type", "q8_0", "--vocab", "no.gguf"), 1,
                      "no.gguf")
        check_failure(self, run("--shape", SHAPE), 2, "--type")
        check_failure(self, puna("make-model", "-", "--shape", SHAPE, "--type", "q8_0"), 2, "OUT",
                      "./-")
        self.assertFalse(out.exists())


if __name__ == "__main__":
    unittest.main()
