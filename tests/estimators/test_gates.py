"""What `gates` returns are the numbers that the prediction is made of."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, targets
from numpy.testing import assert_allclose, assert_array_equal

X = ragged_sequences()


def logistic(z):
    return 1 / (1 + np.exp(-z))


@pytest.fixture(scope="module")
def model():
    return estimator("binary", hidden_size=(5, 4), dtype="float64").fit(X, targets("binary"))


@pytest.mark.parametrize("layer", [0, 1])
def test_gates_obey_the_equations(model, layer):
    p = model.parameters_
    below = [gates.hidden for gates in model.gates(X, layer=0)] if layer else X
    for x, gates in zip(below, model.gates(X, layer=layer), strict=True):
        n_hidden = (5, 4)[layer]
        assert gates.hidden.shape == (len(x), n_hidden)
        zero = np.zeros((1, n_hidden))
        h = np.concatenate([zero, gates.hidden])[:-1]
        c = np.concatenate([zero, gates.cell])[:-1]
        z = x @ p[f"weight_ih_l{layer}"].T + h @ p[f"weight_hh_l{layer}"].T + p[f"bias_l{layer}"]
        i, f, g, o = np.split(z, 4, axis=1)
        assert_allclose(gates.input, logistic(i), rtol=1e-12)
        assert_allclose(gates.forget, logistic(f), rtol=1e-12)
        assert_allclose(gates.candidate, np.tanh(g), rtol=1e-12)
        assert_allclose(gates.output, logistic(o), rtol=1e-12)
        assert_allclose(gates.cell, gates.forget * c + gates.input * gates.candidate, rtol=1e-12)
        assert_allclose(gates.hidden, gates.output * np.tanh(gates.cell), rtol=1e-12)


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_head_sees_the_last_layer(pooling):
    model = estimator("one output", pooling=pooling, dtype="float64").fit(X, targets("one output"))
    pool = {"last": lambda h: h[-1], "mean": lambda h: h.mean(0), "max": lambda h: h.max(0)}[
        pooling
    ]
    pooled = np.array([pool(g.hidden) if len(g.hidden) else np.zeros(6) for g in model.gates(X)])
    p = model.parameters_
    outputs = pooled @ p["head_weight"].T + p["head_bias"]
    expected = outputs[:, 0] * model.target_scale_ + model.target_mean_
    assert_allclose(model.predict(X), expected, rtol=1e-10)


def test_default_is_the_highest_layer(model):
    for default, named, last in zip(
        model.gates(X), model.gates(X, layer=1), model.gates(X, layer=-1), strict=True
    ):
        assert_array_equal(default.cell, named.cell)
        assert_array_equal(default.cell, last.cell)


def test_batch_does_not_matter(model):
    for x, whole in zip(X, model.gates(X), strict=True):
        assert_array_equal(model.gates([x])[0].hidden, whole.hidden)


def test_dtype():
    model = estimator("binary").fit(X, targets("binary"))
    assert model.gates(X)[1].forget.dtype == np.float32


@pytest.mark.parametrize("layer", [2, -3, 1.0, "last", None])
def test_no_such_layer(model, layer):
    with pytest.raises((ValueError, TypeError), match="layer"):
        model.gates(X, layer=layer)
