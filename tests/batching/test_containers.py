"""Helpers for sequences that come padded, or channels first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import lstmcore

CUBE = np.arange(24.0).reshape(2, 4, 3)


@pytest.mark.parametrize("kind", [list, tuple, np.array, np.uint8])
def test_from_padded(kind: Any) -> None:
    X = lstmcore.from_padded(CUBE, kind([4, 0]))
    assert [x.shape for x in X] == [(4, 3), (0, 3)]
    assert_array_equal(X[0], CUBE[0])
    assert np.shares_memory(X[0], CUBE)


def test_from_padded_takes_nested_lists() -> None:
    X = lstmcore.from_padded(CUBE.tolist(), [1, 2])
    assert_array_equal(X[1], CUBE[1, :2])


def test_from_padded_of_nothing() -> None:
    assert lstmcore.from_padded(np.empty((0, 4, 3)), []) == []


@pytest.mark.parametrize(
    ("X", "lengths", "error", "message"),
    [
        (CUBE[0], [1], ValueError, r"X must have the shape .* got \(4, 3\)"),
        (CUBE, [1], ValueError, r"lengths must have the shape \(2,\), got \(1,\)"),
        (CUBE, [[1, 2]], ValueError, r"lengths must have the shape \(2,\), got \(1, 2\)"),
        (CUBE, [1.0, 2.0], TypeError, "lengths must be integers, got dtype float64"),
        (CUBE, [True, False], TypeError, "lengths must be integers, got dtype bool"),
        (CUBE, [4, 5], ValueError, r"from 0 to 4, .* lengths\[1\] is 5"),
        (CUBE, [-1, 2], ValueError, r"lengths\[0\] is -1"),
    ],
)
def test_from_padded_says_what_is_wrong(
    X: Any, lengths: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        lstmcore.from_padded(X, lengths)


def test_from_channels_first() -> None:
    channels_first = CUBE.transpose(0, 2, 1)
    X = lstmcore.from_channels_first(channels_first)
    assert_array_equal(X, CUBE)
    assert np.shares_memory(X, CUBE)
    X = lstmcore.from_channels_first([channels_first[0], channels_first[1, :, :2]])
    assert isinstance(X, list)
    assert_array_equal(X[0], CUBE[0])
    assert_array_equal(X[1], CUBE[1, :2])
    assert lstmcore.from_channels_first([]) == []


def test_from_channels_first_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"X must have the shape .* got \(4, 3\)"):
        lstmcore.from_channels_first(CUBE[0])
    with pytest.raises(ValueError, match=r"X\[1\] must have the shape .* got \(3,\)"):
        lstmcore.from_channels_first([CUBE[0], CUBE[0, 0]])
