"""Sequences go through the tools of scikit-learn as they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import sklearn
from estimators.problems import estimator, methods, picked, ragged_sequences, targets
from numpy.testing import assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from lstmcore import SequenceScaler


def as_polars(frame):
    return pytest.importorskip("polars").from_dict(frame.to_dict("list"))


def as_pyarrow(frame):
    return pytest.importorskip("pyarrow").table(dict(frame.items()))


FRAMES = {"pandas": lambda frame: frame, "polars": as_polars, "pyarrow": as_pyarrow}


def scaled(X):
    return [x / 2 for x in X]


def test_split_and_score(problem):
    X, y = ragged_sequences(), targets(problem)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    assert isinstance(X_train, list)
    model = estimator(problem).fit(X_train, y_train)
    assert np.isfinite(model.score(X_test, y_test))
    assert np.isfinite(model.score(X_test, y_test, sample_weight=np.arange(len(y_test))))


def test_cross_validation_on_ragged_lists(problem):
    X, y = ragged_sequences(), targets(problem)
    scores = cross_val_score(estimator(problem), X, y, cv=3, error_score="raise")
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()
    assert cross_val_predict(estimator(problem), X, y, cv=3).shape == y.shape


def test_grid_search_in_a_pipeline(problem):
    X, y = ragged_sequences(), targets(problem)
    pipeline = Pipeline([("scale", FunctionTransformer(scaled)), ("lstm", estimator(problem))])
    grid = {"lstm__hidden_size": [3, (4, 3)], "lstm__pooling": ["last", "mean"]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_estimator_.predict(X).shape == y.shape
    assert len(search.cv_results_["params"]) == 4


def test_weights_count_in_score(problem):
    X, y = ragged_sequences(), targets(problem)
    model, weights = estimator(problem).fit(X, y), np.arange(40) % 3
    repeated = np.repeat(np.arange(40), weights)
    expected = model.score(picked(X, repeated), y[repeated])
    assert model.score(X, y, sample_weight=weights) == pytest.approx(expected)
    assert model.score(X, y) != pytest.approx(expected)


def test_weights_are_routed():
    X, y = ragged_sequences(), targets("binary")
    weights = np.arange(len(y)) % 3
    with sklearn.config_context(enable_metadata_routing=True):
        model = estimator("binary").set_fit_request(sample_weight=True)
        pipeline = make_pipeline(FunctionTransformer(scaled), model)
        pipeline.fit(X, y, sample_weight=weights)
    twin = estimator("binary").fit(scaled(X), y, sample_weight=weights)
    assert_array_equal(pipeline[-1].coefs_, twin.coefs_)


def test_weights_are_not_routed_unasked():
    X, y = ragged_sequences(), targets("binary")
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(FunctionTransformer(scaled), estimator("binary"))
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError):
            pipeline.fit(X, y, sample_weight=np.ones(len(y)))


def test_bagging_of_rows():
    X = np.random.default_rng(0).normal(size=(30, 4))
    y = np.arange(30) % 2
    model = BaggingClassifier(estimator("binary", n_timesteps=2), n_estimators=2, random_state=0)
    assert model.fit(X, y).predict(X).shape == (30,)


class TestFrames:
    columns = pd.Index(["a0", "b0", "a1", "b1"])
    values = np.random.default_rng(0).normal(size=(20, 4))
    frame = pd.DataFrame(values, columns=columns)
    y = np.arange(20) % 2

    def test_feature_names(self):
        model = estimator("binary", n_timesteps=2).fit(self.frame, self.y)
        assert_array_equal(model.feature_names_in_, self.columns.to_numpy())
        assert model.n_features_in_ == 2
        steps = self.values.reshape(20, 2, 2)
        twin = estimator("binary").fit(steps, self.y)
        for name, method in methods(model).items():
            assert_array_equal(method(self.frame), getattr(twin, name)(steps))

    def test_other_names_are_refused(self):
        model = estimator("binary").fit(self.frame, self.y)
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(self.frame[self.columns[::-1]])

    def test_missing_names_are_mentioned(self):
        model = estimator("binary").fit(self.frame, self.y)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            model.predict(self.values)

    def test_names_go_with_the_next_fit(self):
        model = estimator("binary").fit(self.frame, self.y).fit(self.values, self.y)
        assert not hasattr(model, "feature_names_in_")

    def test_pipeline_with_a_scaler(self):
        scaler = StandardScaler().set_output(transform="pandas")
        model = make_pipeline(scaler, estimator("binary")).fit(self.frame, self.y)
        assert model.predict(self.frame).shape == (20,)
        assert_array_equal(model[-1].feature_names_in_, self.columns.to_numpy())

    def test_column_transformer(self):
        """Columns of a table, each with a scaler of its own, then rows of two steps."""
        columns = make_column_transformer(
            (SequenceScaler(), ["a0", "a1"]),
            (MinMaxScaler(), ["b0", "b1"]),
            verbose_feature_names_out=False,
        ).set_output(transform="pandas")
        in_order = FunctionTransformer(lambda frame: frame[self.columns])
        model = make_pipeline(columns, in_order, estimator("binary", n_timesteps=2))
        model.fit(self.frame, self.y)
        assert_array_equal(model[-1].feature_names_in_, self.columns.to_numpy())
        assert model[-1].n_features_in_ == 2
        scaled = np.stack([StandardScaler().fit_transform(self.values[:, ::2]),
                           MinMaxScaler().fit_transform(self.values[:, 1::2])], axis=2)  # fmt: skip
        twin = estimator("binary").fit(scaled, self.y)
        np.testing.assert_allclose(
            model.predict_proba(self.frame), twin.predict_proba(scaled), rtol=1e-6
        )

    @pytest.mark.parametrize("kind", FRAMES)
    def test_a_list_of_frames(self, kind):
        arrays = [self.values[:length] for length in (3, 0, 5, 2)]
        steps = [FRAMES[kind](pd.DataFrame(x, columns=self.columns)) for x in arrays]
        model = estimator("binary").fit(steps, [0, 1, 0, 1])
        assert_array_equal(model.feature_names_in_, self.columns.to_numpy())
        twin = estimator("binary").fit(arrays, [0, 1, 0, 1])
        assert_array_equal(model.predict_proba(steps), twin.predict_proba(arrays))
        turned = pd.DataFrame(self.values, columns=self.columns[::-1])
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict([FRAMES[kind](turned)])
        with pytest.raises(ValueError, match=r"same columns.*X\[1\] is or has \['b1', 'a1'"):
            estimator("binary").fit([steps[0], FRAMES[kind](turned)], [0, 1])
