"""Without initial states the core leaves out what they would multiply, and gives the same bits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import stack_cases
from cases import WIDE_CASES, Case, assert_same_bits, ragged
from cell_cases import CELLS, MASKED, NORMALISED, draw, run_core, stack_of
from reference_cells import Cell

LSTM = Cell("lstm")
STATES = ("h0", "c0")
# Alone, and shared; how many share it is for other tests.
THREADS = pytest.mark.parametrize("n_threads", [1, 7])
FEW_SHAPES = [
    Case("H17-with-empty", 5, (17,), (13, 9, 9, 4, 1, 0, 0)),
    Case("two-layers", 3, (40, 40), ragged(4, 7, 5)),
    Case("large-weights", 5, (230,), ragged(10, 5, 7)),
]
CELLS_AND_CASES = [
    *((LSTM, case) for case in WIDE_CASES),
    # More rows in the first step than a run of BPTT has, or than weight gradients take at a time
    # where rows are gathered.
    (LSTM, Case("one-step", 5, (33,), (1,) * 700)),
    (LSTM, Case("gathered-rows", 5, (33,), ragged(17, 280, 4, 2))),
    *(
        (cell, case)
        for cell in (*CELLS, NORMALISED, *MASKED)
        for case in FEW_SHAPES
        if cell.fits(case.hidden_sizes)
    ),
]


def both(problem: Any) -> tuple[Any, Any]:
    """The problem with zeros for initial states, and with none."""
    zeros: dict[str, Any] = {k: [np.zeros_like(a) for a in getattr(problem, k)] for k in STATES}
    none: dict[str, Any] = dict.fromkeys(STATES)
    return replace(problem, **zeros), replace(problem, **none)


@THREADS
@pytest.mark.parametrize(("cell", "case"), CELLS_AND_CASES, ids=str)
def test_same_bits_as_with_zeros(
    cell: Cell, case: Case, isa: str, n_threads: int, dtype: np.dtype[Any]
) -> None:
    zeros, none = both(draw(cell, case, dtype))
    seed = 7 if cell in MASKED else None
    assert_same_bits(run_core(none, isa, n_threads, seed), run_core(zeros, isa, n_threads, seed))


@THREADS
@pytest.mark.parametrize("connections", stack_cases.CONNECTIONS, ids=str)
def test_same_bits_of_connected_layers(
    connections: stack_cases.Connections, isa: str, n_threads: int, dtype: np.dtype[Any]
) -> None:
    case = Case("same-widths", 5, (19, 19), ragged(18, 30, 9, 2))
    zeros, none = both(stack_cases.draw(LSTM, connections, case, dtype))
    with_zeros, with_none = (stack_cases.run_core(p, isa, n_threads) for p in (zeros, none))
    assert_same_bits(with_none, with_zeros)


def test_memory_of_a_batch_with_states(isa: str) -> None:
    """What is known of one batch is not held of the next one in the same memory."""
    problem = draw(LSTM, Case("ragged", 5, (33, 19), (13, 9, 9, 4, 1, 0)), np.float32)
    zeros, none = both(problem)
    stack = stack_of(problem, isa)
    found = [
        stack.forward(p.x, p.n_active, p.n_sequences, p.h0, p.c0, n_threads=1, keep=False)[0]
        for p in (none, problem, zeros, none, problem)
    ]
    for with_none, with_zeros in ((0, 2), (3, 2)):
        np.testing.assert_array_equal(found[with_none], found[with_zeros])
    np.testing.assert_array_equal(found[1], found[4])
    assert np.abs(found[0] - found[1]).max() > 0.1
