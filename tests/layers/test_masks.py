"""Layers whose training draws masks: seeds, states, copies, errors."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import lstmcore
from lstmcore.layers import GRU, LSTM, RNN

MASKS = {"hidden_dropout": 0.3, "zoneout_hidden": 0.2}
LAYERS: list[tuple[Any, dict[str, Any]]] = [
    (LSTM, MASKS | {"recurrent_dropout": 0.25, "zoneout_cell": 0.4}),
    (LSTM, {"recurrent_dropout": 0.5, "layer_norm": True, "peephole": True, "zoneout_cell": 0.3}),
    (LSTM, MASKS | {"zoneout_cell": 0.3, "peephole": True, "cell_clip": 0.5}),
    (GRU, MASKS | {"recurrent_dropout": 0.25}),
    (GRU, MASKS | {"recurrent_dropout": 0.25, "reset_after": False}),
    (RNN, MASKS),
]
EACH = pytest.mark.parametrize(("cls", "options"), LAYERS, ids=str)
X = [np.random.default_rng(n).normal(size=(n, 3)) for n in (4, 0, 7, 7, 1)]


def parts(state: Any) -> tuple[np.ndarray, ...]:
    return state if isinstance(state, tuple) else (state,)


@EACH
def test_a_seed_decides(cls: Any, options: dict[str, Any]) -> None:
    layer = cls(3, 17, 2, bidirectional=True, random_state=0, **options)
    first, again, other, none = (layer.forward(X, seed=s)[0] for s in (5, np.int64(5), 6, None))
    called = layer(X)[0]
    for n, x in enumerate(X):
        np.testing.assert_array_equal(first[n], again[n])
        np.testing.assert_array_equal(none[n], called[n])
        assert (len(x) == 0) == np.array_equal(first[n], other[n])
        assert (len(x) == 0) == np.array_equal(first[n], none[n])


@EACH
def test_a_place_has_its_masks(cls: Any, options: dict[str, Any]) -> None:
    """The third sequence is the third, whatever the others are, in a list or an array."""
    layer = cls(3, 9, random_state=0, **options)
    y = layer.forward(X, seed=1)[0]
    others = [np.ones((9, 3)), np.ones((2, 3)), X[2]]
    np.testing.assert_array_equal(layer.forward(others, seed=1)[0][2], y[2])
    both = np.stack([X[2], X[3]])
    as_array, as_list = (layer.forward(x, seed=1)[0] for x in (both, list(both)))
    np.testing.assert_array_equal(as_array, np.stack(as_list))


@EACH
def test_layers_that_read_from_the_end_draw_in_the_order_of_reading(
    cls: Any, options: dict[str, Any]
) -> None:
    back, ahead = (cls(3, 9, reverse=r, random_state=0, **options) for r in (True, False))
    turned = ahead.forward([x[::-1] for x in X], seed=2)[0]
    for ours, theirs in zip(back.forward(X, seed=2)[0], turned, strict=True):
        np.testing.assert_array_equal(ours, theirs[::-1])


@EACH
def test_gradients_are_those_of_the_masks(cls: Any, options: dict[str, Any]) -> None:
    """Differences of the parameters, with the seed that the gradient was of.

    Of fourth order: where few candidates are left, normalised layers bend so much that those of
    second order are off by 1e-6.
    """
    rng = np.random.default_rng(3)
    layer = cls(3, 5, 2, residual=True, dtype="float64", random_state=0, **options)
    y, _, cache = layer.forward(X, seed=9)
    dy = [rng.normal(size=part.shape) for part in y]
    dx, _, grads = layer.backward(dy, cache)
    starts = {name: view.copy() for name, view in layer.parameters.items()}
    for _ in range(3):
        away = {name: rng.normal(size=view.shape) for name, view in starts.items()}
        values = []
        for k in (-2, -1, 1, 2):
            for name, view in layer.parameters.items():
                view[...] = starts[name] + k * 2e-5 * away[name]
            out = layer.forward(X, seed=9)[0]
            values.append(sum((a * b).sum() for a, b in zip(out, dy, strict=True)))
        expected = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / 24e-5
        found = sum((grads[name] * away[name]).sum() for name in grads)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)
        for name, view in layer.parameters.items():
            view[...] = starts[name]
    assert [part.shape for part in dx] == [x.shape for x in X]


@EACH
def test_steps_and_copies_give_the_bits_of_a_call(
    cls: Any, options: dict[str, Any], tmp_path: Any
) -> None:
    """Without masks, zoneout by its expectation."""
    layer = cls(3, 17, 2, random_state=0, **options)
    x = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    y, whole = layer(x)
    state = None
    for t in range(7):
        y_t, state = layer.step(x[:, t], state)
        np.testing.assert_array_equal(y_t, y[:, t])
    for ours, theirs in zip(parts(state), parts(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    masked = layer.forward(x, seed=3)[0]
    layer.save(tmp_path / "layer")
    for copy in (pickle.loads(pickle.dumps(layer)), lstmcore.load(tmp_path / "layer")):
        assert repr(copy) == repr(layer)
        np.testing.assert_array_equal(copy(x)[0], y)
        np.testing.assert_array_equal(copy.forward(x, seed=3)[0], masked)


def test_zoneout_of_one_step_is_what_it_says() -> None:
    """Units of h and c stay what they were, or are what the plain layer gives."""
    plain = LSTM(3, 64, dtype="float64", random_state=0)
    layer = LSTM(3, 64, dtype="float64", random_state=0, zoneout_hidden=0.3, zoneout_cell=0.6)
    x, rng = np.ones((20, 1, 3)), np.random.default_rng(0)
    state = rng.normal(size=(2, 1, 20, 64))
    _, (h, c), _ = layer.forward(x, tuple(state), seed=1)
    _, plain_state = plain(x, tuple(state))
    for new, old, free, rate in zip((h, c), state, plain_state, (0.3, 0.6), strict=True):
        stays = new == old
        np.testing.assert_allclose(new[~stays], free[~stays], rtol=1e-14)
        assert abs(stays.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / stays.size)
    _, expected = layer(x, tuple(state))
    for new, old, free, rate in zip(expected, state, plain_state, (0.3, 0.6), strict=True):
        np.testing.assert_allclose(new, rate * old + (1 - rate) * free, rtol=0, atol=1e-14)


def test_recurrent_dropout_drops_what_is_new() -> None:
    """Semeniuta et al.: memory is kept; a dropped candidate leaves f c."""
    layer = LSTM(3, 64, dtype="float64", random_state=0, recurrent_dropout=0.4)
    state = tuple(np.random.default_rng(0).normal(size=(2, 1, 20, 64)))
    _, (_, c), _, (gates,) = layer.forward(np.ones((20, 1, 3)), state, seed=1, return_gates=True)
    kept = gates.forget[:, 0] * state[1][0]
    new = (c[0] - kept) / (gates.input[:, 0] * gates.candidate[:, 0])
    dropped = abs(new) < 1e-9
    np.testing.assert_allclose(new[~dropped], 1 / 0.6, rtol=1e-9)
    assert abs(dropped.mean() - 0.4) < 4 * np.sqrt(0.24 / dropped.size)


@pytest.mark.parametrize(
    ("cls", "options", "error", "message"),
    [
        (LSTM, {"recurrent_dropout": 1.0}, ValueError, "'recurrent_dropout' parameter of LSTM"),
        (GRU, {"hidden_dropout": -0.1}, ValueError, "'hidden_dropout' parameter of GRU"),
        (RNN, {"zoneout_hidden": "0.1"}, TypeError, "'zoneout_hidden' parameter of RNN"),
        (LSTM, {"zoneout_cell": np.nan}, ValueError, "'zoneout_cell' parameter of LSTM"),
        (GRU, {"zoneout_cell": 0.1}, TypeError, "zoneout_cell"),
        (RNN, {"recurrent_dropout": 0.1}, TypeError, "recurrent_dropout"),
    ],
    ids=str,
)
def test_errors(cls: Any, options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        cls(3, 4, **options)


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (-1, ValueError, r"seed must be from 0 to 2\*\*64 - 1, got -1"),
        (2**64, ValueError, "seed must be from 0"),
        (0.5, TypeError, "seed must be an integer or None, got 0.5"),
        (True, TypeError, "seed must be an integer or None, got True"),
        (np.random.default_rng(0), TypeError, "seed must be an integer or None"),
    ],
    ids=str,
)
def test_seeds_that_are_none(seed: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        LSTM(3, 4).forward(X, seed=seed)
