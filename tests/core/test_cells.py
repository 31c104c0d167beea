"""Every cell against its oracle and against itself: instruction sets, threads, dtypes, shapes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from cases import TOLERANCE, Case, Results, assert_matches, assert_same_bits, ragged
from cell_cases import CELLS, SHAPES, Problem, draw, forward, run_core, run_oracle, stack_of
from reference import Array, steps
from reference_cells import Cell, layer_forward

EACH_CELL = pytest.mark.parametrize("cell", CELLS, ids=str)
RAGGED = Case("ragged", 5, (33, 19), (13, 9, 9, 4, 4, 4, 1, 0, 0))


@cache
def drawn(cell: Cell, case: Case, dtype: np.dtype[Any]) -> tuple[Problem, Results, Results]:
    """A problem, the oracle's results, and those of one thread without vectors."""
    problem = draw(cell, case, dtype)
    return problem, run_oracle(problem), run_core(problem, "scalar", 1)


@pytest.mark.parametrize(
    ("cell", "case"),
    [(cell, case) for cell in CELLS for case in SHAPES if cell.fits(case.hidden_sizes)],
    ids=str,
)
def test_oracle_and_bits(
    cell: Cell, case: Case, isa: str, n_threads: int, dtype: np.dtype[Any]
) -> None:
    problem, expected, on_scalar = drawn(cell, case, dtype)
    results = run_core(problem, isa, n_threads)
    assert_matches(results, expected, TOLERANCE[dtype])
    assert_same_bits(results, on_scalar)


@EACH_CELL
def test_every_width(cell: Cell, isa: str) -> None:
    """Whatever remains when a vector, a block or a tile does not divide it."""
    for width in (*range(1, 20), 31, 32, 33, 48, 49, 64, 65, 80, 97):
        for case in (
            Case(f"hidden-{width}", 2, (width,), (2, 1, 1)),
            Case(f"inputs-{width}", width, (3,), (2, 1, 1)),
        ):
            if not cell.fits(case.hidden_sizes):
                continue
            problem = draw(cell, case, np.float32)
            assert_same_bits(run_core(problem, isa), run_core(problem, "scalar"))


@EACH_CELL
def test_every_number_of_sequences(cell: Cell, isa: str, dtype: np.dtype[Any]) -> None:
    whole = draw(cell, Case("most", 3, (35,), (2,) * 30), dtype)
    y, h_n, c_n, _ = forward(whole, stack_of(whole, isa), keep=False)
    stack = stack_of(whole, isa)
    for n in range(1, 30):
        rows = [*range(n), *range(30, 30 + n)]
        y_some, h_some, c_some, _ = stack.forward(
            whole.x[rows],
            np.array([n, n], np.intp),
            n,
            [whole.h0[0][:n]],
            [whole.c0[0][:n]] if cell.has_c else None,
            n_threads=1,
            keep=False,
        )
        np.testing.assert_array_equal(y_some, y[rows])
        for some, all_of_them in zip([*h_some, *c_some], [*h_n, *c_n], strict=True):
            np.testing.assert_array_equal(some, all_of_them[:n])


