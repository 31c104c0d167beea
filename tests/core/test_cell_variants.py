"""Cells with options that share their kernels with those of test_cells.py, in fewer shapes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from cases import TOLERANCE, Case, Results, assert_matches, assert_same_bits, ragged
from cell_cases import VARIANTS, Problem, draw, forward, run_core, run_oracle, stack_of
from core.test_cell_oracle import test_gradients_are_finite_differences as check_oracle
from reference import steps
from reference_cells import Cell

EACH_CELL = pytest.mark.parametrize("cell", VARIANTS, ids=str)
SHAPES = [
    # Not of one unit or input: normalised, only signs are left, and gradients are what rounding
    # leaves of 0.
    Case("few-of-everything", 3, (3,), (1,)),
    Case("two-layers", 5, (17, 33), ragged(1, 13, 9, 2)),
    Case("equal-lengths", 3, (64,), (3,) * 40),
    Case("one-sequence", 5, (128,), (20,)),
    Case("several-parts", 3, (20,), ragged(6, 60, 7, 3)),
    Case("large-weights", 5, (230,), ragged(10, 5, 7)),
]


@cache
def drawn(cell: Cell, case: Case, dtype: np.dtype[Any]) -> tuple[Problem, Results, Results]:
    """A problem, the oracle's results, and those of one thread without vectors."""
    problem = draw(cell, case, dtype)
    return problem, run_oracle(problem), run_core(problem, "scalar", 1)


@EACH_CELL
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_oracle_and_bits(
    cell: Cell, case: Case, isa: str, n_threads: int, dtype: np.dtype[Any]
) -> None:
    problem, expected, on_scalar = drawn(cell, case, dtype)
    results = run_core(problem, isa, n_threads)
    assert_matches(results, expected, TOLERANCE[dtype])
    assert_same_bits(results, on_scalar)


@EACH_CELL
def test_oracle_is_finite_differences(cell: Cell) -> None:
    check_oracle(cell, Case("one-layer", 3, (4,), ragged(0, 4, 5, 1)))


@EACH_CELL
def test_whole_sequences_and_step_by_step(cell: Cell, isa: str, dtype: np.dtype[Any]) -> None:
    problem = draw(cell, Case("steps", 5, (19, 19), ragged(3, 9, 6, 1)), dtype)
    stack = stack_of(problem, isa)
    y, h_n, c_n, _ = forward(problem, stack, keep=False)
    h, c = np.stack(problem.h0), np.stack(problem.c0)
    for n, rows in steps(problem.n_active):
        now = [h[:, :n].copy(), c[:, :n].copy() if cell.has_c else None]
        out = [np.full_like(a, np.nan) if a is not None else None for a in now]
        stack.step(problem.x[rows], *now, *out, n_threads=1)
        h[:, :n] = out[0]
        if cell.has_c:
            c[:, :n] = out[1]
        np.testing.assert_array_equal(h[-1, :n], y[rows])
    np.testing.assert_array_equal(h, np.stack(h_n))
    if cell.has_c:
        np.testing.assert_array_equal(c, np.stack(c_n))
