"""Attention pooling and embeddings in the core: what the other tests of networks leave open."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference_heads
from cases import TOLERANCE
from core.test_oracle import numerical_gradient
from networks import (
    Data,
    Spec,
    assert_same_training,
    draw_data,
    draw_parameters,
    loss_and_gradient,
    oracle_loss_and_gradient,
    packed_of,
)
from reference import Array, stack_forward
from reference_cells import Cell

from lstmcore import _core

LENGTHS = (4, 0, 6, 1, 6, 3, 0, 2, 6, 5, 1)
EVERYONE = range(len(LENGTHS))
# Columns in front, in the middle and at the end; a table of a single token; sizes on both sides of
# a block.
EMBEDDINGS = [((0, 7, 5),), ((1, 1, 1), (2, 30, 17)), ((0, 3, 2), (1, 4, 33), (2, 5, 1))]


def network_of(spec: Spec, parameters: Array, isa: str) -> Any:
    network = spec.network(parameters.dtype, isa)
    network.set_parameters(parameters)
    return network


@pytest.mark.parametrize("embeddings", EMBEDDINGS, ids=str)
def test_embeddings(
    embeddings: tuple[tuple[int, int, int], ...], isa: str, dtype: np.dtype[Any]
) -> None:
    spec = Spec(hidden_sizes=(9, 5), pooling="attention", embeddings=embeddings)
    data, parameters = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    x, n_active, _ = packed_of(data.sequences, EVERYONE)
    network = network_of(spec, parameters, isa)
    tables = spec.oracle.split(parameters)[-1]
    np.testing.assert_array_equal(network.embed(x), reference_heads.embed_forward(tables, x))
    expected = spec.oracle.outputs(parameters, x.astype(np.float64), n_active, len(LENGTHS))
    outputs = network.predict(x, n_active, len(LENGTHS), apply_link=False, n_threads=2)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=TOLERANCE[dtype] * scale)
    loss, gradient = loss_and_gradient(spec.trainer(dtype, isa), parameters, data, EVERYONE)
    expected_loss, wanted = oracle_loss_and_gradient(spec, parameters, data, EVERYONE)
    np.testing.assert_allclose(loss, expected_loss, rtol=TOLERANCE[dtype])
    assert np.abs(gradient - wanted).max() <= TOLERANCE[dtype] * np.abs(wanted).max()


@pytest.mark.parametrize("wide", [False, True], ids=["parts", "together"])
def test_training_gives_the_same_bits(wide: bool, isa: str, dtype: np.dtype[Any]) -> None:
    """Wide layers make one part that all threads work on together."""
    if wide and dtype == np.float64:
        pytest.skip("float32 is enough for what takes long")
    spec = Spec(
        hidden_sizes=(520,) if wide else (20, 9),
        pooling="attention",
        dropout=0.2,
        embeddings=((1, 40, 6),),
    )
    lengths = (5, 0, 3) if wide else (4, 0, 6, 1, 6, 3, *(7,) * 60)
    data = draw_data(spec, lengths, dtype)
    half = len(lengths) // 2
    epochs = [[range(half), range(half, len(lengths))]] * (1 if wide else 2)
    start = draw_parameters(spec, dtype) / (10 if wide else 1)
    assert_same_training(spec, isa, start, data, epochs)


@pytest.mark.parametrize("cell", [Cell(), Cell("gru")], ids=str)
def test_gradient_is_finite_differences(cell: Cell) -> None:
    spec = Spec(
        hidden_sizes=(5, 4), pooling="attention", dropout=0.3, cell=cell, embeddings=((1, 3, 2),)
    )
    data, parameters = draw_data(spec, LENGTHS, np.float64), draw_parameters(spec, np.float64)
    trainer = spec.trainer(np.float64)

    def run() -> tuple[float, Array]:
        return loss_and_gradient(trainer, parameters, data, EVERYONE, seed=3, epoch=2)

    expected = numerical_gradient(lambda: run()[0], parameters)
    np.testing.assert_allclose(run()[1], expected, rtol=0, atol=1e-8)


def test_gradient_through_both_directions_is_finite_differences() -> None:
    """Attention sees what two directions put out; embeddings get a gradient from both."""
    spec = Spec(n_outputs=2, embeddings=((1, 3, 2),))
    data = draw_data(spec, (4, 0, 3, 1), np.float64)
    network = _core.NetworkFloat64(
        3,
        [3, 3],
        2,
        pooling="attention",
        link="identity",
        dropout=0.3,
        embeddings=[*spec.embeddings],
        bidirectional=True,
        residual=True,
    )
    trainer = _core.TrainerFloat64(network, loss=spec.loss, solver="adam")
    parameters = 0.4 * np.random.default_rng(0).standard_normal(network.n_parameters)

    def run(n_threads: int = 1) -> tuple[float, Array]:
        return loss_and_gradient(
            trainer, parameters, data, range(4), seed=3, epoch=2, n_threads=n_threads
        )

    expected = numerical_gradient(lambda: run()[0], parameters)
    np.testing.assert_allclose(run()[1], expected, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(run(3)[1], run()[1])


def test_weights_of_the_steps(isa: str, dtype: np.dtype[Any]) -> None:
    spec = Spec(pooling="attention", hidden_sizes=(33, 17))
    data, parameters = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    network = network_of(spec, parameters, isa)
    x, n_active, order = packed_of(data.sequences, EVERYONE)
    first = network.attention(x, n_active, len(LENGTHS), n_threads=1)
    for n_threads in (2, 7):
        again = network.attention(x, n_active, len(LENGTHS), n_threads=n_threads)
        np.testing.assert_array_equal(again, first)
    pooled = expected_weights(spec, parameters, data, order)
    offsets = np.concatenate([[0], np.cumsum(n_active)[:-1]])
    for place, expected in enumerate(pooled):
        rows = offsets[: len(expected)] + place
        np.testing.assert_allclose(first[rows], expected, rtol=0, atol=10 * TOLERANCE[dtype])
        assert len(expected) == 0 or abs(first[rows].sum() - 1) < 1e-6


def expected_weights(spec: Spec, parameters: Array, data: Data, order: Array) -> list[Array]:
    """Of each sequence in packed order, by the oracle."""
    layers, attention, *_ = spec.oracle.split(parameters)
    assert attention is not None
    weights = []
    for n in order:
        sequence = data.sequences[n].astype(np.float64)
        states = [np.zeros((1, h)) for h in spec.hidden_sizes]
        alive = np.ones(len(sequence), np.intp)
        y, *_ = stack_forward(layers, sequence, alive, states, states)
        weights.append(reference_heads.attention_weights(attention, y) if len(y) else np.empty(0))
    return weights


@pytest.mark.parametrize("size", [1e7, 3e38, 1e300])
def test_extreme_scores(size: float, isa: str, dtype: np.dtype[Any]) -> None:
    """A query so large that one step has all the weight: exp of its scores would overflow."""
    if size > float(np.finfo(dtype).max):
        pytest.skip("no number of this dtype")
    spec = Spec(pooling="attention", hidden_sizes=(9,))
    data, parameters = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    start = spec.n_parameters - 4 * 10 - 9
    parameters[start : start + 9] = 0
    parameters[start] = size
    _, gradient = loss_and_gradient(spec.trainer(dtype, isa), parameters, data, EVERYONE)
    assert np.isfinite(gradient).all()
    network = network_of(spec, parameters, isa)
    x, n_active, _ = packed_of(data.sequences, EVERYONE)
    weights = network.attention(x, n_active, len(LENGTHS), n_threads=1)
    assert np.isfinite(weights).all()
    assert ((weights >= 0) & (weights <= 1)).all()
    assert set(np.round(weights, 5)) <= {0.0, 1.0}


def test_step_by_step(isa: str, dtype: np.dtype[Any]) -> None:
    """The highest score rises and falls on the way."""
    spec = Spec(pooling="attention", hidden_sizes=(17,))
    data, parameters = draw_data(spec, [40] * 5, dtype), draw_parameters(spec, dtype)
    parameters[-(4 * 18 + 17) : -4 * 18] *= 30
    network = network_of(spec, parameters, isa)
    x = np.stack(data.sequences)
    cls = type(network).__name__.replace("Network", "RecurrentStack")
    recurrent = getattr(_core, cls)(spec.input_size, [17], isa)
    recurrent.set_parameters(parameters[: recurrent.n_parameters].copy())
    pooled = np.zeros((5, 19), dtype)
    h = c = None
    alive = np.array([5], np.intp)
    for t in range(40):
        rows = np.ascontiguousarray(x[:, t])
        _, h, c, _ = recurrent.forward(rows, alive, 5, h, c, n_threads=1, keep=False)
        outputs, pooled = network.predict_step(h[-1], pooled, np.full(5, t + 1), apply_link=False)
        so_far = x[:, : t + 1].swapaxes(0, 1).reshape(-1, 3).copy()
        whole = network.predict(so_far, np.full(t + 1, 5), 5, apply_link=False, n_threads=1)
        np.testing.assert_array_equal(outputs, whole)


def test_bad_arguments() -> None:
    spec = Spec(embeddings=((1, 4, 2),))
    network = network_of(spec, draw_parameters(spec, np.float32), "")
    x = np.zeros((3, 3), np.float32)
    indices = ([0, 1, 2], [3], [0, 1], [0, 1, 2], [0, 3])
    batches = (x, *(np.array(each, np.intp) for each in indices))
    for bad in (-1, 4, 0.5, np.nan, np.inf):
        x[1, 1] = bad
        for name, call in (
            ("x", lambda: network.embed(x)),
            ("x", lambda: network.predict(x, np.array([3]), 3, apply_link=True, n_threads=1)),
            (
                "values",
                lambda: spec.trainer(np.float32).loss_and_gradient(
                    draw_parameters(spec, np.float32),
                    batches,
                    np.zeros((3, 4), np.float32),
                    None,
                    seed=0,
                    epoch=0,
                    n_threads=1,
                ),
            ),
        ):
            with pytest.raises(ValueError, match=f"row 1 of {name} holds no token of column 1"):
                call()
    with pytest.raises(ValueError, match="without attention"):
        network.attention(x, np.array([3]), 3, n_threads=1)
    for embeddings, match in (
        (((3, 2, 2),), "column of an embedding is 3"),
        (((-1, 2, 2),), "column of an embedding is -1"),
        (((1, 2, 2), (0, 2, 2)), "column of an embedding is 0"),
        (((1, 2, 2), (1, 2, 2)), "column of an embedding is 1"),
        (((0, 0, 2),), "0 tokens of size 2"),
        (((0, 2, 0),), "2 tokens of size 0"),
        (((0, 2**61, 2),), "expected from 1 to 2147483647"),
        (((0, 2**31 - 1, 2**31 - 1), (1, 2**31 - 1, 2**31 - 1)), "more parameters than memory"),
    ):
        with pytest.raises(ValueError, match=match):
            Spec(embeddings=embeddings).network(np.float32)
    with pytest.raises(ValueError, match="with_dx"):
        type(network)(3, [4], 1, pooling="last", link="identity", dropout=0.0, with_dx=True,
                      embeddings=[(0, 2, 2)])  # fmt: skip
