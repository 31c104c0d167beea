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
