"""The tools of scikit-learn around 3-D and ragged X; what to do where they refuse a list."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from estimators.problems import estimator, picked, ragged_sequences, sequences, targets
from numpy.testing import assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from lstmcore import SequenceScaler
from lstmcore.cells import LSTMCell


@pytest.fixture(params=["3d", "ragged"])
def X(request):
    return sequences(request.param)


def as_objects(X):
    """A list of sequences as an array of objects, for tools that take nothing but arrays."""
    objects = np.empty(len(X), dtype=object)
    objects[:] = X
    return objects[:, None]


def from_objects(objects):
    """The list again, as the first step of a Pipeline inside such a tool."""
    return list(objects[:, 0])


def test_cross_val_predict_puts_each_sample_in_its_place(X):
    y = targets("multiclass")
    found = cross_val_predict(estimator("multiclass"), X, y, cv=3, method="predict_proba")
    assert found.shape == (40, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_halving_grid_search(X):
    y = targets("binary")
    pipeline = make_pipeline(SequenceScaler(), estimator("binary"))
    grid = {"lstmclassifier__hidden_size": [2, 3, 4]}
    settings = {"cv": 2, "min_resources": 12, "random_state": 0, "error_score": "raise"}
    search = HalvingGridSearchCV(pipeline, grid, **settings).fit(X, y)
    assert search.n_iterations_ >= 2
    assert search.predict(X).shape == y.shape


def test_calibration(X):
    model = CalibratedClassifierCV(estimator("binary"), cv=2, ensemble=False)
    probabilities = model.fit(X, targets("binary")).predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_voting(X):
    y = targets("multiclass")
    members = [(f"seed {s}", estimator("multiclass", random_state=s)) for s in range(3)]
    vote = VotingClassifier(members, voting="soft").fit(X, y)
    mean = np.mean([member.predict_proba(X) for member in vote.estimators_], axis=0)
    np.testing.assert_allclose(vote.predict_proba(X), mean, rtol=1e-6)


def test_bagging_takes_sequences_as_objects():
    X, y = ragged_sequences(), targets("binary")
    member = make_pipeline(FunctionTransformer(from_objects), estimator("binary"))
    bag = BaggingClassifier(member, n_estimators=3, bootstrap=False, random_state=0)
    bag.fit(as_objects(X), y)
    assert bag.predict(as_objects(X)).shape == y.shape
    # Without drawing each member sees all samples: only the seeds of the networks differ.
    mean = np.mean([model.predict_proba(as_objects(X)) for model in bag.estimators_], axis=0)
    np.testing.assert_allclose(bag.predict_proba(as_objects(X)), mean, rtol=1e-6)


def test_permutation_importance_of_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 5, 2))
    y = (X[:, :, 0].sum(axis=1) > 0).astype(int)
    settings = {"hidden_size": 8, "learning_rate": 0.02, "max_iter": 25, "n_timesteps": 5}
    model = estimator("binary", **settings).fit(X.reshape(120, -1), y)
    found = permutation_importance(model, X.reshape(120, -1), y, n_repeats=3, random_state=0)
    of_features = found.importances_mean.reshape(5, 2).sum(axis=0)
    assert of_features[0] > 0.2 > of_features[1]


def as_cells(X):
    """A table of objects with a cell for each feature of each sequence: its values (T_i,)."""
    table = np.empty((len(X), X[0].shape[1]), dtype=object)
    for i, x in enumerate(X):
        for k, feature in enumerate(x.T):
            table[i, k] = feature
    return table


def from_cells(table):
    """Sequences again; features of different samples are cut to the length that they share."""
    return [np.stack([cell[: min(map(len, row))] for cell in row], axis=1) for row in table]


@pytest.mark.parametrize("form", ["3d", "ragged"])
def test_permutation_importance_of_features_of_sequences(form):
    """The recipe of docs/scikit-learn.md."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 9, 120) if form == "ragged" else np.full(120, 6)
    X = [rng.normal(size=(length, 2)) for length in lengths]
    X = np.stack(X) if form == "3d" else X
    y = np.array([int(x[:, 0].sum() > 0) for x in X])
    model = estimator("binary", hidden_size=8, learning_rate=0.02, max_iter=25).fit(X, y)
    pipeline, cells = make_pipeline(FunctionTransformer(from_cells), model), as_cells(X)
    assert pipeline.score(cells, y) == model.score(X, y)
    settings = {"n_repeats": 3, "random_state": 0}
    found = permutation_importance(pipeline, cells, y, **settings).importances_mean
    assert found[0] > 0.2
    assert found[0] > 3 * abs(found[1])


class TestRoutedWeights:
    """sample_weight through Pipeline, cross_validate and GridSearchCV: 0 is absence there too."""

    @pytest.fixture(autouse=True)
    def routing(self):
        with sklearn.config_context(enable_metadata_routing=True):
            yield

    @staticmethod
    def pipeline():
        scaler = SequenceScaler().set_fit_request(sample_weight=True)
        model = estimator("binary").set_fit_request(sample_weight=True)
        return make_pipeline(scaler, model.set_score_request(sample_weight=True))

    def test_cross_validate(self, X):
        y = targets("binary")
        weights = np.random.default_rng(0).integers(0, 3, 40).astype(float)
        found = cross_validate(
            self.pipeline(),
            X,
            y,
            cv=[(np.arange(20), np.arange(20, 40))],
            params={"sample_weight": weights},
            return_estimator=True,
            error_score="raise",
        )
        kept = np.flatnonzero(weights[:20])
        with sklearn.config_context(enable_metadata_routing=False):
            twin = make_pipeline(SequenceScaler(), estimator("binary"))
            twin.fit(
                picked(X, np.repeat(kept, weights[kept].astype(int))),
                np.repeat(y[kept], weights[kept].astype(int)),
            )
        assert_array_equal(found["estimator"][0][-1].coefs_, twin[-1].coefs_)
        held = np.arange(20, 40)
        right = twin.predict(picked(X, held)) == y[held]
        assert found["test_score"][0] == pytest.approx(np.average(right, weights=weights[held]))

    def test_grid_search(self, X):
        y, weights = targets("binary"), np.arange(40) % 3
        grid = {"sequencescaler__method": ["standard", "minmax"]}
        search = GridSearchCV(self.pipeline(), grid, cv=2, error_score="raise")
        search.fit(X, y, sample_weight=weights)
        kept = np.flatnonzero(weights)
        with sklearn.config_context(enable_metadata_routing=False):
            scaler = SequenceScaler(method=search.best_params_["sequencescaler__method"])
            X_kept = scaler.fit_transform(picked(X, kept), sample_weight=weights[kept])
            twin = estimator("binary").fit(X_kept, y[kept], sample_weight=weights[kept])
        assert_array_equal(search.best_estimator_[-1].coefs_, twin.coefs_)


@pytest.mark.parametrize("problem", ["binary", "one output"])
def test_html(problem):
    model = estimator(problem, cell=LSTMCell(peephole=True))
    for shown in (model, make_pipeline(SequenceScaler(), model)):
        for fitted in (False, True):
            if fitted:
                shown.fit(ragged_sequences(), targets(problem))
            html = shown._repr_html_()
            assert type(model).__name__ in html
            assert "peephole=True" in html
            assert ("SequenceScaler" in html) is (shown is not model)
