"""The range test of learning rates."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, targets
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import Ridge

from lstmcore import LearningRateFinder

X = ragged_sequences()


def test_losses(problem):
    y = targets(problem)
    base = estimator(problem, batch_size=8)
    finder = LearningRateFinder(base, n_steps=30, max_learning_rate=0.1).fit(X, y)
    assert len(finder.learning_rates_) == len(finder.losses_) == 30
    assert_allclose(finder.learning_rates_, np.geomspace(1e-6, 0.1, 30), rtol=1e-6)
    assert finder.best_learning_rate_ in finder.learning_rates_ / 4
    assert not hasattr(base, "coefs_")
    twin = clone(finder).fit(X, y)
    assert_array_equal(twin.losses_, finder.losses_)
    # What would be held out is not.
    held = LearningRateFinder(estimator(problem, batch_size=8, early_stopping=True), n_steps=30)
    assert_array_equal(held.set_params(max_learning_rate=0.1).fit(X, y).losses_, finder.losses_)


def test_first_loss_is_that_of_a_first_step():
    y = targets("one output")
    finder = LearningRateFinder(estimator("one output", batch_size=64), n_steps=3).fit(X, y)
    model = estimator("one output", batch_size=64, max_iter=1, learning_rate=1e-9).fit(X, y)
    assert finder.losses_[0] == pytest.approx(model.loss_)


def test_smoothing():
    y = targets("binary")
    finder = LearningRateFinder(estimator("binary"), n_steps=20, smoothing=0.0).fit(X, y)
    assert_allclose(finder.smoothed_losses_, finder.losses_)
    finder.set_params(smoothing=0.5).fit(X, y)
    weights = 0.5 ** np.arange(20)
    expected = [
        np.average(finder.losses_[: k + 1][::-1], weights=weights[: k + 1]) for k in range(20)
    ]
    assert_allclose(finder.smoothed_losses_, expected)


def sums():
    """Sequences whose sums are easy to learn."""
    rng = np.random.default_rng(0)
    Z = [rng.uniform(size=(rng.integers(2, 9), 1)) for _ in range(200)]
    return Z, np.array([z.sum() for z in Z])


def test_it_ends_where_the_loss_explodes():
    Z, y = sums()
    base = estimator("one output", max_grad_norm=None, solver="sgd")
    finder = LearningRateFinder(base, max_learning_rate=1e6).fit(Z, y)
    assert len(finder.losses_) < 100
    assert np.isfinite(finder.losses_).all()
    assert 4 * finder.best_learning_rate_ < finder.learning_rates_[-1]


def test_the_rate_that_is_found_learns():
    Z, y = sums()
    base = estimator("one output", hidden_size=8, max_iter=20)
    rate = LearningRateFinder(base).fit(Z, y).best_learning_rate_
    found = clone(base).set_params(learning_rate=rate).fit(Z, y).score(Z, y)
    assert found > clone(base).fit(Z, y).score(Z, y)
    assert found > 0.9


def test_plot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    finder = LearningRateFinder(estimator("binary"), n_steps=5).fit(X, targets("binary"))
    ax = finder.plot()
    assert_array_equal(ax.lines[0].get_ydata(), finder.losses_)
    assert ax.get_xscale() == "log"
    assert finder.plot(ax=ax) is ax
    plt.close("all")


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"min_learning_rate": 0}, ValueError),
        ({"min_learning_rate": 2.0}, ValueError),
        ({"n_steps": 1}, ValueError),
        ({"smoothing": 1.0}, ValueError),
        ({"estimator": Ridge()}, TypeError),
    ],
    ids=str,
)
def test_parameters(parameters, error):
    finder = LearningRateFinder(estimator("binary")).set_params(**parameters)
    with pytest.raises(error, match=next(iter(parameters))):
        finder.fit(X, targets("binary"))
