"""Networks whose training draws masks: what is trained with, in windows too, and its bits."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import reference
from cases import TOLERANCE
from cell_cases import MASKED
from core.test_oracle import numerical_gradient
from networks import (
    Spec,
    assert_same_training,
    draw_data,
    draw_parameters,
    loss_and_gradient,
    packed_of,
)
from reference_cells import Cell, stack_forward
from reference_masks import draw_masks

EACH_CELL = pytest.mark.parametrize("cell", MASKED, ids=str)
ALL_KINDS = [MASKED[k] for k in (3, 5, 8)]  # in three kernels
LENGTHS = (4, 0, 6, 1, 6, 3)
# Longer than a run of BPTT has steps, with sequences that end in every window.
LONG = (150, 149, 97, 150, 64, 31, 1, 0, 8, 120, 33, 5)
SEED, EPOCH = 2**63 + 3, 2


@EACH_CELL
def test_masks_are_those_of_seed_epoch_and_sample(cell: Cell, dtype: np.dtype[Any]) -> None:
    """The loss is the oracle's, whose samples have numbers of the dataset."""
    spec = Spec(hidden_sizes=(9, 5), cell=cell)
    data, parameters = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    chosen = [4, 1, 5, 2]
    loss, _ = loss_and_gradient(
        spec.trainer(dtype), parameters, data, chosen, seed=SEED, epoch=EPOCH
    )
    x, n_active, samples = packed_of(data.sequences, chosen)
    layers, rest = [], parameters.astype(np.float64)
    for shapes in cell.layers(3, spec.hidden_sizes):
        layer = {}
        for name, shape in shapes.items():
            size = int(np.prod(shape))
            layer[name], rest = rest[:size].reshape(shape), rest[size:]
        layers.append(layer)
    masks = [
        draw_masks(cell, samples, n_active, level, size, seed=SEED, epoch=EPOCH)
        for level, size in enumerate(spec.hidden_sizes)
    ]
    h0 = [np.zeros((len(samples), cell.width(size))) for size in spec.hidden_sizes]
    c0 = [np.zeros((len(samples), size)) for size in spec.hidden_sizes]
    _, h_n, *_ = stack_forward(cell, layers, x.astype(np.float64), n_active, h0, c0, masks)
    weight, bias = rest[:-4].reshape(4, -1), rest[-4:]
    z = h_n[-1] @ weight.T + bias
    losses, _ = reference.loss_forward(spec.loss, z, data.targets[samples])
    expected = np.average(losses, weights=data.weights[samples])
    np.testing.assert_allclose(loss, expected, rtol=TOLERANCE[dtype])


@EACH_CELL
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_gradient_is_finite_differences(cell: Cell, pooling: str) -> None:
    spec = Spec(hidden_sizes=(5, 4), pooling=pooling, dropout=0.3, cell=cell)
    data = draw_data(spec, LENGTHS, np.float64)
    trainer, chosen = spec.trainer(np.float64), range(len(LENGTHS))
    parameters = draw_parameters(spec, np.float64)

    def result() -> tuple[float, Any]:
        return loss_and_gradient(trainer, parameters, data, chosen, seed=SEED, epoch=EPOCH)

    gradient = result()[1]
    expected = numerical_gradient(lambda: result()[0], parameters)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-8)


def long_gradient(
    spec: Spec, isa: str, n_threads: int = 1, **options: Any
) -> tuple[float, np.ndarray[Any, Any]]:
    """Loss and gradient of many long sequences as one batch."""
    data, parameters = draw_data(spec, LONG * 2, np.float32), draw_parameters(spec, np.float32)
    trainer, chosen = spec.trainer(np.float32, isa, **options), range(len(data.sequences))
    return loss_and_gradient(
        trainer, parameters, data, chosen, seed=SEED, epoch=EPOCH, n_threads=n_threads
    )


@cache
def on_scalar(spec: Spec, tbptt_steps: int) -> tuple[float, np.ndarray[Any, Any]]:
    """The same of one thread without vectors."""
    return long_gradient(spec, "scalar", tbptt_steps=tbptt_steps)


@EACH_CELL
@pytest.mark.parametrize("pooling", ["last", "max"])
def test_windows_over_time_change_no_mask(cell: Cell, pooling: str, isa: str) -> None:
    """Steps of masks count from the beginning of a sequence, whatever window they are in."""
    spec = Spec(hidden_sizes=(20, 33), pooling=pooling, dropout=0.3, cell=cell)
    loss, gradient = on_scalar(spec, 0)
    truncated = on_scalar(spec, 40)
    assert truncated[0] == loss
    for n_threads in (1, 3):
        for options in ({}, {"recompute": True}, {"tbptt_steps": 150}):
            other = long_gradient(spec, isa, n_threads, **options)
            assert other[0] == loss
            np.testing.assert_array_equal(other[1], gradient)
        other = long_gradient(spec, isa, n_threads, tbptt_steps=40)
        assert other[0] == loss
        np.testing.assert_array_equal(other[1], truncated[1])


@pytest.mark.parametrize("cell", ALL_KINDS, ids=str)
def test_training_gives_the_same_bits(cell: Cell, isa: str, dtype: np.dtype[Any]) -> None:
    spec = Spec(hidden_sizes=(20, 9), pooling="mean", dropout=0.2, cell=cell)
    data = draw_data(spec, (*LENGTHS, *(7,) * 60), dtype)
    epochs = [[range(40), range(40, 66)]] * 2
    start = draw_parameters(spec, dtype)
    assert_same_training(spec, isa, start, data, epochs)


@pytest.mark.parametrize("cell", ALL_KINDS, ids=str)
def test_predictions_have_no_masks(cell: Cell, isa: str) -> None:
    """Those of a network without dropout, whose zoneout goes by its expectation."""
    options = tuple((k, v) for k, v in cell.options if not k.endswith("dropout"))
    outputs = []
    for each in (cell, Cell(cell.kind, options)):
        spec = Spec(cell=each)
        data, parameters = draw_data(spec, [3, 1, 2], np.float32), draw_parameters(spec, np.float32)
        network = spec.network(np.float32, isa)
        network.set_parameters(parameters)
        x, n_active, _ = packed_of(data.sequences, range(3))
        outputs.append(network.predict(x, n_active, 3, apply_link=True, n_threads=1))
    np.testing.assert_array_equal(*outputs)
