"""Projections of every width: what test_cells.py, with one width, does not reach."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from cases import TOLERANCE, Case, Results, assert_matches, assert_same_bits, ragged
from cell_cases import Problem, draw, forward, run_core, run_oracle, stack_of
from core.test_cell_oracle import test_gradients_are_finite_differences as check_oracle
from reference_cells import Cell, layer_forward

from lstmcore import _core

# Several panels of four blocks; few sequences, a single one, many; BPTT in several runs.
SHAPES = [
    Case("large-weights", 5, (230,), ragged(10, 5, 7)),
    Case("one-sequence", 5, (128,), (60,)),
    Case("two-layers-several-runs", 3, (100, 97), ragged(12, 40, 20, 1)),
]


def projected(size: int, **options: Any) -> Cell:
    """An LSTM with a projection."""
    return Cell("lstm", (("proj_size", size), *options.items()))


@cache
def drawn(case: Case, dtype: np.dtype[Any], normalised: bool) -> tuple[Problem, Results, Results]:
    """A problem, the oracle's results, and those of one thread without vectors."""
    problem = draw(projected(70, layer_norm=normalised), case, dtype)
    return problem, run_oracle(problem), run_core(problem, "scalar", 1)


@pytest.mark.parametrize("normalised", [False, True], ids=["plain", "normalised"])
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_oracle_and_bits(
    case: Case, normalised: bool, isa: str, n_threads: int, dtype: np.dtype[Any]
) -> None:
    problem, expected, on_scalar = drawn(case, dtype, normalised)
    results = run_core(problem, isa, n_threads)
    assert_matches(results, expected, TOLERANCE[dtype])
    assert_same_bits(results, on_scalar)


def test_oracle_is_finite_differences() -> None:
    check_oracle(projected(3, layer_norm=True), Case("one-layer", 3, (4,), ragged(0, 4, 5, 1)))


def test_every_width(isa: str, dtype: np.dtype[Any]) -> None:
    """Whatever remains when a vector, a block or a panel does not divide it."""
    for size in (*range(1, 18), 31, 32, 33, 47, 48, 49, 63, 64, 65, 72, 97):
        problem = draw(projected(size), Case(f"projected-{size}", 2, (98,), (3, 2)), dtype)
        results = run_core(problem, isa)
        assert_matches(results, run_oracle(problem), TOLERANCE[dtype])
        assert_same_bits(results, run_core(problem, "scalar"))


def test_gates_have_a_width_of_their_own(dtype: np.dtype[Any]) -> None:
    p = draw(projected(3), Case("gates", 2, (19, 9), (4, 2, 2, 0)), dtype)
    stack = stack_of(p)
    *_, cache = forward(p, stack, keep=True)
    gates, c, _ = stack.gates(cache, 0)
    weights = {name: array.astype(np.float64) for name, array in p.split(p.parameters)[0].items()}
    states = (p.h0[0].astype(np.float64), p.c0[0].astype(np.float64))
    _, _, _, stashes = layer_forward(p.cell, weights, p.x.astype(np.float64), p.n_active, *states)
    expected = {
        "gates": np.concatenate([np.stack(stash[3:7], axis=1) for stash, _ in stashes]),
        "c": np.concatenate([stash[7] for stash, _ in stashes]),
    }
    assert_matches({"gates": gates, "c": c}, expected, TOLERANCE[dtype])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proj_size": 5}, "proj_size is 5, expected less than the hidden size, 5"),
        ({"proj_size": -1}, "proj_size is -1, expected at least 0"),
        ({"kind": "gru", "proj_size": 2}, "proj_size is an option of an LSTM"),
    ],
)
def test_no_such_projection(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.RecurrentStackFloat32(2, [9, 5], cell=options)


def test_states_are_checked() -> None:
    p = draw(projected(2), Case("states", 2, (5,), (2, 1)))
    stack = stack_of(p)
    with pytest.raises(ValueError, match=r"h0 must have shape \(2, 2\), got \(2, 5\)"):
        stack.forward(p.x, p.n_active, 2, p.c0, p.c0, n_threads=1, keep=False)
    with pytest.raises(ValueError, match=r"c0 must have shape \(2, 5\), got \(2, 2\)"):
        stack.forward(p.x, p.n_active, 2, p.h0, p.h0, n_threads=1, keep=False)
