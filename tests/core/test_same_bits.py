"""Same data, same parameters, same bits: whatever the instruction set, the threads, the batch."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import reference
from cases import (
    CASES,
    WIDE_CASES,
    Case,
    Problem,
    Results,
    assert_same_bits,
    draw,
    run_core,
    stack_of,
)
from reference import Array

from lstmcore import _core

BATCHES = [
    Case("ragged", 5, (33,), (13, 9, 9, 4, 4, 4, 1, 0, 0)),
    Case("two-layers", 17, (8, 19), (6, 6, 5, 3, 3, 0)),
    Case("equal", 1, (16,), (7,) * 14),
]


@cache
def on_scalar(case: Case, dtype: np.dtype[Any]) -> Results:
    """What one thread computes without vectors."""
    return run_core(draw(case, dtype), "scalar", 1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_instruction_sets(case: Case, isa: str, dtype: np.dtype[Any]) -> None:
    assert_same_bits(run_core(draw(case, dtype), isa, 1), on_scalar(case, dtype))


@pytest.mark.parametrize("case", [*BATCHES, *WIDE_CASES], ids=str)
def test_threads(case: Case, isa: str, n_threads: int, dtype: np.dtype[Any]) -> None:
    assert_same_bits(run_core(draw(case, dtype), isa, n_threads), on_scalar(case, dtype))


def test_one_object_used_again(isa: str, dtype: np.dtype[Any]) -> None:
    """Memory that earlier batches of other shapes left behind has no influence."""
    problems = [draw(case, dtype) for case in CASES if case.input_size == 5]
    narrow = [p for p in problems if p.case.hidden_sizes == (17, 17)]
    narrow += [
        draw(Case(f"other-{n}", 5, (17, 17), (n, *[1] * n)), dtype) for n in (1, 40, 3, 90, 2)
    ]
    shared = stack_of(narrow[0], isa)
    for p in [*narrow, *reversed(narrow)]:
        shared.set_parameters(p.parameters)
        assert_same_bits(run_on(shared, p), run_on(stack_of(p, isa), p))


def run_on(stack: Any, p: Problem) -> Results:
    """The outputs and the gradients of the states by an existing stack."""
    y, h_n, c_n, stash = stack.forward(
        p.x, p.n_active, p.n_sequences, p.h0, p.c0, n_threads=2, keep=True
    )
    dx, dh0, dc0, gradient = stack.backward(stash, p.dy, p.dh_n, p.dc_n, need_dx=True, n_threads=2)
    arrays = [y, *h_n, *c_n, dx, *dh0, *dc0, gradient]
    return {str(k): a for k, a in enumerate(arrays)}


def of_some(p: Problem, chosen: list[int]) -> Problem:
    """The problem of some of the sequences, in the order given: again longest first."""
    rows = row_numbers(p.case.lengths)
    lengths = tuple(p.case.lengths[n] for n in chosen)
    taken = [rows[n][t] for t in range(max(lengths)) for n in chosen if t < p.case.lengths[n]]
    case = Case("some", p.case.input_size, p.case.hidden_sizes, lengths)
    per_layer = [[a[chosen] for a in arrays] for arrays in (p.h0, p.c0, p.dh_n, p.dc_n)]
    return Problem(
        case,
        reference.active_counts(lengths),
        p.parameters,
        p.x[taken],
        *per_layer[:2],
        p.dy[taken],
        *per_layer[2:],
    )


def row_numbers(lengths: tuple[int, ...]) -> list[list[int]]:
    """The packed rows of each sequence, by step."""
    total = np.arange(sum(lengths), dtype=float)[:, None]
    n_active = reference.active_counts(lengths)
    return [s[:, 0].astype(int).tolist() for s in reference.unpack(total, n_active, len(lengths))]


def by_sequence(p: Problem, results: Results) -> list[dict[str, Array]]:
    """Everything that belongs to one sequence alone: all but the gradients of the parameters."""
    rows = row_numbers(p.case.lengths)
    own = {k: v for k, v in results.items() if k[:3] in ("h_n", "c_n", "dh0", "dc0")}
    return [
        {"y": results["y"][rows[n]], "dx": results["dx"][rows[n]]}
        | {name: per_layer[n] for name, per_layer in own.items()}
        for n in range(p.n_sequences)
    ]


def test_every_width_of_a_layer(isa: str, dtype: np.dtype[Any]) -> None:
    """Whatever remains when a vector, a panel or a tile does not divide it."""
    for width in range(1, 41):
        for case in (
            Case(f"hidden-{width}", 2, (width,), (2, 1, 1)),
            Case(f"inputs-{width}", width, (3,), (2, 1, 1)),
        ):
            p = draw(case, dtype)
            assert_same_bits(run_core(p, isa), run_core(p, "scalar"))


def test_every_number_of_sequences(isa: str, dtype: np.dtype[Any]) -> None:
    most = 30
    p = draw(Case("most", 3, (19,), (2,) * most), dtype)
    expected = by_sequence(p, run_core(p, isa))
    for n_sequences in range(1, most):
        some = of_some(p, list(range(n_sequences)))
        for ours, theirs in zip(by_sequence(some, run_core(some, isa)), expected, strict=False):
            assert_same_bits(ours, theirs)


@pytest.mark.parametrize("case", BATCHES, ids=str)
def test_a_sequence_alone_in_pairs_and_in_the_whole_batch(
    case: Case, isa: str, dtype: np.dtype[Any]
) -> None:
    p = draw(case, dtype)
    alive = [n for n in range(p.n_sequences) if case.lengths[n]]
    in_batch = by_sequence(p, run_core(p, isa))
    pairs = [[a, b] for a in alive for b in range(a + 1, p.n_sequences)]
    for chosen in [[n] for n in alive] + pairs + [alive[1::2], alive[::3]]:
        some = of_some(p, chosen)
        for n, ours in zip(chosen, by_sequence(some, run_core(some, isa)), strict=True):
            assert_same_bits(ours, in_batch[n])


@pytest.mark.parametrize("case", BATCHES, ids=str)
def test_order_among_sequences_of_equal_length(case: Case, isa: str, dtype: np.dtype[Any]) -> None:
    p = draw(case, dtype)
    in_order = by_sequence(p, run_core(p, isa))
    chosen = sorted(range(p.n_sequences - 1, -1, -1), key=lambda n: -case.lengths[n])
    other = of_some(p, chosen)
    for n, ours in zip(chosen, by_sequence(other, run_core(other, isa)), strict=True):
        assert_same_bits(ours, in_order[n])


@pytest.mark.parametrize("n_sequences", [1, 2, 5, 17])
@pytest.mark.parametrize("hidden_sizes", [(1,), (8,), (33,), (19, 19)], ids=str)
def test_step_by_step(
    hidden_sizes: tuple[int, ...], n_sequences: int, isa: str, dtype: np.dtype[Any]
) -> None:
    p = draw(Case("steps", 5, hidden_sizes, (6,) * n_sequences), dtype)
    stack = stack_of(p, isa)
    y, h_n, c_n, _ = stack.forward(
        p.x, p.n_active, n_sequences, p.h0, p.c0, n_threads=1, keep=False
    )
    h, c = np.stack(p.h0), np.stack(p.c0)
    for t in range(6):
        rows = slice(t * n_sequences, (t + 1) * n_sequences)
        if t % 2:
            stack.step(p.x[rows], h, c, h, c, n_threads=1)
        else:
            h_out, c_out = np.full_like(h, np.nan), np.full_like(c, np.nan)
            before = h.copy(), c.copy()
            stack.step(p.x[rows], h, c, h_out, c_out, n_threads=1)
            np.testing.assert_array_equal((h, c), before)
            h, c = h_out, c_out
        np.testing.assert_array_equal(h[-1], y[rows])
    np.testing.assert_array_equal(h, np.stack(h_n))
    np.testing.assert_array_equal(c, np.stack(c_n))


def test_whole_sequence_in_two_halves(isa: str, dtype: np.dtype[Any]) -> None:
    """The final state of the first half is the initial state of the second."""
    p = draw(Case("halves", 5, (17, 9), (12,) * 7), dtype)
    stack = stack_of(p, isa)
    y, h_n, c_n, _ = stack.forward(p.x, p.n_active, 7, p.h0, p.c0, n_threads=1, keep=False)
    half = p.n_active[:5], p.n_active[5:]
    first, h, c, _ = stack.forward(p.x[:35].copy(), half[0], 7, p.h0, p.c0, n_threads=1, keep=False)
    second, h, c, _ = stack.forward(p.x[35:].copy(), half[1], 7, h, c, n_threads=1, keep=False)
    np.testing.assert_array_equal(np.concatenate([first, second]), y)
    for ours, whole in zip([*h, *c], [*h_n, *c_n], strict=True):
        np.testing.assert_array_equal(ours, whole)


def test_more_threads_than_a_task_has_room_for() -> None:
    """Items are handed out 64 at a time; here more threads than that want some."""
    rng = np.random.default_rng(0)
    stack = _core.RecurrentStackFloat32(64, [64])
    stack.set_parameters(rng.normal(0, 0.1, stack.n_parameters).astype(np.float32))
    x = rng.normal(size=(60 * 80, 64)).astype(np.float32)
    n_active = np.full(60, 80)
    # So many that each thread is worth its start.
    assert x.shape[0] * 4 * 64 * 128 > 70 * 2e6
    one, many = (
        stack.forward(x, n_active, 80, None, None, n_threads=n, keep=False)[0] for n in (1, 70)
    )
    np.testing.assert_array_equal(one, many)
