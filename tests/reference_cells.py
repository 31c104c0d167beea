"""The oracle for all cells: one step forward and back, in float64 NumPy.

As ``reference.py`` it is written to be read and shares no code with the library; finite differences
and torch check it, and ``core/test_cell_mutants.py`` breaks it in single places.

A step maps x (n, I), h (n, H) and, where the cell has one, c (n, H) to h and c; its twin maps their
gradients back. Weights are a dict by the names that the library gives them, gates of a GRU in the
order r, z, n, of an LSTM i, f, g, o.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from reference import Array, sigmoid, steps
from reference_masks import Masks, expectation

Weights = dict[str, Array]


@dataclass(frozen=True)
class Cell:
    """A cell as the core takes it: its kind, and options that are not their defaults."""

    kind: str = "lstm"
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return "-".join([self.kind, *(f"{key}={value}" for key, value in self.options)])

    def get(self, name: str, default: Any = None) -> Any:
        """An option, or its default."""
        return dict(self.options).get(name, default)

    @property
    def core(self) -> dict[str, Any]:
        """What the core's constructors take."""
        return {"kind": self.kind, **dict(self.options)}

    @property
    def has_c(self) -> bool:
        return self.kind == "lstm"

    @property
    def n_gates(self) -> int:
        if self.get("coupled_gates"):
            return 3
        return {"lstm": 4, "gru": 3, "rnn": 1}[self.kind]

    def arrays(self, n_inputs: int, n_hidden: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters of one layer, in their order."""
        rows = self.n_gates * n_hidden
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, n_inputs),
            "weight_hh": (rows, self.width(n_hidden)),
            "bias": (rows,),
        }
        if self.kind == "gru" and self.get("reset_after", True):
            shapes["bias_hn"] = (n_hidden,)
        if self.get("peephole"):
            shapes["peephole"] = ((self.n_gates - 1) * n_hidden,)
        if self.get("proj_size"):
            shapes["weight_hr"] = (self.width(n_hidden), n_hidden)
        if self.get("layer_norm"):
            shapes |= {"ln_ih_weight": (rows,), "ln_hh_weight": (rows,)}
            shapes |= {"ln_c_weight": (n_hidden,), "ln_c_bias": (n_hidden,)}
        return shapes

    def width(self, n_hidden: int) -> int:
        """Width of h."""
        return int(self.get("proj_size") or n_hidden)

    def fits(self, hidden_sizes: tuple[int, ...]) -> bool:
        """Whether there can be such layers: a projection makes them narrower."""
        return all(self.get("proj_size", 0) < size for size in hidden_sizes)

    def layers(
        self, n_inputs: int, hidden_sizes: tuple[int, ...]
    ) -> list[dict[str, tuple[int, ...]]]:
        """Shapes of the parameters of layers on top of each other."""
        below = (n_inputs, *map(self.width, hidden_sizes))
        return [self.arrays(i, h) for i, h in zip(below, hidden_sizes, strict=False)]


# --- activations and their slopes, both of what goes in ------------------------------------------


def softplus(z: Array) -> Array:
    return np.maximum(z, 0) + np.log1p(np.exp(-abs(z)))


# name: value and slope at z, with alpha a and beta b
ACTIVATIONS: dict[str, tuple[Any, Any]] = {
    "sigmoid": (lambda z, a, b: sigmoid(z), lambda z, a, b: sigmoid(z) * sigmoid(-z)),
    "tanh": (lambda z, a, b: np.tanh(z), lambda z, a, b: 1 / np.cosh(z) ** 2),
    "relu": (lambda z, a, b: np.maximum(z, 0), lambda z, a, b: z > 0),
    "hard_sigmoid": (
        lambda z, a, b: np.clip(a * z + b, 0, 1),
        lambda z, a, b: a * (abs(2 * (a * z + b) - 1) < 1),
    ),
    "leaky_relu": (
        lambda z, a, b: np.where(z > 0, z, a * z),
        lambda z, a, b: a + (z > 0) * (1 - a),
    ),
    "scaled_tanh": (
        lambda z, a, b: a * np.tanh(b * z),
        lambda z, a, b: a * b / np.cosh(b * z) ** 2,
    ),
    "affine": (lambda z, a, b: a * z + b, lambda z, a, b: a + 0 * z),
    "thresholded_relu": (lambda z, a, b: z * (z > a), lambda z, a, b: z > a),
    "elu": (
        lambda z, a, b: np.where(z > 0, z, a * np.expm1(np.minimum(z, 0))),
        lambda z, a, b: np.where(z > 0, 1, a * np.exp(np.minimum(z, 0))),
    ),
    "softsign": (lambda z, a, b: z / (1 + abs(z)), lambda z, a, b: 1 / (1 + abs(z)) ** 2),
    "softplus": (lambda z, a, b: softplus(z), lambda z, a, b: sigmoid(z)),
}


def value(cell: Cell, which: str, usual: str, z: Array, bound: float = np.inf) -> Array:
    """An activation of a cell, and, in ``slope``, its derivative: 0 where the bound is reached."""
    name, a, b = cell.get(which, (usual, 0.0, 0.0))
    return ACTIVATIONS[name][0](np.clip(z, -bound, bound), a, b)


def slope(cell: Cell, which: str, usual: str, z: Array, bound: float = np.inf) -> Array:
    name, a, b = cell.get(which, (usual, 0.0, 0.0))
    return ACTIVATIONS[name][1](z, a, b) * (abs(z) < bound)


# --- one step of each cell -----------------------------------------------------------------------


def rnn_step(
    cell: Cell, w: Weights, x: Array, h: Array, c: Array, masks: Masks
) -> tuple[Array, Array, Any]:
    """Elman's network, with tanh or relu."""
    h = h * masks.hidden
    z = x @ w["weight_ih"].T + h @ w["weight_hh"].T + w["bias"]
    name = "relu" if cell.get("relu") else "tanh"
    new = value(cell, "cell_activation", name, z, cell.get("gate_clip", np.inf))
    return new, c, (x, h, new, z, masks)


def rnn_back(
    cell: Cell, w: Weights, stash: Any, dh: Array, dc: Array
) -> tuple[Array, Array, Array, Weights]:
    x, h, _, z, masks = stash
    name = "relu" if cell.get("relu") else "tanh"
    dz = dh * slope(cell, "cell_activation", name, z, cell.get("gate_clip", np.inf))
    gradients = {"weight_ih": dz.T @ x, "weight_hh": dz.T @ h, "bias": dz.sum(axis=0)}
    return dz @ w["weight_ih"], dz @ w["weight_hh"] * masks.hidden, dc, gradients


def gru_step(
    cell: Cell, w: Weights, x: Array, h: Array, c: Array, masks: Masks
) -> tuple[Array, Array, Any]:
    """Cho et al. 2014; reset_after acts on the product W_hn h, else on the h that is multiplied."""
    ar, az, an = np.split(x @ w["weight_ih"].T + w["bias"], 3, axis=1)
    ur, uz, un = np.split(w["weight_hh"], 3)
    bound = cell.get("gate_clip", np.inf)
    seen = h * masks.hidden
    zr, zz = ar + seen @ ur.T, az + seen @ uz.T
    r, z = (value(cell, "gate_activation", "sigmoid", s, bound) for s in (zr, zz))
    if cell.get("reset_after", True):
        product = seen @ un.T + w["bias_hn"]
        zn = an + r * product
    else:
        product = r * seen
        zn = an + product @ un.T
    n = value(cell, "cell_activation", "tanh", zn, bound)
    new = (1 - z) * (n * masks.candidate) + z * h
    return new, c, (x, h, r, z, n, product, (zr, zz, zn), masks)


def gru_back(
    cell: Cell, w: Weights, stash: Any, dh: Array, dc: Array
) -> tuple[Array, Array, Array, Weights]:
    x, h, r, z, n, product, (zr, zz, zn), masks = stash
    seen = h * masks.hidden
    ur, uz, un = np.split(w["weight_hh"], 3)
    bound = cell.get("gate_clip", np.inf)
    dn = dh * (1 - z) * masks.candidate * slope(cell, "cell_activation", "tanh", zn, bound)
    dz = dh * (h - n * masks.candidate) * slope(cell, "gate_activation", "sigmoid", zz, bound)
    slope_r = slope(cell, "gate_activation", "sigmoid", zr, bound)
    if cell.get("reset_after", True):
        dr = dn * product * slope_r
        dh_prev = dh * z + (dr @ ur + dz @ uz + (dn * r) @ un) * masks.hidden
        dun, extra = (dn * r).T @ seen, {"bias_hn": (dn * r).sum(axis=0)}
    else:
        dproduct = dn @ un
        dr = dproduct * seen * slope_r
        dh_prev = dh * z + (dr @ ur + dz @ uz + dproduct * r) * masks.hidden
        dun, extra = dn.T @ product, {}
    da = np.concatenate([dr, dz, dn], axis=1)
    dw_hh = np.concatenate([dr.T @ seen, dz.T @ seen, dun])
    gradients = {"weight_ih": da.T @ x, "weight_hh": dw_hh, "bias": da.sum(axis=0), **extra}
    return da @ w["weight_ih"], dh_prev, dc, gradients


def peepholes(cell: Cell, w: Weights, n_hidden: int) -> tuple[Array, Array, Array]:
    """Weights from c to i, f and o; 0 where there are none."""
    zeros = np.zeros(n_hidden)
    if not cell.get("peephole"):
        return zeros, zeros, zeros
    i, *f, o = np.split(w["peephole"], cell.n_gates - 1)
    return i, f[0] if f else zeros, o


def normal(v: Array) -> tuple[Array, Array]:
    """Rows with mean 0 and variance 1, and what they were divided by."""
    deviation = np.sqrt(v.var(axis=1, keepdims=True) + 1e-5)
    return (v - v.mean(axis=1, keepdims=True)) / deviation, deviation


def normal_back(dy: Array, y: Array, deviation: Array) -> Array:
    along = (dy * y).mean(axis=1, keepdims=True)
    return (dy - dy.mean(axis=1, keepdims=True) - y * along) / deviation


def lstm_step(
    cell: Cell, w: Weights, x: Array, h: Array, c: Array, masks: Masks
) -> tuple[Array, Array, Any]:
    """Peepholes (Gers and Schmidhuber 2000), coupled gates f = 1 - i, bounds of sums and of c."""
    h = h * masks.hidden
    pi, pf, po = peepholes(cell, w, c.shape[1])
    bound, cell_bound = cell.get("gate_clip", np.inf), cell.get("cell_clip", np.inf)
    zx, zh, norms = x @ w["weight_ih"].T, h @ w["weight_hh"].T, []
    if cell.get("layer_norm"):
        norms = [normal(zx), normal(zh)]
        zx, zh = w["ln_ih_weight"] * norms[0][0], w["ln_hh_weight"] * norms[1][0]
    z = np.split(zx + zh + w["bias"], cell.n_gates, axis=1)
    zi, zf, zg, zo = z[0] + pi * c, z[1] + pf * c, z[-2], z[-1]
    i = value(cell, "gate_activation", "sigmoid", zi, bound)
    g = value(cell, "cell_activation", "tanh", zg, bound)
    f = value(cell, "gate_activation", "sigmoid", zf, bound)
    if cell.get("coupled_gates"):
        f = 1 - i
    free = f * c + i * (g * masks.candidate)
    new = np.clip(free, -cell_bound, cell_bound)
    zo = zo + po * new
    o = value(cell, "gate_activation", "sigmoid", zo, bound)
    zc = new
    if cell.get("layer_norm"):
        norms.append(normal(new))
        zc = w["ln_c_weight"] * norms[2][0] + w["ln_c_bias"]
    out = value(cell, "output_activation", "tanh", zc)
    zoned = masks.zoneout_cell * c + (1 - masks.zoneout_cell) * new
    stash = (x, h, c, i, f, g, o, new, free, (zi, zf, zg, zo, zc), norms, masks)
    return o * out, zoned, stash


def lstm_back(
    cell: Cell, w: Weights, stash: Any, dh: Array, dc: Array
) -> tuple[Array, Array, Array, Weights]:
    x, h, c, i, f, g, o, new, free, (zi, zf, zg, zo, zc), norms, masks = stash
    dc_stays, dc = masks.zoneout_cell * dc, (1 - masks.zoneout_cell) * dc
    candidate = g * masks.candidate
    pi, pf, po = peepholes(cell, w, c.shape[1])
    bound, cell_bound = cell.get("gate_clip", np.inf), cell.get("cell_clip", np.inf)
    out = value(cell, "output_activation", "tanh", zc)
    do = dh * out * slope(cell, "gate_activation", "sigmoid", zo, bound)
    dzc = dh * o * slope(cell, "output_activation", "tanh", zc)
    dnew = normal_back(dzc * w["ln_c_weight"], *norms[2]) if norms else dzc
    dc = dc + dnew + do * po
    dc = dc * (abs(free) < cell_bound)
    dg = dc * i * masks.candidate * slope(cell, "cell_activation", "tanh", zg, bound)
    df = dc * c * slope(cell, "gate_activation", "sigmoid", zf, bound)
    through_i = dc * candidate
    if cell.get("coupled_gates"):
        df, through_i = 0 * df, dc * (candidate - c)
    di = through_i * slope(cell, "gate_activation", "sigmoid", zi, bound)
    dc_prev = dc * f + di * pi + df * pf + dc_stays
    blocks, looked = [di, df, dg, do], [di * c, df * c, do * new]
    if cell.get("coupled_gates"):
        del blocks[1], looked[1]
    dz = np.concatenate(blocks, axis=1)
    dzx, dzh, gradients = dz, dz, {"bias": dz.sum(axis=0)}
    if norms:
        dzx = normal_back(dz * w["ln_ih_weight"], *norms[0])
        dzh = normal_back(dz * w["ln_hh_weight"], *norms[1])
        gradients["ln_ih_weight"] = (dz * norms[0][0]).sum(axis=0)
        gradients["ln_hh_weight"] = (dz * norms[1][0]).sum(axis=0)
        gradients["ln_c_weight"] = (dzc * norms[2][0]).sum(axis=0)
        gradients["ln_c_bias"] = dzc.sum(axis=0)
    gradients |= {"weight_ih": dzx.T @ x, "weight_hh": dzh.T @ h}
    if cell.get("peephole"):
        gradients["peephole"] = np.concatenate(looked, axis=1).sum(axis=0)
    return dzx @ w["weight_ih"], dzh @ w["weight_hh"] * masks.hidden, dc_prev, gradients


STEPS = {"lstm": lstm_step, "rnn": rnn_step, "gru": gru_step}
BACKS = {"lstm": lstm_back, "rnn": rnn_back, "gru": gru_back}


# --- layers over packed sequences ----------------------------------------------------------------


def layer_forward(
    cell: Cell,
    w: Weights,
    x: Array,
    n_active: Array,
    h0: Array,
    c0: Array,
    masks: Masks | None = None,
) -> tuple[Array, Array, Array, list[Any]]:
    """One layer: y (R, H), h_n and c_n (N, H), and what the backward pass needs."""
    y, stashes = np.empty((len(x), h0.shape[1])), []
    h, c = h0.copy(), c0.copy()
    drawn = masks or expectation(cell, len(h0), len(x), len(w["weight_ih"]) // cell.n_gates)
    for n, rows in steps(n_active):
        now = drawn.of_step(n, rows)
        m, c[:n], stash = STEPS[cell.kind](cell, w, x[rows], h[:n].copy(), c[:n].copy(), now)
        new = m @ w["weight_hr"].T if "weight_hr" in w else m
        h[:n] = now.zoneout_hidden * h[:n] + (1 - now.zoneout_hidden) * new
        y[rows] = h[:n]
        stashes.append((stash, m))
    return y, h, c, stashes


def layer_backward(
    cell: Cell, w: Weights, stashes: list[Any], n_active: Array, dy: Array, dh_n: Array, dc_n: Array
) -> tuple[Array, Array, Array, Weights]:
    """One layer: dx (R, I), dh0 and dc0 (N, H), and the gradients of the weights."""
    dx = np.empty((len(dy), w["weight_ih"].shape[1]))
    total = {name: np.zeros_like(array) for name, array in w.items()}
    dh, dc = dh_n.copy(), dc_n.copy()
    for (n, rows), (stash, m) in reversed(list(zip(steps(n_active), stashes, strict=True))):
        whole = dh[:n] + dy[rows]
        stays = stash[-1].zoneout_hidden
        dh_stays, whole = stays * whole, (1 - stays) * whole
        dm = whole @ w["weight_hr"] if "weight_hr" in w else whole
        dx[rows], dh[:n], dc[:n], gradients = BACKS[cell.kind](cell, w, stash, dm, dc[:n])
        dh[:n] += dh_stays
        if "weight_hr" in w:
            gradients["weight_hr"] = whole.T @ m
        for name, gradient in gradients.items():
            total[name] += gradient
    return dx, dh, dc, total


def stack_forward(
    cell: Cell,
    layers: list[Weights],
    x: Array,
    n_active: Array,
    h0: list[Array],
    c0: list[Array],
    masks: list[Masks] | None = None,
) -> tuple[Array, list[Array], list[Array], list[Any]]:
    """Layers on top of each other."""
    h_n, c_n, stashes = [], [], []
    for level, w in enumerate(layers):
        drawn = masks[level] if masks else None
        x, h, c, stash = layer_forward(cell, w, x, n_active, h0[level], c0[level], drawn)
        h_n.append(h)
        c_n.append(c)
        stashes.append(stash)
    return x, h_n, c_n, stashes


def stack_backward(
    cell: Cell,
    layers: list[Weights],
    stashes: list[Any],
    n_active: Array,
    dy: Array,
    dh_n: list[Array],
    dc_n: list[Array],
) -> tuple[Array, list[Array], list[Array], list[Weights]]:
    """The gradients of everything that went into ``stack_forward``, layers in their order."""
    dh0, dc0, gradients = [], [], []
    for level in reversed(range(len(layers))):
        dy, dh, dc, gradient = layer_backward(
            cell, layers[level], stashes[level], n_active, dy, dh_n[level], dc_n[level]
        )
        dh0.insert(0, dh)
        dc0.insert(0, dc)
        gradients.insert(0, gradient)
    return dy, dh0, dc0, gradients
