"""Sequences out of Parquet and Arrow files that need not fit into memory."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._extras import import_extra
from lstmcore._frames import from_long, labels_from_long

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

# Rows that are read at a time; a sequence may have more.
_ROWS = 2**16


def iter_parquet(
    path: str | PathLike[str],
    *,
    id: str,  # noqa: A002 - as in `from_long`
    values: str | Sequence[str],
    label: str | Sequence[str] | None = None,
    time: str | None = None,
    n_sequences: int = 1024,
) -> Iterator[Any]:
    """Read a long table of a Parquet or Arrow file, some sequences at a time, for `partial_fit`.

    Memory holds a part of the file: ``n_sequences`` sequences, and the rows of a read.

    Parameters
    ----------
    path : str or path-like
        A file with a row for each time step; the rows of a sequence stand together. What begins
        as an Arrow file does (Feather, ``ARROW1``) is read as such, all else as Parquet.
    id : str
        The column that tells the sequences apart.
    values : str or list of str
        The columns of the features.
    label : str, list of str or None, default=None
        The columns of the target, the same in all rows of a sequence.
    time : str or None, default=None
        The column that orders the rows of a sequence; None leaves them as they are.
    n_sequences : int, default=1024
        Sequences in a batch; the last may have less.

    Yields
    ------
    batch : list of ndarray, or tuple
        The sequences, see `from_long`; with ``label`` a tuple of them and their labels.

    Raises
    ------
    ImportError
        If pyarrow is not installed; ``pip install "lstmcore[parquet]"``.
    ValueError
        If the rows of a sequence do not stand together, ``n_sequences`` is less than 1, or a column
        is not as `from_long` needs it.
    OSError
        If the file can't be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pandas as pd
    >>> from lstmcore import iter_parquet
    >>> frame = pd.DataFrame({"who": [1, 1, 2, 3], "x": [0.5, 1.5, 2.0, 3.0], "y": [0, 0, 1, 0]})
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     path = pathlib.Path(folder, "long.parquet")
    ...     frame.to_parquet(path)
    ...     for X, y in iter_parquet(path, id="who", values="x", label="y", n_sequences=2):
    ...         print([x.ravel().tolist() for x in X], y)
    [[0.5, 1.5], [2.0]] [0 1]
    [[3.0]] [0]
    """
    if n_sequences < 1:
        raise ValueError(f"n_sequences must be at least 1, got {n_sequences}.")
    pyarrow = import_extra("pyarrow", "parquet", "iter_parquet")
    columns = [id, *_listed(values), *_listed(label), *_listed(time)]

    seen: set[Any] = set()

    def batch(rows: Any) -> Any:
        X = from_long(rows, id=id, time=time, values=_listed(values))
        names = labels_from_long(rows, id=id, label=id)
        torn = seen.intersection(names.tolist())
        if torn or len(_begins(rows, id)) != len(names):
            which = f", such as those of {id}={torn.pop()!r}" if torn else ""
            raise ValueError(f"The rows of a sequence must stand together{which}: sort the file.")
        seen.update(names.tolist())
        return X if label is None else (X, labels_from_long(rows, id=id, label=label))

    with _opened(path, list(dict.fromkeys(columns))) as parts:
        rest = None
        for part in parts:
            rows = pyarrow.Table.from_batches([part])
            rest = rows if rest is None else pyarrow.concat_tables([rest, rows])
            begins = _begins(rest, id)
            # The last sequence may go on in the rows to come.
            n_whole = (len(begins) - 1) // n_sequences * n_sequences
            for first in range(0, n_whole, n_sequences):
                begin, end = begins[first], begins[first + n_sequences]
                yield batch(rest.slice(begin, end - begin))
            rest = rest.slice(begins[n_whole])
        if rest is not None and len(rest):
            yield batch(rest)


@contextmanager
def _opened(path: str | PathLike[str], columns: list[str]) -> Iterator[Iterator[Any]]:
    """Open a file and check its columns; for as long as the context lasts, its record batches."""

    def check(names: list[str]) -> None:
        missing = sorted(set(columns) - set(names))
        if missing:
            raise ValueError(f"The file has no columns {missing}, but {names}.")

    with Path(path).open("rb") as start:
        is_arrow = start.read(6) == b"ARROW1"
    if not is_arrow:
        parquet = import_extra("pyarrow.parquet", "parquet", "iter_parquet")
        with parquet.ParquetFile(path) as file:
            check(file.schema_arrow.names)
            yield file.iter_batches(_ROWS, columns=columns)
        return
    pyarrow = import_extra("pyarrow", "parquet", "iter_parquet")
    with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_file(source) as file:
        check(file.schema.names)
        yield (
            part.slice(first, _ROWS).select(columns)
            for part in map(file.get_batch, range(file.num_record_batches))
            for first in range(0, part.num_rows, _ROWS)
        )


def _begins(rows: Any, key: str) -> list[int]:
    """Return the rows at which another sequence begins."""
    codes = rows[key].combine_chunks().dictionary_encode()
    numbers = codes.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    changes = np.flatnonzero(np.diff(numbers)) + 1
    return [0, *changes.tolist()]


def _listed(names: str | Sequence[str] | None) -> list[str]:
    """Return names as a list."""
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)
