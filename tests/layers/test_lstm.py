"""The layer that users call, in their order and their shapes, against the oracle and torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import reference
from cases import TOLERANCE
from reference import Array

from lstmcore.layers import LSTM

RAGGED = [3, 0, 7, 7, 1, 0, 5, 7]
SHAPES = pytest.mark.parametrize(
    ("input_size", "hidden_size", "num_layers"), [(1, 1, 1), (5, 17, 1), (3, 8, 2), (6, 6, 3)]
)


class Passed(NamedTuple):
    """What went through a layer, sequence by sequence in the users' order."""

    y: list[Array]
    state: tuple[Array, Array]
    dx: list[Array]
    dstate: tuple[Array, Array]
    grads: dict[str, Array]


class Drawn(NamedTuple):
    x: list[Array]
    state: tuple[Array, Array]
    dy: list[Array]
    dstate: tuple[Array, Array]


def draw(layer: LSTM, lengths: list[int], rng: np.random.Generator) -> Drawn:
    """Random parameters into the layer; random sequences, states and gradients."""
    for values in layer.parameters.values():
        values[...] = 0.5 * rng.standard_normal(values.shape)
    shape = (layer.num_layers, len(lengths), layer.hidden_size)

    def normal(*size: int) -> Array:
        return rng.standard_normal(size).astype(layer.dtype)

    return Drawn(
        [normal(t, layer.input_size) for t in lengths],
        (normal(*shape), normal(*shape)),
        [normal(t, layer.hidden_size) for t in lengths],
        (normal(*shape), normal(*shape)),
    )


def by_oracle(layer: LSTM, given: Drawn) -> Passed:
    """The same in NumPy, packed and unpacked by the oracle."""
    lengths = [len(x) for x in given.x]
    order, n_active = reference.packed_order(lengths), reference.active_counts(lengths)
    back = np.argsort(order)
    names = ("weight_ih_l{}", "weight_hh_l{}", "bias_l{}")
    levels = range(layer.num_layers)
    layers = [
        reference.Weights(
            *(np.array(layer.parameters[name.format(k)], np.float64) for name in names)
        )
        for k in levels
    ]

    def rows(sequences: list[Array], width: int) -> Array:
        packed = reference.pack([sequences[n].astype(np.float64) for n in order])
        return packed.reshape(-1, width)

    def states(state: tuple[Array, Array]) -> list[list[Array]]:
        return [[per_layer[order].astype(np.float64) for per_layer in part] for part in state]

    def in_order(rows: Array) -> list[Array]:
        sequences = reference.unpack(rows, n_active, len(lengths))
        return [sequences[n] for n in back]

    x = rows(given.x, layer.input_size)
    y, h_n, c_n, stashes = reference.stack_forward(layers, x, n_active, *states(given.state))
    dy = rows(given.dy, layer.hidden_size)
    dx, dh0, dc0, gradients = reference.stack_backward(
        layers, stashes, n_active, dy, *states(given.dstate)
    )
    return Passed(
        in_order(y),
        (np.stack(h_n)[:, back], np.stack(c_n)[:, back]),
        in_order(dx),
        (np.stack(dh0)[:, back], np.stack(dc0)[:, back]),
        {
            name.format(k): part
            for k in levels
            for name, part in zip(names, gradients[k], strict=True)
        },
    )


def by_layer(layer: LSTM, given: Drawn, *, as_array: bool = False) -> Passed:
    """Forward and backward through the layer."""
    form = np.stack if as_array else list
    y, state, cache = layer.forward(form(given.x), given.state)
    dx, dstate, grads = layer.backward(form(given.dy), cache, given.dstate)
    return Passed(list(y), state, list(dx), dstate, grads)


def flatten(passed: Passed) -> dict[str, Array]:
    """Every array by name."""
    arrays = dict(passed.grads)
    arrays |= {f"y[{n}]": y for n, y in enumerate(passed.y)}
    arrays |= {f"dx[{n}]": dx for n, dx in enumerate(passed.dx)}
    arrays |= {"h": passed.state[0], "c": passed.state[1]}
    return arrays | {"dh": passed.dstate[0], "dc": passed.dstate[1]}


def assert_close(ours: Passed, expected: Passed, tolerance: float) -> None:
    theirs = flatten(expected)
    assert flatten(ours).keys() == theirs.keys()
    for name, got in flatten(ours).items():
        want = theirs[name]
        assert got.shape == want.shape, name
        scale = np.abs(want).max(initial=1.0)
        assert np.abs(got - want).max(initial=0) <= tolerance * scale, name


