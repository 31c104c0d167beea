"""Random layers and sequences for the exchange with other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmcore.layers import GRU, LSTM, RNN

# Input size, hidden size, number of layers.
SHAPES = [(1, 1, 1), (3, 8, 1), (5, 7, 2), (2, 17, 3)]


# Weights with which a network forgets, so that roundings do not grow from step to step.
SCALES = {"rnn": 0.25, "rnn, relu": 0.2}
# Every cell with every option.
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lstm": (LSTM, {}),
    "gru": (GRU, {"reset_after": True}),
    "gru, reset before": (GRU, {"reset_after": False}),
    "rnn": (RNN, {"nonlinearity": "tanh"}),
    "rnn, relu": (RNN, {"nonlinearity": "relu"}),
}


def drawn(shape: tuple[int, int, int], dtype: Any = "float32", kind: str = "lstm") -> Any:
    """A layer whose every parameter is random, biases too."""
    cls, options = KINDS[kind]
    layer = cls(*shape, dtype=np.dtype(dtype).name, **options)
    rng = np.random.default_rng(len(kind))
    for values in layer.parameters.values():
        values[...] = SCALES.get(kind, 0.5) * rng.normal(size=values.shape)
    return layer


def state_of(layer: Any, n_sequences: int, dtype: Any = "float32") -> Any:
    """A random state: h and c, or h alone."""
    rng = np.random.default_rng(n_sequences)
    size = (layer.num_layers, n_sequences, layer.hidden_size)
    parts = tuple(rng.normal(size=size).astype(dtype) for _ in "hc")
    return parts if isinstance(layer, LSTM) else parts[0]


def parts_of(state: Any) -> tuple[np.ndarray, ...]:
    """The arrays of a state."""
    return state if isinstance(state, tuple) else (state,)


def assert_same_parameters(a: Any, b: Any) -> None:
    """Equal to the last bit, of one dtype, and of one kind."""
    assert a.dtype == b.dtype
    assert repr(a).partition("n_jobs")[0] == repr(b).partition("n_jobs")[0]
    assert a.parameters.keys() == b.parameters.keys()
    for name, values in a.parameters.items():
        assert values.tobytes() == b.parameters[name].tobytes(), name


def assert_close(got: Any, expected: Any, dtype: Any = "float32") -> None:
    """Within a few roundings of numbers between -1 and 1."""
    tolerance = {"float32": 2e-6, "float64": 1e-13}[np.dtype(dtype).name]
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max(initial=0) <= tolerance
