"""The data that a fit is validated with, and the score of every epoch on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import check_scoring

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lstmcore._network import FloatArray
    from lstmcore._training import Training, TrainingData

    Score = Callable[[FloatArray], float]


@dataclass(frozen=True, slots=True, eq=False)
class ValidationSamples:
    """What an epoch is judged on.

    Parameters
    ----------
    data : TrainingData
        The samples as the core takes them.
    y : ndarray of shape (m,) or (m, K)
        Their targets as the user gave them.
    """

    data: TrainingData
    y: NDArray[Any]

    def as_list(self) -> list[NDArray[Any]]:
        """Return the sequences as users have them; views."""
        sequences = self.data.sequences
        values, starts = sequences.values, sequences.starts
        return [values[starts[row] : starts[row + 1]] for row in self.data.rows]


def check_validation_data(validation_data: Any) -> tuple[Any, Any, Any]:
    """Return ``validation_data`` as X, y and sample_weight, of which the last may be None.

    Raises
    ------
    TypeError
        If it is no tuple.
    ValueError
        If it has not two or three entries.

    Examples
    --------
    >>> from lstmcore._judges import check_validation_data
    >>> check_validation_data(("X", "y"))
    ('X', 'y', None)
    """
    if not isinstance(validation_data, (tuple, list)):
        raise TypeError(
            "validation_data must be a tuple (X, y) or (X, y, sample_weight), got "
            f"{type(validation_data).__name__}."
        )
    if len(validation_data) not in (2, 3):
        raise ValueError(
            "validation_data must be a tuple (X, y) or (X, y, sample_weight), got one of "
            f"{len(validation_data)} entries."
        )
    X, y, *rest = validation_data
    return X, y, rest[0] if rest else None


def scores_by_loss(training: Training, samples: ValidationSamples) -> Score:
    """Return a function from parameters to minus their loss."""
    return lambda parameters: -training.loss(samples.data, parameters)


def scores_by_scorer(
    scoring: Any, samples: ValidationSamples, as_estimator: Callable[[FloatArray], Any]
) -> Score:
    """Return a function from parameters to what a scorer of scikit-learn says of them.

    Parameters
    ----------
    scoring : str, callable or None
        The name of a scorer, a scorer, or None for the estimator's own score.
    samples : ValidationSamples
        What is scored.
    as_estimator : callable
        Makes a fitted estimator of parameters.

    Returns
    -------
    score : callable
        Maps parameters to a score, the higher the better.
    """
    X, weights = samples.as_list(), samples.data.weights
    weighted = {} if (weights == 1).all() else {"sample_weight": weights}

    def score(parameters: FloatArray) -> float:
        model = as_estimator(parameters)
        value = check_scoring(model, scoring)(model, X, samples.y, **weighted)
        if not np.isscalar(value):
            raise ValueError(f"validation_scoring={scoring!r} must give one number, got {value!r}.")
        return float(value)  # type: ignore[arg-type]

    return score
