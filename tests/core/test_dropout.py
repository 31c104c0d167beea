"""Dropout: a mask that belongs to (seed, epoch, sample, layer, step, unit) and to nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import TOLERANCE
from networks import (
    POOLINGS,
    Data,
    Spec,
    draw_data,
    draw_parameters,
    loss_and_gradient,
    oracle_loss_and_gradient,
    packed_of,
)
from reference import Array

RATE = 0.3
ONE_STEP = Spec(3, (32, 40), 1, dropout=RATE)
N = 60


def masks_of(
    parameters: Array, data: Data, sample: int, *, seed: int = 1, epoch: int = 0
) -> tuple[Array, Array]:
    """What the outputs of the layers were multiplied by, for a sequence of one step.

    Read off the gradients: that of a weight matrix is the outer product of the gradient of the
    bias and of what came in, and without dropout in front what came in is h of the layer below.
    """
    trainers = [replace(ONE_STEP, dropout=rate).trainer(np.float64) for rate in (RATE, 0.0)]
    came_in = []
    for trainer in trainers:
        _, gradient = loss_and_gradient(trainer, parameters, data, [sample], seed=seed, epoch=epoch)
        of_layer, _, head_weight, head_bias, _ = ONE_STEP.oracle.split(gradient)
        row = np.abs(of_layer[1].b).argmax()
        came_in.append((of_layer[1].W_ih[row] / of_layer[1].b[row], head_weight[0] / head_bias))
    between = came_in[0][0] / came_in[1][0]
    h = head_input(parameters, data, sample, between)
    return between, came_in[0][1] / h


def head_input(parameters: Array, data: Data, sample: int, between: Array) -> Array:
    """h of the upper layer by the oracle, with the mask between the layers."""
    ones = [between[None], np.ones((1, 40))]
    _, gradient = oracle_loss_and_gradient(ONE_STEP, parameters, data, [sample], masks=ones)
    _, _, head_weight, head_bias, _ = ONE_STEP.oracle.split(gradient)
    h: Array = head_weight[0] / head_bias
    return h


@pytest.fixture(scope="module")
def drawn() -> tuple[Array, Data]:
    data = draw_data(ONE_STEP, [1] * N, np.float64)
    return draw_parameters(ONE_STEP, np.float64), data


def test_inverted_scaling_and_rate(drawn: tuple[Array, Data]) -> None:
    masks = [masks_of(*drawn, sample) for sample in range(N)]
    for layer in range(2):
        values = np.concatenate([m[layer] for m in masks])
        kept = values != 0
        np.testing.assert_allclose(values[kept], 1 / (1 - RATE), rtol=1e-9)
        sigma = np.sqrt(RATE * (1 - RATE) / values.size)
        assert abs(kept.mean() - (1 - RATE)) < 4 * sigma


def test_masks_are_independent_of_each_other(drawn: tuple[Array, Data]) -> None:
    """Two draws agree in a unit as often as independent ones do: of another sample, seed, epoch."""
    base = np.concatenate([masks_of(*drawn, n)[1] for n in range(N - 1)])
    others = {
        "sample": np.concatenate([masks_of(*drawn, n + 1)[1] for n in range(N - 1)]),
        "seed": np.concatenate([masks_of(*drawn, n, seed=2)[1] for n in range(N - 1)]),
        "epoch": np.concatenate([masks_of(*drawn, n, epoch=1)[1] for n in range(N - 1)]),
        "neighbouring unit": np.roll(base, 1),
    }
    p = RATE**2 + (1 - RATE) ** 2
    sigma = np.sqrt(p * (1 - p) / base.size)
    for what, other in others.items():
        agree = ((base != 0) == (other != 0)).mean()
        assert abs(agree - p) < 4 * sigma, what
    lower = np.concatenate([masks_of(*drawn, n)[0] for n in range(N - 1)]).reshape(-1, 32)
    agree = ((lower != 0) == (base.reshape(-1, 40)[:, :32] != 0)).mean()
    assert abs(agree - p) < 4 * np.sqrt(p * (1 - p) / lower.size)


def test_same_seed_and_epoch_same_mask(drawn: tuple[Array, Data]) -> None:
    for ours, theirs in zip(masks_of(*drawn, 3), masks_of(*drawn, 3), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_bit_of_the_seed_counts(drawn: tuple[Array, Data]) -> None:
    seeds = [0, 1, 2**31, 2**32, 2**63, 2**64 - 1]
    masks = {masks_of(*drawn, 0, seed=seed)[1].tobytes() for seed in seeds}
    assert len(masks) == len(seeds)


def test_loss_and_gradient_with_the_masks_read_off(drawn: tuple[Array, Data]) -> None:
    """All samples in one batch, with the masks that they have alone."""
    parameters, data = drawn
    alone = [masks_of(parameters, data, n) for n in range(N)]
    loss, gradient = loss_and_gradient(
        ONE_STEP.trainer(np.float64), parameters, data, range(N), seed=1
    )
    masks = [np.array([m[layer] for m in alone]) for layer in range(2)]
    expected_loss, expected = oracle_loss_and_gradient(
        ONE_STEP, parameters, data, range(N), masks=masks
    )
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-9)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradient_is_finite_differences_with_the_mask_frozen(
    pooling: str, rng: np.random.Generator
) -> None:
    """Several steps and layers; along random directions, of fourth order."""
    spec = Spec(3, (6, 7, 5), 2, pooling=pooling, dropout=0.4)
    data = draw_data(spec, [5, 3, 0, 4], np.float64)
    parameters, trainer = draw_parameters(spec, np.float64), spec.trainer(np.float64)

    def loss(at: Array) -> float:
        return loss_and_gradient(trainer, at, data, range(4), seed=7, epoch=2)[0]

    _, gradient = loss_and_gradient(trainer, parameters, data, range(4), seed=7, epoch=2)
    for _ in range(6):
        direction, step = rng.standard_normal(len(parameters)), 1e-4
        away = [loss(parameters + k * step * direction) for k in (-2, -1, 1, 2)]
        slope = (away[0] - 8 * away[1] + 8 * away[2] - away[3]) / (12 * step)
        np.testing.assert_allclose(gradient @ direction, slope, rtol=1e-7)


def test_masks_differ_between_steps(rng: np.random.Generator) -> None:
    """Steps of one sequence with the same input to a layer without memory of its own."""
    spec = Spec(1, (64, 1), 1, pooling="mean", dropout=0.5)
    parameters = np.zeros(spec.n_parameters)
    layers, start = {}, 0
    for name, shape, offset in spec.network(np.float64).layout:
        layers[name] = parameters[offset : offset + int(np.prod(shape))].reshape(shape)
        start = offset
    assert start == spec.n_parameters - 1
    layers["bias_l0"][:64] = layers["bias_l0"][128:] = 3.0
    layers["bias_l0"][64:128] = -50.0  # forget all: every step gives the same h
    layers["bias_l1"][:] = [30, -50, 0, 30]
    layers["weight_ih_l1"][2] = rng.standard_normal(64)
    layers["head_weight"][:] = 1.0
    data = Data([np.zeros((40, 1))], np.zeros((1, 1)), np.ones(1))
    trainer = spec.trainer(np.float64)
    _, gradient = loss_and_gradient(trainer, parameters, data, [0], seed=1)
    of_layer, *_ = spec.oracle.split(gradient)
    # the sum over steps of a fixed mask would be either zero or the same as for other units
    assert len(np.unique(np.round(of_layer[1].W_ih[2], 12))) > 40


@pytest.mark.parametrize("pooling", POOLINGS)
def test_same_bits_for_any_threads_and_instruction_set(
    pooling: str, isa: str, dtype: np.dtype[Any]
) -> None:
    spec = Spec(5, (40, 33), 3, pooling=pooling, dropout=0.25)
    lengths = [*range(9)] * 8
    data, parameters = draw_data(spec, lengths, dtype), draw_parameters(spec, dtype)
    scalar = loss_and_gradient(spec.trainer(dtype, "scalar"), parameters, data, range(72), seed=3)
    for n_threads in (1, 2, 4, 7):
        ours = loss_and_gradient(
            spec.trainer(dtype, isa), parameters, data, range(72), seed=3, n_threads=n_threads
        )
        assert ours[0] == scalar[0]
        np.testing.assert_array_equal(ours[1], scalar[1])


def test_a_sample_has_its_mask_in_any_batch(dtype: np.dtype[Any]) -> None:
    """The loss of a batch is the mean of the losses that its samples have alone."""
    spec = Spec(3, (17, 9), 2, pooling="max", dropout=0.5)
    lengths = [4, 0, 6, 1, 6, 3, 0, 2]
    data, parameters = draw_data(spec, lengths, dtype), draw_parameters(spec, dtype)
    trainer = spec.trainer(dtype)

    def mean_loss(chosen: list[int]) -> float:
        return loss_and_gradient(trainer, parameters, data, chosen, seed=5, epoch=1)[0]

    alone = np.array([mean_loss([n]) for n in range(8)])
    for chosen in (list(range(8)), [7, 3, 1], [2, 4], [6, 0, 5, 4, 2]):
        expected = np.average(alone[chosen], weights=data.weights[chosen])
        np.testing.assert_allclose(mean_loss(chosen), expected, rtol=TOLERANCE[dtype])


def test_predictions_know_no_dropout(isa: str, dtype: np.dtype[Any]) -> None:
    outputs = []
    for rate in (0.0, 0.5):
        spec = Spec(dropout=rate)
        data, parameters = draw_data(spec, [3, 1, 2], dtype), draw_parameters(spec, dtype)
        network = spec.network(dtype, isa)
        network.set_parameters(parameters)
        x, n_active, _ = packed_of(data.sequences, range(3))
        outputs.append(network.predict(x, n_active, 3, apply_link=True, n_threads=1))
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, np.nan])
def test_rates_that_are_none(rate: float) -> None:
    with pytest.raises(ValueError, match="dropout"):
        Spec(dropout=rate).network(np.float32)
