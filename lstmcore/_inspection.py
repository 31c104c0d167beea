"""What a fitted network does inside: the methods of the estimators that look into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lstmcore._attributions import (
    gradient_flows,
    input_gradients,
    inputs_per_column,
    integrated_gradients,
    per_column,
    times_embeddings,
)
from lstmcore._forms import in_form_of
from lstmcore._gradient_flow import require_one_direction
from lstmcore._inference import (
    Gates,
    GRUGates,
    RNNStates,
    attention_weights,
    checked_level,
    layer_inputs,
    record_gates,
)
from lstmcore._sequences import Sequences, as_numbers
from lstmcore._summary import Summary, summarise
from lstmcore._threads import resolve_threads
from lstmcore._tokens import are_token_sequences, in_form_of_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lstmcore._gradient_flow import GradientFlow
    from lstmcore._network import FloatArray, IndexArray, Layout, NetworkCache, NetworkSpec


class InspectionMixin:
    """The methods that look into a fitted network."""

    _spec: NetworkSpec
    coefs_: FloatArray
    n_jobs: int | None
    batch_size: int
    tbptt_steps: int | None
    memory: str
    layout_: Layout
    n_features_in_: int
    embedding_size: Any
    missing_features_: IndexArray
    _cache: NetworkCache

    def _check_sequences(self, X: Any) -> Sequences:
        raise NotImplementedError

    def _score_weights(self, target: Any, sequences: Sequences) -> FloatArray:
        """Return the weights (n, K) of the scores that ``target`` stands for."""
        raise NotImplementedError

    def gates(self, X: Any, *, layer: int = -1) -> list[Gates] | list[GRUGates] | list[RNNStates]:
        """Return what the gates and states of one recurrent layer did at every step.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timesteps, n_features) or list of arrays
            Sequences, as for `predict`.
        layer : int, default=-1
            The layer: 0 is the lowest, -1 the highest.

        Returns
        -------
        records : list of Gates, GRUGates or RNNStates
            For each sequence of T steps arrays of shape (T, H) and of the dtype of the network:
            ``input``, ``forget``, ``candidate``, ``output``, ``cell`` and ``hidden`` of LSTMs;
            ``reset``, ``update``, ``candidate`` and ``hidden`` of GRUs; else ``hidden``. With
            ``bidirectional=True`` they are 2 H wide, the H units that read forward first.

        Raises
        ------
        TypeError
            If `layer` is no integer.
        ValueError
            If there is no such layer, or X does not fit.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        sequences = self._check_sequences(X)
        level = checked_level(layer, len(self._spec.hidden_sizes))
        n_threads = resolve_threads(self.n_jobs)
        network = self._cache.get(self._spec, self.coefs_)
        return record_gates(self._spec, network, self.coefs_, sequences, level, n_threads=n_threads)

    def gradient_flow(self, X: Any, *, target: Any = None, layer: int = -1) -> list[GradientFlow]:
        """Return how large the gradient of an output is, seen from ever earlier states.

        Where gradients vanish, what stood early in a sequence can't be learnt. One pass of BPTT
        gives them all; `GradientFlowDisplay` plots them. Whole sequences are gone back through, so
        memory grows with their length, whatever ``memory`` and ``tbptt_steps`` are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timesteps, n_features) or list of arrays
            Sequences, as for `predict`.
        target : label, int, array-like of shape (n_samples,) or None, default=None
            Which output, before sigmoid or softmax: as for `attributions`.
        layer : int, default=-1
            The layer whose states are meant: 0 is the lowest, -1 the highest.

        Returns
        -------
        flows : list of GradientFlow
            For each sequence of T steps, ``hidden``, ``cell`` and ``state``: norms (T + 1,) of the
            gradients with respect to h, to c and to both, by lag. 0 is after the last step.

        Raises
        ------
        TypeError
            If `layer` is no integer.
        ValueError
            If an argument does not fit.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from lstmcore import LSTMRegressor
        >>> X = np.random.default_rng(0).normal(size=(20, 30, 1))
        >>> model = LSTMRegressor(hidden_size=8, max_iter=2, tol=None, random_state=0)
        >>> kept = model.fit(X, X[:, 0, 0]).gradient_flow(X)[0].state
        >>> rnn = model.set_params(cell="rnn").fit(X, X[:, 0, 0]).gradient_flow(X)[0].state
        >>> kept.shape, bool(kept[30] / kept[0] > rnn[30] / rnn[0])
        ((31,), True)
        """
        sequences = self._check_sequences(X)
        level = checked_level(layer, len(self._spec.hidden_sizes))
        require_one_direction(self._spec.bidirectional)
        if not sequences.n_samples:
            return []
        dscores = self._score_weights(target, sequences)
        network = self._cache.get(self._spec, self.coefs_)
        n_threads = resolve_threads(self.n_jobs)
        return gradient_flows(network, sequences, dscores, level, n_threads=n_threads)

    def attention(self, X: Any) -> list[NDArray[Any]]:
        """Return how much attention pooling weighs every step of the sequences.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timesteps, n_features) or list of arrays
            Sequences, as for `predict`.

        Returns
        -------
        weights : list of ndarray of shape (T_i,)
            The weights of a sequence, which are positive and sum to 1.

        Raises
        ------
        ValueError
            If the estimator was not fitted with ``pooling="attention"``, or X does not fit.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from lstmcore import LSTMClassifier
        >>> X = [np.ones((3, 1)), np.zeros((2, 1))]
        >>> model = LSTMClassifier(hidden_size=4, pooling="attention", max_iter=2, tol=None)
        >>> [weights.shape for weights in model.fit(X, [0, 1]).attention(X)]
        [(3,), (2,)]
        """
        sequences = self._check_sequences(X)
        if self._spec.pooling != "attention":
            raise ValueError(
                'attention needs an estimator fitted with pooling="attention", this one has '
                f"pooling={self._spec.pooling!r}."
            )
        network = self._cache.get(self._spec, self.coefs_)
        return attention_weights(network, sequences, n_threads=resolve_threads(self.n_jobs))

    def summary(self, *, batch_size: int | None = None, n_timesteps: int = 100) -> Summary:
        """Return the layers of the network, their sizes and what they cost.

        Parameters
        ----------
        batch_size : int or None, default=None
            Sequences of the batch that costs are given for; None: the parameter of the estimator.
        n_timesteps : int, default=100
            Time steps of these sequences.

        Returns
        -------
        summary : Summary
            ``print`` shows a table; ``layers``, ``n_parameters``, ``flops``, ``parameter_bytes``,
            ``prediction_bytes`` and ``training_bytes`` hold the numbers.

        Raises
        ------
        ValueError
            If an argument is less than 1.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        check_is_fitted(self)
        size = self.batch_size if batch_size is None else batch_size
        for name, value in (("batch_size", size), ("n_timesteps", n_timesteps)):
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
                raise ValueError(f"{name} must be an int of at least 1, got {value!r}.")
        windows = self._windows(int(size), int(n_timesteps))
        return summarise(self._spec, self.layout_, int(size), int(n_timesteps), windows)

    def _windows(self, batch_size: int, n_timesteps: int) -> tuple[int, int] | None:
        """Return the steps of the longest window of training, and how often states are kept."""
        if self.tbptt_steps is not None:
            return int(self.tbptt_steps), 1
        if self.memory == "all":
            return None
        network = self._cache.get(self._spec, self.coefs_)
        starts = network.recompute_starts(n_timesteps, batch_size)
        return int(np.diff([*starts, n_timesteps]).max()), len(starts)

    def attributions(
        self,
        X: Any,
        *,
        target: Any = None,
        method: str = "gradient",
        baseline: Any = 0.0,
        n_steps: int = 64,
    ) -> Any:
        """Return what an output owes to every feature at every step of the sequences.

        Whole sequences are gone back through, so memory grows with their length, whatever
        ``memory`` and ``tbptt_steps`` are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timesteps, n_features) or list of arrays
            Sequences, as for `predict`.
        target : label, int, array-like of shape (n_samples,) or None, default=None
            Which output. For a classifier a label, or one per sequence: what speaks for it before
            sigmoid or softmax; None: the predicted one. For a regressor, or several labels at
            once, the number of the output; None: the only one.
        method : {"gradient", "integrated"}, default="gradient"
            The gradient of the output with respect to X, by backpropagation through time; or
            integrated gradients: the mean of the gradients on the straight way from the baseline to
            X, times the way. Those of a sequence add up to the difference of the output at X and at
            the baseline.
        baseline : float or array-like of shape (n_features,), default=0.0
            Where that way begins, at every time step: 0 is the mean of scaled features. For tokens
            it can be nothing else.
        n_steps : int, default=64
            Points on that way.

        Returns
        -------
        attributions : ndarray or list of ndarray
            In the form of X, with a number for each of its numbers. That of a token is the sum over
            its embedding: of gradients times numbers of the embedding, what the output owes to it
            by its slope; integrated gradients start from zeros there. Where a value is missing
            (``missing="mask"``) there is no gradient, but NaN; to integrated gradients the
            indicator's part is added.

        Raises
        ------
        ValueError
            If an argument does not fit.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        Only the first feature matters:

        >>> import numpy as np
        >>> from lstmcore import LSTMRegressor
        >>> X = np.random.default_rng(0).normal(size=(200, 5, 2))
        >>> model = LSTMRegressor(hidden_size=8, learning_rate=0.02, random_state=0, tol=None)
        >>> model.set_params(max_iter=30).fit(X, X[:, :, 0].sum(axis=1)).attributions(X).shape
        (200, 5, 2)
        >>> size = np.abs(model.attributions(X)).mean(axis=(0, 1))
        >>> bool(size[0] > 10 * size[1])
        True
        """
        if method not in ("gradient", "integrated"):
            raise ValueError(f'method must be "gradient" or "integrated", got {method!r}.')
        if isinstance(n_steps, bool) or not hasattr(n_steps, "__index__") or n_steps < 1:
            raise ValueError(f"n_steps must be an int of at least 1, got {n_steps!r}.")
        sequences = self._check_sequences(X)
        start = self._check_baseline(baseline)
        if not sequences.n_samples:
            return []
        dscores = self._score_weights(target, sequences)
        embed = self._cache.get(self._spec, self.coefs_)
        inputs = layer_inputs(self._spec, embed, sequences.values)
        embedded = Sequences(inputs, sequences.starts)
        network = self._cache.get(self._spec, self.coefs_, "differentiable")
        n_threads = resolve_threads(self.n_jobs)
        n_features, incomplete = self.n_features_in_, self.missing_features_
        if method == "gradient":
            found = input_gradients(network, embedded, dscores, n_threads=n_threads)
            found = per_column(self._spec, times_embeddings(self._spec, found, inputs))
            values = found[:, :n_features].copy()
            missing = sequences.values[:, n_features:] == 1
            values[:, incomplete] = np.where(missing, np.nan, values[:, incomplete])
        else:
            found = integrated_gradients(
                network, embedded, dscores, start, n_steps=n_steps, n_threads=n_threads
            )
            found = per_column(self._spec, found)
            values = found[:, :n_features].copy()
            values[:, incomplete] += found[:, n_features:]
        if are_token_sequences(self.embedding_size):
            return in_form_of_tokens(X, values[:, 0], sequences.starts)
        return in_form_of(X, Sequences(values, sequences.starts))

    def _check_baseline(self, baseline: Any) -> FloatArray:
        """Return a baseline for every input of the network; nothing is missing in it."""
        given = as_numbers(baseline, "baseline")
        if given.shape not in ((), (self.n_features_in_,)) or not np.isfinite(given).all():
            raise ValueError(
                f"baseline must be a finite number or {self.n_features_in_} of them, got "
                f"{baseline!r}."
            )
        start = np.zeros(self._spec.input_size, self._spec.dtype)
        start[: self.n_features_in_] = given
        for column, _, _ in self._spec.embeddings:
            if given.ndim and start[column]:
                raise ValueError(f"baseline must be 0 for the tokens of feature {column}.")
            start[column] = 0
        repeated: FloatArray = np.repeat(start, inputs_per_column(self._spec))
        return repeated
