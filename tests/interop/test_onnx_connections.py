"""Layers and estimators that read both ways or add what they read, as ONNX models and back."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from interop.drawing import assert_close, assert_same_parameters
from interop.test_onnx_export import LENGTHS, X, assert_agrees, check_layer, fitted, outputs
from interop.test_onnx_import import drawn_input, model_of, run, weights

from lstmcore.cells import LSTMCell
from lstmcore.interop import from_onnx, to_onnx
from lstmcore.layers import LSTM


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("residual", [False, True], ids=["", "residual"])
def test_bidirectional_estimators(cell: str, residual: bool, pooling: str) -> None:
    options = {"bidirectional": True, "residual": residual, "hidden_size": (6, 6)}
    model = fitted("one output", cell=cell, pooling=pooling, **options)
    assert_agrees(model, X)
    assert_agrees(model, [np.zeros((0, 3))] * 2)
    spoiled = [x.copy() for x in X]
    longest = max(range(len(X)), key=lambda i: len(X[i]))
    spoiled[longest][0, 1] = np.nan
    assert np.flatnonzero(np.isnan(outputs(model, spoiled)["y"])).tolist() == [longest]


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both"])
def test_residual_layers(bidirectional: bool) -> None:
    layer = LSTM(3, 5, 3, bidirectional=bidirectional, residual=True, random_state=0)
    for lengths in LENGTHS:
        check_layer(layer, (3, 5, 3), True, lengths)
    with pytest.raises(ValueError, match="follows a node Add"):
        from_onnx(to_onnx(layer))


@pytest.mark.parametrize(
    ("option", "value"), [("cell_clip", 3.0), ("proj_size", 2), ("layer_norm", True)]
)
def test_what_onnx_has_not_is_named(option: str, value: Any) -> None:
    """Of a layer and of an estimator."""
    message = re.escape(f"{option}={value!r}: ONNX has no such cell")
    with pytest.raises(NotImplementedError, match=message):
        to_onnx(LSTM(1, 3, **{option: value}))
    model = fitted("binary", cell=LSTMCell(**{option: value}))
    with pytest.raises(NotImplementedError, match=message):
        model.to_onnx()


@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
def test_both_directions_over_ragged_sequences(operator: str) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[operator]
    one = weights(gates=gates)
    two = {name: np.concatenate([a, a[:, ::-1]]) * np.float32(0.3) for name, a in one.items()}
    model = model_of(two, ("X", "sequence_lens"), operator, direction="bidirectional")
    x, lengths = drawn_input(), np.array([6, 2, 5, 1], np.int32)
    Y = run(model, X=x, sequence_lens=lengths)
    layer = from_onnx(model)
    y, _ = layer([x[:length, n] for n, length in enumerate(lengths)])
    for n, length in enumerate(lengths):
        assert_close(y[n], np.concatenate([Y[:length, 0, n], Y[:length, 1, n]], axis=1))
    assert_same_parameters(from_onnx(to_onnx(layer)), layer)
