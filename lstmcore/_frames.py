"""Long tables, one row per time step, to sequences and their labels.

narwhals, which scikit-learn brings along, reads pandas, polars and pyarrow alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def from_long(
    frame: Any,
    *,
    id: str,  # noqa: A002 - what the column is called everywhere
    time: str | None = None,
    values: str | Sequence[str] | None = None,
) -> list[NDArray[Any]]:
    """Gather the rows of a long table, one per time step, into sequences.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table or another that narwhals knows
        A row for each time step of each sequence, in any order.
    id : str
        The column that tells the sequences apart.
    time : str or None, default=None
        The column that orders the rows of a sequence: numbers, dates or text. With None they stay
        in the order of the table.
    values : str, list of str or None, default=None
        The columns of the features, of numbers or bools; None takes all others. Missing values
        become NaN.

    Returns
    -------
    sequences : list of ndarray of shape (T_i, n_features)
        What every estimator takes as X, in the order in which the ids first appear: that of
        `labels_from_long`. float32 where all columns are, else float64.

    Raises
    ------
    ValueError
        If there is no such column, a value is no number, an id or a time is missing, or two rows
        of a sequence have the same time. The message names the row and the column.
    TypeError
        If ``frame`` is no such table.

    See Also
    --------
    labels_from_long : The labels of these sequences.

    Examples
    --------
    >>> import pandas as pd
    >>> import lstmcore
    >>> frame = pd.DataFrame({
    ...     "who": ["b", "b", "a", "b"], "t": [2, 1, 1, 3], "x": [20.0, 10.0, 5.0, 30.0],
    ... })
    >>> [x.ravel().tolist() for x in lstmcore.from_long(frame, id="who", time="t", values="x")]
    [[10.0, 20.0, 30.0], [5.0]]
    """
    table = _as_table(frame)
    names = [values] if isinstance(values, str) else values
    if names is None:
        names = [name for name in table.columns if name not in (id, time)]
    if not names:
        raise ValueError(f"frame has no column of values beside {[id, time]}.")
    _check_columns(table, {"id": [id], "time": [time] if time else [], "values": names})
    codes, order = _grouped(table, id)
    if time is not None:
        order = _ordered(table, codes, id, time)
    columns = [_numbers(table, name) for name in names]
    same = {column.dtype for column in columns} == {np.dtype(np.float32)}
    matrix = np.empty((len(codes), len(columns)), np.float32 if same else np.float64)
    for k, column in enumerate(columns):
        matrix[:, k] = column[order]
    counts = np.bincount(codes, minlength=0)
    return np.split(matrix, np.cumsum(counts)[:-1]) if len(counts) else []


def labels_from_long(
    frame: Any,
    *,
    id: str,  # noqa: A002 - as in `from_long`
    label: str | Sequence[str],
) -> NDArray[Any]:
    """Return the label of each sequence of a long table, in which every row bears it.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table or another that narwhals knows
        A row for each time step of each sequence, in any order.
    id : str
        The column that tells the sequences apart.
    label : str or list of str
        The column of the labels, or the columns; the id itself is one that always fits.

    Returns
    -------
    labels : ndarray of shape (n_sequences,) or (n_sequences, n_columns)
        In the order in which the ids first appear: that of `from_long`.

    Raises
    ------
    ValueError
        If there is no such column, an id or a label is missing, or the rows of a sequence have
        different labels. The message names the row and the column.
    TypeError
        If ``frame`` is no such table.

    See Also
    --------
    from_long : The sequences themselves.

    Examples
    --------
    >>> import pandas as pd
    >>> import lstmcore
    >>> frame = pd.DataFrame({"who": ["b", "b", "a"], "x": [1.0, 2.0, 3.0], "kind": [7, 7, 4]})
    >>> lstmcore.labels_from_long(frame, id="who", label="kind")
    array([7, 4])
    >>> lstmcore.labels_from_long(frame, id="who", label="who").tolist()
    ['b', 'a']
    """
    table = _as_table(frame)
    if not isinstance(label, str):
        columns = [labels_from_long(frame, id=id, label=name) for name in label]
        if not columns:
            raise ValueError("label must be a column or a non-empty list of columns.")
        return np.stack(columns, axis=1)
    _check_columns(table, {"id": [id], "label": [label]})
    codes, order = _grouped(table, id)
    _refuse_missing(table, label, "a label")
    labels: NDArray[Any] = np.asarray(table[label].to_numpy())
    starts = np.searchsorted(codes[order], np.arange(codes.max() + 1 if len(codes) else 0))
    firsts = order[starts]
    differing = np.flatnonzero(labels != labels[firsts][codes])
    if len(differing):
        row = int(differing[0])
        first = int(firsts[codes[row]])
        raise ValueError(
            f"column {label!r} must be the same in all rows of a sequence: for "
            f"{id}={_shown(table[id][row])} it is {_shown(labels[first])} in row {first} and "
            f"{_shown(labels[row])} in row {row}."
        )
    return labels[firsts]


def _shown(value: Any) -> str:
    """Return a value as messages show it."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def _as_table(frame: Any) -> Any:
    """Return a frame as narwhals sees it."""
    import narwhals as nw

    try:
        return nw.from_native(frame, eager_only=True)
    except TypeError:
        raise TypeError(
            "frame must be a table with columns, such as a DataFrame of pandas or polars or a "
            f"Table of pyarrow; got {type(frame).__name__}."
        ) from None


