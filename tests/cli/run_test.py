"""puna run: every option, on a model of random weights."""

import json
import os
import pty
import re
import shutil
import subprocess
import unittest

from program import (BIN, EMULATOR, EOS, FOLDER, PUNA, WINDOWS, check_failure, command, document,
                     ending_model, output, puna, random_model, run_program, small_model)

PROMPT = ("-p", "a story about")
GREEDY = ("--temperature", "0")
ENDLESS = ("--logit-bias", f"{EOS}:-inf")


def run(*options, **more):
    return output("run", small_model(), *options, **more)


def run_json(*options, **more):
    return document("run", small_model(), "--json", *options, **more)


def ids(*options):
    reply = run_json("--logprobs", "1", *options)
    return reply["choices"][0]["logprobs"]["token_ids"]


def text_of(reply):
    return reply["choices"][0]["text"]


class Prompts(unittest.TestCase):
    def test_sources_agree(self):
        text = run("-p", "tell me", "-n", "20", *GREEDY)
        self.assertTrue(text)
        path = FOLDER / "prompt.txt"
        path.write_bytes(b"tell me")
        self.assertEqual(run("-f", path, "-n", "20", *GREEDY), text)
        self.assertEqual(run("-f", "-", "-n", "20", *GREEDY, stdin=b"tell me"), text)
        self.assertEqual(run("-n", "20", *GREEDY, stdin=b"tell me"), text)

    def test_bytes_arrive_as_they_are(self):
        for prompt in (b"a\0b", b"\xff\xfe", b"line\r\nend\n", "\u6f22\U0001f600".encode(),
                       bytes(range(256))):
            path = FOLDER / "bytes.bin"
            path.write_bytes(prompt)
            tokens = document("tokenize", small_model(), stdin=prompt)["tokens"]
            for options in (("-f", path), ()):
                usage = run_json(*options, "-n", "1", stdin=prompt)["usage"]
                self.assertEqual(usage["prompt_tokens"], len(tokens), prompt)

    def test_escapes_and_dashes_are_text(self):
        for prompt in ("a\\nb", "-n", "--help", "[a,b]", "{}", "", " "):
            tokens = document("tokenize", small_model(), stdin=prompt.encode())["tokens"]
            usage = run_json("-p", prompt, "-n", "1")["usage"]
            self.assertEqual(usage["prompt_tokens"], len(tokens), prompt)

    def test_empty(self):
        self.assertEqual(run_json("-p", "", "-n", "3", *ENDLESS)["usage"],
                         {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4})
        check_failure(self, puna("run", small_model(), "-p", "", "--no-bos"), 1, "prompt is empty")

    def test_beginning_and_control_tokens(self):
        n = lambda *options: run_json("-p", "a </s>", "-n", "1", *options)["usage"]["prompt_tokens"]
        self.assertEqual(n("--no-bos"), n() - 1)
        self.assertGreater(n("--no-special"), n())

    def test_end_token_of_the_tokenizer(self):
        model = ending_model()
        self.assertEqual(document("tokenize", model, stdin=b"abc")["tokens"][-1], EOS)
        options = ("-p", "abc", "-n", "9", *GREEDY)
        for more in ((), ("--no-bos",)):
            self.assertEqual(output("run", model, *options, *more), run(*options, *more))

    def test_too_long(self):
        result = puna("run", small_model(), "-p", "word " * 2000)
        check_failure(self, result, 1, "prompt has", "the context holds 512", "--ctx")
        result = puna("run", small_model(), *PROMPT, "--ctx", "2")
        check_failure(self, result, 1, "the context holds 2", "trained for 512")

    def test_paths_in_any_script(self):
        folder = FOLDER / "m\u00f6del \u6a21\u578b"
        folder.mkdir()
        model = shutil.copy(small_model(), folder / "\u0645\u0648\u062f\u064a\u0644.gguf")
        prompt = folder / "\u03c0.txt"
        prompt.write_text("abc")
        text = output("run", model, "-f", prompt, "-n", "9", *GREEDY)
        self.assertEqual(text, run("-p", "abc", "-n", "9", *GREEDY))

    def test_missing_files(self):
        check_failure(self, puna("run", "no/such.gguf", "-p", "x"), 1, "no/such.gguf")
        check_failure(self, puna("run", small_model(), "-f", "no/such.txt"), 1, "no/such.txt")
        check_failure(self, puna("run", small_model(), "-f", FOLDER), 1, str(FOLDER))
        check_failure(self, puna("run", FOLDER, "-p", "x"), 1, str(FOLDER))
        path = FOLDER / "text.gguf"
        path.write_bytes(b"not a model")
        check_failure(self, puna("run", path, "-p", "x"), 1, str(path))

    @unittest.skipIf(EMULATOR, "it would measure the emulator, for half a minute")
    def test_share_of_the_read_bandwidth(self):
        model = small_model()
        result = puna("run", model, *PROMPT, "-n", "20", "--roofline")
        self.assertEqual(result.returncode, 0, result)
        told = re.search(r"^([\d.]+) kB read for each token: ([\d.]+) GB/s, (\d+) % of the ([\d.]+) "
                         r"GB/s at which this machine reads memory", result.stderr.decode(), re.M)
        self.assertTrue(told, result.stderr)
        n_kb, rate, percent, machine = map(float, told.groups())
        # All but the metadata; more than half of the rest of so small a file are its weights.
        self.assertTrue(0.5 < 1e3 * n_kb / model.stat().st_size < 1.2, told.group())
        self.assertAlmostEqual(percent, 100 * rate / machine, delta=1 + 10 / machine)
        check_failure(self, puna("run", model, *PROMPT, "--roofline", "--json"), 2, "--json")

    @unittest.skipIf(WINDOWS, "there the library lies beside the program")
    def test_demo_is_the_model_that_is_installed(self):
        (FOLDER / "installed/bin").mkdir(parents=True)
        program = [*EMULATOR, shutil.copy(PUNA, FOLDER / "installed/bin")]
        environment = {**os.environ, "LD_LIBRARY_PATH": str(BIN.parent / "lib")}
        arguments = (program, "run", "demo", *PROMPT, "-n", "3", *GREEDY)
        model = FOLDER / "installed/share/puna/demo.gguf"
        check_failure(self, run_program(*arguments, env=environment), 1, "demo", str(model),
                      "./demo")
        model.parent.mkdir(parents=True)
        shutil.copy(small_model(), model)
        self.assertEqual(run_program(*arguments, env=environment).stdout,
                         run(*PROMPT, "-n", "3", *GREEDY))

    def test_model_without_tokenizer(self):
        model = random_model("--n-layer", "1", "--n-embd", "64", "--no-tokenizer")
        check_failure(self, puna("run", model, "-p", "x"), 1, "tokenizer")


