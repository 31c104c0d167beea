"""The layer as users call it: forms of x, orders of states, steps, gradients, copies."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lstmcore.layers import LSTM

INPUTS, H, L = 3, 7, 2  # features, hidden units, layers
LENGTHS = [4, 0, 9, 4, 1, 9]
N = len(LENGTHS)

Array = np.ndarray[Any, Any]


def new_layer(dtype: Any = "float32", **kwargs: Any) -> LSTM:
    return LSTM(INPUTS, H, L, dtype=dtype, random_state=0, **kwargs)


def ragged(
    rng: np.random.Generator, n_features: int = INPUTS, dtype: Any = "float32"
) -> list[Array]:
    return [rng.standard_normal((length, n_features)).astype(dtype) for length in LENGTHS]


def states(rng: np.random.Generator, n: int = N, dtype: Any = "float32") -> tuple[Array, Array]:
    h, c = rng.standard_normal((2, L, n, H)).astype(dtype)
    return h, c


def assert_same(first: Any, second: Any) -> None:
    """Assert that nested tuples, lists and dicts of arrays have the same bits."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        first, second = list(first.values()), list(second.values())
    if isinstance(first, (tuple, list)):
        for a, b in zip(first, second, strict=True):
            assert_same(a, b)
    else:
        assert_array_equal(first, second, strict=True)


# ---- Forms and orders ----


def test_array(rng: np.random.Generator, dtype: np.dtype[Any]) -> None:
    layer = new_layer(dtype)
    x = rng.standard_normal((5, 6, INPUTS)).astype(dtype)
    y, (h, c) = layer(x)
    assert y.shape == (5, 6, H)
    assert h.shape == c.shape == (L, 5, H)
    assert y.dtype == h.dtype == c.dtype == dtype
    assert_same(layer(list(x)), (list(y), (h, c)))
    assert_array_equal(y[:, -1], h[-1])


def test_each_sequence_as_if_it_were_alone(rng: np.random.Generator, dtype: np.dtype[Any]) -> None:
    layer = new_layer(dtype)
    x, (h_0, c_0) = ragged(rng, dtype=dtype), states(rng, dtype=dtype)
    y, (h, c) = layer(x, (h_0, c_0))
    assert [part.shape for part in y] == [(length, H) for length in LENGTHS]
    for n in range(N):
        only = slice(n, n + 1)
        alone, (h_alone, c_alone) = layer([x[n]], (h_0[:, only], c_0[:, only]))
        assert_same((y[n], h[:, only], c[:, only]), (alone[0], h_alone, c_alone))


def test_a_sequence_without_steps_keeps_its_state(rng: np.random.Generator) -> None:
    h_0, c_0 = states(rng)
    _, (h, c) = new_layer()(ragged(rng), (h_0, c_0))
    empty = LENGTHS.index(0)
    assert_array_equal(h[:, empty], h_0[:, empty])
    assert_array_equal(c[:, empty], c_0[:, empty])


def test_state_none_is_zeros(rng: np.random.Generator) -> None:
    layer, x = new_layer(), ragged(rng)
    zeros = np.zeros((L, N, H), np.float32)
    assert_same(layer(x), layer(x, (zeros, zeros)))


def test_a_sequence_may_be_cut_in_time(rng: np.random.Generator) -> None:
    layer = new_layer()
    x = rng.standard_normal((4, 10, INPUTS)).astype(np.float32)
    y, state = layer(x)
    first, between = layer(x[:, :3])
    second, end = layer(x[:, 3:], between)
    assert_same((np.concatenate([first, second], axis=1), end), (y, state))


def test_forward_is_the_call(rng: np.random.Generator) -> None:
    layer, x, state = new_layer(), ragged(rng), states(rng)
    assert_same(layer.forward(x, state)[:2], layer(x, state))


