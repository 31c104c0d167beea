"""The stack of layers against the oracle: instruction sets, threads, dtypes and odd shapes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import reference
from cases import (
    CASES,
    TOLERANCE,
    Case,
    Problem,
    Results,
    assert_matches,
    draw,
    run_core,
    run_reference,
    split,
    stack_of,
)

TWO_LAYERS = next(case for case in CASES if case.name == "three-widths")


@cache
def with_expected(case: Case, dtype: np.dtype[Any]) -> tuple[Problem, Results]:
    """A problem and what the oracle makes of it."""
    problem = draw(case, dtype)
    return problem, run_reference(problem)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_backward(case: Case, isa: str, n_threads: int, dtype: np.dtype[Any]) -> None:
    problem, expected = with_expected(case, dtype)
    assert_matches(run_core(problem, isa, n_threads), expected, TOLERANCE[dtype])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_without_what_backward_needs_the_outputs_are_the_same(
    case: Case, isa: str, dtype: np.dtype[Any]
) -> None:
    p = draw(case, dtype)
    stack = stack_of(p, isa)
    outputs = []
    for keep in (True, False):
        y, h_n, c_n, stash = stack.forward(
            p.x, p.n_active, p.n_sequences, p.h0, p.c0, n_threads=1, keep=keep
        )
        assert (stash is not None) == keep
        outputs.append([y, *h_n, *c_n])
    for kept, not_kept in zip(*outputs, strict=True):
        np.testing.assert_array_equal(kept, not_kept)


def test_no_initial_state_is_a_state_of_zeros(dtype: np.dtype[Any]) -> None:
    p = draw(TWO_LAYERS, dtype)
    zeros = [np.zeros_like(h) for h in p.h0]
    stack = stack_of(p)

    def run(h0: Any, c0: Any) -> list[reference.Array]:
        y, h_n, c_n, stash = stack.forward(
            p.x, p.n_active, p.n_sequences, h0, c0, n_threads=1, keep=True
        )
        dx, dh0, dc0, gradient = stack.backward(
            stash, p.dy, p.dh_n, p.dc_n, need_dx=True, n_threads=1
        )
        return [y, *h_n, *c_n, dx, *dh0, *dc0, gradient]

    expected = run(zeros, zeros)
    for h0, c0 in [(None, None), (zeros, None), (None, zeros)]:
        for ours, theirs in zip(run(h0, c0), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("absent", ["dy", "dh_n", "dc_n"])
def test_an_absent_gradient_is_zero(absent: str, dtype: np.dtype[Any]) -> None:
    p = draw(TWO_LAYERS, dtype)
    stack = stack_of(p)
    given = {"dy": p.dy, "dh_n": p.dh_n, "dc_n": p.dc_n}
    zeros = {
        "dy": np.zeros_like(p.dy),
        "dh_n": [np.zeros_like(a) for a in p.dh_n],
        "dc_n": [np.zeros_like(a) for a in p.dc_n],
    }

    def run(gradients: dict[str, Any]) -> list[reference.Array]:
        *_, stash = stack.forward(
            p.x, p.n_active, p.n_sequences, p.h0, p.c0, n_threads=1, keep=True
        )
        dx, dh0, dc0, gradient = stack.backward(
            stash, *gradients.values(), need_dx=True, n_threads=1
        )
        return [dx, *dh0, *dc0, gradient]

    left_out, as_zeros = run(given | {absent: None}), run(given | {absent: zeros[absent]})
    for ours, theirs in zip(left_out, as_zeros, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("case", [CASES[4], TWO_LAYERS], ids=str)
def test_dx_only_when_asked_for(case: Case, dtype: np.dtype[Any]) -> None:
    p = draw(case, dtype)
    stack = stack_of(p)
    results = []
    for need_dx in (True, False):
        *_, stash = stack.forward(
            p.x, p.n_active, p.n_sequences, p.h0, p.c0, n_threads=1, keep=True
        )
        results.append(stack.backward(stash, p.dy, p.dh_n, p.dc_n, need_dx=need_dx, n_threads=1))
    assert results[0][0] is not None
    assert results[1][0] is None
    (_, dh0, dc0, gradient), (_, *others) = results
    for ours, theirs in zip([dh0, dc0, [gradient]], [*others[:2], [others[2]]], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", [CASES[4], TWO_LAYERS], ids=str)
def test_gates_and_cell_state_of_every_step(
    case: Case, isa: str, n_threads: int, dtype: np.dtype[Any]
) -> None:
    p = draw(case, dtype)
    states = [[a.astype(np.float64) for a in per_layer] for per_layer in (p.h0, p.c0)]
    layers = split(case, p.parameters)
    *_, expected = reference.stack_forward(layers, p.x.astype(np.float64), p.n_active, *states)
    stack = stack_of(p, isa)
    *_, stash = stack.forward(
        p.x, p.n_active, p.n_sequences, p.h0, p.c0, n_threads=n_threads, keep=True
    )
    for level, theirs in enumerate(expected):
        gates, c, h = stack.gates(stash, level)
        expected_h = theirs.gates[:, 3] * np.tanh(theirs.c)
        assert_matches(
            {"gates": gates, "c": c, "h": h},
            {"gates": theirs.gates, "c": theirs.c, "h": expected_h},
            TOLERANCE[dtype],
        )


def test_layout_names_every_parameter(dtype: np.dtype[Any]) -> None:
    stack = stack_of(draw(Case("layout", 3, (5, 2), (2, 1)), dtype))
    assert stack.layout == [
        ("weight_ih_l0", (20, 3), 0),
        ("weight_hh_l0", (20, 5), 60),
        ("bias_l0", (20,), 160),
        ("weight_ih_l1", (8, 5), 180),
        ("weight_hh_l1", (8, 2), 220),
        ("bias_l1", (8,), 236),
    ]
    assert stack.n_parameters == 244
