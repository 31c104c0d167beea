"""Masks of training: recurrent dropout, dropout of h, zoneout, against the oracle's own."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from cases import TOLERANCE, Case, Results, assert_matches, assert_same_bits, ragged
from cell_cases import MASKED, Problem, draw, forward, run_core, run_oracle, stack_of
from reference import Array
from reference_cells import Cell
from reference_dropout import mix, philox
from reference_masks import hits
from stack_cases import BOTH_WAYS, RESIDUAL_BOTH_WAYS, StackProblem
from stack_cases import draw as draw_stack
from stack_cases import run_core as run_stack
from stack_cases import run_oracle as run_stack_oracle

from lstmcore import _core

EACH_CELL = pytest.mark.parametrize("cell", MASKED, ids=str)
# Parts of a batch; half a block; threads that share a step; weights that are summed in place; none.
SHAPES = [
    Case("two-layers", 5, (17, 33), ragged(1, 40, 6, 2)),
    Case("few-sequences", 3, (40, 20), (5, 3, 3, 0)),
    Case("one-sequence", 5, (100,), (12,)),
    Case("all-empty", 5, (9, 4), (0, 0)),
]
LARGE = Case("large-weights", 5, (540,), (4, 3, 1))
SEED = 5


@cache
def drawn(cell: Cell, case: Case, dtype: np.dtype[Any]) -> tuple[Problem, Results, Results]:
    """A problem, the oracle's results, and those of one thread without vectors."""
    problem = draw(cell, case, dtype)
    return problem, run_oracle(problem, seed=SEED), run_core(problem, "scalar", seed=SEED)


@EACH_CELL
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_oracle_and_bits(cell: Cell, case: Case, isa: str, dtype: np.dtype[Any]) -> None:
    problem, expected, on_scalar = drawn(cell, case, dtype)
    for n_threads in (1, 2, 7):
        results = run_core(problem, isa, n_threads, SEED)
        assert_matches(results, expected, TOLERANCE[dtype])
        assert_same_bits(results, on_scalar)


@EACH_CELL
def test_large_weights(cell: Cell) -> None:
    problem = draw(cell, LARGE, np.float32)
    alone = run_core(problem, seed=SEED)
    assert_matches(alone, run_oracle(problem, seed=SEED), TOLERANCE[np.dtype(np.float32)])
    assert_same_bits(run_core(problem, n_threads=3, seed=SEED), alone)


@pytest.mark.parametrize("connections", [BOTH_WAYS, RESIDUAL_BOTH_WAYS], ids=str)
@EACH_CELL
def test_both_directions(connections: Any, cell: Cell, isa: str, dtype: np.dtype[Any]) -> None:
    """Each direction draws its own masks, for the steps in the order in which it reads them."""
    problem = draw_stack(cell, connections, Case("both", 3, (9, 9), ragged(3, 20, 6, 1)), dtype)
    expected = run_stack_oracle(problem, seed=SEED)
    for n_threads in (1, 3):
        results = run_stack(problem, isa, n_threads, SEED)
        assert_matches(results, expected, TOLERANCE[dtype])
        assert_same_bits(results, run_stack(problem, "scalar", seed=SEED))


def test_few_sequences_by_direction() -> None:
    problem: StackProblem = draw_stack(MASKED[3], BOTH_WAYS, Case("few", 3, (40,), (9, 7)))
    alone = run_stack(problem, seed=SEED)
    assert_same_bits(run_stack(problem, n_threads=2, seed=SEED), alone)
    assert_matches(alone, run_stack_oracle(problem, seed=SEED), TOLERANCE[np.dtype(np.float64)])