def test_other_dtypes_and_layouts(rng: np.random.Generator) -> None:
    layer = new_layer()
    x = rng.integers(-2, 3, (4, 5, INPUTS)).astype(np.float32)
    state = states(rng, 4)
    expected = layer(x, state)
    wide = tuple(np.asfortranarray(part.astype(np.float64)) for part in state)
    for form in (x.astype(int), x.astype(">f8"), np.asfortranarray(x), x[:, ::-1][:, ::-1]):
        assert_same(layer(form, state), expected)
        assert_same(layer(form, wide), expected)
        assert_same(layer(form, [part.tolist() for part in wide]), expected)


def test_nothing_is_changed(rng: np.random.Generator) -> None:
    layer = new_layer()
    x, state = ragged(rng), states(rng)
    dy, dstate = ragged(rng, H), states(rng)
    before = copy.deepcopy((x, state, dy, dstate))
    _, _, cache = layer.forward(x, state)
    layer.backward(dy, cache, dstate)
    layer.step(np.zeros((N, INPUTS), np.float32), state)
    assert_same((x, state, dy, dstate), before)


def test_what_is_kept_is_a_copy(rng: np.random.Generator) -> None:
    layer = new_layer()
    x = rng.standard_normal((1, 6, INPUTS)).astype(np.float32)
    y, _, cache = layer.forward(x)
    _, _, expected = layer.backward(y, cache)
    y, _, cache = layer.forward(x)
    x[:] = np.nan
    assert_same(layer.backward(y, cache)[2], expected)


def test_gradients_are_the_callers_for_good(rng: np.random.Generator) -> None:
    """Their memory is used again only when nobody has a view of it any more."""
    layers = [new_layer()]
    x = rng.standard_normal((2, 6, INPUTS)).astype(np.float32)

    def gradients(scale: float) -> list[Array]:
        y, _, cache = layers[0].forward(x)
        return list(layers[0].backward(np.full_like(y, scale), cache)[2].values())

    first = gradients(1)
    expected = copy.deepcopy(first)
    view = gradients(3)[1][1:, 1:]
    others = [gradients(k) for k in (5, 7)]
    places = {arrays[1].ctypes.data for arrays in (first, *others)}
    assert len(places) == 3
    layers.clear()
    assert_same(first, expected)
    assert_allclose(view, 3 * expected[1][1:, 1:], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 5, INPUTS), (4, 0, INPUTS), (0, 0, INPUTS)])
def test_empty_arrays(shape: tuple[int, ...]) -> None:
    layer = new_layer()
    y, state, cache = layer.forward(np.zeros(shape))
    assert y.shape == (*shape[:2], H)
    assert state[0].shape == state[1].shape == (L, shape[0], H)
    dx, dstate, grads = layer.backward(y, cache)
    assert dx.shape == shape
    assert dstate[0].shape == (L, shape[0], H)
    assert all(not grad.any() for grad in grads.values())


def test_empty_list() -> None:
    y, (h, c) = new_layer()([])
    assert y == []
    assert h.shape == c.shape == (L, 0, H)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_comes_out_as_nan(value: float) -> None:
    x = np.ones((2, 4, INPUTS))
    x[0, 2, 1] = value
    y, (_, c) = new_layer()(x)
    assert np.isfinite(y[0, :2]).all()
    assert np.isfinite(y[1]).all()
    assert np.isnan(y[0, 2:]).all() == np.isnan(value)
    assert np.isnan(c[:, 0]).all() == np.isnan(value)


def test_threads_change_no_bit(rng: np.random.Generator, n_threads: int) -> None:
    x = rng.standard_normal((150, 11, INPUTS))
    one, many = new_layer(n_jobs=1), new_layer(n_jobs=n_threads)
    y, state, cache = one.forward(x)
    y_again, state_again, cache_again = many.forward(x)
    assert_same((y_again, state_again), (y, state))
    assert_same(many.backward(y, cache_again), one.backward(y, cache))


