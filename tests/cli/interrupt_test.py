"""Ctrl-C and other signals, and readers that go away."""

import fcntl
import json
import os
import signal
import subprocess
import time
import unittest

from program import EOS, FOLDER, PUNA, big_model, small_model

SLOW = ("--kernels", "scalar", "--threads", "1", "--batch", "16")
LONG_PROMPT = ("-p", "word " * 2500)
ENDLESS = ("--temperature", "0", "--logit-bias", f"{EOS}:-inf")


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def set_signals(action):
    for number in SIGNALS:
        signal.signal(number, action)


def start(*arguments, **options):
    # Whoever runs the tests may ignore them.
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
               "preexec_fn": lambda: set_signals(signal.SIG_DFL), **options}
    return subprocess.Popen([PUNA, *map(str, arguments)], **options)


def wait_for_handler(process):
    """Until the program catches signals, where the system tells; a second elsewhere."""
    status = f"/proc/{process.pid}/status"
    if not os.path.exists(status):
        return time.sleep(1)
    for _ in range(3000):
        with open(status) as lines:
            caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
        if all(caught >> (number - 1) & 1 for number in SIGNALS):
            return None
        time.sleep(0.01)
    raise AssertionError("no handler")


class Interrupts(unittest.TestCase):
    def interrupt(self, process, number=signal.SIGINT):
        begin = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 128 + number, err)
        return out, err, time.monotonic() - begin

    def test_in_the_prompt(self):
        process = start("run", big_model(), *LONG_PROMPT, *SLOW, "-n", "1")
        wait_for_handler(process)
        time.sleep(0.7)
        self.assertIsNone(process.poll(), "the prompt is too short to be interrupted")
        out, err, seconds = self.interrupt(process)
        self.assertEqual(out, b"")
        self.assertRegex(err, rb"^prompt: \d+ tokens, not finished; generated: 0 tokens, .+/s; seed")
        self.assertLess(seconds, 5)  # all of it would take minutes

    def test_in_the_text(self):
        process = start("run", big_model(), "-p", "a", "-n", "15000", *SLOW, *ENDLESS)
        first = process.stdout.read(20)
        out, err, _ = self.interrupt(process)
        self.assertEqual(len(first), 20)
        self.assertIn(b"generated: ", err)

    def test_in_a_stream_of_json(self):
        process = start("run", big_model(), "-p", "a", "-n", "15000", *SLOW, *ENDLESS, "--json",
                        "--stream")
        first = json.loads(process.stdout.readline())
        self.assertIsNone(first["choices"][0]["finish_reason"])
        out, _, _ = self.interrupt(process)
        last = [json.loads(line) for line in out.splitlines()][-1]
        self.assertEqual(last["choices"][0]["finish_reason"], "cancelled")
        self.assertLess(last["usage"]["completion_tokens"], 15000)

    def test_json_document(self):
        process = start("run", big_model(), *LONG_PROMPT, *SLOW, "--json")
        wait_for_handler(process)
        time.sleep(0.7)
        out, _, _ = self.interrupt(process)
        reply = json.loads(out)
        self.assertEqual(reply["choices"][0]["finish_reason"], "cancelled")
        self.assertEqual(reply["choices"][0]["text"], "")
        self.assertIsNone(reply["timings"]["prompt_tokens_per_second"])
        self.assertIsNone(reply["timings"]["time_to_first_token_seconds"])

    def test_while_it_waits_for_standard_input(self):
        for command in (["run", small_model()], ["tokenize", small_model()],
                        ["detokenize", small_model()],
                        ["logits", small_model(), "--tokens", "@-", "--out", "-"]):
            process = start(*command, stdin=subprocess.PIPE)
            wait_for_handler(process)
            time.sleep(0.2)
            stdin, process.stdin = process.stdin, None  # left open
            self.assertEqual(self.interrupt(process)[:2], (b"", b""), command)
            stdin.close()

    def test_no_file_is_left(self):
        model = big_model()
        folder = sorted(os.listdir(FOLDER))
        logits = ("logits", model, "--tokens", ",".join(["5"] * 4000), "--out", FOLDER / "never.f32",
                  *SLOW)
        make = ("make-model", FOLDER / "never.gguf", "--shape", "tinyllama-1.1b", "--type", "q8_0")
        for command in (logits, make):
            for number in SIGNALS:
                with self.subTest(command[0], number=number):
                    process = start(*command)
                    self.wait_for_part(process)
                    self.interrupt(process, number)
                    self.assertEqual(sorted(os.listdir(FOLDER)), folder)

    def wait_for_part(self, process):
        for _ in range(3000):
            if list(FOLDER.glob("never.*.part-*")):
                return
            time.sleep(0.01)
        process.kill()
        self.fail("no file is written")

    def test_a_terminal_that_is_closed_may_say_so_twice(self):
        folder = sorted(os.listdir(FOLDER))
        process = start("make-model", FOLDER / "never.gguf", "--shape", "tinyllama-1.1b", "--type",
                        "f32")
        self.wait_for_part(process)
        for _ in range(20):
            process.send_signal(signal.SIGHUP)
        self.interrupt(process, signal.SIGHUP)
        self.assertEqual(sorted(os.listdir(FOLDER)), folder)

    def test_ignored_signals_stay_ignored(self):
        process = start("run", big_model(), "-p", "a", "-n", "40", *SLOW, *ENDLESS,
                        preexec_fn=lambda: set_signals(signal.SIG_IGN))
        process.stdout.read(1)
        for number in SIGNALS:
            process.send_signal(number)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)

    def test_told_to_end_it_does_not_wait_for_readers(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            process = self.start_that_nobody_reads()
            process.send_signal(number)
            self.assertEqual(process.wait(timeout=30), 128 + number)
            process.communicate()

    def test_the_second_one_ends_it_at_once(self):
        process = self.start_that_nobody_reads()
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=30), -signal.SIGINT)
        process.communicate()

    def start_that_nobody_reads(self):
        process = start("run", big_model(), "-p", "a", "-n", "15000", *ENDLESS, "--json", "--stream")
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        time.sleep(3)  # it is stuck in writing
        return process


class ClosedPipes(unittest.TestCase):
    def close_early(self, **options):
        process = start("run", big_model(), "-p", "a", "-n", "15000", *ENDLESS, **options)
        self.assertEqual(len(process.stdout.read(3)), 3)
        process.stdout.close()
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()
        return process.wait(timeout=60)

    def test_head(self):
        self.assertEqual(self.close_early(), -signal.SIGPIPE)

    def test_signal_ignored(self):
        ignore = lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self.assertEqual(self.close_early(preexec_fn=ignore, restore_signals=False), 1)


if __name__ == "__main__":
    unittest.main()
