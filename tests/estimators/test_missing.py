"""Missing values: refused, or 0 with an indicator that the network learns from."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from estimators.problems import N_FEATURES, estimator, methods, picked, sequences, targets
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from lstmcore import LSTMClassifier, LSTMRegressor, SequenceScaler

INCOMPLETE = [0, 2]


def with_gaps(X, seed=0):
    """X without some values of the features 0 and 2."""
    rng = np.random.default_rng(seed)
    X = copy.deepcopy(X)
    for x in X:
        gaps = rng.uniform(size=(x.size // N_FEATURES, N_FEATURES)) < 0.3
        gaps[:, 1] = False
        x[gaps.reshape(x.shape)] = np.nan
    return X


def by_hand(X, indicated=INCOMPLETE):
    """Zeros and indicators, written out step by step."""
    steps = [np.reshape(x, (-1, N_FEATURES)) for x in X]
    return [
        np.array(
            [
                [0.0 if np.isnan(v) else v for v in row]
                + [float(np.isnan(row[k])) for k in indicated]
                for row in x
            ]
        ).reshape(len(x), N_FEATURES + len(indicated))
        for x in steps
    ]


@parametrize_with_checks(
    [
        LSTMClassifier(missing="mask", tol=None, max_iter=30),
        LSTMRegressor(missing="mask", tol=None, max_iter=60, learning_rate=3e-3),
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


def test_tag():
    assert get_tags(LSTMClassifier(missing="mask")).input_tags.allow_nan
    assert not get_tags(LSTMClassifier()).input_tags.allow_nan


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeros_and_indicators(problem, form, dtype):
    X, y = with_gaps(sequences(form)), targets(problem)
    model = estimator(problem, form, missing="mask", dtype=dtype).fit(X, y)
    assert model.n_features_in_ == N_FEATURES
    assert_array_equal(model.missing_features_, INCOMPLETE)
    assert model.parameters_["weight_ih_l0"].shape[1] == 5
    twin = estimator(problem, dtype=dtype).fit(by_hand(X), y)
    assert_array_equal(model.coefs_, twin.coefs_)
    for name, method in methods(model).items():
        assert_array_equal(method(X), getattr(twin, name)(by_hand(X)))
    assert_array_equal(model.gates(X)[5].cell, twin.gates(by_hand(X))[5].cell)


def test_x_is_not_changed(form):
    X = with_gaps(sequences(form))
    before = copy.deepcopy(X)
    estimator("binary", form, missing="mask").fit(X, targets("binary")).predict(X)
    for now, then in zip(X, before, strict=True):
        assert_array_equal(now, then)


def test_nothing_missing_is_nothing_new(problem, form):
    X, y = sequences(form), targets(problem)
    model = estimator(problem, form, missing="mask").fit(X, y)
    assert len(model.missing_features_) == 0
    assert_array_equal(model.coefs_, estimator(problem, form).fit(X, y).coefs_)
    with pytest.raises(ValueError, match=r"NaN: .*, feature [02]\. .*in fit: \[\]"):
        model.predict(picked(with_gaps(X), np.array([0, 3])))


def test_complete_x_after_a_fit_with_gaps():
    X, y = with_gaps(sequences("ragged")), targets("binary")
    model = estimator("binary", missing="mask").fit(X, y)
    twin = estimator("binary").fit(by_hand(X), y)
    complete = sequences("ragged", seed=1)
    assert_array_equal(model.predict_proba(complete), twin.predict_proba(by_hand(complete)))
    assert model.predict([]).shape == (0,)


def test_gaps_in_another_feature_are_refused():
    X = with_gaps(sequences("3d"))
    model = estimator("binary", missing="mask").fit(X, targets("binary"))
    X[7, 3, 1] = np.nan
    message = r"sample 7, time step 3, feature 1\. .*missed some in fit: \[0, 2\]"
    with pytest.raises(ValueError, match=message):
        model.predict(X)
    with pytest.raises(
        ValueError, match=r"X contains infinity.*: sample 0, time step 0, feature 0"
    ):
        model.predict(np.full((1, 2, 3), np.inf))


def test_a_weight_of_zero_has_no_gaps():
    X, y = with_gaps(sequences("ragged")), targets("binary")
    X[9] = np.full((2, N_FEATURES), np.nan)
    weights = np.ones(len(y))
    weights[9] = 0
    model = estimator("binary", missing="mask").fit(X, y, sample_weight=weights)
    assert_array_equal(model.missing_features_, INCOMPLETE)


def test_warm_start_keeps_the_indicators():
    X, y = with_gaps(sequences("ragged")), targets("binary")
    model = estimator("binary", missing="mask", warm_start=True, max_iter=2).fit(X, y)
    complete = [np.nan_to_num(x) for x in X]
    model.fit(complete, y)
    assert_array_equal(model.missing_features_, INCOMPLETE)
    assert model.n_iter_ == 4


def test_copies_predict_the_same():
    X, y = with_gaps(sequences("ragged")), targets("binary")
    model = estimator("binary", missing="mask").fit(X, y)
    for twin in (pickle.loads(pickle.dumps(model)), clone(model).fit(X, y)):
        assert_array_equal(twin.predict_proba(X), model.predict_proba(X))


def test_the_indicator_is_learnt_from():
    # The label is whether the second feature was missing at the first step: nothing else tells.
    rng = np.random.default_rng(0)
    X = [rng.normal(5, 3, size=(rng.integers(3, 8), 2)) for _ in range(200)]
    y = rng.integers(0, 2, 200)
    for x, label in zip(X, y, strict=True):
        if label:
            x[0, 1] = np.nan
    settings = {"hidden_size": 16, "learning_rate": 0.02, "max_iter": 30, "tol": None}
    model = LSTMClassifier(**settings, missing="mask", random_state=0)
    pipeline = make_pipeline(SequenceScaler(), model).fit(X[:120], y[:120])
    assert pipeline.score(X[120:], y[120:]) > 0.95


def test_errors_are_the_default():
    X = with_gaps(sequences("3d"))
    sample, step, feature = np.argwhere(np.isnan(X))[0]
    message = f"X contains NaN: sample {sample}, time step {step}, feature {feature}"
    with pytest.raises(ValueError, match=message):
        estimator("binary").fit(X, targets("binary"))
    with pytest.raises(ValueError, match="'missing' parameter of LSTMClassifier must be one of"):
        estimator("binary", missing="impute").fit(X, targets("binary"))