class Length(unittest.TestCase):
    def test_n(self):
        for n in (0, 1, 7):
            reply = run_json(*PROMPT, "-n", n, *ENDLESS)
            self.assertEqual(reply["usage"]["completion_tokens"], n)
            self.assertEqual(reply["choices"][0]["finish_reason"], "length")
            timings = reply["timings"]
            self.assertGreater(timings["prompt_tokens_per_second"], 0)
            self.assertEqual(timings["time_to_first_token_seconds"] is None, n == 0)

    def test_numbers_are_decimal(self):
        reply = run_json(*PROMPT, "-n", "010", "--seed", "+08", "--top-p", "+.5", *ENDLESS)
        self.assertEqual((reply["usage"]["completion_tokens"], reply["seed"]), (10, 8))

    def test_until_the_context_is_full(self):
        for options, n_ctx in (((), 512), (("--ctx", "40"), 40), (("--ctx", "600"), 600)):
            reply = run_json(*PROMPT, *ENDLESS, *options)
            self.assertEqual(reply["choices"][0]["finish_reason"], "length")
            self.assertIn(reply["usage"]["total_tokens"], (n_ctx, n_ctx + 1))

    def test_end_token(self):
        reply = run_json(*PROMPT, "--logit-bias", f"{EOS}:1000")
        self.assertEqual((text_of(reply), reply["choices"][0]["finish_reason"]), ("", "stop"))
        self.assertEqual(reply["usage"]["completion_tokens"], 1)

    def test_stop(self):
        text = run(*PROMPT, "-n", "60", *GREEDY, *ENDLESS).decode()
        first, second = text[10:13], text[20:24]
        for stops in (["--stop", first], ["--stop", "never", first], ["--stop", second, first],
                      ["--stop", second, "--stop", first], ["-n", "60", "--stop", first, "--json"]):
            reply = run_json(*PROMPT, "-n", "60", *GREEDY, *ENDLESS, *stops)
            self.assertEqual(text_of(reply), text[:text.index(first)], stops)
            self.assertEqual(reply["choices"][0]["finish_reason"], "stop")
            self.assertLess(reply["usage"]["completion_tokens"], 60)

    def test_stops_are_taken_literally(self):
        for stop in ("[a,b]", "{}", "%%", "-x", "a b", "\n"):
            run(*PROMPT, "-n", "2", "--stop", stop)