@EACH_CELL
def test_gradients_are_finite_differences(cell: Cell) -> None:
    """Of the core itself, along random directions and of fourth order."""
    p = draw(cell, Case("differences", 3, (7, 5), (6, 4, 1, 0)))
    at = [p.parameters, p.x, *p.h0, *(p.c0 if cell.has_c else [])]
    results = run_core(p, seed=SEED)
    names = [f"d{name}_l{k}" for k in range(2) for name in p.shapes[k]]
    gradients = [
        np.concatenate([results[name].ravel() for name in names]),
        results["dx"],
        *(results[f"dh0_l{k}"] for k in range(2)),
        *(results[f"dc0_l{k}"] for k in range(2) if cell.has_c),
    ]

    def value() -> float:
        y, h_n, c_n, _ = forward(p, stack_of(p), keep=True, seed=SEED)
        pairs = [(y, p.dy), *zip(h_n, p.dh_n, strict=True)]
        if cell.has_c:
            pairs += zip(c_n, p.dc_n, strict=True)
        return float(sum((a * b).sum() for a, b in pairs))

    rng = np.random.default_rng(0)
    starts = [a.copy() for a in at]
    for _ in range(4):
        direction = [rng.standard_normal(a.shape) for a in at]
        values = []
        for k in (-2, -1, 1, 2):
            for a, start, d in zip(at, starts, direction, strict=True):
                a[...] = start + k * 1e-4 * d
            values.append(value())
        slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 12e-4
        expected = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
        np.testing.assert_allclose(slope, expected, rtol=1e-8, atol=1e-7)
        for a, start in zip(at, starts, strict=True):
            a[...] = start


@EACH_CELL
def test_a_sample_has_its_masks_in_any_batch(cell: Cell, isa: str) -> None:
    """Alone, in another order, among others: the same bits."""
    p = draw(cell, Case("batch", 5, (20, 11), ragged(7, 30, 8, 1)), np.float32)
    stack = stack_of(p, isa)
    y, h_n, *_ = forward(p, stack, keep=True, seed=SEED)
    starts = np.cumsum([0, *p.n_active])
    for chosen in ([0], [7], [28], [2, 11, 12, 20]):
        lengths = np.array([p.case.lengths[n] for n in chosen])
        n_active = np.array([(lengths > t).sum() for t in range(lengths.max())], np.intp)
        rows = [starts[t] + n for t, alive in enumerate(n_active) for n in chosen[:alive]]
        some, h_some, *_ = stack.forward(
            p.x[rows],
            n_active,
            len(chosen),
            [h[chosen] for h in p.h0],
            [c[chosen] for c in p.c0] if cell.has_c else None,
            n_threads=2,
            keep=True,
            seed=SEED,
            samples=p.samples[chosen],
        )
        np.testing.assert_array_equal(some, y[rows])
        np.testing.assert_array_equal(h_some[0], h_n[0][chosen])


@EACH_CELL
def test_every_seed_and_sample_draws_others(cell: Cell) -> None:
    p = draw(cell, Case("seeds", 3, (20,), (6, 6, 6)))
    p.x[...] = p.x[0]
    p.h0[0][...], p.c0[0][...] = p.h0[0][0], p.c0[0][0]
    seeds = [None, 0, 1, 2**31, 2**32, 2**64 - 1]
    outputs = [forward(p, stack_of(p), keep=True, seed=seed)[0] for seed in seeds]
    assert len({y.tobytes() for y in outputs}) == len(seeds)
    assert len({row.tobytes() for row in outputs[1][-3:]}) == 3


@pytest.mark.parametrize("kind", ["recurrent_dropout", "zoneout_hidden", "zoneout_cell"])
@pytest.mark.parametrize("rate", [0.1, 0.75])
def test_frequencies(kind: str, rate: float) -> None:
    """As often as the rate says, and no more often where a neighbour is hit too."""
    where = {"seed": 3, "epoch": 1, "sample": 2**40 + 7, "layer": 2}
    mask = np.array([hits(kind, rate, 64, step=t, **where) for t in range(200)])
    assert abs(mask.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / mask.size)
    for other in (np.roll(mask, 1, axis=0), np.roll(mask, 1, axis=1)):
        both = (mask & other).mean()
        assert abs(both - rate**2) < 4 * np.sqrt(rate**2 * (1 - rate**2) / mask.size)
    other_kind = [hits("hidden_dropout", rate, 64, step=t, **where) for t in range(200)]
    assert abs((mask & other_kind).mean() - rate**2) < 4 * np.sqrt(rate**2 / mask.size)


