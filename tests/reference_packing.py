"""Packed batches of the oracle, in plain Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def packed_order(lengths: Sequence[int]) -> Array:
    """Indices that put sequences in packed order: longest first, equal lengths as they came."""
    return np.array(sorted(range(len(lengths)), key=lambda n: -lengths[n]), dtype=np.intp)


def active_counts(lengths: Sequence[int]) -> Array:
    """(T,) how many sequences are alive at each step."""
    return np.array(
        [sum(length > t for length in lengths) for t in range(max(lengths, default=0))], np.intp
    )


def steps(n_active: Array) -> Iterator[tuple[int, slice]]:
    """The number of sequences alive and their packed rows, step by step."""
    start = 0
    for n in n_active.tolist():
        yield n, slice(start, start + n)
        start += n


def pack(sequences: Sequence[Array]) -> Array:
    """Packed rows (R, F) of sequences (T_n, F) that are already in packed order."""
    n_active = active_counts([len(sequence) for sequence in sequences])
    rows = [sequences[n][t] for t, alive in enumerate(n_active) for n in range(alive)]
    return np.stack(rows) if rows else np.empty((0, sequences[0].shape[1] if sequences else 0))


def unpack(rows: Array, n_active: Array, n_sequences: int) -> list[Array]:
    """The sequences (T_n, F) of packed rows, in packed order."""
    parts: list[list[Array]] = [[] for _ in range(n_sequences)]
    for alive, where in steps(n_active):
        for n, row in zip(range(alive), rows[where], strict=True):
            parts[n].append(row)
    return [np.array(part).reshape(len(part), rows.shape[1]) for part in parts]
