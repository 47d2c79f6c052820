#!/usr/bin/env python3
"""Measures puna and llama.cpp side by side: the same files, the same threads, in turns."""

import argparse
import json
import os
import pathlib
import shlex
import signal
import sys

from comparison.chart import write_chart
from comparison.programs import ROOT, LlamaBench, ProgramError, Puna, Test
from comparison.report import Report, as_json, as_markdown
from comparison.rounds import compare_model, say

DESCRIPTION = """\
Measures puna and llama.cpp side by side on the same GGUF files, with the same number of threads.

Every test is a process of its own, and the programs take turns: puna, llama.cpp, puna, ... So what
slows the machine for a while slows both, and a program that crashes loses one test. A figure is
the median of --repeat turns; a ratio is the median of the ratios of neighbouring turns.

  pp512       the evaluation of a prompt of 512 tokens
  tg64@1800   the generation of 64 tokens when 1800 are in the cache
  of reads    the share of the rate at which the machine reads memory, by puna's measurement: to
              generate a token is to read all weights and the cache

Also: how long puna takes to the logits of a first token, from the loading of the model on, and how
much memory each program's process had at most while it evaluated one token. Such memory counts
pages of a mapped file, which the system can take back.
"""

EPILOG = """\
examples:
  %(prog)s --peer llama.cpp/build/bin/llama-bench --models *.gguf
  %(prog)s --models q8_0.gguf --repeat 9 --markdown table.md --svg chart.svg
  %(prog)s --models q8_0.gguf --kernels avx2 --peer avx2-build/llama-bench \\
      --peer-note "built for AVX2"
  %(prog)s --models q8_0.gguf --peer python       (pip install llama-cpp-python)

models of a shape that is interesting, with random weights:
  puna make-model q8_0.gguf --shape tinyllama-1.1b --type q8_0

The table is printed on standard output, unless --markdown or --json say otherwise. The exit status
is 0 when everything was measured, 1 when something failed (its row says why), 2 for a wrong call.
"""


def count(text, least=0):
    number = int(text) if text.isascii() and text.isdigit() else -1
    if number < least or number > 1 << 24:
        raise argparse.ArgumentTypeError(f"must be a number from {least} on, not '{text}'")
    return number


def positive(text):
    return count(text, 1)


def counts(text):
    return [] if text == "" else list(dict.fromkeys(count(word) for word in text.split(",")))


def positive_counts(text):
    return [] if text == "" else list(dict.fromkeys(positive(word) for word in text.split(",")))


def all_processors():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse():
    parser = argparse.ArgumentParser(description=DESCRIPTION, epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--models", nargs="+", type=pathlib.Path, required=True, metavar="FILE",
        help="GGUF files; each is measured by itself")
    add("--puna", default=str(ROOT / "build/release/bin/puna"), metavar="PATH",
        help="the puna program; default: the one in build/release of this checkout")
    add("--peer", default="llama-bench", metavar="PATH",
        help="the program llama-bench of llama.cpp, or `python` for the package llama-cpp-python; "
             "default: llama-bench on PATH")
    add("--peer-note", default="", metavar="TEXT",
        help="how the peer was built, for the table: it does not say so itself")
    add("--threads", type=positive, default=all_processors(), metavar="N",
        help="threads of both programs; default: %(default)s, the processors here. One per "
             "physical core is often best")
    add("--kernels", metavar="SET", help="puna's kernels: scalar, avx2, ...; default: the best")
    add("--prompt", type=positive_counts, default=[512], metavar="N,N...",
        help='lengths of prompts; "" for none; default: 512')
    add("--depth", type=counts, default=[0, 1800], metavar="N,N...",
        help='tokens in the cache when generation begins; "" for none; default: 0,1800')
    add("--generate", type=positive, default=64, metavar="N",
        help="tokens to generate; default: %(default)s")
    add("--repeat", type=positive, default=5, metavar="N",
        help="turns of each test; default: %(default)s")
    add("--timeout", type=positive, default=600, metavar="SECONDS",
        help="the longest that one turn may take; default: %(default)s")
    add("--json", metavar="OUT", help="write all figures as JSON; - for standard output")
    add("--markdown", metavar="OUT", help="write the tables as Markdown; - for standard output")
    add("--svg", metavar="OUT", help="draw a chart (needs the Python package matplotlib)")
    options = parser.parse_args()
    if not options.prompt and not options.depth:
        parser.error("--prompt and --depth are both empty: nothing to compare")
    if options.svg:
        check_chart(parser)
    return parser, options


def check_chart(parser):
    """Before hours of measuring, not after."""
    import importlib.util
    if importlib.util.find_spec("matplotlib") is None:
        parser.error("--svg needs the Python package matplotlib: pip install matplotlib")


def repeatable_command():
    """The call without folders, which mean nothing on another machine."""
    words = [pathlib.Path(word).name if os.sep in word and " " not in word else word
             for word in sys.argv[1:]]
    return shlex.join(["python3", "bench/compare.py", *words])


def write(path, text):
    if path == "-":
        sys.stdout.write(text)
    else:
        pathlib.Path(path).write_text(text, encoding="utf-8")


def write_all(report, options):
    markdown = options.markdown or (None if options.json == "-" else "-")
    if options.json:
        write(options.json, json.dumps(as_json(report), indent=1) + "\n")
    if markdown:
        write(markdown, as_markdown(report))
    if options.svg:
        write_chart(report, options.svg)


def stop(number, _):
    sys.exit(128 + number)  # on the way out the running program is ended


def main():
    parser, options = parse()
    signal.signal(signal.SIGTERM, stop)
    try:
        puna = Puna(options.puna, options.threads, options.kernels, options.timeout)
        peer = LlamaBench(options.peer, options.threads, options.timeout)
        description = puna.description()
    except ProgramError as error:
        parser.error(str(error))
    tests = [Test(n_prompt=n) for n in options.prompt]
    tests += [Test(n_generate=options.generate, depth=depth) for depth in options.depth]
    report = Report(description, options.peer_note, options.threads, options.repeat,
                    repeatable_command(), [])
    interrupted = False
    try:
        for path in options.models:
            report.results.append(compare_model(path, puna, peer, tests, options.repeat))
    except KeyboardInterrupt:
        say("interrupted")
        interrupted = True
        if not report.results:
            return 130
    try:
        write_all(report, options)
    except OSError as error:
        say(f"compare.py: {error.filename}: {error.strerror}")
        return 1
    return 130 if interrupted else int(report.has_errors())


if __name__ == "__main__":
    sys.exit(main())
