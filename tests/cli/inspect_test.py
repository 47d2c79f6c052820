"""puna inspect."""

import os
import unittest

from program import (FOLDER, SHARED, check_failure, document, output, puna, random_model,
                     small_model)

SHAPE = ("--n-layer", "3", "--n-embd", "96", "--n-head", "6", "--n-head-kv", "2", "--n-ff", "160",
         "--n-vocab", "600", "--n-ctx-train", "320")
Q8_0 = 34 / 32  # bytes per number


def changed(name, old, new):
    """The small model with some bytes of its header replaced by as many others."""
    data = small_model().read_bytes()
    assert len(old) == len(new) and old in data
    path = FOLDER / name
    path.write_bytes(data.replace(old, new))
    return path


class Inspect(unittest.TestCase):
    def test_numbers(self):
        path = random_model(*SHAPE)
        model = document("inspect", path, "--json")
        hyper = model["hyper_parameters"]
        for name, value in dict(n_layer=3, n_embd=96, n_head=6, n_head_kv=2, n_ff=160,
                                n_ctx_train=320, rope_dim=16, rope_base=10000).items():
            self.assertEqual(hyper[name], value, name)
        self.assertEqual((model["model"], model["file_bytes"], model["gguf_version"]),
                         (str(path), path.stat().st_size, 3))
        self.assertEqual((model["family"], model["runs"], model["error"]), ("llama", True, None))

        layer = 2 * 96 * 96 + 2 * 96 * 32 + 3 * 96 * 160
        matrices = {"Q8_0": (2 + 3 * 7, (2 * 600 * 96 + 3 * layer) * Q8_0),
                    "F32": (1 + 3 * 2, (1 + 3 * 2) * 96 * 4)}
        formats = {row["format"]: (row["n_tensors"], row["size_bytes"]) for row in model["formats"]}
        self.assertEqual(formats, matrices)
        self.assertEqual(model["n_parameters"], 2 * 600 * 96 + 3 * layer + 7 * 96)
        self.assertEqual(model["size_bytes"], sum(size for _, size in matrices.values()))
        tensors = {tensor["name"]: tensor for tensor in model["tensors"]}
        self.assertEqual(len(tensors), model["n_tensors"])
        self.assertEqual(tensors["blk.1.attn_k.weight"]["shape"], [96, 32])
        self.assertEqual(tensors["blk.1.attn_k.weight"]["size_bytes"], 96 * 32 * Q8_0)
        self.assertEqual(tensors["output_norm.weight"]["shape"], [96])

    def test_tokenizer_and_metadata(self):
        model = document("inspect", random_model(*SHAPE), "--json")
        tokenizer = model["tokenizer"]
        self.assertEqual(
            [tokenizer[key] for key in ("model", "n_tokens", "bos", "eos", "unk", "adds_bos",
                                        "adds_eos", "has_chat_template")],
            ["llama", 600, 1, 2, 0, True, False, False])
        self.assertEqual(model["metadata"]["llama.attention.head_count"], "6")
        self.assertEqual(model["metadata"]["tokenizer.ggml.tokens"], "[string x 600]")

    def test_memory(self):
        path = random_model(*SHAPE)
        def memory(*options):
            return document("inspect", path, "--json", *options)["memory"]
        default = memory()
        self.assertEqual(default["n_ctx"], 320)  # what it was trained for
        cell = 3 * 2 * (16 + 16) * 2  # layers, heads, keys and values, bytes
        self.assertEqual(default["kv_bytes"], 320 * cell)
        self.assertEqual(default["mapped_bytes"], document("inspect", path, "--json")["size_bytes"])
        self.assertEqual(default["total_bytes"],
                         sum(default[part + "_bytes"]
                             for part in ("mapped", "weight", "kv", "scratch")))
        self.assertEqual(memory("--ctx", "1024")["kv_bytes"], 1024 * cell)
        endless = random_model(*SHAPE[:-1], "100000000")  # tokens: more than a context may have
        self.assertEqual(document("inspect", endless, "--json")["memory"]["n_ctx"],
                         16777216)
        self.assertEqual(memory("--kv-type-k", "f32")["kv_bytes"], 320 * cell * 3 / 2)
        self.assertEqual(memory("--kv-type-k", "bf16")["kv_bytes"], 320 * cell)
        small = memory("--kv-type-k", "q8_0", "--kv-type-v", "q8_0")  # heads of 16, and a scale
        self.assertEqual(small["kv_bytes"], 320 * 3 * 2 * 2 * (16 + 2))
        self.assertLess(memory("--batch", "1")["scratch_bytes"], default["scratch_bytes"])

    def test_from_the_header_alone(self):
        path = random_model(*SHAPE)
        model = document("inspect", path, "--json")
        header = path.stat().st_size - model["size_bytes"]  # and padding
        hollow = FOLDER / "hollow.gguf"
        with open(path, "rb") as source, open(hollow, "wb") as target:
            target.write(source.read(header))
            target.truncate(path.stat().st_size)
        self.assertEqual(document("inspect", hollow, "--json"), {**model, "model": str(hollow)})

    def test_split_models(self):
        whole, parts = FOLDER / "whole.gguf", FOLDER / "parts.gguf"
        shape = ("--shape", "n_embd=64,n_layer=3,n_head=4,n_head_kv=2,n_ff=128,n_vocab=300",
                 "--type", "q8_0")
        output("make-model", whole, *shape)
        output("make-model", parts, *shape, "--split-size", "50K")
        files = sorted(FOLDER.glob("parts-*"))
        self.assertGreater(len(files), 2)
        model = document("inspect", whole, "--json")
        for path in (files[0], files[-1]):
            split = document("inspect", path, "--json")
            for key in ("n_tensors", "n_parameters", "size_bytes", "hyper_parameters", "formats",
                        "tokenizer", "memory", "tensors", "runs"):
                self.assertEqual(split[key], model[key], key)
            self.assertEqual(split["file_bytes"], sum(file.stat().st_size for file in files))

    def test_text(self):
        text = output("inspect", random_model(*SHAPE), "--ctx", "64").decode()
        for line in (r"file +\S+model.+\.gguf, 3\d\d kB, GGUF version 3",
                     r"model +llama, random model",
                     r"  n_head_kv +2", r"  bos +1 <s>", r"  adds to texts +bos",
                     r"  Q8_0 +23 +\d+ kB +\d+\.\d %", r"Memory with a context of 64 tokens",
                     r"  KV cache +24\.6 kB", r"  llama\.block_count +3"):
            self.assertRegex(text, rf"(?m)^{line}$")
        self.assertNotIn("blk.0", text)
        text = output("inspect", random_model(*SHAPE), "--tensors").decode()
        self.assertRegex(text, r"(?m)^  blk\.2\.ffn_gate\.weight +Q8_0 +96 x 160 +16\.3 kB$")

    def test_models_that_do_not_run(self):
        key = b"general.architecture\x08\0\0\0\5\0\0\0\0\0\0\0"
        path = changed("family.gguf", key + b"llama", key + b"xlama")
        model = document("inspect", path, "--json")
        self.assertEqual((model["runs"], model["memory"], model["family"]), (False, None, "xlama"))
        self.assertIn("xlama", model["error"])
        self.assertEqual(len(model["tensors"]), 21)
        text = output("inspect", path).decode()
        self.assertRegex(text, r"(?m)^it would not run  .*xlama.*")
        self.assertIn("Q8_0", text)

    def test_options_that_do_not_run(self):
        no_gpu = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        model = document("inspect", small_model(), "--json", "--gpu-layers", "1", env=no_gpu)
        self.assertEqual((model["runs"], model["memory"]), (False, None))
        self.assertTrue(model["error"].startswith("--gpu-layers: no GPU"), model["error"])
        self.assertEqual(model["hyper_parameters"]["n_embd"], 64)

    def test_tokenizer_that_is_not_supported(self):
        data = small_model().read_bytes()
        at = data.index(b"llama", data.index(b"tokenizer.ggml.model"))
        other = FOLDER / "other-tokenizer.gguf"
        other.write_bytes(data[:at] + b"camel" + data[at + 5:])
        model = document("inspect", other, "--json")
        self.assertTrue(model["runs"])  # with tokens
        self.assertIn("'camel'", model["tokenizer"]["error"])
        self.assertIn("'camel', a tokenizer that is not supported",
                      output("inspect", other).decode())
        self.assertIsNone(document("inspect", small_model(), "--json")["tokenizer"]["error"])

    @unittest.skipUnless((SHARED / "vocab").exists(), "the shared test material is not there")
    def test_vocabulary(self):
        path = SHARED / "vocab/ggml-vocab-llama-spm.gguf"
        model = document("inspect", path, "--json")
        self.assertEqual((model["runs"], model["error"], model["tensors"]), (False, None, []))
        self.assertEqual(model["tokenizer"]["n_tokens"], 32000)
        self.assertIn("weights  none", output("inspect", path).decode())

    def test_text_of_files_cannot_command_the_terminal(self):
        path = changed("name.gguf", b"random model", b"\x1b[2J\n\xc2\x9b10;1H")
        data = output("inspect", path)
        self.assertIn(rb"model    llama, \x1b[2J\n\x9b10;1H", data)
        self.assertNotIn(b"\x1b", data)
        self.assertNotIn(b"\xc2\x9b", data)

    def test_failures(self):
        check_failure(self, puna("inspect", "no.gguf"), 1, "no.gguf")
        check_failure(self, puna("inspect", FOLDER), 1, str(FOLDER))
        path = FOLDER / "text.gguf"
        path.write_text("This is not a model.")
        check_failure(self, puna("inspect", path, "--json"), 1, "text.gguf")
        check_failure(self, puna("inspect", "m.gguf", "--ctx", "-1"), 2, "--ctx")


if __name__ == "__main__":
    unittest.main()
