"""A batch as users see it, and as the core does: sequences in their order, and packed by length."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lstmcore import _batching
from lstmcore._sequences import as_numbers, gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def plain_sequences(
    X: Any, dtype: np.dtype[Any], n_features: int, name: str
) -> NDArray[Any] | list[NDArray[Any]]:
    """Return sequences of any kind as the core takes them.

    Parameters
    ----------
    X : array-like of shape (N, T, F), or list of arrays of shape (T_i, F)
        N, T and T_i may be 0.
    dtype : numpy.dtype
        float32 or float64.
    n_features : int
        What F has to be.
    name : str
        What messages call X.

    Returns
    -------
    sequences : ndarray of shape (N, T, F), or list of ndarray of shape (T_i, F)
        C-contiguous arrays of ``dtype``; a list where X is one.

    Raises
    ------
    ValueError
        If X has another shape or values that are not real numbers.
    TypeError
        If X is a container of another kind, or holds one.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._user_batch import plain_sequences
    >>> plain_sequences([[[1], [2]]], np.dtype("float32"), 1, "x")
    [array([[1.],
           [2.]], dtype=float32)]
    """
    sequences = gather(X, dtype=dtype, name=name, n_features=n_features)
    # The values may be of a class of their own: a memory map is one.
    rows = sequences.values.view(np.ndarray)
    if isinstance(X, (list, tuple)):
        return [rows[begin:end] for begin, end in pairwise(sequences.starts.tolist())]
    return rows.reshape(*np.shape(X)[:2], n_features)


@dataclass(frozen=True, slots=True, eq=False)
class UserBatch:
    """N sequences in the order in which they came, and the order that the core sorts them into.

    Parameters
    ----------
    starts : ndarray of shape (N + 1,), intp
        Sequence ``i`` is rows ``starts[i]`` to ``starts[i + 1]``.
    n_active : ndarray of shape (T,), intp
        How many sequences are alive at each step.
    order : ndarray of shape (N,), intp
        The sequences in packed order.
    n_steps : int or None
        Time steps of the array that the sequences came as; None if they came as a list.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._user_batch import UserBatch
    >>> batch = UserBatch(np.array([0, 1, 3]), np.array([2, 1]), np.array([1, 0]), None)
    >>> packed = np.array([[2.0], [1.0], [3.0]])
    >>> [sequence.ravel().tolist() for sequence in batch.unpack(packed)]
    [[1.0], [2.0, 3.0]]
    """

    starts: NDArray[np.intp]
    n_active: NDArray[np.intp]
    order: NDArray[np.intp]
    n_steps: int | None

    @property
    def n_sequences(self) -> int:
        """Number of sequences N."""
        return len(self.order)

    @classmethod
    def of_pass(cls, stack: Any, content: Any) -> Self:
        """Return the sequences of a forward pass, by what the core kept of it."""
        lengths, order, n_steps = stack.form(content)
        ended = np.bincount(lengths) if len(lengths) else np.zeros(1, np.intp)
        n_active = len(lengths) - np.cumsum(ended)[:-1]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        return cls(starts, n_active, order, n_steps if n_steps >= 0 else None)

    def sequences(self, rows: NDArray[Any]) -> NDArray[Any] | list[NDArray[Any]]:
        """Return rows (R, F) in the form of ``x``, (N, T, F) or a list of (T_i, F): views."""
        if self.n_steps is not None:
            return rows.reshape(self.n_sequences, self.n_steps, rows.shape[1])
        return [rows[begin:end] for begin, end in pairwise(self.starts.tolist())]

    def turned(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return rows (R, F) with every sequence from its end to its start: a copy."""
        ends = np.repeat(self.starts[:-1] + self.starts[1:] - 1, np.diff(self.starts))
        return np.take(rows, ends - np.arange(len(rows)), axis=0)

    def unpack(
        self, rows: NDArray[Any], *, turn: bool = False
    ) -> NDArray[Any] | list[NDArray[Any]]:
        """Return packed rows (R, F) in the form of ``x``, turned around if they have to be."""
        unpacked = _batching.unpack(rows, self.n_active, self.order)[0]
        return self.sequences(self.turned(unpacked) if turn else unpacked)


def state_pair(state: Any, name: str) -> tuple[Any, Any]:
    """Return h and c of a state, whatever they are."""
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise TypeError(f"{name} must be a pair of arrays (h, c), got {type(state).__name__}.")
    return state[0], state[1]


def checked_state(
    state: Any,
    name: str,
    shapes: Sequence[tuple[int, int, int]],
    dtype: np.dtype[Any],
    *,
    optional: bool,
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Return h and c of a state as arrays of their shapes and one dtype.

    Parameters
    ----------
    state : tuple (h, c) of array-like, or None
        None gives None and None.
    name : str
        What messages call the state.
    shapes : sequence of tuple of int
        (L, N, width) of h and of c.
    dtype : numpy.dtype
        float32 or float64.
    optional : bool
        Whether one of the two may be None.

    Returns
    -------
    h, c : ndarray of these shapes, or None
        Copies only where the dtype is another.

    Raises
    ------
    TypeError
        If ``state`` is no pair.
    ValueError
        If one of the two has another shape or is not of real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._user_batch import checked_state
    >>> state = [[[1]]], [[[2]]]
    >>> checked_state(state, "state", [(1, 1, 1)] * 2, np.dtype("float32"), optional=False)[1]
    array([[[2.]]], dtype=float32)
    """
    if state is None:
        return None, None
    h, c = state_pair(state, name)
    parts: list[NDArray[Any] | None] = []
    for part, given, shape in zip("hc", (h, c), shapes, strict=True):
        if given is None and optional:
            parts.append(None)
            continue
        parts.append(checked_part(given, f"{part} of {name}", shape, dtype))
    return parts[0], parts[1]


def checked_part(
    given: Any, name: str, shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return h or c as an array of a shape and a dtype; errors call it ``name``."""
    array = as_numbers(given, name)
    if array.shape != shape:
        raise ValueError(
            f"{name} must have the shape (num_layers, N, size) = {shape}, got {array.shape}."
        )
    return array.astype(dtype, copy=False)
