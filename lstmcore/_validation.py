"""Names of features, as scikit-learn knows them, for every form of X."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data


def feature_names(X: Any) -> dict[str, Any]:
    """Return ``feature_names_in_`` as an attribute to be, where X has names that are strings.

    Parameters
    ----------
    X : array-like, frame or list of arrays or frames
        What an estimator is fitted to. The names of a list are those of its frames.

    Returns
    -------
    attributes : dict
        ``{"feature_names_in_": names}``, or nothing.

    Raises
    ------
    ValueError
        If two frames of a list have different columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from lstmcore._validation import feature_names
    >>> frames = [pd.DataFrame({"a": [1.0], "b": [2.0]}), pd.DataFrame({"a": [], "b": []})]
    >>> feature_names(frames)["feature_names_in_"].tolist()
    ['a', 'b']
    """
    # scikit-learn writes to the estimator it is given, and this fit may yet fail.
    scratch = BaseEstimator()
    validate_data(scratch, _named(X), skip_check_array=True, ensure_2d=False)
    return dict(vars(scratch))


def check_feature_names(estimator: BaseEstimator, X: Any) -> None:
    """Compare the names of X with those that an estimator was fitted to.

    Parameters
    ----------
    estimator : BaseEstimator
        A fitted estimator.
    X : array-like, frame or list of arrays or frames
        What it is given now.

    Raises
    ------
    ValueError
        If they differ.

    Warns
    -----
    UserWarning
        If only one of them has names.
    """
    named = _named(X)
    if not (isinstance(named, (list, tuple)) and not named):
        validate_data(estimator, named, reset=False, skip_check_array=True, ensure_2d=False)


def _named(X: Any) -> Any:
    """Return what holds the names: X, or the first frame of a list, if all have its columns."""
    if not isinstance(X, (list, tuple)) or not X:
        return X
    columns = _columns(X[0])
    if columns is None:
        return X
    for i, item in enumerate(X):
        found = _columns(item)
        if found != columns:
            raise ValueError(
                "All frames of X must have the same columns in the same order: "
                f"X[0] has {columns}, X[{i}] is or has {found or type(item).__name__}."
            )
    return X[0]


def _columns(item: Any) -> list[Any] | None:
    """Return the names of a frame's columns, None of what is no frame."""
    # pyarrow has the columns themselves as `columns`.
    names = getattr(item, "column_names", getattr(item, "columns", None))
    return None if names is None else list(names)
