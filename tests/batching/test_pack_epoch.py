"""An epoch of packed batches, part by part."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from batching.datasets import Array, dataset, datasets_with_indices
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from lstmcore import _batching


def batches_of(part: tuple[Array, ...]) -> list[tuple[Array, Array, Array]]:
    """The batches of a part: (x, n_active, samples)."""
    x, n_active, step_ptr, samples, sample_ptr = part
    assert step_ptr[0] == sample_ptr[0] == 0
    assert step_ptr[-1] == len(n_active)
    assert sample_ptr[-1] == len(samples)
    assert len(step_ptr) == len(sample_ptr)
    counts = [n_active[a:b] for a, b in pairwise(step_ptr)]
    rows = np.concatenate([[0], np.cumsum([count.sum() for count in counts])]).astype(int)
    assert rows[-1] == len(x)
    return [
        (x[a:b], count, samples[first:last])
        for (a, b), count, (first, last) in zip(
            pairwise(rows), counts, pairwise(sample_ptr), strict=True
        )
    ]


@given(datasets_with_indices(), st.integers(1, 12), st.integers(1, 60))
def test_parts_are_the_batches_one_by_one(
    case: tuple[Array, Array, Array], batch_size: int, max_rows: int
) -> None:
    values, starts, permutation = case
    parts = list(_batching.pack_epoch(values, starts, permutation, batch_size, max_rows))
    batches = [batch for part in parts for batch in batches_of(part)]
    expected = [
        _batching.pack(values, starts, permutation[first : first + batch_size])
        for first in range(0, len(permutation), batch_size)
    ]
    assert len(batches) == len(expected)
    for got, want in zip(batches, expected, strict=True):
        for part, whole in zip(got, want, strict=True):
            assert_array_equal(part, whole, strict=True)
    # Every sample once, batch after batch.
    drawn = np.concatenate([np.empty(0, np.intp), *(part[3] for part in parts)])
    assert_array_equal(np.sort(drawn), np.sort(permutation))


@given(datasets_with_indices(), st.integers(1, 12), st.integers(1, 60))
def test_parts_are_as_large_as_they_may_be(
    case: tuple[Array, Array, Array], batch_size: int, max_rows: int
) -> None:
    parts = list(_batching.pack_epoch(*case, batch_size, max_rows))
    for part in parts:
        assert len(part[0]) <= max_rows or len(part[2]) == 2
    for part, following in pairwise(parts):
        assert len(part[0]) + len(batches_of(following)[0][0]) > max_rows


def test_parts_share_no_memory() -> None:
    values, starts = dataset([3, 2, 4, 1])
    parts = list(_batching.pack_epoch(values, starts, np.arange(4), 1, 1))
    assert len(parts) == 4
    for part, following in pairwise(parts):
        for a, b in zip(part, following, strict=True):
            assert not np.shares_memory(a, b)
    for part in parts:
        assert all(array.flags.c_contiguous and array.flags.writeable for array in part)


def test_nothing_to_pack() -> None:
    values, starts = dataset([3, 2])
    assert list(_batching.pack_epoch(values, starts, np.empty(0, np.intp), 4, 100)) == []
    values, starts = dataset([0, 0, 0])
    (part,) = _batching.pack_epoch(values, starts, np.array([2, 0, 1]), 2, 100)
    assert [array.tolist() for array in part] == [[], [], [0, 0, 0], [2, 0, 1], [0, 2, 3]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "got batch_size=0 and max_rows=9"),
        ({"max_rows": -1}, ValueError, "got batch_size=2 and max_rows=-1"),
        ({"batch_size": "2"}, TypeError, "'<' not supported"),
        ({"permutation": [0, 1]}, TypeError, "permutation must be a NumPy array, got list"),
        ({"permutation": np.zeros((1, 2), int)}, ValueError, "permutation must .* 1 axes"),
        ({"values": np.ones((5, 0))}, ValueError, "values must have at least one feature"),
        ({"starts": np.empty(0, np.intp)}, ValueError, "starts must hold"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    values, starts = dataset([2, 3])
    right = {
        "values": values,
        "starts": starts,
        "permutation": np.arange(2),
        "batch_size": 2,
        "max_rows": 9,
    }
    with pytest.raises(error, match=message):
        _batching.pack_epoch(**(right | arguments))


def test_entries_are_looked_at_when_they_are_used() -> None:
    values, starts = dataset([2, 3, 1, 1])
    permutation = np.array([0, 1, 2, 7])
    parts = _batching.pack_epoch(values, starts, permutation, 2, 1)
    with pytest.raises(IndexError, match=r"permutation\[3\] is 7, but there are 4 sequences"):
        list(parts)
    # A permutation that changes after its parts were begun can do no harm either.
    permutation = np.arange(4)
    parts = _batching.pack_epoch(values, starts, permutation, 2, 1)
    next(parts)
    permutation[2] = -5
    with pytest.raises(IndexError, match=r"permutation\[2\] is -5"):
        next(parts)
