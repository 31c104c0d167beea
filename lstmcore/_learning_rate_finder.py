"""Which learning rates a model can stand: the range test of Smith (2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils.validation import check_is_fitted

from lstmcore import _parameters
from lstmcore._estimator import MODEL, BaseLSTM
from lstmcore._extras import import_extra
from lstmcore._files import Savable
from lstmcore._files_estimators import FittedState, estimator_record

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


FITTED_FINDER = FittedState()


class LearningRateFinder(MetaEstimatorMixin, Savable, BaseEstimator):
    """Train a model for a few steps with a learning rate that rises from step to step.

    The loss stays where it was while the rate is too small, then falls, and rises when the rate is
    too large. A good rate is a few times smaller than the one with the lowest loss: there the loss
    falls fast, and there is some room. The model that is given is not changed.

    Leslie N. Smith: Cyclical learning rates for training neural networks (2017).

    Parameters
    ----------
    estimator : LSTMClassifier or LSTMRegressor
        The model; its own `learning_rate`, schedule and stopping do not count.
    min_learning_rate, max_learning_rate : float, default=1e-6, 1.0
        The first and the last learning rate; each is larger than the one before by one factor.
    n_steps : int, default=100
        Number of steps, over as many epochs as they take.
    smoothing : float, default=0.9
        Share of the past in the running mean of the losses, in [0, 1).

    Attributes
    ----------
    learning_rates_ : ndarray of shape (n_done,), float64
        The rates that were tried: fewer than `n_steps` where the loss became four times the lowest
        one, or not finite, before.
    losses_ : ndarray of shape (n_done,), float64
        Loss of the batch of each step, before the step.
    smoothed_losses_ : ndarray of shape (n_done,), float64
        Their running mean, corrected for its start at 0.
    best_learning_rate_ : float
        A quarter of the rate with the lowest smoothed loss.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import LearningRateFinder, LSTMRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.uniform(size=(rng.integers(2, 9), 1)) for _ in range(200)]
    >>> y = np.array([x.sum() for x in X])
    >>> finder = LearningRateFinder(LSTMRegressor(hidden_size=8, random_state=0)).fit(X, y)
    >>> 1e-3 < finder.best_learning_rate_ < 1
    True
    >>> model = LSTMRegressor(hidden_size=8, learning_rate=finder.best_learning_rate_)
    """

    _kind = "LearningRateFinder"
    _constraints: ClassVar[dict[str, _parameters.Constraint]] = {
        "estimator": MODEL,
        "min_learning_rate": _parameters.number(0.0, low_allowed=False),
        "max_learning_rate": _parameters.number(0.0, low_allowed=False),
        "n_steps": _parameters.integer(2),
        "smoothing": _parameters.number(0.0, 1.0, low_allowed=True),
    }

    def __init__(
        self,
        estimator: BaseLSTM,
        *,
        min_learning_rate: float = 1e-6,
        max_learning_rate: float = 1.0,
        n_steps: int = 100,
        smoothing: float = 0.9,
    ) -> None:
        self.estimator = estimator
        self.min_learning_rate = min_learning_rate
        self.max_learning_rate = max_learning_rate
        self.n_steps = n_steps
        self.smoothing = smoothing

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Try the learning rates.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that the estimator takes.
        y : array-like
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of at least 0.

        Returns
        -------
        self : LearningRateFinder
            With the attributes above.

        Raises
        ------
        ValueError
            If a parameter, X, y or sample_weight is not as described.
        TypeError
            If `estimator` is none of lstmcore's, or a parameter has the wrong type.
        """
        given = self.get_params(deep=False)
        _parameters.check_parameters(type(self).__name__, given, self._constraints)
        if not self.min_learning_rate < self.max_learning_rate:
            raise ValueError(
                "min_learning_rate must be less than max_learning_rate, got "
                f"{self.min_learning_rate} and {self.max_learning_rate}."
            )
        rates = np.geomspace(self.min_learning_rate, self.max_learning_rate, int(self.n_steps))
        # Powers are not the same on all machines: to seven digits they are.
        rates = np.array([float(f"{rate:.7g}") for rate in rates])
        training = clone(self.estimator)._new_training(X, y, sample_weight)
        losses: list[float] = []
        smoothed: list[float] = []
        share, mean, left = float(self.smoothing), 0.0, 1.0
        for loss in training.try_rates(rates):
            mean = share * mean + (1 - share) * loss
            left *= share
            current = mean / (1 - left)
            if losses and not current < 4 * min(smoothed):
                break
            losses.append(loss)
            smoothed.append(current)
        lowest = rates[int(np.argmin(smoothed))]
        self.__dict__ |= {
            "learning_rates_": rates[: len(losses)],
            "losses_": np.array(losses),
            "smoothed_losses_": np.array(smoothed),
            "best_learning_rate_": float(lowest / 4),
        }
        return self

    def plot(self, *, ax: Any = None) -> Any:
        """Plot the losses over the learning rates, and mark the best.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to plot; None makes a new figure.

        Returns
        -------
        ax : matplotlib.axes.Axes
            Where it was plotted.

        Raises
        ------
        ImportError
            If matplotlib is not installed; ``pip install "lstmcore[plot]"``.
        sklearn.exceptions.NotFittedError
            If `fit` has not been called.
        """
        check_is_fitted(self)
        if ax is None:
            _, ax = import_extra("matplotlib.pyplot", "plot", "plot").subplots()
        (line,) = ax.plot(self.learning_rates_, self.losses_, alpha=0.4, label="loss of a batch")
        ax.plot(
            self.learning_rates_, self.smoothed_losses_, color=line.get_color(), label="smoothed"
        )
        best = self.best_learning_rate_
        ax.axvline(best, color="black", linestyle="--", label=f"best: {best:.2g}")
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
        ax.legend()
        return ax

    def _record(self) -> dict[str, Any]:
        return estimator_record(self, FITTED_FINDER)
