"""X in all its forms to one: a matrix of rows, and where each sequence starts.

`as_sequences` checks what users pass to an estimator and says what is wrong with it, in
scikit-learn's words where scikit-learn has some; `gather` is the part of it that layers share.
X is never changed, and not copied when it already is a contiguous array of the right dtype.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array

from lstmcore import _batching

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMS = (
    "an array of shape (n_samples, n_timesteps, n_features) or a list of arrays of shape "
    "(T_i, n_features)"
)


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """n sequences of I features each, of any lengths.

    Parameters
    ----------
    values : ndarray of shape (total, I), float32 or float64
        The rows of sequence 0, of sequence 1 and so on, C-contiguous. They may be the user's own
        memory: read only.
    starts : ndarray of shape (n + 1,), intp
        Sequence ``i`` is ``values[starts[i]:starts[i + 1]]``; it may be empty.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._sequences import Sequences
    >>> pair = Sequences(np.arange(6.0).reshape(3, 2), np.array([0, 1, 3]))
    >>> pair.n_samples, pair.n_features, pair.lengths.tolist()
    (2, 2, [1, 2])
    >>> pair.take(np.array([1])).values.tolist()
    [[2.0, 3.0], [4.0, 5.0]]
    """

    values: NDArray[Any]
    starts: NDArray[np.intp]

    @property
    def n_samples(self) -> int:
        """Number of sequences."""
        return len(self.starts) - 1

    @property
    def n_features(self) -> int:
        """Features of a time step."""
        return int(self.values.shape[1])

    @property
    def lengths(self) -> NDArray[np.intp]:
        """Length of each sequence, of shape (n,)."""
        return np.diff(self.starts)

    def position_of(self, row: int) -> tuple[int, int]:
        """Return the sequence that a row of the values belongs to, and its time step there."""
        sample = int(np.searchsorted(self.starts, row, side="right")) - 1
        return sample, row - int(self.starts[sample])

    def take(self, indices: NDArray[np.intp]) -> Sequences:
        """Return some of the sequences, in the order of ``indices``, as a copy.

        Parameters
        ----------
        indices : ndarray of shape (m,), intp
            Which ones; one may come more than once.

        Returns
        -------
        sequences : Sequences
            The m sequences.
        """
        lengths = self.lengths[indices]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.arange(starts[-1]) + np.repeat(self.starts[indices] - starts[:-1], lengths)
        return Sequences(np.take(self.values, rows, axis=0), starts)


def as_sequences(
    X: Any,
    *,
    dtype: np.dtype[Any],
    n_timesteps: int = 1,
    name: str = "X",
    allow_empty: bool = False,
    ensure_all_finite: bool | str = True,
) -> Sequences:
    """Check and convert what an estimator gets as X.

    Parameters
    ----------
    X : array-like of shape (n, T, I), list of arrays of shape (T_i, I), or table
        T_i may be 0. A table is two-dimensional, an array, a frame or a list of lists of numbers,
        of shape (n, n_timesteps * I); a row holds the features of the first step, of the second
        and so on. Integers and bools become numbers of ``dtype``.
    dtype : numpy.dtype
        float32 or float64.
    n_timesteps : int, default=1
        Time steps in a row of a table; other forms have them as an axis and ignore this.
    name : str, default="X"
        What messages call X.
    allow_empty : bool, default=False
        Whether an empty list is fine. It becomes a dataset of shape (0, 0).
    ensure_all_finite : bool or "allow-nan", default=True
        Which values are refused: True, NaN and infinity; "allow-nan", infinity; False, none.

    Returns
    -------
    sequences : Sequences
        Views into X where X is a C-contiguous array of ``dtype``, else a copy.

    Raises
    ------
    ValueError
        If X has another shape, no sample, no feature, sequences with different numbers of
        features, values that are not real numbers, or such as ``ensure_all_finite`` refuses. The
        message names the first sequence, step and feature that is wrong.
    TypeError
        If X is a container of another kind, such as a sparse matrix or a dict, or holds one.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._sequences import as_sequences
    >>> X = [np.ones((2, 3)), np.zeros((0, 3)), np.ones((1, 3))]
    >>> as_sequences(X, dtype=np.dtype("float32")).starts
    array([0, 2, 2, 3])
    >>> table = np.arange(8).reshape(2, 4)
    >>> as_sequences(table, dtype=np.dtype("float32"), n_timesteps=2).values
    array([[0., 1.],
           [2., 3.],
           [4., 5.],
           [6., 7.]], dtype=float32)
    """
    if isinstance(X, (list, tuple)) and not X:
        if not allow_empty:
            raise ValueError(f"{name}: {_too_few_samples((0,))}")
        return Sequences(np.empty((0, 0), dtype), np.zeros(1, np.intp))
    if is_table(X, name):
        sequences = _from_table(X, dtype, n_timesteps, name)
    else:
        sequences = gather(X, dtype=dtype, name=name)
        if sequences.n_samples == 0:
            raise ValueError(f"{name}: {_too_few_samples(np.shape(X))}")
    if ensure_all_finite is not False:
        _check_finite(sequences, name, allow_nan=ensure_all_finite == "allow-nan")
    return sequences


def gather(X: Any, *, dtype: np.dtype[Any], name: str, n_features: int | None = None) -> Sequences:
    """Convert an array of three axes, or a list of arrays of two, whatever its values.

    Parameters
    ----------
    X : array-like of shape (n, T, I), or list of arrays of shape (T_i, I)
        n, T and T_i may be 0.
    dtype : numpy.dtype
        float32 or float64.
    name : str
        What messages call X.
    n_features : int or None, default=None
        What I has to be, for those who know.

    Returns
    -------
    sequences : Sequences
        Views into X where X is a C-contiguous array of ``dtype``, else a copy.

    Raises
    ------
    ValueError
        If X has another shape or values that are not real numbers.
    TypeError
        If X is a container of another kind, or holds one.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore._sequences import gather
    >>> gather(np.zeros((2, 5, 3)), dtype=np.dtype("float64"), name="x").starts
    array([ 0,  5, 10])
    """
    if isinstance(X, (list, tuple)):
        return _from_list(X, dtype, name, n_features)
    array = X if _is_plain(X) else as_numbers(X, name)
    if array.ndim != 3:
        raise ValueError(f"{name} must be {_FORMS}, got an array of shape {array.shape}.")
    n_samples, n_steps, found = array.shape
    _check_features(array.shape, n_features, name)
    rows = _converted(array, dtype).reshape(n_samples * n_steps, found)
    return Sequences(rows, np.arange(n_samples + 1, dtype=np.intp) * n_steps)


def _from_list(
    X: Sequence[Any], dtype: np.dtype[Any], name: str, n_features: int | None
) -> Sequences:
    """Convert a list of arrays of shape (T_i, I)."""
    if len(X) == 1 and isinstance(X[0], np.memmap) and X[0].ndim == 2:
        # One long sequence is read where it lies.
        as_numbers(X[0], f"{name}[0]")
        _check_features(X[0].shape, n_features, f"{name}[0]")
        return Sequences(_converted(X[0], dtype), np.array([0, len(X[0])], np.intp))
    plain = _batching.flatten_plain(X, dtype, n_features)
    if plain is not None:
        return Sequences(*plain)
    arrays: list[NDArray[Any]] = []
    for i, item in enumerate(X):
        array = item if _is_plain(item) else as_numbers(item, f"{name}[{i}]")
        if array.ndim != 2:
            raise ValueError(
                f"{name}[{i}] must have the shape (T, n_features), got {array.shape}. Reshape "
                "your data using array.reshape(-1, 1) if a sequence has a single feature, or pass "
                "one array instead of a list if it is a table of one row per sample."
            )
        if array.shape[1] != n_features:
            if arrays:
                raise ValueError(
                    f"All sequences of {name} must have the same number of features: {name}[0] has "
                    f"the shape {arrays[0].shape}, {name}[{i}] has the shape {array.shape}."
                )
            _check_features(array.shape, n_features, f"{name}[{i}]")
            n_features = array.shape[1]
        arrays.append(array)
    with np.errstate(over="ignore", invalid="ignore"):
        # An empty list has no features, unless the caller knows how many it would have.
        return Sequences(*_batching.flatten(arrays, dtype, n_features or 0))


def _from_table(X: Any, dtype: np.dtype[Any], n_timesteps: int, name: str) -> Sequences:
    """Convert an array, frame or list of lists of shape (n, n_timesteps * I)."""
    _refuse_mask(X, name)
    try:
        table = check_array(X, ensure_all_finite=False)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from error
    except ValueError as error:
        if "setting an array element with a sequence" in str(error):
            raise ValueError(
                f"{name} is nested unevenly. It must be {_FORMS}, or a table of numbers."
            ) from error
        raise ValueError(f"{name}: {error}") from error
    n_samples, n_columns = as_numbers(table, name).shape
    if n_columns % n_timesteps:
        raise ValueError(
            f"{name} has {n_columns} columns, which is no multiple of n_timesteps={n_timesteps}."
        )
    rows = _converted(table, dtype).reshape(n_samples * n_timesteps, -1)
    return Sequences(rows, np.arange(n_samples + 1, dtype=np.intp) * n_timesteps)


def is_table(X: Any, name: str = "X") -> bool:
    """Whether X has samples and columns, but no time steps."""
    if isinstance(X, (list, tuple)):
        # A list of rows is a table; a list of one-dimensional arrays is more likely meant as a
        # list of sequences, and refused as such.
        return not any(_n_axes(item) >= (2 if isinstance(item, (list, tuple)) else 1) for item in X)
    # A sparse matrix may be a dict, but it has a shape, and scikit-learn's words for it are better.
    of_no_shape = (type(None), str, bytes, dict, set, frozenset, Iterator)
    if isinstance(X, of_no_shape) and not hasattr(X, "shape"):
        raise TypeError(f"{name} must be {_FORMS}, or a table; got {type(X).__name__}.")
    if isinstance(X, np.ndarray) and X.dtype.kind == "O" and X.ndim == 1 and any(map(_n_axes, X)):
        raise ValueError(f"{name} is an array of objects. Pass list({name}), a list of arrays.")
    return _n_axes(X) < 3


def _n_axes(X: Any) -> int:
    """Return the number of axes of anything; nested lists count up to three."""
    depth = 0
    while isinstance(X, (list, tuple)) and depth < 3:
        depth += 1
        if not X:
            return depth
        X = X[0]
    if hasattr(X, "__array__") and not hasattr(X, "shape"):
        X = np.asarray(X)
    return depth + len(getattr(X, "shape", ()))


def _is_plain(item: Any) -> bool:
    """Whether an item is an ndarray of real numbers, nothing less and nothing more."""
    return type(item) is np.ndarray and item.dtype.kind in "fiub"


def _converted(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a C-contiguous array of a dtype, the array itself if it is one already."""
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    # What is too large for the dtype becomes infinity, which is looked for where it is refused.
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(array, dtype)


