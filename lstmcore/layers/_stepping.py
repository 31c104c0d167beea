"""Layers that go on by single time steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from lstmcore._sequences import as_numbers
from lstmcore._threads import resolve_threads
from lstmcore._user_batch import state_pair
from lstmcore.layers._states import StatefulLayer

if TYPE_CHECKING:
    from lstmcore._live_parameters import LiveParameters

Array: TypeAlias = NDArray[Any]
State = TypeVar("State")


class SteppingLayer(StatefulLayer[State]):
    """Adds to the layers what goes one time step on."""

    _counted_threads: tuple[int | None, int] = (None, 0)  # n_jobs, and what `step` makes of it

    input_size: int
    n_jobs: int | None
    _stack: Any
    _live: LiveParameters

    def step(
        self, x_t: Array, state: State | None = None, out: State | None = None
    ) -> tuple[Array, State]:
        """Go one time step on, with the least delay; the same bits as calling the layer.

        A step of a wide layer (from half a megabyte of weights on) is shared with threads, of which
        ``n_jobs`` is counted at the first step; they spin for 0.1 ms after each, and then sleep.

        Parameters
        ----------
        x_t : array-like of shape (N, I)
            One time step of N sequences.
        state : tuple (h, c) of arrays of shape (L, N, H), such an array h, or None
            State before it, h alone for cells without c; None is zeros.
        out : tuple (h, c) of arrays of shape (L, N, H), such an array h, or None
            Where to put the state after it: C-contiguous, of the dtype of the layer, and two
            different arrays; they may be those of ``state``. None is new arrays. Nothing is
            allocated or copied if all other arguments are of this kind too.

        Returns
        -------
        y_t : ndarray of shape (N, H)
            Output of the last layer: a view of the new h, ``h[-1]``, unless ``residual=True``.
        state : tuple (h, c) of ndarray of shape (L, N, H), or h alone
            State after the step, ``out`` itself if it is given.

        Raises
        ------
        ValueError
            If a shape is wrong, or values are not real numbers, or ``out`` is not as it has to be;
            or if the layer is bidirectional.
        TypeError
            If ``state`` or ``out`` is no state.

        Examples
        --------
        >>> import numpy as np
        >>> from lstmcore.layers import LSTM
        >>> layer = LSTM(3, 8, random_state=0)
        >>> x = np.random.default_rng(0).normal(size=(1, 4, 3))
        >>> state = None
        >>> for t in range(4):
        ...     y_t, state = layer.step(x[:, t], state)
        >>> bool(np.all(y_t == layer(x)[0][:, -1]))
        True
        """
        if self.bidirectional:
            raise ValueError(
                "step needs a layer that reads forward only: with bidirectional=True, what is put "
                "out at a step depends on the steps after it."
            )
        self._live.sync()
        # The core checks its arguments. What it refuses is looked at, and converted, afterwards.
        try:
            h, c = self._split(state)
            h_out, c_out = self._split(out)
            if out is None:
                h_out, c_out = np.empty_like(h), None if c is None else np.empty_like(c)
            # By position: to find an argument by its name takes a tenth of a step.
            y_t = self._stack.step(x_t, h, c, h_out, c_out, self._threads_of_step())
        except (TypeError, ValueError):
            return self._step_converted(x_t, state, out)
        y_t = h_out[-1] if y_t is None else y_t
        return y_t, self._joined(h_out, c_out) if out is None else out

    def _threads_of_step(self) -> int:
        """Return how many threads a step may use, counted once: that takes longer than a step."""
        n_jobs, n_threads = self._counted_threads
        if n_threads == 0 or n_jobs is not self.n_jobs:
            n_threads = resolve_threads(self.n_jobs)
            self._counted_threads = self.n_jobs, n_threads
        return n_threads

    def _step_converted(
        self, x_t: Any, state: State | None, out: State | None
    ) -> tuple[Array, State]:
        """Make a step with arguments that the core does not take as they are, or say why not."""
        x_t = as_numbers(x_t, "x_t")
        if x_t.ndim != 2 or x_t.shape[1] != self.input_size:
            raise ValueError(f"x_t must have the shape (N, {self.input_size}), got {x_t.shape}.")
        shapes = self._state_shapes(len(x_t))
        parts = self._parts(state, "state", len(x_t))
        if state is None:
            parts = tuple(np.zeros(shape, self.dtype) for shape in shapes)
        if out is None:
            targets: list[Any] = [np.empty(shape, self.dtype) for shape in shapes]
        else:
            targets = list(state_pair(out, "out")) if self._has_cell_state else [out]
        h, c = (*(np.ascontiguousarray(part, self.dtype) for part in parts), None)[:2]
        h_out, c_out = (*targets, None)[:2]
        try:
            x_t = np.ascontiguousarray(x_t, self.dtype)
            y_t = self._stack.step(x_t, h, c, h_out, c_out, n_threads=self._threads_of_step())
        except ValueError as error:
            raise ValueError(f"out: {error}") from error
        return h_out[-1] if y_t is None else y_t, self._joined(h_out, c_out)
