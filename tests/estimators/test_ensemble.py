"""Ensembles: each member is the model that it would have been alone."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import warnings

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, sequences, targets
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context, get_config
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from lstmcore import LSTMClassifier, LSTMEnsemble, LSTMRegressor

X = ragged_sequences()


def ensemble(problem, n_models=3, **parameters):
    settings = {"random_state": 0} | parameters
    return LSTMEnsemble(estimator(problem, random_state=None), n_models=n_models, **settings)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        LSTMEnsemble(base(hidden_size=16, max_iter=30, learning_rate=0.01), n_models=2)
        for base in (LSTMClassifier, LSTMRegressor)
    ]
)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("n_jobs", [None, 1, 2, 7])
def test_members_are_fits_of_their_own(problem, n_jobs):
    y = targets(problem)
    model = ensemble(problem, n_jobs=n_jobs).fit(X, y)
    assert len(set(model.seeds_)) == 3
    for seed, member in zip(model.seeds_, model.estimators_, strict=True):
        alone = estimator(problem, random_state=int(seed)).fit(X, y)
        assert_array_equal(member.coefs_, alone.coefs_)
        assert member.loss_curve_ == alone.loss_curve_


def test_predictions_are_means(problem):
    y = targets(problem)
    model = ensemble(problem).fit(X, y)
    if "output" in problem:
        each = np.array([member.predict(X) for member in model.estimators_])
        mean, std = model.predict(X, return_std=True)
        assert_array_equal(model.predict(X), mean)
        assert not hasattr(model, "predict_proba")
    else:
        each = np.array([member.predict_proba(X) for member in model.estimators_], float)
        mean, std = model.predict_proba(X, return_std=True)
        if problem == "multilabel":
            assert_array_equal(model.predict(X), mean > 0.5)
        else:
            assert_array_equal(model.predict(X), model.classes_[mean.argmax(axis=1)])
        with pytest.raises(ValueError, match="ask predict_proba"):
            model.predict(X, return_std=True)
    assert_allclose(mean, each.mean(axis=0))
    assert_allclose(std, each.std(axis=0))
    assert std.max() > 0
    assert np.isfinite(model.score(X, y))


def test_seeds_and_pickle(problem):
    y = targets(problem)
    model = ensemble(problem).fit(X, y)
    twin = pickle.loads(pickle.dumps(ensemble(problem).fit(X, y)))
    assert_array_equal(model.seeds_, twin.seeds_)
    assert_array_equal(model.predict(X), twin.predict(X))
    other = ensemble(problem, random_state=1).fit(X, y)
    assert not set(model.seeds_) & set(other.seeds_)
    longer = ensemble(problem, n_models=5).fit(X, y)
    assert_array_equal(longer.seeds_[:3], model.seeds_)


def test_fit_arguments_reach_the_members():
    y = targets("binary")
    weights = np.arange(40) % 3
    model = ensemble("binary").fit(X, y, weights, validation_data=(X[:10], y[:10]))
    alone = estimator("binary", random_state=int(model.seeds_[0])).fit(X, y, weights)
    assert_array_equal(model.estimators_[0].coefs_, alone.coefs_)
    assert len(model.estimators_[1].validation_scores_) == 3


def test_in_a_search():
    y = targets("binary")
    grid = {"estimator__hidden_size": [2, 3]}
    search = GridSearchCV(ensemble("binary", 2), grid, cv=2, n_jobs=2).fit(X, y)
    assert search.best_estimator_.predict(X).shape == (40,)
    assert len(cross_val_score(ensemble("one output", 2), X, targets("one output"), cv=2)) == 2


def test_forms_and_tags(form):
    model = LSTMEnsemble(estimator("binary", form), n_models=2, random_state=0)
    Z = sequences(form)
    assert model.fit(Z, targets("binary")).predict(Z).shape == (40,)
    assert model.n_features_in_ == 3
    assert get_tags(model).estimator_type == "classifier"
    assert get_tags(LSTMEnsemble()).estimator_type == "regressor"
    assert get_tags(model).input_tags.three_d_array


def test_callbacks_of_the_estimator_stay_its_own():
    from lstmcore.callbacks import EpochScoring

    y = targets("binary")
    base = estimator("binary").set_callbacks(EpochScoring())
    model = LSTMEnsemble(base, n_models=2, random_state=0).fit(X, y)
    assert all("training_score" in member.history_[0] for member in model.estimators_)
    assert all(len(member._skl_callbacks) == 1 for member in model.estimators_)
    assert len(base._skl_callbacks) == 1
    plain = LSTMEnsemble(estimator("binary"), n_models=2).fit(X, y)
    assert not hasattr(plain.estimators_[0], "_skl_callbacks")


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_models": 0}, ValueError, "n_models"),
        ({"n_jobs": 0}, ValueError, "n_jobs"),
        (
            {"estimator": Ridge()},
            TypeError,
            "'estimator' parameter of LSTMEnsemble must be one of lstmcore's estimators",
        ),
    ],
)
def test_parameters(parameters, error, message):
    model = LSTMEnsemble(**parameters)
    with pytest.raises(error, match=message):
        model.fit(X, targets("one output"))
    assert not hasattr(model, "estimators_")


def test_an_error_changes_nothing():
    model = ensemble("binary").fit(X, targets("binary"))
    members = model.estimators_
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(X, [0, 1])
    assert model.estimators_ is members


def test_the_warning_filters_stay_what_they_are():
    """They are those of the whole process, which threads would change under each other."""
    model = ensemble("binary").set_params(estimator__max_iter=1, n_jobs=2)
    before = list(warnings.filters)
    for _ in range(30):
        model.fit(X, targets("binary"))
        assert list(warnings.filters) == before


class Configurations:
    """A callback that notes the configuration of scikit-learn that a fit sees."""

    def __init__(self):
        self.seen = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.seen.append(get_config()["assume_finite"])
        return False


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_configuration_holds_for_every_member(n_jobs):
    noted = Configurations()
    model = LSTMEnsemble(estimator("binary").set_callbacks(noted), n_models=3, n_jobs=n_jobs)
    with config_context(assume_finite=True):
        model.fit(X, targets("binary"))
    assert noted.seen
    assert all(noted.seen)


class Refusal(Configurations):
    """A callback that fails."""

    def on_fit_task_end(self, estimator, context):
        raise LookupError("not today")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_member_that_fails_is_heard(n_jobs):
    base = estimator("binary").set_callbacks(Refusal())
    model = LSTMEnsemble(base, n_models=3, n_jobs=n_jobs)
    with pytest.raises(LookupError, match="not today"):
        model.fit(X, targets("binary"))
    assert not hasattr(model, "estimators_")


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
@pytest.mark.usefixtures("interruptible")
def test_interrupt():
    model = clone(ensemble("binary")).set_params(estimator__max_iter=10**6, n_jobs=2)
    before = threading.active_count()
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, targets("binary"))
    finally:
        timer.cancel()
    assert not hasattr(model, "estimators_")
    deadline = threading.Event()
    for _ in range(100):  # the members end with their epochs
        if threading.active_count() <= before:
            break
        deadline.wait(0.1)
    assert threading.active_count() <= before
