"""Random cases for the numerical tests: shapes, data, and one way through oracle and core."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import reference
from reference import Array, Weights

from lstmcore import _core

Results = dict[str, Array]

# What rounding alone explains, relative to the largest value of an array. The longest chain of sums
# behind a value runs over T (I + H), or over R rows: about 3,000 terms in the cases below, and
# sqrt(3000) is 55. The worst that was seen is 9 eps; the mutants of the oracle are off by 8000.
TOLERANCE = {np.dtype(t): 80 * float(np.finfo(t).eps) for t in (np.float32, np.float64)}


@dataclass(frozen=True)
class Case:
    """The shape of a problem; lengths in packed order, longest first."""

    name: str
    input_size: int
    hidden_sizes: tuple[int, ...]
    lengths: tuple[int, ...]

    def __str__(self) -> str:
        return self.name


def ragged(seed: int, n_sequences: int, longest: int, n_empty: int = 0) -> tuple[int, ...]:
    """Random lengths in packed order: at least one of the longest, ``n_empty`` of 0."""
    drawn = np.random.default_rng(seed).integers(1, longest + 1, n_sequences - n_empty - 1).tolist()
    return (*sorted([*drawn, longest], reverse=True), *[0] * n_empty)


# Enough work for a library that leaves small batches to one thread to start seven: several million
# multiply-adds forward. Many sequences; few; one; weights that make a step worth a second thread,
# and that with two or more of them for several parts of a gradient; weights larger than a core's
# cache, with few rows or with many; so large that products are done apart from the cell, by one or
# two threads.
WIDE_CASES = [
    Case("many-sequences-wide", 5, (33,), ragged(6, 210, 13, 5)),
    Case("equal-lengths-wide", 17, (64,), (3,) * 100),
    Case("two-wide-layers", 3, (64, 48), ragged(9, 40, 5, 1)),
    Case("large-weights", 5, (200,), ragged(10, 5, 7)),
    Case("large-weights-several-parts", 40, (160,), ragged(14, 27, 6)),
    Case("weights-beyond-a-cache", 70, (450,), ragged(13, 3, 7)),
    Case("weights-asked-for-ahead", 70, (300,), ragged(16, 27, 3)),
    Case("weights-multiplied-apart", 601, (520,), ragged(15, 14, 3)),
    Case("one-sequence-wide", 5, (128,), (60,)),
    Case("wide-input-and-more", 200, (24,), ragged(11, 50, 4)),
    # A part of the batch may be a single sequence.
    Case("one-long-and-many-short", 5, (33, 20), (400, *[1] * 60, 0)),
    # BPTT and weight gradients take turns: one run of steps has about 300 rows here.
    Case("several-runs", 5, (100, 97), ragged(12, 25, 50)),
    Case("equal-lengths-several-runs", 3, (100,), (40,) * 25),
]

# On both sides of every vector length (4, 8, 16) and of a block of sequences; and degenerate sizes.
CASES = [
    Case("one-of-everything", 1, (1,), (1,)),
    Case("H3-N1", 5, (3,), (13,)),
    Case("H7-equal-lengths", 1, (7,), (2,) * 9),
    Case("H8-N2", 17, (8,), (13, 6)),
    Case("H16-with-empty", 5, (16,), (13, 9, 9, 4, 1, 0, 0)),
    Case("H17-T1", 17, (17,), (1,) * 31),
    Case("H31", 5, (31,), ragged(1, 17, 13)),
    Case("H33", 1, (33,), ragged(2, 20, 13, 3)),
    Case("H64", 5, (64,), ragged(3, 13, 13, 1)),
    Case("H100", 17, (100,), ragged(4, 7, 2)),
    # Half a block behind one, two and three others, of both block sizes.
    Case("half-blocks", 20, (52, 28), ragged(17, 19, 9, 1)),
    Case("wide-input", 130, (5,), ragged(5, 11, 6, 1)),
    Case("long", 3, (8,), (75, 70, 7)),
    Case("many-sequences", 5, (7,), ragged(6, 150, 13, 5)),
    *WIDE_CASES,
    Case("two-layers", 5, (17, 17), ragged(7, 23, 7, 2)),
    Case("three-widths", 3, (33, 8, 20), ragged(8, 14, 6, 1)),
    Case("all-empty", 5, (9, 4), (0, 0, 0)),
    Case("no-sequence", 5, (9,), ()),
]


@dataclass(frozen=True)
class Problem:
    """Data of one dtype drawn for a case, initial states and gradients from above included."""

    case: Case
    n_active: Array
    parameters: Array
    x: Array
    h0: list[Array]
    c0: list[Array]
    dy: Array
    dh_n: list[Array]
    dc_n: list[Array]

    @property
    def n_sequences(self) -> int:
        return len(self.case.lengths)


def n_parameters(input_size: int, hidden_sizes: tuple[int, ...]) -> int:
    """Size of the flat parameters of a stack."""
    below = (input_size, *hidden_sizes)
    return sum(4 * h * (i + h + 1) for i, h in zip(below, hidden_sizes, strict=False))


def draw(case: Case, dtype: Any = np.float64, seed: int = 0) -> Problem:
    """Random data; the weights are large enough for every gate to work outside its linear range."""
    rng = np.random.default_rng([seed, *case.name.encode()])
    n, h_last = len(case.lengths), case.hidden_sizes[-1]
    n_rows = sum(case.lengths)

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)

    def states() -> list[Array]:
        return [normal(n, h) for h in case.hidden_sizes]

    parameters = normal(n_parameters(case.input_size, case.hidden_sizes))
    below, start = case.input_size, 0
    for h in case.hidden_sizes:
        matrices = 4 * h * (below + h)
        parameters[start : start + matrices] *= 1.5 / np.sqrt(below + h)
        start, below = start + matrices + 4 * h, h
    return Problem(
        case,
        reference.active_counts(case.lengths),
        parameters,
        normal(n_rows, case.input_size),
        *(states() for _ in range(2)),
        normal(n_rows, h_last),
        *(states() for _ in range(2)),
    )


def split(case: Case, parameters: Array, oracle: ModuleType = reference) -> list[Weights]:
    """The layers' weights of the flat parameters of a stack, in float64."""
    network = oracle.Network(case.input_size, case.hidden_sizes, 0)
    return network.split(parameters)[0]  # type: ignore[no-any-return]


