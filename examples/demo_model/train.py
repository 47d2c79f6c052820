"""The training loop: progress on standard error, a loss curve, and checkpoints to go on from."""

import functools
import itertools
import json
import pickle
import sys
import time

import jax
import numpy

import data
import model
import optimizer

RATE = 4e-3
WARM_UP = 30
N_ROWS = 8  # of a step
CHECKPOINT_EVERY = 100
HELD_OUT, N_HELD_OUT = "held out", 400  # seed and number of the documents that no training sees


def learning_rate(step, n_steps):
    """Up in a line, then down to zero in a line over the last 60 %."""
    return RATE * min((step + 1) / WARM_UP, 1.0, (n_steps - step) / (0.6 * n_steps))


@functools.partial(jax.jit, static_argnames="config", donate_argnums=(0, 1))
def train_step(parameters, state, rows, rate, count, config):
    loss, gradients = jax.value_and_grad(model.loss)(parameters, *rows, config)
    parameters, state = optimizer.step(parameters, state, gradients, rate, count, config)
    return parameters, state, loss


scored_loss = jax.jit(model.loss, static_argnames="config")


def parts(rows):
    """(tokens, documents, weights), each [n, n_ctx + 1], of rows as data.packed gives them."""
    return tuple(rows.astype(numpy.int32).transpose(1, 0, 2))


def mean_loss(parameters, rows, config, least_weight):
    """Mean surprise of the tokens with at least such a weight."""
    total, n_tokens = 0.0, 0
    for begin in range(0, len(rows), 8):
        tokens, documents, weights = parts(rows[begin:begin + 8])
        scored = (weights >= least_weight).astype(numpy.int32)
        n_scored = scored[:, 1:].sum()
        total += float(scored_loss(parameters, tokens, documents, scored, config)) * n_scored
        n_tokens += n_scored
    return total / n_tokens


class Progress:
    """A bar on a terminal, else a line now and then."""

    def __init__(self, n_steps, done):
        self.n_steps, self.done_before, self.begin, self.said = n_steps, done, time.time(), 0.0

    def show(self, done, loss):
        now = time.time()
        if not sys.stderr.isatty() and now - self.said < 30 and done < self.n_steps:
            return
        self.said = now
        left = (now - self.begin) / max(1, done - self.done_before) * (self.n_steps - done)
        filled = 30 * done // self.n_steps
        line = (f"training [{'#' * filled}{'.' * (30 - filled)}] {done}/{self.n_steps} steps, loss "
                f"{loss:.3f}, {left / 60:.0f} min left")
        print("\r" + line if sys.stderr.isatty() else line, file=sys.stderr, flush=True,
              end="" if sys.stderr.isatty() and done < self.n_steps else "\n")


def weighted(corpus, tokenizer, seed):
    """(tokens, weights) of documents without end."""
    common = data.common_words(corpus)
    for texts in data.documents(corpus, seed):
        tokens = data.encode(tokenizer, texts)
        yield tokens, data.weights(tokenizer, tokens, common)


def training_rows(corpus, tokenizer, config, seed, n_steps, cached):
    """Rows for all steps, every document new; kept in a file, because making them takes minutes."""
    if not cached.exists():
        encoded, n_tokens = [], 0
        for document in weighted(corpus, tokenizer, f"training {seed}"):
            encoded.append(document)
            n_tokens += len(document[0])
            if len(encoded) % 10000 == 0:
                print(f"{len(encoded)} documents, {n_tokens} tokens", file=sys.stderr)
            if n_tokens > 1.01 * n_steps * N_ROWS * (config.n_ctx + 1):
                break
        rows = data.packed(encoded, config.n_ctx)
        with open(cached, "wb") as file:
            numpy.save(file, rows[numpy.random.default_rng(seed).permutation(len(rows))])
    return numpy.load(cached, mmap_mode="r")


def train(corpus, tokenizer, config, seed, n_steps, folder):
    """Trained parameters as numpy arrays. What it writes to the folder lets a later call go on."""
    rows = training_rows(corpus, tokenizer, config, seed, n_steps, folder / "rows.npy")
    held_out = data.packed(itertools.islice(weighted(corpus, tokenizer, HELD_OUT), N_HELD_OUT),
                           config.n_ctx)
    checkpoint, curve = folder / "checkpoint.pickle", folder / "loss_curve.jsonl"
    if checkpoint.exists():
        done, parameters, state = pickle.loads(checkpoint.read_bytes())
    else:
        parameters = model.initial_parameters(config, jax.random.PRNGKey(seed))
        done, state = 0, optimizer.initial_state(parameters)
        curve.write_text("")
    progress, sum_of_losses = Progress(n_steps, done), 0.0
    for step in range(done, n_steps):
        chosen = parts(rows[step * N_ROWS % (len(rows) - N_ROWS):][:N_ROWS])
        parameters, state, loss = train_step(parameters, state, chosen,
                                             learning_rate(step, n_steps), step + 1.0, config)
        sum_of_losses += float(loss)
        progress.show(step + 1, float(loss))
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == n_steps:
            since = step % CHECKPOINT_EVERY + 1
            write_point(curve, step + 1, sum_of_losses / since, parameters, held_out, config)
            sum_of_losses = 0.0
            temporary = checkpoint.with_suffix(".part")
            temporary.write_bytes(pickle.dumps((step + 1, jax.device_get(parameters),
                                                jax.device_get(state))))
            temporary.replace(checkpoint)
    return {name: numpy.asarray(value)
            for name, value in model.with_output(parameters, config).items()}


def write_point(curve, step, loss, parameters, held_out, config):
    point = {"step": step, "loss": round(loss, 4),
             "held_out": round(mean_loss(parameters, held_out, config, 1), 4),
             "held_out_again": round(mean_loss(parameters, held_out, config, 2), 4)}
    with open(curve, "a", encoding="utf-8") as file:
        file.write(json.dumps(point) + "\n")
