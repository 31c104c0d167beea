"""Windows over time: truncated BPTT against its definition, recomputed gates against kept ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from cell_cases import CELLS
from networks import Data, Spec, draw_data, draw_parameters, loss_and_gradient
from reference import Array
from reference_cells import Cell

POOLINGS = ("last", "mean", "max")
# Longer than a run of BPTT has steps, with sequences that end in every window.
LENGTHS = (150, 149, 97, 150, 64, 31, 1, 0, 8, 120, 33, 5)
SHORT = (9, 4, 0, 7, 9, 3, 1)


def gradient_of(
    spec: Spec, data: Data, isa: str = "", n_threads: int = 1, **options: Any
) -> tuple[float, Array]:
    """Loss and gradient of all samples as one batch."""
    dtype = data.sequences[0].dtype
    trainer = spec.trainer(dtype, isa, **options)
    parameters, chosen = draw_parameters(spec, dtype), range(len(data.sequences))
    return loss_and_gradient(
        trainer, parameters, data, chosen, seed=3, epoch=2, n_threads=n_threads
    )


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_windows_change_no_bit(cell: Cell, pooling: str, isa: str) -> None:
    """Recomputed gates, and truncation after more steps than there are."""
    spec = Spec(hidden_sizes=(20, 33), pooling=pooling, dropout=0.3, cell=cell)
    data = draw_data(spec, LENGTHS * 2, np.float32)
    loss, gradient = gradient_of(spec, data, isa)
    for options in ({"recompute": True}, {"tbptt_steps": 150}, {"tbptt_steps": 10**9}):
        for n_threads in (1, 3):
            other = gradient_of(spec, data, isa, n_threads, **options)
            assert other[0] == loss
            np.testing.assert_array_equal(other[1], gradient)


@pytest.mark.parametrize("pooling", ["last", "max"])
def test_large_weights_change_no_bit(pooling: str) -> None:
    """The sums of large layers go on from window to window where the parameters stand."""
    spec = Spec(input_size=200, hidden_sizes=(500,), pooling=pooling)
    data = draw_data(spec, (60, 60, 44, 7, 0, 60), np.float32)
    _, gradient = gradient_of(spec, data)
    for n_threads in (1, 2):
        recomputed = gradient_of(spec, data, n_threads=n_threads, recompute=True)[1]
        np.testing.assert_array_equal(recomputed, gradient)
    truncated = [gradient_of(spec, data, n_threads=n, tbptt_steps=7)[1] for n in (1, 2)]
    np.testing.assert_array_equal(*truncated)
    assert (truncated[0] != gradient).any()


def truncated_oracle(spec: Spec, parameters: Array, data: Data, n_steps: int) -> Array:
    """Sequence by sequence, window by window, each from states that count as given."""
    layers, _, head_weight, head_bias, _ = spec.oracle.split(parameters)
    total = np.zeros(len(parameters))
    weights = data.weights / data.weights.sum()
    for x, target, weight in zip(data.sequences, data.targets, weights, strict=True):
        alive = np.ones(len(x), np.intp)
        zeros = [np.zeros((1, h)) for h in spec.hidden_sizes]
        y, *_ = reference.stack_forward(layers, x, alive, zeros, zeros)
        pooled = reference.pool_forward(spec.pooling, y, alive, 1)
        z = pooled @ head_weight.T + head_bias
        dz = reference.loss_forward(spec.loss, z, target[None])[1] * weight
        dy = reference.pool_backward(spec.pooling, y, alive, dz @ head_weight)
        gradients = [np.zeros_like(part) for layer in layers for part in layer]
        h, c = zeros, zeros
        begin = 0
        while begin < len(x):
            end = begin + ((len(x) - begin - 1) % n_steps + 1)
            part, steps = x[begin:end], alive[begin:end]
            _, h_next, c_next, stashes = reference.stack_forward(layers, part, steps, h, c)
            *_, found = reference.stack_backward(
                layers, stashes, steps, dy[begin:end], zeros, zeros
            )
            for mine, more in zip(gradients, (p for layer in found for p in layer), strict=True):
                mine += more
            h, c, begin = h_next, c_next, end
        parts = [*gradients, dz.T @ pooled, dz.sum(axis=0)]
        total += np.concatenate([part.ravel() for part in parts])
    return total


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("n_steps", [1, 3, 4, 8, 9])
def test_truncated_gradient_is_that_of_its_definition(n_steps: int, pooling: str, isa: str) -> None:
    spec = Spec(hidden_sizes=(9, 5), pooling=pooling)
    data, parameters = draw_data(spec, SHORT, np.float64), draw_parameters(spec, np.float64)
    expected = truncated_oracle(spec, parameters, data, n_steps)
    full = gradient_of(spec, data, isa)[1]
    assert (n_steps >= max(SHORT)) == np.allclose(full, expected, rtol=0, atol=1e-12)
    _, gradient = gradient_of(spec, data, isa, tbptt_steps=n_steps)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_truncated_gradients_have_the_same_bits(cell: Cell, pooling: str, isa: str) -> None:
    spec = Spec(hidden_sizes=(20, 9), pooling=pooling, dropout=0.2, cell=cell)
    data = draw_data(spec, LENGTHS * 2, np.float32)
    loss, gradient = gradient_of(spec, data, "scalar", tbptt_steps=40)
    assert loss == gradient_of(spec, data, "scalar")[0]
    assert (gradient != gradient_of(spec, data, "scalar")[1]).any()
    for n_threads in (1, 3):
        other = gradient_of(spec, data, isa, n_threads, tbptt_steps=40)
        assert other[0] == loss
        np.testing.assert_array_equal(other[1], gradient)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_long_predictions_are_those_of_one_batch(pooling: str) -> None:
    """Inference in windows: a sequence gets the bits that it has in a prediction of its own."""
    spec = Spec(hidden_sizes=(64, 33), pooling=pooling)
    sequences = draw_data(spec, (40000, 39999, 12, 0, 25000), np.float32).sequences
    network = spec.network(np.float32)
    network.set_parameters(draw_parameters(spec, np.float32))
    lengths = [len(sequence) for sequence in sequences]
    order = reference.packed_order(lengths)
    active = np.array([sum(t < n for n in lengths) for t in range(40000)], np.intp)
    starts = np.concatenate([[0], np.cumsum(active)])
    x = np.empty((starts[-1], spec.input_size), np.float32)
    for row, n in enumerate(order):
        x[starts[: lengths[n]] + row] = sequences[n]
    together = network.predict(x, active, len(order), apply_link=False, n_threads=2)
    for row, n in enumerate(order):
        alone = np.ones(lengths[n], np.intp)
        expected = network.predict(sequences[n], alone, 1, apply_link=False, n_threads=1)
        np.testing.assert_array_equal(together[row], expected[0])


def test_errors_name_the_argument() -> None:
    spec = Spec()
    with pytest.raises(ValueError, match="tbptt_steps is -1"):
        spec.trainer(np.float32, tbptt_steps=-1)
    with pytest.raises(ValueError, match="recompute must be False with tbptt_steps"):
        spec.trainer(np.float32, tbptt_steps=3, recompute=True)
