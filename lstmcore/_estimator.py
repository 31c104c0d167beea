"""What the estimators share: their parameters, checks of X, and predictions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lstmcore import _parameters
from lstmcore._cells import cell_constraint
from lstmcore._exchange import OnnxMixin
from lstmcore._files import Savable
from lstmcore._files_estimators import estimator_record
from lstmcore._files_networks import FITTED_NETWORK
from lstmcore._fitting import Fitting
from lstmcore._inference import predict
from lstmcore._inspection import InspectionMixin
from lstmcore._missing import with_indicators
from lstmcore._network import NetworkCache
from lstmcore._streaming import StreamingMixin
from lstmcore._threads import resolve_threads
from lstmcore._tokens import require_known_tokens, require_tokens
from lstmcore._validation import check_feature_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lstmcore._network import FloatArray
    from lstmcore._sequences import Sequences


class BaseLSTM(InspectionMixin, StreamingMixin, OnnxMixin, Savable, Fitting):
    """Base of the estimators that learn one target per sequence.

    The parameters and the fitted attributes are documented where they are used: in
    `LSTMClassifier` and `LSTMRegressor`.
    """

    _constraints: ClassVar[Mapping[str, _parameters.Constraint]] = {
        "hidden_size": _parameters.layer_sizes(),
        "cell": cell_constraint(),
        "bidirectional": _parameters.boolean(),
        "residual": _parameters.boolean(),
        "dropout": _parameters.number(0.0, 1.0, low_allowed=True),
        "recurrent_dropout": _parameters.number(0.0, 1.0, low_allowed=True),
        "pooling": _parameters.choice("last", "mean", "max", "attention"),
        "embedding_size": _parameters.embedding_sizes(),
        "solver": _parameters.choice("adam", "adamw", "sgd", "rmsprop"),
        "learning_rate": _parameters.number(0.0, low_allowed=False),
        "learning_rate_schedule": _parameters.choice("constant", "cosine", "step", "plateau"),
        "warmup_epochs": _parameters.number(0.0, low_allowed=True),
        "decay_epochs": _parameters.optional(_parameters.integer(1)),
        "decay_factor": _parameters.number(0.0, 1.0, low_allowed=True),
        "batch_size": _parameters.integer(1),
        "max_iter": _parameters.integer(1),
        "weight_decay": _parameters.number(0.0, low_allowed=True),
        "max_grad_norm": _parameters.optional(_parameters.number(0.0, low_allowed=False)),
        "tol": _parameters.optional(_parameters.number(0.0, low_allowed=True)),
        "n_iter_no_change": _parameters.integer(1),
        "early_stopping": _parameters.boolean(),
        "validation_fraction": _parameters.number(0.0, 1.0, low_allowed=False),
        "validation_split": _parameters.splitter("auto", "random", "stratified", "ordered"),
        "validation_scoring": _parameters.scoring("loss"),
        "n_timesteps": _parameters.integer(1),
        "missing": _parameters.choice("error", "mask"),
        "tbptt_steps": _parameters.optional(_parameters.integer(1)),
        "memory": _parameters.choice("all", "recompute"),
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
        cell: Any = "lstm",
        bidirectional: bool = False,
        residual: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        pooling: str = "last",
        embedding_size: Any = None,
        solver: str = "adam",
        learning_rate: float = 1e-3,
        learning_rate_schedule: str = "constant",
        warmup_epochs: float = 0,
        decay_epochs: int | None = None,
        decay_factor: float = 0.1,
        batch_size: int = 32,
        max_iter: int = 100,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = 1.0,
        tol: float | None = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        validation_split: Any = "auto",
        validation_scoring: Any = "loss",
        n_timesteps: int = 1,
        missing: str = "error",
        tbptt_steps: int | None = None,
        memory: str = "all",
        warm_start: bool = False,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        n_jobs: int | None = None,
        dtype: str = "float32",
        verbose: int = 0,
    ) -> None:
        self.hidden_size = hidden_size
        self.cell = cell
        self.bidirectional = bidirectional
        self.residual = residual
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.pooling = pooling
        self.embedding_size = embedding_size
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.warmup_epochs = warmup_epochs
        self.decay_epochs = decay_epochs
        self.decay_factor = decay_factor
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.validation_split = validation_split
        self.validation_scoring = validation_scoring
        self.n_timesteps = n_timesteps
        self.missing = missing
        self.tbptt_steps = tbptt_steps
        self.memory = memory
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.dtype = dtype
        self.verbose = verbose

    def _check_sequences(self, X: Any) -> Sequences:
        """Return X as sequences that the fitted network takes; an empty list is none of them."""
        check_is_fitted(self)
        check_feature_names(self, X)
        sequences = self._as_sequences(X, dtype=np.dtype(self._spec.dtype), allow_empty=True)
        if sequences.n_samples and sequences.n_features != self.n_features_in_:
            raise ValueError(
                f"X has {sequences.n_features} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        self._check_tokens(sequences, "X")
        return with_indicators(sequences, self.missing_features_)

    def _check_tokens(self, sequences: Sequences, name: str) -> None:
        """Refuse what is no token that the network knows."""
        embeddings = self._spec.embeddings if sequences.n_samples else ()
        require_tokens([column for column, _, _ in embeddings], sequences, name)
        require_known_tokens(embeddings, sequences, name)

    def _outputs(self, X: Any, *, apply_link: bool) -> FloatArray:
        """Return the outputs of the network for X, of shape (n_samples, n_outputs)."""
        return self._outputs_of(self._check_sequences(X), apply_link=apply_link)

    def _outputs_of(self, sequences: Sequences, *, apply_link: bool) -> FloatArray:
        return predict(
            self._spec,
            self._cache,
            self.coefs_,
            sequences,
            apply_link=apply_link,
            n_threads=resolve_threads(self.n_jobs),
        )

    def _run(self, X: Any, method: str) -> Any:
        """Return what one of the methods that predict returns for X."""
        return self._predictions(self._outputs(X, apply_link=self._links[method]), method)

    @property
    def n_tokens_(self) -> dict[int, int]:
        """Number of the feature → number of tokens, of each feature that holds tokens."""
        check_is_fitted(self)
        return {column: n_tokens for column, n_tokens, _ in self._spec.embeddings}

    @property
    def parameters_(self) -> dict[str, FloatArray]:
        """Name → read-only view into `coefs_`, in the shape that `layout_` says."""
        check_is_fitted(self)
        return {
            name: self.coefs_[offset : offset + math.prod(shape)].reshape(shape)
            for name, (shape, offset) in self.layout_.items()
        }

    def _record(self) -> dict[str, Any]:
        return estimator_record(self, FITTED_NETWORK)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fitted state without what can be rebuilt from it."""
        state: dict[str, Any] = super().__getstate__()
        return {key: value for key, value in state.items() if key not in ("_cache", "_course")}

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


MODEL = _parameters.instance_of(BaseLSTM, "one of lstmcore's estimators of sequences")
