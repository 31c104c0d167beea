"""What the estimators share: checks of X, the course of a fit, and predictions.

A subclass says what its targets are (`_check_targets`, `_encode_targets`, `_build_head`); all
numbers are computed by the core. A fit works on local values and assigns them in one step at its
end, so an error or Ctrl-C leaves the estimator as it was.
"""

from __future__ import annotations

import math
import warnings
from abc import ABCMeta, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from lstmcore import _parameters
from lstmcore._dataset import check_weights, merge_samples
from lstmcore._exchange import OnnxMixin
from lstmcore._files import Savable
from lstmcore._files_estimators import estimator_record
from lstmcore._inference import predict
from lstmcore._initializers import draw_seed, initial_parameters
from lstmcore._inspection import InspectionMixin
from lstmcore._missing import incomplete_features, with_indicators
from lstmcore._network import NetworkCache, NetworkSpec
from lstmcore._progress import show_progress
from lstmcore._sequences import Sequences, as_sequences
from lstmcore._threads import resolve_threads
from lstmcore._training import Training, TrainingData, TrainingPlan
from lstmcore._validation import check_feature_names, feature_names

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lstmcore._network import FloatArray

# What a fit sets only sometimes, and what the next fit therefore has to remove.
_OCCASIONAL = ("feature_names_in_", "_training_state")


@dataclass(frozen=True, slots=True)
class Head:
    """What a subclass asks of the network's end.

    Parameters
    ----------
    targets : ndarray
        What the core compares its outputs with, one row per sample.
    n_outputs : int
        Number of outputs.
    link : {"identity", "sigmoid", "softmax"}
        What turns outputs into predictions.
    loss : str
        Name of the loss in the core.
    fitted : dict
        Attributes that the fit adds to the estimator.
    """

    targets: NDArray[Any]
    n_outputs: int
    link: str
    loss: str
    fitted: dict[str, Any]


