"""A float64 LSTM layer in NumPy, forward and BPTT: what every peer is checked against.

It works on the packed batch: row ``offset[t] + n`` holds step ``t`` of the n-th longest sequence.
Written to be read, not to be fast.
"""

from __future__ import annotations

import numpy as np

from .problem import Array, Problem


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def solve(problem: Problem, gradients: bool) -> dict[str, Array]:
    """Outputs and, if asked for, gradients of one layer.

    Parameters
    ----------
    problem : Problem
        Weights, inputs and the gradient of the output.
    gradients : bool
        Whether to go backward too.

    Returns
    -------
    dict
        ``y (R, H)``; with gradients also ``dx (R, I)``, ``weight_ih (4H, I)``,
        ``weight_hh (4H, H)`` and ``bias (4H,)``.
    """
    w_ih, w_hh, bias, x = (
        np.asarray(a, np.float64)
        for a in (problem.weight_ih, problem.weight_hh, problem.bias, problem.x)
    )
    hidden, n = w_hh.shape[1], problem.n_sequences
    offset = np.concatenate([[0], np.cumsum(problem.n_active)])
    y = np.empty((len(x), hidden))
    gates = np.empty((len(x), 4, hidden))
    cell = np.empty((len(x), hidden))
    before = np.zeros((2, n, hidden))  # h and c of the step before; alive sequences come first
    for t, alive in enumerate(problem.n_active):
        rows = slice(offset[t], offset[t] + alive)
        h, c = before[:, :alive]
        z = (x[rows] @ w_ih.T + h @ w_hh.T + bias).reshape(alive, 4, hidden)
        i, f, o = _sigmoid(z[:, 0]), _sigmoid(z[:, 1]), _sigmoid(z[:, 3])
        g = np.tanh(z[:, 2])
        gates[rows] = np.stack([i, f, g, o], axis=1)
        cell[rows] = f * c + i * g
        y[rows] = o * np.tanh(cell[rows])
        before = np.stack([y[rows], cell[rows]])
    if not gradients:
        return {"y": y}

    dz = np.empty((len(x), 4 * hidden))
    previous = np.zeros((len(x), hidden))  # h of the step before, for the gradient of weight_hh
    dh, dc = np.zeros((2, n, hidden))
    for t in reversed(range(len(problem.n_active))):
        alive = problem.n_active[t]
        rows = slice(offset[t], offset[t] + alive)
        i, f, g, o = np.moveaxis(gates[rows], 1, 0)
        c_before = np.zeros((alive, hidden))
        if t > 0:
            earlier = slice(offset[t - 1], offset[t - 1] + alive)
            c_before, previous[rows] = cell[earlier], y[earlier]
        tanh_c = np.tanh(cell[rows])
        dh_t = problem.dy[rows] + dh[:alive]
        dc_t = dc[:alive] + dh_t * o * (1 - tanh_c**2)
        d_gates = [dc_t * g * i * (1 - i), dc_t * c_before * f * (1 - f)]
        d_gates += [dc_t * i * (1 - g**2), dh_t * tanh_c * o * (1 - o)]
        dz[rows] = np.concatenate(d_gates, axis=1)
        dh[:alive] = dz[rows] @ w_hh
        dc[:alive] = dc_t * f
    return {
        "y": y,
        "dx": dz @ w_ih,
        "weight_ih": dz.T @ x,
        "weight_hh": dz.T @ previous,
        "bias": dz.sum(axis=0),
    }
