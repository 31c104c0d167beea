"""Layers that read both ways or add what they read, as users call them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lstmcore.layers import GRU, LSTM, RNN

X = [np.random.default_rng(t).normal(size=(t, 3)).astype(np.float32) for t in (4, 0, 6, 1)]


@pytest.mark.parametrize("cls", [LSTM, GRU, RNN])
def test_shapes_and_halves(cls: Any) -> None:
    layer = cls(3, 5, 2, bidirectional=True, residual=True, random_state=0)
    y, state, cache = layer.forward(X)
    assert [a.shape for a in y] == [(len(x), 10) for x in X]
    for part in state if cls is LSTM else (state,):
        assert part.shape == (4, 4, 5)
    dx, dstate, grads = layer.backward(y, cache, state)
    assert [a.shape for a in dx] == [x.shape for x in X]
    assert (dstate[0] if cls is LSTM else dstate).shape == (4, 4, 5)
    assert {name: a.shape for name, a in grads.items()} == {
        name: a.shape for name, a in layer.parameters.items()
    }
    assert layer.parameters["weight_ih_l1_reverse"].shape[1] == 10
    # One level: the second half is a layer that gets every sequence from its end, to the bit.
    both = cls(3, 5, bidirectional=True, random_state=1)
    one = cls(3, 5)
    for name, values in one.parameters.items():
        values[...] = both.parameters[f"{name}_reverse"]
    for got, back in zip(both(X)[0], one([x[::-1] for x in X])[0], strict=True):
        assert_array_equal(got[:, 5:], back[::-1])
    again = pickle.loads(pickle.dumps(layer))
    assert repr(again) == repr(layer)
    assert "bidirectional=True, residual=True" in repr(layer)
    for got, want in zip(again(X)[0], y, strict=True):
        assert_array_equal(got, want)


def test_residual_adds_and_steps() -> None:
    plain = LSTM(3, 5, random_state=0)
    layer = LSTM(3, 5, 2, residual=True, random_state=0)
    upper = LSTM(5, 5)
    for name, values in plain.parameters.items():
        values[...] = layer.parameters[name]
        upper.parameters[name][...] = layer.parameters[name.replace("l0", "l1")]
    below = plain(X)[0]
    state = None
    for got, low, high in zip(layer(X)[0], below, upper(below)[0], strict=True):
        assert_array_equal(got, low + high)
    for t, row in enumerate(layer(X[2:3])[0][0]):
        y_t, state = layer.step(X[2][t : t + 1], state)
        assert_array_equal(y_t[0], row)


def test_errors() -> None:
    layer = GRU(3, 4, 2, bidirectional=True)
    with pytest.raises(ValueError, match="step needs a layer that reads forward only"):
        layer.step(np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"state.*\(4, 4, 4\)"):
        layer(X, np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match=r"dy"):
        layer.backward([x[:, :2] for x in X], layer.forward(X)[2])
    with pytest.raises(ValueError, match="gradient_flow looks back from the end"):
        layer.gradient_flow(X)
    for name in ("bidirectional", "residual"):
        with pytest.raises(TypeError, match=f"{name} must be True or False, got 1"):
            LSTM(3, 4, **{name: 1})  # type: ignore[arg-type]
