"""One epoch at a time, on samples that may change."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, sequences, targets
from numpy.testing import assert_array_equal

X = ragged_sequences()


def partial_fit(model, X, y, **options):
    """Name the classes in every call, where there are some."""
    if hasattr(type(model), "predict_proba") and np.ndim(y) == 1:
        options = {"classes": np.unique(targets("multiclass") if y.dtype.kind == "U" else y)}
    return model.partial_fit(X, y, **options)


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "rmsprop"])
def test_calls_are_epochs(problem, solver):
    y = targets(problem)
    settings = {"solver": solver, "dropout": 0.2, "weight_decay": 1e-3, "warmup_epochs": 3}
    whole = estimator(problem, max_iter=5, **settings).fit(X, y)
    parts = estimator(problem, **settings)
    for _ in range(5):
        assert partial_fit(parts, X, y) is parts
    assert parts.n_iter_ == 5
    assert parts.loss_curve_ == whole.loss_curve_
    assert_array_equal(parts.coefs_, whole.coefs_)


def test_after_a_pickle(problem):
    import pickle

    y = targets(problem)
    model = partial_fit(estimator(problem, random_state=None), X, y)
    twin = pickle.loads(pickle.dumps(model))
    assert_array_equal(partial_fit(model, X, y).coefs_, partial_fit(twin, X, y).coefs_)


def test_after_warm_start_it_goes_on_exactly(problem):
    y = targets(problem)
    whole = estimator(problem, max_iter=4).fit(X, y)
    parts = estimator(problem, warm_start=True, max_iter=3).fit(X, y)
    assert_array_equal(parts.partial_fit(X, y).coefs_, whole.coefs_)


def test_after_fit_the_weights_go_on(problem):
    y = targets(problem)
    model = estimator(problem, max_iter=30, learning_rate=0.02).fit(X, y)
    model.partial_fit(X, y)
    assert model.n_iter_ == 31
    first = estimator(problem, learning_rate=0.02, max_iter=1).fit(X, y)
    assert model.loss_ < first.loss_


def test_a_stream_is_learnt():
    rng = np.random.default_rng(0)
    model = estimator("binary", hidden_size=8, learning_rate=0.03, batch_size=32)
    for _ in range(60):
        batch = [rng.normal(size=(rng.integers(1, 8), 2)) for _ in range(64)]
        model.partial_fit(batch, [int(x[0, 0] > 0) for x in batch], classes=[0, 1])
    batch = [rng.normal(size=(rng.integers(1, 8), 2)) for _ in range(300)]
    assert model.score(batch, [int(x[0, 0] > 0) for x in batch]) > 0.9
    assert model.n_iter_ == 60


def test_a_batch_may_lack_classes():
    y = targets("multiclass")
    model = estimator("multiclass").partial_fit(X[1:3], y[1:3], classes=["cat", "ant", "bee"])
    assert model.classes_.tolist() == ["ant", "bee", "cat"]
    model.partial_fit(X[3:5], y[3:5])
    assert model.predict_proba(X).shape == (40, 3)


def test_scale_is_that_of_the_first_call():
    y = targets("one output")
    model = estimator("one output").partial_fit(X, y)
    mean, scale = model.target_mean_, model.target_scale_
    model.partial_fit(X, 100 + 5 * y)
    assert_array_equal(model.target_mean_, mean)
    assert_array_equal(model.target_scale_, scale)


def test_weights():
    y = targets("one output")
    weights = np.arange(40) % 3
    model = estimator("one output").partial_fit(X, y, sample_weight=weights)
    repeated = np.repeat(np.arange(40), weights)
    twin = estimator("one output").partial_fit([X[i] for i in repeated], y[repeated])
    assert_array_equal(model.coefs_, twin.coefs_)


def test_order_does_not_matter(problem, form):
    y = targets(problem)
    Z = sequences(form)
    order = np.random.default_rng(0).permutation(40)
    shuffled = [Z[i] for i in order] if form == "ragged" else Z[order]
    model = partial_fit(estimator(problem, form), Z, y)
    twin = partial_fit(estimator(problem, form), shuffled, y[order])
    assert_array_equal(model.coefs_, twin.coefs_)


class TestErrors:
    """What does not fit changes nothing."""

    y = targets("multiclass")

    def refused(self, model, match, *args, **options):
        state = vars(model).copy()
        with pytest.raises(ValueError, match=match):
            model.partial_fit(*args, **options)
        assert vars(model).keys() == state.keys()
        assert all(vars(model)[name] is value for name, value in state.items())

    def test_classes_are_needed_first(self):
        self.refused(estimator("multiclass"), "classes must be given in the first", X, self.y)

    @pytest.mark.parametrize("classes", [["ant"], ["ant", "ant"], ["ant", "dog"]])
    def test_classes_that_do_not_fit(self, classes):
        self.refused(estimator("multiclass"), "classes", X, self.y, classes=classes)

    def test_classes_that_change(self):
        model = estimator("multiclass").partial_fit(X, self.y, classes=["ant", "bee", "cat"])
        self.refused(model, "is not what the estimator", X, self.y, classes=["ant", "bee", "dog"])
        self.refused(model, "none of the classes", X[:2], np.array(["ant", "dog"]))

    def test_features(self):
        model = estimator("one output").partial_fit(X, targets("one output"))
        self.refused(model, "X has 4 features, but", [np.ones((2, 4))], [1.0])
        self.refused(model, "y must have one axis", X[:2], np.ones((2, 2)))

    def test_another_network(self):
        model = estimator("one output").partial_fit(X, targets("one output"))
        model.set_params(hidden_size=9)
        self.refused(model, "partial_fit goes on with the network", X, targets("one output"))

    def test_early_stopping(self):
        model = estimator("one output", early_stopping=True)
        self.refused(model, "early_stopping=False", X, targets("one output"))


def test_balanced_classes_are_those_of_the_call():
    y = targets("multiclass")
    model = estimator("multiclass", class_weight="balanced")
    model.partial_fit(X, y, classes=["ant", "bee", "cat", "dog"])
    two = y != "cat"
    some = [x for x, chosen in zip(X, two, strict=True) if chosen]
    model.partial_fit(some, y[two])
    assert model.predict_proba(X).shape == (40, 4)
