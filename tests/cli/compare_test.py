"""bench/compare.py: with programs that only pretend to measure, and once with puna itself."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
import xml.etree.ElementTree as xml

from program import PUNA, ROOT, small_model

SCRIPT = ROOT / "bench/compare.py"

# Each call is a line of the log. The figures of a call are those of the file of its name, if there
# is one: a list from which the call takes the first.
PRETEND = """\
    import json, os, pathlib, signal, sys, time
    here = pathlib.Path(__file__).parent
    arguments = sys.argv[1:]
    option = lambda name: arguments[arguments.index(name) + 1]
    def log(who):
        with open(here / "log", "a") as file:
            file.write(" ".join([who, *arguments]) + "\\n")
    def take(who, n_prompt, n_generate, depth):
        path = here / f"{who}-{n_prompt}-{n_generate}-{depth}"
        if not path.exists():
            return 1.0
        first, *others = json.loads(path.read_text())
        path.write_text(json.dumps(others))
        return first
"""
PUNA_PRETENDS = PRETEND + """\
    if arguments == ["--version"]:
        sys.exit(print("puna 7.8.9"))
    log("puna")
    n_prompt, n_generate, depth = option("--prompt"), option("--generate"), option("--depth")
    rate = take("puna", n_prompt, n_generate, depth)
    test = {"name": "x", "tokens_per_second": rate, "min": rate, "max": rate}
    if n_generate != "0":
        test["bytes_per_token"] = 500000000
    reads = 20.0 * take("reads", n_prompt, n_generate, depth)
    print(json.dumps({"kernels": "best", "threads": 3, "first_token_seconds": 0.25,
                      "machine": {"cpu": "A|B 9000", "read_gb_per_s": reads},
                      "peak_rss_bytes": 123000000, "tests": [test]}))
"""
PEER_PRETENDS = PRETEND + """\
    log("peer")
    rate = take("peer", option("-p"), option("-n"), option("-d"))
    if rate == "crash":
        os.kill(os.getpid(), signal.SIGILL)
    if rate == "hang":
        (here / "hangs").write_text(str(os.getpid()))
        time.sleep(600)
    if rate == "fail":
        print("first line", file=sys.stderr)
        sys.exit("error: cannot load it")
    if rate == "nonsense":
        sys.exit(print("hello"))
    if rate == "other":
        sys.exit(print("[{}]"))
    print("a line of the build's own")
    print(json.dumps([{"build_commit": "abc123", "samples_ts": [rate]}], indent=1))
