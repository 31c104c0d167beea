"""A fit can be killed at any moment, and goes on to the same bits."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from estimators.problems import estimator, methods, ragged_sequences, targets
from numpy.testing import assert_array_equal
from sklearn.model_selection import TimeSeriesSplit

import lstmcore
from lstmcore.callbacks import Checkpoint, EarlyStopping, EpochScoring, LRScheduler

X = ragged_sequences()

FIT = """
import sys
import numpy as np
from lstmcore import LSTMClassifier, LSTMRegressor
from lstmcore.callbacks import Checkpoint, EarlyStopping

kind, folder, result = sys.argv[1:]
rng = np.random.default_rng(0)
X = [rng.normal(size=(length, 3)) for length in rng.integers(1, 12, 200)]
settings = dict(hidden_size=(13, 9), dropout=0.2, max_iter=40, tol=None, random_state=0)
settings |= dict(learning_rate=0.03, learning_rate_schedule="plateau", early_stopping=True)
if kind == "classifier":
    model, y = LSTMClassifier(**settings), np.array([len(x) % 3 for x in X])
else:
    model, y = LSTMRegressor(dtype="float64", **settings), np.array([x.sum() for x in X])
model.set_callbacks(Checkpoint(folder)).fit(X, y)
scores = np.array(model.validation_scores_ + model.loss_curve_)
np.savez(result, coefs=model.coefs_, scores=scores, best=model.best_iteration_)
"""


def started(kind, folder, result):
    return subprocess.Popen(
        [sys.executable, "-P", "-c", FIT, kind, str(folder), str(result)], stderr=subprocess.PIPE
    )


def finished(process):
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill on this platform")
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_killed_at_random_moments(kind, tmp_path):
    finished(started(kind, tmp_path / "whole", tmp_path / "whole.npz"))
    chance = random.Random(os.urandom(8))
    folder, result = tmp_path / "killed", tmp_path / "killed.npz"
    file = folder / "checkpoint.safetensors"
    n_killed = 0
    for _ in range(4):
        before = file.stat().st_mtime_ns if file.exists() else 0
        process = started(kind, folder, result)
        # From when it goes on, which takes some time to start, up to about 30 epochs later.
        while process.poll() is None and (not file.exists() or file.stat().st_mtime_ns == before):
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.1))
        n_killed += process.poll() is None
        process.kill()
        process.communicate()
        assert Checkpoint(folder).load().n_iter_ >= 1
    finished(started(kind, folder, result))
    assert n_killed >= 1
    with np.load(tmp_path / "whole.npz") as whole, np.load(result) as killed:
        for name in whole:
            assert_array_equal(whole[name], killed[name])
    assert [path.name for path in folder.iterdir()] == ["checkpoint.safetensors"]


class StopError(Exception):
    """Ends a fit, as a crash would."""


class Crash:
    """Ends a fit after so many epochs."""

    def __init__(self, after):
        self.after = after

    def setup(self, estimator, context):
        """Of the protocol."""

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id + 1 == self.after:
            raise StopError


def crashed(model, *callbacks, after, y):
    with pytest.raises(StopError):
        model.set_callbacks(*callbacks, Crash(after)).fit(X, y)
    return model.set_callbacks(*callbacks)


@pytest.mark.parametrize("after", [1, 2, 4])
def test_it_goes_on(problem, after, tmp_path):
    y = targets(problem)
    settings = {"max_iter": 4, "dropout": 0.1}
    model = crashed(estimator(problem, **settings), Checkpoint(tmp_path), after=after, y=y)
    assert not hasattr(model, "coefs_")
    assert model.fit(X, y).n_iter_ == 4
    whole = estimator(problem, **settings).fit(X, y)
    assert_array_equal(model.coefs_, whole.coefs_)
    assert model.loss_curve_ == whole.loss_curve_


def test_without_a_seed_the_first_one_is_kept(tmp_path):
    y = targets("binary")
    model = estimator("binary", random_state=None, max_iter=6)
    model = crashed(model, Checkpoint(tmp_path), after=2, y=y)
    seed = Checkpoint(tmp_path).load()._training_state.seed
    model.fit(X, y)
    assert Checkpoint(tmp_path).load()._training_state.seed == seed


def test_with_other_callbacks(tmp_path):
    y = targets("binary")

    def callbacks(folder):
        return (
            LRScheduler(lambda epoch, history: 0.1 / (1 + len(history))),
            EpochScoring("accuracy"),
            EarlyStopping("training_accuracy", patience=3),
            Checkpoint(folder),
        )

    whole = estimator("binary", max_iter=30).set_callbacks(*callbacks(tmp_path / "a")).fit(X, y)
    for after in (1, whole.n_iter_ - 1, whole.n_iter_):
        folder = tmp_path / str(after)
        model = crashed(estimator("binary", max_iter=30), *callbacks(folder), after=after, y=y)
        model.fit(X, y)
        assert model.n_iter_ == whole.n_iter_
        assert_array_equal(model.coefs_, whole.coefs_)
        for name in ("loss", "training_accuracy", "learning_rate"):
            assert [e[name] for e in model.history_] == [e[name] for e in whole.history_]


def test_what_had_converged_is_over(tmp_path):
    y = targets("binary")
    model = estimator("binary", tol=10.0, n_iter_no_change=2, max_iter=9)
    model.set_callbacks(Checkpoint(tmp_path)).fit(X, y)
    first = model.coefs_
    assert model.n_iter_ == 3
    assert model.fit(X, y).n_iter_ == 3
    assert_array_equal(model.coefs_, first)


def test_every_few_epochs(tmp_path):
    y = targets("binary")
    model = estimator("binary", max_iter=5)
    model = crashed(model, Checkpoint(tmp_path, every_n_epochs=2), after=4, y=y)
    assert Checkpoint(tmp_path).load().n_iter_ == 4
    model.fit(X, y)
    assert Checkpoint(tmp_path).load().n_iter_ == 5
    assert_array_equal(model.coefs_, estimator("binary", max_iter=5).fit(X, y).coefs_)


def test_the_loaded_model_predicts(problem, tmp_path):
    y = targets(problem)
    model = estimator(problem).set_callbacks(Checkpoint(tmp_path)).fit(X, y)
    loaded = Checkpoint(tmp_path).load()
    for name, method in methods(model).items():
        assert_array_equal(method(X), getattr(loaded, name)(X))
    # It goes on, too.
    whole = estimator(problem, max_iter=4).fit(X, y)
    assert_array_equal(loaded.set_callbacks(Checkpoint(tmp_path)).partial_fit(X, y).coefs_,
                       whole.coefs_)  # fmt: skip
    assert Checkpoint(tmp_path).load().n_iter_ == 4


def test_what_a_file_can_not_hold_does_not_matter(tmp_path):
    y = targets("one output")
    settings = {"early_stopping": True, "validation_split": TimeSeriesSplit(3)}
    settings |= {"random_state": np.random.RandomState(0)}
    model = estimator("one output", **settings)
    model = crashed(model, Checkpoint(tmp_path), after=2, y=y).fit(X, y)
    settings["random_state"] = np.random.RandomState(0)
    assert_array_equal(model.coefs_, estimator("one output", **settings).fit(X, y).coefs_)
    assert isinstance(model.validation_split, TimeSeriesSplit)


class TestAnother:
    """A folder that belongs to something else."""

    y = targets("binary")

    def folder(self, tmp_path):
        estimator("binary").set_callbacks(Checkpoint(tmp_path)).fit(X, self.y)
        return Checkpoint(tmp_path)

    @pytest.mark.parametrize(
        "change",
        [
            {"hidden_size": 7},
            {"learning_rate": 0.1},
            {"random_state": 1},
            {"dtype": "float64"},
            {"batch_size": 8},
        ],
        ids=str,
    )
    def test_parameters(self, change, tmp_path):
        model = estimator("binary", **change).set_callbacks(self.folder(tmp_path))
        with pytest.raises(ValueError, match="checkpoint of a fit with other data or parameters"):
            model.fit(X, self.y)
        assert not hasattr(model, "coefs_")

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_threads_do_not_matter(self, n_jobs, tmp_path):
        estimator("binary", n_jobs=n_jobs).set_callbacks(self.folder(tmp_path)).fit(X, self.y)

    def test_data(self, tmp_path):
        checkpoint = self.folder(tmp_path)
        order = np.random.default_rng(0).permutation(40)
        estimator("binary").set_callbacks(checkpoint).fit([X[i] for i in order], self.y[order])
        for Z, y, weights in [
            (X, 1 - self.y, None),
            ([*X[:-1], X[-1] + 1], self.y, None),
            (X, self.y, np.arange(40) + 1.0),
        ]:
            with pytest.raises(ValueError, match="other data or parameters"):
                estimator("binary").set_callbacks(checkpoint).fit(Z, y, weights)

    def test_another_class(self, tmp_path):
        checkpoint = self.folder(tmp_path)
        with pytest.raises(ValueError, match="other data or parameters"):
            estimator("one output").set_callbacks(checkpoint).fit(X, np.arange(40.0))

    def test_damage(self, tmp_path):
        checkpoint = self.folder(tmp_path)
        content = bytearray(checkpoint.path.read_bytes())
        content[len(content) // 2] ^= 1
        checkpoint.path.write_bytes(content)
        model = estimator("binary").set_callbacks(checkpoint)
        with pytest.raises(ValueError, match="can't be loaded"):
            model.fit(X, self.y)

    def test_a_model_is_no_checkpoint(self, tmp_path):
        estimator("binary").fit(X, self.y).save(tmp_path / "checkpoint.safetensors")
        with pytest.raises(ValueError, match="and no checkpoint"):
            Checkpoint(tmp_path).load()
        checkpoint = self.folder(tmp_path / "b")
        with pytest.raises(ValueError, match="can't be loaded"):
            lstmcore.load(checkpoint.path)

    def test_nothing_there(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            Checkpoint(tmp_path).load()

    def test_parameters_of_its_own(self, tmp_path):
        with pytest.raises(ValueError, match="every_n_epochs"):
            Checkpoint(tmp_path, every_n_epochs=0)


def test_leftovers_of_a_kill_are_removed(tmp_path):
    part = tmp_path / ".lstmcore-0123.tmp"
    part.write_bytes(b"half of it")
    estimator("binary").set_callbacks(Checkpoint(tmp_path)).fit(X, targets("binary"))
    assert not part.exists()


def test_warm_start(tmp_path):
    """A second fit has a checkpoint of its own, in place of that of the first."""
    y = targets("binary")
    whole = estimator("binary", max_iter=6).fit(X, y)
    model = estimator("binary", warm_start=True).set_callbacks(Checkpoint(tmp_path)).fit(X, y)
    with pytest.raises(StopError):
        model.set_callbacks(Checkpoint(tmp_path), Crash(2)).fit(X, y)
    assert model.n_iter_ == 3
    assert Checkpoint(tmp_path).load().n_iter_ == 5
    model.set_callbacks(Checkpoint(tmp_path)).fit(X, y)
    assert model.n_iter_ == 6
    assert_array_equal(model.coefs_, whole.coefs_)
