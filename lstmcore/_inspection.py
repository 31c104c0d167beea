"""What a fitted network does inside: the methods of the estimators that look into it."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from lstmcore._inference import Gates, record_gates
from lstmcore._threads import resolve_threads

if TYPE_CHECKING:
    from lstmcore._network import FloatArray, NetworkSpec
    from lstmcore._sequences import Sequences


class InspectionMixin:
    """The methods that look into a fitted network."""

    _spec: NetworkSpec
    coefs_: FloatArray
    n_jobs: int | None

    def _check_sequences(self, X: Any) -> Sequences:
        raise NotImplementedError

    def gates(self, X: Any, *, layer: int = -1) -> list[Gates]:
        """Return what the gates and states of one LSTM layer did at every step.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timesteps, n_features) or list of arrays
            Sequences, as for `predict`.
        layer : int, default=-1
            The layer: 0 is the lowest, -1 the highest.

        Returns
        -------
        records : list of Gates
            For each sequence of T steps the arrays ``input``, ``forget``, ``candidate``,
            ``output``, ``cell`` and ``hidden``, each of shape (T, H) and of the dtype of the
            network.

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
        n_layers = len(self._spec.hidden_sizes)
        try:
            layer = operator.index(layer)
        except TypeError:
            raise TypeError(f"layer must be an int, got {layer!r}.") from None
        if not -n_layers <= layer < n_layers:
            raise ValueError(
                f"layer must lie between {-n_layers} and {n_layers - 1}, as the network has "
                f"{n_layers} LSTM layers; got {layer}."
            )
        return record_gates(
            self._spec,
            self.coefs_,
            sequences,
            layer % n_layers,
            n_threads=resolve_threads(self.n_jobs),
        )
