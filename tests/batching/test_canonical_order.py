"""The order of samples by their content."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from batching.datasets import Array
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from lstmcore import _batching

# Few different samples, so that some are equal: sequences over {0, 1} with a target of two bytes.
Sample = tuple[tuple[int, ...], tuple[int, int]]
some_samples: st.SearchStrategy[list[Sample]] = st.lists(
    st.tuples(
        st.lists(st.integers(0, 1), max_size=3).map(tuple),
        st.tuples(st.integers(0, 1), st.integers(0, 1)),
    ),
    max_size=30,
)
# With few bits most hashes collide, and the bytes have to decide.
numbers_of_bits = st.sampled_from([1, 2, 5, 64])


def order_of(samples: list[Sample], hash_bits: int = 64, dtype: Any = np.float32) -> Any:
    sequences = [np.array(rows, dtype).reshape(-1, 1) for rows, _ in samples]
    values, starts = _batching.flatten(sequences, dtype, 1)
    targets = np.array([target for _, target in samples], np.uint8).reshape(-1, 2)
    return _batching.canonical_order(values, starts, targets, hash_bits=hash_bits)


def groups_of(order: Array, group_start: Array) -> list[list[int]]:
    assert group_start[0] == 0 or len(order) == 0
    assert group_start[-1] == len(order)
    assert order.dtype == group_start.dtype == np.intp
    return [order[a:b].tolist() for a, b in pairwise(group_start)]


@given(some_samples, st.randoms(use_true_random=False), numbers_of_bits)
def test_order_does_not_depend_on_how_samples_came(
    samples: list[Sample], random: Any, hash_bits: int
) -> None:
    order, group_start = order_of(samples, hash_bits)
    shuffled = random.sample(samples, len(samples))
    order_again, group_start_again = order_of(shuffled, hash_bits)
    assert [samples[i] for i in order] == [shuffled[i] for i in order_again]
    assert_array_equal(group_start, group_start_again)


@given(some_samples, numbers_of_bits)
def test_groups_are_the_equal_samples(samples: list[Sample], hash_bits: int) -> None:
    groups = groups_of(*order_of(samples, hash_bits))
    expected: dict[Sample, list[int]] = {}
    for i, sample in enumerate(samples):
        expected.setdefault(sample, []).append(i)
    # Within a group as they came.
    assert sorted(groups) == sorted(expected.values())


def test_collisions_change_no_group() -> None:
    rng = np.random.default_rng(0)
    samples = [(tuple(rng.integers(0, 3, 4).tolist()), (0, 0)) for _ in range(500)]
    expected = sorted(groups_of(*order_of(samples)))
    assert 70 < len(expected) <= 81
    assert sorted(groups_of(*order_of(samples, hash_bits=1))) == expected


def test_where_content_begins_and_ends_counts() -> None:
    # The same bytes, cut in other places, or on the other side of the target.
    samples: list[Sample] = [((0,), (0, 0)), ((0, 0), (0, 0)), ((), (0, 0)), ((), (0, 1))]
    samples += [((1,), (0, 0)), ((0, 1), (0, 0)), ((1, 0), (0, 0)), ((0,), (1, 0))]
    assert len(groups_of(*order_of(samples))) == len(samples)


def test_bytes_decide_what_is_equal() -> None:
    values = np.array([0.0, -0.0, np.nan, 1.0, np.nan, 0.0])[:, None]
    none = np.zeros((6, 0), np.uint8)
    groups = groups_of(*_batching.canonical_order(values, np.arange(7), none))
    assert sorted(groups) == [[0, 5], [1], [2, 4], [3]]


@pytest.mark.parametrize("n_features", [1, 2, 3, 7, 8, 9, 16])
def test_every_value_counts(n_features: int, dtype: np.dtype[Any]) -> None:
    rng = np.random.default_rng(n_features)
    rows = 5 * n_features
    values = np.tile(rng.standard_normal((5, n_features)), (rows + 1, 1)).astype(dtype)
    for k in range(rows):  # sample k differs from all others in value k alone
        values[5 * k : 5 * (k + 1)].flat[k] += 1
    starts = np.arange(rows + 2) * 5
    order, group_start = _batching.canonical_order(
        values, starts, np.zeros((rows + 1, 0), np.uint8)
    )
    assert len(group_start) - 1 == len(order) == rows + 1


def test_hashes_of_similar_samples_differ() -> None:
    # 100,000 successive numbers; at 64 bits not two of them should share a hash, and what shares
    # none stands in no order of its own: neither rising nor falling nor in runs.
    n = 100_000
    values = np.arange(n, dtype=np.float32)[:, None]
    order, group_start = _batching.canonical_order(
        values, np.arange(n + 1), np.zeros((n, 0), np.uint8)
    )
    assert len(group_start) == n + 1
    distance = np.abs(np.diff(order))
    assert abs(distance.mean() / (n / 3) - 1) < 0.02  # of two numbers drawn from 0 ... n
    assert abs((np.diff(order) > 0).mean() - 0.5) < 0.01


def test_no_sample() -> None:
    order, group_start = _batching.canonical_order(
        np.empty((0, 3)), np.zeros(1, np.intp), np.zeros((0, 2), np.uint8)
    )
    assert order.tolist() == []
    assert group_start.tolist() == [0]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"targets_bytes": np.zeros((3, 1))}, TypeError, "targets_bytes must be uint8"),
        ({"targets_bytes": np.zeros((3, 1), np.uint8)}, ValueError, r"2 rows, got shape \(3, 1\)"),
        ({"targets_bytes": np.zeros(2, np.uint8)}, ValueError, "targets_bytes .* 2 axes"),
        ({"starts": np.array([0, 3, 2])}, ValueError, r"starts\[1\] and starts\[2\] are 3 and 2"),
        ({"starts": np.array([0, 1, 9])}, ValueError, "not a range of the 3 rows of values"),
        ({"hash_bits": 0}, ValueError, "hash_bits must be from 1 to 64, got 0"),
        ({"hash_bits": 65}, ValueError, "got 65"),
    ],
)
def test_what_is_wrong(arguments: Any, error: type[Exception], message: str) -> None:
    right = {
        "values": np.zeros((3, 2)),
        "starts": np.array([0, 1, 3]),
        "targets_bytes": np.zeros((2, 1), np.uint8),
    }
    with pytest.raises(error, match=message):
        _batching.canonical_order(**(right | arguments))
