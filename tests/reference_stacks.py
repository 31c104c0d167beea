"""The oracle of stacks in which layers also read backward, or add what they read: float64 NumPy.

It puts together the layers of the other oracles. `core/test_stack_oracle.py` checks it against
finite differences and torch, and breaks it in single places.

A level is one layer, or two that read in both directions. The second one sees each sequence from
its end: row (t, n) of its packed rows is step length - 1 - t of sequence n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import reference
import reference_cells
from reference import Array
from reference_cells import Cell, Weights
from reference_masks import Masks


@dataclass(frozen=True)
class Connections:
    """How the levels of a stack are connected."""

    bidirectional: bool = False
    residual: bool = False

    def __str__(self) -> str:
        return "-".join(name for name, value in vars(self).items() if value) or "plain"

    @property
    def n_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def sizes(
        self, cell: Cell, input_size: int, hidden_sizes: tuple[int, ...]
    ) -> list[tuple[int, int]]:
        """Inputs and hidden units of every layer, in the order of their parameters."""
        below = [input_size, *(self.n_directions * cell.width(h) for h in hidden_sizes)]
        return [
            (i, h)
            for i, h in zip(below, hidden_sizes, strict=False)
            for _ in range(self.n_directions)
        ]


def reversal(n_active: Array) -> Array:
    """(R,) for each packed row the row that takes its place when sequences are read backward."""
    lengths = [int((n_active > n).sum()) for n in range(max(n_active, default=0))]
    starts = np.cumsum([0, *n_active])
    rows = [
        starts[lengths[n] - 1 - t] + n for t, alive in enumerate(n_active) for n in range(alive)
    ]
    return np.array(rows, np.intp)


def layer_forward(cell: Cell, w: Weights, *args: Any) -> tuple[Array, Array, Array, Any]:
    """One layer of any cell; the plain LSTM has no masks."""
    if cell == Cell("lstm"):
        return reference.lstm_forward(reference.Weights(*w.values()), *args[:4])
    return reference_cells.layer_forward(cell, w, *args)


def layer_backward(cell: Cell, w: Weights, *args: Any) -> tuple[Array, Array, Array, Weights]:
    """Its gradients."""
    if cell == Cell("lstm"):
        weights = reference.Weights(*w.values())
        dx, dh, dc, gradients = reference.lstm_backward(weights, *args)
        return dx, dh, dc, dict(zip(w, gradients, strict=True))
    return reference_cells.layer_backward(cell, w, *args)


def stack_forward(
    cell: Cell,
    connections: Connections,
    layers: list[Weights],
    x: Array,
    n_active: Array,
    h0: list[Array],
    c0: list[Array],
    masks: list[Masks] | None = None,
) -> tuple[Array, list[Array], list[Array], list[Any]]:
    """What the top level puts out (R, D H); states and stashes of every layer."""
    h_n, c_n, stashes = [], [], []
    back = reversal(n_active)
    n_directions = connections.n_directions
    for first in range(0, len(layers), n_directions):
        below, outputs = x, []
        for k in range(first, first + n_directions):
            rows = x if k == first else x[back]
            drawn = [masks[k]] if masks else []
            y, h, c, stash = layer_forward(cell, layers[k], rows, n_active, h0[k], c0[k], *drawn)
            outputs.append(y if k == first else y[back])
            h_n.append(h)
            c_n.append(c)
            stashes.append(stash)
        x = np.concatenate(outputs, axis=1)
        if connections.residual and first > 0:
            x = x + below
    return x, h_n, c_n, stashes


def stack_backward(
    cell: Cell,
    connections: Connections,
    layers: list[Weights],
    stashes: list[Any],
    n_active: Array,
    dy: Array,
    dh_n: list[Array],
    dc_n: list[Array],
) -> tuple[Array, list[Array], list[Array], list[Weights]]:
    """The gradients of everything that went into `stack_forward`."""
    n_directions, n_layers = connections.n_directions, len(layers)
    dh0, dc0, gradients = ([None] * n_layers for _ in range(3))
    back = reversal(n_active)
    for first in reversed(range(0, n_layers, n_directions)):
        above, dy_parts = dy, np.split(dy, n_directions, axis=1)
        dx = np.zeros(())
        for k in range(first, first + n_directions):
            part = dy_parts[0] if k == first else dy_parts[1][back]
            rows, dh0[k], dc0[k], gradients[k] = layer_backward(
                cell, layers[k], stashes[k], n_active, part, dh_n[k], dc_n[k]
            )
            dx = dx + (rows if k == first else rows[back])
        dy = dx + above if connections.residual and first > 0 else dx
    return dy, dh0, dc0, gradients
