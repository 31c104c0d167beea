"""Norms of gradients by lag are those that BPTT hands on; gates are what the output is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lstmcore.layers import GRU, LSTM, RNN

KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lstm": (LSTM, {}),
    "gru": (GRU, {"reset_after": True}),
    "gru, reset before": (GRU, {"reset_after": False}),
    "rnn": (RNN, {}),
}
# Whose states are reached in other ways, too.
OPTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lstm, projected": (LSTM, {"proj_size": 4}),
    "lstm, normalised": (LSTM, {"layer_norm": True, "peephole": True, "proj_size": 4}),
    "lstm, coupled": (LSTM, {"coupled_gates": True, "peephole": True, "cell_clip": 1.0}),
    "lstm, residual": (LSTM, {"residual": True, "gate_activation": "hard_sigmoid"}),
}
LENGTHS = (7, 3, 0, 9, 1)


def drawn(kind: str, n_layers: int = 2, hidden_size: int = 9, **options: Any) -> Any:
    cls, settings = (KINDS | OPTIONS)[kind]
    layer = cls(3, hidden_size, n_layers, dtype="float64", random_state=0, **settings, **options)
    rng = np.random.default_rng(1)
    for values in layer.parameters.values():
        values[...] = 0.5 * rng.normal(size=values.shape)
    return layer


def sequences(lengths: tuple[int, ...] = LENGTHS) -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.normal(size=(length, 3)) for length in lengths]


def parts_of(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state, None)


def cut_gradients(layer: Any, x: np.ndarray, dy: np.ndarray, at: int) -> tuple[Any, ...]:
    """The gradient of the top layer's state after step ``at``, by cutting the sequence there."""
    _, state = layer([x[:at]])
    _, _, cache = layer.forward([x[at:]], state)
    _, dstate, _ = layer.backward([dy[at:]], cache, need_dx=False)
    dh, dc = parts_of(dstate)
    direct = dy[at - 1] if at else 0
    return np.linalg.norm(dh[-1, 0] + direct), None if dc is None else np.linalg.norm(dc[-1, 0])


@pytest.mark.parametrize("kind", [*KINDS, *OPTIONS])
def test_norms_are_those_of_the_sequence_cut_there(kind: str) -> None:
    layer = drawn(kind)
    xs = sequences()
    rng = np.random.default_rng(3)
    dy = [rng.normal(size=(len(x), layer.output_size)) for x in xs]
    flows = layer.gradient_flow(xs, dy=dy)
    assert len(flows) == len(xs)
    for x, dy_of_x, flow in zip(xs, dy, flows, strict=True):
        assert flow.hidden.shape == (len(x) + 1,)
        for lag in range(len(x) + 1):
            hidden, cell = cut_gradients(layer, x, dy_of_x, len(x) - lag)
            assert_allclose(flow.hidden[lag], hidden, rtol=1e-13)
            if cell is None:
                assert flow.cell is None
            else:
                assert_allclose(flow.cell[lag], cell, rtol=1e-13)


@pytest.mark.parametrize("kind", [*KINDS, *OPTIONS])
@pytest.mark.parametrize("level", [0, 1])
def test_the_initial_state_is_the_last_lag(kind: str, level: int) -> None:
    layer = drawn(kind)
    xs = sequences()
    rng = np.random.default_rng(3)
    state: Any = rng.normal(size=(2, 5, layer.output_size))
    dstate = state
    if isinstance(layer, LSTM):
        c = rng.normal(size=(2, 5, 9))
        state, dstate = (state, c / 2), (dstate, 2 * c)
    _, _, cache = layer.forward(xs, state)
    _, before, _ = layer.backward(None, cache, dstate)
    flows = layer.gradient_flow(xs, state, dstate=dstate, layer=level)
    dh, dc = parts_of(before)
    for n, (x, flow) in enumerate(zip(xs, flows, strict=True)):
        assert_allclose(flow.hidden[len(x)], np.linalg.norm(dh[level, n]), rtol=1e-13)
        if dc is not None:
            assert_allclose(flow.cell[len(x)], np.linalg.norm(dc[level, n]), rtol=1e-13)
            both = np.hypot(np.linalg.norm(dh[level, n]), np.linalg.norm(dc[level, n]))
            assert_allclose(flow.state[len(x)], both, rtol=1e-13)