class BaseLSTM(InspectionMixin, OnnxMixin, Savable, BaseEstimator, metaclass=ABCMeta):
    """Base of the estimators that learn one target per sequence.

    The parameters and the fitted attributes are documented where they are used: in
    `LSTMClassifier` and `LSTMRegressor`.
    """

    _constraints: ClassVar[dict[str, _parameters.Constraint]] = {
        "hidden_size": _parameters.layer_sizes(),
        "dropout": _parameters.number(0.0, 1.0, low_allowed=True),
        "pooling": _parameters.choice("last", "mean", "max"),
        "solver": _parameters.choice("adam", "adamw", "sgd", "rmsprop"),
        "learning_rate": _parameters.number(0.0, low_allowed=False),
        "batch_size": _parameters.integer(1),
        "max_iter": _parameters.integer(1),
        "weight_decay": _parameters.number(0.0, low_allowed=True),
        "max_grad_norm": _parameters.optional(_parameters.number(0.0, low_allowed=False)),
        "tol": _parameters.optional(_parameters.number(0.0, low_allowed=True)),
        "n_iter_no_change": _parameters.integer(1),
        "n_timesteps": _parameters.integer(1),
        "missing": _parameters.choice("error", "mask"),
        "warm_start": _parameters.boolean(),
        "random_state": _parameters.random_source(),
        "n_jobs": _parameters.job_count(),
        "dtype": _parameters.choice("float32", "float64"),
        "verbose": _parameters.verbosity(),
    }

    def __init__(
        self,
        *,
        hidden_size: int | tuple[int, ...] = 64,
        dropout: float = 0.0,
        pooling: str = "last",
        solver: str = "adam",
        learning_rate: float = 1e-3,
        batch_size: int = 32,
        max_iter: int = 100,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = 1.0,
        tol: float | None = 1e-4,
        n_iter_no_change: int = 10,
        n_timesteps: int = 1,
        missing: str = "error",
        warm_start: bool = False,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        n_jobs: int | None = None,
        dtype: str = "float32",
        verbose: int = 0,
    ) -> None:
        self.hidden_size = hidden_size
        self.dropout = dropout
        self.pooling = pooling
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.n_timesteps = n_timesteps
        self.missing = missing
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.dtype = dtype
        self.verbose = verbose

    @abstractmethod
    def _check_targets(self, y: ArrayLike) -> NDArray[Any]:
        """Return y as an array of which the first axis counts samples."""

    @abstractmethod
    def _encode_targets(self, y: NDArray[Any]) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return targets of a dtype of fixed size, and attributes that the fit adds."""

    @abstractmethod
    def _build_head(
        self, targets: NDArray[Any], weights: NDArray[np.float64], fitted: dict[str, Any]
    ) -> Head:
        """Return what the network's end has to learn."""

    def _fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None) -> Self:
        name = type(self).__name__
        _parameters.check_parameters(name, self.get_params(deep=False), self._constraints)
        fitted = feature_names(X)
        sequences, head, weights = self._prepare(X, y, sample_weight)
        fitted |= head.fitted
        spec = self._network_spec(sequences.n_features, head)
        data = TrainingData(sequences, head.targets, weights)
        training = Training(spec, data, self._training_plan(head.loss))
        self._begin(training, spec)
        n_done = training.state.n_epochs
        n_total = n_done + int(self.max_iter)
        try:
            with show_progress(name, n_done, n_total, verbose=bool(self.verbose)) as report:
                training.run(report)
        except KeyboardInterrupt:
            if self.warm_start and training.state.n_epochs > n_done:
                self._assign(spec, training, fitted)
            raise
        if not training.converged and self.tol is not None:
            warnings.warn(
                f"{name} made max_iter={self.max_iter} epochs and the training loss still "
                "improves. Increase max_iter, or set tol=None to train for just that many.",
                ConvergenceWarning,
                stacklevel=3,
            )
        self._assign(spec, training, fitted)
        return self

    def _prepare(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Sequences, Head, NDArray[np.float64]]:
        """Return the weighted set of samples, in an order that only depends on its content."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )
        sequences = as_sequences(
            X,
            dtype=np.dtype(self.dtype),
            n_timesteps=self.n_timesteps,
            ensure_all_finite=self._allowed_values,
        )
        targets = self._check_targets(y)
        if len(targets) != sequences.n_samples:
            raise ValueError(
                "Found input variables with inconsistent numbers of samples: X has "
                f"{sequences.n_samples}, y has {len(targets)}."
            )
        weights = check_weights(sample_weight, sequences.n_samples)
        kept = np.flatnonzero(weights)
        if len(kept) < len(weights):
            sequences, targets, weights = sequences.take(kept), targets[kept], weights[kept]
        if not len(sequences.values):
            raise ValueError("X has no time step: all its sequences have the length 0.")
        targets, encoding = self._encode_targets(targets)
        incomplete = self.missing_features_ if self._resumes else incomplete_features(sequences)
        encoding |= {"n_features_in_": sequences.n_features, "missing_features_": incomplete}
        sequences = with_indicators(sequences, incomplete)
        sequences, targets, weights = merge_samples(sequences, targets, weights)
        weights = self._weighted(targets, weights, encoding)
        kept = np.flatnonzero(weights)
        if len(kept) < len(weights):
            sequences, targets, weights = sequences.take(kept), targets[kept], weights[kept]
        return sequences, self._build_head(targets, weights, encoding), weights

    def _weighted(
        self,
        targets: NDArray[Any],  # noqa: ARG002 - for those whose targets have weights
        weights: NDArray[np.float64],
        encoding: dict[str, Any],  # noqa: ARG002
    ) -> NDArray[np.float64]:
        """Return the weights of the samples, given what their targets weigh."""
        return weights

    @property
    def _allowed_values(self) -> bool | str:
        """What values X may have, in the words of `as_sequences`."""
        return "allow-nan" if self.missing == "mask" else True

    def _network_spec(self, n_features: int, head: Head) -> NetworkSpec:
        sizes = (
            self.hidden_size if isinstance(self.hidden_size, (tuple, list)) else [self.hidden_size]
        )
        return NetworkSpec(
            input_size=n_features,
            hidden_sizes=tuple(map(int, sizes)),
            n_outputs=head.n_outputs,
            pooling=self.pooling,
            link=head.link,
            dropout=float(self.dropout),
            dtype=self.dtype,
        )

    def _training_plan(self, loss: str) -> TrainingPlan:
        return TrainingPlan(
            loss=loss,
            solver=self.solver,
            learning_rate=float(self.learning_rate),
            batch_size=int(self.batch_size),
            max_iter=int(self.max_iter),
            weight_decay=float(self.weight_decay),
            max_grad_norm=None if self.max_grad_norm is None else float(self.max_grad_norm),
            tol=None if self.tol is None else float(self.tol),
            n_iter_no_change=int(self.n_iter_no_change),
            n_threads=resolve_threads(self.n_jobs),
        )

    @property
    def _resumes(self) -> bool:
        """Whether a fit goes on where the one before it ended."""
        return bool(self.warm_start) and hasattr(self, "_training_state")

    def _begin(self, training: Training, spec: NetworkSpec) -> None:
        """Start the training: with new parameters, or where the fit before this one ended."""
        if self._resumes:
            if spec != self._spec or self.solver != self._training_state.solver:
                raise ValueError(
                    "warm_start=True goes on with the network of the last fit, "
                    f"{self._spec} with solver={self._training_state.solver!r}; X, y or the "
                    f"parameters now ask for {spec} with solver={self.solver!r}."
                )
            training.resume(self._training_state)
            return
        seed = draw_seed(self.random_state)
        training.start(seed, initial_parameters(training.layout, seed=seed, dtype=spec.dtype))

    def _assign(self, spec: NetworkSpec, training: Training, fitted: dict[str, Any]) -> None:
        """Make the estimator a fitted one, in one step that nothing can interrupt."""
        state = training.state
        state.parameters.flags.writeable = False
        history = [dict(entry) for entry in state.history]
        attributes = fitted | {
            "n_outputs_": spec.n_outputs,
            "coefs_": state.parameters,
            "layout_": training.layout,
            "n_iter_": state.n_epochs,
            "loss_": history[-1]["loss"],
            "loss_curve_": [entry["loss"] for entry in history],
            "history_": history,
            "_spec": spec,
            "_cache": NetworkCache(),
        }
        if self.warm_start:
            attributes["_training_state"] = state
        kept = {key: value for key, value in vars(self).items() if key not in _OCCASIONAL}
        self.__dict__ = kept | attributes

    def _check_sequences(self, X: Any) -> Sequences:
        """Return X as sequences that the fitted network takes; an empty list is none of them."""
        check_is_fitted(self)
        check_feature_names(self, X)
        sequences = as_sequences(
            X,
            dtype=np.dtype(self._spec.dtype),
            n_timesteps=self.n_timesteps,
            allow_empty=True,
            ensure_all_finite=self._allowed_values,
        )
        if sequences.n_samples and sequences.n_features != self.n_features_in_:
            raise ValueError(
                f"X has {sequences.n_features} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return with_indicators(sequences, self.missing_features_)

    def _outputs(self, X: Any, *, apply_link: bool) -> FloatArray:
        """Return the outputs of the network for X, of shape (n_samples, n_outputs)."""
        sequences = self._check_sequences(X)
        return predict(
            self._spec,
            self._cache.get(self._spec, self.coefs_),
            sequences,
            apply_link=apply_link,
            n_threads=resolve_threads(self.n_jobs),
        )

    @property
    def parameters_(self) -> dict[str, FloatArray]:
        """Name → read-only view into `coefs_`, in the shape that `layout_` says."""
        check_is_fitted(self)
        return {
            name: self.coefs_[offset : offset + math.prod(shape)].reshape(shape)
            for name, (shape, offset) in self.layout_.items()
        }

    def _record(self) -> dict[str, Any]:
        return estimator_record(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fitted state without what can be rebuilt from it."""
        state: dict[str, Any] = super().__getstate__()
        return {key: value for key, value in state.items() if key != "_cache"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "coefs_" in state:
            self.coefs_.flags.writeable = False
            self._cache = NetworkCache()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing == "mask"
        return tags
