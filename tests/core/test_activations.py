"""Activations of the core, sigmoid and tanh at most 3 ulp from the truth; everywhere the same.

The table of errors: ``pytest tests/core/test_activations.py -s``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from cases import Case, assert_matches
from cell_cases import draw, run_core, run_oracle
from reference import Array
from reference_cells import ACTIVATIONS, Cell

from lstmcore import _core

MAX_ULP = 3.0
WIDER = {np.dtype(np.float32): np.float64, np.dtype(np.float64): np.longdouble}

FUNCTIONS = pytest.mark.parametrize("name", ["sigmoid", "tanh"])


def exact_sigmoid(x: Array) -> Array:
    """In the wider type, without overflow and without cancellation."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


EXACT: dict[str, Callable[[Array], Array]] = {"sigmoid": exact_sigmoid, "tanh": np.tanh}


def arguments(dtype: np.dtype[Any]) -> Array:
    """Every exponent with random mantissas and both signs; where the curves bend, densely."""
    rng = np.random.default_rng(1)
    limits = np.finfo(dtype)
    exponents = np.repeat(np.arange(limits.minexp, limits.maxexp), 40)
    magnitudes = np.ldexp(rng.uniform(1, 2, exponents.size), exponents)
    far = 90 if dtype == np.float32 else 720
    bends = [rng.uniform(-reach, reach, 40_000) for reach in (0.7, 4, 20, far)]
    return np.concatenate([magnitudes, -magnitudes, *bends]).astype(dtype)


def ulp_errors(name: str, x: Array, y: Array) -> Array:
    """Distance from the truth in units of the last place of the truth.

    Below the smallest normal number there are no such units: results may be flushed to zero there,
    and the distance is counted in smallest normal numbers.
    """
    wide = WIDER[x.dtype]
    truth = EXACT[name](x.astype(wide))
    smallest = np.finfo(x.dtype).smallest_normal
    rounded = np.abs(truth).astype(x.dtype)
    unit = np.where(rounded < smallest, smallest, np.spacing(rounded)).astype(wide)
    return np.abs(y.astype(wide) - truth) / unit


@pytest.fixture
def truth_is_wider(dtype: np.dtype[Any]) -> None:
    """Skip float64 where long double is no wider."""
    if np.finfo(WIDER[dtype]).eps > np.finfo(dtype).eps / 100:
        pytest.skip("no type wider than float64 on this platform to take the truth from")


@FUNCTIONS
def test_at_most_3_ulp_over_the_whole_range(
    name: str, isa: str, dtype: np.dtype[Any], truth_is_wider: None
) -> None:
    x = arguments(dtype)
    errors = ulp_errors(name, x, getattr(_core, name)(x, isa))
    magnitude = np.abs(x)
    edges = [0, 2.0**-126, 1e-20, 1e-5, 0.1, 0.5, 1, 2, 4, 8, 16, 80, np.inf]
    rows = []
    for low, high in pairwise(edges):
        inside = (magnitude >= low) & (magnitude < high)
        if inside.any():
            worst = float(errors[inside].max())
            rows.append(f"  |x| in [{low:8.2g}, {high:8.2g}): {worst:5.2f} ulp at most")
    table = "\n".join([f"{name} {dtype} {isa}", *rows])
    print(f"\n{table}")
    assert errors.max() <= MAX_ULP, table


@FUNCTIONS
def test_same_bits_on_every_instruction_set(name: str, isa: str, dtype: np.dtype[Any]) -> None:
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45]
    x = np.concatenate([arguments(dtype), np.array(special, dtype)])
    ours, scalar = (getattr(_core, name)(x, which) for which in (isa, "scalar"))
    np.testing.assert_array_equal(ours, scalar)
    np.testing.assert_array_equal(np.signbit(ours), np.signbit(scalar))


@FUNCTIONS
def test_a_value_does_not_depend_on_its_neighbours(
    name: str, isa: str, dtype: np.dtype[Any], rng: np.random.Generator
) -> None:
    """Whole vectors and remainders of every size."""
    x = rng.uniform(-5, 5, 67).astype(dtype)
    whole = getattr(_core, name)(x, isa)
    for size in range(67):
        np.testing.assert_array_equal(getattr(_core, name)(x[:size].copy(), isa), whole[:size])


def test_tanh_is_odd_to_the_bit(isa: str, dtype: np.dtype[Any]) -> None:
    x = np.concatenate([arguments(dtype), np.array([0.0, np.inf], dtype)])
    minus, plus = _core.tanh(-x, isa), _core.tanh(x, isa)
    np.testing.assert_array_equal(minus, -plus)
    np.testing.assert_array_equal(np.signbit(minus), ~np.signbit(plus))


