"""The weights that Keras on TensorFlow draws for a new layer, computed by NumPy.

Keras draws a kernel by `tf.random.stateless_uniform`, whose bits come from the generator
Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): ten rounds that
mix a counter of four 32-bit words with a key of two. TensorFlow derives the key and the upper half
of the first counter from the seed, and fills the kernel with the words of one counter after the
other. The numbers here are TensorFlow's, bit by bit, without its import, which takes seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
"""Numbers below 2**32, in 64 bits so that products do not overflow."""

_ROUNDS: Final = 10
_WORD: Final = 0xFFFFFFFF
_MULTIPLIERS: Final = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS: Final = (0x9E3779B9, 0xBB67AE85)
_SEED_KEY: Final = (0x3EC8F720, 0x02461E29)
"""The key with which TensorFlow mixes a seed, so that near seeds give unlike numbers."""
_COUNTERS_AT_ONCE: Final = 1 << 18
"""How many counters are mixed at a time; each takes about 100 bytes of memory."""


def draw_glorot_uniform(shape: Sequence[int], seed: int) -> npt.NDArray[np.float32]:
    """Draw a kernel as Keras' initializer `GlorotUniform` does.

    The numbers are uniform between -limit and limit, with limit = sqrt(6 / (inputs + outputs)) of
    one unit (Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010).

    Args:
        shape: The kernel's shape: (in, out) of a dense layer, (rows, columns, in, out) of a
            convolution.
        seed: The seed of the initializer, from 0 to 2**32 - 1.

    Returns:
        The kernel, float32, of the given shape.
    """
    *places, num_inputs, num_outputs = shape
    fan = math.prod(places) * (num_inputs + num_outputs)
    # In the order of Keras' operations, on which the last bit depends.
    limit = math.sqrt(3.0 * (1.0 / max(1.0, fan / 2.0)))
    low, high = np.float32(-limit), np.float32(limit)
    return (_draw_uniform(math.prod(shape), seed) * (high - low) + low).reshape(shape)


def _draw_uniform(count: int, seed: int) -> npt.NDArray[np.float32]:
    """Draw numbers from 0 to below 1, multiples of 2**-23."""
    mixed = _philox(np.array([[seed, 0, 0, 0]], np.uint64), _SEED_KEY)[0]
    key = (int(mixed[0]), int(mixed[1]))
    words = np.empty((-(-count // 4), 4), np.uint32)
    for start in range(0, len(words), _COUNTERS_AT_ONCE):
        numbers = np.arange(start, min(start + _COUNTERS_AT_ONCE, len(words)), dtype=np.uint64)
        counters = np.zeros((len(numbers), 4), np.uint64)
        counters[:, 0] = numbers
        counters[:, 2:] = mixed[2:]
        words[start : start + len(numbers)] = _philox(counters, key)
    # 23 random bits behind the exponent of 1 make a number from 1 to below 2.
    bits = words.reshape(-1)[:count] & np.uint32(0x7FFFFF) | np.uint32(0x3F800000)
    return bits.view(np.float32) - np.float32(1)


def _philox(counters: Words, key: tuple[int, int]) -> Words:
    """Mix counters, uint64 (n, 4), with a key; returns random words, uint64 (n, 4)."""
    word, half = np.uint64(_WORD), np.uint64(32)
    first, second, third, fourth = (counters[:, column] for column in range(4))
    for number in range(_ROUNDS):
        one, two = (
            np.uint64((part + number * step) & _WORD)
            for part, step in zip(key, _KEY_STEPS, strict=True)
        )
        low, high = first * _MULTIPLIERS[0], third * _MULTIPLIERS[1]
        first, second = (high >> half) ^ second ^ one, high & word
        third, fourth = (low >> half) ^ fourth ^ two, low & word
    return np.stack([first, second, third, fourth], axis=1)
