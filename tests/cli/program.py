"""The programs under test, and models for them.

They lie in PUNA_PROGRAM_DIR, by default where the preset release puts them. Programs for another
system run under PUNA_EMULATOR, a command line, and have the ending PUNA_PROGRAM_SUFFIX.
"""

import atexit
import functools
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PUNA_PROGRAM_DIR") or ROOT / "build/release/bin")
SHARED = pathlib.Path(os.environ.get("PUNA_SHARED_DIR") or ROOT / "../shared").resolve()
DEMO = ROOT / "examples/demo_model/demo.gguf"  # the model that `demo` names
GOLDEN = ROOT / "tests/golden/data"
EMULATOR = shlex.split(os.environ.get("PUNA_EMULATOR", ""))
SUFFIX = os.environ.get("PUNA_PROGRAM_SUFFIX", "")
WINDOWS = SUFFIX == ".exe"
PUNA = BIN / f"puna{SUFFIX}"
EOS = 2  # of the random models

FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="puna-cli-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def command(name):
    """How a program of BIN is called."""
    return [*EMULATOR, BIN / (name + SUFFIX)]


@functools.lru_cache(None)
def random_model(*options):
    path = FOLDER / ("model" + "".join(options) + ".gguf")
    subprocess.run([*command("puna-random-model"), path, *options], check=True)
    return path


def small_model():
    return random_model("--n-layer", "2", "--n-embd", "64", "--n-head", "4", "--n-head-kv", "2",
                        "--n-ff", "128", "--n-vocab", "512")


def ending_model():
    """The small model, but its tokenizer adds an end token to every text."""
    path = FOLDER / "ending.gguf"
    no, yes = (b"tokenizer.ggml.add_eos_token\7\0\0\0" + value for value in (b"\0", b"\1"))
    data = small_model().read_bytes()
    assert data.count(no) == 1
    path.write_bytes(data.replace(no, yes))
    return path


def big_model():
    """Slow enough to be interrupted: many layers, each of them quick."""
    return random_model("--n-layer", "24", "--n-ctx-train", "16384")


def run_program(words, *arguments, stdin=b"", **options):
    return subprocess.run([*words, *map(str_or_bytes, arguments)], input=stdin, capture_output=True,
                          timeout=120, **options)


def puna(*arguments, **options):
    return run_program(command("puna"), *arguments, **options)


def str_or_bytes(argument):
    return argument if isinstance(argument, (str, bytes)) else str(argument)


def output(*arguments, stdin=b"", **options):
    result = puna(*arguments, stdin=stdin, **options)
    assert result.returncode == 0, (arguments, result)
    return result.stdout


def document(*arguments, **options):
    """The one JSON document of a call: one line of UTF-8."""
    text = output(*arguments, **options).decode("utf-8")
    assert text.endswith("\n") and text.count("\n") == 1, text
    return json.loads(text)


def check_failure(test, result, status, *words):
    """One line on standard error that has the words, nothing on standard output."""
    text = result.stderr.decode("utf-8")
    test.assertEqual(result.returncode, status, text)
    test.assertEqual(result.stdout, b"")
    test.assertTrue(text.startswith("puna: ") and text.count("\n") == 1, text)
    for word in words:
        test.assertIn(word, text)
