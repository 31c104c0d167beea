"""Callbacks: scikit-learn's own, and ours; test_loggers has those that write."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, methods, ragged_sequences, targets
from numpy.testing import assert_array_equal
from sklearn.callback import CallbackSupportMixin, ProgressBar, ScoringMonitor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from lstmcore.callbacks import CSVLogger, EarlyStopping, EpochScoring, LRScheduler

X = ragged_sequences()


class Watcher:
    """Writes down what it is told."""

    def __init__(self, stop_after=None):
        self.events = []
        self.stop_after = stop_after

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.events.append(f"end {context.task_name}")
        self.seen = X, y, metadata
        self.fitted = fitted_estimator
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after


class TestProtocol:
    """What scikit-learn's protocol asks of an estimator."""

    def test_mixin(self, problem):
        assert isinstance(estimator(problem), CallbackSupportMixin)

    def test_events(self, problem):
        y = targets(problem)
        watcher = Watcher()
        model = estimator(problem, max_iter=2).set_callbacks(watcher)
        model.fit(X, y, sample_weight=np.ones(40))
        epoch = ["begin epoch", "end epoch"]
        assert watcher.events == ["setup", "begin fit", *epoch, *epoch, "end fit", "teardown"]
        assert watcher.seen[0] is X
        assert watcher.seen[1] is y
        assert_array_equal(watcher.seen[2]["sample_weight"], np.ones(40))
        for name, method in methods(model).items():
            assert_array_equal(method(X), getattr(watcher.fitted, name)(X))
        assert not {"_course", "_callback_fit_ctx"} & vars(model).keys()

    def test_fitted_estimator_is_as_if_the_fit_had_ended(self, problem):
        y = targets(problem)
        fitted = []

        class Collector(Watcher):
            def on_fit_task_end(self, estimator, context, *, fitted_estimator):
                fitted.append(fitted_estimator)

        model = estimator(problem, max_iter=3, early_stopping=problem == "binary")
        model.set_callbacks(Collector()).fit(X, y)
        for n, twin in enumerate(fitted[:3], start=1):
            assert twin.n_iter_ == n
            shorter = estimator(problem, max_iter=n, early_stopping=problem == "binary").fit(X, y)
            assert_array_equal(twin.coefs_, shorter.coefs_)
            for name, method in methods(twin).items():
                assert_array_equal(method(X), getattr(shorter, name)(X))

    def test_a_callback_ends_the_fit(self, problem):
        y = targets(problem)
        model = estimator(problem, max_iter=9, tol=1e-4).set_callbacks(Watcher(stop_after=4))
        assert model.fit(X, y).n_iter_ == 4  # and no warning

    def test_partial_fit(self):
        watcher = Watcher()
        model = estimator("one output").set_callbacks(watcher)
        model.partial_fit(X, targets("one output"))
        assert watcher.events[1:3] == ["begin partial_fit", "begin epoch"]

    def test_teardown_after_an_error(self):
        watcher = Watcher()
        model = estimator("one output").set_callbacks(watcher)
        with pytest.raises(ValueError, match="inconsistent"):
            model.fit(X, [1.0])
        assert watcher.events == ["setup", "teardown"]
        assert not {"_course", "_callback_fit_ctx"} & vars(model).keys()

    def test_bits_do_not_depend_on_callbacks(self, problem):
        y = targets(problem)
        model = estimator(problem).set_callbacks(Watcher(), EpochScoring()).fit(X, y)
        assert_array_equal(model.coefs_, estimator(problem).fit(X, y).coefs_)


class TestOfScikitLearn:
    """scikit-learn's callbacks."""

    def test_scoring_monitor(self):
        y = targets("binary")
        monitor = ScoringMonitor(scoring="accuracy")
        model = estimator("binary", max_iter=4).set_callbacks(monitor).fit(X, y)
        scores = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
        assert len(scores) == 4
        assert scores[-1] == model.score(X, y)

    def test_progress_bar(self, capsys):
        pytest.importorskip("rich")
        estimator("binary").set_callbacks(ProgressBar()).fit(X, targets("binary"))
        assert "LSTMClassifier - fit" in capsys.readouterr().out

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_in_a_grid_search(self, n_jobs, capsys):
        pytest.importorskip("rich")
        y = targets("binary")
        monitor = ScoringMonitor(scoring="accuracy")
        # A step of a pipeline that knows no callbacks would make scikit-learn warn.
        pipeline = make_pipeline(estimator("binary", max_iter=2).set_callbacks(monitor))
        grid = {"lstmclassifier__hidden_size": [2, 3]}
        search = GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs)
        search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
        epochs = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
        # Two candidates, two folds and the last fit, two epochs each.
        assert len(epochs) == 10
        assert "LSTMClassifier" in capsys.readouterr().out


