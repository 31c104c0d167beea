"""Predictions while a sequence is still coming in, one time step after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lstmcore._inference import layer_inputs
from lstmcore._missing import with_indicators
from lstmcore._sequences import as_sequences
from lstmcore._tokens import are_token_sequences

if TYPE_CHECKING:
    from lstmcore._network import FloatArray, IndexArray, NetworkCache, NetworkSpec
    from lstmcore._sequences import Sequences

HUGE = 1e35  # values below it are finite in float32 too


class StreamState(NamedTuple):
    """What a network keeps of n sequences between two steps: arrays alone, one row per sequence.

    It can be pickled, and its rows may be taken, replaced and put together as one likes.

    Parameters
    ----------
    hidden, cell : tuple of ndarray of shape (n, H)
        Hidden and cell states of each layer, the lowest first; a projection makes the hidden ones
        narrower, and ``cell`` is empty where the cell has
        no such state.
    pooled : ndarray of shape (n, H), or (n, H + 2) with attention
        What the pooling over time keeps: the last state, or the sum or the maximum of all so far;
        for attention the sum weighted by ``exp(score - highest)``, then the highest score so far
        and the sum of these weights.
    n_steps : ndarray of shape (n,), intp
        Steps that each sequence has made.
    """

    hidden: tuple[FloatArray, ...]
    cell: tuple[FloatArray, ...]
    pooled: FloatArray
    n_steps: IndexArray


class StreamingMixin:
    """The methods for sequences that come in step by step."""

    _spec: NetworkSpec
    _cache: NetworkCache
    coefs_: FloatArray
    missing_features_: IndexArray
    n_features_in_: int
    embedding_size: Any

    _links: ClassVar[dict[str, bool]]

    if TYPE_CHECKING:

        @property
        def _allowed_values(self) -> bool | str: ...

        def _predictions(self, outputs: FloatArray, method: str) -> Any: ...

        def _check_tokens(self, sequences: Sequences, name: str) -> None: ...

    def initial_state(self, n_sequences: int = 1) -> StreamState:
        """Return the state before the first step, for `step`.

        Parameters
        ----------
        n_sequences : int, default=1
            Number of sequences that come in side by side.

        Returns
        -------
        state : StreamState
            A named tuple of arrays: ``hidden``, ``cell``, ``pooled`` and ``n_steps``.

        Raises
        ------
        ValueError
            If ``n_sequences`` is less than 1, or the network is bidirectional.
        TypeError
            If it is no integer.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        check_is_fitted(self)
        self._require_forward_only("initial_state")
        if isinstance(n_sequences, bool) or not hasattr(n_sequences, "__index__"):
            raise TypeError(f"n_sequences must be an int, got {n_sequences!r}.")
        if n_sequences < 1:
            raise ValueError(f"n_sequences must be at least 1, got {n_sequences}.")
        outputs, dtype = self._spec.output_sizes, self._spec.dtype
        hidden, cell = (
            tuple(np.zeros((n_sequences, size), dtype) for size in sizes)
            for sizes in (outputs, self._spec.hidden_sizes if self._spec.has_cell_state else ())
        )
        pooled = np.zeros((n_sequences, self._spec.carried_size), dtype)
        return StreamState(hidden, cell, pooled, np.zeros(n_sequences, np.intp))

    def step(
        self, x: Any, state: StreamState, *, method: str = "predict"
    ) -> tuple[Any, StreamState]:
        """Read one more time step and predict from all that was read so far.

        The prediction is, to the bit, the one for the whole sequence so far.

        Parameters
        ----------
        x : array-like of shape (n_sequences, n_features)
            The next time step of each sequence; where it is a token, (n_sequences,) will do.
        state : StreamState
            What `initial_state` or the step before returned. It is not changed.
        method : {"predict", "predict_proba", "decision_function"}, default="predict"
            Which method's result is wanted; the estimator must have it.

        Returns
        -------
        y : ndarray of shape (n_sequences,) or (n_sequences, n_outputs)
            What ``method`` returns for the sequences so far.
        state : StreamState
            The state after the step.

        Raises
        ------
        ValueError
            If ``x``, ``state`` or ``method`` does not fit, or the network is bidirectional.
        TypeError
            If ``state`` is no `StreamState`.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from lstmcore import LSTMRegressor
        >>> X = np.random.default_rng(0).normal(size=(20, 6, 2))
        >>> model = LSTMRegressor(hidden_size=8, max_iter=2, tol=None).fit(X, X[:, :, 0].sum(1))
        >>> state = model.initial_state(20)
        >>> for t in range(6):
        ...     y, state = model.step(X[:, t], state)
        >>> np.array_equal(y, model.predict(X))
        True
        """
        if not hasattr(self, "coefs_"):  # the check alone takes as long as a step
            check_is_fitted(self)
        self._require_forward_only("step")
        if method not in self._links:
            raise ValueError(f"method must be one of {list(self._links)}, got {method!r}.")
        rows = self._plain_rows(x)
        if rows is None:
            rows = self._check_step(x)
        self._check_state(state, len(rows))
        stack = self._cache.get(self._spec, self.coefs_, "stack")
        n_active = np.array([len(rows)], np.intp)
        network = self._cache.get(self._spec, self.coefs_)
        inputs = layer_inputs(self._spec, network, rows)
        top, hidden, cell, _ = stack.forward(
            inputs, n_active, len(rows), state.hidden, state.cell or None, n_threads=1, keep=False
        )
        n_steps = state.n_steps + 1
        outputs, pooled = network.predict_step(
            top, state.pooled, n_steps, apply_link=self._links[method]
        )
        return self._predictions(outputs, method), StreamState(
            tuple(hidden), tuple(cell), pooled, n_steps
        )

    def _require_forward_only(self, method: str) -> None:
        """Refuse a network that has to know the end of a sequence before it reads the start."""
        if self._spec.bidirectional:
            raise ValueError(
                f"{method} needs bidirectional=False: half of a bidirectional network reads a "
                "sequence from its end, which is not known while it still comes in."
            )

    def _plain_rows(self, x: Any) -> FloatArray | None:
        """Return a time step that needs no look at what kind of data it is, else None.

        That look takes ten times as long as a step of a small network.
        """
        if (
            type(x) is not np.ndarray
            or x.dtype.kind != "f"
            or x.ndim != 2
            or x.shape[1] != self.n_features_in_
            or len(x) == 0
            or self.missing_features_.size
            or self._spec.embeddings
        ):
            return None
        if not np.maximum.reduce(np.abs(x), axis=None) < HUGE:  # nor if it is NaN
            return None
        rows: FloatArray = np.ascontiguousarray(x, self._spec.dtype)
        return rows

    def _check_step(self, x: Any) -> FloatArray:
        """Return a time step as rows that the network takes."""
        dtype = np.dtype(self._spec.dtype)
        if are_token_sequences(self.embedding_size) and np.ndim(x) == 1:
            x = np.reshape(x, (-1, 1))
        if type(x) is np.ndarray and np.ndim(x) != 2:
            raise ValueError(f"x must have the shape (n_sequences, n_features), got {x.shape}.")
        rows = as_sequences(x, dtype=dtype, name="x", ensure_all_finite=self._allowed_values)
        if rows.lengths.max() != 1 or rows.n_features != self.n_features_in_:
            raise ValueError(
                f"x must have the shape (n_sequences, {self.n_features_in_}), got {np.shape(x)}."
            )
        self._check_tokens(rows, "x")
        return with_indicators(rows, self.missing_features_).values

    def _check_state(self, state: StreamState, n_sequences: int) -> None:
        """Refuse a state of another network, or of another number of sequences."""
        if not isinstance(state, StreamState):
            raise TypeError(
                f"state must be a StreamState, as initial_state returns it; got {state!r}."
            )
        spec = self._spec
        cells = spec.hidden_sizes if spec.has_cell_state else ()
        for name, arrays, widths in (
            ("pooled", (state.pooled,), (spec.carried_size,)),
            ("hidden", state.hidden, spec.output_sizes),
            ("cell", state.cell, cells),
        ):
            if len(arrays) != len(widths):
                expected = (
                    f"one array for each of the {len(widths)} layers" if widths else "no array"
                )
                raise ValueError(f"state.{name} must have {expected}, got {len(arrays)}.")
            for k, width in enumerate(widths):
                wanted = (n_sequences, width)
                array = arrays[k]
                dtype = getattr(array, "dtype", None)
                if dtype != spec.dtype or array.shape != wanted:
                    which = name if name == "pooled" else f"{name}[{k}]"
                    raise ValueError(
                        f"state.{which} must have the shape {wanted} and the dtype {spec.dtype}, "
                        f"got {np.shape(array)} and {dtype}."
                    )
        counts = np.asarray(state.n_steps)
        if counts.shape != (n_sequences,) or counts.dtype != np.intp or counts.min() < 0:
            raise ValueError(
                f"state.n_steps must be {n_sequences} integers of at least 0, got {counts}."
            )
