"""Muon for the matrices of the layers, Adam for the rest, slowly for what attention copies by.

Muon: K. Jordan and others, "Muon: An optimizer for hidden layers in neural networks" (2024); the
factor that makes its steps as large as Adam's is from "Muon is scalable for LLM training" (2025).
Adam: D. P. Kingma and J. Ba, "Adam: A method for stochastic optimization" (2014).
"""

import jax.numpy as jnp

import model

MOMENTUM = 0.95
WEIGHT_DECAY = 0.05
BETAS = (0.9, 0.999)
# Of Muon's learning rate, Adam's for:
NORM_RATE = 0.5
EMBEDDING_RATE = 15.0  # whose values are of size 1, so that what is seen is not lost in a layer's sums
COPYING_RATE = 0.025  # faster, the copying is lost before it is used
LONGEST_GRADIENT = 1.0


def initial_state(parameters):
    """name -> (first moment, second moment)"""
    return {name: (jnp.zeros_like(value), jnp.zeros_like(value))
            for name, value in parameters.items()}


def orthogonal(matrix):
    """Near the closest orthogonal matrix: five steps of a Newton-Schulz iteration."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x /= jnp.linalg.norm(x) + 1e-7
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


def muon(value, gradient, first, second, rate):
    """(value, first moment, second moment), of which the last stays as it is"""
    first = MOMENTUM * first + gradient
    update = orthogonal(gradient + MOMENTUM * first) * 0.2 * max(value.shape) ** 0.5
    return value - rate * (update + WEIGHT_DECAY * value), first, second


def adam(value, gradient, first, second, rate, count):
    """(value, first moment, second moment)"""
    first = BETAS[0] * first + (1 - BETAS[0]) * gradient
    second = BETAS[1] * second + (1 - BETAS[1]) * gradient ** 2
    mean, square = first / (1 - BETAS[0] ** count), second / (1 - BETAS[1] ** count)
    return value - rate * mean / (jnp.sqrt(square) + 1e-9), first, second


def stepped(name, tensors, rate, count, config):
    """(value, first moment, second moment) after a step; tensors: (value, gradient, moments)."""
    if name == "embedding":
        return adam(*tensors, EMBEDDING_RATE * rate, count)
    if tensors[0].ndim == 1:
        return adam(*tensors, NORM_RATE * rate, count)
    axis, n = model.n_copying(name, config)
    if n == 0:
        return muon(*tensors, rate)
    copying, free = zip(*(jnp.split(tensor, [n], axis) for tensor in tensors))
    parts = adam(*copying, COPYING_RATE * rate, count), muon(*free, rate)
    return tuple(jnp.concatenate(both, axis) for both in zip(*parts))


def step(parameters, state, gradients, rate, count, config):
    """(parameters, state) after one step; count is 1 in the first."""
    norm = jnp.sqrt(sum(jnp.sum(value ** 2) for value in gradients.values()))
    scale = jnp.minimum(1.0, LONGEST_GRADIENT / norm)
    new_parameters, new_state = {}, {}
    for name, value in parameters.items():
        tensors = (value, gradients[name] * scale, *state[name])
        new_parameters[name], *moments = stepped(name, tensors, rate, count, config)
        new_state[name] = tuple(moments)
    return new_parameters, new_state
