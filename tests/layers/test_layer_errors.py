"""What a layer refuses, and how it says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lstmcore.layers import LSTM

INPUTS, H, L = 3, 7, 2  # features, hidden units, layers


def new_layer() -> LSTM:
    return LSTM(INPUTS, H, L, random_state=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input_size": 0}, ValueError, "input_size must be at least 1, got 0"),
        ({"hidden_size": -1}, ValueError, "hidden_size must be at least 1, got -1"),
        ({"hidden_size": 2.0}, TypeError, "hidden_size must be an integer, got 2.0"),
        ({"num_layers": True}, TypeError, "num_layers must be an integer, got True"),
        ({"num_layers": None}, TypeError, "num_layers must be an integer, got None"),
        ({"hidden_size": 2**62}, (ValueError, OverflowError, MemoryError), None),
        ({"dtype": "float16"}, ValueError, 'dtype must be "float32" or "float64", got .float16'),
        ({"dtype": None}, ValueError, "dtype must be .* got None"),
        ({"dtype": np.dtype(">f4")}, ValueError, "dtype must be"),
        ({"n_jobs": 0}, ValueError, "n_jobs must not be 0"),
        ({"n_jobs": 1.5}, TypeError, "n_jobs must be an integer or None, got 1.5"),
        ({"forget_bias": "1"}, TypeError, "forget_bias must be a number, got '1'"),
        ({"forget_bias": np.nan}, ValueError, "forget_bias must be finite, got nan"),
        ({"random_state": "seed"}, ValueError, "'seed' cannot be used to seed"),
    ],
)
def test_wrong_parameters(arguments: Any, error: Any, message: str | None) -> None:
    with pytest.raises(error, match=message):
        LSTM(**({"input_size": INPUTS, "hidden_size": H} | arguments))


X = np.zeros((2, 5, INPUTS))
X_T = X[:, 0]
ZEROS = np.zeros((L, 2, H))
SINGLE = ZEROS.astype(np.float32)


@pytest.mark.parametrize(
    ("x", "state", "error", "message"),
    [
        (X[0], None, ValueError, r"x must be an array .* got an array of shape \(5, 3\)"),
        (np.zeros((2, 5, 4)), None, ValueError, r"x must have 3 features, got .* \(2, 5, 4\)"),
        ([X[0], X[0, :, 1:]], None, ValueError, r"x\[0\] has .* x\[1\] has the shape \(5, 2\)"),
        ([X[0, :, 1:]], None, ValueError, r"x\[0\] must have 3 features, got the shape \(5, 2\)"),
        ([X[0, 0]], None, ValueError, r"x\[0\] must have the shape \(T, n_features\), got \(3,\)"),
        (None, None, ValueError, "x must hold real numbers, got a NoneType"),
        (X * 1j, None, ValueError, "x: Complex data not supported"),
        (X, ZEROS, TypeError, r"state must be a pair of arrays \(h, c\), got ndarray"),
        (X, (ZEROS,), TypeError, "state must be a pair of arrays"),
        (X, (ZEROS, None), ValueError, "c of state must hold real numbers"),
        (X, (ZEROS[:1], ZEROS), ValueError, r"h of state .* = \(2, 2, 7\), got \(1, 2, 7\)"),
        (X[:1], (ZEROS, ZEROS), ValueError, r"h of state .* = \(2, 1, 7\), got \(2, 2, 7\)"),
    ],
)
def test_wrong_calls(x: Any, state: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        new_layer()(x, state)


@pytest.mark.parametrize(
    ("x_t", "state", "out", "error", "message"),
    [
        (X_T[0], None, None, ValueError, r"x_t must have the shape \(N, 3\), got \(3,\)"),
        (X_T[:, 1:], None, None, ValueError, r"x_t must have the shape \(N, 3\), got \(2, 2\)"),
        ("x", None, None, ValueError, "x_t must hold real numbers"),
        (X_T, ZEROS, None, TypeError, "state must be a pair of arrays"),
        (X_T, (ZEROS, ZEROS[:, :1]), None, ValueError, r"c of state .* got \(2, 1, 7\)"),
        (X_T, None, ZEROS, TypeError, "out must be a pair of arrays"),
        (X_T, None, (ZEROS, ZEROS), ValueError, "out: h_out must have dtype float32"),
        (X_T, None, ([1], [2]), ValueError, "out: h_out must be a NumPy array"),
        (X_T, None, (SINGLE, SINGLE[:1]), ValueError, r"out: c_out must have shape \(2, 2, 7\)"),
    ],
)
def test_wrong_steps(x_t: Any, state: Any, out: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        new_layer().step(x_t, state, out)


@pytest.mark.parametrize(
    ("dy", "dstate", "error", "message"),
    [
        (np.zeros((2, 4, H)), None, ValueError, "dy must have as many .*: .5 5., got .4 4."),
        (np.zeros((3, 5, H)), None, ValueError, "dy must have as many sequences as x"),
        (np.zeros((2, 5, 3)), None, ValueError, r"dy must have 7 features, got .* \(2, 5, 3\)"),
        (None, ZEROS, TypeError, "dstate must be a pair of arrays"),
        (None, (ZEROS, ZEROS[..., 1:]), ValueError, r"c of dstate .* got \(2, 2, 6\)"),
    ],
)
def test_wrong_gradients(dy: Any, dstate: Any, error: type[Exception], message: str) -> None:
    layer = new_layer()
    _, _, cache = layer.forward(X)
    with pytest.raises(error, match=message):
        layer.backward(dy, cache, dstate)
    layer.backward(np.zeros((2, 5, H)), cache)  # and nothing is lost
