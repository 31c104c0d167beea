"""The comparison notices every single fault: a test of the tests.

Each mutant is the oracle with one place of its source changed. It takes the library's place in the
comparison that the tests of the core use, and must fail there, at 100 times the looser tolerance.
"""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES, TOLERANCE, Case, assert_matches, draw, run_core, run_reference
from mutation import mutate

GATES = "zi, zf, zg, zo = np.split(z, 4, axis=1)"
INPUTS = "z = x[rows] @ w.W_ih.T + h[:n] @ w.W_hh.T + w.b"
STARTS = "h, c = h0.copy(), c0.copy()"
ACTIVATIONS = "i, f, g, o = sigmoid(zi), sigmoid(zf), np.tanh(zg), sigmoid(zo)"
KEEPS = "y[rows], c_out[rows], gates[rows] = h[:n]"
CHAIN = "di, df, dg, do = dc[:n] * g, dc[:n] * stash.c_in[rows], dc[:n] * i, dh[:n] * tanh_c"
RETURNS = "return dz @ w.W_ih, dh, dc, Weights(dz.T @ stash.x, dz.T @ stash.h_in, dz.sum(axis=0))"

# what is wrong, the text of the oracle, what stands there instead
MUTANTS = [
    # forward
    ("gates i and f swapped", GATES, GATES.replace("zi, zf", "zf, zi")),
    ("gates f and g swapped", GATES, GATES.replace("zf, zg", "zg, zf")),
    ("gates g and o swapped", GATES, GATES.replace("zg, zo", "zo, zg")),
    ("gates i and o swapped", GATES, "zo, zf, zg, zi = np.split(z, 4, axis=1)"),
    ("no bias", INPUTS, INPUTS.replace(" + w.b", "")),
    ("bias twice", INPUTS, INPUTS.replace("w.b", "2 * w.b")),
    ("no recurrence", INPUTS, INPUTS.replace(" + h[:n] @ w.W_hh.T", "")),
    ("W_hh transposed", INPUTS, INPUTS.replace("h[:n] @ w.W_hh.T", "transposed(h[:n], w.W_hh)")),
    ("recurrence from c", INPUTS, INPUTS.replace("h[:n] @", "c[:n] @")),
    ("candidate through sigmoid", ACTIVATIONS, ACTIVATIONS.replace("np.tanh", "sigmoid")),
    ("input gate through tanh", ACTIVATIONS, ACTIVATIONS.replace("sigmoid(zi)", "np.tanh(zi)")),
    ("forget gate 1 - f", "c[:n] = f * c[:n] + i * g", "c[:n] = (1 - f) * c[:n] + i * g"),
    ("no forget gate", "c[:n] = f * c[:n] + i * g", "c[:n] = c[:n] + i * g"),
    ("coupled gates", "c[:n] = f * c[:n] + i * g", "c[:n] = f * c[:n] + (1 - f) * g"),
    ("c not carried", "c[:n] = f * c[:n] + i * g", "c[:n] = i * g"),
    ("h not carried", INPUTS, INPUTS.replace("h[:n] @", "h0[:n] @")),
    ("no output gate", "h[:n] = o * np.tanh(c[:n])", "h[:n] = np.tanh(c[:n])"),
    ("cell without tanh", "h[:n] = o * np.tanh(c[:n])", "h[:n] = o * c[:n]"),
    ("h0 ignored", STARTS, "h, c = 0 * h0, c0.copy()"),
    ("c0 ignored", STARTS, "h, c = h0.copy(), 0 * c0"),
    ("state of empty rows dropped", STARTS, STARTS + "\n    h[n_active.max(initial=0):] = 0"),
    ("finished rows run on", INPUTS, "h[n:] *= 0.5\n        " + INPUTS),
    ("one row too few", KEEPS, "c[n - 1] = c_in[rows][-1]\n        " + KEEPS),
    ("y one step late", KEEPS, KEEPS.replace("h[:n]", "h_in[rows]")),
    ("layer 2 fed with x", "lstm_forward(w, y, n_active", "lstm_forward(w, fed(x, y), n_active"),
    ("layer 2 starts like layer 1", "h0[level], c0[level]", "fed(h0[0], h0[level]), c0[level]"),
    # backward
    ("dy ignored", "dh[:n] += dy[rows]", "pass"),
    ("dh overwritten by dy", "dh[:n] += dy[rows]", "dh[:n] = dy[rows]"),
    ("no path from h to c", "dc[:n] += dh[:n] * o * (1 - tanh_c**2)", "pass"),
    ("dc overwritten", "dc[:n] += dh[:n] * o", "dc[:n] = dh[:n] * o"),
    ("slope of tanh(c) missing", " * (1 - tanh_c**2)", ""),
    ("output gate missing in dc", "dh[:n] * o * (1 -", "dh[:n] * (1 -"),
    ("df from c instead of c_in", CHAIN, CHAIN.replace("stash.c_in", "stash.c")),
    ("di and dg swapped", CHAIN, CHAIN.replace("di, df, dg", "dg, df, di")),
    ("slope of i missing", "di * i * (1 - i)", "di"),
    ("slope of f wrong", "df * f * (1 - f)", "df * f"),
    ("slope of g wrong", "dg * (1 - g**2)", "dg * g * (1 - g)"),
    ("sign of do", "do * o * (1 - o)", "-do * o * (1 - o)"),
    ("dh not carried", "dh[:n] = dz[rows] @ w.W_hh", "dh[:n] = 0"),
    ("dh added up", "dh[:n] = dz[rows] @ w.W_hh", "dh[:n] += dz[rows] @ w.W_hh"),
    ("dc carried without f", "dc[:n] = dc[:n] * f", "pass"),
    ("dh_n ignored", "dh, dc = dh_n.copy(), dc_n.copy()", "dh, dc = 0 * dh_n, dc_n.copy()"),
    ("dc_n ignored", "dh, dc = dh_n.copy(), dc_n.copy()", "dh, dc = dh_n.copy(), 0 * dc_n"),
    ("dh0 zero", RETURNS, RETURNS.replace("dh, dc", "0 * dh, dc")),
    ("dc0 zero", RETURNS, RETURNS.replace("dh, dc", "dh, 0 * dc")),
    ("dx zero", RETURNS, RETURNS.replace("dz @ w.W_ih", "0 * stash.x")),
    ("dW_hh one step late", "stash.h_in, dz", "np.roll(stash.h_in, 1, axis=0), dz"),
    ("db of the last row only", "dz.sum(axis=0))", "dz[-1:].sum(axis=0))"),
    ("lowest gradients everywhere", "gradients.insert(0, gradient)", "gradients.append(gradient)"),
]


# Three of the matrix, and two layers where I = H: there wrong wiring does not show in the shapes.
WITNESSES = [
    *(case for case in CASES if case.name in ("H16-with-empty", "H31", "three-widths")),
    Case("same-widths", 6, (6, 6), (5, 5, 3, 1, 0)),
]


@pytest.mark.parametrize(("old", "new"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS])
def test_every_mutant_is_caught(old: str, new: str) -> None:
    mutant = mutate(old, new)
    tolerance = 100 * TOLERANCE[np.dtype(np.float32)]
    caught = 0
    for case in WITNESSES:
        problem = draw(case)
        expected = run_reference(problem)
        try:
            assert_matches(run_reference(problem, mutant), expected, tolerance)
        except AssertionError:
            caught += 1
    assert caught


@pytest.mark.parametrize("case", WITNESSES, ids=str)
def test_the_unchanged_oracle_and_the_library_are_not_caught(case: Case, dtype: np.dtype) -> None:
    problem = draw(case, dtype)
    expected = run_reference(problem)
    assert_matches(run_reference(problem, mutate(GATES, GATES)), expected, 0)
    assert_matches(run_core(problem), expected, TOLERANCE[dtype])