"""


class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="puna-compare-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.puna = self.program("fake-puna", PUNA_PRETENDS)
        self.peer = self.program("fake-bench", PEER_PRETENDS)
        for name in ("m-a.gguf", "m-b.gguf"):
            (self.folder / name).write_bytes(b"x" * 3_000_000)

    def program(self, name, text):
        path = self.folder / name
        path.write_text(f"#!{sys.executable}\n" + textwrap.dedent(text))
        path.chmod(0o755)
        return path

    def figures(self, name, *values):
        (self.folder / name).write_text(json.dumps(values))

    def command(self, *arguments, models=("m-a.gguf",)):
        command = [sys.executable, "-B", SCRIPT, "--puna", self.puna, "--peer", self.peer,
                   "--models", *(self.folder / name for name in models), *arguments]
        return list(map(str, command))

    def compare(self, *arguments, environment=None, **options):
        return subprocess.run(self.command(*arguments, **options), capture_output=True, text=True,
                              timeout=120, env={**os.environ, **(environment or {})})

    def document(self, *arguments, status=0, **options):
        result = self.compare(*arguments, "--json", "-", **options)
        self.assertEqual(result.returncode, status, result.stderr)
        return json.loads(result.stdout)

    def patched(self, statement):
        """The environment in which every Python program begins with a statement."""
        folder = self.folder / "patch"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(f"import os, sys\n{statement}\n")
        return {"PYTHONPATH": str(folder)}

    def log(self):
        return (self.folder / "log").read_text().splitlines()

    def test_turns_and_options(self):
        self.document("--repeat", "2", "--threads", "3", "--kernels", "some", "--prompt", "7",
                      "--depth", "5", "--generate", "9")
        expected = []
        model = self.folder / "m-a.gguf"
        for n_prompt, n_generate, depth in 2 * [(1, 0, 0), (7, 0, 0), (0, 9, 5)]:
            expected.append(f"puna bench {model} --prompt {n_prompt} --generate {n_generate} "
                            f"--depth {depth} --repeat 1 --json --threads 3 --kernels some")
            expected.append(f"peer -m {model} -p {n_prompt} -n {n_generate} -d {depth} "
                            "-t 3 -ngl 0 -r 1 -o json")
        self.assertEqual(self.log(), expected)

    def test_figures(self):
        # The machine is half as fast in the second turn: the ratio of neighbours stays at 2, while
        # that of the medians is 2.5.
        self.figures("puna-0-9-5", 20.0, 10.0, 30.0)
        self.figures("peer-0-9-5", 10.0, 5.0, 8.0)
        report = self.document("--repeat", "3", "--threads", "3", "--prompt", "", "--depth", "5",
                               "--generate", "9", "--peer-note", "built so",
                               environment=self.patched("os.getloadavg = lambda: (3.5, 9, 9)"))
        self.assertEqual(report["machine"], {"cpu": "A|B 9000", "threads": 3, "read_gb_per_s": 20,
                                             "slowest_read_gb_per_s": None, "load_of_others": 0})
        self.assertEqual(report["puna"], {"version": "puna 7.8.9", "kernels": "best"})
        self.assertEqual(report["peer"], {"version": "llama.cpp abc123", "note": "built so"})
        (model,) = report["models"]
        self.assertEqual((model["model"], model["size_bytes"]), ("m-a.gguf", 3_000_000))
        first = model["first_token"]
        self.assertEqual(first["puna"]["seconds"], [0.25] * 3)
        self.assertEqual(first["puna"]["peak_rss_bytes"], [123_000_000] * 3)
        if hasattr(os, "wait4"):
            for n_bytes in first["peer"]["peak_rss_bytes"]:  # a Python interpreter's
                self.assertTrue(2e6 < n_bytes < 2e9, n_bytes)
        (test,) = model["tests"]
        self.assertEqual(test["name"], "tg9@5")
        self.assertEqual((test["ratio"], test["ratio_min"], test["ratio_max"]), (2, 2, 3.75))
        self.assertEqual(test["puna"]["samples"], [20, 10, 30])
        self.assertEqual(test["puna"]["tokens_per_second"], 20)
        self.assertEqual(test["puna"]["fraction_of_read_bandwidth"], 0.5)
        self.assertEqual(test["peer"]["fraction_of_read_bandwidth"], 0.2)

    def test_markdown(self):
        self.figures("puna-0-64-0", 20.0, 22.0)
        self.figures("peer-0-64-0", 10.0, 11.0)
        self.figures("puna-512-0-0", 300.0)
        path = self.folder / "table.md"
        result = self.compare("--repeat", "1", "--threads", "1", "--depth", "0", "--markdown", path,
                              models=("m-a.gguf", "m-b.gguf"))
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        text = path.read_text()
        for line in ("- Machine: A|B 9000, 1 thread, reads 20.0 GB/s",
                     "- puna 7.8.9, kernel set `best`", "- llama.cpp abc123",
                     "- `python3 bench/compare.py --puna fake-puna --peer fake-bench --models "
                     "m-a.gguf m-b.gguf --repeat 1 --threads 1 --depth 0 --markdown table.md`",
                     "| m-a | pp512 | 300 | 1.00 | 300.00 |  |  |",
                     "| m-a | tg64@0 | 20.0 | 10.0 | 2.00 | 50% | 25% |",
                     "| m-b | tg64@0 | 22.0 | 11.0 | 2.00 | 55% | 28% |"):
            self.assertIn(line + "\n", text)
        # The second model finds no figure left for its prompt.
        self.assertRegex(text, r"(?m)^\| m-b \| pp512 \| failed: exit status 1: .+ \| 1.00 \|  \|")
        self.assertRegex(text, r"(?m)^\| m-a \| 3 MB \| 0\.25 s \| 123 MB \| \d+ MB \|$")
        self.assertNotIn(str(self.folder), text)

    def test_peer_reads_faster_than_puna_measured(self):
        self.figures("peer-0-64-0", 80.0)
        report = self.document("--repeat", "1", "--prompt", "", "--depth", "0")
        self.assertEqual(report["machine"]["read_gb_per_s"], 40)
        (test,) = report["models"][0]["tests"]
        self.assertEqual(test["peer"]["fraction_of_read_bandwidth"], 1)

    def test_memory_that_others_use(self):
        self.figures("reads-0-64-0", 1.0, 0.9, 0.5)
        path = self.folder / "figures.json"
        result = self.compare("--repeat", "3", "--prompt", "", "--depth", "0", "--json", path,
                              "--markdown", "-")
        self.assertIn("\n- Memory was slower in some turns, down to 10.0 GB/s: shares",
                      result.stdout)
        machine = json.loads(path.read_text())["machine"]
        self.assertEqual((machine["read_gb_per_s"], machine["slowest_read_gb_per_s"]), (20, 10))

    def test_busy_machine(self):
        result = self.compare("--repeat", "1", "--threads", "3",
                              environment=self.patched("os.getloadavg = lambda: (9.6, 0, 0)"))
        self.assertIn("\n- The machine was busy: other programs kept up to 7 more threads running",
                      result.stdout)

    def test_peer_fails(self):
        for figure, words in (("crash", "killed by SIGILL"),
                              ("fail", "exit status 1: error: cannot load it"),
                              ("nonsense", "something else than JSON"),
                              ("other", "lacks what is compared"), (0, "reports 0 tokens"),
                              ("hang", "took longer than 8 s")):
            with self.subTest(figure):
                (self.folder / "log").unlink(missing_ok=True)
                self.figures("peer-8-0-0", figure)
                timeout = ("--timeout", "8") if figure == "hang" else ()
                report = self.document("--repeat", "2", "--prompt", "8", "--depth", "0", *timeout,
                                       status=1)
                prompt, generation = report["models"][0]["tests"]
                self.assertIn(words, prompt["peer"]["error"])
                self.assertIsNone(prompt["ratio"])
                self.assertEqual((prompt["puna"]["samples"], prompt["peer"]["samples"]),
                                 ([1, 1], []))
                self.assertEqual(generation["ratio"], 1)  # the rest goes on
                n_calls = sum(line.startswith("peer") and " -p 8 " in line for line in self.log())
                self.assertEqual(n_calls, 1)  # what failed is not tried again

    def test_ended_from_outside(self):
        """It takes the program that runs along."""
        pid = self.folder / "hangs"
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(number):
                self.figures("peer-1-0-0", "hang")
                pid.unlink(missing_ok=True)
                process = subprocess.Popen(self.command("--repeat", "1"), stdout=subprocess.PIPE,
                                           stderr=subprocess.DEVNULL)
                while not (pid.exists() and pid.read_text()):
                    self.assertIsNone(process.poll())
                    time.sleep(0.05)
                process.send_signal(number)
                self.assertEqual(process.communicate(timeout=60)[0], b"")
                self.assertEqual(process.returncode, status)
                with self.assertRaises(ProcessLookupError):
                    os.kill(int(pid.read_text()), 0)

    def test_missing_model(self):
        report = self.document("--repeat", "1", "--prompt", "8", "--depth", "", status=1,
                               models=("no.gguf", "m-a.gguf"))
        missing, there = report["models"]
        self.assertEqual(missing["tests"][0]["puna"]["error"], "no such file")
        self.assertIsNone(missing["size_bytes"])
        self.assertEqual(there["tests"][0]["ratio"], 1)

    def test_wrong_calls(self):
        hidden = self.patched("sys.modules['matplotlib'] = None")
        for arguments, words in ((("--puna", "no-puna"), ("--puna", "no-puna", "preset release")),
                                 (("--peer", "no-peer"), ("--peer", "no-peer", "python")),
                                 (("--repeat", "0"), ("--repeat", "'0'")),
                                 (("--depth", "1,x"), ("--depth", "'x'")),
                                 (("--prompt", "", "--depth", ""), ("nothing to compare",)),
                                 (("--svg", "chart.svg"), ("--svg", "pip install matplotlib"))):
            with self.subTest(arguments):
                result = self.compare(*arguments, environment=hidden)
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                message = result.stderr.splitlines()[-1]
                for word in words:
                    self.assertIn(word, message)

    def test_unwritable_output(self):
        path = self.folder / "no-folder" / "out.md"
        result = self.compare("--repeat", "1", "--markdown", path)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"compare.py: {path}: No such file", result.stderr.splitlines()[-1])

    def test_chart(self):
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            self.skipTest("no matplotlib")
        path = self.folder / "chart.svg"
        self.figures("puna-512-0-0", 30.0, 3.0)
        self.figures("peer-512-0-0", 20.0, "fail")
        self.compare("--repeat", "1", "--depth", "5", "--threads", "3", "--svg", path,
                     models=("m-a.gguf", "m-b.gguf"))
        first = path.read_bytes()
        texts = [element.text for element in xml.fromstring(first).iter()
                 if element.tag.endswith("}text")]
        for text in ("1.50×", "failed", "1.00×", "a", "b", "puna", "llama.cpp", "bound by memory",
                     "Reading a prompt of 512 tokens", "Generating 64 tokens behind 5 others",
                     "A|B 9000, 3 threads, kernel set best"):
            self.assertIn(text, texts)

    def test_python_package(self):
        package = self.folder / "site" / "llama_cpp"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(textwrap.dedent("""\
            __version__ = "5.6"
            def llama_synchronize(context):
                assert context == "context"
            class Llama:
                def __init__(self, model_path, n_ctx, n_threads, **options):
                    assert n_ctx == 1 + 0 or n_ctx == 9 + 5 or n_ctx == 7, n_ctx
                    assert n_threads == 3
                    self.n_tokens = 0
                    self.ctx = "context"
                def n_vocab(self):
                    return 10
                def eval(self, tokens):
                    assert self.n_tokens in (0, *range(5, 14)) and max(tokens) < 10
                    self.n_tokens += len(tokens)
            """))
        report = self.document("--peer", "python", "--repeat", "1", "--threads", "3", "--prompt",
                               "7", "--depth", "5", "--generate", "9",
                               environment={"PYTHONPATH": str(package.parent)})
        self.assertEqual(report["peer"]["version"], "llama.cpp llama-cpp-python 5.6")
        for test in report["models"][0]["tests"]:
            self.assertLess(0, test["peer"]["tokens_per_second"])

    def test_puna_itself(self):
        self.puna = PUNA
        (self.folder / "real.gguf").write_bytes(small_model().read_bytes())
        report = self.document("--repeat", "1", "--prompt", "8", "--depth", "0", "--generate", "4",
                               "--threads", "1", "--kernels", "scalar", models=("real.gguf",))
        self.assertEqual(report["puna"]["kernels"], "scalar")
        self.assertRegex(report["puna"]["version"], r"^puna \d+\.\d+\.\d+")
        prompt, generation = report["models"][0]["tests"]
        self.assertLess(0, prompt["puna"]["tokens_per_second"])
        self.assertTrue(0 < generation["puna"]["fraction_of_read_bandwidth"] <= 1)


if __name__ == "__main__":
    unittest.main()
