"""Keras 3: what comes over computes the same, and comes back with the same bits."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from interop.drawing import (
    KINDS,
    SCALES,
    SHAPES,
    assert_close,
    assert_same_parameters,
    drawn,
    parts_of,
)

from lstmcore.interop import from_keras, to_keras_weights
from lstmcore.layers import LSTM

pytest.importorskip("torch")
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore")  # what Keras uses is not ours to judge


def stacked(
    shape: tuple[int, int, int], dtype: str = "float32", kind: str = "lstm", **options: Any
) -> list[Any]:
    """Built layers of Keras with random weights."""
    rng = np.random.default_rng(1)
    layers = []
    classes = {"l": keras.layers.LSTM, "g": keras.layers.GRU, "r": keras.layers.SimpleRNN}
    _, settings = KINDS[kind]
    if "nonlinearity" in settings:
        settings = {"activation": settings["nonlinearity"]}
    settings = dict(settings)
    both = settings.pop("bidirectional", False)
    scale = SCALES.get(kind, 0.5)
    for level in range(shape[2]):
        layer = classes[kind[0]](
            shape[1],
            return_sequences=True,
            return_state=True,
            dtype=dtype,
            **(settings | options),
        )
        if both:
            layer = keras.layers.Bidirectional(layer)
        layer.build((None, None, (1 + both) * shape[1] if level else shape[0]))
        layer.set_weights([scale * rng.normal(size=w.shape) for w in layer.get_weights()])
        layers.append(layer)
    return layers


def run(layers: list[Any], x: np.ndarray) -> list[np.ndarray]:
    """Outputs of the last layer, and the final states of all."""
    states = []
    for layer in layers:
        x, *state = layer(x)
        state = [keras.ops.convert_to_numpy(part) for part in state]
        # Those of the direction that runs forward come first.
        ways = 2 if isinstance(layer, keras.layers.Bidirectional) else 1
        states += [state[: len(state) // ways], state[len(state) // ways :]][:ways]
    parts = (np.stack(parts) for parts in zip(*states, strict=True))
    return [keras.ops.convert_to_numpy(x), *parts]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no bias"])
def test_computes_the_same(shape: tuple[int, int, int], use_bias: bool, kind: str) -> None:
    theirs = stacked(shape, kind=kind, use_bias=use_bias, dropout=0.5, recurrent_dropout=0.5)
    x = np.random.default_rng(0).normal(size=(4, 6, shape[0])).astype("float32")
    y, state = from_keras(theirs)(x)
    for got, want in zip((y, *parts_of(state)), run(theirs, x), strict=True):
        assert_close(got, want)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_round_trip(shape: tuple[int, int, int], dtype: Any, kind: str) -> None:
    layer = drawn(shape, dtype, kind)
    theirs = stacked(shape, np.dtype(dtype).name, kind)
    weights = to_keras_weights(layer)
    assert len(weights) == shape[2]
    for one, arrays in zip(theirs, weights, strict=True):
        one.set_weights(arrays)
    assert_same_parameters(from_keras(theirs), layer)
    x = np.random.default_rng(0).normal(size=(3, 5, shape[0])).astype(dtype)
    assert_close(layer(x)[0], run(theirs, x)[0])  # some cells of Keras round to float32 on the way


def test_one_layer_needs_no_list() -> None:
    theirs = stacked((3, 4, 1))
    assert_same_parameters(from_keras(theirs[0], n_jobs=1), from_keras(theirs))


def test_the_forget_gate_is_where_it_was() -> None:
    layer = keras.layers.LSTM(4, unit_forget_bias=True)
    layer.build((None, None, 3))
    assert from_keras(layer).parameters["bias_l0"].tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "gelu"}, "activation='gelu'"),
        ({"recurrent_activation": "exponential"}, "recurrent_activation='exponential'"),
        ({"go_backwards": True}, "go_backwards=True"),
    ],
    ids=str,
)
def test_what_a_layer_can_not_do_is_named(options: dict[str, Any], message: str) -> None:
    theirs = stacked((3, 4, 1), **options)
    with pytest.raises(NotImplementedError, match=message):
        from_keras(theirs)


@pytest.mark.parametrize(
    "options",
    [
        {"recurrent_activation": "hard_sigmoid"},
        {"activation": "relu", "recurrent_activation": "softplus"},
        {"activation": "leaky_relu"},
        {"activation": "linear", "recurrent_activation": "tanh"},
        {"activation": "softsign", "recurrent_activation": "elu"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["lstm", "gru", "gru, reset before", "rnn"])
def test_activations(options: dict[str, Any], kind: str) -> None:
    if kind == "rnn":
        options = {"activation": options.get("activation", "hard_sigmoid")}
    theirs = stacked((3, 4, 2), kind=kind, **options)
    for layer in theirs:
        layer.set_weights([w / 3 for w in layer.get_weights()])
    x = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
    ours = from_keras(theirs)
    assert_close(ours(x)[0], run(theirs, x)[0])
    for layer, arrays in zip(theirs, to_keras_weights(ours), strict=True):
        layer.set_weights(arrays)
    assert_same_parameters(from_keras(theirs), ours)


@pytest.mark.parametrize("kind", ["lstm", "gru", "gru, reset before", "rnn", "lstm, both"])
def test_recurrent_dropout_is_that_of_h(kind: str) -> None:
    """It is of training alone: with it and without, the same goes back."""
    ours = from_keras(stacked((3, 4, 2), kind=kind, dropout=0.5, recurrent_dropout=0.25))
    assert ours.hidden_dropout == 0.25
    plain = from_keras(stacked((3, 4, 2), kind=kind))
    assert plain.hidden_dropout == 0
    for mine, theirs in zip(to_keras_weights(ours), to_keras_weights(plain), strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_keras_has_not_is_named() -> None:
    for options, message in (
        ({"peephole": True}, "peephole=True: Keras has no such cell"),
        ({"coupled_gates": True}, "coupled_gates=True: Keras has no such cell"),
        ({"layer_norm": True}, "layer_norm=True: Keras has no such cell"),
        ({"output_activation": "relu"}, "Keras has one activation for both"),
        ({"gate_activation": "hard_sigmoid"}, "Keras has no such activation"),
        ({"residual": True}, "residual=True: Keras has no such layer"),
    ):
        with pytest.raises(NotImplementedError, match=message):
            to_keras_weights(LSTM(3, 4, **options))


def test_what_is_no_built_lstm() -> None:
    with pytest.raises(ValueError, match="layers has no weights yet"):
        from_keras(keras.layers.LSTM(3))
    with pytest.raises(NotImplementedError, match=r"layers\[0\] is a Dense"):
        from_keras([keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"layers\[1\] is another kind of layer"):
        from_keras([*stacked((3, 4, 1)), *stacked((4, 4, 1), kind="gru")])
    with pytest.raises(ValueError, match=r"layers\[1\] is another kind of layer"):
        from_keras([*stacked((3, 4, 1)), *stacked((4, 4, 1), kind="lstm, both")])
    with pytest.raises(NotImplementedError, match="activation='selu'"):
        from_keras(keras.layers.SimpleRNN(3, activation="selu"))
    with pytest.raises(NotImplementedError, match="layers has merge_mode='sum'"):
        from_keras(keras.layers.Bidirectional(keras.layers.LSTM(3), merge_mode="sum"))
    with pytest.raises(TypeError, match="layers must be a layer of Keras, got int"):
        from_keras(3)
    with pytest.raises(ValueError, match="at least one layer"):
        from_keras([])
    with pytest.raises(ValueError, match="weight_ih_l1 must have the shape"):
        from_keras(stacked((3, 4, 1)) * 2)
    with pytest.raises(TypeError, match=r"layer must be a layer of lstmcore\.layers"):
        to_keras_weights(keras.layers.LSTM(3))
