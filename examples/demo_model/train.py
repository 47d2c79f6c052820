"""The training loop: progress on standard error, a loss curve, and checkpoints to go on from."""

import functools
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
WARM_UP = 60
N_ROWS = 8  # of a step
CHECKPOINT_EVERY = 100
HELD_OUT = "held out"  # seed of the documents that no training sees


def learning_rate(step, n_steps):
    """Up in a line, then down to zero in a line over the last 60 %."""
    return RATE * min((step + 1) / WARM_UP, 1.0, (n_steps - step) / (0.6 * n_steps))


@functools.partial(jax.jit, static_argnames="config", donate_argnums=(0, 1))
def train_step(parameters, state, rows, documents, rate, count, config):
    loss, gradients = jax.value_and_grad(model.loss)(parameters, rows, documents, config)
    parameters, state = optimizer.step(parameters, state, gradients, rate, count)
    return parameters, state, loss


@functools.partial(jax.jit, static_argnames="config")
def scored_loss(parameters, rows, documents, config):
    return model.loss(parameters, rows, documents, config)


def mean_loss(parameters, rows, documents, config):
    losses = [scored_loss(parameters, rows[i:i + N_ROWS], documents[i:i + N_ROWS], config)
              for i in range(0, len(rows) - N_ROWS + 1, N_ROWS)]
    return float(numpy.mean(losses))


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


def batches(corpus, tokenizer, config, seed, n_steps, cached):
    """Rows for all steps, every document new; kept in a file, because making them takes minutes."""
    if not cached.exists():
        texts = data.documents(corpus, f"training {seed}", 10 ** 9)
        encoded, n_tokens = [], 0
        while n_tokens < 1.01 * n_steps * N_ROWS * (config.n_ctx + 1):
            encoded.append(data.encode(tokenizer, next(texts)))
            n_tokens += len(encoded[-1])
            if len(encoded) % 5000 == 0:
                print(f"{len(encoded)} documents, {n_tokens} tokens", file=sys.stderr)
        rows, documents = data.packed(encoded, config.n_ctx)
        order = numpy.random.default_rng(seed).permutation(len(rows))
        with open(cached, "wb") as file:
            numpy.savez(file, rows=rows[order], documents=documents[order])
    loaded = numpy.load(cached)
    return loaded["rows"].astype(numpy.int32), loaded["documents"].astype(numpy.int32)


def train(corpus, tokenizer, config, seed, n_steps, folder):
    """Trained parameters as numpy arrays. What it writes to the folder lets a later call go on."""
    rows, documents = batches(corpus, tokenizer, config, seed, n_steps, folder / "batches.npz")
    held_out = data.packed([data.encode(tokenizer, texts)
                            for texts in data.documents(corpus, HELD_OUT, 400)],
                           config.n_ctx)
    held_out = [part.astype(numpy.int32) for part in held_out]
    checkpoint, curve = folder / "checkpoint.pickle", folder / "loss_curve.jsonl"
    if checkpoint.exists():
        done, parameters, state = pickle.loads(checkpoint.read_bytes())
    else:
        parameters = model.initial_parameters(config, jax.random.PRNGKey(seed))
        done, state = 0, optimizer.initial_state(parameters)
        curve.write_text("")
    progress = Progress(n_steps, done)
    for step in range(done, n_steps):
        chosen = slice(step * N_ROWS % (len(rows) - N_ROWS), None)
        batch_rows, batch_documents = rows[chosen][:N_ROWS], documents[chosen][:N_ROWS]
        parameters, state, loss = train_step(parameters, state, batch_rows, batch_documents,
                                             learning_rate(step, n_steps), step + 1.0, config)
        progress.show(step + 1, float(loss))
        point = {"step": step + 1, "loss": round(float(loss), 4)}
        if (step + 1) % CHECKPOINT_EVERY == 0 or step + 1 == n_steps:
            point["held_out"] = round(mean_loss(parameters, *held_out, config), 4)
            temporary = checkpoint.with_suffix(".part")
            temporary.write_bytes(pickle.dumps((step + 1, jax.device_get(parameters),
                                                jax.device_get(state))))
            temporary.replace(checkpoint)
        if step % 10 == 9 or step + 1 == n_steps:
            with open(curve, "a", encoding="utf-8") as file:
                file.write(json.dumps(point) + "\n")
    return {name: numpy.asarray(value) for name, value in parameters.items()}
