"""Parameters that users write into through views, and their copy in the core that has to follow.

The core works on repacked weights, so it must hear of every change. Nothing tells when a view is
written into; but as long as no view exists, nothing can change. From the first view handed out,
each call compares the parameters with a snapshot, bit by bit, until the reference count of the
buffer says that no view is left. Layers of which nobody holds a view pay nothing.
"""

from __future__ import annotations

import math
import sys
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def named_views(
    flat: NDArray[Any], layout: Sequence[tuple[str, tuple[int, ...], int]]
) -> dict[str, NDArray[Any]]:
    """Return views of a flat vector (P,), by the names and in the shapes of a layout.

    Parameters
    ----------
    flat : ndarray of shape (P,)
        Parameters or gradients.
    layout : sequence of (name, shape, offset)
        As the core has it.

    Returns
    -------
    views : dict of name to ndarray
        Views into ``flat``.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._live_parameters import named_views
    >>> named_views(np.arange(3), [("a", (1, 2), 0), ("b", (1,), 2)])
    {'a': array([[0, 1]]), 'b': array([2])}
    """
    return {
        name: flat[offset : offset + math.prod(shape)].reshape(shape)
        for name, shape, offset in layout
    }


class LiveParameters:
    """The parameters of a stack of the core.

    Parameters
    ----------
    stack : RecurrentStackFloat32 or RecurrentStackFloat64
        Gets the parameters, now and whenever `sync` finds them changed.
    flat : ndarray of shape (P,)
        Their values; they are copied.

    Attributes
    ----------
    version : int
        How often they have changed.
    """

    def __init__(self, stack: Any, flat: NDArray[Any]) -> None:
        self.version = 0
        self._stack = stack
        self._flat = flat.copy()
        self._snapshot: NDArray[Any] | None = None
        self._lock = Lock()
        stack.set_parameters(self._flat)
        # What this expression counts while no view exists.
        self._own_references = sys.getrefcount(self._flat)

    def copy(self) -> NDArray[Any]:
        """Return the values as a new array of shape (P,)."""
        return self._flat.copy()

    def views(self) -> dict[str, NDArray[Any]]:
        """Return name → view; what is written into one counts after the next `sync`."""
        with self._lock:
            if self._snapshot is None:
                self._snapshot = self._flat.copy()
            return named_views(self._flat, self._stack.layout)

    def sync(self) -> None:
        """Hand the parameters to the core if they may have changed and have."""
        if self._snapshot is not None:
            with self._lock:
                self._compare()

    def _compare(self) -> None:
        """Do what `sync` says, alone among all threads."""
        snapshot = self._snapshot
        if snapshot is None:
            return
        bits = f"u{self._flat.itemsize}"  # NaN equals itself, and -0.0 is not 0.0
        if not np.array_equal(self._flat.view(bits), snapshot.view(bits)):
            self._stack.set_parameters(self._flat)
            np.copyto(snapshot, self._flat)
            self.version += 1
        if sys.getrefcount(self._flat) == self._own_references:
            self._snapshot = None
