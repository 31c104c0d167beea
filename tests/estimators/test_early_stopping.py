"""Early stopping: who is held out, how epochs are judged, and which weights are kept."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, methods, ragged_sequences, sequences, targets
from numpy.testing import assert_array_equal
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GroupShuffleSplit, PredefinedSplit, TimeSeriesSplit

N = 120


def problem_data(problem, n=N):
    """Sequences with a rule that can be learnt, so that scores move."""
    X = ragged_sequences(n, seed=3)
    y = targets(problem, n)
    if problem == "binary":
        y = np.array([int(len(x) and x[0, 0] > 0) for x in X])
    return X, y


def stopping(problem, **parameters):
    settings = {"early_stopping": True, "max_iter": 12, "learning_rate": 0.02}
    return estimator(problem, **(settings | parameters))


def spy(monkeypatch):
    """Record what is held out and what is trained on."""
    from lstmcore import _fit_samples

    seen = []

    def hold_out(samples, **options):
        sides = original(samples, **options)
        seen.append((*sides, samples))
        return sides

    original = _fit_samples.hold_out
    monkeypatch.setattr(_fit_samples, "hold_out", hold_out)
    return seen


def test_attributes(problem):
    X, y = problem_data(problem)
    model = stopping(problem).fit(X, y)
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ == len(model.loss_curve_)
    assert scores == [entry["validation_score"] for entry in model.history_]
    assert model.best_validation_score_ == max(scores)
    assert model.best_iteration_ == 1 + int(np.argmax(scores))
    plain = estimator(problem).fit(X, y)
    for name in ("validation_scores_", "best_validation_score_", "best_iteration_"):
        assert not hasattr(plain, name)
        assert not hasattr(model.set_params(early_stopping=False).fit(X, y), name)
        model = stopping(problem).fit(X, y)


def test_weights_of_the_best_epoch_are_kept(problem):
    X, y = problem_data(problem)
    # What is learnt is wrong for the validation data: the first epochs are the best.
    wrong = -y if "output" in problem else 1 - y if y.dtype.kind == "i" else np.roll(y, 1)
    settings = {"learning_rate": 0.05, "validation_scoring": "loss"}
    model = stopping(problem, max_iter=25, **settings).fit(X, y, validation_data=(X, wrong))
    assert model.best_iteration_ < model.n_iter_
    shorter = stopping(problem, max_iter=model.best_iteration_, **settings)
    shorter.fit(X, y, validation_data=(X, wrong))
    assert_array_equal(model.coefs_, shorter.coefs_)
    assert model.validation_scores_[: model.best_iteration_] == shorter.validation_scores_


def test_it_stops(problem):
    X, y = problem_data(problem)
    model = stopping(problem, tol=10.0, n_iter_no_change=4, max_iter=50).fit(X, y)
    assert model.n_iter_ == 5
    scores = stopping(problem, tol=1e-3, n_iter_no_change=3, max_iter=300, learning_rate=0.05)
    scores = np.array(scores.fit(X, y).validation_scores_)
    best = np.maximum.accumulate(scores)
    assert len(scores) < 300
    assert (scores[-3:] < best[-4:-1] + 1e-3).all()


def test_score_is_minus_the_loss_of_those_held_out():
    X, y = problem_data("binary")
    split = PredefinedSplit(np.where(np.arange(N) % 4 == 0, 0, -1))
    model = stopping("binary", validation_split=split).fit(X, y)
    held_out = np.arange(0, N, 4)
    probabilities = model.predict_proba([X[i] for i in held_out])[:, 1].astype(float)
    assert model.best_validation_score_ == pytest.approx(
        -log_loss(y[held_out], probabilities), rel=1e-4
    )
    # What is held out is not trained on.
    others = [i for i in range(N) if i % 4]
    alone = estimator("binary", max_iter=model.best_iteration_, learning_rate=0.02)
    alone.fit([X[i] for i in others], y[others])
    assert_array_equal(alone.coefs_, model.coefs_)


def test_targets_held_out_do_not_scale_the_others():
    X, y = problem_data("one output")
    y = y.copy()
    y[-12:] += 1e6
    model = stopping("one output", validation_split="ordered").fit(X, y)
    assert abs(model.target_mean_[0]) < 10


@pytest.mark.parametrize("scoring", [None, "accuracy", "neg_log_loss"])
def test_scorers(scoring):
    X, y = problem_data("binary")
    split = PredefinedSplit(np.where(np.arange(N) % 4 == 0, 0, -1))
    model = stopping("binary", validation_split=split, validation_scoring=scoring).fit(X, y)
    held_out = [X[i] for i in range(0, N, 4)]
    # Equal samples are scored as one with their weight, which rounds otherwise.
    if scoring == "neg_log_loss":
        expected = -log_loss(y[::4], model.predict_proba(held_out))
    else:
        expected = accuracy_score(y[::4], model.predict(held_out))
    assert model.best_validation_score_ == pytest.approx(expected, rel=1e-6)


def test_a_scorer_of_ones_own_sees_weights_and_sequences():
    X, y = problem_data("one output")
    weights = 1.0 + np.arange(N) % 3
    seen = []

    def scorer(model, X, y, sample_weight):
        seen.append((len(X), len(y), set(sample_weight)))
        assert all(x.ndim == 2 for x in X)
        return model.score(X, y, sample_weight)

    model = stopping("one output", validation_scoring=scorer, max_iter=3).fit(X, y, weights)
    assert len(seen) == 3
    n_different = len({x.tobytes() + value.tobytes() for x, value in zip(X, y, strict=True)})
    assert seen[0][0] == seen[0][1] == int(np.ceil(n_different * 0.1))
    assert len(model.validation_scores_) == 3


class TestSplit:
    """Who is held out."""

    def test_fraction(self, monkeypatch, problem):
        X, y = problem_data(problem)
        seen = spy(monkeypatch)
        stopping(problem, validation_fraction=0.25, max_iter=1).fit(X, y)
        training, validation, samples = seen[0]
        assert not (training & validation).any()
        assert (training | validation).all()
        n_different = len(np.unique(samples.ranks))
        assert len(np.unique(samples.ranks[validation])) == int(np.ceil(n_different / 4))

    def test_classes_keep_their_shares(self, monkeypatch):
        X = [np.full((2, 3), float(i)) for i in range(100)]
        y = np.repeat([0, 1], [80, 20])
        seen = spy(monkeypatch)
        stopping("binary", validation_fraction=0.2, max_iter=1).fit(X, y)
        assert y[seen[0][1]].sum() == 4

    @pytest.mark.parametrize("split", ["auto", "random"])
    def test_it_depends_on_content_alone(self, problem, split):
        X, y = problem_data(problem)
        model = stopping(problem, validation_split=split).fit(X, y)
        order = np.random.default_rng(0).permutation(N)
        shuffled = stopping(problem, validation_split=split).fit([X[i] for i in order], y[order])
        assert_array_equal(model.coefs_, shuffled.coefs_)
        assert model.validation_scores_ == shuffled.validation_scores_
        twice = stopping(problem, validation_split=split).fit([*X, *X], np.concatenate([y, y]))
        weighted = stopping(problem, validation_split=split).fit(X, y, np.full(N, 2.0))
        assert_array_equal(twice.coefs_, weighted.coefs_)
        assert twice.validation_scores_ == weighted.validation_scores_

    @pytest.mark.parametrize("split", ["auto", "random", "ordered", TimeSeriesSplit(3)])
    def test_weight_zero_is_absent(self, problem, split):
        X, y = problem_data(problem)
        kept = np.arange(N) % 5 != 2
        weights = kept.astype(float)
        model = stopping(problem, validation_split=split).fit(X, y, weights)
        without = stopping(problem, validation_split=split)
        without.fit([x for x, keep in zip(X, kept, strict=True) if keep], y[kept])
        assert_array_equal(model.coefs_, without.coefs_)
        assert model.validation_scores_ == without.validation_scores_

    def test_another_seed_holds_out_others(self, monkeypatch):
        X, y = problem_data("binary")
        seen = spy(monkeypatch)
        for seed in (0, 0, 1):
            stopping("binary", random_state=seed, max_iter=1).fit(X, y)
        assert_array_equal(seen[0][1], seen[1][1])
        assert (seen[0][1] != seen[2][1]).any()

    def test_ordered_takes_the_last(self, monkeypatch):
        X, y = problem_data("one output")
        seen = spy(monkeypatch)
        stopping("one output", validation_split="ordered", max_iter=1).fit(X, y)
        assert_array_equal(np.flatnonzero(seen[0][1]), np.arange(N - 12, N))

    @pytest.mark.parametrize(
        "split", ["auto", "random", GroupShuffleSplit(1, test_size=0.2, random_state=0)], ids=repr
    )
    def test_groups_stay_together(self, monkeypatch, split):
        X, y = problem_data("binary")
        # Samples that are equal but for their groups are none the same.
        X, y = [*X, *X], np.concatenate([y, y])
        groups = np.array([f"g{i % 10}" for i in range(2 * N)])
        seen = spy(monkeypatch)
        stopping("binary", validation_split=split, max_iter=1).fit(X, y, groups=groups)
        training, validation, _ = seen[0]
        assert not set(groups[training]) & set(groups[validation])
        assert (training | validation).all()

    def test_groups_and_order_of_samples(self):
        X, y = problem_data("binary")
        groups = np.arange(N) // 7
        order = np.random.default_rng(0).permutation(N)
        model = stopping("binary").fit(X, y, groups=groups)
        shuffled = stopping("binary").fit([X[i] for i in order], y[order], groups=groups[order])
        assert_array_equal(model.coefs_, shuffled.coefs_)

    def test_time_series_split_takes_its_last(self, monkeypatch):
        X, y = problem_data("one output")
        seen = spy(monkeypatch)
        split = TimeSeriesSplit(3, gap=5)
        stopping("one output", validation_split=split, max_iter=1).fit(X, y)
        *_, (training, validation) = split.split(np.empty((N, 1)))
        assert_array_equal(np.flatnonzero(seen[0][0]), training)
        assert_array_equal(np.flatnonzero(seen[0][1]), validation)


class TestValidationData:
    """Data of the user's own to validate with."""

    def test_it_decides(self, problem):
        X, y = problem_data(problem)
        data = (X[:30], y[:30])
        model = stopping(problem, max_iter=8).fit(X[30:], y[30:], validation_data=data)
        # Everything else is trained on.
        alone = estimator(problem, max_iter=model.best_iteration_, learning_rate=0.02)
        alone.fit(X[30:], y[30:])
        assert_array_equal(model.coefs_, alone.coefs_)

    def test_without_early_stopping_it_is_only_recorded(self, problem):
        X, y = problem_data(problem)
        model = estimator(problem, max_iter=4).fit(X, y, validation_data=(X, y))
        assert len(model.validation_scores_) == 4
        assert model.best_validation_score_ == max(model.validation_scores_)
        assert not hasattr(model, "best_iteration_")
        plain = estimator(problem, max_iter=4).fit(X, y)
        assert_array_equal(model.coefs_, plain.coefs_)

    def test_weights(self):
        X, y = problem_data("binary")
        weights = np.arange(N) % 3
        model = estimator("binary").fit(X, y, validation_data=(X, y, weights))
        repeated = np.repeat(np.arange(N), weights)
        data = ([X[i] for i in repeated], y[repeated])
        twin = estimator("binary").fit(X, y, validation_data=data)
        assert model.validation_scores_ == pytest.approx(twin.validation_scores_, rel=1e-12)

    @pytest.mark.parametrize("form", ["3d", "2d", "ragged"])
    def test_forms(self, form):
        X, y = sequences(form, N), problem_data("binary")[1]
        model = estimator("binary", form).fit(X, y, validation_data=(X[:20], y[:20]))
        assert len(model.validation_scores_) == 3

    def test_missing_values(self):
        X, y = problem_data("binary")
        X = [x.copy() for x in X]
        for x in X[::3]:
            x[:1, 1] = np.nan
        model = stopping("binary", missing="mask").fit(X, y)
        assert np.isfinite(model.validation_scores_).all()
        model.fit(X, y, validation_data=(X[:20], y[:20]))

    @pytest.mark.parametrize(
        ("data", "error", "message"),
        [
            ("X", TypeError, "validation_data must be a tuple"),
            ((1,), ValueError, "one of 1 entries"),
            (([np.ones((2, 4))], [0]), ValueError, "X of validation_data has 4 features"),
            (([np.ones((2, 3))], [5]), ValueError, "y of validation_data has labels"),
            (([np.ones((2, 3))], [0, 1]), ValueError, "y of validation_data has 2"),
            (([np.ones((2, 3))], [0], [-1.0]), ValueError, "sample_weight of validation_data"),
            (([np.full((2, 3), np.nan)], [0]), ValueError, "X of validation_data contains NaN"),
        ],
    )
    def test_what_does_not_fit(self, data, error, message):
        X, y = problem_data("binary")
        model = estimator("binary")
        with pytest.raises(error, match=message):
            model.fit(X, y, validation_data=data)
        assert not hasattr(model, "coefs_")

    def test_other_outputs(self):
        X, y = problem_data("three outputs")
        with pytest.raises(ValueError, match="y of validation_data must have two axes"):
            estimator("three outputs").fit(X, y, validation_data=(X, y[:, 0]))