def run_reference(problem: Problem, oracle: ModuleType = reference) -> Results:
    """Forward and backward pass of the stack by the oracle, or by a mutant of it."""

    def double(arrays: list[Array]) -> list[Array]:
        return [a.astype(np.float64) for a in arrays]

    layers = split(problem.case, problem.parameters, oracle)
    n_active = problem.n_active
    y, h_n, c_n, stashes = oracle.stack_forward(
        layers, problem.x.astype(np.float64), n_active, double(problem.h0), double(problem.c0)
    )
    dx, dh0, dc0, gradients = oracle.stack_backward(
        layers,
        stashes,
        n_active,
        problem.dy.astype(np.float64),
        double(problem.dh_n),
        double(problem.dc_n),
    )
    flat = np.concatenate([part.ravel() for layer in gradients for part in layer])
    return collect(problem.case, y, h_n, c_n, dx, dh0, dc0, flat)


def stack_of(problem: Problem, isa: str = "") -> Any:
    """The core's stack with the problem's parameters."""
    suffix = {"float32": "Float32", "float64": "Float64"}[problem.parameters.dtype.name]
    case = problem.case
    stack = getattr(_core, f"RecurrentStack{suffix}")(case.input_size, list(case.hidden_sizes), isa)
    stack.set_parameters(problem.parameters)
    return stack


def run_core(problem: Problem, isa: str = "", n_threads: int = 1) -> Results:
    """Forward and backward pass of the stack by the library."""
    stack = stack_of(problem, isa)
    p = problem
    y, h_n, c_n, cache = stack.forward(
        p.x, p.n_active, p.n_sequences, p.h0, p.c0, n_threads=n_threads, keep=True
    )
    y, h_n, c_n = y.copy(), [a.copy() for a in h_n], [a.copy() for a in c_n]
    dx, dh0, dc0, gradient = stack.backward(
        cache, p.dy, p.dh_n, p.dc_n, need_dx=True, n_threads=n_threads
    )
    return collect(p.case, y, h_n, c_n, dx, dh0, dc0, gradient)


def collect(
    case: Case,
    y: Array,
    h_n: list[Array],
    c_n: list[Array],
    dx: Array,
    dh0: list[Array],
    dc0: list[Array],
    gradient: Array,
) -> Results:
    """All that a forward and a backward pass give, by name: a failure says which array is off."""
    results = {"y": y, "dx": dx}
    for name, per_layer in {"h_n": h_n, "c_n": c_n, "dh0": dh0, "dc0": dc0}.items():
        results |= {f"{name}_l{level}": array for level, array in enumerate(per_layer)}
    start, below = 0, case.input_size
    for level, h in enumerate(case.hidden_sizes):
        for name, shape in {"W_ih": (4 * h, below), "W_hh": (4 * h, h), "b": (4 * h,)}.items():
            size = int(np.prod(shape))
            results[f"d{name}_l{level}"] = gradient[start : start + size].reshape(shape)
            start += size
        below = h
    assert start == len(gradient)
    return results


def assert_matches(actual: Results, expected: Results, tolerance: float) -> None:
    """Same names and shapes; differences within ``tolerance`` of each array's largest value."""
    assert actual.keys() == expected.keys()
    for name, want in expected.items():
        got = actual[name]
        assert got.shape == want.shape, f"{name}: shape {got.shape}, expected {want.shape}"
        assert np.isfinite(got).all(), f"{name}: not finite"
        off = np.abs(got - want).max(initial=0) / np.abs(want).max(initial=1e-30)
        assert off <= tolerance, f"{name}: off by {off:.1e} of its largest value, not {tolerance}"


def assert_same_bits(actual: Results, expected: Results) -> None:
    """Equal arrays, bit for bit, the sign of zero included."""
    assert actual.keys() == expected.keys()
    for name, want in expected.items():
        got = actual[name]
        assert (got.dtype, got.shape) == (want.dtype, want.shape), name
        n_differ = np.count_nonzero(got != want)
        assert got.tobytes() == want.tobytes(), f"{name}: {n_differ} of {got.size} values differ"
