"""The numbers of one measurement: weights, inputs and output gradients, the same for every peer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .shapes import Shape

Array = NDArray[Any]


@dataclass(frozen=True)
class Problem:
    """One layer and one packed batch, all float32.

    Rows are time-major and packed: sequences sorted by length, longest first, and only the
    sequences still alive stored for each step. With equal lengths that is plainly (T, N, .).

    Attributes
    ----------
    shape : Shape
        Where the sizes come from.
    lengths : ndarray of shape (N,)
        Non-increasing.
    n_active : ndarray of shape (T,)
        Sequences alive at each step.
    weight_ih, weight_hh, bias : ndarray
        (4H, I), (4H, H), (4H,); gates in the order i, f, g, o.
    x, dy : ndarray
        (R, I) inputs and (R, H) gradient of the outputs.
    of_cell : dict or None
        Parameters of a layer that is no plain LSTM, by lstmcore's names; None as long as they are
        not known.
    """

    shape: Shape
    lengths: Array
    n_active: Array
    weight_ih: Array
    weight_hh: Array
    bias: Array
    x: Array
    dy: Array
    of_cell: dict[str, Array] | None = None

    @property
    def parameters(self) -> dict[str, Array]:
        """Parameters by lstmcore's names."""
        if self.shape.cell != "lstm":
            return self.of_cell or {}
        names = ("weight_ih", "weight_hh", "bias")
        return {f"{name}_l0": getattr(self, name) for name in names}

    @property
    def n_sequences(self) -> int:
        """N."""
        return len(self.lengths)

    @property
    def equal(self) -> bool:
        """Whether all sequences have the same length."""
        return self.shape.shortest is None

    def pad(self, rows: Array) -> Array:
        """Packed (R, F) to time-major (T, N, F), zeros after each sequence's end."""
        steps, n = len(self.n_active), self.n_sequences
        if self.equal:
            return rows.reshape(steps, n, -1)
        padded = np.zeros((steps, n, rows.shape[1]), rows.dtype)
        padded[self.mask()] = rows
        return padded

    def unpad(self, padded: Array) -> Array:
        """Time-major (T, N, F) to packed (R, F)."""
        if self.equal:
            return padded.reshape(-1, padded.shape[-1])
        packed: Array = padded[self.mask()]
        return packed

    def part(self, sequences: list[int]) -> tuple[Problem, Array]:
        """Some of the sequences as a problem of their own, and which rows of the batch they have.

        Parameters
        ----------
        sequences : list of int
            Ascending numbers of sequences in the packed batch.
        """
        offset = np.concatenate([[0], np.cumsum(self.n_active)[:-1]])
        chosen = np.asarray(sequences)
        alive = [chosen[chosen < n] for n in self.n_active]
        rows = np.concatenate([start + n for start, n in zip(offset, alive, strict=True)])
        part = replace(
            self,
            lengths=self.lengths[chosen],
            n_active=np.array([len(n) for n in alive], np.intp),
            x=self.x[rows],
            dy=self.dy[rows],
        )
        return part, rows

    def mask(self) -> Array:
        """Bool (T, N): whether the sequence is alive at the step."""
        mask: Array = np.arange(len(self.n_active))[:, None] < self.lengths[None, :]
        return mask


def make_problem(shape: Shape) -> Problem:
    """Random weights in ±1/√H and normal inputs, from a fixed seed, so every process agrees."""
    rng = np.random.default_rng(20240)
    lengths = shape.lengths()
    n_active = (np.arange(shape.T)[:, None] < lengths[None, :]).sum(axis=1).astype(np.intp)
    bound = 1.0 / np.sqrt(shape.H)

    def uniform(*size: int) -> Array:
        return rng.uniform(-bound, bound, size).astype(np.float32)

    return Problem(
        shape,
        lengths,
        n_active,
        uniform(4 * shape.H, shape.I),
        uniform(4 * shape.H, shape.H),
        uniform(4 * shape.H),
        rng.standard_normal((shape.rows, shape.I), dtype=np.float32),
        rng.standard_normal((shape.rows, shape.variant.outputs(shape.H)), dtype=np.float32),
    )
