"""Sequences in chunks: states are handed on, and their gradients back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lstmcore.layers import GRU, LSTM, RNN

LAYERS: dict[str, Any] = {
    "lstm": lambda **kwargs: LSTM(3, 19, 2, random_state=0, **kwargs),
    "gru": lambda **kwargs: GRU(3, 19, 2, random_state=0, **kwargs),
    "gru-reset-before": lambda **kwargs: GRU(3, 19, reset_after=False, random_state=0, **kwargs),
    "rnn": lambda **kwargs: RNN(3, 19, 2, random_state=0, **kwargs),
    "peephole-coupled": lambda **kwargs: LSTM(
        3, 19, peephole=True, coupled_gates=True, random_state=0, **kwargs
    ),
    "projection": lambda **kwargs: LSTM(3, 19, 2, proj_size=6, random_state=0, **kwargs),
    "residual": lambda **kwargs: LSTM(3, 19, 3, residual=True, random_state=0, **kwargs),
}
EACH_LAYER = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
# Sequences end in any of the chunks, and one has no step at all.
LENGTHS = (23, 7, 0, 16, 23, 8, 1)
BORDERS = (0, 7, 8, 16, 23)


def draw(dtype: Any) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((n, 3)).astype(dtype) for n in LENGTHS]


def chunks(x: list[np.ndarray]) -> list[list[np.ndarray]]:
    """The steps between two borders, of every sequence."""
    return [[sequence[begin:end] for sequence in x] for begin, end in pairwise(BORDERS)]


def parts_of(state: Any) -> tuple[np.ndarray, ...]:
    return state if isinstance(state, tuple) else (state,)


@EACH_LAYER
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_forward_in_chunks_has_the_bits_of_one_go(
    make: Any, n_jobs: int, dtype: np.dtype[Any]
) -> None:
    layer, x = make(dtype=dtype.name, n_jobs=n_jobs), draw(dtype)
    expected, expected_state = layer(x)
    state, outputs = None, []
    for chunk in chunks(x):
        y, state = layer(chunk, state)
        outputs.append(y)
    for sequence, *pieces in zip(expected, *outputs, strict=True):
        assert_array_equal(np.concatenate(pieces), sequence, strict=True)
    for part, expected_part in zip(parts_of(state), parts_of(expected_state), strict=True):
        assert_array_equal(part, expected_part, strict=True)


@EACH_LAYER
def test_bptt_in_chunks_is_bptt_in_one_go(make: Any) -> None:
    """dx and the gradient of the state have its bits; sums over steps begin anew in each chunk."""
    layer, x = make(dtype="float64", n_jobs=1), draw("float64")
    y, state, cache = layer.forward(x)
    rng = np.random.default_rng(1)
    dy = [rng.standard_normal(sequence.shape) for sequence in y]
    drawn = tuple(rng.standard_normal(part.shape) for part in parts_of(state))
    dstate: Any = drawn if isinstance(state, tuple) else drawn[0]
    dx, dstate_0, grads = layer.backward(dy, cache, dstate)

    before, states = None, []
    for chunk in chunks(x):  # kept: the states at the borders alone
        states.append(before)
        before = layer(chunk, before)[1]
    sums = {name: np.zeros_like(grad) for name, grad in grads.items()}
    pieces = []
    for chunk, its_dy, before in [*zip(chunks(x), chunks(dy), states, strict=True)][::-1]:
        _, _, cache = layer.forward(chunk, before)
        its_dx, dstate, found = layer.backward(its_dy, cache, dstate)
        pieces.insert(0, its_dx)
        for name, grad in found.items():
            sums[name] += grad
    for sequence, *its_pieces in zip(dx, *pieces, strict=True):
        assert_array_equal(np.concatenate(its_pieces), sequence, strict=True)
    for part, expected in zip(parts_of(dstate), parts_of(dstate_0), strict=True):
        assert_array_equal(part, expected, strict=True)
    for name, grad in grads.items():
        assert_allclose(sums[name], grad, rtol=0, atol=1e-11 * np.abs(grad).max())


def test_a_gradient_that_is_not_handed_back_is_truncated() -> None:
    """Which tells the tests above from tests that cannot fail."""
    layer, x = LSTM(3, 5, dtype="float64", random_state=0), draw("float64")
    halves = [[sequence[:8] for sequence in x], [sequence[8:] for sequence in x]]
    _, state, first = layer.forward(halves[0])
    y, _, second = layer.forward(halves[1], state)
    _, dstate, _ = layer.backward(y, second)
    *_, truncated = layer.backward(None, first, None)
    assert not any(grad.any() for grad in truncated.values())
    _, _, again = layer.forward(halves[0])
    *_, whole = layer.backward(None, again, dstate)
    assert all(grad.any() for grad in whole.values())
