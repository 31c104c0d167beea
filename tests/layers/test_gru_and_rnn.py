"""layers.GRU and layers.RNN: the user's side of cells that have no state but h."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import reference_cells
from cases import TOLERANCE, Results, assert_matches
from reference import Array
from reference_cells import Cell

import lstmcore
from lstmcore.layers import GRU, RNN

LAYERS = [
    (GRU, {}, Cell("gru")),
    (GRU, {"reset_after": False}, Cell("gru", (("reset_after", False),))),
    (RNN, {}, Cell("rnn")),
    (RNN, {"nonlinearity": "relu"}, Cell("rnn", (("relu", True),))),
]
EACH_LAYER = pytest.mark.parametrize(("cls", "options", "cell"), LAYERS, ids=lambda v: str(v))
LENGTHS = (3, 0, 6, 1, 6)


def new_layer(cls: Any, options: dict[str, Any], dtype: Any = np.float64, n_layers: int = 2) -> Any:
    layer = cls(4, 7, n_layers, dtype=np.dtype(dtype).name, random_state=0, **options)
    for k, view in enumerate(layer.parameters.values()):
        view[:] = np.random.default_rng(k).normal(size=view.shape) * 0.5
    return layer


def sequences(dtype: Any = np.float64) -> list[Array]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(t, 4)).astype(dtype) for t in LENGTHS]


@EACH_LAYER
def test_forward_and_backward_are_the_oracles(
    cls: Any, options: dict[str, Any], cell: Cell, dtype: np.dtype[Any]
) -> None:
    rng = np.random.default_rng(2)
    layer, x = new_layer(cls, options, dtype), sequences(dtype)
    h0, dh = rng.normal(size=(2, 2, 5, 7)).astype(dtype)
    dy = [rng.normal(size=(t, 7)).astype(dtype) for t in LENGTHS]
    y, h_n, cache = layer.forward(x, h0)
    dx, dh0, gradients = layer.backward(dy, cache, dh)

    order = reference.packed_order(LENGTHS)
    n_active = reference.active_counts(LENGTHS)
    weights: list[dict[str, Array]] = [{}, {}]
    for name, value in layer.parameters.items():
        weights[int(name[-1])][name[:-3]] = value.astype(np.float64)
    per_layer = [[a[order].astype(np.float64) for a in state] for state in (h0, dh)]
    packed_y, their_h, _, stashes = reference_cells.stack_forward(
        cell, weights, pack(x, order), n_active, per_layer[0], per_layer[0]
    )
    packed_dx, their_dh, _, their_gradients = reference_cells.stack_backward(
        cell, weights, stashes, n_active, pack(dy, order), per_layer[1], per_layer[1]
    )
    ours = results(y, h_n, dx, dh0, gradients)
    theirs = results(
        unpack(packed_y, order), restored(their_h, order), unpack(packed_dx, order),
        restored(their_dh, order),
        {f"{k}_l{level}": v for level, g in enumerate(their_gradients) for k, v in g.items()},
    )  # fmt: skip
    assert_matches(ours, theirs, TOLERANCE[dtype])


def pack(arrays: list[Array], order: Array) -> Array:
    return reference.pack([arrays[n].astype(np.float64) for n in order])


def unpack(rows: Array, order: Array) -> list[Array]:
    parts = reference.unpack(rows, reference.active_counts(LENGTHS), len(LENGTHS))
    return [parts[order.tolist().index(n)] for n in range(len(LENGTHS))]


def restored(state: list[Array], order: Array) -> Array:
    return np.stack(state)[:, np.argsort(order)]


def results(y: Any, h: Any, dx: Any, dh: Any, gradients: Any) -> Results:
    return {"y": np.concatenate(y), "h": h, "dx": np.concatenate(dx), "dh": dh} | {
        f"d{name}": value for name, value in gradients.items()
    }


@EACH_LAYER
def test_step_by_step_is_the_whole(cls: Any, options: dict[str, Any], cell: Cell) -> None:
    layer = new_layer(cls, options, np.float32)
    x = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    whole, h_n = layer(x)
    h, out = None, np.empty((2, 3, 7), np.float32)
    for t in range(5):
        y_t, h = layer.step(x[:, t], h, out=out if t % 2 else None)
        assert (h is out) == bool(t % 2)
        np.testing.assert_array_equal(y_t, whole[:, t])
        h = h.copy()
    np.testing.assert_array_equal(h, h_n)
    y_t, _ = layer.step(x[:, 0].astype(np.float64).tolist(), np.zeros((2, 3, 7)))
    np.testing.assert_array_equal(y_t, whole[:, 0])


@EACH_LAYER
def test_pickle_and_files(cls: Any, options: dict[str, Any], cell: Cell, tmp_path: Path) -> None:
    layer, x = new_layer(cls, options), sequences()
    layer.save(tmp_path / "layer.safetensors")
    for copy in (pickle.loads(pickle.dumps(layer)), lstmcore.load(tmp_path / "layer.safetensors")):
        assert repr(copy) == repr(layer)
        for ours, theirs in zip(copy(x)[0], layer(x)[0], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_repr() -> None:
    assert repr(GRU(3, 7, reset_after=False)) == (
        "GRU(3, 7, num_layers=1, reset_after=False, dtype='float32', n_jobs=None)"
    )
    assert repr(RNN(3, 7, n_jobs=1)) == (
        "RNN(3, 7, num_layers=1, nonlinearity='tanh', dtype='float32', n_jobs=1)"
    )


def test_first_values() -> None:
    parameters = GRU(3, 8, random_state=0).parameters
    assert not parameters["bias_l0"].any()
    assert not parameters["bias_hn_l0"].any()
    for gate in parameters["weight_hh_l0"].reshape(3, 8, 8):
        np.testing.assert_allclose(gate @ gate.T, np.eye(8), atol=1e-6)
    assert "bias_hn_l0" not in GRU(3, 8, reset_after=False).parameters


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: GRU(3, 7, reset_after=1),
            TypeError,
            "'reset_after' parameter of GRU",
        ),
        (lambda: RNN(3, 7, nonlinearity="sin"), ValueError, "'nonlinearity' parameter of RNN"),
        (
            lambda: GRU(3, 7)(np.zeros((2, 4, 3)), (np.zeros((1, 2, 7)), np.zeros((1, 2, 7)))),
            ValueError,
            r"state must have the shape .* = \(1, 2, 7\), got \(2, 1, 2, 7\)",
        ),
        (
            lambda: GRU(3, 7).step(np.zeros((2, 3)), out=np.zeros((1, 2, 8), np.float32)),
            ValueError,
            "out: h_out must have shape",
        ),
        (lambda: RNN(3, 7).step(np.zeros((2, 4))), ValueError, r"x_t must have the shape \(N, 3\)"),
    ],
)
def test_errors(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
