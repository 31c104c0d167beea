"""Datasets to one packed batch and back."""

from __future__ import annotations

import doctest
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import reference
from batching.datasets import (
    Array,
    dataset,
    datasets_with_indices,
    dtypes,
    lengths_of_datasets,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from lstmcore import _batching


def packed_row_by_row(values: Array, starts: Array, order: Array) -> list[Array]:
    lengths = np.diff(starts)[order]
    steps = range(lengths.max(initial=0))
    return [
        values[starts[i] + t]
        for t in steps
        for i, length in zip(order, lengths, strict=True)
        if t < length
    ]


@given(datasets_with_indices())
def test_pack(case: tuple[Array, Array, Array]) -> None:
    values, starts, indices = case
    x, n_active, order = _batching.pack(values, starts, indices)
    lengths = np.diff(starts)[indices]
    # Longest first, equal lengths as they came: the oracle sorts in Python.
    assert_array_equal(order, indices[reference.packed_order(lengths)])
    assert_array_equal(n_active, reference.active_counts(lengths))
    expected = np.array(packed_row_by_row(values, starts, order), values.dtype)
    assert_array_equal(x, expected.reshape(-1, values.shape[1]), strict=True)
    assert order.dtype == n_active.dtype == np.intp
    assert x.flags.c_contiguous
    assert n_active.flags.c_contiguous
    assert not np.shares_memory(x, values)


@given(lengths_of_datasets, st.integers(1, 5), dtypes)
def test_unpack_inverts_pack(lengths: list[int], n_features: int, dtype: Any) -> None:
    values, starts = dataset(lengths, n_features, dtype)
    x, n_active, order = _batching.pack(values, starts, np.arange(len(lengths)))
    again, starts_again = _batching.unpack(x, n_active, order)
    assert_array_equal(again, values, strict=True)
    assert_array_equal(starts_again, starts, strict=True)


@given(datasets_with_indices())
def test_unpack_of_a_selection(case: tuple[Array, Array, Array]) -> None:
    values, starts, indices = case
    x, n_active, order = _batching.pack(values, starts, indices)
    rows, bounds = _batching.unpack(x, n_active, np.arange(len(indices)))
    for place, i in enumerate(order):
        expected = values[starts[i] : starts[i + 1]]
        assert_array_equal(rows[bounds[place] : bounds[place + 1]], expected)


def test_equal_lengths_are_a_transposition() -> None:
    values, starts = dataset([7] * 100, 3)
    x, n_active, order = _batching.pack(values, starts, np.arange(100))
    cube = values.reshape(100, 7, 3)
    assert_array_equal(x, cube.transpose(1, 0, 2).reshape(700, 3))
    assert_array_equal(n_active, [100] * 7)
    assert_array_equal(order, np.arange(100))
    assert_array_equal(_batching.unpack(x, n_active, order)[0].reshape(100, 7, 3), cube)


def test_one_long_among_many_short_ones() -> None:
    values, starts = dataset([1] * 50 + [10_000] + [0] * 50, 1)
    x, n_active, order = _batching.pack(values, starts, np.arange(101))
    assert_array_equal(order, [50, *range(50), *range(51, 101)])
    assert_array_equal(n_active, [51] + [1] * 9_999)
    assert_array_equal(x[:2, 0], [51, 1])
    assert_array_equal(x[51:, 0], np.arange(52, 10_051))


def test_threads_do_not_disturb_each_other() -> None:
    values, starts = dataset(np.arange(300) % 40, 5)
    indices = np.arange(300)[::-1].copy()
    expected = _batching.pack(values, starts, indices)
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(_batching.pack, values, starts, indices) for _ in range(200)]
        for future in futures:
            for got, want in zip(future.result(), expected, strict=True):
                assert_array_equal(got, want)


@given(
    st.lists(st.integers(-3, 12), min_size=1, max_size=8),
    st.lists(st.integers(-3, 9), max_size=8),
    st.integers(0, 9),
)
def test_pack_refuses_or_is_right(starts: list[int], indices: list[int], n_rows: int) -> None:
    arguments = np.ones((n_rows, 1)), np.array(starts), np.array(indices, np.intp)
    fits = all(
        0 <= i < len(starts) - 1 and 0 <= starts[i] <= starts[i + 1] <= n_rows for i in indices
    )
    if fits:
        x, n_active, order = _batching.pack(*arguments)
        assert len(x) == n_active.sum() == sum(starts[i + 1] - starts[i] for i in indices)
        assert sorted(order) == sorted(indices)
    else:
        with pytest.raises((ValueError, IndexError), match=r"indices\[|starts\["):
            _batching.pack(*arguments)


@given(
    st.lists(st.integers(-1, 4), max_size=5),
    st.lists(st.integers(-1, 4), max_size=4),
    st.integers(0, 8),
)
def test_unpack_refuses_or_is_right(n_active: list[int], order: list[int], n_rows: int) -> None:
    y = np.arange(n_rows, dtype=np.float32).reshape(-1, 1)
    counts, places = np.array(n_active, np.intp), np.array(order, np.intp)
    fits = (
        sorted(order) == list(range(len(order)))
        and n_active == sorted(n_active, reverse=True)
        and all(0 <= count <= len(order) for count in n_active)
        and sum(n_active) == n_rows
    )
    if fits:
        values, starts = _batching.unpack(y, counts, places)
        assert sorted(values.ravel()) == list(range(n_rows))
        assert starts[-1] == n_rows
    else:
        with pytest.raises(ValueError, match=r"n_active|order"):
            _batching.unpack(y, counts, places)


