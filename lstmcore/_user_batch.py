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


@dataclass(frozen=True, slots=True, eq=False)
class UserBatch:
    """N sequences in the order in which they came, and the order that the core sorts them into.

    Rows stay where they are, sequence after sequence: whoever works on a sequence packs it.

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
    >>> x = [np.array([[1.0]]), np.array([[2.0], [3.0]])]
    >>> batch, rows = UserBatch.of(x, np.dtype("float32"), 1)
    >>> batch.order.tolist(), batch.packed_starts.tolist()
    ([1, 0], [1, 0])
    >>> [sequence.ravel().tolist() for sequence in batch.sequences(rows)]
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

    @property
    def packed_starts(self) -> NDArray[np.intp]:
        """First row of each sequence, in packed order, of shape (N,)."""
        return self.starts[:-1] if self.n_steps is not None else self.starts[self.order]

    @classmethod
    def of(cls, x: Any, dtype: np.dtype[Any], n_features: int) -> tuple[Self, NDArray[Any]]:
        """Return the batch that ``x``, (N, T, I) or a list of (T_i, I), is, and its rows."""
        sequences = gather(x, dtype=dtype, name="x", n_features=n_features)
        if isinstance(x, (list, tuple)):
            batch = cls(sequences.starts, *_batching.arrange(sequences.starts), None)
        else:
            # Sequences of one length are packed in their own order.
            n_sequences, n_steps = np.shape(x)[:2]
            n_active = np.full(n_steps if n_sequences else 0, n_sequences)
            batch = cls(sequences.starts, n_active, np.arange(n_sequences), n_steps)
        return batch, sequences.values

    def rows_like(self, y: Any, dtype: np.dtype[Any], n_features: int, name: str) -> NDArray[Any]:
        """Return the rows of other features of the same steps of the same sequences."""
        sequences = gather(y, dtype=dtype, name=name, n_features=n_features)
        if not np.array_equal(sequences.starts, self.starts):
            raise ValueError(
                f"{name} must have as many sequences as x, of the same lengths: "
                f"{np.diff(self.starts)}, got {sequences.lengths}."
            )
        return sequences.values

    def sequences(self, rows: NDArray[Any]) -> NDArray[Any] | list[NDArray[Any]]:
        """Return rows (R, F) in the form of ``x``, (N, T, F) or a list of (T_i, F): views."""
        if self.n_steps is not None:
            return rows.reshape(self.n_sequences, self.n_steps, rows.shape[1])
        bounds = self.starts.tolist()
        return [rows[begin:end] for begin, end in pairwise(bounds)]

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

    def pack_state(self, state: NDArray[Any] | None) -> list[NDArray[Any]] | None:
        """Return a state (L, N, H) as one packed array per layer."""
        if state is None or self.n_steps is not None:
            return state if state is None else list(map(np.ascontiguousarray, state))
        return [np.take(layer, self.order, axis=0) for layer in state]

    def unpack_state(self, layers: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return one packed array (N, H) per layer as a state (L, N, H)."""
        if self.n_steps is not None:
            return np.stack(layers) if len(layers) > 1 else layers[0][np.newaxis]
        state = np.empty((len(layers), *layers[0].shape), layers[0].dtype)
        for level, layer in enumerate(layers):
            state[level, self.order] = layer
        return state


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