class Choice(unittest.TestCase):
    def test_seed(self):
        texts = {seed: run(*PROMPT, "-n", "20", "--seed", seed) for seed in (1, 2, 4294967295)}
        self.assertEqual(len(set(texts.values())), 3)
        for seed, text in texts.items():
            self.assertEqual(run(*PROMPT, "-n", "20", "--seed", seed), text)

    def test_reported_seed_replays(self):
        first, second = (run_json(*PROMPT, "-n", "20") for _ in range(2))
        self.assertNotEqual(first["seed"], second["seed"])
        self.assertEqual(run(*PROMPT, "-n", "20", "--seed", first["seed"]).decode(), text_of(first))

    def test_filters_that_leave_one_token(self):
        greedy = run(*PROMPT, "-n", "20", *GREEDY)
        hot = ("-n", "20", "--temperature", "3", "--seed", "5")
        for options in (("--top-k", "1"), ("--top-p", "0.000001"), ("--min-p", "1")):
            self.assertEqual(run(*PROMPT, *hot, *options), greedy, options)
        self.assertNotEqual(run(*PROMPT, *hot), greedy)

    def test_options_change_the_text(self):
        hot = ("-n", "40", "--seed", "5", "--temperature", "1.5", "--top-k", "0", *ENDLESS)
        texts = [run(*PROMPT, *hot, *options) for options in (
            (), ("--typical-p", "0.2"), ("--mirostat", "1"), ("--mirostat", "2"),
            ("--top-p", "0.5"), ("--min-p", "0.5"), ("--top-k", "5"), ("--temperature", "0.5"))]
        self.assertEqual(len(set(texts)), len(texts), texts)

    def test_penalties(self):
        loop = ("-n", "40", *GREEDY, "--logit-bias", "300:25", f"{EOS}:-inf")
        self.assertGreater(ids(*PROMPT, *loop).count(300), 30)
        for penalty in (("--repeat-penalty", "10"), ("--presence-penalty", "100"),
                        ("--frequency-penalty", "100")):
            with self.subTest(penalty):
                self.assertLess(ids(*PROMPT, *loop, *penalty).count(300), 5)

    def test_logit_bias(self):
        first = ids(*PROMPT, "-n", "1", *GREEDY)[0]
        self.assertNotEqual(ids(*PROMPT, "-n", "1", *GREEDY, "--logit-bias", f"{first}:-inf")[0],
                            first)
        self.assertEqual(ids(*PROMPT, "-n", "3", *GREEDY, "--logit-bias", "300:+1e4", "301:9"),
                         [300] * 3)
        check_failure(self, puna("run", small_model(), *PROMPT, "--logit-bias", "300:1", "512:1"), 1,
                      "--logit-bias: there is no token 512")


