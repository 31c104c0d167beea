"""The masks of training, in NumPy: a function of seed, epoch, sample, layer, step and unit.

Those that stand in a layer; `reference_dropout` has those between layers, and the random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from reference import Array, steps
from reference_dropout import mix, philox

if TYPE_CHECKING:
    from reference_cells import Cell

KINDS = {"hidden_dropout": 1, "zoneout_hidden": 2, "zoneout_cell": 3, "recurrent_dropout": 4}


class Masks(NamedTuple):
    """What training draws for a layer: N sequences, R rows, P the width of h.

    `hidden` (N, P) multiplies h where W_hh does, `candidate` (R, H) the candidate; what of h (R, P)
    and of c (R, H) stays what it was. A step has those of its rows.
    """

    hidden: Array
    candidate: Array
    zoneout_hidden: Array
    zoneout_cell: Array

    def of_step(self, n: int, rows: slice) -> Masks:
        """Those of the first n sequences at a step."""
        return Masks(self.hidden[:n], *(mask[rows] for mask in self[1:]))


def expectation(cell: Cell, n_sequences: int, n_rows: int, n_hidden: int) -> Masks:
    """What stands for masks where none are drawn."""
    width = cell.width(n_hidden)
    return Masks(
        np.ones((n_sequences, width)),
        np.ones((n_rows, n_hidden)),
        np.full((n_rows, width), cell.get("zoneout_hidden", 0.0)),
        np.full((n_rows, n_hidden), cell.get("zoneout_cell", 0.0)),
    )


def hits(
    kind: str,
    rate: float,
    n_units: int,
    *,
    seed: int,
    epoch: int,
    sample: int,
    layer: int,
    step: int,
) -> Array:
    """Which units (H,) the mask of a kind is for."""
    key = mix((mix(seed ^ mix(epoch)) + KINDS[kind]) % 2**64)
    of_sample = (sample >> 32) << 8 | layer
    groups = range(-(-n_units // 4))
    numbers = philox(np.array([[sample % 2**32, of_sample, step, k] for k in groups]), key)
    return numbers.ravel()[:n_units] < int(rate * 2**32)


def draw_masks(
    cell: Cell,
    samples: Sequence[int],
    n_active: Array,
    layer: int,
    n_hidden: int,
    *,
    seed: int,
    epoch: int = 0,
    begins: Sequence[int] | None = None,
) -> Masks:
    """Of sequences with these numbers, which begin at these steps, 0 else, in a layer."""
    width, n_rows = cell.width(n_hidden), int(sum(n_active))

    def of(kind: str, size: int, sequence: int, step: int) -> Array:
        where: dict[str, Any] = {"seed": seed, "epoch": epoch, "layer": layer, "step": step}
        return hits(kind, cell.get(kind, 0.0), size, sample=int(samples[sequence]), **where)

    def of_rows(kind: str, size: int) -> Array:
        mask = np.zeros((n_rows, size))
        if not cell.get(kind):
            return mask
        for t, (n, rows) in enumerate(steps(n_active)):
            start = [0] * n if begins is None else begins
            mask[rows] = [of(kind, size, k, start[k] + t) for k in range(n)]
        return mask

    hidden = np.zeros((len(samples), width))
    if cell.get("hidden_dropout"):
        hidden[:] = [of("hidden_dropout", width, k, 0) for k in range(len(samples))]
    return Masks(
        (1 - hidden) / (1 - cell.get("hidden_dropout", 0.0)),
        (1 - of_rows("recurrent_dropout", n_hidden)) / (1 - cell.get("recurrent_dropout", 0.0)),
        of_rows("zoneout_hidden", width),
        of_rows("zoneout_cell", n_hidden),
    )
