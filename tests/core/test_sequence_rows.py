"""Rows that stand sequence after sequence, as callers have them, give what packed rows give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import CASES, Case, Problem, draw, stack_of

from lstmcore import _core

Array = np.ndarray[Any, Any]


def places(p: Problem) -> tuple[Array, Array]:
    """Where each sequence begins, in an order that is not the packed one, and row → packed row."""
    lengths = np.array([(p.n_active > n).sum() for n in range(p.n_sequences)], np.intp)
    order = np.random.default_rng(len(lengths)).permutation(len(lengths))
    starts = np.zeros(len(lengths), np.intp)
    starts[order] = np.concatenate([[0], np.cumsum(lengths[order])[:-1]]) if len(order) else []
    offset = np.concatenate([[0], np.cumsum(p.n_active)]).astype(np.intp)
    packed = np.empty(len(p.x), np.intp)
    for n, length in enumerate(lengths):
        packed[starts[n] : starts[n] + length] = offset[:length] + n
    return starts, packed


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_bits_as_packed_rows(case: Case, n_threads: int, dtype: np.dtype[Any]) -> None:
    p = draw(case, dtype)
    stack = stack_of(p, "scalar")
    starts, packed = places(p)

    def passed(x: Array, dy: Array, starts: Array | None) -> list[Array]:
        arguments = x, p.n_active, p.n_sequences, p.h0, p.c0
        how = {"n_threads": n_threads, "starts": starts}
        y, h_n, c_n, cache = stack.forward(*arguments, keep=True, **how)
        without = stack.forward(*arguments, keep=False, **how)[0]
        np.testing.assert_array_equal(y, without)
        dx, dh, dc, gradient = stack.backward(
            cache, dy, p.dh_n, p.dc_n, need_dx=True, n_threads=n_threads
        )
        return [y, dx, *h_n, *c_n, *dh, *dc, gradient]

    expected = passed(p.x, p.dy, None)
    found = passed(p.x[packed], p.dy[packed], starts)
    np.testing.assert_array_equal(found[0], expected[0][packed])
    np.testing.assert_array_equal(found[1], expected[1][packed])
    for ours, theirs in zip(found[2:], expected[2:], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_neither_gradient_needs_to_be_there(dtype: np.dtype[Any]) -> None:
    p = draw(CASES[2], dtype)
    stack = stack_of(p, "scalar")
    starts, packed = places(p)

    def gradient(x: Array, starts: Array | None) -> Array:
        arguments = x, p.n_active, p.n_sequences, p.h0, p.c0
        cache = stack.forward(*arguments, n_threads=2, keep=True, starts=starts)[3]
        dx, *_, flat = stack.backward(cache, None, p.dh_n, p.dc_n, need_dx=False, n_threads=2)
        assert dx is None
        return flat

    np.testing.assert_array_equal(gradient(p.x[packed], starts), gradient(p.x, None))


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ([0, -1], r"starts\[1\] is -1"),
        ([2, 0], r"starts\[0\] is 2, and 2 rows from there on are not among the 3 rows of x"),
        ([0], r"starts must have shape \(2,\), got \(1,\)"),
    ],
)
def test_starts_outside_of_the_rows_are_refused(starts: list[int], message: str) -> None:
    stack = _core.RecurrentStackFloat32(1, [2])
    stack.set_parameters(np.zeros(stack.n_parameters, np.float32))
    x, n_active = np.zeros((3, 1), np.float32), np.array([2, 1])
    with pytest.raises(ValueError, match=message):
        stack.forward(x, n_active, 2, None, None, n_threads=1, keep=False, starts=np.array(starts))