@SHAPES
def test_list_of_sequences(
    input_size: int,
    hidden_size: int,
    num_layers: int,
    dtype: np.dtype[Any],
    rng: np.random.Generator,
) -> None:
    layer = LSTM(input_size, hidden_size, num_layers, dtype=dtype.name)
    given = draw(layer, RAGGED, rng)
    assert_close(by_layer(layer, given), by_oracle(layer, given), TOLERANCE[dtype])


@SHAPES
@pytest.mark.parametrize(("n", "n_steps"), [(4, 6), (1, 3), (3, 1), (3, 0), (0, 4)])
def test_array(
    input_size: int,
    hidden_size: int,
    num_layers: int,
    n: int,
    n_steps: int,
    dtype: np.dtype[Any],
    rng: np.random.Generator,
) -> None:
    layer = LSTM(input_size, hidden_size, num_layers, dtype=dtype.name)
    given = draw(layer, [n_steps] * n, rng)
    x = np.reshape(given.x, (n, n_steps, input_size)).astype(dtype)
    dy = np.reshape(given.dy, (n, n_steps, hidden_size)).astype(dtype)
    y, state, cache = layer.forward(x, given.state)
    dx, dstate, grads = layer.backward(dy, cache, given.dstate)
    assert y.shape == dy.shape
    assert dx.shape == x.shape
    assert {a.dtype for a in (y, *state, dx, *dstate, *grads.values())} == {dtype}
    ours = Passed(list(y), state, list(dx), dstate, grads)
    assert_close(ours, by_oracle(layer, given), TOLERANCE[dtype])


def test_array_and_list_have_the_same_bits(rng: np.random.Generator) -> None:
    layer = LSTM(3, 9, 2)
    given = draw(layer, [6] * 4, rng)
    as_array = flatten(by_layer(layer, given, as_array=True))
    for name, array in flatten(by_layer(layer, given)).items():
        np.testing.assert_array_equal(array, as_array[name], err_msg=name)


def test_same_bits_alone_in_company_and_in_any_order(rng: np.random.Generator) -> None:
    layer = LSTM(5, 19, 2)
    x, (h, c), *_ = draw(layer, RAGGED, rng)
    y, state = layer(x, (h, c))
    order = rng.permutation(len(x))
    y_shuffled, state_shuffled = layer([x[n] for n in order], (h[:, order], c[:, order]))
    for k, n in enumerate(order):
        alone, state_alone = layer([x[n]], (h[:, [n]], c[:, [n]]))
        np.testing.assert_array_equal(y_shuffled[k], y[n])
        np.testing.assert_array_equal(alone[0], y[n])
        for part, shuffled, whole in zip(state_alone, state_shuffled, state, strict=True):
            np.testing.assert_array_equal(part[:, 0], whole[:, n])
            np.testing.assert_array_equal(shuffled[:, k], whole[:, n])


@pytest.mark.parametrize("n_jobs", [2, 4, 7, -1, None])
def test_same_bits_for_any_n_jobs(n_jobs: int | None, rng: np.random.Generator) -> None:
    one, many = LSTM(5, 40, n_jobs=1), LSTM(5, 40, n_jobs=n_jobs)
    given = draw(one, [9] * 60, rng)
    for name, values in many.parameters.items():
        values[...] = one.parameters[name]
    expected = flatten(by_layer(one, given))
    for name, array in flatten(by_layer(many, given)).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def test_step_by_step(dtype: np.dtype[Any], rng: np.random.Generator) -> None:
    layer = LSTM(4, 11, 2, dtype=dtype.name)
    given = draw(layer, [6] * 5, rng)
    x = np.stack(given.x)
    y, (h_n, c_n) = layer(x)
    state, out = None, None
    for t in range(6):
        y_t, state = layer.step(x[:, t], state, out=out)
        np.testing.assert_array_equal(y_t, y[:, t])
        out = state if t > 2 else None  # in place from then on
    np.testing.assert_array_equal(state[0], h_n)
    np.testing.assert_array_equal(state[1], c_n)


