"""Tools of scikit-learn that take 3-D and ragged X as they are; docs/scikit-learn.md lists them."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, picked, sequences, targets
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    GroupKFold,
    RandomizedSearchCV,
    TimeSeriesSplit,
    TunedThresholdClassifierCV,
    cross_val_score,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import SelfTrainingClassifier

from lstmcore import SequenceScaler
from lstmcore.cells import GRUCell


@pytest.fixture(params=["3d", "ragged"])
def X(request):
    return sequences(request.param)


BINARY, CLASSES = targets("binary"), targets("multiclass")
NUMBERS, COLUMNS, LABELS = targets("one output"), targets("three outputs"), targets("multilabel")


def test_nested_names_of_a_pipeline(X):
    """The cell of an estimator within a Pipeline, by its full name."""
    pipeline = make_pipeline(SequenceScaler(), estimator("binary", cell=GRUCell()))
    grid = {
        "lstmclassifier__cell__reset_after": [True, False],
        "sequencescaler": [SequenceScaler()],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, BINARY)
    chosen = search.best_params_["lstmclassifier__cell__reset_after"]
    twin = make_pipeline(
        SequenceScaler(), estimator("binary", cell=GRUCell(reset_after=chosen))
    ).fit(X, BINARY)
    assert_array_equal(search.best_estimator_[-1].coefs_, twin[-1].coefs_)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 2
    found = pipeline.set_params(lstmclassifier__cell__reset_after=False)
    assert found[-1].cell.reset_after is False


def test_balanced_classes_in_a_search(X):
    y = (np.arange(40) % 5 == 0).astype(int)
    grid = {"class_weight": ["balanced"]}
    search = GridSearchCV(estimator("binary"), grid, cv=2, error_score="raise").fit(X, y)
    twin = estimator("binary").fit(X, y, sample_weight=np.where(y, 40 / (2 * 8), 40 / (2 * 32)))
    assert_array_equal(search.best_estimator_.coefs_, twin.coefs_)


def test_randomized_search(X):
    space = {"hidden_size": [2, 3, (3, 2)], "pooling": ["last", "mean", "max"]}
    settings = {"n_iter": 2, "cv": 2, "random_state": 0, "error_score": "raise"}
    search = RandomizedSearchCV(estimator("binary"), space, **settings).fit(X, BINARY)
    twin = estimator("binary", **search.best_params_).fit(X, BINARY)
    assert_array_equal(search.predict(X), twin.predict(X))


@pytest.mark.parametrize(
    ("splitter", "groups"), [(GroupKFold(2), np.arange(40) // 10), (TimeSeriesSplit(2), None)]
)
def test_splitters(X, splitter, groups):
    scores = cross_val_score(
        estimator("binary"), X, BINARY, cv=splitter, groups=groups, error_score="raise"
    )
    train, test = next(iter(splitter.split(BINARY, BINARY, groups)))
    model = estimator("binary").fit(picked(X, train), BINARY[train])
    assert scores[0] == model.score(picked(X, test), BINARY[test])


def test_curves(X):
    folds = [(np.arange(30), np.arange(30, 40))]
    _, train, test = learning_curve(
        estimator("binary"), X, BINARY, cv=folds, train_sizes=[10, 30], error_score="raise"
    )
    model = estimator("binary").fit(picked(X, np.arange(30)), BINARY[:30])
    expected = model.score(picked(X, np.arange(30, 40)), BINARY[30:])
    assert test[1, 0] == expected
    assert train[1, 0] == model.score(picked(X, np.arange(30)), BINARY[:30])
    settings = {"param_name": "hidden_size", "param_range": [2, 6], "cv": folds}
    _, test = validation_curve(estimator("binary"), X, BINARY, error_score="raise", **settings)
    assert test[1, 0] == expected
    score, others, _ = permutation_test_score(
        estimator("binary"), X, BINARY, cv=folds, n_permutations=3, random_state=0
    )
    assert score == expected
    assert others.shape == (3,)


def test_stacking(X):
    members = [("a", estimator("binary")), ("b", estimator("binary", hidden_size=3))]
    stack = StackingClassifier(members, LogisticRegression(), cv=2).fit(X, BINARY)
    columns = [member.predict_proba(X)[:, 1] for member in stack.estimators_]
    assert_array_equal(stack.transform(X), np.stack(columns, axis=1))
    assert_array_equal(stack.predict(X), stack.final_estimator_.predict(np.stack(columns, axis=1)))
    numbers = StackingRegressor([("a", estimator("one output"))], cv=2).fit(X, NUMBERS)
    twin = estimator("one output").fit(X, NUMBERS)
    assert_array_equal(numbers.transform(X)[:, 0], twin.predict(X))


def test_voting_of_regressors(X):
    members = [(str(seed), estimator("one output", random_state=seed)) for seed in range(3)]
    vote = VotingRegressor(members).fit(X, NUMBERS)
    assert_allclose(vote.predict(X), np.mean([m.predict(X) for m in vote.estimators_], axis=0))


def test_one_network_for_each_class(X):
    model = OneVsRestClassifier(estimator("binary")).fit(X, CLASSES)
    for name, member in zip(model.classes_, model.estimators_, strict=True):
        twin = estimator("binary").fit(X, (name == CLASSES).astype(int))
        assert_array_equal(member.coefs_, twin.coefs_)
    assert set(model.predict(X)) <= set(CLASSES)


def test_one_network_for_each_output(X):
    numbers = MultiOutputRegressor(estimator("one output")).fit(X, COLUMNS)
    for k in range(3):
        twin = estimator("one output").fit(X, COLUMNS[:, k])
        assert_array_equal(numbers.predict(X)[:, k], twin.predict(X))
    labels = MultiOutputClassifier(estimator("binary")).fit(X, LABELS)
    twin = estimator("binary").fit(X, LABELS[:, 2])
    assert_array_equal(labels.predict(X)[:, 2], twin.predict(X))


def test_transformed_targets(X):
    model = TransformedTargetRegressor(estimator("one output"), func=np.exp, inverse_func=np.log)
    y = NUMBERS / 10
    expected = estimator("one output").fit(X, np.exp(y)).predict(X)
    assert (expected > 0).all()
    assert_array_equal(model.fit(X, y).predict(X), np.log(expected))


def test_thresholds(X):
    member = estimator("binary").fit(X, BINARY)
    frozen = FrozenEstimator(member)
    expected = (member.predict_proba(X)[:, 1] >= 0.55).astype(int)
    fixed = FixedThresholdClassifier(frozen, threshold=0.55, response_method="predict_proba")
    assert_array_equal(fixed.fit(X, BINARY).predict(X), expected)
    tuned = TunedThresholdClassifierCV(estimator("binary"), cv=2, response_method="predict_proba")
    tuned.fit(X, BINARY)
    above = member.predict_proba(X)[:, 1] >= tuned.best_threshold_
    assert_array_equal(tuned.predict(X), above.astype(int))


def test_calibration_of_a_fitted_model(X):
    member = estimator("binary").fit(X, BINARY)
    scores = member.decision_function(X)
    model = CalibratedClassifierCV(FrozenEstimator(member)).fit(X, BINARY)
    found = model.predict_proba(X)[:, 1]
    # A sigmoid of the scores: it keeps or turns their order.
    rising = np.diff(found[np.argsort(scores, kind="stable")])
    assert (rising >= 0).all() or (rising <= 0).all()


TWO_AXES = {
    "BaggingClassifier": lambda model: BaggingClassifier(model, n_estimators=2, random_state=0),
    "AdaBoostClassifier": lambda model: AdaBoostClassifier(model, n_estimators=2, random_state=0),
    "OneVsOneClassifier": OneVsOneClassifier,
    "SelfTrainingClassifier": lambda model: SelfTrainingClassifier(model, max_iter=1),
}


@pytest.mark.parametrize("name", TWO_AXES)
def test_rows_for_tools_of_two_axes(name):
    """A 3-D array as rows; test_meta_estimators has a ragged list as a column of objects."""
    X = np.random.default_rng(0).normal(size=(60, 5, 2))
    y = np.digitize(X[:, :, 0].sum(axis=1), [-1, 1] if name == "OneVsOneClassifier" else [0])
    given = np.where(np.arange(60) % 5, y, -1) if name == "SelfTrainingClassifier" else y
    settings = {"n_timesteps": 5, "max_iter": 40, "learning_rate": 0.03}
    tool = TWO_AXES[name](estimator("binary", **settings))
    rows = X.reshape(60, -1)
    assert tool.fit(rows, given).score(rows, y) > 0.8
