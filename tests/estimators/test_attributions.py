"""Input gradients against finite differences; integrated gradients against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, picked, sequences, targets
from numpy.testing import assert_allclose, assert_array_equal

POOLINGS = ("last", "mean", "max")


def output_of(model, X, k):
    """The output number k that is differentiated, one number per sequence."""
    if hasattr(model, "decision_function"):
        return model.decision_function(X).reshape(len(X), -1)[:, k]
    return model.predict(X).reshape(len(X), -1)[:, k]


def fitted(problem, form, **settings):
    X, y = sequences(form), targets(problem)
    model = estimator(problem, form, dtype="float64", hidden_size=(5, 4), **settings).fit(X, y)
    return model, picked(X, np.arange(6))


def target_for(model, problem, k):
    if problem == "binary":
        return model.classes_[1]
    return model.classes_[k] if problem == "multiclass" else k


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradient_equals_finite_differences(problem, form, pooling):
    model, X = fitted(problem, form, pooling=pooling)
    k = 0 if model.n_outputs_ == 1 else 1
    found = model.attributions(X, target=target_for(model, problem, k))
    assert type(found) is type(X)
    step = 1e-5
    for i, x in enumerate(X):
        assert found[i].shape == x.shape
        for place in np.ndindex(x.shape):
            high, low = x.copy(), x.copy()
            high[place] += step
            low[place] -= step
            pair = [high, low] if form == "ragged" else np.array([high, low])
            outputs = output_of(model, pair, k)
            slope = (outputs[0] - outputs[1]) / (2 * step)
            assert_allclose(found[i][place], slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_integrated_gradients_add_up(problem, pooling):
    model, X = fitted(problem, "ragged", pooling=pooling)
    k = 0 if model.n_outputs_ == 1 else 1
    arguments = {"target": target_for(model, problem, k), "method": "integrated"}
    base = np.array([0.1, -0.2, 0.3])
    found = model.attributions(X, baseline=base, n_steps=400, **arguments)
    starts = [np.tile(base, (len(x), 1)) for x in X]
    difference = output_of(model, X, k) - output_of(model, starts, k)
    atol = 1e-6 if pooling != "max" else 2e-3  # its gradient jumps on the way
    assert_allclose([a.sum() for a in found], difference, rtol=1e-4, atol=atol)


def test_the_predicted_class_is_the_default():
    for problem in ("binary", "multiclass"):
        model, X = fitted(problem, "ragged")
        predicted = model.predict(X)
        found = model.attributions(X)
        for one, other in zip(found, model.attributions(X, target=predicted), strict=True):
            assert_array_equal(one, other)
        for i, label in enumerate(predicted):
            assert_array_equal(model.attributions([X[i]], target=label)[0], found[i])


def test_against_the_other_of_two_classes():
    model, X = fitted("binary", "3d")
    pro, con = (model.attributions(X, target=label) for label in model.classes_)
    assert_array_equal(pro, -con)


def test_the_same_bits_for_any_batch_and_number_of_threads(problem):
    X, y = sequences("ragged"), targets(problem)
    model = estimator(problem, hidden_size=(9, 17)).fit(X, y)
    target = 0 if problem in ("multilabel", "three outputs") else None
    found = model.attributions(X, target=target)
    order = np.random.default_rng(0).permutation(len(X))
    again = model.set_params(n_jobs=3).attributions(picked(X, order), target=target)
    for k, i in enumerate(order):
        assert_array_equal(again[k], found[i], strict=True)
        alone = model.attributions([X[i]], target=target)[0]
        assert_array_equal(alone, found[i])


def test_missing_values():
    X, y = sequences("ragged"), targets("one output")
    X = [x.copy() for x in X]
    for x in X[::2]:
        x[: len(x) // 2, 1] = np.nan
    model = estimator("one output", missing="mask", dtype="float64").fit(X, y)
    gradient = model.attributions(X)
    integrated = model.attributions(X, method="integrated", n_steps=300)
    zeros = [np.zeros_like(x) for x in X]
    difference = model.predict(X) - model.predict(zeros)
    for k, x in enumerate(X):
        assert_array_equal(np.isnan(gradient[k]), np.isnan(x))
        assert np.isfinite(integrated[k]).all()
        assert_allclose(integrated[k].sum(), difference[k], rtol=1e-4, atol=1e-6)


def test_nothing_to_attribute():
    model, _ = fitted("binary", "ragged")
    assert model.attributions([]) == []
    assert model.attributions([np.empty((0, 3))])[0].shape == (0, 3)


BAD = [
    ("binary", {"method": "shap"}, 'method must be "gradient" or "integrated"'),
    ("binary", {"method": "integrated", "n_steps": 0}, "n_steps must be an int of at least 1"),
    ("binary", {"target": 5}, r"target must be of the classes \[0, 1\], got"),
    ("binary", {"target": [0, 1]}, r"target must be a label or 6 labels, got the shape \(2,\)"),
    ("multilabel", {}, "target must say which of the 4 outputs is meant"),
    ("multilabel", {"target": 4}, "target must be from 0 to 3, got 4"),
    ("three outputs", {"target": 0.5}, "target must be an int or 6 ints"),
    ("one output", {"baseline": [0.0, 1.0]}, "baseline must be a finite number or 3 of them"),
    ("one output", {"baseline": np.nan}, "baseline must be a finite number or 3 of them"),
]


@pytest.mark.parametrize(("problem", "arguments", "message"), BAD)
def test_bad_arguments(problem, arguments, message):
    model, X = fitted(problem, "ragged")
    with pytest.raises(ValueError, match=message):
        model.attributions(X, **arguments)
