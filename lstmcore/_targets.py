"""Targets: checked, turned into what the core learns, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


def check_labels(y: ArrayLike, owner: str) -> NDArray[Any]:
    """Check the labels of a classifier.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, K)
        Labels of any type that sorts, or indicators of 0 and 1, one column per label.
    owner : str
        Name of the estimator, for messages.

    Returns
    -------
    y : ndarray of shape (n,), or (n, K) of dtype int64
        Labels, or indicators.

    Raises
    ------
    ValueError
        If y has NaN or inf, numbers that are no classes, or indicators other than 0 and 1.

    Examples
    --------
    >>> from lstmcore._targets import check_labels
    >>> check_labels(["no", "yes"], "LSTMClassifier").tolist()
    ['no', 'yes']
    """
    dense = y.toarray() if hasattr(y, "toarray") else y  # a sparse array of indicators
    labels: NDArray[Any] = check_array(
        dense, ensure_2d=False, dtype=None, input_name="y", ensure_min_samples=0
    )
    if labels.ndim == 2 and type_of_target(labels, input_name="y") == "multilabel-indicator":
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(
                f"{owner} takes indicators of 0 and 1 where y has several columns, got the values "
                f"{np.unique(labels).tolist()}."
            )
        return labels.astype(np.int64)
    check_classification_targets(labels)
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise ValueError(
            f"{owner} takes one label per sequence, or indicators of 0 and 1 in several columns; "
            f"got y of shape {labels.shape} with several classes in a column."
        )
    column: NDArray[Any] = column_or_1d(labels, warn=True)
    return column


def find_classes(y: NDArray[Any], owner: str) -> NDArray[Any]:
    """Return the classes that there are in y.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, K)
        What `check_labels` returned.
    owner : str
        Name of the estimator, for messages.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Sorted labels; for indicators the numbers of the columns.

    Raises
    ------
    ValueError
        If there is only one class.
    """
    if y.ndim == 2:
        return np.arange(y.shape[1])
    classes: NDArray[Any] = np.unique(y)
    if len(classes) < 2:
        raise ValueError(
            f"{owner} needs samples of at least 2 classes in y, but those with a positive weight "
            f"hold only one class: {classes[0]!r}."
        )
    return classes


def check_classes(classes: ArrayLike, owner: str) -> NDArray[Any]:
    """Return the classes that a user names, sorted."""
    labels = check_labels(classes, owner)
    if labels.ndim != 1 or len(np.unique(labels)) != len(labels) or len(labels) < 2:
        raise ValueError(f"classes must be at least 2 different labels, got {classes!r}.")
    return np.sort(labels)


def encode_labels(
    y: NDArray[Any], classes: NDArray[Any], name: str, *, multilabel: bool
) -> NDArray[np.intp]:
    """Return labels as numbers of classes, and indicators as they are.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, K)
        What `check_labels` returned.
    classes : ndarray of shape (n_classes,)
        Sorted labels, or the numbers of the columns.
    name : str
        What messages call y.
    multilabel : bool
        Whether indicators are expected.

    Returns
    -------
    codes : ndarray of shape (n,) or (n, K), dtype intp
        Numbers of classes, or the indicators.

    Raises
    ------
    ValueError
        If there is a label that is none of the classes, or another number of columns.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._targets import encode_labels
    >>> encode_labels(np.array(["no", "yes"]), np.array(["no", "yes"]), "y", multilabel=False)
    array([0, 1])
    """
    if multilabel != (y.ndim == 2) or (multilabel and y.shape[1] != len(classes)):
        wanted = f"indicators in {len(classes)} columns" if multilabel else "one label per sequence"
        raise ValueError(f"{name} must have {wanted} here, got the shape {y.shape}.")
    if multilabel:
        return y.astype(np.intp)
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"{name} has labels that are none of the classes {classes.tolist()}: "
            f"{unknown.tolist()}."
        )
    return np.searchsorted(classes, y).astype(np.intp)


def weigh_classes(
    class_weight: dict[Any, float] | Sequence[dict[int, float]] | str | None,
    classes: NDArray[Any],
    codes: NDArray[Any],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Multiply the weights of samples by those of their classes.

    Parameters
    ----------
    class_weight : dict, list of dict, "balanced" or None
        Label → weight; for indicators one dict for each column.
    classes, codes : ndarray
        What `encode_labels` returned.
    weights : ndarray of shape (n,), float64
        Weights of the samples.

    Returns
    -------
    weights : ndarray of shape (n,), float64
        The products.

    Raises
    ------
    ValueError
        If ``class_weight`` does not fit the labels, or leaves no weight above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._targets import weigh_classes
    >>> classes, codes = np.array(["no", "yes"]), np.array([0, 0, 0, 1])
    >>> weigh_classes("balanced", classes, codes, np.ones(4)).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    if class_weight is None:
        return weights
    if codes.ndim == 1:
        if not isinstance(class_weight, (dict, str)):
            raise ValueError(
                'class_weight must be a dict or "balanced" where y holds one label per sequence, '
                f"got {class_weight!r}."
            )
        if isinstance(class_weight, str):
            # Part of the samples may lack a class, which then has no weight to balance.
            classes, codes = classes[np.unique(codes)], np.unique(codes, return_inverse=True)[1]
        factors = compute_class_weight(
            class_weight, classes=classes, y=classes[codes], sample_weight=weights
        )[codes]
    else:
        factors = _factors_of_columns(class_weight, codes, weights)
    weighted: NDArray[np.float64] = weights * factors
    if not weighted.any():
        raise ValueError(f"class_weight={class_weight!r} leaves no sample a weight above 0.")
    return weighted


def _factors_of_columns(
    class_weight: dict[Any, float] | Sequence[dict[int, float]] | str,
    indicators: NDArray[Any],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the product of the weights of a sample's indicators."""
    n_columns = indicators.shape[1]
    tables: Any = [class_weight] * n_columns if isinstance(class_weight, str) else class_weight
    if isinstance(tables, dict) or len(tables) != n_columns:
        raise ValueError(
            f'class_weight must be "balanced" or a list of {n_columns} dicts of 0 and 1, one for '
            f"each column of y; got {class_weight!r}."
        )
    factors = np.ones(len(weights))
    for column, table in zip(indicators.T, tables, strict=True):
        found, codes = np.unique(column, return_inverse=True)
        if not isinstance(table, str) and not table.keys() <= {0, 1}:
            raise ValueError(f"class_weight has the labels {list(table)}, expected 0 and 1.")
        one = table if isinstance(table, str) else {k: table.get(k, 1.0) for k in (0, 1)}
        factors *= compute_class_weight(one, classes=found, y=column, sample_weight=weights)[codes]
    return factors


