"""The comparison of the cells notices every single fault of their oracle."""

from __future__ import annotations

import numpy as np
import pytest
import reference_cells
from cases import TOLERANCE, Case, assert_matches
from cell_cases import CELLS, NORMALISED, draw, run_oracle
from mutation import mutate

RNN = 'z = x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias"]'
DZ_BACK = """gate_clip", np.inf))
    gradients = {"weight_ih": dz.T @ x, "weight_hh": dz.T @ h"""
RESET = "zn = an + r * product"
OUTSIDE = 'r * (product - w["bias_hn"]) + w["bias_hn"]'
BLEND = "return (1 - z) * n + z * h, c"
AFTER = "dh_prev = dh * z + dr @ ur + dz @ uz + (dn * r) @ un"
BEFORE = "dh_prev = dh * z + dr @ ur + dz @ uz + dproduct * r"

# what is wrong, the text of the oracle, what stands there instead
MUTANTS = [
    ("rnn without bias", RNN, RNN.replace(' + w["bias"]', "")),
    ("rnn without recurrence", RNN, RNN.replace('h @ w["weight_hh"].T', "0")),
    ("relu never", "np.maximum(z, 0), lambda z, a, b: z > 0", "np.tanh(z), lambda z, a, b: z > 0"),
    ("slope of tanh missing", "lambda z, a, b: 1 / np.cosh(z) ** 2", "lambda z, a, b: 1"),
    ("slope of relu missing", "lambda z, a, b: z > 0)", "lambda z, a, b: 1)"),
    ("rnn dh not carried", 'dz @ w["weight_hh"], dc, g', "0 * h, dc, g"),
    ("rnn dW_hh from the new h", DZ_BACK, DZ_BACK.replace("dz.T @ h", "dz.T @ stash[2]")),
    ("gates r and z swapped", "ar, az, an = np.split(x", "az, ar, an = np.split(x"),
    ("gates z and n swapped", "ar, az, an = np.split(x", "ar, an, az = np.split(x"),
    ("gates through tanh", '"sigmoid", s, bound', '"tanh", s, bound'),
    ("no reset after the product", RESET, RESET.replace("r * product", "product")),
    ("no bias inside the reset", 'product = h @ un.T + w["bias_hn"]', "product = h @ un.T"),
    ("bias outside the reset", RESET, RESET.replace("r * product", OUTSIDE)),
    ("no reset before the product", "product = r * h", "product = h"),
    ("reset after, always", "zn = an + product @ un.T", "zn = an + r * (h @ un.T)"),
    ("z and 1 - z swapped", BLEND, BLEND.replace("(1 - z) * n + z * h", "z * n + (1 - z) * h")),
    ("h not blended", BLEND, BLEND.replace(" + z * h", "")),
    ("slope of n missing", ' * slope(cell, "cell_activation", "tanh", zn, bound)', ""),
    ("dz without h", "dz = dh * (h - n)", "dz = dh * (-n)"),
    ("slope of z missing", ' * slope(cell, "gate_activation", "sigmoid", zz, bound)', ""),
    ("slope of r missing, after", "dr = dn * product * slope_r", "dr = dn * product"),
    ("slope of r missing, before", "dr = dproduct * h * slope_r", "dr = dproduct * h"),
    ("dh past the weights missing, after", AFTER, AFTER.replace("dh * z + ", "")),
    ("dh through r missing, after", AFTER, AFTER.replace("dr @ ur + ", "")),
    ("dh through z missing, after", AFTER, AFTER.replace("dz @ uz + ", "")),
    ("dh through n without reset", AFTER, AFTER.replace("(dn * r) @ un", "dn @ un")),
    ("dh past the weights missing, before", BEFORE, BEFORE.replace("dh * z + ", "")),
    ("dh through r missing, before", BEFORE, BEFORE.replace("dr @ ur + ", "")),
    ("dh through r h missing", BEFORE, BEFORE.replace(" + dproduct * r", "")),
    ("dh through r h without r", BEFORE, BEFORE.replace("dproduct * r", "dproduct")),
    ("dW_hn without reset", "dun, extra = (dn * r).T @ h", "dun, extra = dn.T @ h"),
    ("dW_hn from h", "dun, extra = dn.T @ product, {}", "dun, extra = dn.T @ h, {}"),
    ("db_hn without reset", '{"bias_hn": (dn * r)', '{"bias_hn": (dn)'),
    ("dx zero", 'return da @ w["weight_ih"], dh_prev', "return 0 * x, dh_prev"),
    ("no peephole of i", "zi, zf, zg, zo = z[0] + pi * c, z", "zi, zf, zg, zo = z[0], z"),
    ("no peephole of f", "z[1] + pf * c", "z[1]"),
    ("peephole of o from the old c", "zo = zo + po * new", "zo = zo + po * c"),
    ("peepholes i and f swapped", "return i, f[0] if f else zeros, o", "return *(*f, i, i)[:2], o"),
    ("f not coupled", "        f = 1 - i", "        f = i"),
    ("no bound of c", "new = np.clip(free, -cell_bound, cell_bound)", "new = free"),
    ("bound of c passes gradients", "dc * (abs(free) < cell_bound)", "dc"),
    ("no bound of sums", "[0](np.clip(z, -bound, bound), a, b)", "[0](z, a, b)"),
    ("bound of sums passes gradients", " * (abs(z) < bound)", ""),
    ("bound of the output's activation", 'tanh", zc)\n    r', 'tanh", zc, bound)\n    r'),
    ("di without the coupled path", "dc * (g - c)", "dc * g"),
    ("dc without the peephole of o", "dnew + do * po", "dnew"),
    ("dc without the peephole of i", "dc * f + di * pi", "dc * f"),
    ("dc without the peephole of f", "di * pi + df * pf", "di * pi"),
    ("dp_o from the old c", "df * c, do * new]", "df * c, do * c]"),
    ("dp_i from the new c", "[di * c, df", "[di * new, df"),
    ("dp_f from the new c", "df * c, do", "df * new, do"),
    ("mean not taken off", "(v - v.mean(axis=1, keepdims=True))", "v"),
    ("nothing added to variances", " + 1e-5", ""),
    ("mean of dy not taken off", "dy - dy.mean(axis=1, keepdims=True) - y", "dy - y"),
    ("dy along y not taken off", " - y * along) / dev", ") / dev"),
    ("normalised as one", "normal(zx), normal(zh)", "normal(zx + zh), normal(zx + zh)"),
    ("no gain of the inputs", 'w["ln_ih_weight"] * norms[0][0], w', "norms[0][0], w"),
    ("c not normalised", 'w["ln_c_weight"] * norms[2][0] + w', 'w["ln_c_weight"] * new + w'),
    ("c carried on normalised", "return o * out, new, (x", "return o * out, zc, (x"),
    ("gain missing on the way back", 'normal_back(dz * w["ln_hh_weight"]', "normal_back(dz"),
    ("gain of c from c", "(dzc * norms[2][0]).sum", "(dzc * new).sum"),
    ("dc_n ignored", "dh, dc = dh_n.copy(), dc_n.copy()", "dh, dc = dh_n.copy(), 0 * dc_n"),
    ("other slope of the hard sigmoid", "np.clip(a * z + b, 0, 1)", "np.clip(z / 6 + 0.5, 0, 1)"),
    ("hard sigmoid without ends", "a * (abs(2 * (a * z + b) - 1) < 1)", "a + 0 * z"),
    ("alpha of the scaled tanh missing", "a * np.tanh(b * z)", "np.tanh(b * z)"),
    ("beta of its slope missing", "a * b / np.cosh", "a / np.cosh"),
    ("not projected", 'm @ w["weight_hr"].T if', 'm[:, : h.shape[1]] if'),
    ("not projected back", 'whole @ w["weight_hr"] if', 'np.resize(whole, m.shape) if'),
    ("dW_hr without dy", "= whole.T @ m", "= (whole - dy[rows]).T @ m"),
    ("dW_hr from c", "= whole.T @ m", "= whole.T @ stash[2]"),
    ("gradients of the last step only", "total[name] += gradient", "total[name] = gradient"),
    ("dy ignored", "whole = dh[:n] + dy[rows]", "whole = dh[:n]"),
    ("h0 ignored", "h, c = h0.copy(), c0.copy()", "h, c = 0 * h0, c0.copy()"),
    ("dh_n ignored", "dh, dc = dh_n.copy(), dc_n.copy()", "dh, dc = 0 * dh_n, dc_n.copy()"),
]  # fmt: skip

WITNESSES = [Case("ragged", 3, (9,), (6, 4, 4, 1, 0)), Case("two", 4, (4, 5), (3, 3, 2))]


@pytest.mark.parametrize(("old", "new"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS])
def test_every_mutant_is_caught(old: str, new: str) -> None:
    mutant = mutate(old, new, reference_cells)
    tolerance = 100 * TOLERANCE[np.dtype(np.float32)]
    caught = 0
    for cell in [*CELLS, NORMALISED]:
        for case in WITNESSES:
            problem = draw(cell, case)
            try:
                assert_matches(run_oracle(problem, mutant), run_oracle(problem), tolerance)
            except AssertionError:
                caught += 1
    assert caught
