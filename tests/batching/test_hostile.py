"""Anything at all as an argument of batching: right, or refused, but never read out of bounds."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from batching.datasets import Array, dataset
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lstmcore import _batching
from lstmcore._sequences import as_sequences
from lstmcore.layers import LSTM

FUZZ = settings(max_examples=400, deadline=None)
REFUSED = (ValueError, TypeError, IndexError, OverflowError)

# What an index, a start or a count may be: near where it is right, and as far off as it gets.
numbers = st.integers(-2, 12) | st.sampled_from(
    [-(2**63), 2**63 - 1, 2**62, -(2**62), 2**31, 2**32, -1, 0]
)
index_arrays = st.lists(numbers, max_size=8).map(lambda items: np.array(items, np.int64))


def is_range(begin: int, end: int, n_rows: int) -> bool:
    return 0 <= begin <= end <= n_rows


@FUZZ
@given(index_arrays, index_arrays, st.integers(0, 6), st.integers(1, 3))
@example(np.array([0, 2**63 - 1]), np.array([0]), 3, 1)
@example(np.array([0, 3, -(2**63)]), np.array([1]), 3, 1)
def test_pack(starts: Array, indices: Array, n_rows: int, n_features: int) -> None:
    values = np.arange(n_rows * n_features, dtype=np.float32).reshape(n_rows, n_features)
    n = len(starts) - 1
    whole = n >= 0 and all(
        0 <= i < n and is_range(int(starts[i]), int(starts[i + 1]), n_rows) for i in indices
    )
    if not whole:
        with pytest.raises(REFUSED):
            _batching.pack(values, starts, indices)
        return
    x, n_active, order = _batching.pack(values, starts, indices)
    lengths = [int(starts[i + 1] - starts[i]) for i in indices]
    assert len(x) == sum(lengths) == n_active.sum()
    assert sorted(order) == sorted(indices)
    rows = [tuple(row) for i in indices for row in values[starts[i] : starts[i + 1]]]
    assert sorted(map(tuple, x)) == sorted(rows)


@FUZZ
@given(index_arrays, index_arrays, st.integers(0, 6), numbers)
def test_order_epoch(starts: Array, permutation: Array, n_rows: int, batch_size: int) -> None:
    values = np.arange(n_rows, dtype=np.float64).reshape(n_rows, 1)
    n = len(starts) - 1
    whole = (
        n >= 0
        and batch_size >= 1
        and all(
            0 <= i < n and is_range(int(starts[i]), int(starts[i + 1]), n_rows) for i in permutation
        )
    )
    if not whole:
        with pytest.raises(REFUSED):
            _batching.order_epoch(values, starts, permutation, batch_size)
        return
    _, _, samples, _ = _batching.order_epoch(values, starts, permutation, batch_size)
    assert sorted(samples) == sorted(permutation)


@FUZZ
@given(index_arrays, index_arrays, st.integers(0, 6))
@example(np.array([2**63 - 1, 2**63 - 1]), np.array([0]), 3)
@example(np.array([1, 2]), np.array([0, 1]), 3)
def test_unpack(n_active: Array, order: Array, n_rows: int) -> None:
    y = np.arange(n_rows, dtype=np.float32).reshape(n_rows, 1)
    whole = (
        sorted(order) == list(range(len(order)))
        and sum(map(int, n_active)) == n_rows
        and all(count >= 0 for count in n_active)
        and all(b <= a for a, b in zip([len(order), *n_active], n_active, strict=False))
    )
    if not whole:
        with pytest.raises(REFUSED):
            _batching.unpack(y, n_active, order)
        return
    values, starts = _batching.unpack(y, n_active, order)
    assert sorted(values[:, 0]) == sorted(y[:, 0])
    assert starts[-1] == n_rows


@FUZZ
@given(index_arrays, st.integers(0, 6), st.integers(0, 8), st.integers(0, 3))
def test_canonical_order(starts: Array, n_rows: int, n_targets: int, width: int) -> None:
    values = np.zeros((n_rows, 2))
    targets = np.zeros((n_targets, width), np.uint8)
    n = len(starts) - 1
    whole = n == n_targets and all(
        is_range(int(starts[i]), int(starts[i + 1]), n_rows) for i in range(n)
    )
    if not whole:
        with pytest.raises(REFUSED):
            _batching.canonical_order(values, starts, targets)
        return
    order, _ = _batching.canonical_order(values, starts, targets)
    assert sorted(order) == list(range(n))


class Liar:
    """Says that it is an array, and is not."""

    shape = (2, 2)
    dtype = np.dtype(np.float32)
    ndim = 2

    def __len__(self) -> int:
        return 2**40


class Exploding:
    """Fails when it is looked at."""

    def __len__(self) -> int:
        raise ValueError("no")

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise ValueError("no")

    def __getitem__(self, _: Any) -> Any:
        raise ValueError("no")


class Shrinking(list[Any]):
    """A list that becomes shorter while it is read."""

    def __iter__(self) -> Any:
        while self:
            yield self.pop()


def wrong_arrays() -> dict[str, Any]:
    values, _ = dataset([2, 1])
    return {
        "none": None,
        "a number": 3,
        "text": "values",
        "a list": values.tolist(),
        "float16": values.astype(np.float16),
        "big-endian": values.astype(">f4"),
        "integers": values.astype(int),
        "objects": values.astype(object),
        "strided": np.repeat(values, 2, axis=0)[::2],
        "Fortran": np.asfortranarray(np.ones((3, 2), np.float32)),
        "negative strides": values[::-1],
        "broadcast": np.broadcast_to(values[:1], (2**40, 2)),
        "no axis": np.float32(1),
        "one axis": values.ravel(),
        "three axes": values[None],
        "no feature": values[:, :0],
        "a record": np.zeros((3, 2), [("a", "f4")]),
        "a liar": Liar(),
        "exploding": Exploding(),
    }


@pytest.mark.parametrize("name", wrong_arrays())
def test_wrong_arrays(name: str) -> None:
    wrong = wrong_arrays()[name]
    values, starts = dataset([2, 1])
    everything = np.arange(2)
    with pytest.raises(REFUSED):
        _batching.pack(wrong, starts, everything)
    with pytest.raises(REFUSED):
        _batching.order_epoch(wrong, starts, everything, 1)
    with pytest.raises(REFUSED):
        _batching.unpack(wrong, np.array([2, 1]), everything)
    for arguments in ((values, wrong, everything), (values, starts, wrong)):
        with pytest.raises(REFUSED):
            _batching.pack(*arguments)
        with pytest.raises(REFUSED):
            _batching.order_epoch(*arguments, 1)
        with pytest.raises(REFUSED):
            _batching.unpack(*arguments)


ITEMS: dict[str, Any] = {
    "array": np.ones((2, 3), np.float32),
    "empty": np.ones((0, 3)),
    "NaN": np.full((1, 3), np.nan),
    "huge": np.full((1, 3), 1e300),
    "integers": np.ones((1, 3), np.uint64),
    "bools": np.ones((1, 3), bool),
    "nested": [[1.0, 2.0, 3.0]],
    "uneven": [[1.0, 2.0], [3.0]],
    "narrow": np.ones((2, 2)),
    "flat": np.ones(3),
    "cube": np.ones((1, 2, 3)),
    "objects": np.array([[1, "a", None]], object),
    "object numbers": np.array([[1, 2.0, True]], object),
    "complex": np.ones((1, 3), complex),
    "text": np.array([["a", "b", "c"]]),
    "dates": np.zeros((1, 3), "M8[s]"),
    "records": np.zeros((1, 3), [("a", "f4")]),
    "big-endian": np.ones((2, 3), ">f8"),
    "masked": np.ma.masked_equal(np.ones((1, 3)), 1.0),
    "matrix": np.ones((2, 3)).view(np.matrix) if hasattr(np, "matrix") else np.ones((2, 3)),
    "strided": np.ones((8, 6))[::-3, ::2],
    "none": None,
    "string": "abc",
    "number": 3.0,
    "dict": {"a": 1},
    "liar": Liar(),
    "exploding": Exploding(),
    "infinite": iter(int, 1),
}


@FUZZ
@given(
    st.lists(st.sampled_from(sorted(ITEMS)), max_size=4),
    st.sampled_from(["list", "tuple", "array", "shrinking", "one"]),
)
def test_containers(names: list[str], form: str) -> None:
    items: Any = [ITEMS[name] for name in names]
    if form == "tuple":
        items = tuple(items)
    elif form == "shrinking":
        items = Shrinking(items)
    elif form == "one" and items:
        items = items[0]
    elif form == "array":
        array = np.empty(len(items), object)
        for i, item in enumerate(items):
            array[i] = item
        items = array
    with suppress(ValueError, TypeError):
        sequences = as_sequences(items, dtype=np.dtype(np.float32))
        assert np.isfinite(sequences.values).all()
        assert sequences.starts[-1] == len(sequences.values)
    with suppress(ValueError, TypeError):
        y, (h, _) = LSTM(3, 2)(items)
        assert h.shape == (1, len(y), 2)
