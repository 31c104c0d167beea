"""Step by step: the bits of the whole sequence, from a state of plain arrays."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from estimators.problems import N_FEATURES, estimator, methods, sequences, targets
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from lstmcore import LSTMClassifier, LSTMRegressor, StreamState

POOLINGS = ("last", "mean", "max")
SIZES = (6, (5, 9), (20, 20))


def fitted(problem, **settings):
    return estimator(problem, **settings).fit(sequences("ragged"), targets(problem))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_equal_the_whole(problem, pooling, size, dtype):
    model = fitted(problem, pooling=pooling, hidden_size=size, dtype=dtype)
    X = np.random.default_rng(1).normal(size=(7, 11, N_FEATURES))
    for name in methods(model):
        state = model.initial_state(7)
        for t in range(11):
            y, state = model.step(X[:, t], state, method=name)
            assert_array_equal(y, getattr(model, name)(X[:, : t + 1]), strict=True)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_streams_of_different_ages(pooling):
    model = fitted("multiclass", pooling=pooling)
    X = np.random.default_rng(1).normal(size=(2, 9, N_FEATURES))
    _, old = model.step(X[:1, 0], model.initial_state())
    for t in range(1, 5):
        _, old = model.step(X[:1, t], old)
    young = model.initial_state()
    parts = zip(old, young, strict=True)
    joined = StreamState(
        *(
            tuple(map(np.concatenate, zip(a, b, strict=True)))
            if isinstance(a, tuple)
            else np.concatenate([a, b])
            for a, b in parts
        )
    )
    y, _ = model.step(np.stack([X[0, 5], X[1, 0]]), joined, method="predict_proba")
    assert_array_equal(y, model.predict_proba([X[0, :6], X[1, :1]]))


def test_a_state_is_plain_and_stays_as_it_was():
    model = fitted("binary", hidden_size=(4, 4), pooling="mean")
    x = np.ones((3, N_FEATURES))
    _, state = model.step(x, model.initial_state(3))
    before = pickle.loads(pickle.dumps(state))
    first, _ = model.step(x, state, method="predict_proba")
    again, _ = model.step(x, before, method="predict_proba")
    assert_array_equal(first, again)
    for one, other in zip(state, before, strict=True):
        assert_array_equal(one, other)


def test_forms_of_a_step():
    model = fitted("one output")
    x = np.random.default_rng(0).normal(size=(2, N_FEATURES)).astype(np.float32)
    expected, _ = model.step(x, model.initial_state(2))
    for form in (x.tolist(), x.astype(np.float64), np.asfortranarray(x), x.astype(">f4")):
        y, _ = model.step(form, model.initial_state(2))
        assert_array_equal(y, expected)


def test_huge_values():
    model = fitted("one output")
    x = np.full((1, N_FEATURES), 3e38)
    y, _ = model.step(x, model.initial_state())
    assert_array_equal(y, model.predict(x[:, None]))


def test_missing_values():
    X = [x.copy() for x in sequences("ragged")]
    for x in X[1::2]:
        x[::2, 1] = np.nan
    model = estimator("binary", missing="mask").fit(X, targets("binary"))
    longest = max(X, key=len)
    state = model.initial_state()
    for t in range(len(longest)):
        y, state = model.step(longest[t : t + 1], state, method="predict_proba")
        assert_array_equal(y, model.predict_proba([longest[: t + 1]]))


ONE = np.zeros((1, N_FEATURES))
BAD_STEPS = [
    (np.zeros((2, N_FEATURES)), None, ValueError, r"state.pooled must have the shape \(2, 6\)"),
    (np.zeros((1, 4)), None, ValueError, r"x must have the shape \(n_sequences, 3\), got \(1, 4\)"),
    (np.zeros(3), None, ValueError, r"x must have the shape .* got \(3,\)"),
    (np.full((1, 3), np.nan), None, ValueError, "x contains NaN: sample 0, time step 0, feature 0"),
    (np.full((1, 3), -np.inf), None, ValueError, "x contains infinity"),
    (np.full((1, 3), 1e300), None, ValueError, "x contains infinity"),
    (ONE, "state", TypeError, "state must be a StreamState"),
    (ONE, {"hidden": ()}, ValueError, "state.hidden must have one array for each of the 1 layers"),
    (ONE, {"cell": (np.zeros((1, 5), "f4"),)}, ValueError, r"state.cell\[0\] must have the shape"),
    (ONE, {"pooled": np.zeros((1, 6))}, ValueError, "dtype float32, got .* float64"),
    (ONE, {"n_steps": np.array([-1])}, ValueError, "state.n_steps must be 1 integers"),
]


@pytest.mark.parametrize(("x", "changes", "error", "message"), BAD_STEPS)
def test_bad_steps(x, changes, error, message):
    model = fitted("binary")
    state = model.initial_state()
    if isinstance(changes, str):
        state = changes
    elif changes:
        state = state._replace(**changes)
    with pytest.raises(error, match=message):
        model.step(x, state)


def test_bad_arguments():
    model = fitted("one output")
    with pytest.raises(ValueError, match=r"method must be one of \['predict'\], got"):
        model.step(ONE, model.initial_state(), method="predict_proba")
    with pytest.raises(ValueError, match="n_sequences must be at least 1, got 0"):
        model.initial_state(0)
    with pytest.raises(TypeError, match=r"n_sequences must be an int, got 1\.5"):
        model.initial_state(1.5)
    for cls in (LSTMClassifier, LSTMRegressor):
        with pytest.raises(NotFittedError):
            cls().initial_state()
        with pytest.raises(NotFittedError):
            cls().step(ONE, None)
