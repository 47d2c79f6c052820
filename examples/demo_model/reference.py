"""What the training framework itself computes with a model's weights, in float32."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy

import data
import model


@functools.partial(jax.jit, static_argnames="config")
def _forward(parameters, tokens, config):
    return model.forward(parameters, tokens, config)


def logits(parameters, tokens, config):
    """float32 [len(tokens), n_vocab]; padded to few lengths, so that few are compiled."""
    length = -(-len(tokens) // 64) * 64
    padded = jnp.array([list(tokens) + [0] * (length - len(tokens))])
    return numpy.asarray(_forward(parameters, padded, config)[0, :len(tokens)])


def greedy(parameters, prompt, config, n_tokens, clear_gap):
    """The likeliest tokens after a prompt, to the end token, or to a choice that is not clear:

    the two largest logits differ by less than clear_gap there.
    """
    tokens = list(prompt)
    for _ in range(n_tokens):
        row = logits(parameters, tokens, config)[-1]
        second, first = numpy.partition(row, -2)[-2:]
        if first - second < clear_gap:
            break
        tokens.append(int(numpy.argmax(row)))
        if tokens[-1] == data.EOS:
            break
    return tokens[len(prompt):]


def perplexity(parameters, tokens, config):
    """(perplexity, tokens scored) of a text as `puna perplexity` counts it.

    The tokens are cut into chunks as long as the context, which begin with BOS and are evaluated by
    themselves; the second half of a chunk is scored. An incomplete chunk is left out.
    """
    total, n_scored = 0.0, 0
    half = config.n_ctx // 2
    for begin in range(0, len(tokens) - config.n_ctx + 1, config.n_ctx):
        chunk = numpy.array(tokens[begin:begin + config.n_ctx])
        chunk[0] = data.BOS
        rows = logits(parameters, chunk[:-1], config).astype(numpy.float64)[half:]
        largest = rows.max(axis=1)
        log_sum = numpy.log(numpy.exp(rows - largest[:, None]).sum(axis=1)) + largest
        total += float((log_sum - rows[numpy.arange(len(rows)), chunk[half + 1:]]).sum())
        n_scored += len(rows)
    return math.exp(total / n_scored), n_scored