class TestEarlyStopping:
    """The end of a fit by its record."""

    y = targets("binary")

    def test_it_ends(self):
        stop = EarlyStopping(patience=3, min_delta=10)
        model = estimator("binary", max_iter=50).set_callbacks(stop).fit(X, self.y)
        assert model.n_iter_ == 4

    @pytest.mark.parametrize("monitor", ["validation_score", "loss"])
    def test_by_the_record(self, monitor):
        model = estimator("binary", max_iter=60, learning_rate=0.1, max_grad_norm=None)
        model.set_callbacks(EarlyStopping(monitor, patience=2))
        model.fit(X, self.y, validation_data=(X[:20], 1 - self.y[:20]))
        values = np.array([entry[monitor] for entry in model.history_])
        values = -values if monitor == "loss" else values
        assert model.n_iter_ < 60
        best = np.maximum.accumulate(values)
        assert (values[-2:] <= best[-3]).all()
        stale = values[1:] <= best[:-1]
        assert not (stale[:-2] & stale[1:-1]).any()

    def test_each_fit_on_its_own(self):
        stop = EarlyStopping(patience=2, min_delta=10)
        model = estimator("binary", max_iter=50, warm_start=True).set_callbacks(stop)
        assert model.fit(X, self.y).n_iter_ == 3
        assert model.fit(X, self.y).n_iter_ == 6

    def test_unknown_name(self):
        model = estimator("binary").set_callbacks(EarlyStopping("accuracy"))
        with pytest.raises(ValueError, match="monitors 'accuracy', but an epoch has only"):
            model.fit(X, self.y)

    @pytest.mark.parametrize(
        "wrong", [{"patience": 0}, {"patience": 1.5}, {"min_delta": -1}, {"mode": "up"}], ids=str
    )
    def test_parameters(self, wrong):
        with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
            EarlyStopping(**wrong)


class TestLRScheduler:
    """Learning rates by a function."""

    y = targets("binary")

    def test_rates(self):
        seen = []

        def policy(epoch, history):
            seen.append((epoch, len(history)))
            return 0.02 if epoch < 2 else history[-1]["learning_rate"] / 2

        model = estimator("binary", max_iter=4).set_callbacks(LRScheduler(policy)).fit(X, self.y)
        assert [entry["learning_rate"] for entry in model.history_] == [0.02, 0.02, 0.01, 0.005]
        assert seen == [(0, 0), (1, 1), (2, 2), (3, 3)]
        same = estimator("binary", max_iter=4, learning_rate=0.02)
        same.set_callbacks(LRScheduler(lambda epoch, _: (0.02, 0.02, 0.01, 0.005)[epoch]))
        assert_array_equal(model.coefs_, same.fit(X, self.y).coefs_)

    def test_the_next_fit_forgets_it(self):
        model = estimator("binary").set_callbacks(LRScheduler(lambda epoch, _: 0.5)).fit(X, self.y)
        model.set_callbacks().fit(X, self.y)
        assert_array_equal(model.coefs_, estimator("binary").fit(X, self.y).coefs_)
        assert model.learning_rate == 1e-3

    @pytest.mark.parametrize("rate", [0, -1, np.nan, np.inf])
    def test_rates_that_are_none(self, rate):
        model = estimator("binary").set_callbacks(LRScheduler(lambda epoch, _: rate))
        with pytest.raises(ValueError, match="positive number"):
            model.fit(X, self.y)

    def test_no_function(self):
        with pytest.raises(TypeError, match="policy must be callable"):
            LRScheduler(0.1)


class TestEpochScoring:
    """Scores in the record."""

    def test_training_data(self, problem):
        y = targets(problem)
        model = estimator(problem).set_callbacks(EpochScoring()).fit(X, y)
        for n, entry in enumerate(model.history_, start=1):
            shorter = estimator(problem, max_iter=n).fit(X, y)
            assert entry["training_score"] == pytest.approx(shorter.score(X, y))

    def test_data_of_its_own(self):
        y = targets("binary")
        weights = np.arange(20)
        scoring = EpochScoring("accuracy", X=X[:20], y=y[:20], sample_weight=weights)
        stop = EarlyStopping("accuracy", patience=1)
        model = estimator("binary", max_iter=30).set_callbacks(scoring, stop).fit(X[20:], y[20:])
        expected = model.score(X[:20], y[:20], sample_weight=weights)
        assert model.history_[-1]["accuracy"] == pytest.approx(expected)
        assert model.n_iter_ < 30

    @pytest.mark.parametrize("wrong", [{"X": X}, {"sample_weight": [1]}], ids=["y", "X"])
    def test_parameters(self, wrong):
        with pytest.raises(ValueError, match="X and y"):
            EpochScoring(**wrong)


@pytest.mark.parametrize("make", [EarlyStopping, EpochScoring, lambda: CSVLogger("x.csv")])
def test_other_estimators_are_refused(make):
    model = LogisticRegression().set_callbacks(make())
    with pytest.raises(TypeError, match="is a callback for estimators of lstmcore"):
        model.fit(np.eye(4), [0, 1, 0, 1])