class Machine(unittest.TestCase):
    def test_speed_options(self):
        text = run(*PROMPT, "-n", "12", *GREEDY)
        for options in (("--threads", "1"), ("--threads", "2"), ("--batch", "1"), ("--batch", "3"),
                        ("--ctx", "100"), ("--gpu-layers", "0"), ("--no-mmap",)):
            self.assertEqual(run(*PROMPT, "-n", "12", *GREEDY, *options), text, options)
        for options in (("--kernels", "scalar"), ("--kv-type-k", "f32", "--kv-type-v", "f32")):
            run(*PROMPT, "-n", "12", *GREEDY, *options)

    @unittest.skipIf(WINDOWS, "Wine takes a minute to note every page that is asked for")
    def test_a_context_that_no_memory_holds_says_what_to_try(self):
        # Its cache has 16 MB for each token (8.5 as Q8_0): more than 128 TB below, all that addresses reach.
        model = FOLDER / "wide.gguf"
        output("make-model", model, "--type", "f16", "--shape",
               "n_embd=1,n_layer=256,n_head=4,head_dim=4096,n_ff=1,n_vocab=300,n_ctx=16777216")
        # Where the tests run under AddressSanitizer it would end the program, and it warns.
        env = {**os.environ, "ASAN_OPTIONS":
               ":".join([os.environ.get("ASAN_OPTIONS", ""), "allocator_may_return_null=1"])}
        smallest = ("--kv-type-k", "q8_0", "--kv-type-v", "q8_0")
        for words, remedy in (
                (("run", model, *PROMPT, "--ctx", "16777216"),
                 "a smaller --ctx, or --kv-type-k q8_0 --kv-type-v q8_0"),
                (("run", model, *PROMPT, "-n", "16777216", *smallest), "a smaller --ctx"),
                (("bench", model, "--depth", "0,16000000", *smallest), "a smaller --depth"),
                (("logits", model, "--tokens", "@-", "--out", FOLDER / "never.f32"),
                 "fewer --tokens, or --kv-type-k q8_0 --kv-type-v q8_0")):
            tokens = b"5," * 9999999 + b"5" if "@-" in words else b""
            result = puna(*words, stdin=tokens, env=env)
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stderr.decode().splitlines()[-1],
                             rf"^puna: no context of \d+ tokens: .*memory.*: try {remedy}$")
        model.unlink()

    def test_kernels_that_are_not_there(self):
        check_failure(self, puna("run", small_model(), *PROMPT, "--kernels", "mmx"), 2,
                      "--kernels: ", "'mmx'")
        result = puna("run", small_model(), *PROMPT, env={**os.environ, "PUNA_KERNELS": "mmx"})
        check_failure(self, result, 1, "'mmx'")
        self.assertNotIn(b"--kernels", result.stderr)