def check_numbers(y: ArrayLike, owner: str) -> NDArray[np.float64]:
    """Check the targets of a regressor and return them as float64 of shape (n,) or (n, K)."""
    numbers: NDArray[np.float64] = check_array(
        y,
        dtype=np.float64,
        ensure_2d=False,
        ensure_min_samples=0,
        input_name="y",
        estimator=owner,
    )
    if numbers.ndim not in (1, 2):
        raise ValueError(
            f"{owner} takes y of shape (n_samples,) or (n_samples, n_outputs), "
            f"got an array of shape {numbers.shape}."
        )
    return numbers


def location_and_scale(
    y: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weighted mean and standard deviation of every column; 1 where the latter is 0.

    Parameters
    ----------
    y : ndarray of shape (n, K), float64
        Targets.
    weights : ndarray of shape (n,), float64
        Positive weights.

    Returns
    -------
    mean, scale : ndarray of shape (K,), float64
        ``(y - mean) / scale`` has mean 0 and standard deviation 1.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._targets import location_and_scale
    >>> location_and_scale(np.array([[1.0], [3.0]]), np.ones(2))
    (array([2.]), array([1.]))
    """
    # Divided by the largest magnitude first, no square of a finite number overflows or vanishes.
    peak = np.abs(y).max(axis=0)
    peak[peak == 0] = 1.0
    unit = y / peak
    mean = np.average(unit, axis=0, weights=weights)
    # The mean of equal numbers may miss them by rounding: they have no spread all the same.
    varied = (unit != unit[0]).any(axis=0)
    deviation = np.sqrt(np.average((unit - mean) ** 2, axis=0, weights=weights))
    return mean * peak, np.where(varied & (deviation > 0), deviation * peak, 1.0)
