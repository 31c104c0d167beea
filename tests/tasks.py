"""Learning problems that need a memory, drawn at random without end.

Hochreiter, Schmidhuber: Long short-term memory (Neural Computation 1997), experiments 1 and 4.
"""

from __future__ import annotations

import numpy as np
from reference import Array

SYMBOLS = "BTPSXVE"

# Reber grammar: node -> the symbols that may follow and the nodes they lead to.
REBER: dict[int, dict[str, int]] = {
    0: {"B": 1},
    1: {"T": 2, "P": 3},
    2: {"S": 2, "X": 4},
    3: {"T": 3, "V": 5},
    4: {"X": 3, "S": 6},
    5: {"P": 4, "V": 6},
    6: {"E": 7},
}
REBER_END = 7


def adding_problem(n_samples: int, n_steps: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """X (n, T, 2): uniform numbers from 0 to 1, and two markers; y (n,): the sum of the marked.

    One marked step lies in the first half, the other one in the second half. Who always answers 1
    has a mean squared error of 1/6.
    """
    X = np.zeros((n_samples, n_steps, 2))
    X[:, :, 0] = rng.random((n_samples, n_steps))
    rows, half = np.arange(n_samples), n_steps // 2
    first, second = rng.integers(0, half, n_samples), rng.integers(half, n_steps, n_samples)
    X[rows, first, 1] = X[rows, second, 1] = 1
    return X, X[rows, first, 0] + X[rows, second, 0]


def reber_string(rng: np.random.Generator) -> tuple[str, list[set[str]]]:
    """A string of the Reber grammar and, after each symbol, the set of those that may follow."""
    node, string, may_follow = 0, "", []
    while node != REBER_END:
        choices = REBER[node]
        symbol = sorted(choices)[rng.integers(len(choices))]
        node = choices[symbol]
        string += symbol
        may_follow.append(set(REBER.get(node, {})))
    return string, may_follow


def embedded_reber_string(rng: np.random.Generator) -> tuple[str, list[set[str]]]:
    """B, T or P, a Reber string, the same T or P again, E: and what may follow each symbol."""
    inner, inner_follows = reber_string(rng)
    kind = "TP"[rng.integers(2)]
    may_follow = [{"T", "P"}, {"B"}, *inner_follows[:-1], {kind}, {"E"}]
    return f"B{kind}{inner}{kind}", may_follow


def one_hot(string: str) -> Array:
    """(T, 7) for a string of T symbols."""
    return np.eye(len(SYMBOLS))[[SYMBOLS.index(symbol) for symbol in string]]


def embedded_symbol(n_samples: int, rng: np.random.Generator) -> tuple[list[Array], Array]:
    """Embedded Reber strings up to the end of the inner string; which of T and P is to come.

    The answer is the second symbol: a network has to carry it through the whole inner string.
    """
    strings = [embedded_reber_string(rng)[0] for _ in range(n_samples)]
    return [one_hot(s[:-1]) for s in strings], np.array([s[-1] for s in strings])


def next_symbols(n_samples: int, rng: np.random.Generator) -> tuple[list[Array], Array]:
    """Beginnings of embedded Reber strings; (n, 7) indicators of the symbols that may follow.

    Half of the beginnings end where the embedded symbol is to come, the others anywhere.
    """
    X, Y = [], np.zeros((n_samples, len(SYMBOLS)), int)
    for row in Y:
        string, may_follow = embedded_reber_string(rng)
        end = len(string) - 1 if rng.random() < 0.5 else int(rng.integers(1, len(string) + 1))
        X.append(one_hot(string[:end]))
        row[[SYMBOLS.index(symbol) for symbol in may_follow[end - 1]]] = 1
    return X, Y
