"""Everything that users may pass as X, and everything they may not."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from batching.datasets import dataset, lengths_of_datasets
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from lstmcore._sequences import Sequences, as_sequences, gather

CUBE = np.arange(24.0).reshape(2, 4, 3)
TABLE = CUBE[0]
FLOAT32 = np.dtype(np.float32)


class OnlyAnArrayInside:
    """As scikit-learn's checks pass one: nothing but ``__array__``."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.array, dtype=dtype)


def read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


THE_SAME_CUBE = {
    "float64": CUBE,
    "float32": CUBE.astype(np.float32),
    "read-only": read_only(CUBE.astype(np.float32)),
    "float16": CUBE.astype(np.float16),
    "integers": CUBE.astype(np.int64),
    "unsigned": CUBE.astype(np.uint8),
    "big-endian": CUBE.astype(">f4"),
    "Fortran order": np.asfortranarray(CUBE),
    "negative strides": CUBE[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "strided": np.repeat(CUBE, 2, axis=1)[:, ::2],
    "transposed": CUBE.transpose(0, 2, 1).copy().transpose(0, 2, 1),
    "list of arrays": list(CUBE),
    "tuple of arrays": tuple(CUBE),
    "mixed dtypes": [CUBE[0].astype(int), CUBE[1].astype(">f8")],
    "strided arrays": [np.asfortranarray(CUBE[0]), CUBE[1, ::-1].copy()[::-1]],
    "objects": CUBE.astype(object),
    "arrays of objects": list(CUBE.astype(object)),
    "nested lists": CUBE.tolist(),
    "lists of arrays": [list(rows) for rows in CUBE],
    "frames": [pd.DataFrame(rows) for rows in CUBE],
    "unmasked": np.ma.array(CUBE),
    "array inside": OnlyAnArrayInside(CUBE),
}


@pytest.mark.parametrize("form", THE_SAME_CUBE)
def test_sequences_in_all_forms(form: str, dtype: np.dtype[Any]) -> None:
    X = THE_SAME_CUBE[form]
    before = copy.deepcopy(X)
    sequences = as_sequences(X, dtype=dtype)
    assert_array_equal(sequences.values, CUBE.reshape(8, 3).astype(dtype), strict=True)
    assert_array_equal(sequences.starts, np.array([0, 4, 8]), strict=True)
    assert sequences.values.flags.c_contiguous
    for now, then in zip(np.asarray(X), np.asarray(before), strict=True):
        assert_array_equal(now, then, strict=True)


THE_SAME_TABLE = {
    "array": TABLE,
    "integers": TABLE.astype(int),
    "objects": TABLE.astype(object),
    "big-endian": TABLE.astype(">f8"),
    "Fortran order": np.asfortranarray(TABLE),
    "lists": TABLE.tolist(),
    "tuples": tuple(map(tuple, TABLE.tolist())),
    "frame": pd.DataFrame(TABLE, columns=["a", "b", "c"]),
    "frame of several dtypes": pd.DataFrame(TABLE).astype({0: "int8", 1: "float32", 2: "Int64"}),
    "array inside": OnlyAnArrayInside(TABLE),
}


@pytest.mark.parametrize("form", THE_SAME_TABLE)
def test_tables_in_all_forms(form: str, dtype: np.dtype[Any]) -> None:
    one_step = as_sequences(THE_SAME_TABLE[form], dtype=dtype)
    assert_array_equal(one_step.values, TABLE.astype(dtype), strict=True)
    assert_array_equal(one_step.starts, np.arange(5))
    three_steps = as_sequences(THE_SAME_TABLE[form], dtype=dtype, n_timesteps=3)
    assert_array_equal(three_steps.values, TABLE.reshape(12, 1).astype(dtype), strict=True)
    assert_array_equal(three_steps.starts, [0, 3, 6, 9, 12])


def test_bools_are_numbers() -> None:
    for X in (CUBE > 7, list(CUBE > 7), TABLE > 7):
        assert set(as_sequences(X, dtype=FLOAT32).values.flat) == {0.0, 1.0}


def test_what_fits_is_not_copied(dtype: np.dtype[Any]) -> None:
    for X in (CUBE.astype(dtype), TABLE.astype(dtype), read_only(CUBE.astype(dtype))):
        assert np.shares_memory(as_sequences(X, dtype=dtype).values, X)


@given(lengths_of_datasets.filter(len), st.integers(1, 4))
def test_ragged_lists(lengths: list[int], n_features: int) -> None:
    values, starts = dataset(lengths, n_features)
    X = np.split(values, starts[1:-1])
    sequences = as_sequences(X, dtype=FLOAT32)
    assert_array_equal(sequences.values, values, strict=True)
    assert_array_equal(sequences.starts, starts, strict=True)
    assert sequences.lengths.tolist() == lengths
    assert (sequences.n_samples, sequences.n_features) == (len(lengths), n_features)


@given(lengths_of_datasets, st.data())
def test_take(lengths: list[int], data: Any) -> None:
    values, starts = dataset(lengths, 2)
    indices = data.draw(st.lists(st.integers(0, len(lengths) - 1))) if lengths else []
    taken = Sequences(values, starts).take(np.array(indices, np.intp))
    expected = [values[starts[i] : starts[i + 1]] for i in indices]
    assert taken.n_samples == len(indices)
    assert taken.starts.dtype == np.intp
    for i, rows in enumerate(expected):
        assert_array_equal(taken.values[taken.starts[i] : taken.starts[i + 1]], rows, strict=True)


def test_empty_sequences() -> None:
    for X in (CUBE[:, :0], [TABLE[:0], TABLE[:0]]):
        sequences = as_sequences(X, dtype=FLOAT32)
        assert sequences.values.shape == (0, 3)
        assert sequences.starts.tolist() == [0, 0, 0]
    assert as_sequences([TABLE[:0], TABLE], dtype=FLOAT32).starts.tolist() == [0, 0, 4]


def test_no_sequences_where_they_are_allowed() -> None:
    for X in ([], ()):
        sequences = as_sequences(X, dtype=FLOAT32, allow_empty=True)
        assert sequences.values.shape == (0, 0)
        assert sequences.starts.tolist() == [0]
    assert gather([], dtype=FLOAT32, name="x", n_features=5).values.shape == (0, 5)
    assert gather(CUBE[:0], dtype=FLOAT32, name="x").values.shape == (0, 3)


def objects(*items: Any) -> Any:
    array = np.empty(len(items), object)
    array[:] = items
    return array


@pytest.mark.parametrize(
    ("X", "message"),
    [
        # axes
        (TABLE[0], "X: Expected 2D array, got 1D array(.|\n)*Reshape your data"),
        (1.0, "X: Expected 2D array, got scalar"),
        (pd.Series([1.0, 2.0]), "X: Expected a 2-dimensional container"),
        (CUBE[None], r"X must be an array of shape .* got an array of shape \(1, 2, 4, 3\)"),
        ([CUBE], r"X\[0\] must have the shape \(T, n_features\), got \(2, 4, 3\)"),
        ([TABLE[0], TABLE[1, :2]], r"X\[0\] must .* got \(3,\)\. Reshape .*reshape\(-1, 1\)"),
        ([TABLE, TABLE[0]], r"X\[1\] must have the shape \(T, n_features\), got \(3,\)"),
        ([TABLE, []], r"X\[1\] must have the shape \(T, n_features\), got \(0,\)"),
        # nothing there
        ([], r"X: Found array with 0 sample\(s\) \(shape=\(0,\)\) while a minimum of 1"),
        (CUBE[:0], r"X: Found array with 0 sample\(s\) \(shape=\(0, 4, 3\)\) while"),
        (TABLE[:0], r"X: Found array with 0 sample\(s\) \(shape=\(0, 3\)\) while"),
        (CUBE[..., :0], r"X: .* 0 feature\(s\) \(shape=\(2, 4, 0\)\) while a minimum of 1 is req"),
        (TABLE[:, :0], r"X: .* 0 feature\(s\) \(shape=\(4, 0\)\) while a minimum of 1 is required"),
        ([TABLE[:, :0]], r"X\[0\]: .* 0 feature\(s\)"),
        # uneven
        ([TABLE, TABLE[:, :2]], r"X\[0\] has the shape \(4, 3\), X\[1\] has the shape \(4, 2\)"),
        ([[1, 2], [3]], "X is nested unevenly"),
        ([TABLE, [[1, 2, 3], [4]]], r"X\[1\] can't be made an array of numbers: .* inhomogeneous"),
        (objects(TABLE, TABLE[:2]), r"X is an array of objects. Pass list\(X\)"),
        (pd.DataFrame({"a": [TABLE[0], TABLE[0, :2]]}), "X is nested unevenly"),
        # not numbers
        (CUBE * 1j, "X: Complex data not supported"),
        (TABLE * 1j, "X: Complex data not supported"),
        ([TABLE, TABLE * 1j], r"X\[1\]: Complex data not supported"),
        (np.full((2, 4, 3), "a", object), "X must hold real numbers: could not convert string"),
        ([TABLE, None], r"X\[1\] must hold real numbers, got a NoneType"),
        ([TABLE, "abc"], r"X\[1\] must hold real numbers"),
        (CUBE.astype(str), "X must hold real numbers, got an array of dtype <U"),
        (TABLE.astype(str), "X: .* not compatible with arrays of bytes/strings"),
        (["a", "b"], "X: "),
        (pd.DataFrame({"a": ["x", "y"]}), "X: could not convert string to float: 'x'"),
        (CUBE.astype("M8[s]"), "X must hold real numbers, got an array of dtype datetime64"),
        (TABLE.astype("m8[s]"), "X must hold real numbers, got an array of dtype timedelta64"),
        (np.zeros((2, 2, 2), [("a", int)]), "X must hold real numbers"),
        ([scipy.sparse.csr_array(TABLE)], r"X\[0\] must hold real numbers, got .* csr_array"),
        (np.ma.masked_greater(CUBE, 5), "X has masked values"),
        (np.ma.masked_greater(TABLE, 5), "X has masked values"),
        ([TABLE, np.ma.masked_greater(TABLE, 5)], r"X\[1\] has masked values"),
    ],
)
def test_wrong_values(X: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_sequences(X, dtype=FLOAT32)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (None, "X must be an array .* got NoneType"),
        ({"a": [1]}, "X must be an array .* or a table; got dict"),
        ({1, 2}, "got set"),
        ("text", "got str"),
        ((row for row in TABLE), "got generator"),
        (scipy.sparse.csr_array(TABLE), "X: Sparse data was passed"),
        (scipy.sparse.dok_matrix(TABLE), "X: Sparse data was passed"),
        (np.array([[{}]]), "X: float.. argument must be a string or a real number"),
        (np.full((2, 4, 3), {}), "X must hold real numbers: float.* not 'dict'"),
    ],
)
def test_wrong_types(X: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        as_sequences(X, dtype=FLOAT32)


def test_columns_that_are_no_multiple_of_the_steps() -> None:
    with pytest.raises(ValueError, match="X has 3 columns, which is no multiple of n_timesteps=2"):
        as_sequences(TABLE, dtype=FLOAT32, n_timesteps=2)


def test_number_of_features_that_is_expected() -> None:
    for x in (CUBE, list(CUBE)):
        with pytest.raises(ValueError, match=r"x.* must have 4 features, got the shape"):
            gather(x, dtype=FLOAT32, name="x", n_features=4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_says_where_a_value_is_not_finite(value: float) -> None:
    what = "NaN" if np.isnan(value) else "infinity or a value too large for dtype.'float32'."
    ragged = [TABLE[:0], TABLE[:2].copy(), TABLE[:0], TABLE.copy(), TABLE[:0]]
    ragged[3][1, 2] = ragged[3][3, 0] = value
    place = "sample 3, time step 1, feature 2"
    with pytest.raises(ValueError, match=f"Input X contains {what}: {place}"):
        as_sequences(ragged, dtype=FLOAT32)
    cube = CUBE.copy()
    cube[1, 3, 1] = value
    with pytest.raises(ValueError, match=f"Input z .*{what}: sample 1, time step 3, feature 1"):
        as_sequences(cube, dtype=FLOAT32, name="z")
    table = TABLE.copy()
    table[3, 2] = value
    with pytest.raises(ValueError, match=f"{what}: sample 3, time step 2, feature 0"):
        as_sequences(table, dtype=FLOAT32, n_timesteps=3)


def test_values_that_are_let_through() -> None:
    cube = CUBE.copy()
    cube[0, 1, 1] = np.nan
    kept = as_sequences(cube, dtype=FLOAT32, ensure_all_finite="allow-nan")
    assert_array_equal(kept.values, cube.reshape(8, 3).astype(np.float32))
    cube[1, 1, 1] = -np.inf
    with pytest.raises(ValueError, match=r"infinity .* sample 1, time step 1, feature 1"):
        as_sequences(cube, dtype=FLOAT32, ensure_all_finite="allow-nan")
    kept = as_sequences(cube, dtype=FLOAT32, ensure_all_finite=False)
    assert_array_equal(kept.values, cube.reshape(8, 3).astype(np.float32))


def test_large_values_whose_sum_overflows_are_fine() -> None:
    X = np.full((2, 3, 4), 3e38, np.float32)
    assert_array_equal(as_sequences(X, dtype=FLOAT32).values, X.reshape(6, 4))