def test_torch_has_the_same_norms() -> None:
    torch = pytest.importorskip("torch")
    layer = drawn("lstm", n_layers=1)
    p = {name: torch.tensor(values) for name, values in layer.parameters.items()}
    x = sequences((12,))[0]
    h = [torch.zeros(9, dtype=torch.float64, requires_grad=True)]
    c = torch.zeros(9, dtype=torch.float64)
    for row in torch.tensor(x):
        z = p["weight_ih_l0"] @ row + p["weight_hh_l0"] @ h[-1] + p["bias_l0"]
        i, f, g, o = z.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h.append(o.sigmoid() * c.tanh())
        h[-1].retain_grad()
    h[-1].sum().backward()
    norms = [float(state.grad.norm()) for state in reversed(h)]
    assert_allclose(layer.gradient_flow([x])[0].hidden, norms, rtol=1e-12)


def test_the_default_is_the_sum_of_what_is_last() -> None:
    layer = drawn("lstm")
    xs = sequences()
    flows = layer.gradient_flow(xs)
    h = np.zeros((2, 5, 9))
    h[-1] = 1
    for default, given in zip(flows, layer.gradient_flow(xs, dstate=(h, None)), strict=True):
        assert_array_equal(default.hidden, given.hidden)
        assert_allclose(default.hidden[0], 3.0)
        assert default.cell[0] == 0


@pytest.mark.parametrize(
    ("n_sequences", "hidden_size"), [(70, 20), (1, 40), (2, 300)], ids=["parts", "one", "large"]
)
def test_threads_and_batches_do_not_matter(n_sequences: int, hidden_size: int) -> None:
    layer = drawn("lstm", hidden_size=hidden_size, n_jobs=1)
    other = drawn("lstm", hidden_size=hidden_size, n_jobs=2)
    xs = sequences(tuple(np.random.default_rng(4).integers(0, 6, n_sequences)))
    flows, others = layer.gradient_flow(xs, layer=0), other.gradient_flow(xs, layer=0)
    for x, flow, same in zip(xs, flows, others, strict=True):
        assert_array_equal(flow.hidden, same.hidden)
        assert_array_equal(flow.cell, same.cell)
        assert_array_equal(flow.hidden, layer.gradient_flow([x], layer=0)[0].hidden)


def test_lstm_keeps_what_an_rnn_loses() -> None:
    x = np.random.default_rng(0).normal(size=(1, 200, 3))
    (kept,) = LSTM(3, 16, random_state=0, forget_bias=5.0).gradient_flow(x)
    (lost,) = RNN(3, 16, random_state=0).gradient_flow(x)
    assert kept.state[200] > 1e-4 * kept.state[0]
    assert lost.state[200] < 1e-10 * lost.state[0]


def test_flow_errors() -> None:
    layer = drawn("lstm")
    with pytest.raises(ValueError, match="layer must lie between -2 and 1, as there are 2"):
        layer.gradient_flow(sequences(), layer=2)
    with pytest.raises(TypeError, match="layer must be an int"):
        layer.gradient_flow(sequences(), layer="top")
    with pytest.raises(ValueError, match="dy must have as many sequences as x"):
        layer.gradient_flow(sequences(), dy=[np.zeros((1, 9))])
    assert layer.gradient_flow([]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_gates_are_what_the_output_is_made_of(kind: str) -> None:
    layer = drawn(kind)
    x = np.random.default_rng(0).normal(size=(4, 6, 3))
    y, state, _, gates = layer.forward(x, return_gates=True)
    assert len(gates) == 2
    assert_array_equal(gates[1].hidden, y)
    h, c = parts_of(state)
    for level, record in enumerate(gates):
        assert_array_equal(record.hidden[:, -1], h[level])
        if c is not None:
            assert_array_equal(record.cell[:, -1], c[level])
            assert_allclose(record.output * np.tanh(record.cell), record.hidden, rtol=1e-12)
            before = np.concatenate([np.zeros((4, 1, 9)), record.cell[:, :-1]], axis=1)
            new = record.forget * before + record.input * record.candidate
            assert_allclose(new, record.cell, rtol=1e-12)
        if kind.startswith("gru"):
            before = np.concatenate([np.zeros((4, 1, 9)), record.hidden[:, :-1]], axis=1)
            new = record.candidate + record.update * (before - record.candidate)
            assert_allclose(new, record.hidden, rtol=1e-12)
    ragged = [*x[:, :4], x[0]]
    *_, listed = layer.forward(ragged, return_gates=True)
    assert [part.shape for part in listed[0].hidden] == [(4, 9)] * 4 + [(6, 9)]
    assert_array_equal(listed[0].hidden[4], gates[0].hidden[0])


def test_backward_goes_on_after_a_look_at_the_gates() -> None:
    layer = drawn("lstm")
    x = np.random.default_rng(0).normal(size=(4, 6, 3))
    y, _, cache, _ = layer.forward(x, return_gates=True)
    _, _, other = layer.forward(x)
    for got, want in zip(
        layer.backward(y, cache)[2].values(), layer.backward(y, other)[2].values(), strict=True
    ):
        assert_array_equal(got, want)
