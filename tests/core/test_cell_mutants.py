"""The comparison of the cells notices every single fault of their oracle."""

from __future__ import annotations

import numpy as np
import pytest
import reference_cells
from cases import TOLERANCE, Case, assert_matches
from cell_cases import CELLS, MASKED, NORMALISED, draw, run_oracle
from mutation import mutate
from reference_cells import Cell

RNN = 'z = x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias"]'
DZ_BACK = """gate_clip", np.inf))
    gradients = {"weight_ih": dz.T @ x, "weight_hh": dz.T @ h"""
RESET = "zn = an + r * product"
OUTSIDE = 'r * (product - w["bias_hn"]) + w["bias_hn"]'
BLEND = "new = (1 - z) * (n * masks.candidate) + z * h"
AFTER = "dh_prev = dh * z + (dr @ ur + dz @ uz + (dn * r) @ un) * masks.hidden"
BEFORE = "dh_prev = dh * z + (dr @ ur + dz @ uz + dproduct * r) * masks.hidden"

# what is wrong, the text of the oracle, what stands there instead
MUTANTS = [
    ("rnn without bias", RNN, RNN.replace(' + w["bias"]', "")),
    ("rnn without recurrence", RNN, RNN.replace('h @ w["weight_hh"].T', "0")),
    ("relu never", "np.maximum(z, 0), lambda z, a, b: z > 0", "np.tanh(z), lambda z, a, b: z > 0"),
    ("slope of tanh missing", "lambda z, a, b: 1 / np.cosh(z) ** 2", "lambda z, a, b: 1"),
    ("slope of relu missing", "lambda z, a, b: z > 0)", "lambda z, a, b: 1)"),
    ("rnn dh not carried", 'dz @ w["weight_hh"] * masks', "0 * h * masks"),
    ("rnn dW_hh from the new h", DZ_BACK, DZ_BACK.replace("dz.T @ h", "dz.T @ stash[2]")),
    ("gates r and z swapped", "ar, az, an = np.split(x", "az, ar, an = np.split(x"),
    ("gates z and n swapped", "ar, az, an = np.split(x", "ar, an, az = np.split(x"),
    ("gates through tanh", '"sigmoid", s, bound', '"tanh", s, bound'),
    ("no reset after the product", RESET, RESET.replace("r * product", "product")),
    ("no bias inside the reset", 'seen @ un.T + w["bias_hn"]', "seen @ un.T"),
    ("bias outside the reset", RESET, RESET.replace("r * product", OUTSIDE)),
    ("no reset before the product", "product = r * seen", "product = seen"),
    ("reset after, always", "zn = an + product @ un.T", "zn = an + r * (h @ un.T)"),
    ("z and 1 - z swapped", BLEND, BLEND.replace("(1 - z)", "z").replace("z * h", "(1 - z) * h")),
    ("h not blended", BLEND, BLEND.replace(" + z * h", "")),
    ("slope of n missing", ' * slope(cell, "cell_activation", "tanh", zn, bound)', ""),
    ("dz without h", "dz = dh * (h - n", "dz = dh * (-n"),
    ("slope of z missing", ' * slope(cell, "gate_activation", "sigmoid", zz, bound)', ""),
    ("slope of r missing, after", "dr = dn * product * slope_r", "dr = dn * product"),
    ("slope of r missing, before", "dr = dproduct * seen * slope_r", "dr = dproduct * seen"),
    ("dh past the weights missing, after", AFTER, AFTER.replace("dh * z + ", "")),
    ("dh through r missing, after", AFTER, AFTER.replace("dr @ ur + ", "")),
    ("dh through z missing, after", AFTER, AFTER.replace("dz @ uz + ", "")),
    ("dh through n without reset", AFTER, AFTER.replace("(dn * r) @ un", "dn @ un")),
    ("dh past the weights missing, before", BEFORE, BEFORE.replace("dh * z + ", "")),
    ("dh through r missing, before", BEFORE, BEFORE.replace("dr @ ur + ", "")),
    ("dh through r h missing", BEFORE, BEFORE.replace(" + dproduct * r", "")),
    ("dh through r h without r", BEFORE, BEFORE.replace("dproduct * r", "dproduct")),
    ("dW_hn without reset", "dun, extra = (dn * r).T @ seen", "dun, extra = dn.T @ seen"),
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
    ("bound of the output's activation", 'tanh", zc)\n    z', 'tanh", zc, bound)\n    z'),
    ("di without the coupled path", "dc * (candidate - c)", "dc * candidate"),
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
    ("c carried on normalised", "zoneout_cell) * new", "zoneout_cell) * zc"),
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

LSTM_DROPS = 'bounds of sums and of c."""\n    h = h * masks.hidden'
RNN_DROPS = 'with tanh or relu."""\n    h = h * masks.hidden'
ZONED = "masks.zoneout_cell * c + (1 - masks.zoneout_cell) * new"
STAYS = "dh_stays, whole = stays * whole, (1 - stays) * whole"
DC_STAYS = "masks.zoneout_cell * dc, (1 - masks.zoneout_cell) * dc"

MUTANTS_OF_MASKS = [
    ("lstm: h whole", LSTM_DROPS, LSTM_DROPS.replace(" * masks.hidden", "")),
    ("lstm: dh whole", 'dzh @ w["weight_hh"] * masks.hidden', 'dzh @ w["weight_hh"]'),
    ("rnn: h whole", RNN_DROPS, RNN_DROPS.replace(" * masks.hidden", "")),
    ("rnn: dh whole", 'dz @ w["weight_hh"] * masks.hidden', 'dz @ w["weight_hh"]'),
    ("gru: h whole", "h * masks.hidden\n    zr", "h\n    zr"),
    (
        "gru: h whole on the way back",
        "= stash\n    seen = h * masks.hidden",
        "= stash\n    seen = h",
    ),
    ("gru: dh whole, after", AFTER, AFTER.replace(" * masks.hidden", "")),
    ("gru: dh whole, before", BEFORE, BEFORE.replace(" * masks.hidden", "")),
    ("gru: h dropped that is carried", BLEND, BLEND.replace("z * h", "z * seen")),
    ("lstm: g whole", "i * (g * masks.candidate)", "i * g"),
    ("lstm: c dropped", "f * c + i * (g * masks.candidate)", "masks.candidate * (f * c + i * g)"),
    ("lstm: dg whole", "dc * i * masks.candidate", "dc * i"),
    ("lstm: di from the whole g", "candidate = g * masks.candidate", "candidate = g"),
    ("gru: n whole", BLEND, BLEND.replace(" * masks.candidate", "")),
    ("gru: dn whole", "(1 - z) * masks.candidate * slope", "(1 - z) * slope"),
    ("gru: dz from the whole n", "(h - n * masks.candidate)", "(h - n)"),
    ("c never stays", "zoned = " + ZONED, "zoned = new"),
    ("c the other way round", "zoned = " + ZONED, "zoned = c + new - (" + ZONED + ")"),
    ("h of the c that goes on", "    zc = new\n", f"    zc = {ZONED}\n"),
    ("peephole of o from the c that goes on", "zo + po * new", f"zo + po * ({ZONED})"),
    ("dp_o from the c that goes on", "df * c, do * new]", f"df * c, do * ({ZONED})]"),
    ("c that goes on bounded", "(abs(free) < cell", f"(abs({ZONED}) < cell"),
    ("c that goes on normalised", "normal(new)", f"normal({ZONED})"),
    ("dc past the cell missing", " + dc_stays", ""),
    ("dc whole into the cell", DC_STAYS, "masks.zoneout_cell * dc, dc"),
    ("h never stays", "now.zoneout_hidden * h[:n] + (1 - now.zoneout_hidden) * new", "new"),
    ("dh past the cell missing", "dh[:n] += dh_stays", "pass"),
    ("dh whole into the cell", STAYS, "dh_stays, whole = stays * whole, whole"),
]

WITNESSES = [Case("ragged", 3, (9,), (6, 4, 4, 1, 0)), Case("two", 4, (4, 5), (3, 3, 2))]


def caught(old: str, new: str, cells: list[Cell], seed: int | None = None) -> bool:
    """Whether a mutant gives other numbers than the oracle for one of these cells."""
    mutant = mutate(old, new, reference_cells)
    tolerance = 100 * TOLERANCE[np.dtype(np.float32)]
    for cell in cells:
        for case in WITNESSES:
            problem = draw(cell, case)
            try:
                expected = run_oracle(problem, seed=seed)
                assert_matches(run_oracle(problem, mutant, seed), expected, tolerance)
            except AssertionError:
                return True
    return False


@pytest.mark.parametrize(("old", "new"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS])
def test_every_mutant_is_caught(old: str, new: str) -> None:
    assert caught(old, new, [*CELLS, NORMALISED])


@pytest.mark.parametrize(
    ("old", "new"), [m[1:] for m in MUTANTS_OF_MASKS], ids=[m[0] for m in MUTANTS_OF_MASKS]
)
def test_every_mutant_of_masks_is_caught(old: str, new: str) -> None:
    assert caught(old, new, MASKED, seed=1)
