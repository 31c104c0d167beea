"""class_weight multiplies the weights of samples, as in scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, picked, ragged_sequences, sequences, targets
from numpy.testing import assert_array_equal
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from lstmcore import LSTMClassifier

TABLES = {
    "binary": {0: 0.5, 1: 3.0},
    "multiclass": {"ant": 2.0, "bee": 0.25},
    "multilabel": [{0: 1.0, 1: 2.0}, {1: 0.5}, {}, {0: 3.0, 1: 4.0}],
}


@parametrize_with_checks([LSTMClassifier(class_weight="balanced", tol=None, max_iter=30)])
def test_check_estimator(estimator, check):
    check(estimator)


def labels(problem):
    y = targets(problem)
    return y if problem == "multilabel" else y[np.minimum(np.arange(len(y)) % 7, 2)]


@pytest.mark.parametrize("problem", TABLES)
@pytest.mark.parametrize("kind", ["balanced", "table"])
def test_equals_sample_weights(problem, kind, form):
    X, y = sequences(form), labels(problem)
    class_weight = TABLES[problem] if kind == "table" else "balanced"
    model = estimator(problem, form, class_weight=class_weight).fit(X, y)
    full = class_weight
    if kind == "table" and problem == "multilabel":
        full = [{0: 1.0, 1: 1.0} | table for table in class_weight]
    weights = compute_sample_weight(full, y)
    twin = estimator(problem, form).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(model.coefs_, twin.coefs_, rtol=1e-4, atol=1e-5)
    assert not np.allclose(model.coefs_, estimator(problem, form).fit(X, y).coefs_, atol=1e-4)


@pytest.mark.parametrize("problem", TABLES)
def test_balanced_counts_weights(problem):
    X, y = ragged_sequences(), labels(problem)
    counts = np.arange(len(y)) % 3
    twice = np.random.default_rng(0).permutation(np.repeat(np.arange(len(y)), counts))
    model = estimator(problem, class_weight="balanced").fit(X, y, sample_weight=counts)
    twin = estimator(problem, class_weight="balanced").fit(picked(X, twice), y[twice])
    assert_array_equal(model.coefs_, twin.coefs_)


def test_a_class_of_weight_zero_is_not_learnt_but_known():
    X, y = ragged_sequences(), targets("multiclass")
    model = estimator("multiclass", class_weight={"cat": 0}).fit(X, y)
    assert model.classes_.tolist() == ["ant", "bee", "cat"]
    others = [x if label != "cat" else x + 1 for x, label in zip(X, y, strict=True)]
    twin = estimator("multiclass", class_weight={"cat": 0}).fit(others, y)
    assert_array_equal(model.coefs_, twin.coefs_)


def test_rare_class_is_found():
    rng = np.random.default_rng(0)
    y = (np.arange(400) % 20 == 0).astype(int)
    X = rng.normal(size=(400, 5, 1)) + 1.2 * y[:, None, None]
    settings = {"hidden_size": 8, "max_iter": 15, "tol": None, "random_state": 0}
    plain = LSTMClassifier(**settings).fit(X, y)
    balanced = LSTMClassifier(**settings, class_weight="balanced").fit(X, y)
    found = [model.predict(X)[y == 1].mean() for model in (plain, balanced)]
    assert found[0] < 0.6 < 0.8 < found[1]


BAD = [
    ("binary", "even", ValueError, "'class_weight' parameter of LSTMClassifier must be"),
    ("binary", 3, TypeError, "'class_weight' parameter of LSTMClassifier must be"),
    ("binary", {0: -1.0}, ValueError, "'class_weight' parameter of LSTMClassifier must be"),
    ("binary", {0: "heavy"}, TypeError, "'class_weight' parameter of LSTMClassifier must be"),
    ("binary", [{0: 1.0}], ValueError, "must be a dict or .balanced. where y holds one label"),
    ("binary", {0: 1.0, 7: 1.0}, ValueError, r"classes, \[1\], are not in class_weight"),
    ("binary", {0: 0.0, 1: 0.0}, ValueError, "leaves no sample a weight above 0"),
    ("multilabel", {0: 1.0}, ValueError, "a list of 4 dicts of 0 and 1"),
    ("multilabel", [{0: 1.0}] * 3, ValueError, "a list of 4 dicts of 0 and 1"),
    ("multilabel", [{2: 1.0}] * 4, ValueError, r"has the labels \[2\], expected 0 and 1"),
]


@pytest.mark.parametrize(("problem", "value", "error", "message"), BAD)
def test_bad_class_weights(problem, value, error, message):
    with pytest.raises(error, match=message):
        estimator(problem, class_weight=value).fit(ragged_sequences(), targets(problem))
