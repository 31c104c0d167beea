"""Long tables, one row per time step, to sequences and their labels.

narwhals, which scikit-learn brings along, reads pandas, polars and pyarrow alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

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
    names = [values] if isinstance(values, str) else values
    return columns_to_sequences(FrameColumns(frame), id, time, names)


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
    table = FrameColumns(frame)
    if isinstance(label, str):
        return columns_to_labels(table, id, label)
    columns = [columns_to_labels(table, id, name) for name in label]
    if not columns:
        raise ValueError("label must be a column or a non-empty list of columns.")
    return np.stack(columns, axis=1)


def columns_to_sequences(
    table: Columns, key: str, time: str | None, values: Sequence[str] | None
) -> list[NDArray[Any]]:
    """Do the work of `from_long`, for anything that has columns."""
    names = values
    if names is None:
        names = [name for name in table.names if name not in (key, time)]
    if not names:
        raise ValueError(f"frame has no column of values beside {[key, time]}.")
    _check_names(table, {"id": [key], "time": [time] if time else [], "values": names})
    codes = _codes(table, key)
    order = np.argsort(codes, kind="stable")
    if time is not None:
        order = _ordered(table, codes, key, time)
    columns = [table.numbers(name) for name in names]
    same = {column.dtype for column in columns} == {np.dtype(np.float32)}
    matrix = np.empty((len(codes), len(columns)), np.float32 if same else np.float64)
    for k, column in enumerate(columns):
        matrix[:, k] = column[order]
    counts = np.bincount(codes)
    return np.split(matrix, np.cumsum(counts)[:-1]) if len(counts) else []


def columns_to_labels(table: Columns, key: str, label: str) -> NDArray[Any]:
    """Do the work of `labels_from_long` for one column, for anything that has columns."""
    _check_names(table, {"id": [key], "label": [label]})
    codes = _codes(table, key)
    _refuse_missing(table, label, "a label")
    labels = table.values(label)
    firsts = np.unique(codes, return_index=True)[1]
    differing = np.flatnonzero(labels != labels[firsts][codes])
    if len(differing):
        row = int(differing[0])
        first = int(firsts[codes[row]])
        raise ValueError(
            f"column {label!r} must be the same in all rows of a sequence: for "
            f"{key}={_shown(table.values(key)[row])} it is {_shown(labels[first])} in "
            f"{table.place(first)} and {_shown(labels[row])} in {table.place(row)}."
        )
    return labels[firsts]


def _shown(value: Any) -> str:
    """Return a value as messages show it."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def _check_names(table: Columns, wanted: dict[str, Sequence[str]]) -> None:
    """Refuse names that are no column."""
    for argument, names in wanted.items():
        for name in names:
            if name not in table.names:
                raise ValueError(
                    f"{argument}: there is no column {name!r}; the columns are {table.names}."
                )


def _refuse_missing(table: Columns, name: str, what: str) -> None:
    """Refuse a column that has no value in some row."""
    missing = table.missing(name)
    if missing.any():
        raise ValueError(f"column {name!r} lacks {what} in {table.place(int(missing.argmax()))}.")


def _codes(table: Columns, key: str) -> NDArray[np.intp]:
    """Return for each row the number of its sequence, in the order in which they first appear."""
    _refuse_missing(table, key, "an id")
    names = table.values(key)
    # Rows of a sequence mostly stand together: only where another name begins is it looked up.
    differs = np.asarray(names[1:] != names[:-1], np.bool_)
    begins = np.flatnonzero(np.concatenate([[True], differs])[: len(names)])
    seen: dict[Any, int] = {}
    numbers = [seen.setdefault(name, len(seen)) for name in names[begins].tolist()]
    return np.repeat(np.array(numbers, np.intp), np.diff(begins, append=len(names)))


def _ordered(table: Columns, codes: NDArray[np.intp], key: str, time: str) -> NDArray[np.intp]:
    """Return the rows sorted by sequence and time."""
    _refuse_missing(table, time, "a time")
    ranks = table.ranks(time)
    order: NDArray[np.intp] = np.lexsort((ranks, codes))
    twice = (np.diff(codes[order]) == 0) & (np.diff(ranks[order]) == 0)
    if twice.any():
        first, second = (int(row) for row in order[int(twice.argmax()) :][:2])
        raise ValueError(
            f"column {time!r} must differ between the rows of a sequence: {table.place(first)} "
            f"and {table.place(second)} of {key}={_shown(table.values(key)[first])} both have "
            f"{_shown(table.values(time)[first])}."
        )
    return order


class Columns(Protocol):
    """A table as the functions above see it."""

    @property
    def names(self) -> list[str]:
        """The names of the columns."""

    def place(self, row: int) -> str:
        """Return what messages call a row."""

    def values(self, name: str) -> NDArray[Any]:
        """Return a column as it is, of shape (n_rows,)."""

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Tell for each row whether a column has no value there."""

    def ranks(self, name: str) -> NDArray[np.intp]:
        """Return the places of the values of a column among its sorted different values."""

    def numbers(self, name: str) -> NDArray[Any]:
        """Return a column as float32 or float64, NaN where a value is missing."""


class FrameColumns:
    """The columns of a frame that narwhals knows."""

    def __init__(self, frame: Any) -> None:
        import narwhals as nw

        try:
            self._table: Any = nw.from_native(frame, eager_only=True)
        except TypeError:
            raise TypeError(
                "frame must be a table with columns, such as a DataFrame of pandas or polars or a "
                f"Table of pyarrow; got {type(frame).__name__}."
            ) from None

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self._table.columns)

    def place(self, row: int) -> str:
        """Return what messages call a row."""
        return f"row {row}"

    def values(self, name: str) -> NDArray[Any]:
        """Return a column as it is."""
        return np.asarray(self._table[name].to_numpy())

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Tell for each row whether a column has no value there."""
        column = self._table[name]
        missing: NDArray[np.bool_] = column.is_null().to_numpy()
        return missing | np.isnan(column.to_numpy()) if column.dtype.is_float() else missing

    def ranks(self, name: str) -> NDArray[np.intp]:
        """Return the places of the values of a column among its sorted different values."""
        # By narwhals and not by NumPy, since they may be dates with zones, decimals or text.
        return np.asarray(self._table[name].rank("dense").to_numpy(), np.intp)

    def numbers(self, name: str) -> NDArray[Any]:
        """Return a column as floats, NaN where a value is missing."""
        import narwhals as nw

        column = self._table[name]
        if not (column.dtype.is_numeric() or column.dtype == nw.Boolean):
            for row, value in enumerate(column.to_list()):
                if value is not None and not isinstance(value, (int, float)):
                    raise ValueError(
                        f"column {name!r} must hold numbers, got {value!r} in row {row} "
                        f"(the type of the column is {column.dtype})."
                    )
        if column.dtype == nw.Float32:
            return np.asarray(column.to_numpy(), np.float32)
        return np.asarray(column.cast(nw.Float64).to_numpy())