@EACH_CELL
@pytest.mark.parametrize("lengths", [(5,) * 9, ragged(3, 9, 6, 1)], ids=["equal", "ragged"])
def test_whole_sequences_and_step_by_step(
    cell: Cell, lengths: tuple[int, ...], isa: str, dtype: np.dtype[Any]
) -> None:
    problem = draw(cell, Case("steps", 5, (19, 19), lengths), dtype)
    stack = stack_of(problem, isa)
    y, h_n, c_n, cache = forward(problem, stack, keep=False)
    assert cache is None
    with_cache = forward(problem, stack, keep=True)
    for ours, theirs in zip(
        [y, *h_n, *c_n], [with_cache[0], *with_cache[1], *with_cache[2]], strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    h, c = np.stack(problem.h0), np.stack(problem.c0)
    for n, rows in steps(problem.n_active):
        h_some, c_some = h[:, :n].copy(), c[:, :n].copy()
        h_out, c_out = np.full_like(h_some, np.nan), np.full_like(c_some, np.nan)
        if cell.has_c:
            stack.step(problem.x[rows], h_some, c_some, h_out, c_out, n_threads=1)
        else:
            stack.step(problem.x[rows], h_some, None, h_out, None, n_threads=1)
        h[:, :n] = h_out
        c[:, :n] = c_out if cell.has_c else 0
        np.testing.assert_array_equal(h[-1, :n], y[rows])
    np.testing.assert_array_equal(h, np.stack(h_n))
    if cell.has_c:
        np.testing.assert_array_equal(c, np.stack(c_n))


@EACH_CELL
def test_what_is_absent_is_zero(cell: Cell, dtype: np.dtype[Any]) -> None:
    p = draw(cell, RAGGED, dtype)
    stack = stack_of(p)
    zeros, c_zeros = ([np.zeros_like(a) for a in arrays] for arrays in (p.h0, p.c0))

    def run(states: Any, c_states: Any, dy: Any, *, need_dx: bool) -> list[Array]:
        c_states = c_states if cell.has_c else None
        y, h_n, c_n, cache = stack.forward(
            p.x, p.n_active, p.n_sequences, states, c_states, n_threads=1, keep=True
        )
        y = y.copy()
        dx, dh0, dc0, gradient = stack.backward(
            cache, dy, states, c_states, need_dx=need_dx, n_threads=1
        )
        assert (dx is not None) == need_dx
        return [y, *h_n, *c_n, *dh0, *dc0, gradient]

    expected = run(zeros, c_zeros, np.zeros_like(p.dy), need_dx=True)
    for ours, theirs in zip(run(None, None, None, need_dx=False), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@EACH_CELL
@pytest.mark.parametrize("lengths", [(13, 9, 9, 4, 4, 4, 1, 0, 0), (3,), (1,)], ids=str)
def test_gradient_of_initial_states_only_when_asked_for(
    cell: Cell, lengths: tuple[int, ...], n_threads: int, dtype: np.dtype[Any]
) -> None:
    p = draw(cell, Case("asked", 5, (67, 67), lengths), dtype)
    stack = stack_of(p)
    dc_n = p.dc_n if cell.has_c else None

    def run(**asked: bool) -> Any:
        *_, cache = forward(p, stack, keep=True, n_threads=n_threads, seed=3)
        return stack.backward(cache, p.dy, p.dh_n, dc_n, need_dx=True, n_threads=n_threads, **asked)

    (dx, *_, gradient), (same_dx, dh0, dc0, same_gradient) = run(), run(need_dstate=False)
    assert dh0 is None
    assert dc0 is None
    np.testing.assert_array_equal(same_dx, dx)
    np.testing.assert_array_equal(same_gradient, gradient)


@EACH_CELL
def test_one_object_used_again(cell: Cell, isa: str) -> None:
    """Memory that batches of other shapes left behind has no influence."""
    problems = [
        draw(cell, Case(f"again-{n}", 5, (17, 17), (n, *[1] * n)), np.float32)
        for n in (3, 1, 40, 3, 90, 2)
    ]
    stack = stack_of(problems[0], isa)
    for p in problems:
        stack.set_parameters(p.parameters)
        y, h_n, _, _ = forward(p, stack, keep=True, n_threads=2)
        expected = run_core(p, isa)
        np.testing.assert_array_equal(y, expected["y"])
        np.testing.assert_array_equal(h_n[0], expected["h_n_l0"])


@pytest.mark.parametrize("cell", [c for c in CELLS if not c.has_c], ids=str)
def test_cells_without_c_take_none(cell: Cell) -> None:
    p = draw(cell, Case("no-c", 2, (3,), (2, 1)))
    stack = stack_of(p)
    with pytest.raises(ValueError, match="c0 must be None: the cell has no state c"):
        stack.forward(p.x, p.n_active, 2, p.h0, p.c0, n_threads=1, keep=False)
    h = np.stack(p.h0)
    with pytest.raises(ValueError, match="must be None: the cell has no state c"):
        stack.step(p.x[:2], h, h, h, h.copy(), n_threads=1)


def test_gates_of_every_cell(dtype: np.dtype[Any]) -> None:
    """Gates in the order of the parameters, before BPTT overwrites them."""
    for cell in CELLS:
        p = draw(cell, RAGGED, dtype)
        stack = stack_of(p)
        *_, cache = forward(p, stack, keep=True)
        weights = {k: v.astype(np.float64) for k, v in p.split(p.parameters)[0].items()}
        h0, c0 = p.h0[0].astype(np.float64), p.c0[0].astype(np.float64)
        _, _, _, stashes = layer_forward(cell, weights, p.x.astype(np.float64), p.n_active, h0, c0)
        gates, c, _ = stack.gates(cache, 0)
        assert (c is not None) == cell.has_c
        where = {"rnn": slice(2, 3), "gru": slice(2, 5), "lstm": slice(3, 7)}[cell.kind]
        parts = [stash[where] for stash, _ in stashes]
        if cell.has_c:
            cells = np.concatenate([stash[7] for stash, _ in stashes])
            assert_matches({"c": c}, {"c": cells}, TOLERANCE[dtype])
        expected = np.concatenate([np.stack(part, axis=1) for part in parts])
        assert_matches({"gates": gates}, {"gates": expected}, TOLERANCE[dtype])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "gur"}, "cell is 'gur'; expected 'lstm', 'gru' or 'rnn'"),
        ({"kind": "gru", "reset": True}, "cell has an option 'reset', which is unknown"),
        ({"kind": "gru", "peephole": True}, "peephole, .* are options of an LSTM"),
        ({"kind": "rnn", "cell_clip": 1.0}, "peephole, .* are options of an LSTM"),
        ({"kind": "rnn", "gate_activation": ("relu", 0.0, 0.0)}, "no option of an RNN"),
        ({"layer_norm": True, "coupled_gates": True}, "can't be combined"),
        ({"kind": "lstm", "cell_clip": 0.0}, "cell_clip is 0.0*, expected a number above 0"),
        ({"kind": "lstm", "gate_clip": np.nan}, "gate_clip is nan, expected a number above 0"),
        ({"kind": "lstm", "gate_clip": "1"}, "cell has an option 'gate_clip' of the wrong type"),
        ({"gate_activation": ("sin", 0.0, 0.0)}, "activation is 'sin'; expected one of 'sigmoid'"),
        ({"cell_activation": ("elu", -1.0, 0.0)}, "cell_activation .* an alpha of at least 0"),
        ({"output_activation": ("affine", np.inf, 0.0)}, "output_activation .* finite numbers"),
        ({"output_activation": "tanh"}, "cell has an option 'output_activation' of the wrong type"),
    ],
)
def test_no_such_cell(options: dict[str, Any], message: str) -> None:
    from lstmcore import _core

    with pytest.raises(ValueError, match=message):
        _core.RecurrentStackFloat32(2, [3], cell=options)
