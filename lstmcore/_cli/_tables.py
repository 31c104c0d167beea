"""CSV, Parquet and NPZ files as sequences; what is wrong in them is named by line and column."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._containers import from_padded
from lstmcore._frames import Columns, FrameColumns, columns_to_labels, columns_to_sequences

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lstmcore._table_model import Roles


@dataclass(frozen=True, slots=True)
class Samples:
    """What a file holds.

    Parameters
    ----------
    X : list of ndarray of shape (T_i, n_features)
        The sequences.
    ids : list of str
        Their names: ids, or numbers from 0.
    values : tuple of str
        The columns of the features.
    labels : ndarray of shape (n,) or None
        Labels as they stand in the file, text in a CSV file; None where there is no such column.
    """

    X: list[NDArray[Any]]
    ids: list[str]
    values: tuple[str, ...]
    labels: NDArray[Any] | None


def read_samples(
    path: Path, roles: Roles, *, allow_missing: bool, label_is_number: bool = False
) -> Samples:
    """Read a file.

    Parameters
    ----------
    path : Path
        A file whose name ends in .csv, .parquet or .npz.
    roles : Roles
        Which column is what. An .npz file has an array ``X`` of shape (n, n_steps, n_features),
        perhaps ``lengths``, and labels in the array that ``roles.label`` names.
    allow_missing : bool
        Whether values may be missing.
    label_is_number : bool, default=False
        Whether a label that is no number is wrong.

    Returns
    -------
    samples : Samples
        Without labels where the file has no such column.

    Raises
    ------
    ValueError
        If the file is of another kind, or something in it is wrong.
    OSError
        If it can't be read.
    ImportError
        If it is a Parquet file and no package that reads it is installed.
    """
    readers = {".csv": CsvColumns, ".parquet": _read_parquet}
    try:
        if path.suffix == ".npz":
            return _from_arrays(path, roles.label)
        if path.suffix not in readers:
            raise ValueError("the name of a data file must end in .csv, .parquet or .npz")
        table = readers[path.suffix](path)
        if label_is_number and roles.label in table.names:
            table.numbers(roles.label)  # which names the row of what is none
        return _from_columns(table, roles, allow_missing=allow_missing)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _from_columns(table: Any, roles: Roles, *, allow_missing: bool) -> Samples:
    has_labels = roles.label is not None and roles.label in table.names
    others = (roles.id, roles.time, roles.label)
    values = roles.values or tuple(name for name in table.names if name not in others)
    unknown = [name for name in values if name not in table.names]
    if unknown:
        raise ValueError(f"there is no column {unknown[0]!r}; the columns are {table.names}.")
    for name in () if allow_missing else values:
        missing = np.isnan(table.numbers(name))
        if missing.any():
            raise ValueError(
                f"column {name!r} has no number in {table.place(int(missing.argmax()))}; "
                "train with --missing mask to allow that."
            )
    if roles.id is not None:
        X = columns_to_sequences(table, roles.id, roles.time, values)
        ids = columns_to_labels(table, roles.id, roles.id).tolist()
        labels = columns_to_labels(table, roles.id, str(roles.label)) if has_labels else None
        return Samples(X, list(map(str, ids)), values, labels)
    if not values:
        raise ValueError("there is no column of values.")
    if len(values) % roles.n_steps:
        raise ValueError(
            f"its {len(values)} columns of values are no multiple of --steps {roles.n_steps}."
        )
    rows = np.stack([table.numbers(name) for name in values], axis=1)
    X = list(rows.reshape(len(rows), roles.n_steps, -1))
    labels = table.values(str(roles.label)) if has_labels else None
    if has_labels:
        absent = table.missing(str(roles.label))
        if absent.any():
            place = table.place(int(absent.argmax()))
            raise ValueError(f"column {roles.label!r} lacks a label in {place}.")
    return Samples(X, [str(i) for i in range(len(X))], values, labels)


def _from_arrays(path: Path, label: str | None) -> Samples:
    """Read an .npz file; one that holds Python objects is refused, as they may hold code."""
    with np.load(path, allow_pickle=False) as file:
        if "X" not in file.files:
            raise ValueError(f"there is no array 'X'; the arrays are {file.files}.")
        X = file["X"]
        if X.ndim != 3:
            raise ValueError(
                f"the array 'X' must have the shape (n, n_steps, n_features), got {X.shape}."
            )
        sequences = from_padded(X, file["lengths"]) if "lengths" in file.files else list(X)
        labels = file[label] if label is not None and label in file.files else None
    if labels is not None and labels.shape != (len(X),):
        raise ValueError(
            f"the array {label!r} must have the shape ({len(X)},), got {labels.shape}."
        )
    names = tuple(f"x{k}" for k in range(X.shape[2]))
    return Samples(sequences, [str(i) for i in range(len(X))], names, labels)


def _read_parquet(path: Path) -> Columns:
    """Read a Parquet file with what is installed."""
    try:
        from pyarrow import parquet
    except ModuleNotFoundError:
        try:
            import polars as pl
        except ModuleNotFoundError:
            raise ImportError(
                "reading Parquet takes pyarrow or polars: pip install 'lstmcore[parquet]'"
            ) from None
        return FrameColumns(pl.read_parquet(path))
    return FrameColumns(parquet.read_table(path))


class CsvColumns:
    """A CSV file with a line of names, read as text."""

    def __init__(self, path: Path) -> None:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            self.names: list[str] = next(reader, [])
            if not self.names:
                raise ValueError("the file is empty.")
            twice = [name for name in self.names if self.names.count(name) > 1]
            if twice:
                raise ValueError(f"line 1: there are two columns {twice[0]!r}.")
            self._lines: list[int] = []
            rows = []
            for row in reader:
                if len(row) not in (0, len(self.names)):
                    raise ValueError(
                        f"line {reader.line_num} has {len(row)} cells, the line of names has "
                        f"{len(self.names)}."
                    )
                if row:
                    rows.append(row)
                    self._lines.append(reader.line_num)
        columns = zip(*rows, strict=True) if rows else [()] * len(self.names)
        self._columns = dict(zip(self.names, columns, strict=True))

    def place(self, row: int) -> str:
        """Return what messages call a row."""
        return f"line {self._lines[row]}"

    def values(self, name: str) -> NDArray[Any]:
        """Return a column as text."""
        return np.array(self._columns[name], dtype=np.str_)

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Tell which cells of a column are empty."""
        return np.array([not cell.strip() for cell in self._columns[name]], np.bool_)

    def ranks(self, name: str) -> NDArray[np.intp]:
        """Return the places of the cells among the sorted ones: of numbers if all are, or text."""
        try:
            cells = np.array([float(cell) for cell in self._columns[name]])
        except ValueError:
            cells = self.values(name)
        return np.unique(cells, return_inverse=True)[1].astype(np.intp)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column as numbers, NaN where a cell is empty."""
        numbers = np.empty(len(self._lines))
        for row, cell in enumerate(self._columns[name]):
            try:
                numbers[row] = float(cell) if cell.strip() else np.nan
            except ValueError:
                raise ValueError(
                    f"column {name!r} must hold numbers, got {cell!r} in {self.place(row)}."
                ) from None
        return numbers
