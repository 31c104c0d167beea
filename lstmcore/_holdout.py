"""Which samples are held out of training to validate it.

A split drawn at random is one of contents: of samples that differ, whatever their order and
however often each is given. So it is the same for every order of the samples, and equal samples
never stand on both sides. A split in time, and one by a splitter of scikit-learn, goes by the
order of the samples, which is what the user then asks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit

from lstmcore._dataset import merge_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

# No epoch has a key of two numbers: the split shares no random number with the shuffling.
_SPAWN_KEY = (0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a split may go by, of n samples.

    Parameters
    ----------
    ranks : ndarray of shape (n,), intp
        Numbers of their contents, groups included, see `content_ranks`.
    weights : ndarray of shape (n,), float64
        Weights of at least 0; a sample of weight 0 is on no side.
    labels : ndarray of shape (n,) or None
        Numbers of classes, where there is one class per sample.
    groups : ndarray of shape (n,) or None
        Numbers of groups.
    """

    ranks: NDArray[np.intp]
    weights: NDArray[np.float64]
    labels: NDArray[np.intp] | None = None
    groups: NDArray[np.intp] | None = None


def hold_out(samples: Samples, *, split: Any, fraction: float, seed: int) -> tuple[Mask, Mask]:
    """Choose samples to train on, and others to validate with.

    Parameters
    ----------
    samples : Samples
        n samples.
    split : {"auto", "random", "stratified", "ordered"} or splitter
        "auto" keeps groups together where there are some, else stratifies by label where there is
        one per sample, else draws at random. "ordered" holds out the last samples. A splitter has
        a method ``split(X, y, groups)``; its last split counts.
    fraction : float
        Share of the samples to hold out; a splitter does not need it.
    seed : int
        Decides what is drawn.

    Returns
    -------
    training, validation : ndarray of shape (n,), bool
        The two sides.

    Raises
    ------
    ValueError
        If there are too few samples, classes or groups for the split, or groups that it ignores.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._holdout import Samples, hold_out
    >>> samples = Samples(np.arange(4), np.array([1.0, 1.0, 1.0, 0.0]))
    >>> _, validation = hold_out(samples, split="ordered", fraction=0.3, seed=0)
    >>> validation
    array([False, False,  True, False])
    """
    if not isinstance(split, str):
        return _by_splitter(samples, split)
    if split == "auto":
        grouped, stratified = samples.groups is not None, samples.labels is not None
        split = "random" if grouped or not stratified else "stratified"
    elif samples.groups is not None and split != "random":
        raise ValueError(
            f"validation_split={split!r} takes no groups: leave it at 'auto', or give a splitter "
            "of scikit-learn that keeps groups together."
        )
    elif split == "stratified" and samples.labels is None:
        raise ValueError(
            "validation_split='stratified' needs one class per sample in y; take 'random'."
        )
    if split == "ordered":
        kept = np.flatnonzero(samples.weights)
        chosen = kept[len(kept) - _n_held_out(len(kept), fraction) :]
        validation = np.zeros(len(samples.weights), bool)
        validation[chosen] = True
    else:
        rows, _ = merge_samples(samples.ranks, samples.weights)
        chosen = rows[_draw(samples, rows, split, fraction, seed)]
        validation = np.isin(samples.ranks, samples.ranks[chosen])
    present = samples.weights > 0
    return present & ~validation, present & validation


def _n_held_out(n: int, fraction: float) -> int:
    """Return how many of n samples are held out: at least one, but not all."""
    if n < 2:
        raise ValueError(
            f"early_stopping=True needs at least 2 different samples of positive weight, got {n}."
        )
    return min(math.ceil(fraction * n), n - 1)


def _draw(
    samples: Samples, rows: NDArray[np.intp], split: str, fraction: float, seed: int
) -> NDArray[np.intp]:
    """Return places in ``rows`` to be held out."""
    n_held_out = _n_held_out(len(rows), fraction)
    bits = np.random.MT19937(np.random.SeedSequence(seed, spawn_key=_SPAWN_KEY))
    random = np.random.RandomState(bits)
    if samples.groups is None and split == "random":
        drawn: NDArray[np.intp] = random.permutation(len(rows))[:n_held_out]
        return drawn
    try:
        if samples.groups is not None:
            grouped = GroupShuffleSplit(1, test_size=fraction, random_state=random)
            _, chosen = next(grouped.split(rows, groups=samples.groups[rows]))
        else:
            stratified = StratifiedShuffleSplit(1, test_size=n_held_out, random_state=random)
            _, chosen = next(stratified.split(rows, samples.labels[rows]))  # type: ignore[index]
    except ValueError as error:
        kind = "validation_split='stratified'" if samples.groups is None else "groups"
        advice = "" if samples.groups is not None else " Or take validation_split='random'."
        raise ValueError(
            f"{kind} can't hold out validation_fraction={fraction} of the {len(rows)} different "
            f"samples: {error}{advice}"
        ) from error
    return np.asarray(chosen, np.intp)


def _by_splitter(samples: Samples, splitter: Any) -> tuple[Mask, Mask]:
    """Return the sides of the last split that a splitter makes of the samples with a weight."""
    kept = np.flatnonzero(samples.weights)
    labels = None if samples.labels is None else samples.labels[kept]
    groups = None if samples.groups is None else samples.groups[kept]
    masks = (np.zeros(len(samples.weights), bool), np.zeros(len(samples.weights), bool))
    try:
        *_, sides = splitter.split(np.empty((len(kept), 1)), labels, groups)
    except ValueError as error:
        raise ValueError(
            f"validation_split={splitter!r} can't split the samples: {error}"
        ) from error
    for mask, chosen in zip(masks, sides, strict=True):
        if not len(chosen):
            raise ValueError(f"validation_split={splitter!r} leaves one side without a sample.")
        mask[kept[chosen]] = True
    if (masks[0] & masks[1]).any():
        raise ValueError(f"validation_split={splitter!r} puts a sample on both sides.")
    return masks
