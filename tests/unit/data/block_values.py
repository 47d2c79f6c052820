#!/usr/bin/env python3
"""Writes block_values.bin: blocks of every quantised format and the values that the `gguf` package
(0.19, with numpy) reads from them. block_format_test.cpp compares bits.

For each format, all numbers little-endian:
  uint32     type number
  uint32     n blocks
  uint64     checksum of the values of BULK random blocks, see below
  bytes      n packed blocks
  float32    their values

The bulk blocks are too many to store: the test makes the same bytes from the same generator. Their
checksum is the sum of (2 i + 1) times the bits of value i, modulo 2^64.
"""

import pathlib
import struct

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

BULK = 1024  # every entry of the largest grid occurs some ten times

# The places of the F16 numbers of a block; None for the formats that store their scale otherwise.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "IQ4_NL": [0],
    "MXFP4": None,
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64],
    "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ1_S": [0],
    "IQ1_M": None,
}


def set_half(name, block, bits, which=None):
    """The scale (and min) of a block, given as the bits of an F16."""
    if name == "MXFP4":
        block[0] = {0x0000: 0, 0x0001: 1, 0x8001: 2, 0x3c00: 127, 0x7bff: 255, 0xfbff: 254}[bits]
    elif name == "IQ1_M":
        for i in range(4):
            block[49 + 2 * i] = block[49 + 2 * i] & 0x0f | (bits >> 4 * i & 15) << 4
    else:
        for i, at in enumerate(HALVES[name]):
            if which is None or i == which:
                block[at], block[at + 1] = bits & 255, bits >> 8


def make_finite(name, blocks):
    """Clears the top bit of the exponents: scales below 2, of either sign."""
    blocks = blocks.copy()
    if name == "IQ1_M":
        blocks[:, 55] &= 0xbf
    elif name != "MXFP4":
        for at in HALVES[name]:
            blocks[:, at + 1] &= 0xbf
    return blocks


def generator_bytes(seed, count):
    """The SplitMix64 sequence, as RandomBits::fill gives it."""
    words = (count + 7) // 8
    with np.errstate(over="ignore"):
        steps = np.arange(1, words + 1, dtype=np.uint64)
        state = np.uint64(seed) + np.uint64(0x9e3779b97f4a7c15) * steps
        mixed = (state ^ state >> np.uint64(30)) * np.uint64(0xbf58476d1ce4e5b9)
        mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94d049bb133111eb)
        mixed = mixed ^ mixed >> np.uint64(31)
    return mixed.astype("<u8").view(np.uint8)[:count]


def checksum(values):
    bits = values.astype("<f4").view("<u4").astype(np.uint64).ravel()
    factors = np.arange(1, 2 * bits.size, 2, dtype=np.uint64)
    with np.errstate(over="ignore"):
        return int((bits * factors).sum(dtype=np.uint64))


def stored_blocks(name, n_bytes):
    random = make_finite(name, generator_bytes(7, 2 * n_bytes).reshape(2, n_bytes))
    special = [
        (0x0000, 0xff),  # zero scale, largest quants
        (0x3c00, 0xff),  # one, largest quants
        (0x8001, 0x5a),  # negative and subnormal
    ]
    blocks = [np.array(block) for block in random]
    for bits, fill in special:
        block = np.full(n_bytes, fill, np.uint8)
        set_half(name, block, bits)
        blocks.append(block)
    block = generator_bytes(11, n_bytes).copy()  # the largest scale, and a negative min
    set_half(name, block, 0x7bff)
    if HALVES[name] and len(HALVES[name]) > 1:
        set_half(name, block, 0xfbff, which=1)
    blocks.append(block)
    return np.stack(blocks)


def main():
    path = pathlib.Path(__file__).with_suffix(".bin")
    with path.open("wb") as file:
        for name in HALVES:
            kind = GGMLQuantizationType[name]
            n_bytes = GGML_QUANT_SIZES[kind][1]
            bulk = make_finite(name, generator_bytes(kind, BULK * n_bytes).reshape(BULK, n_bytes))
            blocks = stored_blocks(name, n_bytes)
            with np.errstate(over="ignore"):
                total = checksum(dequantize(bulk, kind))
                values = dequantize(blocks, kind)
            assert not np.isnan(values).any(), name
            file.write(struct.pack("<IIQ", kind, len(blocks), total))
            file.write(blocks.tobytes())
            file.write(values.astype("<f4").tobytes())
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
