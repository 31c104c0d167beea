"""SequenceScaler: scikit-learn's scalers of rows, for sequences in every form."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from estimators.problems import N_FEATURES, estimator, picked, sequences, targets
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from lstmcore import SequenceScaler

METHODS = ("standard", "robust", "minmax")
ORACLES = {"standard": StandardScaler, "robust": RobustScaler, "minmax": MinMaxScaler}


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


def scaler_for(form, method="standard"):
    return SequenceScaler(method=method, n_timesteps=5 if form == "2d" else 1)


def rows_of(X):
    """All time steps of X, one below the other."""
    if isinstance(X, list):
        return np.concatenate(X)
    return X.reshape(-1, N_FEATURES)


def assert_equal_forms(found, expected):
    assert type(found) is type(expected)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert_array_equal(one, other, strict=True)


@parametrize_with_checks([SequenceScaler(method=method) for method in METHODS])
def test_check_estimator(estimator, check):
    check(estimator)


def test_scales_the_rows_as_scikit_learn_does(form, method):
    X = sequences(form)
    oracle = ORACLES[method]().fit(rows_of(X))
    scaled = scaler_for(form, method).fit_transform(X)
    assert_allclose(rows_of(scaled), oracle.transform(rows_of(X)), rtol=1e-12, atol=1e-14)
    assert isinstance(scaled, list) is (form == "ragged")
    assert [np.shape(x) for x in scaled] == [np.shape(x) for x in X]


def test_inverse_transform(form, method):
    X = sequences(form)
    scaler = scaler_for(form, method).fit(X)
    back = scaler.inverse_transform(scaler.transform(X))
    for one, other in zip(back, X, strict=True):
        assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, ">f4", bool])
def test_dtypes(form, dtype):
    X = sequences(form)
    X = [x.astype(dtype) for x in X] if form == "ragged" else X.astype(dtype)
    scaler = scaler_for(form).fit(X)
    expected = np.float32 if np.dtype(dtype).newbyteorder("=") == np.float32 else np.float64
    for scaled in (scaler.transform(X), scaler.inverse_transform(X)):
        assert {x.dtype for x in scaled} == {np.dtype(expected)}
    assert scaler.center_.dtype == scaler.scale_.dtype == np.float64


def test_x_is_not_changed(form, method):
    X = sequences(form)
    before = copy.deepcopy(X)
    scaler = scaler_for(form, method).fit(X)
    scaler.inverse_transform(scaler.transform(X))
    assert_equal_forms(X, before)
    parts = X if form == "ragged" else [X]
    for part in parts:
        part.flags.writeable = False
    assert_equal_forms(scaler.transform(X), scaler.fit(X).transform(X))


def test_nan_passes_and_does_not_count(method):
    X = sequences("ragged")
    X[3] = np.full((2, N_FEATURES), np.nan)
    X[4] = X[4].copy()
    X[4][0, 1] = np.nan
    scaler = scaler_for("ragged", method).fit(X)
    oracle = ORACLES[method]().fit(rows_of(X))
    scaled = scaler.transform(X)
    assert_allclose(rows_of(scaled), oracle.transform(rows_of(X)), rtol=1e-12, atol=1e-14)
    assert np.isnan(scaled[3]).all()
    assert_array_equal(np.isnan(scaled[4]), np.isnan(X[4]))


def test_features_without_spread_or_values(method):
    X = np.random.default_rng(0).normal(size=(5, 4, 3))
    X[..., 1], X[..., 2] = 7.0, np.nan
    scaler = SequenceScaler(method=method).fit(X)
    assert_array_equal(scaler.scale_[1:], [1.0, 1.0])
    assert_array_equal(scaler.center_[1:], [7.0, 0.0])
    assert_array_equal(scaler.transform(X)[..., 1], np.zeros((5, 4)))
    assert_array_equal(scaler.transform(np.ones((1, 1, 3)))[0, 0, 2], 1.0)


def test_order_and_weights_do_not_change_a_bit(form, method):
    X = sequences(form)
    counts = np.arange(len(X)) % 3
    order = np.random.default_rng(5).permutation(np.repeat(np.arange(len(X)), counts))
    scaler = scaler_for(form, method).fit(X, sample_weight=counts)
    twin = scaler_for(form, method).fit(picked(X, order))
    assert_array_equal(scaler.center_, twin.center_)
    assert_array_equal(scaler.scale_, twin.scale_)
    unweighted = scaler_for(form, method).fit(X)
    if method != "minmax":
        assert not np.array_equal(scaler.center_, unweighted.center_)


def test_fractions_of_weights():
    X, weights = sequences("ragged"), np.random.default_rng(0).uniform(size=40)
    each = np.repeat(weights, [len(x) for x in X])
    oracle = StandardScaler().fit(rows_of(X), sample_weight=each)
    scaler = SequenceScaler().fit(X, sample_weight=weights)
    assert_allclose(scaler.center_, oracle.mean_, rtol=1e-12)
    assert_allclose(scaler.scale_, oracle.scale_, rtol=1e-12)
    with pytest.raises(ValueError, match="sample_weight must be whole numbers where method="):
        SequenceScaler(method="robust").fit(X, sample_weight=weights)


@pytest.mark.parametrize("method", ["standard", "minmax"])
def test_partial_fit_sees_it_all(form, method):
    X = sequences(form)
    whole = scaler_for(form, method).fit(X)
    parts = scaler_for(form, method)
    for begin in range(0, 40, 10):
        assert parts.partial_fit(X[begin : begin + 10]) is parts
    assert_allclose(parts.center_, whole.center_, rtol=1e-12)
    assert_allclose(parts.scale_, whole.scale_, rtol=1e-12)
    again = parts.fit(X)
    assert_array_equal(again.center_, whole.center_)


@pytest.mark.parametrize("method", ["standard", "minmax"])
@pytest.mark.parametrize("absent", [slice(5), slice(5, 10)], ids=["first", "last"])
def test_partial_fit_of_a_feature_that_is_absent_at_times(method, absent):
    X = np.random.default_rng(0).normal(size=(10, 4, 2))
    X[absent, :, 1] = np.nan
    parts = SequenceScaler(method=method).partial_fit(X[:5]).partial_fit(X[5:])
    whole = SequenceScaler(method=method).fit(X)
    assert_allclose(parts.center_, whole.center_, rtol=1e-12)
    assert_allclose(parts.scale_, whole.scale_, rtol=1e-12)


def test_partial_fit_leaves_older_copies_alone():
    X = sequences("ragged")
    scaler = SequenceScaler().partial_fit(X[:20])
    other = copy.copy(scaler)
    scaler.partial_fit(X[20:])
    other.partial_fit(X[20:])
    assert_array_equal(scaler.center_, other.center_)


def test_robust_is_not_learnt_in_parts():
    assert not hasattr(SequenceScaler(method="robust"), "partial_fit")
    assert hasattr(SequenceScaler(), "partial_fit")


def test_pickle_and_clone(form, method):
    X = sequences(form)
    scaler = scaler_for(form, method).fit(X)
    assert_equal_forms(pickle.loads(pickle.dumps(scaler)).transform(X), scaler.transform(X))
    twin = clone(scaler)
    assert not hasattr(twin, "center_")
    assert_equal_forms(twin.fit(X).transform(X), scaler.transform(X))


def test_empty_batch(form, method):
    scaler = scaler_for(form, method).fit(sequences(form))
    assert scaler.transform([]) == []
    assert scaler.inverse_transform([]) == []


def test_pipeline_equals_scaling_by_hand(problem, form):
    X, y = sequences(form), targets(problem)
    pipeline = make_pipeline(scaler_for(form), estimator(problem, form)).fit(X, y)
    scaler = scaler_for(form).fit(X)
    by_hand = estimator(problem, form).fit(scaler.transform(X), y)
    assert_array_equal(pipeline[-1].coefs_, by_hand.coefs_)
    assert_array_equal(pipeline.predict(X), by_hand.predict(scaler.transform(X)))


def test_pipeline_fits_a_weighted_set_of_samples(problem):
    X, y = sequences("ragged"), targets(problem)
    counts = np.arange(len(y)) % 3
    order = np.random.default_rng(1).permutation(np.repeat(np.arange(len(y)), counts))
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = SequenceScaler().set_fit_request(sample_weight=True)
        model = estimator(problem).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(scaler, model).fit(X, y, sample_weight=counts)
    twin = make_pipeline(SequenceScaler(), estimator(problem)).fit(picked(X, order), y[order])
    assert_array_equal(pipeline.predict(X), twin.predict(X))
    assert_array_equal(pipeline[-1].coefs_, twin[-1].coefs_)


def test_grid_search_over_methods(problem):
    X, y = sequences("ragged"), targets(problem)
    pipeline = make_pipeline(SequenceScaler(), estimator(problem))
    grid = {"sequencescaler__method": METHODS}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert search.predict(X).shape == y.shape
    assert search.cv_results_["mean_test_score"].shape == (3,)


class TestFrames:
    frame = pd.DataFrame(
        np.random.default_rng(0).normal(3, 2, (20, 4)), columns=["a0", "b0", "a1", "b1"]
    )

    def test_names_are_kept(self):
        scaler = SequenceScaler(n_timesteps=2).fit(self.frame)
        assert scaler.n_features_in_ == 2
        assert scaler.get_feature_names_out().tolist() == list(self.frame.columns)
        with pytest.raises(ValueError, match="feature names should match"):
            scaler.transform(self.frame[self.frame.columns[::-1]])
        scaler.fit(self.frame.to_numpy())
        assert not hasattr(scaler, "feature_names_in_")
        assert scaler.get_feature_names_out().tolist() == ["x0", "x1", "x2", "x3"]

    @pytest.mark.parametrize("kind", ["pandas", "polars"])
    def test_set_output(self, kind):
        pytest.importorskip(kind)
        scaler = SequenceScaler(n_timesteps=2).set_output(transform=kind)
        scaled = scaler.fit_transform(self.frame)
        assert type(scaled).__module__.startswith(kind)
        assert list(scaled.columns) == list(self.frame.columns)
        assert_array_equal(scaled, SequenceScaler(n_timesteps=2).fit_transform(self.frame))
        assert type(clone(scaler).fit_transform(self.frame)) is type(scaled)

    def test_set_output_keeps_the_index(self):
        frame = self.frame.set_index(pd.Index(range(100, 120)))
        scaled = SequenceScaler().set_output(transform="pandas").fit_transform(frame)
        assert_array_equal(scaled.index, frame.index)

    @pytest.mark.parametrize("form", ["3d", "ragged"])
    def test_sequences_stay_arrays_whatever_is_set(self, form):
        X = sequences(form)
        with sklearn.config_context(transform_output="pandas"):
            scaled = SequenceScaler().fit_transform(X)
        assert_equal_forms(scaled, SequenceScaler().fit_transform(X))

    def test_some_columns_of_a_table(self):
        transformer = make_column_transformer((SequenceScaler(), ["a0", "a1"]))
        scaled = transformer.fit_transform(self.frame)
        expected = StandardScaler().fit_transform(self.frame[["a0", "a1"]].to_numpy())
        assert_allclose(scaled, expected, rtol=1e-12, atol=1e-14)

    def test_a_list_of_frames(self):
        X = [self.frame[:3], self.frame[3:3], self.frame[3:]]
        scaler = SequenceScaler().fit(X)
        assert scaler.feature_names_in_.tolist() == list(self.frame.columns)
        assert_equal_forms(
            scaler.transform(X), SequenceScaler().fit_transform([x.to_numpy() for x in X])
        )
        with pytest.raises(ValueError, match=r"same columns.*X\[1\] is or has \['b1'"):
            SequenceScaler().fit([self.frame, self.frame[self.frame.columns[::-1]]])


BAD = {
    "inf": (lambda X: [*X[:-1], np.full((2, 3), np.inf)], "infinity.*: sample 39, time step 0"),
    "no step": (lambda X: [x[:0] for x in X], "no time step"),
    "nothing": (lambda X: [], "0 sample"),
    "text": (lambda X: [np.array([["a", "b", "c"]])], "real numbers"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_x_changes_nothing(kind):
    spoil, message = BAD[kind]
    X = sequences("ragged")
    scaler = SequenceScaler().fit(X)
    before = vars(scaler).copy()
    with pytest.raises(ValueError, match=message):
        scaler.fit(spoil(X))
    with pytest.raises(ValueError, match=message if kind != "nothing" else "no time step"):
        scaler.partial_fit(spoil(X))
    assert vars(scaler) == before


@pytest.mark.parametrize("call", ["transform", "inverse_transform", "partial_fit"])
def test_other_number_of_features(call):
    scaler = SequenceScaler().fit(sequences("ragged"))
    with pytest.raises(ValueError, match="X has 4 features, but SequenceScaler is expecting 3"):
        getattr(scaler, call)([np.ones((2, 4))])


def test_bad_parameters():
    X = sequences("ragged")
    with pytest.raises(ValueError, match="'method' parameter of SequenceScaler must be one of"):
        SequenceScaler(method="l2").fit(X)
    with pytest.raises(ValueError, match="'n_timesteps' parameter"):
        SequenceScaler(n_timesteps=0).fit(X)
    with pytest.raises(NotFittedError):
        SequenceScaler().transform(X)
    scaler = SequenceScaler().fit(X)
    with pytest.raises(ValueError, match="length equal to number of features"):
        scaler.get_feature_names_out(["a"])