def as_numbers(X: Any, name: str) -> NDArray[Any]:
    """Return X as an ndarray of real numbers."""
    _refuse_mask(X, name)
    try:
        array = np.asarray(X)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} can't be made an array of numbers: {error}") from error
    if array.dtype.kind == "c":
        raise ValueError(f"{name}: Complex data not supported, got dtype {array.dtype}.")
    if array.ndim == 0 and array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got a {type(X).__name__}.")
    if array.dtype.kind == "O":
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{name} must hold real numbers: {error}.") from error
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got an array of dtype {array.dtype}.")
    return array


def _refuse_mask(X: Any, name: str) -> None:
    """Refuse what would be used although it is masked."""
    if np.ma.is_masked(X):
        raise ValueError(f"{name} has masked values, which would be used as they are. Fill them.")


def _check_features(shape: tuple[int, ...], n_features: int | None, name: str) -> None:
    """Refuse no features at all, or others than are expected."""
    if n_features is not None and shape[-1] != n_features:
        raise ValueError(f"{name} must have {n_features} features, got the shape {shape}.")
    if shape[-1] == 0:
        raise ValueError(
            f"{name}: Found array with 0 feature(s) (shape={shape}) while a minimum of 1 is "
            "required."
        )


def _too_few_samples(shape: tuple[int, ...]) -> str:
    return f"Found array with 0 sample(s) (shape={shape}) while a minimum of 1 is required."


def _check_finite(sequences: Sequences, name: str, *, allow_nan: bool) -> None:
    """Refuse infinity, and NaN unless it is allowed, and say where the first one is."""
    values = sequences.values
    with np.errstate(all="ignore"):
        # Finite when all values are; if not, the sum may have overflowed.
        if np.isfinite(values.sum()):
            return
    wrong = np.isinf(values) if allow_nan else ~np.isfinite(values)
    if not wrong.any():
        return
    row, feature = divmod(int(wrong.argmax()), values.shape[1])
    sample, step = sequences.position_of(row)
    what = (
        "NaN"
        if np.isnan(values[row, feature])
        else f"infinity or a value too large for {values.dtype!r}"
    )
    raise ValueError(
        f"Input {name} contains {what}: sample {sample}, time step {step}, feature {feature}."
    )
