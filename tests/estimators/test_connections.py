"""Estimators that read both ways and add what they read."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, targets
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

import lstmcore
from lstmcore import LSTMEnsemble
from lstmcore.cells import GRUCell, LSTMCell, RNNCell

X = ragged_sequences()
BOTH = {"bidirectional": True, "residual": True, "hidden_size": (5, 5), "dropout": 0.2}


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_attributions_gates_and_copies(pooling, tmp_path):
    y = targets("one output")
    model = estimator("one output", pooling=pooling, dtype="float64", **BOTH).fit(X, y)
    assert model.parameters_["head_weight"].shape == (1, 10)
    for layer in (0, 1):
        assert [g.hidden.shape for g in model.gates(X, layer=layer)] == [(len(x), 10) for x in X]
    found, step = model.attributions(X[:4]), 1e-5
    for x, attribution in zip(X[:4], found, strict=True):
        for place in np.ndindex(x.shape):
            high, low = x.copy(), x.copy()
            high[place] += step
            low[place] -= step
            slope = np.subtract(*model.predict([high, low])) / (2 * step)
            assert_allclose(attribution[place], slope, rtol=1e-5, atol=1e-8)
    model.save(tmp_path / "model")
    for other in (
        lstmcore.load(tmp_path / "model"),
        pickle.loads(pickle.dumps(model)),
        clone(model).set_params(n_jobs=2).fit(X, y),
        clone(model).set_params(n_jobs=1).fit(X, y),
    ):
        assert other.bidirectional
        assert other.residual
        assert_array_equal(other.predict(X), model.predict(X))
        assert_array_equal(other.coefs_, model.coefs_)


def test_partial_fit_and_ensemble():
    y = targets("multiclass")
    model = estimator("multiclass", **BOTH)
    for _ in range(model.max_iter):
        model.partial_fit(X, y, classes=np.unique(y))
    assert model.predict_proba(X).shape == (len(X), 3)
    with pytest.raises(ValueError, match="partial_fit goes on with the network of the last fit"):
        model.set_params(bidirectional=False).partial_fit(X, y)
    ensemble = LSTMEnsemble(estimator("multiclass", **BOTH), n_models=2, random_state=0).fit(X, y)
    assert_allclose(ensemble.predict_proba(X).sum(axis=1), 1, rtol=1e-6)


def test_unequal_sizes():
    with pytest.raises(ValueError, match=r"hidden_size is \(4, 3\): with residual=True"):
        estimator("binary", hidden_size=(4, 3), residual=True).fit(X, targets("binary"))


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize(
    "cell",
    [
        "lstm",
        "gru",
        GRUCell(reset_after=False, gate_clip=1.0),
        "rnn",
        RNNCell(nonlinearity="relu"),
        LSTMCell(peephole=True, coupled_gates=True, cell_clip=0.5, gate_activation="hard_sigmoid"),
        LSTMCell(layer_norm=True, proj_size=3),
    ],
    ids=str,
)
def test_steps_of_every_cell_and_stack(cell, pooling):
    """Residual stacks over tokens beside numbers: the bits of the sequences so far."""
    tokens = [np.column_stack([x[:, 0], np.arange(len(x)) % 4, x[:, 2]]) for x in X]
    options = {"residual": True, "hidden_size": (5, 5, 5), "embedding_size": {1: 3}}
    model = estimator("multiclass", cell=cell, pooling=pooling, dropout=0.2, **options)
    model.fit(tokens, targets("multiclass"))
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(9, 7, 3))
    rows[..., 1] = rng.integers(0, 4, (9, 7))
    state = model.initial_state(9)
    for t in range(7):
        step, state = model.step(rows[:, t], state, method="predict_proba")
        assert_array_equal(step, model.predict_proba(rows[:, : t + 1]))
    # Threads and company change nothing.
    assert_array_equal(model.set_params(n_jobs=2).predict_proba(list(rows))[4:], step[4:])
    assert_array_equal(model.predict_proba(rows[3:4]), step[3:4])
