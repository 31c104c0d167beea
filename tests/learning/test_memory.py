"""Learning, not only arithmetic: problems whose answer lies many steps back, through ``fit``.

Every seed draws its own data and its own first weights, and all of them have to succeed.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from tasks import adding_problem, embedded_symbol, next_symbols

from lstmcore import LSTMClassifier, LSTMRegressor, _core

N_FRESH = 1000

pytestmark = pytest.mark.skipif(
    os.environ.get("LSTMCORE_ISA") == "scalar" and len(_core.isas_available()) > 1,
    reason="minutes of work for the bits that faster instruction sets give",
)


@pytest.mark.parametrize("seed", range(5))
def test_adding_problem_over_100_steps(seed: int) -> None:
    """Squared error on fresh sequences at most 0.005, after 64,000 sequences; 1/6 is chance."""
    rng = np.random.default_rng(seed)
    X, y = adding_problem(8000, 100, rng)
    model = LSTMRegressor(
        hidden_size=16, learning_rate=0.01, max_iter=8, tol=None, random_state=seed
    ).fit(X, y)
    X, y = adding_problem(N_FRESH, 100, rng)
    assert np.mean((model.predict(X) - y) ** 2) <= 0.005


@pytest.mark.parametrize("seed", range(10))
def test_embedded_symbol_of_reber_strings(seed: int) -> None:
    """The second symbol of a string, asked for at its end: right in all of 1000 fresh strings."""
    rng = np.random.default_rng(seed)
    X, y = embedded_symbol(1000, rng)
    model = LSTMClassifier(
        hidden_size=8, learning_rate=0.02, max_iter=15, tol=None, random_state=seed
    ).fit(X, y)
    X, y = embedded_symbol(N_FRESH, rng)
    assert (model.predict(X) == y).all()
    without_start = model.predict([x[2:] for x in X])
    assert 0.3 < np.mean(without_start == y) < 0.7, "the answer stands elsewhere too"


@pytest.mark.parametrize("seed", range(10))
def test_symbols_that_may_follow_in_reber_strings(seed: int) -> None:
    """The exact set of them, at the least after 99.5 % of 1000 fresh beginnings of strings."""
    rng = np.random.default_rng(seed)
    X, Y = next_symbols(4000, rng)
    model = LSTMClassifier(
        hidden_size=32, learning_rate=0.01, max_iter=40, tol=None, random_state=seed
    ).fit(X, Y)
    X, Y = next_symbols(N_FRESH, rng)
    assert np.mean((model.predict(X) == Y).all(axis=1)) >= 0.995
