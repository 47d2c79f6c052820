#!/usr/bin/env python3
"""Stands in for llama-bench where llama.cpp is installed as the Python package llama-cpp-python.

Takes the options of llama-bench that the comparison uses, and prints JSON with the same names.
"""

import argparse
import json
import random
import sys
import time


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", dest="model", required=True)
    for option, name in (("-p", "n_prompt"), ("-n", "n_generate"), ("-d", "depth"),
                         ("-t", "threads"), ("-ngl", "gpu_layers"), ("-r", "repeat")):
        parser.add_argument(option, dest=name, type=int, default=1 if option == "-r" else 0)
    parser.add_argument("-o", dest="format", choices=["json"], default="json")
    return parser.parse_args()


def load(llama_cpp, options):
    n_ctx = options.depth + options.n_prompt + options.n_generate
    # With the flash attention that llama-bench has by default, and the package does not.
    return llama_cpp.Llama(model_path=options.model, n_ctx=n_ctx, n_batch=512, flash_attn=True,
                           n_threads=options.threads, n_threads_batch=options.threads,
                           n_gpu_layers=options.gpu_layers, verbose=False)


def run(llama_cpp, llm, options, tokens):
    """Tokens per second behind the filled cache. What was evaluated is forgotten."""
    llm.n_tokens = options.depth
    begin = time.perf_counter()
    if options.n_prompt:
        llm.eval(tokens[:options.n_prompt])
        llama_cpp.llama_synchronize(llm.ctx)
    for token in tokens[options.n_prompt:]:
        llm.eval([token])
        llama_cpp.llama_synchronize(llm.ctx)
    return len(tokens) / (time.perf_counter() - begin)


def main():
    options = parse()
    try:
        import llama_cpp
    except ImportError as error:
        sys.exit(f"the Python package llama-cpp-python is not usable: {error}")
    llm = load(llama_cpp, options)
    draw = random.Random(1)
    n_tokens = options.depth + options.n_prompt + options.n_generate
    tokens = [draw.randrange(llm.n_vocab()) for _ in range(n_tokens)]
    if options.depth:
        llm.eval(tokens[:options.depth])
    run(llama_cpp, llm, options, tokens[options.depth:])  # warms up
    rates = [run(llama_cpp, llm, options, tokens[options.depth:]) for _ in range(options.repeat)]
    print(json.dumps([{"build_commit": f"llama-cpp-python {llama_cpp.__version__}",
                       "n_prompt": options.n_prompt, "n_gen": options.n_generate,
                       "n_depth": options.depth, "n_threads": options.threads,
                       "samples_ts": rates}]))


if __name__ == "__main__":
    main()
