"""Muon for the matrices, Adam for the embedding and the norms.

Muon: K. Jordan and others, "Muon: An optimizer for hidden layers in neural networks" (2024); the
factor that makes its steps as large as Adam's is from "Muon is scalable for LLM training" (2025).
"""

import jax
import jax.numpy as jnp

MOMENTUM = 0.95
BETAS = (0.9, 0.99)
WEIGHT_DECAY = 0.05
ADAM_RATE = 0.4  # of Muon's learning rate


def is_hidden_matrix(name, value):
    return value.ndim == 2 and name != "embedding"


def initial_state(parameters):
    """name -> (first moment, second moment), of which Muon needs the first only."""
    return {name: (jnp.zeros_like(value),
                   None if is_hidden_matrix(name, value) else jnp.zeros_like(value))
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


def step(parameters, state, gradients, rate, count):
    """(parameters, state) after one step; count is 1 in the first."""
    norm = jnp.sqrt(sum(jnp.sum(value ** 2) for value in gradients.values()))
    gradients = jax.tree.map(lambda value: value * jnp.minimum(1.0, 1.0 / norm), gradients)
    new_parameters, new_state = {}, {}
    for name, value in parameters.items():
        gradient, (first, second) = gradients[name], state[name]
        if is_hidden_matrix(name, value):
            first = MOMENTUM * first + gradient
            update = orthogonal(gradient + MOMENTUM * first) * 0.2 * max(value.shape) ** 0.5
            new_parameters[name] = value - rate * (update + WEIGHT_DECAY * value)
        else:
            first = BETAS[0] * first + (1 - BETAS[0]) * gradient
            second = BETAS[1] * second + (1 - BETAS[1]) * gradient ** 2
            mean, square = first / (1 - BETAS[0] ** count), second / (1 - BETAS[1] ** count)
            new_parameters[name] = value - ADAM_RATE * rate * mean / (jnp.sqrt(square) + 1e-8)
        new_state[name] = (first, second)
    return new_parameters, new_state
