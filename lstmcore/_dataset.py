"""Samples as a weighted set: the same for every order, repetition and weight 0 of its members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array

from lstmcore import _batching

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lstmcore._sequences import Sequences


def check_weights(sample_weight: ArrayLike | None, n_samples: int) -> NDArray[np.float64]:
    """Return the weights of ``n_samples`` samples as float64, all 1 for None.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or None
        Weights of at least 0.
    n_samples : int
        Number of samples.

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
        sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
    )
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have the shape ({n_samples},), one weight per sample; "
            f"got {weights.shape}."
        )
    if weights.min() < 0:
        raise ValueError(
            f"sample_weight must not be negative, got {weights.min()} at index {weights.argmin()}."
        )
    if not weights.any():
        raise ValueError("sample_weight must contain at least one weight that is not zero.")
    return weights


def merge_samples(
    sequences: Sequences, targets: NDArray[Any], weights: NDArray[np.float64]
) -> tuple[Sequences, NDArray[Any], NDArray[np.float64]]:
    """Order samples by their content, and make equal ones one sample with their summed weight.

    Parameters
    ----------
    sequences : Sequences
        n sequences.
    targets : ndarray of shape (n,) or (n, K)
        Their targets, of any dtype of fixed size.
    weights : ndarray of shape (n,), float64
        Their weights.

    Returns
    -------
    sequences, targets, weights
        The same for m <= n samples of which no two have the same sequence and target.
    """
    rows = np.ascontiguousarray(targets).reshape(len(weights), -1)
    order, group_start = _batching.canonical_order(
        sequences.values, sequences.starts, rows.view(np.uint8)
    )
    firsts = order[group_start[:-1]]
    # Equal samples stand in no particular order, and a sum of floats depends on the order: sort.
    group = np.repeat(np.arange(len(firsts)), np.diff(group_start))
    ordered = weights[order][np.lexsort((weights[order], group))]
    return (
        sequences.take(firsts),
        targets[firsts],
        np.add.reduceat(ordered, group_start[:-1]),
    )