class Output(unittest.TestCase):
    def test_timings_on_standard_error(self):
        result = puna("run", small_model(), *PROMPT, "-n", "5", "--seed", "7", *ENDLESS)
        self.assertRegex(result.stderr.decode(),
                         r"^prompt: \d+ tokens, [\d.]+ tokens/s; generated: 5 tokens, "
                         r"[\d.]+ tokens/s; first token after [\d.]+ s; seed 7\r?\n$")

    def test_json(self):
        result = puna("run", small_model(), *PROMPT, "-n", "5", "--seed", "7", "--json", *ENDLESS)
        self.assertEqual(result.stderr, b"")
        reply = json.loads(result.stdout)
        self.assertEqual(list(reply), ["id", "object", "created", "model", "choices", "usage",
                                       "timings", "seed"])
        self.assertEqual((reply["object"], reply["model"], reply["seed"]),
                         ("text_completion", str(small_model()), 7))
        self.assertRegex(reply["id"], r"^cmpl-[0-9a-f]+$")
        self.assertGreater(reply["created"], 1.6e9)
        self.assertEqual(list(reply["choices"][0]),
                         ["text", "index", "logprobs", "finish_reason"])
        self.assertIsNone(reply["choices"][0]["logprobs"])
        timings = reply["timings"]
        self.assertEqual(timings["prompt_tokens"], reply["usage"]["prompt_tokens"])
        self.assertEqual(timings["generated_tokens"], 5)
        for name in ("load_seconds", "prompt_seconds", "prompt_tokens_per_second",
                     "generated_seconds", "generated_tokens_per_second",
                     "time_to_first_token_seconds"):
            self.assertGreater(timings[name], 0, name)

    def test_stream_adds_up_to_the_document(self):
        options = (*PROMPT, "-n", "30", "--seed", "3", "--json", "--logprobs", "2")
        whole = document("run", small_model(), *options)
        lines = run(*options, "--stream").decode().splitlines()
        pieces = [json.loads(line) for line in lines]
        self.assertGreater(len(pieces), 20)
        self.assertEqual("".join(map(text_of, pieces)), text_of(whole))
        for piece in pieces[:-1]:
            self.assertIsNone(piece["choices"][0]["finish_reason"])
            self.assertNotIn("usage", piece)
        self.assertEqual(pieces[-1]["usage"], whole["usage"])
        self.assertEqual(pieces[-1]["choices"][0]["finish_reason"],
                         whole["choices"][0]["finish_reason"])
        self.assertEqual(pieces[-1]["seed"], 3)
        self.assertEqual({piece["id"] for piece in pieces}, {pieces[0]["id"]})
        for name, values in whole["choices"][0]["logprobs"].items():
            streamed = sum((p["choices"][0]["logprobs"][name] for p in pieces), [])
            self.assertEqual(streamed, values)

    def test_logprobs(self):
        logprobs = run_json(*PROMPT, "-n", "8", *GREEDY, *ENDLESS, "--logprobs",
                            "4")["choices"][0]["logprobs"]
        for values in logprobs.values():
            self.assertEqual(len(values), 8)
        for token, logprob, top in zip(logprobs["tokens"], logprobs["token_logprobs"],
                                       logprobs["top_logprobs"]):
            self.assertEqual(list(top.values()), sorted(top.values(), reverse=True))
            self.assertLessEqual(max(top.values()), 0)
            self.assertIn(token, top)
            self.assertEqual(top[token], logprob)
        self.assertEqual(logprobs["text_offset"][0], 0)

    def test_any_bytes_make_valid_json(self):
        wild = ("-n", "300", "--temperature", "50", "--top-k", "0", "--top-p", "1", "--min-p", "0",
                *ENDLESS)
        seen = ""
        for seed in range(1, 4):
            reply = run_json(*PROMPT, *wild, "--seed", seed, "--logprobs", "5")
            self.assertEqual(text_of(reply).encode(), run(*PROMPT, *wild, "--seed", seed))
            seen += text_of(reply) + "".join(reply["choices"][0]["logprobs"]["tokens"])
        self.assertIn("\ufffd", seen)
        self.assertRegex(seen, r"bytes:(\\x[0-9a-f]{2})+")

    def test_model_path_that_is_no_text(self):
        path = os.fsencode(FOLDER) + b"/\xff.gguf"
        shutil.copy(os.fsencode(small_model()), path)
        result = puna("run", path, *PROMPT, "-n", "1", "--json")
        if result.returncode == 0:
            self.assertIn("\ufffd", json.loads(result.stdout)["model"])
        else:
            self.assertEqual((result.returncode, result.stdout), (1, b""))

    def test_errors_leave_no_document(self):
        check_failure(self, puna("run", "no.gguf", "-p", "x", "--json"), 1, "no.gguf")
        check_failure(self, puna("run", small_model(), *PROMPT, "--ctx", "1", "--json", "--stream"),
                      1, "--ctx")

    def test_full_device(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("this system has no /dev/full")
        with open("/dev/full", "wb") as full:
            result = subprocess.run([*command("puna"), "run", small_model(), *PROMPT, "-n", "5",
                                     *ENDLESS], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr.decode(), r"^puna: standard output: .+\n$")

    @unittest.skipIf(WINDOWS, "Wine draws on the terminal what the program would write to it")
    def test_terminal_shows_the_prompt(self):
        text = run(*PROMPT, "-n", "10", *GREEDY)
        ours, theirs = pty.openpty()
        process = subprocess.Popen([*command("puna"), "run", small_model(), *PROMPT, "-n", "10",
                                    *GREEDY], stdout=theirs, stderr=subprocess.PIPE)
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:  # the other end is closed
            pass
        process.communicate()
        os.close(ours)
        expected = PROMPT[1].encode() + text + b"\n"
        self.assertEqual(shown.replace(b"\r\n", b"\n"), expected)


if __name__ == "__main__":
    unittest.main()
