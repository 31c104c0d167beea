"""Layers that read from the end to the start: layers over sequences that are turned around."""

from __future__ import annotations

import pickle
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import lstmcore
from lstmcore.layers import GRU, LSTM, RNN

LAYERS: list[tuple[Any, dict[str, Any]]] = [
    (LSTM, {"residual": True}),
    (LSTM, {"proj_size": 3, "layer_norm": True}),
    (GRU, {}),
    (GRU, {"reset_after": False}),
    (RNN, {"nonlinearity": "relu"}),
    (LSTM, {"recurrent_dropout": 0.3, "zoneout_cell": 0.2}),
]
RAGGED = [np.random.default_rng(t).normal(size=(t, 3)) for t in (4, 0, 6, 1)]
EQUAL = np.random.default_rng(0).normal(size=(5, 7, 3))
EACH = pytest.mark.parametrize(("cls", "options"), LAYERS, ids=str)


def drawn(cls: Any, options: dict[str, Any], **more: Any) -> Any:
    """A layer whose every parameter is random."""
    layer = cls(3, 5, 2, **options, **more)
    rng = np.random.default_rng(1)
    for values in layer.parameters.values():
        values[...] = 0.5 * rng.normal(size=values.shape)
    return layer


def parts(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def turned(sequences: Any) -> Any:
    """Every sequence from its end to its start."""
    if isinstance(sequences, list):
        return [sequence[::-1] for sequence in sequences]
    return sequences[:, ::-1]


def assert_equal(got: Any, expected: Any) -> None:
    """In form and to the bit."""
    assert type(got) is type(expected)
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert_array_equal(one, other)


@EACH
@pytest.mark.parametrize("x", [RAGGED, EQUAL, EQUAL[:, :0]], ids=["ragged", "equal", "no steps"])
def test_everything_is_turned_around(
    cls: Any, options: dict[str, Any], x: Any, dtype: np.dtype[Any]
) -> None:
    backward = drawn(cls, options, reverse=True, dtype=dtype.name)
    forward = drawn(cls, options, dtype=dtype.name)
    rng = np.random.default_rng(2)
    state: Any = tuple(rng.normal(size=part.shape) for part in parts(forward(x)[1]))
    state = state if cls is LSTM else state[0]
    assert_equal(backward(x, state)[0], turned(forward(turned(x), state)[0]))
    # Masks are of the steps as they are read.
    seed = 3 if "zoneout_cell" in options else None
    y, after, cache, gates = backward.forward(x, state, return_gates=True, seed=seed)
    wanted, after_wanted, cache_wanted, gates_wanted = forward.forward(
        turned(x), state, return_gates=True, seed=seed
    )
    assert_equal(y, turned(wanted))
    assert_equal(parts(after), parts(after_wanted))
    for level, level_wanted in zip(gates, gates_wanted, strict=True):
        for field in fields(level):
            assert_equal(getattr(level, field.name), turned(getattr(level_wanted, field.name)))
    dy = [rng.normal(size=a.shape) for a in y] if isinstance(y, list) else rng.normal(size=y.shape)
    dx, dstate, gradients = backward.backward(dy, cache, after)
    dx_wanted, dstate_wanted, gradients_wanted = forward.backward(turned(dy), cache_wanted, after)
    assert_equal(dx, turned(dx_wanted))
    assert_equal(parts(dstate), parts(dstate_wanted))
    for name, gradient in gradients.items():
        assert_array_equal(gradient, gradients_wanted[name], err_msg=name)


@EACH
def test_steps_flow_and_copies(cls: Any, options: dict[str, Any], tmp_path: Any) -> None:
    layer = drawn(cls, options, reverse=True)
    y, _ = layer(EQUAL)
    state = None
    for t in reversed(range(7)):
        y_t, state = layer.step(EQUAL[:, t], state)
        assert_array_equal(y_t, y[:, t])
    for flow, wanted in zip(
        layer.gradient_flow(RAGGED),
        drawn(cls, options).gradient_flow(turned(RAGGED)),
        strict=True,
    ):
        assert_array_equal(flow.state, wanted.state)
    assert "reverse=True" in repr(layer)
    layer.save(tmp_path / "layer")
    for copy in (pickle.loads(pickle.dumps(layer)), lstmcore.load(tmp_path / "layer")):
        assert repr(copy) == repr(layer)
        assert_array_equal(copy(EQUAL)[0], y)


def test_errors() -> None:
    with pytest.raises(ValueError, match="reverse must be False with bidirectional=True"):
        LSTM(3, 4, reverse=True, bidirectional=True)
    with pytest.raises(TypeError, match="reverse must be True or False, got 1"):
        GRU(3, 4, reverse=1)  # type: ignore[arg-type]


def test_others_have_no_such_layer() -> None:
    from lstmcore.interop import to_keras_weights

    with pytest.raises(NotImplementedError, match="reverse=True: Keras has no such layer"):
        to_keras_weights(LSTM(3, 4, reverse=True))
