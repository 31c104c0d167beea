"""LSTMClassifier: labels, probabilities and scores."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, targets
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import accuracy_score

X = ragged_sequences()
N = len(X)

LABELS = {
    "bool": (np.array([False, True]), 2),
    "signs": (np.array([-1, 1]), 2),
    "floats": (np.array([0.0, 2.0]), 2),
    "text": (np.array(["no", "yes"]), 2),
    "objects": (np.array(["no", "yes"], dtype=object), 2),
    "three": (np.array([3, 1, 7]), 3),
    "many": (np.array(list("abcdefgh")), 8),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_type(kind):
    names, n_classes = LABELS[kind]
    y = names[np.arange(N) % n_classes]
    model = estimator("binary").fit(X, y)
    assert_array_equal(model.classes_, np.unique(names), strict=True)
    predicted = model.predict(X)
    assert predicted.dtype == y.dtype
    assert set(predicted) <= set(names)
    assert model.n_outputs_ == (1 if n_classes == 2 else n_classes)
    assert model.predict_proba(X).shape == (N, n_classes)
    assert model.score(X, y) == accuracy_score(y, predicted)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
def test_outputs_agree(problem):
    model = estimator(problem, dtype="float64").fit(X, targets(problem))
    scores, probabilities = model.decision_function(X), model.predict_proba(X)
    if problem == "multiclass":
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        assert_allclose(probabilities, powers / powers.sum(axis=1, keepdims=True), rtol=1e-12)
        assert_array_equal(model.predict(X), model.classes_[scores.argmax(axis=1)])
        return
    logistic = 1 / (1 + np.exp(-scores))
    if problem == "binary":
        assert_allclose(probabilities[:, 1], logistic, rtol=1e-12)
        assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-15)
        assert_array_equal(model.predict(X), (scores > 0).astype(int))
    else:
        assert_allclose(probabilities, logistic, rtol=1e-12)
        assert_array_equal(model.predict(X), (scores > 0).astype(int))


def test_loss_is_the_weighted_cross_entropy():
    # One batch and a vanishing step: the loss of the epoch is that of the fitted network.
    y, weights = targets("multiclass"), np.random.default_rng(0).uniform(size=N)
    model = estimator(
        "multiclass", batch_size=N, max_iter=1, learning_rate=1e-300, dtype="float64"
    ).fit(X, y, sample_weight=weights)
    chosen = model.predict_proba(X)[np.arange(N), np.searchsorted(model.classes_, y)]
    assert_allclose(model.loss_, np.average(-np.log(chosen), weights=weights), rtol=1e-12)


@pytest.mark.parametrize(
    "form",
    [np.asarray, lambda y: y.tolist(), list, sparse.csr_array, lambda y: y.astype(float), np.bool_],
    ids=["array", "lists", "list of arrays", "sparse", "float", "bool"],
)
def test_forms_of_indicators(form):
    y = targets("multilabel")
    model = estimator("multilabel").fit(X, y)
    twin = estimator("multilabel").fit(X, form(y))
    assert_array_equal(model.coefs_, twin.coefs_)
    assert_array_equal(twin.classes_, np.arange(4))
    assert_array_equal(model.predict(X), twin.predict(X), strict=True)
    assert twin.predict(X).dtype == np.int64


def test_a_label_that_is_never_set():
    y = targets("multilabel") * [1, 0, 1, 1]
    model = estimator("multilabel", max_iter=40, learning_rate=0.05).fit(X, y)
    assert not model.predict(X)[:, 1].any()


def test_a_column_of_labels_is_mentioned():
    y = targets("binary")
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        model = estimator("binary").fit(X, y[:, None])
    assert_array_equal(model.coefs_, estimator("binary").fit(X, y).coefs_)
    assert model.predict(X).shape == (N,)


def test_weights_of_classes_shift_the_scores():
    y = targets("binary")
    model = estimator("binary", max_iter=30, learning_rate=0.02).fit(
        X, y, sample_weight=np.where(y, 9, 1)
    )
    assert model.predict_proba(X)[:, 1].mean() > 0.7


def test_classes_of_weight_zero_are_absent():
    y = targets("multiclass")
    model = estimator("multiclass").fit(X, y, sample_weight=y != "bee")
    assert_array_equal(model.classes_, ["ant", "cat"])
    assert model.n_outputs_ == 1
