"""The checks of scikit-learn that matter, for 3-D and ragged X, and bit for bit."""

from __future__ import annotations

import copy
import pickle

import joblib
import numpy as np
import pytest
from estimators.problems import N_FEATURES, N_SAMPLES, methods, picked
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted


def assert_same_model(first, second, X):
    """Assert that two fitted models agree in every bit that a user can see."""
    assert_array_equal(first.coefs_, second.coefs_, strict=True)
    assert first.loss_curve_ == second.loss_curve_
    for name, method in methods(first).items():
        assert_array_equal(method(X), getattr(second, name)(X), strict=True)


def test_fit_returns_self_and_fits(case):
    model, X, y = case
    with pytest.raises(AttributeError):
        check_is_fitted(model)
    assert model.fit(X, y) is model
    check_is_fitted(model)
    assert model.n_features_in_ == N_FEATURES
    assert not hasattr(model, "feature_names_in_")
    assert model.predict(X).shape == y.shape


def test_clone_is_unfitted_and_fits_alike(case):
    model, X, y = case
    model.fit(X, y)
    twin = clone(model)
    assert not hasattr(twin, "coefs_")
    assert twin.get_params() == model.get_params()
    assert_same_model(model, twin.fit(X, y), X)


@pytest.mark.parametrize(
    "duplicate",
    [
        lambda model, _: pickle.loads(pickle.dumps(model)),
        lambda model, _: copy.copy(model),
        lambda model, _: copy.deepcopy(model),
        lambda model, path: (joblib.dump(model, path), joblib.load(path, mmap_mode="r"))[1],
    ],
    ids=["pickle", "copy", "deepcopy", "joblib memmap"],
)
def test_duplicates_predict_the_same(case, duplicate, tmp_path):
    model, X, y = case
    model.fit(X, y)
    twin = duplicate(model, tmp_path / "model.joblib")
    assert twin is not model
    assert_same_model(model, twin, X)


def test_state_holds_nothing_of_the_core(case):
    model, X, y = case
    model.fit(X, y).predict(X)
    state = model.__getstate__()
    assert "_cache" not in state
    assert b"lstmcore._core" not in pickle.dumps(state)


def test_fit_is_idempotent(case):
    model, X, y = case
    first = copy.deepcopy(model.fit(X, y))
    assert_same_model(first, model.fit(X, y), X)


def test_predict_leaves_the_estimator_alone(case):
    model, X, y = case
    model.fit(X, y)
    before = vars(model).copy()
    for method in methods(model).values():
        method(X)
    assert vars(model) == before


def test_input_is_not_changed(case):
    model, X, y = case
    weights = np.linspace(0, 2, N_SAMPLES)
    before = copy.deepcopy((X, y, weights))
    model.fit(X, y, sample_weight=weights).predict(X)
    assert_array_equal(y, before[1], strict=True)
    assert_array_equal(weights, before[2], strict=True)
    for now, then in zip(X, before[0], strict=True):
        assert_array_equal(now, then, strict=True)


def test_weight_zero_is_absence(case):
    model, X, y = case
    weights = np.arange(N_SAMPLES) % 4 * 0.5
    kept = np.flatnonzero(weights)
    model.fit(X, y, sample_weight=weights)
    twin = clone(model).fit(picked(X, kept), y[kept], sample_weight=weights[kept])
    assert_same_model(model, twin, X)


def test_weight_two_is_twice(case):
    model, X, y = case
    counts = np.arange(N_SAMPLES) % 3
    repeated = np.repeat(np.arange(N_SAMPLES), counts)
    model.fit(X, y, sample_weight=counts)
    twin = clone(model).fit(picked(X, repeated), y[repeated])
    assert_same_model(model, twin, X)


def test_order_of_samples_does_not_matter(case):
    model, X, y = case
    # Equal samples with different weights, so that their sum could depend on the order.
    twice = np.tile(np.arange(N_SAMPLES), 3)
    X, y = picked(X, twice), y[twice]
    weights = np.random.default_rng(2).uniform(size=len(y))
    order = np.random.default_rng(3).permutation(len(y))
    model.set_params(dropout=0.3).fit(X, y, sample_weight=weights)
    twin = clone(model).fit(picked(X, order), y[order], sample_weight=weights[order])
    assert_same_model(model, twin, X)


def test_predictions_do_not_depend_on_the_batch(case):
    model, X, y = case
    model.fit(X, y)
    order = np.random.default_rng(4).permutation(N_SAMPLES)
    for method in methods(model).values():
        whole = method(X)
        assert_array_equal(method(picked(X, order)), whole[order])
        alone = [method(picked(X, np.array([i])))[0] for i in range(N_SAMPLES)]
        assert_array_equal(np.array(alone), whole)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype(case, dtype):
    model, X, y = case
    model.set_params(dtype=dtype).fit(X, y)
    assert model.coefs_.dtype == dtype
    found = {name: method(X).dtype for name, method in methods(model).items()}
    if "predict_proba" in found:
        assert found["predict_proba"] == found["decision_function"] == dtype
    else:
        assert found["predict"] == np.float64


def test_forms_of_the_same_sequences_agree(problem):
    from estimators.problems import estimator, sequences, targets

    X, y = sequences("3d"), targets(problem)
    model = estimator(problem).fit(X, y)
    assert_same_model(model, clone(model).fit(list(X), y), X)
    flat = estimator(problem, "2d").fit(sequences("2d"), y)
    assert flat.n_features_in_ == N_FEATURES
    assert_same_model(model, flat, X)
    assert_array_equal(flat.predict(sequences("2d")), model.predict(list(X)))


def test_empty_batch_of_sequences(case):
    model, X, y = case
    model.fit(X, y)
    for method in methods(model).values():
        assert method([]).shape == (0, *method(X).shape[1:])
        assert method([]).dtype == method(X).dtype
    assert model.gates([]) == []


def test_empty_sequences_all_predict_the_same(case):
    model, X, y = case
    model.fit(X, y)
    empty = np.zeros((0, N_FEATURES))
    for method in methods(model).values():
        rows = method([empty, np.ones((2, N_FEATURES)), empty])
        assert_array_equal(rows[0], rows[2])
        assert_array_equal(method([empty])[0], rows[0])


def test_representations(case):
    model, X, y = case
    assert "hidden_size=6" in repr(model)
    assert "LSTM" in model.fit(X, y)._repr_html_()
