"""Fixtures of the tests of the estimators: every kind of problem with every form of X."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from estimators.problems import FORMS, PROBLEMS, estimator, sequences, targets


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, even where whoever started the tests ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=PROBLEMS)
def problem(request: pytest.FixtureRequest) -> str:
    """Name of a kind of problem."""
    return str(request.param)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    """Name of a form of X."""
    return str(request.param)


@pytest.fixture
def case(problem: str, form: str) -> tuple[Any, Any, Any]:
    """An estimator that is not fitted, with X and y."""
    return estimator(problem, form), sequences(form), targets(problem)