def test_numbers_are_philoxs() -> None:
    """The vectors that its authors publish with it, and the first numbers of the generator."""
    ones = np.full((1, 4), 2**32 - 1, np.uint64)
    pi = np.array([[0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]], np.uint64)
    assert philox(0 * ones, 0).tolist() == [[0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]]
    assert philox(ones, 2**64 - 1).tolist() == [[0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]]
    key = 0xA4093822 | 0x299F31D0 << 32
    assert philox(pi, key).tolist() == [[0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]]
    assert mix(0) == 0xE220A8397B1DCDAF


def test_dropped_h_is_the_same_at_all_steps() -> None:
    """W_hh sees a dropped unit at no step: its columns get no gradient from a sequence."""
    p = draw(MASKED[1], Case("same", 3, (32,), (9,)))
    dropped = hits(
        "hidden_dropout", 0.4, 32, seed=SEED, epoch=0, sample=p.samples[0], layer=0, step=0
    )
    columns = run_core(p, seed=SEED)["dweight_hh_l0"].any(axis=0)
    np.testing.assert_array_equal(columns, ~dropped)
    assert 0 < dropped.sum() < 32


def test_mean_over_seeds_of_the_first_step() -> None:
    """Over many seeds c is on average that of dropout scaled up, and of zoneout's expectation."""
    for cell in (MASKED[0], MASKED[2]):
        p = draw(cell, Case("mean", 3, (16,), (1,) * 200))
        p.x[...], p.h0[0][...], p.c0[0][...] = p.x[0], p.h0[0][0], p.c0[0][0]
        expected = forward(p, stack_of(p), keep=True)[2][0][0]
        c = np.concatenate([forward(p, stack_of(p), keep=True, seed=s)[2][0] for s in range(20)])
        off = (c.mean(axis=0) - expected) / (c.std(axis=0) / np.sqrt(len(c)))
        assert abs(off).max() < 4.5, cell


@EACH_CELL
def test_without_a_seed_nothing_is_drawn(cell: Cell, isa: str) -> None:
    """Predictions have no mask: no dropout, and zoneout by its expectation."""
    p = draw(cell, Case("inference", 3, (19, 9), ragged(5, 9, 6, 1)), np.float32)
    y = forward(p, stack_of(p, isa), keep=False)[0]
    assert_matches({"y": y}, {"y": run_oracle(p)["y"]}, TOLERANCE[np.dtype(np.float32)])
    plain = [(k, v) for k, v in cell.options if not k.endswith("dropout")]
    without = draw(Cell(cell.kind, tuple(plain)), p.case, np.float32)
    if len(plain) < len(cell.options):
        stack = stack_of(without, isa)
        stack.set_parameters(p.parameters)
        np.testing.assert_array_equal(forward(p, stack, keep=True)[0], y)


def test_one_object_with_and_without_masks() -> None:
    """Masks of a batch before have no influence."""
    p = draw(MASKED[3], Case("again", 3, (17,), (5, 3)))
    stack = stack_of(p)
    for seed in (1, None, 2, None, 1):
        y: Array = forward(p, stack, keep=True, seed=seed)[0]
        np.testing.assert_array_equal(y, forward(p, stack_of(p), keep=True, seed=seed)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recurrent_dropout": 1.0}, "recurrent_dropout is 1.0*, expected at least 0 and less"),
        ({"hidden_dropout": -0.1}, "hidden_dropout is -0.1"),
        ({"zoneout_hidden": np.nan}, "zoneout_hidden is nan"),
        ({"zoneout_cell": 2.0}, "zoneout_cell is 2.0"),
        ({"kind": "rnn", "recurrent_dropout": 0.1}, "the candidate, which an RNN doesn't have"),
        ({"kind": "gru", "zoneout_cell": 0.1}, "zoneout_cell is an option of an LSTM"),
        ({"zoneout_cell": "0.1"}, "cell has an option 'zoneout_cell' of the wrong type"),
    ],
)
def test_no_such_masks(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.RecurrentStackFloat32(2, [3], cell=options)
