"""What goes out in the form that X came in."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from lstmcore._sequences import Sequences, is_table


def in_form_of(X: Any, sequences: Sequences) -> Any:
    """Return sequences in the form that X has: those that came from it, with other values.

    Parameters
    ----------
    X : array-like or list of arrays
        What `as_sequences` took.
    sequences : Sequences
        As many sequences as X has, each of the length that it has there.

    Returns
    -------
    X : ndarray or list of ndarray
        A list where X is a list of sequences, else an array of the shape of X. Views into the
        values.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._forms import in_form_of
    >>> from lstmcore._sequences import as_sequences
    >>> X = [np.ones((2, 3)), np.zeros((0, 3))]
    >>> [x.shape for x in in_form_of(X, as_sequences(X, dtype=np.dtype("float64")))]
    [(2, 3), (0, 3)]
    """
    values, starts = sequences.values, sequences.starts
    if is_table(X, "X"):
        return values.reshape(sequences.n_samples, -1) if sequences.n_samples else []
    if isinstance(X, (list, tuple)):
        return [values[begin:end] for begin, end in pairwise(starts)]
    return values.reshape(sequences.n_samples, -1, sequences.n_features)


def floating_dtype(X: Any) -> np.dtype[Any]:
    """Return float32 where X consists of float32 alone, else float64."""
    items = X if isinstance(X, (list, tuple)) else [X]
    found = {
        getattr(dtype, "name", str(dtype)).lower()
        for item in items
        for dtype in getattr(item, "dtypes", [getattr(item, "dtype", None)])
    }
    return np.dtype(np.float32 if found == {"float32"} else np.float64)
