"""Faults that LSTM libraries have had, each shown to be absent here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import TOLERANCE, Case, Problem, assert_matches, draw, run_core, run_reference, stack_of
from reference import Array

from lstmcore import _core

RAGGED = Case("ragged", 5, (19,), (9, 7, 7, 3, 1, 0, 0))
DEEP = Case("deep", 3, (19, 8), (9, 7, 7, 3, 1, 0, 0))
BOTH = pytest.mark.parametrize("case", [RAGGED, DEEP], ids=str)


def forward(p: Problem, isa: str = "", x: Array | None = None, **kwargs: Any) -> tuple[Any, ...]:
    """One forward pass with what backward needs."""
    x = p.x if x is None else x
    stack = kwargs.pop("stack", None) or stack_of(p, isa)
    n_threads = kwargs.pop("n_threads", 1)
    return (
        stack,
        *stack.forward(x, p.n_active, p.n_sequences, p.h0, p.c0, n_threads=n_threads, keep=True),
    )


@BOTH
def test_new_parameters_count_at_once_forward_and_backward(
    case: Case, isa: str, dtype: np.dtype[Any]
) -> None:
    """No packed copy of the old weights survives an update."""
    old, new = draw(case, dtype, seed=1), draw(case, dtype, seed=2)
    stack, y, *_, stash = forward(old, isa)
    stack.backward(stash, old.dy, old.dh_n, old.dc_n, need_dx=True, n_threads=1)
    stack.set_parameters(new.parameters)
    _, y, h_n, c_n, stash = forward(new, stack=stack)
    dx, dh0, _, gradient = stack.backward(
        stash, new.dy, new.dh_n, new.dc_n, need_dx=True, n_threads=1
    )
    fresh = run_core(new, isa)
    np.testing.assert_array_equal(y, fresh["y"])
    np.testing.assert_array_equal(dx, fresh["dx"])
    np.testing.assert_array_equal(dh0[0], fresh["dh0_l0"])
    np.testing.assert_array_equal(gradient[: 4 * 19 * case.input_size], fresh["dW_ih_l0"].ravel())
    del h_n, c_n


def test_parameters_are_copied(dtype: np.dtype[Any]) -> None:
    p = draw(RAGGED, dtype)
    given = p.parameters.copy()
    stack = stack_of(p)
    stack.set_parameters(given)
    given[:] = np.nan
    _, y, *_ = forward(p, stack=stack)
    np.testing.assert_array_equal(y, run_core(p)["y"])


@BOTH
def test_inputs_are_left_as_they_were(case: Case, isa: str, dtype: np.dtype[Any]) -> None:
    p, before = draw(case, dtype), draw(case, dtype)
    run_core(p, isa, 2)
    for name in ("parameters", "x", "dy", "n_active"):
        np.testing.assert_array_equal(getattr(p, name), getattr(before, name), err_msg=name)
    for name in ("h0", "c0", "dh_n", "dc_n"):
        np.testing.assert_array_equal(getattr(p, name)[0], getattr(before, name)[0], err_msg=name)


def test_read_only_arrays_are_accepted(dtype: np.dtype[Any]) -> None:
    p = draw(RAGGED, dtype)
    expected = run_core(p)
    for array in (p.parameters, p.x, p.dy, p.n_active, *p.h0, *p.c0, *p.dh_n, *p.dc_n):
        array.flags.writeable = False
    np.testing.assert_array_equal(run_core(p)["y"], expected["y"])


@BOTH
def test_nan_in_x_comes_out_in_its_sequence_and_nowhere_else(
    case: Case, isa: str, dtype: np.dtype[Any]
) -> None:
    """From its step on; the sequences that share a register tile with it keep their bits."""
    p = draw(case, dtype)
    _, clean, clean_h, _, _ = forward(p, isa)
    step, n = 2, 1
    row = int(p.n_active[:step].sum()) + n
    x = p.x.copy()
    x[row, 1] = np.nan
    _, y, h_n, c_n, _ = forward(p, isa, x)
    of_sequence = [int(p.n_active[:t].sum()) + n for t in range(case.lengths[n])]
    hit = np.zeros(len(y), bool)
    hit[of_sequence[step:]] = True
    assert np.isnan(y[hit]).all()
    np.testing.assert_array_equal(y[~hit], clean[~hit])
    for level in range(len(case.hidden_sizes)):
        assert np.isnan(h_n[level][n]).all()
        assert np.isnan(c_n[level][n]).all()
        others = np.arange(p.n_sequences) != n
        np.testing.assert_array_equal(h_n[level][others], clean_h[level][others])


@BOTH
@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_l0"])
def test_nan_in_a_weight_comes_out(case: Case, name: str, isa: str, dtype: np.dtype[Any]) -> None:
    """In its own unit at once and in all units one step later; only empty sequences stay clean."""
    p = draw(case, dtype)
    layout = {key: (shape, offset) for key, shape, offset in stack_of(p).layout}
    shape, offset = layout[name]
    n_hidden, unit, gate = 19, 18, 2
    p.parameters[offset + (gate * n_hidden + unit) * int(np.prod(shape[1:]))] = np.nan
    _, y, h_n, _, _ = forward(p, isa)
    if len(case.hidden_sizes) == 1:
        first = y[: p.n_active[0]]
        assert np.isnan(first[:, unit]).all()
        assert np.isfinite(np.delete(first, unit, axis=1)).all()
    assert np.isnan(y[p.n_active[0] :]).all()
    lengths = np.array(case.lengths)
    assert np.isnan(h_n[0][lengths > 1]).all()
    assert np.isfinite(h_n[0][lengths == 0]).all()


def test_nan_in_the_gradient_from_above_comes_out(isa: str, dtype: np.dtype[Any]) -> None:
    p = draw(RAGGED, dtype)
    dy = p.dy.copy()
    dy[-1, 3] = np.nan  # the last step of the longest sequence
    stack, *_, stash = forward(p, isa)
    dx, dh0, _, gradient = stack.backward(stash, dy, None, None, need_dx=True, n_threads=1)
    longest = [int(p.n_active[:t].sum()) for t in range(9)]
    assert np.isnan(dx[longest]).all()
    assert np.isfinite(np.delete(dx, longest, axis=0)).all()
    assert np.isnan(dh0[0][0]).all()
    assert np.isfinite(dh0[0][1:]).all()
    assert np.isnan(gradient).any()


def test_infinite_x_saturates(isa: str, dtype: np.dtype[Any]) -> None:
    """Infinity through one weight closes or opens gates; nothing turns into NaN."""
    p = draw(Case("infinite", 1, (5,), (3, 3)), dtype)
    p.x[0] = np.inf
    p.x[-1] = -np.inf
    _, y, _, c_n, _ = forward(p, isa)
    assert np.isfinite(y).all()
    assert np.isfinite(c_n[0]).all()
    with np.errstate(invalid="ignore", over="ignore"):
        np.testing.assert_allclose(y, run_reference(p)["y"], rtol=0, atol=1e-5)


@BOTH
def test_rows_beyond_the_batch_are_never_read(case: Case, isa: str, dtype: np.dtype[Any]) -> None:
    """x, the states and dy lie inside larger arrays full of NaN."""
    p = draw(case, dtype)
    expected = run_core(p, isa)

    def embed(a: Array) -> Array:
        around = np.full(a.size + 64, np.nan, a.dtype)
        inside = around[32 : 32 + a.size].reshape(a.shape)
        inside[...] = a
        return inside

    embedded = Problem(
        case,
        p.n_active,
        embed(p.parameters),
        embed(p.x),
        *([embed(a) for a in arrays] for arrays in (p.h0, p.c0)),
        embed(p.dy),
        *([embed(a) for a in arrays] for arrays in (p.dh_n, p.dc_n)),
    )
    assert_matches(run_core(embedded, isa, 2), expected, 0)


def test_empty_sequences_keep_their_initial_state(isa: str, dtype: np.dtype[Any]) -> None:
    p = draw(DEEP, dtype)
    results = run_core(p, isa)
    for level in range(2):
        np.testing.assert_array_equal(results[f"h_n_l{level}"][-2:], p.h0[level][-2:])
        np.testing.assert_array_equal(results[f"c_n_l{level}"][-2:], p.c0[level][-2:])
        np.testing.assert_array_equal(results[f"dh0_l{level}"][-2:], p.dh_n[level][-2:])
        np.testing.assert_array_equal(results[f"dc0_l{level}"][-2:], p.dc_n[level][-2:])


def test_a_stash_serves_one_backward_pass(isa: str) -> None:
    p = draw(RAGGED, np.float32)
    stack, *_, stash = forward(p, isa)
    stack.backward(stash, p.dy, p.dh_n, p.dc_n, need_dx=True, n_threads=1)
    with pytest.raises(ValueError, match="cache"):
        stack.backward(stash, p.dy, p.dh_n, p.dc_n, need_dx=True, n_threads=1)
    with pytest.raises(ValueError, match="cache"):
        stack.gates(stash, 0)


def test_two_stashes_at_a_time(isa: str, dtype: np.dtype[Any]) -> None:
    """What one forward pass keeps is not overwritten by the next one."""
    a, b = draw(RAGGED, dtype, seed=1), draw(RAGGED, dtype, seed=1)
    b.x[...] = draw(RAGGED, dtype, seed=2).x
    stack, *_, first = forward(a, isa)
    _, *_, second = forward(b, stack=stack)
    for p, stash in ((b, second), (a, first)):
        dx, *_ = stack.backward(stash, p.dy, p.dh_n, p.dc_n, need_dx=True, n_threads=1)
        np.testing.assert_array_equal(dx, run_core(p, isa)["dx"])


def test_results_outlive_the_object(dtype: np.dtype[Any]) -> None:
    p = draw(RAGGED, dtype)
    stack, y, h_n, c_n, stash = forward(p)
    kept = y.copy(), h_n[0].copy(), c_n[0].copy()
    del stack, stash
    for seed in range(5):
        forward(draw(RAGGED, dtype, seed=seed))
    for array, copy in zip((y, h_n[0], c_n[0]), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_callers_denormals_are_untouched(n_threads: int, isa: str) -> None:
    """Flush-to-zero is on inside the core only, and there it is."""
    tiny = np.full(7, 1e-40, np.float32)

    def caller_has_denormals() -> bool:
        return bool((tiny * np.float32(1) != 0).all() and (tiny + tiny != 0).all())

    assert caller_has_denormals()
    p = draw(Case("many", 5, (33,), (13,) * 100), np.float32)
    run_core(p, isa, n_threads)
    assert caller_has_denormals()
    _core.sigmoid(tiny, isa)
    with pytest.raises(ValueError, match="n_active"):
        stack_of(p, isa).forward(
            p.x, p.n_active + 1, 100, p.h0, p.c0, n_threads=n_threads, keep=True
        )
    assert caller_has_denormals()


def test_a_decaying_state_ends_at_zero(isa: str) -> None:
    """The cell state halves at every step; it does not linger among the denormals."""
    stack = _core.RecurrentStackFloat32(1, [3], isa)
    parameters = np.zeros(stack.n_parameters, np.float32)
    stack.set_parameters(parameters)  # all gates 1/2, candidate 0
    x = np.zeros((200, 1), np.float32)
    start = [np.full((1, 3), 1e-5, np.float32)]
    y, _, c_n, _ = stack.forward(x, np.ones(200, np.intp), 1, start, start, n_threads=1, keep=False)
    assert (c_n[0] == 0).all()
    nonzero = np.abs(y[y != 0])
    assert (nonzero >= np.finfo(np.float32).smallest_normal).all()


def test_wide_layers_above_narrow_ones(isa: str, dtype: np.dtype[Any]) -> None:
    """Two layers with I != H, either way round."""
    for sizes in [(3, 21), (21, 3), (16, 1), (1, 16)]:
        p = draw(Case(f"widths-{sizes}", 7, sizes, (4, 3, 3, 0)), dtype)
        assert_matches(run_core(p, isa), run_reference(p), TOLERANCE[dtype])
