"""Layers of LSTMs with options: arrays, first values, steps, errors."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import lstmcore
from lstmcore.layers import LSTM

OPTIONS: list[dict[str, Any]] = [
    {"peephole": True},
    {"coupled_gates": True},
    {"peephole": True, "coupled_gates": True, "cell_clip": 0.5, "gate_clip": 2},
    {"layer_norm": True, "peephole": True},
    {"layer_norm": True, "proj_size": 6},
    {"gate_activation": "hard_sigmoid", "cell_activation": ("elu", 0.5)},
    {"output_activation": ("scaled_tanh", 1.7, 0.7), "peephole": np.True_, "gate_clip": 1.0},
]
EACH = pytest.mark.parametrize("options", OPTIONS, ids=str)


def test_arrays() -> None:
    names = ("weight_ih_l1", "weight_hh_l1", "bias_l1", "peephole_l1")
    views = LSTM(3, 4, 2, peephole=True).parameters
    assert [views[name].shape for name in names] == [(16, 4), (16, 4), (16,), (12,)]
    views = LSTM(3, 4, 2, peephole=True, coupled_gates=True).parameters
    assert [views[name].shape for name in names] == [(12, 4), (12, 4), (12,), (8,)]
    assert "peephole_l0" not in LSTM(3, 4, gate_clip=1.0).parameters


def test_first_values() -> None:
    """An untrained layer forgets as much whether its gates are coupled or not."""
    plain = LSTM(3, 4, forget_bias=2.0, random_state=0, peephole=True).parameters
    coupled = LSTM(
        3, 4, forget_bias=2.0, random_state=0, peephole=True, coupled_gates=True
    ).parameters
    np.testing.assert_array_equal(plain["bias_l0"].reshape(4, 4)[:, 0], [0, 2, 0, 0])
    np.testing.assert_array_equal(coupled["bias_l0"].reshape(3, 4)[:, 0], [-2, 0, 0])
    assert not plain["peephole_l0"].any()
    normalised = LSTM(3, 4, layer_norm=True, random_state=0).parameters
    for name, size in (("ln_ih_weight_l0", 16), ("ln_hh_weight_l0", 16), ("ln_c_weight_l0", 4)):
        np.testing.assert_array_equal(normalised[name], np.ones(size))
    assert not normalised["ln_c_bias_l0"].any()
    for gate in coupled["weight_hh_l0"].reshape(3, 4, 4):
        np.testing.assert_allclose(gate @ gate.T, np.eye(4), atol=1e-6)


@EACH
def test_steps_and_copies_give_the_same_bits(options: dict[str, Any], tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    layer = LSTM(3, 17, 2, random_state=0, **options)
    for view in layer.parameters.values():
        view += rng.normal(size=view.shape)
    x = 2 * rng.normal(size=(5, 7, 3)).astype(np.float32)
    y, (h, c) = layer(x)
    state = None
    for t in range(7):
        y_t, state = layer.step(x[:, t], state)
        np.testing.assert_array_equal(y_t, y[:, t])
    np.testing.assert_array_equal(state[0], h)
    np.testing.assert_array_equal(state[1], c)
    if "cell_clip" in options:
        assert np.abs(c).max() == 0.5
    layer.save(tmp_path / "layer")
    for copy in (pickle.loads(pickle.dumps(layer)), lstmcore.load(tmp_path / "layer")):
        assert repr(copy) == repr(layer)
        np.testing.assert_array_equal(copy(x)[0], y)


def test_options_that_are_the_defaults_are_the_plain_layer() -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    named = LSTM(
        3, 5, random_state=0, gate_activation=("sigmoid",), cell_activation="tanh", gate_clip=None
    )
    np.testing.assert_array_equal(named(x)[0], LSTM(3, 5, random_state=0)(x)[0])


def test_a_bound_out_of_reach_changes_nothing_but_rounding() -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    bounded = LSTM(3, 5, random_state=0, gate_clip=1e6, cell_clip=1e6, dtype="float64")
    plain = LSTM(3, 5, random_state=0, dtype="float64")
    np.testing.assert_allclose(bounded(x)[0], plain(x)[0], rtol=1e-14)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layer_norm": True, "coupled_gates": True}, ValueError, "can't be combined"),
        ({"peephole": 1}, TypeError, "'peephole' parameter of LSTM must be a bool"),
        ({"cell_clip": 0}, ValueError, "'cell_clip' parameter of LSTM must be a number"),
        ({"gate_clip": np.nan}, ValueError, "'gate_clip' parameter of LSTM must be a number"),
        ({"gate_clip": "1"}, TypeError, "'gate_clip' parameter of LSTM must be a number"),
        ({"gate_activation": "sin"}, ValueError, "must be one of 'sigmoid', 'tanh'.* Got 'sin'"),
        ({"gate_activation": None}, TypeError, "'gate_activation' parameter of LSTM"),
        ({"gate_activation": ("tanh", 1.0)}, ValueError, "'gate_activation' parameter of LSTM"),
        ({"cell_activation": ("elu", -1.0)}, ValueError, "'cell_activation' parameter of LSTM"),
        ({"cell_activation": ("elu", "1")}, TypeError, "'cell_activation' parameter of LSTM"),
        ({"output_activation": ("affine", np.inf)}, ValueError, "'output_activation' parameter"),
        ({"output_activation": ()}, TypeError, "'output_activation' parameter"),
    ],
    ids=str,
)
def test_errors(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LSTM(3, 4, **options)