@FUNCTIONS
def test_limits_and_nan(name: str, isa: str, dtype: np.dtype[Any]) -> None:
    x = np.array([-np.inf, np.finfo(dtype).min, -0.0, 0.0, np.finfo(dtype).max, np.inf], dtype)
    y = getattr(_core, name)(x, isa)
    expected = {"sigmoid": [0, 0, 0.5, 0.5, 1, 1], "tanh": [-1, -1, 0, 0, 1, 1]}[name]
    np.testing.assert_array_equal(y, np.array(expected, dtype))
    for lane in range(19):
        x = np.zeros(19, dtype)
        x[lane] = np.nan
        assert np.flatnonzero(np.isnan(getattr(_core, name)(x, isa))).tolist() == [lane]


def test_tanh_keeps_the_sign_of_zero(isa: str, dtype: np.dtype[Any]) -> None:
    assert np.signbit(_core.tanh(np.array([-0.0, 0.0], dtype), isa)).tolist() == [True, False]


@FUNCTIONS
def test_bounded_and_monotone_into_saturation(name: str, isa: str, dtype: np.dtype[Any]) -> None:
    """Neighbouring numbers, from where the last bits run out to where the limit is reached."""
    ends = {
        ("sigmoid", 4): (13.0, 18.0),
        ("tanh", 4): (7.0, 10.0),
        ("sigmoid", 8): (33.0, 38.0),
        ("tanh", 8): (17.0, 20.0),
    }[name, dtype.itemsize]
    x = np.linspace(*ends, 200_000).astype(dtype)
    y = getattr(_core, name)(x, isa)
    assert (np.diff(y) >= 0).all()
    assert y[-1] == 1
    everywhere = getattr(_core, name)(arguments(dtype), isa)
    assert everywhere.max() <= 1
    assert everywhere.min() >= {"sigmoid": 0, "tanh": -1}[name]


OTHERS = [
    ("sigmoid", 0.0, 0.0),
    ("tanh", 0.0, 0.0),
    ("relu", 0.0, 0.0),
    ("hard_sigmoid", 0.2, 0.5),
    ("hard_sigmoid", 1 / 6, 0.5),
    ("leaky_relu", 0.01, 0.0),
    ("scaled_tanh", 1.7159, 2 / 3),
    ("affine", -0.7, 0.3),
    ("thresholded_relu", 1.0, 0.0),
    ("elu", 1.3, 0.0),
    ("softsign", 0.0, 0.0),
    ("softplus", 0.0, 0.0),
]
EACH_OTHER = pytest.mark.parametrize("activation", OTHERS, ids=lambda a: f"{a[0]}-{a[1]:.2g}")


@EACH_OTHER
def test_the_others_are_right_and_the_same_everywhere(
    activation: tuple[str, float, float], isa: str, dtype: np.dtype[Any]
) -> None:
    x = arguments(dtype)
    x = x[np.abs(x) < 1e4]
    y = _core.activate(x, activation, isa)
    np.testing.assert_array_equal(y, _core.activate(x, activation, "scalar"))
    name, alpha, beta = activation
    expected = ACTIVATIONS[name][0](x.astype(np.float64), alpha, beta)
    np.testing.assert_allclose(y, expected, rtol=8 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
    # Not lost near 0, where the value is about as small as the argument.
    if ACTIVATIONS[name][0](np.zeros(1), alpha, beta) == 0:
        small = (np.abs(x) < 0.1) & (np.abs(x) > 1e3 * np.finfo(dtype).smallest_normal)
        np.testing.assert_allclose(y[small], expected[small], rtol=8 * np.finfo(dtype).eps)
    for lane in range(19):
        with_nan = np.linspace(-2, 2, 19).astype(dtype)
        with_nan[lane] = np.nan
        result = _core.activate(with_nan, activation, isa)
        assert np.flatnonzero(np.isnan(result)).tolist() == [lane]


@EACH_OTHER
@pytest.mark.parametrize("which", ["gate_activation", "cell_activation", "output_activation"])
def test_slopes_of_the_others(which: str, activation: tuple[str, float, float]) -> None:
    """By the oracle, which takes them at the argument and not from the value."""
    for clip in ({}, {"gate_clip": 0.9}):
        cell = Cell("lstm", ((which, activation), *clip.items()))
        problem = draw(cell, Case("slopes", 3, (5,), (6, 5, 5, 2)), np.float64)
        assert_matches(run_core(problem), run_oracle(problem), 1e-13)