def test_one_layer_in_many_threads(rng: np.random.Generator) -> None:
    layer = new_layer(n_jobs=1)
    batches = [rng.standard_normal((n % 5 + 1, 8, INPUTS)) for n in range(40)]
    expected = [layer(x) for x in batches]
    with ThreadPoolExecutor(8) as pool:
        assert_same(list(pool.map(layer, batches)), expected)


# ---- Steps ----


def test_steps_are_the_call(rng: np.random.Generator, dtype: np.dtype[Any]) -> None:
    layer = new_layer(dtype)
    x = rng.standard_normal((5, 6, INPUTS)).astype(dtype)
    state = states(rng, 5, dtype)
    y, end = layer(x, state)
    steps = []
    for t in range(6):
        y_t, state = layer.step(x[:, t].copy(), state)
        steps.append(y_t)
    assert_same((np.stack(steps, axis=1), state), (y, end))


def test_step_writes_where_it_is_told(rng: np.random.Generator) -> None:
    layer = new_layer()
    x = rng.standard_normal((5, INPUTS)).astype(np.float32)
    state = states(rng, 5)
    expected = layer.step(x, state)
    out = states(rng, 5)
    y_t, new = layer.step(x, state, out)
    assert new[0] is out[0]
    assert new[1] is out[1]
    assert np.shares_memory(y_t, out[0])
    assert_same((y_t, new), expected)
    assert_same(layer.step(x, state, state), expected)
    assert_same(state, expected[1])
    assert_same(
        layer.step(x.astype(float), [out[0], out[1]], out)[1], layer.step(x, expected[1])[1]
    )


def test_step_converts(rng: np.random.Generator) -> None:
    layer = new_layer()
    x = rng.integers(-2, 3, (5, INPUTS)).astype(np.float32)
    h, c = states(rng, 5)
    expected = layer.step(x, (h, c))
    wide = h.astype(np.float64), np.asfortranarray(c)
    for form in (x.astype(int), x.tolist(), np.asfortranarray(x), x.astype(">f4")):
        assert_same(layer.step(form, (h, c)), expected)
        assert_same(layer.step(form, wide), expected)
    zeros = np.zeros((L, 5, H), np.float32)
    assert_same(layer.step(x), layer.step(x, (zeros, zeros)))
    assert layer.step(np.empty((0, INPUTS)))[0].shape == (0, H)


# ---- Gradients ----


def test_gradients_are_those_of_the_outputs(rng: np.random.Generator) -> None:
    # Central differences along random directions, through the order of the user's sequences.
    layer = new_layer("float64")
    x, state = ragged(rng, dtype="float64"), states(rng, dtype="float64")
    dy, dstate = ragged(rng, H, "float64"), states(rng, dtype="float64")

    def loss(shift: float, of: str, way: Any) -> float:
        moved_x, moved_state = x, state
        if of == "x":
            moved_x = [a + shift * d for a, d in zip(x, way, strict=True)]
        elif of == "state":
            moved_state = (state[0] + shift * way[0], state[1] + shift * way[1])
        else:
            layer.parameters[of][...] += shift * way
        y, end = layer(moved_x, moved_state)
        if of in layer.parameters:
            layer.parameters[of][...] -= shift * way
        pairs = zip([*y, *end], [*dy, *dstate], strict=True)
        return float(sum((a * b).sum() for a, b in pairs))

    _, _, cache = layer.forward(x, state)
    dx, dstate_0, grads = layer.backward(dy, cache, dstate)
    assert [part.shape for part in dx] == [part.shape for part in x]
    gradients = {"x": dx, "state": dstate_0, **grads}
    assert grads.keys() == layer.parameters.keys()
    for of, gradient in gradients.items():
        parts = gradient if isinstance(gradient, (list, tuple)) else [gradient]
        ways = [rng.standard_normal(part.shape) for part in parts]
        way = ways if isinstance(gradient, (list, tuple)) else ways[0]
        slope = (loss(1e-5, of, way) - loss(-1e-5, of, way)) / 2e-5
        product = sum((part * direction).sum() for part, direction in zip(parts, ways, strict=True))
        assert_allclose(product, slope, rtol=1e-7, err_msg=of)


