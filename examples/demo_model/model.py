"""The Llama architecture in JAX: parameters, forward pass, loss.

Weights are stored as [input, output], the transpose of GGUF's rows. RoPE turns neighbouring pairs
(2i, 2i + 1) of a head, as GGUF files of the architecture "llama" have it.

Half of the attention begins by copying: behind the first layer, what the first KV head's query
heads read of a token's embedding they write in the place where the output matrix looks for that
token. So a look at an earlier word makes the word likelier from the first step on, and training need
only learn where to look. From random matrices it must find both at once, and had not after four
million tokens. (Structured beginnings: A. Trockman and J. Z. Kolter, "Mimetic initialization of
self-attention layers", 2023.)

The place stays right because in training the output matrix is the embedding, turned.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy


QUERY_BLOCK = 128


@dataclasses.dataclass(frozen=True)
class Config:
    n_vocab: int = 2048
    n_embd: int = 256
    n_layer: int = 4
    n_head: int = 4
    n_head_kv: int = 2
    n_ff: int = 704
    n_ctx: int = 512
    rope_base: float = 100000.0
    norm_epsilon: float = 1e-5

    @property
    def head_size(self):
        return self.n_embd // self.n_head


def shapes(config):
    """name -> shape of every parameter that is trained."""
    kv = config.n_head_kv * config.head_size
    result = {"embedding": (config.n_vocab, config.n_embd), "output_norm": (config.n_embd,)}
    for layer in range(config.n_layer):
        result |= {f"{layer}.{name}": shape for name, shape in {
            "attn_norm": (config.n_embd,),
            "q": (config.n_embd, config.n_embd),
            "k": (config.n_embd, kv),
            "v": (config.n_embd, kv),
            "o": (config.n_embd, config.n_embd),
            "ffn_norm": (config.n_embd,),
            "gate": (config.n_embd, config.n_ff),
            "up": (config.n_embd, config.n_ff),
            "down": (config.n_ff, config.n_embd)}.items()}
    return result


def orthogonal(key, n):
    return jnp.linalg.qr(jax.random.normal(key, (n, n)))[0]


@functools.cache
def turn(config):
    """An orthogonal matrix, the same in every training; a constant to what JAX compiles."""
    random = numpy.random.default_rng(0).normal(size=(config.n_embd, config.n_embd))
    return numpy.linalg.qr(random)[0].astype(numpy.float32)


def with_output(parameters, config):
    output = parameters["embedding"] @ turn(config) * config.n_embd ** -0.5
    return parameters | {"output": output}


def n_copying(name, config):
    """(axis, how many of a parameter's first rows or columns) attention begins to copy by."""
    if name.endswith((".v", ".o")) and not name.startswith("0."):
        group = config.n_head // config.n_head_kv
        return (1, config.head_size) if name.endswith(".v") else (0, group * config.head_size)
    return (0, 0)


def with_copying(parameters, config, key):
    """Sets what attention copies by."""
    result = dict(parameters)
    for layer, layer_key in enumerate(jax.random.split(key, config.n_layer - 1), 1):
        read = orthogonal(layer_key, config.n_embd)[:, :config.head_size]
        written = jnp.tile(read.T @ turn(config), (config.n_head // config.n_head_kv, 1))
        for name, value in ((f"{layer}.v", read), (f"{layer}.o", written)):
            axis, n = n_copying(name, config)
            free = jnp.split(result[name], [n], axis)[1]
            result[name] = jnp.concatenate([value, free], axis)
    return result


def initial_parameters(config, key):
    def initial(name, shape, key):
        if len(shape) == 1:
            return jnp.ones(shape)
        deviation = 1.0 if name == "embedding" else shape[0] ** -0.5
        if name.endswith((".o", ".down")):
            deviation *= 0.2 * (2 * config.n_layer) ** -0.5
        return deviation * jax.random.normal(key, shape)

    named = shapes(config)
    copying_key, *keys = jax.random.split(key, len(named) + 1)
    random = {name: initial(name, shape, key) for (name, shape), key in zip(named.items(), keys)}
    return with_copying(random, config, copying_key)


def rms_norm(x, weight, epsilon):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def rope(x, config):
    """x: [batch, time, head, head_size]"""
    half = config.head_size // 2
    frequencies = config.rope_base ** (-jnp.arange(half) / half)
    angles = jnp.arange(x.shape[1])[:, None] * frequencies
    cos, sin = jnp.cos(angles)[:, None], jnp.sin(angles)[:, None]
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = jnp.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1)
    return turned.reshape(x.shape)


def attention(parameters, layer, x, documents, config):
    """x: [batch, time, n_embd]. Queries go in blocks, which keys of later tokens need not meet."""
    batch, time, _ = x.shape
    group, head_size = config.n_head // config.n_head_kv, config.head_size

    def heads(name, n_head):
        return (x @ parameters[f"{layer}.{name}"]).reshape(batch, time, n_head, head_size)

    # One matrix per KV head: the query heads that share it lie one after the other.
    q = rope(heads("q", config.n_head), config) * head_size ** -0.5
    q = q.reshape(batch, time, config.n_head_kv, group, head_size).transpose(0, 2, 3, 1, 4)
    k = rope(heads("k", config.n_head_kv), config).transpose(0, 2, 3, 1)
    v = heads("v", config.n_head_kv).transpose(0, 2, 1, 3)
    blocks = []
    for begin in range(0, time, QUERY_BLOCK):
        end = min(begin + QUERY_BLOCK, time)
        earlier = jnp.arange(end)[None, :] <= jnp.arange(begin, end)[:, None]
        visible = earlier & (documents[:, begin:end, None] == documents[:, None, :end])
        bias = jnp.where(visible, 0.0, -1e30)[:, None, None]
        folded = q[:, :, :, begin:end].reshape(batch, config.n_head_kv, -1, head_size)
        scores = (folded @ k[..., :end]).reshape(batch, config.n_head_kv, group, -1, end) + bias
        weights = jax.nn.softmax(scores, axis=-1).reshape(*folded.shape[:3], end)
        mixed = (weights @ v[:, :, :end]).reshape(batch, config.n_head, -1, head_size)
        blocks.append(mixed.transpose(0, 2, 1, 3).reshape(batch, end - begin, -1))
    return jnp.concatenate(blocks, axis=1) @ parameters[f"{layer}.o"]


def feed_forward(parameters, layer, x):
    gate, up = x @ parameters[f"{layer}.gate"], x @ parameters[f"{layer}.up"]
    return (jax.nn.silu(gate) * up) @ parameters[f"{layer}.down"]


def forward(parameters, tokens, config, documents=None):
    """Logits [batch, time, n_vocab] of tokens [batch, time].

    A token sees those before it; with `documents` [batch, time] only those of its own document.
    """
    if documents is None:
        documents = jnp.zeros(tokens.shape, jnp.int32)
    x = parameters["embedding"][tokens]
    for layer in range(config.n_layer):
        normed = rms_norm(x, parameters[f"{layer}.attn_norm"], config.norm_epsilon)
        x += attention(parameters, layer, normed, documents, config)
        normed = rms_norm(x, parameters[f"{layer}.ffn_norm"], config.norm_epsilon)
        x += feed_forward(parameters, layer, normed)
    x = rms_norm(x, parameters["output_norm"], config.norm_epsilon)
    return x @ parameters["output"].T


def surprise(logits, targets):
    """-log(p) of the targets, [batch, time]."""
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def loss(parameters, rows, documents, weights, config):
    """Mean surprise of rows [batch, time + 1], each token with its weight (0: not scored)."""
    logits = forward(with_output(parameters, config), rows[:, :-1], config, documents[:, :-1])
    weights = weights[:, 1:]
    return jnp.sum(surprise(logits, rows[:, 1:]) * weights) / jnp.maximum(jnp.sum(weights), 1)