def _check_columns(table: Any, wanted: dict[str, Sequence[str]]) -> None:
    """Refuse names that are no column."""
    for argument, names in wanted.items():
        for name in names:
            if name not in table.columns:
                raise ValueError(
                    f"{argument}: there is no column {name!r}; the columns are "
                    f"{list(table.columns)}."
                )


def _refuse_missing(table: Any, name: str, what: str) -> None:
    """Refuse a column that has no value in some row."""
    column = table[name]
    missing = column.is_null().to_numpy()
    if column.dtype.is_float():
        missing = missing | np.isnan(column.to_numpy())
    if missing.any():
        raise ValueError(f"column {name!r} lacks {what} in row {int(missing.argmax())}.")


def _grouped(table: Any, key: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return for each row the number of its sequence, and the rows sequence by sequence."""
    _refuse_missing(table, key, "an id")
    seen: dict[Any, int] = {}
    codes = np.array([seen.setdefault(name, len(seen)) for name in table[key].to_list()], np.intp)
    return codes, np.argsort(codes, kind="stable")


def _ordered(table: Any, codes: NDArray[np.intp], key: str, time: str) -> NDArray[np.intp]:
    """Return the rows sorted by sequence and time."""
    _refuse_missing(table, time, "a time")
    # Ranks and not the times themselves, which may be dates with zones, decimals or text.
    ranks = table[time].rank("dense").to_numpy().astype(np.intp)
    order: NDArray[np.intp] = np.lexsort((ranks, codes))
    twice = (np.diff(codes[order]) == 0) & (np.diff(ranks[order]) == 0)
    if twice.any():
        first, second = (int(row) for row in order[int(twice.argmax()) :][:2])
        raise ValueError(
            f"column {time!r} must differ between the rows of a sequence: rows {first} and "
            f"{second} of {key}={_shown(table[key][first])} both have {_shown(table[time][first])}."
        )
    return order


def _numbers(table: Any, name: str) -> NDArray[Any]:
    """Return a column as floats, NaN where a value is missing."""
    import narwhals as nw

    column = table[name]
    if not (column.dtype.is_numeric() or column.dtype == nw.Boolean):
        _refuse_text(column, name)
    wanted = nw.Float32 if column.dtype == nw.Float32 else nw.Float64
    return np.asarray(column.cast(wanted).to_numpy(), np.float32 if wanted == nw.Float32 else None)


def _refuse_text(column: Any, name: str) -> None:
    """Raise an error that names the first value of a column that is no number."""
    for row, value in enumerate(column.to_list()):
        if value is not None and not isinstance(value, (int, float)):
            raise ValueError(
                f"column {name!r} must hold numbers, got {value!r} in row {row} "
                f"(the type of the column is {column.dtype})."
            )