VALUES, STARTS = dataset([2, 0, 3], 4)
INDICES = np.arange(3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((VALUES.tolist(), STARTS, INDICES), TypeError, "values must be a NumPy array, got list"),
        ((VALUES.astype(int), STARTS, INDICES), TypeError, "values must be float32 or float64"),
        ((VALUES.astype(">f4"), STARTS, INDICES), TypeError, "values .* got >f4"),
        ((VALUES[0], STARTS, INDICES), ValueError, r"values .* got shape \(4,\)"),
        ((VALUES[:, ::2], STARTS, INDICES), ValueError, "values must be C-contiguous"),
        ((VALUES[:, :0], STARTS, INDICES), ValueError, r"values .* feature.* \(5, 0\)"),
        ((VALUES, STARTS.astype(np.int32), INDICES), TypeError, "starts must be int64"),
        ((VALUES, STARTS[:0], INDICES), ValueError, r"starts must hold n \+ 1 entries"),
        ((VALUES, STARTS[::-1].copy(), INDICES), ValueError, r"starts\[0\] and starts\[1\] are 5"),
        ((VALUES, STARTS + 1, INDICES), ValueError, "not a range of the 5 rows"),
        ((VALUES, STARTS - 1, INDICES), ValueError, r"starts\[0\] and starts\[1\] are -1 and 1"),
        ((VALUES, STARTS, INDICES + 1), IndexError, r"indices\[2\] is 3, but there are 3"),
        ((VALUES, STARTS, INDICES - 1), IndexError, r"indices\[0\] is -1"),
        ((VALUES, STARTS, INDICES.astype(float)), TypeError, "indices must be int64"),
        ((VALUES, STARTS, INDICES[::2]), ValueError, "indices must be C-contiguous"),
    ],
)
def test_pack_says_what_is_wrong(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _batching.pack(*arguments)


@pytest.mark.parametrize(
    ("n_active", "order", "message"),
    [
        ([2, 2, 2], [0, 1], r"n_active\[2\] is 2, where 2 .* and 1 rows of y are left"),
        ([1, 2, 2], [0, 1], r"n_active\[1\] is 2, where 1 sequences"),
        ([3, 2], [0, 1], r"n_active\[0\] is 3, where 2 sequences"),
        ([2, 2], [0, 1], "n_active adds up to 4, but y has 5 rows"),
        ([2, 2, 1], [0, 0], r"permutation of 2 sequences, but order\[1\] is 0"),
        ([2, 2, 1], [1, 2], r"order\[1\] is 2, out of range"),
    ],
)
def test_unpack_says_what_is_wrong(n_active: list[int], order: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _batching.unpack(np.zeros((5, 1)), np.array(n_active), np.array(order))


@given(lengths_of_datasets, st.integers(1, 3), dtypes)
def test_flatten(lengths: list[int], n_features: int, dtype: Any) -> None:
    values, starts = dataset(lengths, n_features, np.float64)
    sequences = np.split(values, starts[1:-1]) if lengths else []
    flat, bounds = _batching.flatten(sequences, dtype, n_features)
    assert_array_equal(flat, values.astype(dtype), strict=True)
    assert_array_equal(bounds, starts, strict=True)


def test_flatten_takes_any_layout() -> None:
    grid = np.arange(24).reshape(4, 6)
    sequences = [grid[:, ::2], grid[::-1, 3:], grid.T[:3].T.astype(">i2"), grid[:, :3] > 3]
    values, starts = _batching.flatten(sequences, np.float32, 3)
    assert_array_equal(values, np.concatenate(sequences).astype(np.float32), strict=True)
    assert_array_equal(starts, [0, 4, 8, 12, 16])


def test_flatten_plain_takes_what_needs_no_conversion_alone() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    float32 = np.dtype(np.float32)
    values, starts = _batching.flatten_plain([rows[:2], rows[2:2], rows[2:]], float32, None)
    np.testing.assert_array_equal(values, rows)
    assert starts.tolist() == [0, 2, 2, 6]
    others = [
        rows.astype(np.float64),
        rows.astype(">f4"),
        rows.astype(np.int32),
        rows[:, :1],
        rows[::2],
        np.asfortranarray(rows),
        rows[0],
        rows.view(np.matrix),
        rows.tolist(),
        None,
    ]
    for other in others:
        assert _batching.flatten_plain([rows, other], float32, None) is None
    assert _batching.flatten_plain([rows], float32, 3) is None
    assert _batching.flatten_plain([np.zeros((2, 0), np.float32)], float32, None) is None
    assert _batching.flatten_plain([], float32, 2) is None


def test_flatten_says_what_is_wrong() -> None:
    for wrong in (np.ones((2, 4)), np.ones(3), np.ones((1, 1, 3))):
        with pytest.raises(ValueError, match=r"sequences\[1\] must have the shape \(T, 3\)"):
            _batching.flatten([np.ones((2, 3)), wrong], np.float32, 3)


def test_examples_in_the_docstrings() -> None:
    result = doctest.testmod(_batching)
    assert result.attempted > 10
    assert result.failed == 0
