"""The course of a fit: its end, its record, its resumption, and what interrupts it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, sequences, targets
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

X = ragged_sequences()


def test_record_of_a_fit(problem):
    model = estimator(problem, max_iter=4).fit(X, targets(problem))
    assert model.n_iter_ == 4
    assert len(model.loss_curve_) == 4
    assert model.loss_ == model.loss_curve_[-1]
    assert [entry["epoch"] for entry in model.history_] == [1, 2, 3, 4]
    assert [entry["loss"] for entry in model.history_] == model.loss_curve_
    assert all(entry["seconds"] > 0 for entry in model.history_)


def test_loss_goes_down(problem):
    model = estimator(problem, max_iter=60, learning_rate=0.02, hidden_size=12)
    curve = model.fit(X, targets(problem)).loss_curve_
    assert curve[-1] < 0.7 * curve[0]


@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_every_solver_learns(solver, pooling):
    y = np.array([len(x) > 4 for x in X])
    rate = 0.3 if solver == "sgd" else 0.03
    model = estimator(
        "binary", solver=solver, pooling=pooling, learning_rate=rate, max_iter=60, batch_size=8
    )
    assert model.fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize(
    "change",
    [
        {"dropout": 0.5},
        {"weight_decay": 0.1},
        {"max_grad_norm": 0.01},
        {"max_grad_norm": None},
        {"learning_rate": 0.01},
        {"batch_size": 7},
        {"random_state": 1},
        {"pooling": "mean"},
        {"solver": "adamw", "weight_decay": 0.1},
    ],
    ids=str,
)
def test_every_parameter_matters(problem, change):
    # Targets far off their mean, so that gradients are larger than the default max_grad_norm.
    y = targets(problem)
    model = estimator(problem, hidden_size=(6, 5)).fit(X, y)
    other = estimator(problem, hidden_size=(6, 5), **change).fit(X, y)
    if change != {"max_grad_norm": None}:
        assert not np.array_equal(model.coefs_, other.coefs_)
    assert np.isfinite(other.coefs_).all()


def test_batches_of_empty_sequences_are_fine(problem):
    # The first of all sequences is empty, and is a batch of its own here.
    for pooling in ("last", "mean", "max"):
        model = estimator(problem, batch_size=1, pooling=pooling).fit(X, targets(problem))
        assert np.isfinite(model.coefs_).all()
        assert np.isfinite(model.loss_)


def test_stacked_layers_have_their_own_sizes():
    model = estimator("multiclass", hidden_size=(5, 4)).fit(X, targets("multiclass"))
    shapes = {name: array.shape for name, array in model.parameters_.items()}
    assert shapes == {
        "weight_ih_l0": (20, 3),
        "weight_hh_l0": (20, 5),
        "bias_l0": (20,),
        "weight_ih_l1": (16, 5),
        "weight_hh_l1": (16, 4),
        "bias_l1": (16,),
        "head_weight": (3, 4),
        "head_bias": (3,),
    }
    assert model.coefs_.size == sum(array.size for array in model.parameters_.values())


def test_coefs_are_read_only():
    model = estimator("binary").fit(X, targets("binary"))
    with pytest.raises(ValueError, match="read-only"):
        model.coefs_[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        model.parameters_["head_bias"][0] = 1


def test_new_coefs_count_at_once():
    model = estimator("binary").fit(X, targets("binary"))
    assert model.decision_function(X).any()
    model.coefs_ = np.zeros_like(model.coefs_)
    assert not model.decision_function(X).any()


class TestEnd:
    """When a fit ends, and what it says then."""

    y = targets("binary")

    def test_warning_where_max_iter_ends_it(self):
        model = estimator("binary", tol=1e-4)
        with pytest.warns(
            ConvergenceWarning, match="LSTMClassifier made max_iter=3 epochs"
        ) as said:
            model.fit(X, self.y)
        assert said[0].filename == __file__
        assert model.n_iter_ == 3

    def test_no_warning_without_tol(self):
        assert estimator("binary", tol=None, max_iter=30).fit(X, self.y).n_iter_ == 30

    def test_converged(self):
        # No epoch lowers the loss by 10, so the first that could is followed by 4 that do not.
        model = estimator("binary", tol=10.0, n_iter_no_change=4, max_iter=50).fit(X, self.y)
        assert model.n_iter_ == 5

    def test_convergence_in_the_last_epoch_is_convergence(self):
        model = estimator("binary", tol=10.0, n_iter_no_change=4, max_iter=5)
        assert model.fit(X, self.y).n_iter_ == 5

    def test_stops_on_the_loss_curve(self):
        model = estimator("binary", tol=3e-3, n_iter_no_change=3, max_iter=500, learning_rate=0.01)
        curve = np.array(model.fit(X, self.y).loss_curve_)
        best = np.minimum.accumulate(curve)
        stale = curve[1:] > best[:-1] - 3e-3
        assert stale[-3:].all()
        windows = np.lib.stride_tricks.sliding_window_view(stale[:-1], 3)
        assert not windows.all(axis=1).any()

    def test_warning_as_error_changes_nothing(self):
        model = estimator("binary", tol=1e-4)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ConvergenceWarning):
                model.fit(X, self.y)
        assert not hasattr(model, "coefs_")

    @pytest.mark.parametrize("solver", ["sgd", "adam"])
    def test_divergence_is_an_error(self, solver):
        model = estimator("one output").fit(X, targets("one output"))
        state = vars(model).copy()
        model.set_params(learning_rate=1e38, solver=solver, max_grad_norm=None, max_iter=50)
        with pytest.raises(ValueError, match=r"Training diverged in epoch \d+"):
            model.fit(X, targets("one output"))
        assert {key: vars(model)[key] for key in state if key.endswith("_")} == {
            key: value for key, value in state.items() if key.endswith("_")
        }


class TestWarmStart:
    """Two fits in a row are one longer fit, bit for bit."""

    @pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "rmsprop"])
    def test_exact(self, problem, solver):
        y = targets(problem)
        settings = {"solver": solver, "dropout": 0.2, "weight_decay": 1e-3}
        whole = estimator(problem, max_iter=7, **settings).fit(X, y)
        parts = estimator(problem, max_iter=3, warm_start=True, **settings).fit(X, y)
        parts.set_params(max_iter=4).fit(X, y)
        assert parts.n_iter_ == 7
        assert parts.loss_curve_ == whole.loss_curve_
        assert_array_equal(parts.coefs_, whole.coefs_)

    def test_exact_after_a_pickle_and_without_a_seed(self):
        import pickle

        y = targets("binary")
        model = estimator("binary", warm_start=True, random_state=None).fit(X, y)
        twin = pickle.loads(pickle.dumps(model))
        assert_array_equal(model.fit(X, y).coefs_, twin.fit(X, y).coefs_)

    def test_fitted_attributes_of_the_first_fit_stay(self):
        y = targets("one output")
        model = estimator("one output", warm_start=True).fit(X, y)
        mean, scale = model.target_mean_, model.target_scale_
        model.fit(X, 5 + 2 * y)
        assert_array_equal(model.target_mean_, mean)
        assert_array_equal(model.target_scale_, scale)

    def test_without_it_a_fit_begins_anew(self):
        y = targets("binary")
        model = estimator("binary", warm_start=True).fit(X, y)
        first = model.coefs_
        model.set_params(warm_start=False).fit(X, y)
        assert_array_equal(model.coefs_, first)
        assert not hasattr(model, "_training_state")

    @pytest.mark.parametrize(
        "change",
        [{"hidden_size": 7}, {"solver": "sgd"}, {"dtype": "float64"}, {"pooling": "max"}],
        ids=str,
    )
    def test_another_network_is_refused(self, change):
        y = targets("binary")
        model = estimator("binary", warm_start=True).fit(X, y)
        state = vars(model).copy() | change
        with pytest.raises(ValueError, match="warm_start=True goes on with the network"):
            model.set_params(**change).fit(X, y)
        assert vars(model) == state

    @pytest.mark.parametrize("other", [["a", "b"], [0, 2]])
    def test_other_classes_are_refused(self, other):
        y = targets("binary")
        model = estimator("binary", warm_start=True).fit(X, y)
        with pytest.raises(ValueError, match="warm_start=True goes on with the classes"):
            model.fit(X, np.array(other)[y])


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
@pytest.mark.usefixtures("interruptible")
class TestInterrupt:
    """Ctrl-C ends a fit within a batch."""

    y = targets("binary", 400)
    X = sequences("3d", 400)

    def interrupt(self, model, seconds=0.3):
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                model.fit(self.X, self.y)
        finally:
            timer.cancel()

    def test_unfitted_stays_unfitted(self):
        model = estimator("binary", max_iter=10**6, hidden_size=64)
        self.interrupt(model)
        assert vars(model) == vars(estimator("binary", max_iter=10**6, hidden_size=64))

    def test_fitted_stays_as_it_was(self):
        model = estimator("binary").fit(self.X, self.y)
        before = model.predict_proba(self.X)
        model.set_params(max_iter=10**6, hidden_size=64)
        state = vars(model).copy()
        self.interrupt(model)
        assert vars(model) == state
        assert_array_equal(model.predict_proba(self.X), before)

    def test_warm_start_keeps_whole_epochs(self):
        settings = {"warm_start": True, "hidden_size": 16}
        model = estimator("binary", max_iter=10**6, **settings)
        self.interrupt(model, seconds=1.0)
        done = model.n_iter_
        assert done == len(model.loss_curve_) >= 1
        whole = estimator("binary", max_iter=done, hidden_size=16).fit(self.X, self.y)
        assert_array_equal(model.coefs_, whole.coefs_)


class TestRandomState:
    """Where the random numbers come from."""

    y = targets("binary")

    def fitted(self, random_state):
        return estimator("binary", random_state=random_state, dropout=0.2).fit(X, self.y)

    def test_equal_seeds_give_equal_bits(self):
        assert_array_equal(self.fitted(3).coefs_, self.fitted(3).coefs_)
        assert_array_equal(
            self.fitted(np.random.RandomState(3)).coefs_, self.fitted(np.int64(3)).coefs_
        )

    def test_none_draws_anew(self):
        assert not np.array_equal(self.fitted(None).coefs_, self.fitted(None).coefs_)

    @pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
    def test_a_generator_goes_on(self, make):
        assert_array_equal(self.fitted(make(3)).coefs_, self.fitted(make(3)).coefs_)
        generator = make(3)
        first, second = self.fitted(generator), self.fitted(generator)
        assert not np.array_equal(first.coefs_, second.coefs_)

    def test_global_generator_is_left_alone(self):
        before = np.random.get_state()[1].copy()  # noqa: NPY002 - the old global state is meant
        self.fitted(3)
        assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
