"""The masks of dropout between layers, in NumPy, and the random numbers that all masks are of.

Salmon et al.: Parallel random numbers: as easy as 1, 2, 3 (2011), Philox4x32-10; Steele et al.:
Fast splittable pseudorandom number generators (2014), the finaliser.
"""

from __future__ import annotations

import numpy as np
from reference import Array

_LOW = np.uint64(2**32 - 1)


def philox(counters: Array, key: int) -> Array:
    """Four numbers of 32 bits for each of the counters (n, 4), all of them as uint64."""
    a, b, c, d = np.asarray(counters, np.uint64).T
    low, high = key % 2**32, key >> 32
    for _ in range(10):
        of_a, of_c = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, c = (
            of_c >> np.uint64(32) ^ b ^ np.uint64(low),
            of_a >> np.uint64(32) ^ d ^ np.uint64(high),
        )
        b, d = of_c & _LOW, of_a & _LOW
        low, high = (low + 0x9E3779B9) % 2**32, (high + 0xBB67AE85) % 2**32
    return np.stack([a, b, c, d], axis=1)


def mix(z: int) -> int:
    """A hash of 64 bits."""
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def mask(
    rate: float, samples: Array, layer: int, steps: Array, n_units: int, *, seed: int, epoch: int
) -> Array:
    """(R, n_units): 0, or 1 / (1 - rate) where a unit stays, for the sample and step of each row.

    Samples are numbers below 2**32.
    """
    n_groups = -(-n_units // 4)
    rows, groups = np.divmod(np.arange(len(samples) * n_groups), n_groups)
    counters = np.stack(
        [samples[rows], np.full(len(rows), layer), steps[rows], groups], axis=1
    ).astype(np.uint64)
    numbers = philox(counters, mix(seed ^ mix(epoch))).reshape(len(samples), 4 * n_groups)
    return (numbers[:, :n_units] >= np.uint64(int(rate * 2**32))) / (1 - rate)
