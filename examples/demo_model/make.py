#!/usr/bin/env python3
"""Makes the demo model of puna from a seed: corpus, tokenizer, training, files.

    python3 -m venv env && env/bin/pip install -r requirements.txt && env/bin/python make.py

It takes about an hour on two cores, shows how far it is, and writes everything to --out:

    corpus_sample.txt     two hundred of the documents that the model learns from
    tokenizer.model       the SentencePiece model
    loss_curve.jsonl      loss of the training, and on held-out documents, by step
    demo.gguf             the model, Q8_0
    demo-f16.gguf         the model, F16: the weights that the golden figures are made with
    golden/               what the framework and SentencePiece compute, for the tests of puna

Started again after a break it goes on from its last checkpoint. --replace puts the model and its
figures into the source tree, in the place of those that puna ships and is tested with.
"""

import argparse
import itertools
import pathlib
import shutil

import gguf

import data
import export
import golden
import model
import train

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent.parent / "tests"
PLACES = {"demo.gguf": HERE, "demo-f16.gguf": HERE, "loss_curve.jsonl": HERE,
          "golden/held_out.txt": HERE, "golden/demo.json": TESTS / "golden/data",
          "golden/demo.logits.f32": TESTS / "golden/data",
          "golden/demo-f16.logits.f32": TESTS / "golden/data",
          "golden/sentencepiece_ids.json": TESTS / "unit/data"}


def write_sample(corpus, path):
    separator = "\n" + "-" * 80 + "\n"
    texts = itertools.islice(data.documents(corpus, "sample"), 200)
    path.write_text(separator.join("</s>".join(document) for document in texts), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3200, help="of 8 rows of 512 tokens")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "out")
    parser.add_argument("--replace", action="store_true", help="the files in the source tree")
    options = parser.parse_args()
    out = options.out
    (out / "golden").mkdir(parents=True, exist_ok=True)

    config, corpus = model.Config(), data.Corpus()
    write_sample(corpus, out / "corpus_sample.txt")
    tokenizer = data.tokenizer(corpus, config.n_vocab, options.seed, out)
    parameters = train.train(corpus, tokenizer, config, options.seed, options.steps, out)

    parameters = export.rounded(parameters)
    formats = gguf.GGMLQuantizationType
    export.write(out / "demo-f16.gguf", parameters, config, tokenizer, formats.F16)
    export.write(out / "demo.gguf", parameters, config, tokenizer, formats.Q8_0)
    held_out = golden.write(out / "golden", corpus, tokenizer, config)
    for name, figures in held_out.items():
        print(f"{name}.gguf: perplexity {figures['perplexity']:.4f} on held-out stories")
    if options.replace:
        for name, folder in PLACES.items():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(out / name, folder)


if __name__ == "__main__":
    main()
