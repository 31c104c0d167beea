"""The record of a fit."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, targets

X = ragged_sequences()
KEYS = {
    "epoch",
    "loss",
    "learning_rate",
    "gradient_norm",
    "gradient_norm_max",
    "clipped",
    "parameter_norm",
    "seconds",
    "samples_per_second",
}


def numbers(model):
    """The record without what the clock says."""
    timed = {"seconds", "samples_per_second"}
    return [{k: v for k, v in entry.items() if k not in timed} for entry in model.history_]


def test_entries(problem):
    model = estimator(problem, max_iter=4, learning_rate=0.02).fit(X, targets(problem))
    assert [set(entry) for entry in model.history_] == [KEYS] * 4
    assert [entry["epoch"] for entry in model.history_] == [1, 2, 3, 4]
    assert [entry["loss"] for entry in model.history_] == model.loss_curve_
    for entry in model.history_:
        assert entry["learning_rate"] == 0.02
        assert 0 < entry["gradient_norm"] <= entry["gradient_norm_max"]
        # Equal samples are seen as one.
        assert 0 < round(entry["samples_per_second"] * entry["seconds"]) <= len(X)
    assert model.history_[-1]["parameter_norm"] == pytest.approx(
        np.linalg.norm(model.coefs_.astype(float))
    )


def test_share_of_clipped_steps():
    y = targets("one output")
    free = estimator("one output", max_grad_norm=None).fit(X, y)
    assert all(entry["clipped"] == 0 for entry in free.history_)
    tight = estimator("one output", max_grad_norm=1e-3).fit(X, y)
    assert all(entry["clipped"] == 1 for entry in tight.history_)
    # The first epoch has the same first gradient, and one step in three is clipped here.
    norms = [entry["gradient_norm"] for entry in free.history_]
    some = estimator("one output", max_grad_norm=norms[0]).fit(X, y)
    assert 0 < some.history_[0]["clipped"] < 1


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_it_does_not_depend_on_threads(problem, n_jobs):
    y = targets(problem)
    settings = {"hidden_size": (33, 18), "batch_size": 40}
    alone = estimator(problem, n_jobs=1, **settings).fit(X, y)
    assert numbers(estimator(problem, n_jobs=n_jobs, **settings).fit(X, y)) == numbers(alone)
