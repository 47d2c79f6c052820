"""From a seed to rows of tokens: documents, the tokenizer trained on them, and packing."""

import collections
import io
import itertools
import pathlib
import random
import re
import sys

import numpy
import sentencepiece

sys.path.insert(0, str(pathlib.Path(__file__).parent / "corpus"))
from documents import Corpus  # noqa: E402

BOS, EOS = 1, 2
AGAIN_WEIGHT = 3.0  # of a token of a rare word that its document has had before
RARE = 0.04  # a rare word is in fewer than this part of the documents


def documents(corpus, seed, max_words=370):
    """Documents without end, each a list of texts; the same for the same seed."""
    generator = random.Random(seed)
    while True:
        _, texts = corpus.document(generator)
        if sum(len(text.split()) for text in texts) <= max_words:
            yield texts


def train_tokenizer(corpus, seed, n_vocab, n_documents=12000):
    """A serialised SentencePiece model of the kind that Llama 2 has: BPE with byte fallback."""
    some = itertools.islice(documents(corpus, f"tokenizer {seed}"), n_documents)
    lines = (line for texts in some for text in texts for line in text.split("\n") if line)
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


def common_words(corpus, n_documents=4000):
    counts = collections.Counter()
    for texts in itertools.islice(documents(corpus, "common words"), n_documents):
        counts.update({word.lower() for text in texts for word in re.findall(r"[^\W\d_]+", text)})
    return {word for word, count in counts.items() if count >= RARE * n_documents}


def words(pieces):
    """(word in lower case, begin, end) of SentencePiece's pieces: one, and the letters after it."""
    begin = 0
    for end in range(1, len(pieces) + 1):
        if end == len(pieces) or not pieces[end].isalpha():
            yield re.sub(r"[\W_]", "", "".join(pieces[begin:end])).lower(), begin, end
            begin = end


def encode(tokenizer, texts):
    """The tokens of a document: every text by itself, an end-of-text token after it."""
    tokens = [BOS]
    for text in texts:
        tokens += tokenizer.encode(text) + [EOS]
    return tokens


def weights(tokenizer, tokens, common):
    """What a document's tokens count for in the training: 0 the first, which nothing foretells."""
    result = numpy.ones(len(tokens), numpy.int8)
    result[0] = 0
    seen = set()
    for word, begin, end in words([tokenizer.id_to_piece(token) for token in tokens]):
        if word in seen:
            result[begin:end] = AGAIN_WEIGHT
        elif word.isalpha() and word not in common:
            seen.add(word)
    return result


def packed(encoded, n_ctx):
    """int16 [n, 3, n_ctx + 1]: rows of whole documents; for every token, the number of its document
    and its weight.

    encoded: (tokens, weights) of documents. Numbers begin at 1 in every row; 0 stands where no
    document found room. A document goes to the first of the rows still open that has room for it.
    """
    n_open = 64
    rows, lengths, counts = [], [], []
    for document in encoded:
        length = len(document[0])
        if length > n_ctx + 1:
            continue
        first = max(0, len(rows) - n_open)
        room = (i for i in range(first, len(rows)) if lengths[i] + length <= n_ctx + 1)
        i = next(room, len(rows))
        if i == len(rows):
            rows.append(numpy.zeros((3, n_ctx + 1), numpy.int16))
            lengths.append(0)
            counts.append(0)
        counts[i] += 1
        tokens, document_weights = document
        rows[i][:, lengths[i]:lengths[i] + length] = tokens, [counts[i]] * length, document_weights
        lengths[i] += length
    return numpy.stack(rows)