def test_need_dx(rng: np.random.Generator) -> None:
    layer = LSTM(3, 7, 2)
    given = draw(layer, RAGGED, rng)
    expected = by_layer(layer, given)
    _, _, cache = layer.forward(given.x, given.state)
    dx, _, grads = layer.backward(given.dy, cache, given.dstate, need_dx=False)
    assert dx is None
    for name, gradient in grads.items():
        np.testing.assert_array_equal(gradient, expected.grads[name])


def test_torchs_layer(rng: np.random.Generator) -> None:
    """Two layers, float32 on both sides, gradients of everything."""
    torch = pytest.importorskip("torch", reason="torch, the second oracle, is not installed")
    layer = LSTM(5, 12, 2)
    given = draw(layer, [7] * 4, rng)
    theirs = torch.nn.LSTM(5, 12, 2, batch_first=True)
    for k in range(2):
        for name, other in [
            ("weight_ih", "weight_ih"),
            ("weight_hh", "weight_hh"),
            ("bias", "bias_ih"),
        ]:
            values = layer.parameters[f"{name}_l{k}"]
            getattr(theirs, f"{other}_l{k}").data = torch.from_numpy(values.copy())
        getattr(theirs, f"bias_hh_l{k}").data.zero_()
    x, h, c = (
        torch.from_numpy(a.copy()).requires_grad_() for a in (np.stack(given.x), *given.state)
    )
    y, (h_n, c_n) = theirs(x, (h, c))
    pairs = zip((y, h_n, c_n), (np.stack(given.dy), *given.dstate), strict=True)
    sum((value * torch.from_numpy(weight)).sum() for value, weight in pairs).backward()
    expected = Passed(
        list(y.detach().numpy()),
        (h_n.detach().numpy(), c_n.detach().numpy()),
        list(x.grad.numpy()),
        (h.grad.numpy(), c.grad.numpy()),
        {
            f"{name}_l{k}": getattr(theirs, f"{other}_l{k}").grad.numpy()
            for k in range(2)
            for name, other in [
                ("weight_ih", "weight_ih"),
                ("weight_hh", "weight_hh"),
                ("bias", "bias_ih"),
            ]
        },
    )
    assert_close(by_layer(layer, given), expected, TOLERANCE[np.dtype(np.float32)])


def test_every_way_of_writing_parameters_counts_at_once(rng: np.random.Generator) -> None:
    """Forward, backward and step: no packed copy of the old weights survives."""
    layer = LSTM(4, 6, 2)
    given = draw(layer, RAGGED, rng)
    kept = layer.parameters["weight_hh_l0"]
    part = layer.parameters["weight_ih_l1"][3:5, ::2]
    writes = [
        lambda: layer.parameters["weight_ih_l0"].__setitem__((0, 0), 0.7),
        lambda: layer.parameters["bias_l1"].__iadd__(0.1),
        lambda: kept.__imul__(0.5),
        lambda: kept[6:12].fill(0.25),
        lambda: np.copyto(layer.parameters["weight_ih_l1"], 0.3),
        lambda: kept.T.__setitem__(2, -1.0),
        lambda: part.__setitem__(..., 2.0),
    ]
    tolerance = TOLERANCE[np.dtype(np.float32)]
    before = layer(given.x)[0][2]
    for write in writes:
        write()
        ours = by_layer(layer, given)
        assert_close(ours, by_oracle(layer, given), tolerance)
        assert (ours.y[2] != before).any()
        before = ours.y[2]
        y_t, _ = layer.step(given.x[2][:1], tuple(s[:, [2]] for s in given.state))
        np.testing.assert_array_equal(y_t, before[:1])


def test_descent_along_the_gradients(rng: np.random.Generator, dtype: np.dtype[Any]) -> None:
    """A training loop of one's own: the views are updated in place, the loss falls tenfold."""
    layer = LSTM(2, 8, dtype=dtype.name, random_state=0)
    x = rng.standard_normal((20, 6, 2))
    target = 0.5 * np.tanh(np.cumsum(x[:, :, :1], axis=1))
    losses = []
    for _ in range(150):
        y, _, cache = layer.forward(x)
        error = y[:, :, :1] - target
        losses.append(float(np.mean(error**2)))
        dy = np.zeros_like(y)
        dy[:, :, :1] = 2 * error / error.size
        _, _, grads = layer.backward(dy, cache, need_dx=False)
        for name, values in layer.parameters.items():
            values -= 1.0 * grads[name]
    assert losses[-1] < losses[0] / 10
