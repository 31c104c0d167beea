"""The estimators' parameter ``cell``: names, objects, nested parameters, and what it changes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from estimators.problems import N_SAMPLES, estimator, ragged_sequences, targets
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import lstmcore
from lstmcore import LSTMClassifier, LSTMRegressor
from lstmcore.cells import GRUCell, LSTMCell, RNNCell

X = ragged_sequences()
CELLS = [
    "gru",
    GRUCell(reset_after=False),
    "rnn",
    RNNCell(nonlinearity="relu"),
    LSTMCell(proj_size=3),
]
EACH_CELL = pytest.mark.parametrize("cell", CELLS, ids=str)


def logistic(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(
    ("name", "cell"), [("lstm", LSTMCell()), ("gru", GRUCell()), ("rnn", RNNCell())]
)
def test_a_name_is_the_cell_with_its_defaults(name: str, cell: Any) -> None:
    models = [estimator("binary", cell=c).fit(X, targets("binary")) for c in (name, cell)]
    assert_array_equal(models[0].coefs_, models[1].coefs_)


def test_default_is_lstm() -> None:
    models = [estimator("binary", **c).fit(X, targets("binary")) for c in ({}, {"cell": "lstm"})]
    assert_array_equal(models[0].coefs_, models[1].coefs_)


@EACH_CELL
def test_steps_files_and_pickles_give_the_same_bits(cell: Any, tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(N_SAMPLES, 5, 3))
    model = estimator("multiclass", cell=cell, hidden_size=(6, 4)).fit(X, targets("multiclass"))
    whole = model.predict_proba(rows)
    state = model.initial_state(N_SAMPLES)
    assert len(state.cell) == (2 if isinstance(cell, LSTMCell) else 0)
    for t in range(5):
        step, state = model.step(rows[:, t], state, method="predict_proba")
    assert_array_equal(step, whole)
    model.save(tmp_path / "model")
    for copy in (pickle.loads(pickle.dumps(model)), lstmcore.load(tmp_path / "model")):
        assert repr(copy) == repr(model)
        assert_array_equal(copy.predict_proba(rows), whole)


@EACH_CELL
def test_attributions_are_finite_differences(cell: Any) -> None:
    model = estimator("one output", cell=cell, hidden_size=(6, 5), dtype="float64")
    x = X[0].astype(np.float64)
    model.fit(X, targets("one output"))
    expected = np.empty_like(x)
    for index in np.ndindex(x.shape):
        values = []
        for step in (-1e-5, 1e-5):
            moved = x.copy()
            moved[index] += step
            values.append(float(np.ravel(model.predict([moved]))[0]))
        expected[index] = (values[1] - values[0]) / 2e-5
    assert_allclose(model.attributions([x])[0], expected, atol=1e-8)


@EACH_CELL
def test_fit_does_not_depend_on_threads(cell: Any) -> None:
    coefs = [
        estimator("one output", cell=cell, n_jobs=n).fit(X, targets("one output")).coefs_
        for n in (1, 3)
    ]
    assert_array_equal(*coefs)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gates_of_a_gru_obey_the_equations(reset_after: bool) -> None:
    model = estimator(
        "binary", cell=GRUCell(reset_after=reset_after), hidden_size=4, dtype="float64"
    ).fit(X, targets("binary"))
    p = model.parameters_
    for x, gates in zip(X, model.gates(X), strict=True):
        h = np.concatenate([np.zeros((1, 4)), gates.hidden])[:-1]
        a = np.split(x @ p["weight_ih_l0"].T + p["bias_l0"], 3, axis=1)
        u = np.split(p["weight_hh_l0"], 3)
        r, z = logistic(a[0] + h @ u[0].T), logistic(a[1] + h @ u[1].T)
        inner = r * (h @ u[2].T + p["bias_hn_l0"]) if reset_after else (r * h) @ u[2].T
        n = np.tanh(a[2] + inner)
        assert_allclose(gates.reset, r, rtol=1e-12)
        assert_allclose(gates.update, z, rtol=1e-12)
        assert_allclose(gates.candidate, n, rtol=1e-10, atol=1e-14)
        assert_allclose(gates.hidden, (1 - z) * n + z * h, rtol=1e-10, atol=1e-14)


def test_states_of_an_rnn_obey_the_equation() -> None:
    model = estimator("binary", cell="rnn", hidden_size=4, dtype="float64").fit(
        X, targets("binary")
    )
    p = model.parameters_
    for x, states in zip(X, model.gates(X), strict=True):
        h = np.concatenate([np.zeros((1, 4)), states.hidden])[:-1]
        z = x @ p["weight_ih_l0"].T + h @ p["weight_hh_l0"].T + p["bias_l0"]
        assert_allclose(states.hidden, np.tanh(z), rtol=1e-10, atol=1e-14)


def test_states_of_a_projected_lstm_obey_the_equations() -> None:
    model = estimator(
        "binary", cell=LSTMCell(proj_size=2), hidden_size=4, dtype="float64", pooling="max"
    ).fit(X, targets("binary"))
    p = model.parameters_
    assert p["head_weight"].shape == (1, 2)
    assert model.summary().layers[1].output_shape == ("N", "T", 2)
    for x, gates in zip(X, model.gates(X), strict=True):
        h = np.concatenate([np.zeros((1, 2)), gates.hidden])[:-1]
        c = np.concatenate([np.zeros((1, 4)), gates.cell])[:-1]
        z = x @ p["weight_ih_l0"].T + h @ p["weight_hh_l0"].T + p["bias_l0"]
        assert_allclose(gates.forget, logistic(z[:, 4:8]), rtol=1e-12)
        cell = gates.forget * c + gates.input * gates.candidate
        assert_allclose(gates.cell, cell, rtol=1e-10, atol=1e-14)
        projected = (gates.output * np.tanh(cell)) @ p["weight_hr_l0"].T
        assert_allclose(gates.hidden, projected, rtol=1e-10, atol=1e-14)


def test_forget_bias_is_the_first_value() -> None:
    model = LSTMRegressor(
        cell=LSTMCell(forget_bias=3.0), hidden_size=4, learning_rate=1e-9, max_iter=1, tol=None
    ).fit(X, targets("one output"))
    assert_allclose(model.parameters_["bias_l0"].reshape(4, 4)[1], 3.0, atol=1e-6)


def test_nested_parameters() -> None:
    model = LSTMClassifier(cell=GRUCell(), hidden_size=3, max_iter=1, tol=None)
    assert clone(model).set_params(cell__reset_after=False).cell.reset_after is False
    assert model.cell.reset_after is True
    search = GridSearchCV(model, {"cell__reset_after": [True, False]}, cv=2)
    search.fit(X, targets("binary"))
    assert set(search.best_params_) == {"cell__reset_after"}
    search = GridSearchCV(model, {"cell": ["lstm", "gru", RNNCell()]}, cv=2)
    assert len(search.fit(X, targets("binary")).cv_results_["params"]) == 3


def test_warm_start_goes_on_with_the_same_cell_only() -> None:
    model = estimator("binary", cell="gru", warm_start=True).fit(X, targets("binary"))
    model.fit(X, targets("binary"))
    with pytest.raises(ValueError, match="warm_start=True goes on with the network"):
        model.set_params(cell=GRUCell(reset_after=False)).fit(X, targets("binary"))


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ("LSTM", ValueError, "'cell' parameter .* must be one of 'lstm', 'gru', 'rnn', or a cell"),
        (None, TypeError, "'cell' parameter .* Got None instead"),
        (GRUCell, TypeError, "'cell' parameter"),
        (GRUCell(reset_after=1), TypeError, "'reset_after' parameter of GRUCell must be a bool"),
        (RNNCell(nonlinearity="sin"), ValueError, "'nonlinearity' parameter of RNNCell"),
        (LSTMCell(proj_size=-1), ValueError, "'proj_size' parameter of LSTMCell must be an int"),
        (LSTMCell(proj_size=64), ValueError, "proj_size is 64, expected less than the hidden size"),
        (LSTMCell(forget_bias=np.inf), ValueError, "'forget_bias' parameter of LSTMCell"),
    ],
    ids=str,
)
def test_errors(cell: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LSTMClassifier(cell=cell).fit(X, targets("binary"))
