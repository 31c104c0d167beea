"""LSTMRegressor: scale of the targets, several outputs, losses."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, targets
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import r2_score

X = ragged_sequences()
N = len(X)
y = targets("three outputs")


@pytest.mark.parametrize("shape", [(N,), (N, 1), (N, 3)], ids=str)
def test_predictions_have_the_shape_of_y(shape):
    numbers = y[:, 0] if len(shape) == 1 else y[:, : shape[1]]
    model = estimator("one output").fit(X, numbers)
    predicted = model.predict(X)
    assert predicted.shape == shape
    assert predicted.dtype == np.float64
    assert model.score(X, numbers) == r2_score(numbers, predicted)
    assert model.n_outputs_ == (1 if len(shape) == 1 else shape[1])


def test_targets_are_standardised_with_weights():
    weights = np.random.default_rng(0).uniform(size=N)
    model = estimator("three outputs").fit(X, y, sample_weight=weights)
    mean = np.average(y, axis=0, weights=weights)
    assert_allclose(model.target_mean_, mean, rtol=1e-12)
    spread = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weights))
    assert_allclose(model.target_scale_, spread, rtol=1e-12)


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**10, 2.0**60])
def test_unit_of_the_targets_does_not_matter(factor):
    # All samples in one batch: another content gives them another order.
    settings = {"batch_size": N, "dtype": "float64", "max_iter": 20}
    model = estimator("three outputs", **settings).fit(X, y)
    scaled = estimator("three outputs", **settings).fit(X, factor * y)
    assert_allclose(factor * model.predict(X), scaled.predict(X), rtol=1e-8, atol=1e-8 * factor)


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e300, 1e307])
def test_targets_of_any_size(size):
    numbers = np.where(np.arange(N) % 2, 1.0, -1.0) * size
    model = estimator("one output", max_iter=20).fit(X, numbers)
    assert np.isfinite(model.predict(X)).all()
    assert 0 < model.target_scale_[0] <= np.finfo(float).max


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7])
def test_constant_targets(value):
    model = estimator("one output", max_iter=200, learning_rate=0.02).fit(X, np.full(N, value))
    assert model.target_scale_[0] == 1
    assert_allclose(model.predict(X), value, rtol=1e-2, atol=1e-2)


def test_one_sample():
    model = estimator("one output").fit(X[1:2], [4.0])
    assert np.isfinite(model.predict(X[1:2])).all()


@pytest.mark.parametrize(
    "numbers", [y[:, 0].tolist(), (10 * y[:, 0]).astype(int)], ids=["list", "int"]
)
def test_forms_of_targets(numbers):
    plain = estimator("one output").fit(X, np.asarray(numbers, float))
    assert_array_equal(estimator("one output").fit(X, numbers).coefs_, plain.coefs_)


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_loss_is_that_of_the_standardised_targets(loss):
    # One batch and a vanishing step: the loss of the epoch is that of the fitted network.
    weights = np.random.default_rng(0).uniform(size=N)
    model = estimator(
        "three outputs",
        loss=loss,
        batch_size=N,
        max_iter=1,
        learning_rate=1e-300,
        dtype="float64",
    ).fit(X, y, sample_weight=weights)
    error = np.abs(model.predict(X) - y) / model.target_scale_
    each = error**2 if loss == "squared_error" else np.where(error < 1, error**2 / 2, error - 0.5)
    assert_allclose(model.loss_, np.average(each.mean(axis=1), weights=weights), rtol=1e-10)


def test_huber_heeds_outliers_less():
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(200, 2, 1))
    clean = steps.sum(axis=(1, 2))
    spoilt = np.where(np.arange(200) % 10, clean, 40.0)
    settings = {"max_iter": 80, "learning_rate": 0.02, "hidden_size": 8}
    errors = [
        np.abs(
            estimator("one output", loss=loss, **settings).fit(steps, spoilt).predict(steps) - clean
        )
        for loss in ("squared_error", "huber")
    ]
    assert np.median(errors[1]) < 0.5 * np.median(errors[0])