def test_gradients_that_are_left_out_are_zero(rng: np.random.Generator) -> None:
    layer, x = new_layer(), ragged(rng)
    dy, (dh, dc) = ragged(rng, H), states(rng)
    no_dy = [np.zeros_like(part) for part in dy]
    zeros = np.zeros_like(dh)

    def backward(*arguments: Any, **kwargs: Any) -> Any:
        return layer.backward(arguments[0], layer.forward(x)[2], *arguments[1:], **kwargs)

    assert_same(backward(dy), backward(dy, (zeros, zeros)))
    assert_same(backward(None, (dh, dc)), backward(no_dy, (dh, dc)))
    assert_same(backward(dy, (dh, None)), backward(dy, (dh, zeros)))
    assert_same(backward(dy, (None, dc)), backward(dy, (zeros, dc)))
    without = backward(dy, (dh, dc), need_dx=False)
    assert without[0] is None
    assert_same(without[1:], backward(dy, (dh, dc))[1:])
    without = backward(dy, (dh, dc), need_dstate=False)
    assert without[1] is None
    assert_same(without[::2], backward(dy, (dh, dc))[::2])


def test_gradient_of_an_array_is_an_array(rng: np.random.Generator) -> None:
    layer, x = new_layer(), rng.standard_normal((4, 5, INPUTS))
    y, _, cache = layer.forward(x)
    dx, _, _ = layer.backward(list(y), cache)
    assert dx.shape == x.shape


def test_cache_serves_once_and_for_its_parameters(rng: np.random.Generator) -> None:
    layer, x = new_layer(), ragged(rng)
    y, _, cache = layer.forward(x)
    _, _, expected = layer.backward(y, cache)
    with pytest.raises(ValueError, match="cache"):
        layer.backward(y, cache)
    _, _, cache = layer.forward(x)
    layer.parameters["bias_l0"][:] += 1
    assert_same(layer.backward(y, cache)[2], expected)  # the pass was made before
    _, _, cache = layer.forward(x)
    layer.parameters["bias_l0"][:] += 1
    layer(x)
    with pytest.raises(ValueError, match="a forward pass with other parameters"):
        layer.backward(y, cache)
    with pytest.raises(ValueError, match="cache is of another layer"):
        new_layer().backward(y, layer.forward(x)[2])
    with pytest.raises(TypeError, match="cache must be what forward returned, got NoneType"):
        layer.backward(y, None)


# ---- Copies ----


@pytest.mark.parametrize(
    "duplicate",
    [
        lambda layer, _: pickle.loads(pickle.dumps(layer)),
        lambda layer, _: copy.deepcopy(layer),
        lambda layer, _: copy.copy(layer),
        lambda layer, path: (joblib.dump(layer, path), joblib.load(path, mmap_mode="r"))[1],
    ],
    ids=["pickle", "deepcopy", "copy", "joblib memmap"],
)
def test_duplicates(
    duplicate: Any, rng: np.random.Generator, dtype: np.dtype[Any], tmp_path: Any
) -> None:
    layer = new_layer(dtype, n_jobs=2)
    layer.parameters["weight_hh_l1"][:] *= 1.5
    twin = duplicate(layer, tmp_path / "layer.joblib")
    x = ragged(rng)
    expected = layer(x)
    assert_same(twin(x), expected)
    assert repr(twin) == repr(layer)
    assert_same(dict(twin.parameters), dict(layer.parameters))
    twin.parameters["bias_l0"][:] = 3
    assert not np.array_equal(twin(x)[1][0], expected[1][0])
    assert_same(layer(x), expected)


def test_repr() -> None:
    assert repr(new_layer(n_jobs=2)) == "LSTM(3, 7, num_layers=2, dtype='float32', n_jobs=2)"
