"""Stacks that read both ways or add what they read: against the oracle and against themselves."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from cases import TOLERANCE, Case, Results, assert_matches, assert_same_bits, ragged
from cell_cases import NORMALISED, VARIANTS
from reference import Array, steps
from reference_cells import Cell
from reference_stacks import Connections, reversal
from stack_cases import (
    ALL_CELLS,
    BOTH_WAYS,
    CONNECTIONS,
    RESIDUAL,
    RESIDUAL_BOTH_WAYS,
    StackProblem,
    draw,
    forward,
    run_core,
    run_oracle,
    stack_of,
)

NORMALISED_PROJECTION = Cell("lstm", (("layer_norm", True), ("proj_size", 3)))
EACH_CELL = pytest.mark.parametrize("cell", ALL_CELLS, ids=str)

# Several parts of a batch; few sequences, which threads share by direction; one; weights that all
# threads work on together, and whose gradients are summed in place; nothing at all.
SHAPES = [
    (BOTH_WAYS, Case("widths-differ", 3, (17, 9), ragged(3, 37, 9, 2))),
    (RESIDUAL, Case("three-layers", 5, (19, 19, 19), ragged(4, 20, 7, 1))),
    (RESIDUAL_BOTH_WAYS, Case("few-sequences", 3, (33, 33), (13, 9, 4, 0))),
    (BOTH_WAYS, Case("one-sequence", 17, (40,), (21,))),
    (RESIDUAL_BOTH_WAYS, Case("all-empty", 2, (3, 3), (0, 0))),
    (BOTH_WAYS, Case("no-sequence", 2, (3,), ())),
]
LARGE = [
    (BOTH_WAYS, Case("large-weights", 5, (520,), ragged(10, 9, 4))),
    (RESIDUAL, Case("large-residual", 5, (520, 520), (3, 2, 1))),
]
# Sums of more columns than the kernels take at a time, with ends that fill neither a tile nor half
# a block, more units than are summed at once, more rows than a run of BPTT.
WIDE = [
    (BOTH_WAYS, Case("wide-input", 391, (150,), ragged(5, 41, 6))),
    (RESIDUAL, Case("wide-hidden", 9, (395, 395), ragged(8, 18, 3))),
]


@cache
def drawn(
    cell: Cell, connections: Connections, case: Case, dtype: np.dtype[Any]
) -> tuple[StackProblem, Results, Results]:
    """A problem, the oracle's results, and those of one thread without vectors."""
    problem = draw(cell, connections, case, dtype)
    return problem, run_oracle(problem), run_core(problem, "scalar", 1)


@EACH_CELL
@pytest.mark.parametrize(("connections", "case"), SHAPES, ids=str)
def test_oracle_and_bits(
    cell: Cell, connections: Connections, case: Case, isa: str, dtype: np.dtype[Any]
) -> None:
    problem, expected, on_scalar = drawn(cell, connections, case, dtype)
    for n_threads in (1, 2, 7):
        results = run_core(problem, isa, n_threads)
        assert_matches(results, expected, TOLERANCE[dtype])
        assert_same_bits(results, on_scalar)


@pytest.mark.parametrize("cell", [*VARIANTS, NORMALISED_PROJECTION], ids=str)
def test_other_options_of_the_cells(cell: Cell, isa: str, dtype: np.dtype[Any]) -> None:
    """In both directions, stacked, ragged, all at once."""
    case = Case("options", 3, (9, 9), ragged(2, 18, 7, 1))
    problem, expected, on_scalar = drawn(cell, RESIDUAL_BOTH_WAYS, case, dtype)
    for n_threads in (1, 2):
        results = run_core(problem, isa, n_threads)
        assert_matches(results, expected, TOLERANCE[dtype])
        assert_same_bits(results, on_scalar)


@pytest.mark.parametrize("cell", [Cell("lstm"), NORMALISED], ids=str)
@pytest.mark.parametrize(("connections", "case"), LARGE, ids=str)
def test_large_weights(cell: Cell, connections: Connections, case: Case) -> None:
    problem, expected, _ = drawn(cell, connections, case, np.dtype(np.float32))
    alone = run_core(problem, n_threads=1)
    assert_matches(alone, expected, TOLERANCE[np.dtype(np.float32)])
    for n_threads in (2, 7):
        assert_same_bits(run_core(problem, n_threads=n_threads), alone)


