"""How far gradients reach back: their norms by time lag, from one pass of BPTT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore import _batching

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lstmcore._network import IndexArray

    Norms = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class GradientFlow:
    """How large the gradient of what is made of a sequence is, seen from ever earlier states.

    Entry k of an array is of the state k steps before the end: 0 is the state after the last of T
    steps, T is the state before the first. The gradient of h is by all that reads it: later steps,
    the layer above, the output of its own step. That of c is by the step after, which is the only
    one that reads it.

    Parameters
    ----------
    hidden : ndarray of shape (T + 1,), float64
        Euclidean norms of the gradients of h.
    cell : ndarray of shape (T + 1,), float64, or None
        The same of c; None for cells that have none.
    """

    hidden: Norms
    cell: Norms | None

    @property
    def state(self) -> Norms:
        """Norms of the gradients of the whole state: of h and c together."""
        return self.hidden if self.cell is None else np.hypot(self.hidden, self.cell)


def require_one_direction(bidirectional: bool) -> None:
    """Refuse layers of which half looks ahead: their states have two ends."""
    if bidirectional:
        raise ValueError(
            "gradient_flow looks back from the end of a sequence; with bidirectional=True half of "
            "the states come from there."
        )


def flows_of(
    norms: tuple[Norms, Norms | None], n_active: IndexArray, n_sequences: int
) -> list[GradientFlow]:
    """Return the norms that the core noted down, by sequence and lag.

    Parameters
    ----------
    norms : tuple of ndarray of shape (N + R,), float64
        Of h and c, or None: of the N initial states, then of the packed rows.
    n_active : ndarray of shape (T,), intp
        How many sequences are alive at each step.
    n_sequences : int
        N.

    Returns
    -------
    flows : list of GradientFlow
        In packed order.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._gradient_flow import flows_of
    >>> flows = flows_of((np.arange(1.0, 6.0), None), np.array([2, 1]), 2)
    >>> [flow.hidden.tolist() for flow in flows]
    [[5.0, 3.0, 1.0], [4.0, 2.0]]
    """
    parts: list[Any] = []
    for part in norms:
        if part is None:
            parts.append([None] * n_sequences)
            continue
        rows = part[n_sequences:, None]
        values, starts = _batching.unpack(rows, n_active, np.arange(n_sequences))
        bounds = starts.tolist()
        first = part[:n_sequences]
        parts.append(
            [
                np.append(first[n], values[bounds[n] : bounds[n + 1], 0])[::-1].copy()
                for n in range(n_sequences)
            ]
        )
    return [GradientFlow(*pair) for pair in zip(*parts, strict=True)]
