"""Models of estimators that take and return states: sequences in pieces, in ONNX Runtime."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from interop.drawing import assert_close
from interop.test_onnx_export import X, fitted, padded, session

from lstmcore.cells import GRUCell, LSTMCell

EACH_CELL = pytest.mark.parametrize(
    "cell", ["lstm", "gru", GRUCell(reset_after=False), "rnn", LSTMCell(peephole=True)], ids=str
)


def pieces(sequences: list[np.ndarray], *cuts: int) -> list[list[np.ndarray]]:
    """Sequences up to each cut, from there to the next one, and what is left: often nothing."""
    bounds = [0, *cuts, None]
    return [[x[begin:end] for x in sequences] for begin, end in pairwise(bounds)]


def run(model: Any, sequences: list[np.ndarray], states: dict[str, Any]) -> dict[str, Any]:
    """All outputs by their names."""
    names = [output.name for output in model.get_outputs()]
    results = model.run(names, padded(sequences, 3, 1) | states)
    return dict(zip(names, results, strict=True))


def states_of(outputs: dict[str, Any]) -> dict[str, Any]:
    """What comes out, as what goes in."""
    return {name.replace("_n_", "_0_"): array for name, array in outputs.items() if "_n_l" in name}


@EACH_CELL
def test_in_pieces(cell: Any) -> None:
    """Scored as far as they have come, to the end and on."""
    model = fitted("multiclass", cell=cell, hidden_size=(7, 5))
    exported = session(model.to_onnx(states=True))
    states: dict[str, Any] = {}
    so_far = [x[:0] for x in X]
    for piece in pieces(X, 2, 2, 5):
        so_far = [np.concatenate(pair) for pair in zip(so_far, piece, strict=True)]
        outputs = run(exported, piece, states)
        assert_close(outputs["probabilities"], model.predict_proba(so_far))
        states = states_of(outputs)
    assert len(states) == (4 if cell == "lstm" or isinstance(cell, LSTMCell) else 2)
    assert states["h_0_l1"].shape == (1, len(X), 5)
    # One state for all, and none.
    first = {name: array[:, :1] for name, array in states.items()}
    same = {name: np.repeat(array, 3, axis=1) for name, array in first.items()}
    for name, array in run(exported, X[3:6], first).items():
        assert np.array_equal(array, run(exported, X[3:6], same)[name])
    assert len(run(exported, [], {})["probabilities"]) == 0


def test_states_are_those_of_steps() -> None:
    model = fitted("three outputs", hidden_size=(7, 5))
    exported = session(model.to_onnx(states=True))
    rows = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    state, states = model.initial_state(4), {}
    for t in range(6):
        y, state = model.step(rows[:, t], state)
        outputs = run(exported, list(rows[:, t : t + 1]), states)
        assert_close(outputs["y"] / model.target_scale_.max(), y / model.target_scale_.max())
        states = states_of(outputs)
        for level in range(2):
            assert_close(outputs[f"h_n_l{level}"][0], state.hidden[level])
            assert_close(outputs[f"c_n_l{level}"][0], state.cell[level])


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("residual", [False, True], ids=["", "residual"])
def test_other_models(pooling: str, residual: bool) -> None:
    """In one go, with the states of zeros and without: what the model without states says."""
    model = fitted(
        "binary", hidden_size=(5, 5), bidirectional=True, residual=residual, pooling=pooling
    )
    exported = session(model.to_onnx(states=True))
    expected = model.predict_proba(X)
    outputs = run(exported, X, {})
    assert_close(outputs["probabilities"], expected)
    assert outputs["c_n_l1"].shape == (2, len(X), 5)
    zeros = {name: np.zeros_like(array) for name, array in states_of(outputs).items()}
    assert_close(run(exported, X, zeros)["probabilities"], expected)


def test_nan_in_a_state() -> None:
    model = fitted("binary", hidden_size=4)
    exported = session(model.to_onnx(states=True))
    states = states_of(run(exported, X, {}))
    states["c_0_l0"][0, 3, 1] = np.nan
    probabilities = run(exported, X, states)["probabilities"]
    assert np.flatnonzero(np.isnan(probabilities).any(axis=1)).tolist() == [3]


def test_models_without_states_have_none() -> None:
    inputs = session(fitted("binary").to_onnx()).get_inputs()
    assert [value.name for value in inputs] == ["X"]
