"""Help, versions, and command lines that are wrong."""

import unittest

from program import check_failure, output, puna, small_model

COMMANDS = ("run", "tokenize", "detokenize", "logits", "perplexity", "inspect", "bench",
            "make-model")
RUN_OPTIONS = """-p -f -n --temperature --top-k --top-p --min-p --typical-p --repeat-penalty
    --presence-penalty --frequency-penalty --mirostat --seed --stop --logit-bias --ctx --threads
    --batch --gpu-layers --no-mmap --kernels --kv-type-k --kv-type-v --deterministic --no-bos --no-special
    --logprobs --json --stream""".split()


class Usage(unittest.TestCase):
    def test_help(self):
        text = output("--help").decode()
        for command in COMMANDS:
            self.assertRegex(text, rf"\n  {command} ")
            text_of_command = output(command, "--help").decode()
            self.assertIn(f"puna {command} ", text_of_command)
            self.assertIn("\nExample", text_of_command)
            self.assertLessEqual(max(map(len, text_of_command.splitlines())), 100)

    def test_help_is_a_command_too(self):
        for words in (("help",), ("help", "help"), ("help", "--help")):
            self.assertEqual(output(*words), output("--help"))
        for command in COMMANDS:
            self.assertEqual(output("help", command), output(command, "--help"))
        check_failure(self, puna("help", "chat"), 2, "unknown command 'chat'")

    def test_help_of_run_names_every_option_and_its_default(self):
        text = output("run", "--help").decode()
        for option in RUN_OPTIONS:
            self.assertRegex(text, rf"\n  {option}\b")
        for default in ("--top-k N=40", "--top-p N=0.95", "--min-p N=0.05", "--temp N=0.8",
                        "--n-predict N=-1", "--kv-type-k TYPE=f16", "--batch N=512"):
            self.assertIn(default, text)

    def test_version(self):
        version = output("--version").decode()
        self.assertRegex(version, r"^puna \d+\.\d+\.\d+\n$")
        for command in COMMANDS:
            self.assertEqual(output(command, "--version").decode(), version)

    def test_unknown_command(self):
        for arguments in ((), ("chat", "m.gguf"), ("",), ("Run",)):
            check_failure(self, puna(*arguments), 2, "command", *COMMANDS)

    def test_wrong_options(self):
        for arguments, words in (
                ("", ["MODEL"]),
                ("m.gguf extra", ["extra"]),
                ("m.gguf --unknown", ["--unknown"]),
                ("m.gguf -p a -f b", ["--prompt", "--file"]),
                ("m.gguf -p", ["--prompt"]),
                ("m.gguf -n -2", ["--n-predict", "-2"]),
                ("m.gguf -n 1.5", ["--n-predict", "whole number", "1.5"]),
                ("m.gguf -n 0x10", ["--n-predict", "0x10"]),
                ("m.gguf -n 1e3", ["--n-predict", "1e3"]),
                ("m.gguf --temperature 1e39", ["--temperature", "finite", "1e39"]),
                ("m.gguf -n 99999999999", ["--n-predict"]),
                ("m.gguf --temperature -0.1", ["--temperature", "-0.1"]),
                ("m.gguf --temperature nan", ["--temperature", "nan"]),
                ("m.gguf --temperature inf", ["--temperature", "inf"]),
                ("m.gguf --temperature warm", ["--temperature", "warm"]),
                ("m.gguf --top-k -1", ["--top-k"]),
                ("m.gguf --top-p 1.1", ["--top-p", "from 0 to 1"]),
                ("m.gguf --min-p -1", ["--min-p"]),
                ("m.gguf --typical-p 2", ["--typical-p"]),
                ("m.gguf --repeat-penalty -1", ["--repeat-penalty"]),
                ("m.gguf --presence-penalty x", ["--presence-penalty"]),
                ("m.gguf --frequency-penalty x", ["--frequency-penalty"]),
                ("m.gguf --mirostat 3", ["--mirostat", "from 0 to 2"]),
                ("m.gguf --seed -1", ["--seed"]),
                ("m.gguf --seed 4294967296", ["--seed", "4294967295"]),
                ("m.gguf --stop", ["--stop"]),
                ("m.gguf --logit-bias 5", ["--logit-bias", "'5'"]),
                ("m.gguf --logit-bias 5:1 x:1", ["--logit-bias", "'x:1'"]),
                ("m.gguf --logit-bias 5:nan", ["--logit-bias"]),
                ("m.gguf --logit-bias 5:inf", ["--logit-bias", "'5:inf'"]),
                ("m.gguf --logit-bias -3:1", ["--logit-bias", "'-3:1'"]),
                ("m.gguf --ctx -1", ["--ctx"]),
                ("m.gguf --ctx 16777217", ["--ctx", "from 0 to 16777216"]),
                ("m.gguf --threads 513", ["--threads"]),
                ("m.gguf --batch 0", ["--batch"]),
                ("m.gguf --gpu-layers many", ["--gpu-layers", "'many'"]),
                ("m.gguf --kv-type-k q4_0", ["--kv-type-k", "f16", "q8_0", "'q4_0'"]),
                ("m.gguf --kv-type-v F16", ["--kv-type-v"]),
                ("m.gguf --logprobs 3", ["--logprobs", "--json"]),
                ("m.gguf --json --logprobs 65", ["--logprobs"])):
            with self.subTest(arguments):
                result = puna("run", *arguments.split())
                check_failure(self, result, 2, "puna run --help", *words)

    def test_empty_stop(self):
        check_failure(self, puna("run", "m.gguf", "--stop", ""), 2, "--stop")

    def test_wrong_options_of_the_other_commands(self):
        for arguments, words in (
                ("tokenize", ["MODEL"]),
                ("tokenize m.gguf --json", ["--json"]),
                ("detokenize m.gguf --no-bos", ["--no-bos"]),
                ("logits m.gguf --tokens 1,2", ["--out"]),
                ("logits m.gguf --out x", ["--tokens"]),
                ("logits m.gguf --out x --tokens 1,x", ["--tokens"]),
                ("logits m.gguf --out x --tokens 1,-2", ["--tokens", "entry 1"])):
            with self.subTest(arguments):
                check_failure(self, puna(*arguments.split()), 2, *words)

    def test_options_may_come_first_and_again(self):
        text = output("run", "-n", "9", "--temperature", "0", "--stop", "never", small_model(),
                      "-n", "3", "-p", "a")
        self.assertEqual(text, output("run", small_model(), "-p", "a", "-n", "3", "--temp", "0"))


if __name__ == "__main__":
    unittest.main()
