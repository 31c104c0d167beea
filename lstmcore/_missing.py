"""Values that are missing: 0 in their place, and an indicator that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lstmcore._sequences import Sequences

if TYPE_CHECKING:
    from numpy.typing import NDArray


def incomplete_features(sequences: Sequences) -> NDArray[np.intp]:
    """Return the numbers of the features of which a value is missing (NaN), in their order.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._missing import incomplete_features
    >>> from lstmcore._sequences import Sequences
    >>> incomplete_features(Sequences(np.array([[1.0, np.nan], [2.0, 3.0]]), np.array([0, 2])))
    array([1])
    """
    if not _has_nan(sequences.values):
        return np.empty(0, np.intp)
    return np.flatnonzero(np.isnan(sequences.values).any(axis=0))


def with_indicators(sequences: Sequences, features: NDArray[np.intp]) -> Sequences:
    """Put 0 where a value is missing, and add indicators of that for some of the features.

    Parameters
    ----------
    sequences : Sequences
        n sequences of I features.
    features : ndarray of shape (M,), intp
        The features that get an indicator, those that `incomplete_features` found in a fit.

    Returns
    -------
    sequences : Sequences
        n sequences of I + M features: first those of before, then for each of ``features`` 1 where
        its value is missing, else 0. The same object if there is nothing to do.

    Raises
    ------
    ValueError
        If a value of another feature is missing; the message says where.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._missing import with_indicators
    >>> from lstmcore._sequences import Sequences
    >>> pair = Sequences(np.array([[1.0, np.nan], [2.0, 3.0]]), np.array([0, 2]))
    >>> with_indicators(pair, np.array([1])).values
    array([[1., 0., 1.],
           [2., 3., 0.]])
    """
    values = sequences.values
    n_features = sequences.n_features
    if not _has_nan(values):
        if not len(features):
            return sequences
        no_indicator = np.zeros((len(values), len(features)), values.dtype)
        return Sequences(np.concatenate([values, no_indicator], axis=1), sequences.starts)
    missing = np.isnan(values)
    unexpected = np.setdiff1d(np.flatnonzero(missing.any(axis=0)), features)
    if len(unexpected):
        feature = int(unexpected[0])
        row = int(missing[:, feature].argmax())
        sample, step = sequences.position_of(row)
        raise ValueError(
            f"Input X contains NaN: sample {sample}, time step {step}, feature {feature}. With "
            'missing="mask" only those features may miss values that missed some in fit: '
            f"{features.tolist()}."
        )
    filled = np.empty((len(values), n_features + len(features)), values.dtype)
    filled[:, :n_features] = values
    np.copyto(filled[:, :n_features], 0, where=missing)
    filled[:, n_features:] = missing[:, features]
    return Sequences(filled, sequences.starts)


def _has_nan(values: NDArray[np.floating]) -> bool:
    # One pass that writes nothing: of finite numbers only an overflow makes the sum look like NaN.
    with np.errstate(all="ignore"):
        return bool(np.isnan(values.sum())) and bool(np.isnan(values).any())