@EACH_CELL
@pytest.mark.parametrize(("connections", "case"), WIDE, ids=str)
def test_wide_layers(cell: Cell, connections: Connections, case: Case, isa: str) -> None:
    for dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        problem, expected, on_scalar = drawn(cell, connections, case, dtype)
        for n_threads in (1, 2):
            # `drawn` has computed the plain set with one thread, which takes longest.
            is_drawn = (isa, n_threads) == ("scalar", 1)
            results = on_scalar if is_drawn else run_core(problem, isa, n_threads)
            assert_matches(results, expected, TOLERANCE[dtype])
            assert_same_bits(results, on_scalar)


@EACH_CELL
@pytest.mark.parametrize("connections", CONNECTIONS, ids=str)
def test_bits_of_any_batch(cell: Cell, connections: Connections, isa: str) -> None:
    """Inference: in a batch, alone, on many threads, and as the gradient's forward pass."""
    p = draw(cell, connections, Case("batch", 5, (20, 20), ragged(7, 30, 8, 1)), np.float32)
    stack = stack_of(p, isa)
    y, h_n, c_n, _ = forward(p, stack, keep=False)
    for keep, n_threads in ((False, 2), (True, 3)):
        some = forward(p, stack, keep=keep, n_threads=n_threads)
        for ours, theirs in zip([some[0], *some[1], *some[2]], [y, *h_n, *c_n], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    starts = np.cumsum([0, *p.n_active])
    for n in (0, 7, 28):
        length = p.case.lengths[n]
        rows = starts[:length] + n
        states = [[a[n : n + 1] for a in arrays] for arrays in (p.h0, p.c0)]
        c0 = states[1] if cell.has_c else None
        alone, h_alone, c_alone, _ = stack.forward(
            p.x[rows], np.ones(length, np.intp), 1, states[0], c0, n_threads=2, keep=False
        )
        np.testing.assert_array_equal(alone, y[rows])
        for ours, theirs in zip([*h_alone, *c_alone], [*h_n, *c_n], strict=True):
            np.testing.assert_array_equal(ours[0], theirs[n])


@EACH_CELL
def test_a_direction_is_a_layer(cell: Cell, isa: str, dtype: np.dtype[Any]) -> None:
    """To the bit: the second one is a layer that gets every sequence from its end."""
    p = draw(cell, BOTH_WAYS, Case("apart", 5, (19,), ragged(5, 20, 9, 1)), dtype)
    both = run_core(p, isa)
    back, width = reversal(p.n_active), cell.width(19)
    for k, weights in enumerate(p.split(p.parameters)):
        order = np.arange(len(p.x)) if k == 0 else back
        ours = slice(width * k, width * (k + 1))
        plain = StackProblem(
            cell,
            Connections(),
            p.case,
            p.n_active,
            np.concatenate([a.ravel() for a in weights.values()]),
            p.x[order],
            p.h0[k : k + 1],
            p.c0[k : k + 1],
            np.ascontiguousarray(p.dy[order, ours]),
            p.dh_n[k : k + 1],
            p.dc_n[k : k + 1],
        )
        alone = run_core(plain, isa)
        np.testing.assert_array_equal(both["y"][:, ours], alone["y"][order])
        for name, array in alone.items():
            if name.endswith("_0"):
                np.testing.assert_array_equal(both[f"{name[:-2]}_{k}"], array, err_msg=name)


@EACH_CELL
def test_residual_steps_give_the_bits_of_whole_sequences(
    cell: Cell, isa: str, dtype: np.dtype[Any]
) -> None:
    p = draw(cell, RESIDUAL, Case("steps", 5, (19, 19, 19), ragged(3, 9, 6, 1)), dtype)
    stack = stack_of(p, isa)
    y, h_n, _, _ = forward(p, stack, keep=False)
    h, c = np.stack(p.h0), np.stack(p.c0)
    for n, rows in steps(p.n_active):
        h_some, c_some = h[:, :n].copy(), c[:, :n].copy()
        c_both = (c_some, c_some) if cell.has_c else (None, None)
        y_t = stack.step(p.x[rows], h_some, c_both[0], h_some, c_both[1], n_threads=1)
        np.testing.assert_array_equal(y_t, y[rows])
        h[:, :n], c[:, :n] = h_some, c_some
    np.testing.assert_array_equal(h, np.stack(h_n))


@EACH_CELL
@pytest.mark.parametrize("connections", CONNECTIONS, ids=str)
def test_what_is_absent_is_zero(cell: Cell, connections: Connections) -> None:
    p = draw(cell, connections, Case("absent", 5, (9, 9), (5, 3, 1, 0)))
    stack = stack_of(p)
    zeros = tuple([np.zeros_like(a) for a in arrays] for arrays in (p.h0, p.c0))

    def run(states: Any, dy: Any, gradients: Any, *, need_dx: bool) -> list[Array]:
        (h0, c0), (dh, dc) = states, gradients
        if not cell.has_c:
            c0 = dc = None
        y, h_n, c_n, cache = stack.forward(
            p.x, p.n_active, p.n_sequences, h0, c0, n_threads=1, keep=True
        )
        dx, dh0, dc0, gradient = stack.backward(cache, dy, dh, dc, need_dx=need_dx, n_threads=2)
        assert (dx is not None) == need_dx
        return [y, *h_n, *c_n, *dh0, *dc0, gradient]

    nothing = (None, None)
    for gradients, dy in ((nothing, np.zeros_like(p.dy)), ((p.dh_n, p.dc_n), None)):
        given = run(nothing, dy, gradients, need_dx=False)
        full = zeros if gradients is nothing else gradients
        in_full = run(zeros, np.zeros_like(p.dy), full, need_dx=True)
        for ours, theirs in zip(given, in_full, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_one_object_used_again(isa: str) -> None:
    """Memory that batches of other shapes left behind has no influence."""
    lengths = [(3, 1), (1,), (9,) * 40, (5, 0), (2,) * 90]
    problems = [
        draw(Cell("lstm"), RESIDUAL_BOTH_WAYS, Case(f"again-{k}", 5, (7, 7), some), np.float32)
        for k, some in enumerate(lengths)
    ]
    stack = stack_of(problems[0], isa)
    for p in problems:
        stack.set_parameters(p.parameters)
        y, *_, cache = forward(p, stack, keep=True, n_threads=2)
        dx, *_ = stack.backward(cache, p.dy, p.dh_n, p.dc_n, need_dx=True, n_threads=2)
        expected = run_core(p, isa)
        np.testing.assert_array_equal(y, expected["y"])
        np.testing.assert_array_equal(dx, expected["dx"])


def test_gates_are_in_the_order_of_the_steps() -> None:
    p = draw(Cell("lstm"), BOTH_WAYS, Case("gates", 5, (9,), (6, 4, 1, 0)))
    stack = stack_of(p)
    y, *_, cache = forward(p, stack, keep=True)
    for k, weights in enumerate(p.split(p.parameters)):
        gates, c, h = stack.gates(cache, k)
        np.testing.assert_array_equal(h, y[:, 9 * k : 9 * (k + 1)])
        np.testing.assert_allclose(h, gates[:, 3] * np.tanh(c), rtol=0, atol=1e-14)
        # Of the step that a direction reads first, the gates are those of the initial state.
        first = np.cumsum([0, *p.n_active])[p.case.lengths[0] - 1 if k else 0]
        z = p.x[first] @ weights["weight_ih"].T + p.h0[k][0] @ weights["weight_hh"].T
        forget = 1 / (1 + np.exp(-(z + weights["bias"])[9:18]))
        np.testing.assert_allclose(gates[first, 1], forget, rtol=0, atol=1e-14)


def test_layout_names_both_directions() -> None:
    p = draw(Cell("gru"), BOTH_WAYS, Case("layout", 3, (5, 2), (2, 1)))
    names = ("weight_ih", "weight_hh", "bias", "bias_hn")
    suffixes = ("_l0", "_l0_reverse", "_l1", "_l1_reverse")
    layout = stack_of(p).layout
    assert [name for name, *_ in layout] == [n + s for s in suffixes for n in names]
    shapes = {name: shape for name, shape, _ in layout}
    assert shapes["weight_ih_l1_reverse"] == (6, 10)
    assert [offset for *_, offset in layout] == list(
        np.cumsum([0, *(int(np.prod(shape)) for _, shape, _ in layout)])[:-1]
    )


def test_errors() -> None:
    p = draw(Cell("rnn"), BOTH_WAYS, Case("errors", 2, (3,), (2, 1)))
    h = np.zeros((2, 1, 3))
    with pytest.raises(ValueError, match="step goes from the start to the end, and bidirectional"):
        stack_of(p).step(np.zeros((1, 2)), h, None, h, None, n_threads=1)
    draw_wrong = draw(Cell("rnn"), RESIDUAL, Case("widths", 2, (3, 3, 4), (2, 1)))
    with pytest.raises(ValueError, match=r"hidden_sizes\[2\] is 4, hidden_sizes\[1\] is 3"):
        stack_of(draw_wrong)
