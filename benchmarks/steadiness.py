"""How steady the machine itself is: calls that only compute, as long as those of a peer."""

from __future__ import annotations

import time

_MODULUS = (1 << 127) - 1
_BASE = 3**79


def steadiness(nanoseconds: float, seconds: float) -> float:
    """The 99th percentile over the median of computations of one thread.

    Powers of integers touch hardly any memory, wait for nobody and leave Python's lock alone: what
    makes one of them take longer than the next is the machine, its other tenants included.

    Parameters
    ----------
    nanoseconds : float
        How long one computation shall take.
    seconds : float
        For how long they are repeated.

    Examples
    --------
    >>> steadiness(2000.0, 0.01) >= 1.0
    True
    """
    took = sorted(times(nanoseconds, seconds))
    return took[len(took) * 99 // 100] / took[len(took) // 2]


def times(nanoseconds: float, seconds: float) -> list[int]:
    """Nanoseconds of every computation."""
    # Time grows with the number of bits of the exponent.
    bits = 2000
    a_bit = min(_powers(1 << bits, 0.01)) / bits
    return _powers(1 << max(1, int(nanoseconds / a_bit)), seconds)


def _powers(exponent: int, seconds: float) -> list[int]:
    clock = time.perf_counter_ns
    took = []
    end = clock() + int(seconds * 1e9)
    while not took or clock() < end:
        start = clock()
        pow(_BASE, exponent, _MODULUS)
        took.append(clock() - start)
    return took
