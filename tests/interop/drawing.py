"""Random layers and sequences for the exchange with other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmcore.layers import GRU, LSTM, RNN

# Input size, hidden size, number of layers.
SHAPES = [(1, 1, 1), (3, 8, 1), (5, 7, 2), (2, 17, 3)]


# Weights with which a network forgets, so that roundings do not grow from step to step.
SCALES = {
    "rnn": 0.25,
    "rnn, relu": 0.2,
    "rnn, both": 0.25,
    "rnn, relu, reverse": 0.2,
    "gru, reset before, both": 0.4,
}
# Every cell with every option.
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lstm": (LSTM, {}),
    "gru": (GRU, {"reset_after": True}),
    "gru, reset before": (GRU, {"reset_after": False}),
    "rnn": (RNN, {"nonlinearity": "tanh"}),
    "rnn, relu": (RNN, {"nonlinearity": "relu"}),
    "lstm, both": (LSTM, {"bidirectional": True}),
    "gru, both": (GRU, {"bidirectional": True}),
    "gru, reset before, both": (GRU, {"reset_after": False, "bidirectional": True}),
    "rnn, both": (RNN, {"bidirectional": True}),
}
# What ONNX has beside them.
BACKWARD: dict[str, tuple[Any, dict[str, Any]]] = {
    "lstm, reverse": (LSTM, {"reverse": True}),
    "gru, reverse": (GRU, {"reverse": True}),
    "rnn, relu, reverse": (RNN, {"nonlinearity": "relu", "reverse": True}),
}


# Cells with what ONNX has beside the plain ones, each option by itself and in company.
GRU_VARIANTS: dict[str, dict[str, Any]] = {
    "gru, clip": {"gate_clip": 0.5},
    "gru, activations": {"gate_activation": "hard_sigmoid", "cell_activation": ("elu", 0.5)},
    "gru, reset before": {
        "reset_after": False,
        "gate_clip": 0.75,
        "gate_activation": ("affine", 0.25, 0.5),
        "cell_activation": "softsign",
    },
}
RNN_VARIANTS: dict[str, dict[str, Any]] = {
    "rnn, clip": {"nonlinearity": "relu", "gate_clip": 0.5},
    "rnn, leaky": {"nonlinearity": ("leaky_relu", 0.125)},
    "rnn, softplus": {"nonlinearity": "softplus", "gate_clip": 2.0},
}
VARIANTS: dict[str, dict[str, Any]] = {
    **GRU_VARIANTS,
    **RNN_VARIANTS,
    "peephole": {"peephole": True},
    "coupled": {"coupled_gates": True},
    "coupled, peephole": {"coupled_gates": True, "peephole": True, "gate_clip": 0.75},
    "clip": {"gate_clip": 0.5},
    "relu": {"cell_activation": "relu", "output_activation": "softsign"},
    "alpha, beta": {
        "gate_activation": "hard_sigmoid",
        "cell_activation": ("leaky_relu", 0.125),
        "output_activation": ("scaled_tanh", 1.5, 0.75),
    },
    "beta, alpha": {
        "gate_activation": ("affine", 0.25, 0.5),
        "cell_activation": ("elu", 0.5),
        "output_activation": ("thresholded_relu", 0.25),
    },
    "softplus": {"cell_activation": "softplus", "gate_clip": 2.0, "peephole": True},
}


def variant(name: str, shape: tuple[int, int, int], dtype: Any = "float32", **options: Any) -> Any:
    """A layer with options, whose every parameter is random."""
    cls: Any = GRU if name in GRU_VARIANTS else RNN if name in RNN_VARIANTS else LSTM
    layer = cls(*shape, dtype=np.dtype(dtype).name, **VARIANTS[name], **options)
    rng = np.random.default_rng(len(name))
    for values in layer.parameters.values():
        values[...] = 0.3 * rng.normal(size=values.shape)
    return layer


def drawn(shape: tuple[int, int, int], dtype: Any = "float32", kind: str = "lstm") -> Any:
    """A layer whose every parameter is random, biases too."""
    cls, options = (KINDS | BACKWARD)[kind]
    layer = cls(*shape, dtype=np.dtype(dtype).name, **options)
    rng = np.random.default_rng(len(kind))
    for values in layer.parameters.values():
        values[...] = SCALES.get(kind, 0.5) * rng.normal(size=values.shape)
    return layer


def state_of(layer: Any, n_sequences: int, dtype: Any = "float32") -> Any:
    """A random state: h and c, or h alone."""
    rng = np.random.default_rng(n_sequences)
    shapes = [
        part.shape for part in parts_of(layer([np.zeros((0, layer.input_size))] * n_sequences)[1])
    ]
    parts = tuple(rng.normal(size=shape).astype(dtype) for shape in shapes)
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
    """Within a few roundings of numbers between -1 and 1, on both sides."""
    tolerance = {"float32": 3e-6, "float64": 1e-13}[np.dtype(dtype).name]
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max(initial=0) <= tolerance
