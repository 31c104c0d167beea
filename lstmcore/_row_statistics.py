"""Center and scale of features over the rows of weighted sequences, learnt at once or in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.preprocessing import RobustScaler, StandardScaler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lstmcore._sequences import Sequences


def learn_rows(
    method: str, before: tuple[Any, ...] | None, sequences: Sequences, weights: NDArray[np.float64]
) -> tuple[NDArray[Any], ...]:
    """Return what is known of the rows after weighted sequences; what was known before stays.

    Parts are put together here, since scikit-learn's scalers forget what they knew of a feature
    where all values of a later part are NaN.

    Returns
    -------
    learnt : tuple of ndarray of shape (I,)
        Least and largest value for "minmax"; weight, mean and variance for "standard"; median and
        distance of the quartiles for "robust".
    """
    rows = sequences.values
    if method == "minmax":
        low, high = (extreme.reduce(rows, axis=0) for extreme in (np.fmin, np.fmax))
        return (
            (low, high) if before is None else (np.fmin(before[0], low), np.fmax(before[1], high))
        )
    each = np.repeat(weights, sequences.lengths)
    if method == "standard":
        part = StandardScaler().fit(rows, sample_weight=each)
        n_part = np.broadcast_to(part.n_samples_seen_, part.mean_.shape)
        mean_part, variance_part = (np.where(n_part > 0, x, 0.0) for x in (part.mean_, part.var_))
        if before is None:
            return n_part, mean_part, variance_part
        n_before, mean, variance = before
        n = n_before + n_part
        share = n_part / np.where(n > 0, n, 1.0)
        shift = mean_part - mean
        spread = (1 - share) * variance + share * variance_part + share * (1 - share) * shift**2
        return n, mean + share * shift, spread
    if (weights % 1).any():
        raise ValueError(
            'sample_weight must be whole numbers where method="robust", got '
            f"{weights[weights % 1 != 0][0]}."
        )
    robust = RobustScaler().fit(np.repeat(rows, each.astype(np.intp), axis=0))
    return robust.center_, robust.scale_


def center_and_scale(
    method: str, learnt: tuple[NDArray[Any], ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what is subtracted and what is divided by, NaN where there was no value."""
    if method == "minmax":
        low, high = (np.asarray(extreme, np.float64) for extreme in learnt)
        return low, np.where(low == high, 1.0, high - low)
    if method == "standard":
        n, mean, variance = learnt
        # A variance that rounding alone can explain is none: scikit-learn's rule.
        epsilon = np.finfo(np.float64).eps
        constant = variance <= n * epsilon * variance + (n * mean * epsilon) ** 2
        return mean, np.where(constant, 1.0, np.sqrt(variance))
    return np.asarray(learnt[0], np.float64), np.asarray(learnt[1], np.float64)
