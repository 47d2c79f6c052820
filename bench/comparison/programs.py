"""The programs that are compared: how each is called, and how its report is read.

A test is one process from the loading of the model on, so a program that crashes loses that test
alone, and the programs can take turns.
"""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNKNOWN_REPORT = "its report lacks what is compared; is it another version?"
PYTHON_PEER = pathlib.Path(__file__).with_name("llama_cpp_python_bench.py")


class ProgramError(Exception):
    """One line: why there is no figure."""


@dataclasses.dataclass(frozen=True)
class Test:
    """Evaluates n_prompt tokens from an empty cache on, or generates n_generate behind `depth`."""
    n_prompt: int = 0
    n_generate: int = 0
    depth: int = 0

    @property
    def name(self):
        return f"tg{self.n_generate}@{self.depth}" if self.n_generate else f"pp{self.n_prompt}"


# Of its processes the time to a first token and the memory are reported, the speed is not.
ONE_TOKEN = Test(n_prompt=1)


def find_program(name, option, advice):
    """The path of a program that is named so or lies on PATH."""
    found = shutil.which(name)
    if found is None:
        raise ProgramError(f"{option}: no program {name}; {advice}")
    return found


def run(command, timeout):
    """Standard output, and the most memory that any of the command's processes had, in bytes."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                   start_new_session=True)
        late = threading.Event()

        def give_up():
            late.set()
            kill(process)

        timer = threading.Timer(timeout, give_up)
        timer.start()
        try:
            peak_bytes = wait(process)
        except BaseException:
            kill(process)
            process.wait()
            raise
        finally:
            timer.cancel()
        out.seek(0)
        err.seek(0)
        if late.is_set():
            raise ProgramError(f"took longer than {timeout:g} s")
        if process.returncode != 0:
            raise ProgramError(failure(process.returncode, err.read().decode(errors="replace")))
        return out.read().decode(errors="replace"), peak_bytes


def kill(process):
    """The process and those that it started: it may be a script around the program."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    else:
        process.kill()


def wait(process):
    if not hasattr(os, "wait4"):
        process.wait()
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def failure(status, errors):
    if status < 0:
        known = {int(number): number.name for number in signal.Signals}
        return f"killed by {known.get(-status, f'signal {-status}')}"
    # A shell says so when the program that it ran was killed.
    if status > 128 and status - 128 in set(signal.Signals):
        return f"killed by {signal.Signals(status - 128).name}"
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return f"exit status {status}" + (f": {lines[-1]}" if lines else "")


def read_json(text):
    try:
        return json.loads(text)
    except ValueError:
        raise ProgramError("printed something else than JSON") from None


class Puna:
    name = "puna"

    def __init__(self, path, threads, kernels, timeout):
        self.path = find_program(path, "--puna", "build it with `cmake --workflow --preset release`"
                                 " or say where it lies")
        self.timeout = timeout
        self.options = ["--threads", str(threads), *(["--kernels", kernels] if kernels else [])]

    def description(self):
        """Version and, of a program that was built in this checkout, the commit."""
        text, _ = run([self.path, "--version"], self.timeout)
        words = [text.strip()]
        if ROOT in pathlib.Path(self.path).resolve().parents and (commit := self.commit()):
            words.append(f"commit {commit}")
        return ", ".join(words)

    @staticmethod
    def commit():
        result = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=9",
                                 "--exclude", "*"], capture_output=True, text=True)
        return result.stdout.strip() if result.returncode == 0 else None

    def measure(self, model, test):
        command = [self.path, "bench", str(model), "--prompt", str(test.n_prompt), "--generate",
                   str(test.n_generate), "--depth", str(test.depth), "--repeat", "1", "--json",
                   *self.options]
        # The memory is what puna says: its process also reads a buffer of 2 GiB to find out how
        # fast memory is.
        report = read_json(run(command, self.timeout)[0])
        try:
            figures = report["tests"][0]
            return {"tokens_per_second": figures["tokens_per_second"],
                    "bytes_per_token": figures.get("bytes_per_token"),
                    "read_gb_per_s": report["machine"]["read_gb_per_s"],
                    "cpu": report["machine"]["cpu"],
                    "kernels": report["kernels"],
                    "first_token_seconds": report["first_token_seconds"],
                    "peak_rss_bytes": report["peak_rss_bytes"]}
        except (KeyError, IndexError, TypeError):
            raise ProgramError(UNKNOWN_REPORT) from None


class LlamaBench:
    """llama-bench of llama.cpp, or a program that takes its options and prints its JSON."""
    name = "llama.cpp"

    def __init__(self, path, threads, timeout):
        if path == "python":
            self.command = [sys.executable, str(PYTHON_PEER)]
        else:
            self.command = [find_program(path, "--peer", "build it, say where it lies, or take "
                                         "`--peer python` where llama-cpp-python is installed")]
        self.timeout = timeout
        self.options = ["-t", str(threads), "-ngl", "0", "-r", "1", "-o", "json"]

    def measure(self, model, test):
        text, peak_bytes = run([*self.command, "-m", str(model), "-p", str(test.n_prompt), "-n",
                                str(test.n_generate), "-d", str(test.depth), *self.options],
                               self.timeout)
        # Some builds print a line of their own before the document.
        start = re.search(r"^\[", text, re.MULTILINE)
        records = read_json(text[start.start():] if start else text)
        try:
            (record,) = records
            (rate,) = record["samples_ts"]
            return {"tokens_per_second": rate, "peak_rss_bytes": peak_bytes,
                    "build": record["build_commit"]}
        except (KeyError, TypeError, ValueError):
            raise ProgramError(UNKNOWN_REPORT) from None