def test_threads_and_pickle(problem):
    import pickle

    X, y = problem_data(problem)
    model = stopping(problem, n_jobs=1).fit(X, y)
    for n_jobs in (2, 3):
        other = stopping(problem, n_jobs=n_jobs).fit(X, y)
        assert other.validation_scores_ == model.validation_scores_
        assert_array_equal(other.coefs_, model.coefs_)
    twin = pickle.loads(pickle.dumps(model))
    for name, method in methods(model).items():
        assert_array_equal(method(X), getattr(twin, name)(X))


def test_warm_start(problem):
    X, y = problem_data(problem)
    whole = stopping(problem, max_iter=9).fit(X, y)
    parts = stopping(problem, max_iter=4, warm_start=True).fit(X, y)
    parts.set_params(max_iter=5).fit(X, y)
    assert parts.validation_scores_ == whole.validation_scores_
    assert parts.best_iteration_ == whole.best_iteration_
    assert_array_equal(parts.coefs_, whole.coefs_)


def test_routing():
    import sklearn
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    X, y = problem_data("binary")
    groups = np.arange(N) // 6
    with sklearn.config_context(enable_metadata_routing=True):
        model = stopping("binary").set_fit_request(groups=True)
        pipeline = make_pipeline(FunctionTransformer(), model).fit(X, y, groups=groups)
    twin = stopping("binary").fit(X, y, groups=groups)
    assert_array_equal(pipeline[-1].coefs_, twin.coefs_)
