"""Random layers and sequences for the exchange with other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmcore.layers import LSTM

# Input size, hidden size, number of layers.
SHAPES = [(1, 1, 1), (3, 8, 1), (5, 7, 2), (2, 17, 3)]


def drawn(shape: tuple[int, int, int], dtype: Any = "float32", seed: int = 0) -> LSTM:
    """A layer whose every parameter is random, biases too."""
    layer = LSTM(*shape, dtype=np.dtype(dtype).name)
    rng = np.random.default_rng(seed)
    for values in layer.parameters.values():
        values[...] = 0.5 * rng.normal(size=values.shape)
    return layer


def parameters_of(layer: LSTM) -> dict[str, np.ndarray]:
    """Copies of the parameters."""
    return {name: values.copy() for name, values in layer.parameters.items()}


def assert_same_parameters(a: LSTM, b: LSTM) -> None:
    """Equal to the last bit, and of one dtype."""
    assert a.dtype == b.dtype
    assert a.parameters.keys() == b.parameters.keys()
    for name, values in a.parameters.items():
        assert values.tobytes() == b.parameters[name].tobytes(), name


def assert_close(got: Any, expected: Any, dtype: Any = "float32") -> None:
    """Within a few roundings of numbers between -1 and 1."""
    tolerance = {"float32": 2e-6, "float64": 1e-13}[np.dtype(dtype).name]
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max(initial=0) <= tolerance
