"""Callbacks that judge epochs, end a fit, or set the learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.metrics import check_scoring

from lstmcore._parameters import Constraint, check_parameters, choice, integer, number
from lstmcore.callbacks._base import EpochCallback, course_of, epochs_of, training_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lstmcore._fitting import FitCourse


class EarlyStopping(EpochCallback):
    """End a fit when a number in ``history_`` no longer improves.

    It decides by the record alone, so a fit that was resumed from a checkpoint ends where it would
    have. The weights are those of the last epoch; ``early_stopping=True`` of the estimators keeps
    those of the best one.

    Parameters
    ----------
    monitor : str, default="loss"
        A name in the entries of ``history_``, such as ``"loss"``, ``"validation_score"`` or one
        that `EpochScoring` adds.
    patience : int, default=10
        Epochs in a row without improvement that end the fit.
    min_delta : float, default=0.0
        What counts as improvement has to be more than this.
    mode : {"auto", "min", "max"}, default="auto"
        Whether low or high is good; "auto" is "min" for names that end in "loss".

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import LSTMClassifier
    >>> from lstmcore.callbacks import EarlyStopping
    >>> X, y = np.arange(24.0).reshape(8, 3, 1), np.arange(8) % 2
    >>> model = LSTMClassifier(hidden_size=2, tol=None, max_iter=50)
    >>> model.set_callbacks(EarlyStopping(patience=1, min_delta=1)).fit(X, y).n_iter_
    2
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "patience": integer(1),
        "min_delta": number(0.0, low_allowed=True),
        "mode": choice("auto", "min", "max"),
    }

    def __init__(
        self,
        monitor: str = "loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "auto",
    ) -> None:
        given = {"patience": patience, "min_delta": min_delta, "mode": mode}
        check_parameters(type(self).__name__, given, self._constraints)
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode

    def _begin_fit(self, course: FitCourse) -> None:
        course.stopped |= self._is_over(course)

    def _end_epoch(self, course: FitCourse) -> bool:
        return self._is_over(course)

    def _is_over(self, course: FitCourse) -> bool:
        """Whether the last epochs brought nothing."""
        epochs = epochs_of(course)
        if not epochs:
            return False
        if self.monitor not in epochs[-1]:
            raise ValueError(
                f"EarlyStopping monitors {self.monitor!r}, but an epoch has only "
                f"{sorted(epochs[-1])}."
            )
        falls = self.mode == "min" or (self.mode == "auto" and self.monitor.endswith("loss"))
        best, last = float("-inf"), 0
        for i, entry in enumerate(epochs):
            score = -entry[self.monitor] if falls else entry[self.monitor]
            if score > best + self.min_delta or i == 0:
                best, last = score, i
        return len(epochs) - 1 - last >= self.patience


class LRScheduler(EpochCallback):
    """Set the base learning rate of every epoch by a function.

    The estimator's ``learning_rate_schedule`` and ``warmup_epochs`` still apply to what it returns.

    Parameters
    ----------
    policy : callable
        ``policy(epoch, history)`` returns a positive number; ``epoch`` counts from 0, ``history``
        is the list of records of the epochs of this fit.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import LSTMClassifier
    >>> from lstmcore.callbacks import LRScheduler
    >>> X, y = np.arange(24.0).reshape(8, 3, 1), np.arange(8) % 2
    >>> model = LSTMClassifier(hidden_size=2, tol=None, max_iter=3)
    >>> model = model.set_callbacks(LRScheduler(lambda epoch, history: 1 / 2**epoch)).fit(X, y)
    >>> [entry["learning_rate"] for entry in model.history_]
    [1.0, 0.5, 0.25]
    """

    def __init__(self, policy: Callable[[int, Sequence[dict[str, float]]], float]) -> None:
        if not callable(policy):
            raise TypeError(f"policy must be callable, got {policy!r}.")
        self.policy = policy

    def _begin_epoch(self, course: FitCourse) -> None:
        training = training_of(course)
        rate = float(self.policy(training.state.n_epochs, epochs_of(course)))
        if not 0 < rate < float("inf"):
            raise ValueError(f"policy of LRScheduler must return a positive number, got {rate}.")
        training.learning_rate = rate


class EpochScoring(EpochCallback):
    """Score every epoch, and add the score to its entry of ``history_``.

    Parameters
    ----------
    scoring : str, callable or None
        The name of a scorer of scikit-learn, a scorer, or None for the estimator's own score.
    name : str or None, default=None
        What the entry is called; None is the name of the scorer, or "score", with "training_"
        before it where the training data are scored.
    X, y : array-like or None, default=None
        What is scored; None are the data that are trained on.
    sample_weight : array-like or None, default=None
        Weights of the samples in ``X``.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import LSTMClassifier
    >>> from lstmcore.callbacks import EpochScoring
    >>> X, y = np.arange(24.0).reshape(8, 3, 1), np.arange(8) % 2
    >>> model = LSTMClassifier(hidden_size=2, tol=None, max_iter=3, random_state=0)
    >>> model = model.set_callbacks(EpochScoring("accuracy")).fit(X, y)
    >>> model.history_[-1]["training_accuracy"] == model.score(X, y)
    True
    """

    def __init__(
        self,
        scoring: Any = None,
        *,
        name: str | None = None,
        X: Any = None,
        y: Any = None,
        sample_weight: Any = None,
    ) -> None:
        if (X is None) != (y is None):
            raise ValueError("X and y of EpochScoring must be given together, or neither.")
        if X is None and sample_weight is not None:
            raise ValueError("sample_weight of EpochScoring needs X and y.")
        self.scoring = scoring
        self.name = name
        self.X = X
        self.y = y
        self.sample_weight = sample_weight

    def on_fit_task_end(  # a hook gets what it names
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        metadata: dict[str, Any] | None = None,
        fitted_estimator: Any = None,
    ) -> bool:
        """Score an epoch."""
        if context.task_name != "epoch":
            return False
        if self.X is not None:
            X, y = self.X, self.y
            metadata = None if self.sample_weight is None else {"sample_weight": self.sample_weight}
        scorer = check_scoring(fitted_estimator, self.scoring)
        score = float(scorer(fitted_estimator, X, y, **(metadata or {})))
        training_of(course_of(self, estimator)).record(**{self._name: score})
        return False

    @property
    def _name(self) -> str:
        if self.name is not None:
            return self.name
        known = self.scoring if isinstance(self.scoring, str) else "score"
        return known if self.X is not None else f"training_{known}"
