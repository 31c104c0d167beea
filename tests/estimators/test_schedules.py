"""Learning rates: their formulas, and that they reach the solver."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, targets
from numpy.testing import assert_allclose, assert_array_equal

from lstmcore._schedules import Schedule

X = ragged_sequences()
y = targets("binary")


def rates_of(model):
    return [entry["learning_rate"] for entry in model.history_]


def test_cosine():
    schedule = Schedule("cosine", 0.2, warmup_epochs=2, decay_epochs=12, decay_factor=0.1)
    for epoch in range(20):
        p = min(max((epoch - 2) / 10, 0), 1)
        expected = 0.2 * (0.1 + 0.9 * (1 + math.cos(math.pi * p)) / 2)
        steps = np.minimum((epoch + np.arange(1, 6) / 5) / 2, 1)
        assert_allclose(schedule.rates(epoch, n_steps=5), expected * steps, rtol=1e-14)
    assert schedule.rates(12, n_steps=1)[0] == pytest.approx(0.02, rel=1e-15)


def test_cosine_without_an_end_above_its_start():
    schedule = Schedule("cosine", 1.0, warmup_epochs=5, decay_epochs=3, decay_factor=0.5)
    assert [schedule.rates(e, n_steps=1)[0] for e in (0, 4, 9)] == [0.1, 0.5, 0.5]


def test_step():
    schedule = Schedule("step", 1.0, warmup_epochs=0, decay_epochs=3, decay_factor=0.5)
    rates = [schedule.rates(epoch, n_steps=2).tolist() for epoch in range(7)]
    assert rates == [[1.0] * 2] * 3 + [[0.5] * 2] * 3 + [[0.25] * 2]


def test_warm_up_takes_a_part_of_an_epoch():
    schedule = Schedule("constant", 1.0, warmup_epochs=0.5, decay_epochs=1, decay_factor=0.1)
    assert schedule.rates(0, n_steps=4).tolist() == [0.5, 1.0, 1.0, 1.0]
    assert schedule.rates(1, n_steps=4).tolist() == [1.0] * 4


def test_constant_by_default():
    assert rates_of(estimator("binary", learning_rate=0.01).fit(X, y)) == [0.01] * 3


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("cosine", [0.1 * (0.1 + 0.9 * (1 + math.cos(math.pi * e / 9)) / 2) for e in range(9)]),
        ("step", [0.1] * 3 + [0.01] * 3 + [0.001] * 3),
    ],
)
def test_defaults_fill_the_fit(kind, expected):
    model = estimator("binary", learning_rate=0.1, learning_rate_schedule=kind, max_iter=9)
    assert_allclose(rates_of(model.fit(X, y)), expected, rtol=1e-12)


def test_plateau_lowers_where_nothing_improves():
    # No epoch lowers the loss by 10: the first is an improvement, and no other one.
    model = estimator(
        "binary",
        learning_rate=0.1,
        learning_rate_schedule="plateau",
        decay_epochs=2,
        decay_factor=0.5,
        tol=10.0,
        n_iter_no_change=7,
        max_iter=20,
    ).fit(X, y)
    assert rates_of(model) == [0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125]


def test_plateau_follows_the_validation_score():
    model = estimator(
        "binary",
        learning_rate=0.3,
        learning_rate_schedule="plateau",
        decay_epochs=1,
        early_stopping=True,
        max_iter=30,
    ).fit(X, y)
    scores, rates = model.validation_scores_, rates_of(model)
    lowered = [a > b for a, b in pairwise(rates)]
    best = np.maximum.accumulate(scores)
    worse = [score <= before for score, before in zip(scores[1:-1], best[:-2], strict=True)]
    assert lowered[1:] == worse
    assert any(lowered)


def test_plateau_leaves_what_improves():
    model = estimator("binary", learning_rate_schedule="plateau", decay_epochs=1, max_iter=6)
    model.fit(X, y)
    improves = np.diff(model.loss_curve_) < 0
    assert [r == 1e-3 for r in rates_of(model)[:2]] == [True, True]
    assert improves.all() == (rates_of(model)[-1] == 1e-3)


def test_rates_reach_the_solver():
    """With SGD and no momentum to speak of, a fit is one of many one-epoch fits by hand."""
    settings = {"solver": "adam", "batch_size": 8}
    warm = estimator("binary", learning_rate=0.02, warmup_epochs=2, max_iter=5, **settings)
    cold = estimator("binary", learning_rate=0.02, max_iter=5, **settings)
    step = estimator("binary", learning_rate=0.02, max_iter=1, warm_start=True, **settings)
    for rate in (0.02, 0.02, 0.002, 0.002, 0.0002):
        step.set_params(learning_rate=rate).fit(X, y)
    stepped = estimator(
        "binary",
        learning_rate=0.02,
        learning_rate_schedule="step",
        decay_epochs=2,
        max_iter=5,
        **settings,
    ).fit(X, y)
    assert_allclose(rates_of(stepped), [0.02, 0.02, 0.002, 0.002, 0.0002], rtol=1e-12)
    assert_allclose(stepped.coefs_, step.coefs_, rtol=1e-5, atol=1e-7)
    assert not np.array_equal(warm.fit(X, y).coefs_, cold.fit(X, y).coefs_)


@pytest.mark.parametrize("kind", ["constant", "cosine", "step", "plateau"])
def test_in_parts(kind):
    settings = {
        "learning_rate_schedule": kind,
        "decay_epochs": 5,
        "warmup_epochs": 2.5,
        "learning_rate": 0.1,
    }
    whole = estimator("binary", max_iter=8, **settings).fit(X, y)
    parts = estimator("binary", max_iter=3, warm_start=True, **settings).fit(X, y)
    parts.set_params(max_iter=5).fit(X, y)
    assert rates_of(parts) == rates_of(whole)
    assert_array_equal(parts.coefs_, whole.coefs_)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("learning_rate_schedule", "linear", ValueError),
        ("learning_rate_schedule", None, TypeError),
        ("warmup_epochs", -1, ValueError),
        ("decay_epochs", 0, ValueError),
        ("decay_epochs", 1.5, TypeError),
        ("decay_factor", 1.0, ValueError),
    ],
)
def test_parameters(name, value, error):
    with pytest.raises(error, match=name):
        estimator("binary", **{name: value}).fit(X, y)
