"""Sequences as other libraries and file formats hold them, to a list of arrays (T_i, I)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def from_padded(X: ArrayLike, lengths: ArrayLike) -> list[NDArray[Any]]:
    """Cut the padding off sequences that were padded at their ends.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_timesteps, n_features)
        Sequences, each filled up to ``n_timesteps`` with anything, NaN included.
    lengths : array-like of shape (n_samples,) of int
        Time steps of each sequence, from 0 to ``n_timesteps``.

    Returns
    -------
    sequences : list of ndarray of shape (lengths[i], n_features)
        What every estimator and layer takes as X. Views into ``X`` if it is an array.

    Raises
    ------
    ValueError
        If ``X`` has not three axes, or if ``lengths`` does not fit it.
    TypeError
        If ``lengths`` are not integers.

    Examples
    --------
    >>> import numpy as np
    >>> import lstmcore
    >>> X = np.array([[[1.0], [2.0], [np.nan]], [[3.0], [np.nan], [np.nan]]])
    >>> [x.ravel().tolist() for x in lstmcore.from_padded(X, [2, 1])]
    [[1.0, 2.0], [3.0]]
    """
    padded, counts = np.asarray(X), np.asarray(lengths)
    if padded.ndim != 3:
        raise ValueError(
            f"X must have the shape (n_samples, n_timesteps, n_features), got {padded.shape}."
        )
    n_samples, n_steps, _ = padded.shape
    if counts.shape != (n_samples,):
        raise ValueError(f"lengths must have the shape ({n_samples},), got {counts.shape}.")
    if n_samples and counts.dtype.kind not in "iu":
        raise TypeError(f"lengths must be integers, got dtype {counts.dtype}.")
    wrong = (counts < 0) | (counts > n_steps)
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(
            f"lengths must be from 0 to {n_steps}, the number of time steps in X; "
            f"lengths[{i}] is {counts[i]}."
        )
    return [sequence[:count] for sequence, count in zip(padded, counts.tolist(), strict=True)]


def from_channels_first(X: Any) -> Any:
    """Swap channels and time of sequences that come channels first, as in aeon and sktime.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_channels, n_timesteps) or list of arrays
        The arrays of a list have the shape (n_channels, T_i).

    Returns
    -------
    X : ndarray of shape (n_samples, n_timesteps, n_channels) or list of ndarray
        What every estimator and layer takes as X: a list where X is one, with arrays of shape
        (T_i, n_channels). Views into ``X``.

    Raises
    ------
    ValueError
        If X has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> import lstmcore
    >>> lstmcore.from_channels_first(np.zeros((10, 3, 50))).shape
    (10, 50, 3)
    >>> X = lstmcore.from_channels_first([np.zeros((3, 50)), np.zeros((3, 20))])
    >>> [x.shape for x in X]
    [(50, 3), (20, 3)]
    """
    if isinstance(X, (list, tuple)):
        sequences = [np.asarray(x) for x in X]
        for i, sequence in enumerate(sequences):
            if sequence.ndim != 2:
                raise ValueError(
                    f"X[{i}] must have the shape (n_channels, T), got {sequence.shape}."
                )
        return [sequence.T for sequence in sequences]
    array = np.asarray(X)
    if array.ndim != 3:
        raise ValueError(
            f"X must have the shape (n_samples, n_channels, n_timesteps), got {array.shape}."
        )
    return array.transpose(0, 2, 1)


def from_awkward(X: Any) -> list[NDArray[Any]]:
    """Take sequences out of an Awkward Array.

    Parameters
    ----------
    X : awkward.Array
        Of type ``n * var * {"a": float, "b": float}``, where each field is a feature, of type
        ``n * var * n_features * float``, or ``n * var * float`` for a single feature. Missing
        values become NaN.

    Returns
    -------
    sequences : list of ndarray of shape (T_i, n_features)
        What every estimator and layer takes as X. float32 where all values are, else float64.

    Raises
    ------
    TypeError
        If ``X`` is no ``awkward.Array``.
    ValueError
        If it has another type, or time steps with different numbers of features.

    Examples
    --------
    >>> import awkward as ak
    >>> import lstmcore
    >>> X = ak.Array([[{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": None}], []])
    >>> [x.tolist() for x in lstmcore.from_awkward(X)]
    [[[1.0, 2.0], [3.0, nan]], []]
    """
    if not type(X).__module__.startswith("awkward."):
        raise TypeError(f"X must be an awkward.Array, got {type(X).__name__}.")
    import awkward as ak

    if ak.fields(X):
        columns = [_flat_numbers(ak, X[name], f"field {name!r} of X") for name in ak.fields(X)]
        rows = np.stack(columns, axis=1)
    elif X.ndim == 2:
        rows = _flat_numbers(ak, X, "X")[:, None]
    elif X.ndim == 3:
        steps = ak.flatten(X, axis=1)
        widths = ak.to_numpy(ak.num(steps, axis=1))
        if len(widths) and (widths != widths[0]).any():
            row = int((widths != widths[0]).argmax())
            raise ValueError(
                "All time steps of X must have the same number of features: the first has "
                f"{widths[0]}, step {row}, counted over all sequences, has {widths[row]}."
            )
        flat = _flat_numbers(ak, steps, "X")
        rows = flat.reshape(len(widths), widths[0] if len(widths) else 0)
    else:
        raise ValueError(
            "X must be of type n * var * {fields}, n * var * n_features * float or n * var * "
            f"float, got {X.type}."
        )
    counts = ak.to_numpy(ak.num(X, axis=1))
    return np.split(rows, np.cumsum(counts)[:-1]) if len(counts) else []


def _flat_numbers(ak: Any, nested: Any, name: str) -> NDArray[Any]:
    """Return all numbers of a nested array one after the other, NaN where one is missing."""
    try:
        flat = ak.to_numpy(ak.fill_none(ak.flatten(nested, axis=-1), np.nan))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} can't be made an array of numbers: {error}") from error
    if flat.ndim != 1 or flat.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got the type {nested.type}.")
    numbers: NDArray[Any] = flat
    return numbers.astype(np.float32 if flat.dtype == np.float32 else np.float64, copy=False)
