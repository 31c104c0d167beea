"""Estimators whose LSTMs have options: gates, steps, sizes, searches, files."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from estimators.problems import N_SAMPLES, estimator, ragged_sequences, targets
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV

import lstmcore
from lstmcore import LSTMClassifier
from lstmcore.cells import LSTMCell

X = ragged_sequences()
CELLS = [
    LSTMCell(peephole=True, gate_clip=1.0),
    LSTMCell(coupled_gates=True, peephole=True, cell_clip=0.3),
    LSTMCell(layer_norm=True),
    LSTMCell(gate_activation=("hard_sigmoid", 1 / 6), cell_activation="softsign"),
]
EACH_CELL = pytest.mark.parametrize("cell", CELLS, ids=str)


def logistic(z):
    return 1 / (1 + np.exp(-z))


def normal(v):
    return (v - v.mean(axis=1, keepdims=True)) / np.sqrt(v.var(axis=1, keepdims=True) + 1e-5)


def hard_sigmoid(z):
    return np.clip(z / 6 + 0.5, 0, 1)


@EACH_CELL
def test_gates_obey_the_equations(cell: LSTMCell) -> None:
    model = estimator("binary", cell=cell, hidden_size=4, dtype="float64", learning_rate=0.1)
    model.fit(X, targets("binary"))
    p = model.parameters_
    n_gates = 3 if cell.coupled_gates else 4
    i_c, *f_c, o_c = np.split(p["peephole_l0"], n_gates - 1) if cell.peephole else [0, 0, 0]
    s = logistic if cell.gate_activation == "sigmoid" else hard_sigmoid
    gate_clip, cell_clip = cell.gate_clip or np.inf, cell.cell_clip or np.inf

    def bounded(z):
        return np.clip(z, -gate_clip, gate_clip)

    for x, gates in zip(X, model.gates(X), strict=True):
        h, c = (np.concatenate([np.zeros((1, 4)), a])[:-1] for a in (gates.hidden, gates.cell))
        zx, zh = x @ p["weight_ih_l0"].T, h @ p["weight_hh_l0"].T
        if cell.layer_norm:
            zx, zh = normal(zx) * p["ln_ih_weight_l0"], normal(zh) * p["ln_hh_weight_l0"]
        z = zx + zh + p["bias_l0"]
        zi, *zf, zg, zo = np.split(z, n_gates, axis=1)
        assert_allclose(gates.input, s(bounded(zi + i_c * c)), rtol=1e-12)
        forget = s(bounded(zf[0] + f_c[0] * c)) if zf else 1 - gates.input
        assert_allclose(gates.forget, forget, rtol=1e-12)
        g = np.tanh(bounded(zg)) if cell.cell_activation == "tanh" else zg / (1 + abs(zg))
        assert_allclose(gates.candidate, g, rtol=1e-11, atol=1e-15)
        new = np.clip(gates.forget * c + gates.input * g, -cell_clip, cell_clip)
        assert_allclose(gates.cell, new, rtol=1e-11, atol=1e-15)
        assert_allclose(gates.output, s(bounded(zo + o_c * gates.cell)), rtol=1e-12)
        zc = gates.cell
        if cell.layer_norm:
            zc = normal(gates.cell) * p["ln_c_weight_l0"] + p["ln_c_bias_l0"]
        assert_allclose(gates.hidden, gates.output * np.tanh(zc), rtol=1e-11, atol=1e-13)


@EACH_CELL
def test_steps_files_and_pickles_give_the_same_bits(cell: LSTMCell, tmp_path: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(N_SAMPLES, 5, 3))
    model = estimator("multiclass", cell=cell, hidden_size=(6, 4)).fit(X, targets("multiclass"))
    whole = model.predict_proba(rows)
    state = model.initial_state(N_SAMPLES)
    for t in range(5):
        step, state = model.step(rows[:, t], state, method="predict_proba")
    assert_array_equal(step, whole)
    model.save(tmp_path / "model")
    for copy in (pickle.loads(pickle.dumps(model)), lstmcore.load(tmp_path / "model")):
        assert repr(copy) == repr(model)
        assert_array_equal(copy.predict_proba(rows), whole)
    assert_array_equal(
        estimator("multiclass", cell=cell, hidden_size=(6, 4), n_jobs=3)
        .fit(X, targets("multiclass"))
        .coefs_,
        model.coefs_,
    )


def test_sizes_and_costs() -> None:
    for cell, n_gates, n_others in zip(CELLS, (4, 3, 4, 4), (3, 2, 10, 0), strict=True):
        model = estimator("binary", cell=cell, hidden_size=6).fit(X, targets("binary"))
        layer = model.summary(batch_size=2, n_timesteps=5).layers[1]
        assert layer.n_parameters == 6 * (n_gates * (3 + 6 + 1) + n_others)
        assert layer.flops == 10 * 2 * n_gates * 6 * (3 + 6)


def test_search() -> None:
    model = LSTMClassifier(cell=LSTMCell(), hidden_size=3, max_iter=1, tol=None)
    grid = {
        "cell__peephole": [True, False],
        "cell__gate_activation": ["sigmoid", ("hard_sigmoid", 0.25)],
    }
    search = GridSearchCV(model, grid, cv=2).fit(X, targets("binary"))
    assert set(search.best_params_) == set(grid)
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()


def test_learns_with_every_option() -> None:
    """The sign of the first feature, 8 steps before the end."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 9, 2)).astype(np.float32)
    y = (x[:, 0, 0] > 0).astype(int)
    for cell in CELLS:
        model = LSTMClassifier(
            cell=cell, hidden_size=12, learning_rate=0.02, max_iter=40, random_state=0, tol=None
        )
        assert model.fit(x, y).score(x, y) > 0.9, cell


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        (LSTMCell(peephole="yes"), TypeError, "'peephole' parameter of LSTMCell must be a bool"),
        (LSTMCell(cell_clip=-1), ValueError, "'cell_clip' parameter of LSTMCell"),
        (LSTMCell(gate_activation="cos"), ValueError, "'gate_activation' parameter of LSTMCell"),
    ],
    ids=str,
)
def test_errors(cell: LSTMCell, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LSTMClassifier(cell=cell).fit(X, targets("binary"))
