"""Dropout is of training alone and goes nowhere; zoneout also changes what is computed after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, targets

from lstmcore.cells import GRUCell, LSTMCell
from lstmcore.interop import to_keras_weights, to_onnx, to_torch_state_dict
from lstmcore.layers import GRU, LSTM, RNN

DROPOUTS = {"recurrent_dropout": 0.5, "hidden_dropout": 0.5}
X = ragged_sequences()


def test_dropouts_are_left_out_for_keras() -> None:
    dropped, plain = (
        to_keras_weights(LSTM(3, 4, 2, random_state=0, **options)) for options in (DROPOUTS, {})
    )
    for ours, theirs in zip(dropped, plain, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_dropouts_are_left_out_for_torch() -> None:
    torch = pytest.importorskip("torch")
    dropped, plain = (
        to_torch_state_dict(LSTM(3, 4, 2, random_state=0, **options)) for options in (DROPOUTS, {})
    )
    assert dropped.keys() == plain.keys()
    assert all(torch.equal(dropped[name], plain[name]) for name in plain)


def test_dropouts_are_left_out_for_onnx() -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    dropped, plain = (
        to_onnx(LSTM(3, 4, 2, random_state=0, **options)).SerializeToString()
        for options in (DROPOUTS, {})
    )
    assert dropped == plain
    sequences = np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32)
    for cell, top in (("lstm", 0.3), (GRUCell(**DROPOUTS), 0.0)):
        model = estimator("multiclass", cell=cell, recurrent_dropout=top)
        model.fit(X, targets("multiclass"))
        session = runtime.InferenceSession(
            model.to_onnx().SerializeToString(), providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in session.get_outputs()]
        found = dict(zip(names, session.run(None, {"X": sequences}), strict=True))
        expected = model.predict_proba(sequences)
        assert any(
            np.shape(value) == expected.shape and np.allclose(value, expected, atol=1e-6)
            for value in found.values()
        )


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (LSTM, "zoneout_cell"),
        (LSTM, "zoneout_hidden"),
        (GRU, "zoneout_hidden"),
        (RNN, "zoneout_hidden"),
    ],
)
def test_zoneout_is_refused(cls: Any, name: str) -> None:
    layer = cls(3, 4, **{name: 0.5})
    message = rf"{name}=0\.5: (Keras|PyTorch|ONNX) has no such cell"
    with pytest.raises(NotImplementedError, match=message):
        to_keras_weights(layer)
    with pytest.raises(NotImplementedError, match=message):
        to_torch_state_dict(layer)
    pytest.importorskip("onnx")
    with pytest.raises(NotImplementedError, match=message):
        to_onnx(layer)


def test_zoneout_of_an_estimator_is_refused() -> None:
    pytest.importorskip("onnx")
    model = estimator("binary", cell=LSTMCell(zoneout_cell=0.5)).fit(X, targets("binary"))
    with pytest.raises(NotImplementedError, match=r"zoneout_cell=0\.5: ONNX has no such cell"):
        model.to_onnx()
