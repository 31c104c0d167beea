"""States of layers, as callers hold them and as the core takes them."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from lstmcore._user_batch import checked_part, checked_state

Array: TypeAlias = NDArray[Any]
State = TypeVar("State")


class StatefulLayer(Generic[State]):
    """Adds to the layers what states consist of: a pair (h, c), or h alone."""

    _has_cell_state: ClassVar[bool]

    hidden_size: int
    num_layers: int
    bidirectional: bool
    dtype: str

    @property
    def _hidden_width(self) -> int:
        """Width of h: with a projection less than the number of hidden units."""
        return self.hidden_size

    @property
    def _n_directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _parts(
        self, state: Any, name: str, n_sequences: int, *, optional: bool = False
    ) -> tuple[Array | None, ...]:
        """Return the arrays of a state, of the dtype of the layer, or None in their places."""
        shapes, dtype = self._state_shapes(n_sequences), np.dtype(self.dtype)
        if self._has_cell_state:
            return checked_state(state, name, shapes, dtype, optional=optional)
        return (None if state is None else checked_part(state, name, shapes[0], dtype),)

    def _state_shapes(self, n_sequences: int) -> list[tuple[int, int, int]]:
        """Return the shapes of the arrays of a state: of h, and of c where there is one."""
        sizes = [self._hidden_width, self.hidden_size][: 2 if self._has_cell_state else 1]
        n_states = self.num_layers * self._n_directions
        return [(n_states, n_sequences, size) for size in sizes]

    def _split(self, state: Any) -> tuple[Any, Any]:
        """Return h and c of a state as they are."""
        if not self._has_cell_state or state is None:
            return state, None
        h, c = state
        return h, c

    def _joined(self, h: Array, c: Array | None) -> State:
        """Return arrays as a state."""
        return cast("State", (h, c) if self._has_cell_state else h)

    def _plain_state(
        self, state: Any, name: str, n_sequences: int, *, optional: bool = False
    ) -> Any:
        """Return a state as the core takes it: C-contiguous, of the dtype of the layer."""
        if state is None:
            return None
        parts = [
            None if part is None else np.ascontiguousarray(part)
            for part in self._parts(state, name, n_sequences, optional=optional)
        ]
        return tuple(parts) if self._has_cell_state else parts[0]
