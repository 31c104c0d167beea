"""``lstmcore.layers.LSTM`` with ``proj_size``: shapes, states, steps, and torch as an oracle."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import lstmcore
from lstmcore.layers import LSTM


def layer(**options: Any) -> LSTM:
    return LSTM(3, 9, 2, proj_size=4, random_state=0, **options)


def test_shapes(rng: np.random.Generator) -> None:
    lstm = layer()
    assert lstm.output_size == 4
    shapes = {name: array.shape for name, array in lstm.parameters.items()}
    assert shapes["weight_hh_l0"] == (36, 4)
    assert shapes["weight_hr_l0"] == (4, 9)
    assert shapes["weight_ih_l1"] == (36, 4)
    y, (h, c) = lstm(rng.standard_normal((5, 7, 3)))
    assert (y.shape, h.shape, c.shape) == ((5, 7, 4), (2, 5, 4), (2, 5, 9))
    y, (h, c), cache = lstm.forward(
        [rng.standard_normal((t, 3)) for t in (3, 0, 6)], (h[:, :3], c[:, :3])
    )
    dx, (dh, dc), gradients = lstm.backward(y, cache, (h, None))
    assert [a.shape for a in dx] == [(3, 3), (0, 3), (6, 3)]
    assert (dh.shape, dc.shape) == ((2, 3, 4), (2, 3, 9))
    assert {name: array.shape for name, array in gradients.items()} == shapes


def test_first_values() -> None:
    """Recurrent weights keep lengths: their columns are orthonormal, gate by gate."""
    parameters = layer(dtype="float64").parameters
    for gate in parameters["weight_hh_l0"].reshape(4, 9, 4):
        assert_allclose(gate.T @ gate, np.eye(4), atol=1e-12)
    assert 0 < np.abs(parameters["weight_hr_l0"]).max() <= np.sqrt(6 / 13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_step_by_step(dtype: str, rng: np.random.Generator) -> None:
    lstm = layer(dtype=dtype)
    x = rng.standard_normal((5, 6, 3)).astype(dtype)
    y, (h_n, c_n) = lstm(x)
    state: Any = None
    for t in range(6):
        y_t, state = lstm.step(x[:, t], state)
        assert_array_equal(y_t, y[:, t])
    assert_array_equal(state[0], h_n)
    assert_array_equal(state[1], c_n)
    out = (np.empty((2, 5, 4), dtype), np.empty((2, 5, 9), dtype))
    assert lstm.step(x[:, 0], out=out)[1] is not None
    assert_array_equal(out[0][-1], y[:, 0])


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("bidirectional", [False, True])
def test_torch_gives_the_same(bidirectional: bool, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="torch, the second oracle, is not installed")
    lstm = layer(bidirectional=bidirectional)
    module = torch.nn.LSTM(3, 9, 2, proj_size=4, batch_first=True, bidirectional=bidirectional)
    for name, array in lstm.parameters.items():
        theirs = name.replace("bias_l", "bias_ih_l")
        getattr(module, theirs).data = torch.from_numpy(array.copy())
    for name, bias in module.named_parameters():
        if name.startswith("bias_hh"):
            bias.data.zero_()
    x = rng.standard_normal((6, 11, 3)).astype(np.float32)
    y, (h, c), cache = lstm.forward(x)
    x_torch = torch.from_numpy(x).requires_grad_()
    y_torch, (h_torch, c_torch) = module(x_torch)
    assert_allclose(y, y_torch.detach(), atol=1e-6)
    assert_allclose(h, h_torch.detach(), atol=1e-6)
    assert_allclose(c, c_torch.detach(), atol=1e-6)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    (y_torch * torch.from_numpy(dy)).sum().backward()
    dx, _, gradients = lstm.backward(dy, cache)
    assert_allclose(dx, x_torch.grad, atol=1e-5)
    for name, gradient in gradients.items():
        expected = getattr(module, name.replace("bias_l", "bias_ih_l")).grad
        assert_allclose(gradient, expected, atol=3e-5, err_msg=name)


def test_copies(tmp_path: Any) -> None:
    lstm = layer()
    assert repr(lstm) == "LSTM(3, 9, num_layers=2, proj_size=4, dtype='float32', n_jobs=None)"
    lstm.save(tmp_path / "layer")
    x = np.ones((1, 3, 3))
    for copy in (pickle.loads(pickle.dumps(lstm)), lstmcore.load(tmp_path / "layer")):
        assert repr(copy) == repr(lstm)
        assert_array_equal(copy(x)[0], lstm(x)[0])


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (9, ValueError, "proj_size must be less than hidden_size, which is 9, got 9"),
        (-1, ValueError, "'proj_size' parameter of LSTM must be an int from 0"),
        (2.0, TypeError, "'proj_size' parameter of LSTM must be an int from 0"),
        (True, TypeError, "'proj_size' parameter of LSTM must be an int from 0"),
    ],
)
def test_errors(size: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LSTM(3, 9, proj_size=size)


def test_states_of_other_widths(rng: np.random.Generator) -> None:
    lstm = layer()
    h, c = np.zeros((2, 5, 4)), np.zeros((2, 5, 9))
    x = rng.standard_normal((5, 2, 3))
    with pytest.raises(ValueError, match=r"h of state must have the shape .* \(2, 5, 4\)"):
        lstm(x, (c, c))
    with pytest.raises(ValueError, match=r"c of state must have the shape .* \(2, 5, 9\)"):
        lstm.step(x[:, 0], (h, h))
    with pytest.raises(ValueError, match="out: "):
        lstm.step(x[:, 0], out=(h.astype(np.float32), h.astype(np.float32)))


def test_what_others_do_not_know_is_not_exported() -> None:
    from lstmcore.interop import to_keras_weights

    with pytest.raises(NotImplementedError, match="proj_size"):
        to_keras_weights(layer())
