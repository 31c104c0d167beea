"""The batches of an epoch, in packed order."""

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


@given(datasets_with_indices(), st.integers(1, 12))
def test_an_epoch_is_the_batches_one_by_one(
    case: tuple[Array, Array, Array], batch_size: int
) -> None:
    values, starts, permutation = case
    n_active, step_ptr, samples, sample_ptr = _batching.order_epoch(*case, batch_size)
    assert step_ptr[0] == sample_ptr[0] == 0
    assert (step_ptr[-1], sample_ptr[-1]) == (len(n_active), len(samples))
    batches = [
        (n_active[t0:t1], samples[s0:s1])
        for (t0, t1), (s0, s1) in zip(pairwise(step_ptr), pairwise(sample_ptr), strict=True)
    ]
    expected = [
        _batching.pack(values, starts, permutation[first : first + batch_size])[1:]
        for first in range(0, len(permutation), batch_size)
    ]
    assert len(batches) == len(expected)
    for got, want in zip(batches, expected, strict=True):
        for ours, theirs in zip(got, want, strict=True):
            assert_array_equal(ours, theirs, strict=True)
    # Every sample once, batch after batch.
    assert_array_equal(np.sort(samples), np.sort(permutation))


def test_what_is_returned_is_new() -> None:
    values, starts = dataset([3, 2, 4, 1])
    permutation = np.arange(4)
    for array in _batching.order_epoch(values, starts, permutation, 2):
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.dtype == np.intp
        assert not np.shares_memory(array, permutation)


def test_nothing_to_order() -> None:
    values, starts = dataset([3, 2])
    epoch = _batching.order_epoch(values, starts, np.empty(0, np.intp), 4)
    assert [array.tolist() for array in epoch] == [[], [0], [], [0]]
    values, starts = dataset([0, 0, 0])
    epoch = _batching.order_epoch(values, starts, np.array([2, 0, 1]), 2)
    assert [array.tolist() for array in epoch] == [[], [0, 0, 0], [2, 0, 1], [0, 2, 3]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": "2"}, TypeError, "'<' not supported"),
        ({"permutation": [0, 1]}, TypeError, "permutation must be a NumPy array, got list"),
        ({"permutation": np.zeros((1, 2), int)}, ValueError, "permutation must .* 1 axes"),
        ({"permutation": np.array([0, 7])}, IndexError, r"permutation\[1\] is 7, but there are 2"),
        ({"permutation": np.array([1, 0, -5])}, IndexError, r"permutation\[2\] is -5"),
        ({"values": np.ones((5, 0))}, ValueError, "values must have at least one feature"),
        ({"starts": np.empty(0, np.intp)}, ValueError, "starts must hold"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    values, starts = dataset([2, 3])
    right = {"values": values, "starts": starts, "permutation": np.arange(2), "batch_size": 2}
    with pytest.raises(error, match=message):
        _batching.order_epoch(**(right | arguments))
