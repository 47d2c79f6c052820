"""From a seed to rows of tokens: documents, the tokenizer trained on them, and packing."""

import io
import random
import sys
import pathlib

import numpy
import sentencepiece

sys.path.insert(0, str(pathlib.Path(__file__).parent / "corpus"))
from documents import Corpus  # noqa: E402

BOS, EOS = 1, 2


def documents(corpus, seed, n, max_words=370):
    """n documents, each a list of texts; the same for the same seed."""
    generator = random.Random(seed)
    while n > 0:
        _, texts = corpus.document(generator)
        if sum(len(text.split()) for text in texts) <= max_words:
            yield texts
            n -= 1


def train_tokenizer(corpus, seed, n_vocab, n_documents=12000):
    """A serialised SentencePiece model of the kind that Llama 2 has: BPE with byte fallback."""
    lines = (line for texts in documents(corpus, f"tokenizer {seed}", n_documents)
             for text in texts for line in text.split("\n") if line)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines, model_writer=model, model_type="bpe", vocab_size=n_vocab,
        byte_fallback=True, character_coverage=1.0, split_digits=True,
        allow_whitespace_only_pieces=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, num_threads=1,
        minloglevel=2)
    return model.getvalue()


def tokenizer(corpus, n_vocab, seed, folder):
    """The tokenizer of a seed, from the folder if it is there already."""
    path = folder / "tokenizer.model"
    if not path.exists():
        path.write_bytes(train_tokenizer(corpus, seed, n_vocab))
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def encode(tokenizer, texts):
    """The tokens of a document: every text by itself, an end-of-text token after it."""
    tokens = [BOS]
    for text in texts:
        tokens += tokenizer.encode(text) + [EOS]
    return tokens


def packed(encoded, n_ctx):
    """Rows [n, n_ctx + 1] of whole documents, and the number of its document for every token.

    Numbers begin at 1 in every row; 0 stands where no document found room. A document goes to the
    first of the rows still open that has room for it.
    """
    n_open = 64
    rows, lengths, counts = [], [], []
    for tokens in encoded:
        if len(tokens) > n_ctx + 1:
            continue
        first = max(0, len(rows) - n_open)
        room = (i for i in range(first, len(rows)) if lengths[i] + len(tokens) <= n_ctx + 1)
        i = next(room, len(rows))
        if i == len(rows):
            rows.append(numpy.zeros((2, n_ctx + 1), numpy.int16))
            lengths.append(0)
            counts.append(0)
        counts[i] += 1
        rows[i][0, lengths[i]:lengths[i] + len(tokens)] = tokens
        rows[i][1, lengths[i]:lengths[i] + len(tokens)] = counts[i]
        lengths[i] += len(tokens)
    stacked = numpy.stack(rows)
    return stacked[:, 0], stacked[:, 1]
