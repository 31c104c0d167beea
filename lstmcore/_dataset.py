"""Samples as a weighted set: the same for every order, repetition and weight 0 of its members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array

from lstmcore import _batching

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lstmcore._sequences import Sequences


def check_weights(
    sample_weight: ArrayLike | None, n_samples: int, name: str = "sample_weight"
) -> NDArray[np.float64]:
    """Return the weights of ``n_samples`` samples as float64, all 1 for None.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or None
        Weights of at least 0.
    n_samples : int
        Number of samples.
    name : str, default="sample_weight"
        What messages call them.

    Returns
    -------
    weights : ndarray of shape (n_samples,), float64
        The weights.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, if all are 0, or if the shape is another.

    Examples
    --------
    >>> from lstmcore._dataset import check_weights
    >>> check_weights([1, 0], 2)
    array([1., 0.])
    """
    if sample_weight is None:
        return np.ones(n_samples)
    weights: NDArray[np.float64] = check_array(
        sample_weight, dtype=np.float64, ensure_2d=False, input_name=name
    )
    if weights.shape != (n_samples,):
        raise ValueError(
            f"{name} must have the shape ({n_samples},), one weight per sample; "
            f"got {weights.shape}."
        )
    if weights.min() < 0:
        raise ValueError(
            f"{name} must not be negative, got {weights.min()} at index {weights.argmin()}."
        )
    if not weights.any():
        raise ValueError(f"{name} must contain at least one weight that is not zero.")
    return weights


def content_ranks(sequences: Sequences, *columns: NDArray[Any]) -> NDArray[np.intp]:
    """Rank samples by their content: equal ones have the same rank, wherever they stand.

    Parameters
    ----------
    sequences : Sequences
        n sequences.
    *columns : ndarray of shape (n,) or (n, K)
        What else makes samples differ, such as targets, of dtypes of fixed size.

    Returns
    -------
    ranks : ndarray of shape (n,), intp
        From 0 to one less than the number of samples that differ. They follow an order of all
        possible samples, so that of two samples the same one is always first.
    """
    n = sequences.n_samples
    rows = [np.empty((n, 0), np.uint8)]
    rows += [np.ascontiguousarray(column).reshape(n, -1).view(np.uint8) for column in columns]
    order, group_start = _batching.canonical_order(
        sequences.values, sequences.starts, np.concatenate(rows, axis=1)
    )
    ranks = np.empty(n, np.intp)
    ranks[order] = np.repeat(np.arange(len(group_start) - 1), np.diff(group_start))
    return ranks


def merge_samples(
    ranks: NDArray[np.intp], weights: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Order samples by their content, and make equal ones one sample with their summed weight.

    Parameters
    ----------
    ranks : ndarray of shape (n,), intp
        What `content_ranks` returned.
    weights : ndarray of shape (n,), float64
        Weights of at least 0; a sample of weight 0 is left out.

    Returns
    -------
    rows : ndarray of shape (m,), intp
        One of the samples of each content, by ascending rank.
    weights : ndarray of shape (m,), float64
        Their weights.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._dataset import merge_samples
    >>> merge_samples(np.array([1, 0, 1, 2]), np.array([1.0, 2.0, 3.0, 0.0]))
    (array([1, 0]), array([2., 4.]))
    """
    # A sum of floats depends on the order: sort the weights of equal samples too.
    order = np.lexsort((weights, ranks))
    order = order[weights[order] > 0]
    firsts = np.flatnonzero(np.diff(ranks[order], prepend=-1))
    return order[firsts], np.add.reduceat(weights[order], firsts)
