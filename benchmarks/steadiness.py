"""How steady the machine itself is: calls that only compute, as long as those of a peer.

Powers of integers touch hardly any memory, wait for nobody and leave Python's lock alone: what
makes one of them take longer than the next is the machine, its other tenants included.
"""

from __future__ import annotations

import time

_MODULUS = (1 << 127) - 1
_BASE = 3**79


def exponent_of(nanoseconds: float) -> int:
    """The power that takes so long, on the machine as it is now.

    Examples
    --------
    >>> exponent_of(2000.0) < exponent_of(200000.0)
    True
    """
    # Time grows with the number of bits of the exponent.
    bits = 2000
    a_bit = min(times(1 << bits, 0.01)) / bits
    return 1 << max(1, int(nanoseconds / a_bit))


def times(exponent: int, seconds: float) -> list[int]:
    """Nanoseconds of each of the same computations, at least one, for about ``seconds``.

    Examples
    --------
    >>> min(times(1 << 100, 0.0)) > 0
    True
    """
    clock = time.perf_counter_ns
    took: list[int] = []
    end = clock() + int(seconds * 1e9)
    while not took or clock() < end:
        start = clock()
        pow(_BASE, exponent, _MODULUS)
        took.append(clock() - start)
    return took
