"""The whole network against the oracle: predictions, losses, and gradients of every parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from cases import TOLERANCE
from networks import (
    LINKS,
    LOSSES,
    POOLINGS,
    Data,
    Spec,
    batches_of,
    draw_data,
    draw_parameters,
    loss_and_gradient,
    oracle_loss_and_gradient,
    packed_of,
    with_link,
)
from reference import Array

LENGTHS = (4, 0, 6, 1, 6, 3, 0, 2, 6, 5, 1)
EVERYONE = range(len(LENGTHS))


def predict(
    spec: Spec, parameters: Array, sequences: list[Array], isa: str = "", **options: Any
) -> Array:
    """Predictions in the order of the sequences."""
    network = spec.network(parameters.dtype, isa)
    network.set_parameters(parameters)
    x, n_active, order = packed_of(sequences, range(len(sequences)))
    arguments = {"apply_link": True, "n_threads": 1} | options
    packed = network.predict(x, n_active, len(sequences), **arguments)
    outputs = np.full_like(packed, np.nan)
    outputs[order] = packed
    return outputs


def expected_prediction(spec: Spec, parameters: Array, data: Data, link: str) -> Array:
    x, n_active, order = packed_of(data.sequences, range(len(data.sequences)))
    z = spec.oracle.outputs(parameters, x.astype(np.float64), n_active, len(data.sequences))
    outputs = np.empty_like(z)
    outputs[order] = reference.link_forward(link, z)
    return outputs


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("link", LINKS)
def test_predictions(link: str, pooling: str, isa: str, dtype: np.dtype[Any]) -> None:
    spec = Spec(pooling=pooling, link=link, n_outputs=7)
    data, parameters = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    for apply_link in (True, False):
        applied = link if apply_link else "identity"
        expected = expected_prediction(spec, parameters, data, applied)
        for n_threads in (1, 2, 7):
            np.testing.assert_allclose(
                predict(
                    spec,
                    parameters,
                    data.sequences,
                    isa,
                    apply_link=apply_link,
                    n_threads=n_threads,
                ),
                expected,
                rtol=0,
                atol=TOLERANCE[dtype] * np.abs(expected).max(),
            )


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_prediction_has_the_same_bits_in_any_company(
    pooling: str, isa: str, dtype: np.dtype[Any]
) -> None:
    spec = Spec(pooling=pooling, link="softmax", hidden_sizes=(33, 17))
    lengths = [*LENGTHS, *range(1, 30)]
    data, parameters = draw_data(spec, lengths, dtype), draw_parameters(spec, dtype)
    together = predict(spec, parameters, data.sequences, "scalar")
    for n_threads in (1, 2, 4, 7):
        ours = predict(spec, parameters, data.sequences, isa, n_threads=n_threads)
        np.testing.assert_array_equal(ours, together)
    for n, sequence in enumerate(data.sequences):
        np.testing.assert_array_equal(predict(spec, parameters, [sequence], isa)[0], together[n])
    some = list(range(0, len(lengths), 3))
    ours = predict(spec, parameters, [data.sequences[n] for n in some], isa)
    np.testing.assert_array_equal(ours, together[some])


@pytest.mark.parametrize(
    ("embeddings", "lengths"),
    [((), LENGTHS), (((1, 6, 3),), LENGTHS), ((), (70_000, 65_000, 2))],
    ids=["short", "tokens", "in-windows"],
)
def test_rows_that_are_read_where_they_lie(
    embeddings: tuple[tuple[int, int, int], ...],
    lengths: tuple[int, ...],
    isa: str,
    dtype: np.dtype[Any],
) -> None:
    """They give the bits of packed rows, and the next call has nothing to do with them."""
    spec = Spec(hidden_sizes=(7,), embeddings=embeddings)
    data, parameters = draw_data(spec, lengths, dtype), draw_parameters(spec, dtype)
    network = spec.network(dtype, isa)
    network.set_parameters(parameters)
    x, n_active, order = packed_of(data.sequences, range(len(lengths)))
    begins = np.cumsum([0, *lengths])[order]
    rows = np.concatenate(data.sequences)
    everyone = {"n_active": n_active, "n_sequences": len(lengths), "apply_link": True}
    packed = network.predict(x, **everyone, n_threads=2)
    alone = everyone | {"n_active": np.ones(lengths[-1], np.intp), "n_sequences": 1}
    for n_threads in (1, 3):
        in_place = network.predict(rows, **everyone, n_threads=n_threads, begins=begins)
        np.testing.assert_array_equal(in_place, packed)
        network.predict(rows, **alone, n_threads=n_threads, begins=np.zeros(1, np.intp))
        np.testing.assert_array_equal(network.predict(x, **everyone, n_threads=n_threads), packed)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_batch_without_steps_and_one_without_sequences(
    pooling: str, isa: str, dtype: np.dtype[Any]
) -> None:
    """Without a step the head's bias decides."""
    spec = Spec(pooling=pooling)
    parameters = draw_parameters(spec, dtype)
    network = spec.network(dtype, isa)
    network.set_parameters(parameters)
    nothing = np.empty((0, 3), dtype), np.empty(0, np.intp)
    for n in (3, 0):
        outputs = network.predict(*nothing, n, apply_link=True, n_threads=2)
        np.testing.assert_array_equal(outputs, np.tile(parameters[-4:], (n, 1)))


@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "unweighted"])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_gradient(
    loss: str, pooling: str, weighted: bool, isa: str, dtype: np.dtype[Any]
) -> None:
    spec = with_link(Spec(pooling=pooling, loss=loss))
    data, parameters = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    if not weighted:
        data = data._replace(weights=np.ones(len(LENGTHS)))
    trainer = spec.trainer(dtype, isa, huber_delta=0.8)
    expected_loss, expected = oracle_loss_and_gradient(
        spec, parameters, data, EVERYONE, huber_delta=0.8
    )
    first = loss_and_gradient(trainer, parameters, data, EVERYONE)
    np.testing.assert_allclose(first[0], expected_loss, rtol=TOLERANCE[dtype])
    assert np.abs(first[1] - expected).max() <= TOLERANCE[dtype] * np.abs(expected).max()
    for n_threads in (2, 4, 7):
        again = loss_and_gradient(trainer, parameters, data, EVERYONE, n_threads=n_threads)
        assert again[0] == first[0]
        np.testing.assert_array_equal(again[1], first[1])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradient_has_the_same_bits_on_every_instruction_set_and_thread(
    pooling: str, loss: str, isa: str, dtype: np.dtype[Any]
) -> None:
    """Enough work for seven threads."""
    spec = Spec(5, (40, 33), 3, pooling=pooling, loss=loss)
    lengths = [*range(9)] * 8
    data, parameters = draw_data(spec, lengths, dtype), draw_parameters(spec, dtype)
    everyone = range(len(lengths))
    scalar = loss_and_gradient(spec.trainer(dtype, "scalar"), parameters, data, everyone)
    trainer = spec.trainer(dtype, isa)
    for n_threads in (1, 2, 4, 7):
        ours = loss_and_gradient(trainer, parameters, data, everyone, n_threads=n_threads)
        assert ours[0] == scalar[0]
        np.testing.assert_array_equal(ours[1], scalar[1])


@pytest.mark.parametrize("loss", LOSSES)
def test_no_weights_are_weights_of_one(loss: str) -> None:
    spec = Spec(loss=loss)
    data, parameters = draw_data(spec, LENGTHS, np.float32), draw_parameters(spec, np.float32)
    trainer = spec.trainer(np.float32)
    results = [
        trainer.loss_and_gradient(
            parameters,
            batches_of(data.sequences, [EVERYONE]),
            data.targets,
            weights,
            seed=0,
            epoch=0,
            n_threads=1,
        )
        for weights in (None, np.ones(len(LENGTHS)))
    ]
    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("loss", LOSSES)
def test_weight_zero_is_absence_and_weight_two_is_twice(loss: str) -> None:
    """To rounding: other rows stand in the sums."""
    spec = Spec(loss=loss, pooling="mean")
    data, parameters = draw_data(spec, LENGTHS, np.float64), draw_parameters(spec, np.float64)
    trainer = spec.trainer(np.float64)
    weights = np.ones(len(LENGTHS))
    weights[[2, 5]] = 0, 2
    weighted = loss_and_gradient(trainer, parameters, data._replace(weights=weights), EVERYONE)
    equal = data._replace(weights=np.ones(len(LENGTHS)))
    repeated = [n for n in EVERYONE if n != 2] + [5]
    expected = loss_and_gradient(trainer, parameters, equal, repeated)
    np.testing.assert_allclose(weighted[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(weighted[1], expected[1], rtol=0, atol=1e-14)


def test_extreme_outputs_keep_the_loss_finite(isa: str, dtype: np.dtype[Any]) -> None:
    """Cross-entropies of outputs far out, where exp alone would overflow or log see a zero."""
    for loss in LOSSES[:2]:
        spec = with_link(Spec(loss=loss))
        data, parameters = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
        parameters[-4:] = [5000, -5000, 300, 0]
        loss_value, gradient = loss_and_gradient(
            spec.trainer(dtype, isa), parameters, data, EVERYONE
        )
        expected, expected_gradient = oracle_loss_and_gradient(spec, parameters, data, EVERYONE)
        np.testing.assert_allclose(loss_value, expected, rtol=1e-6)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=1e-5)
        outputs = predict(spec, parameters, data.sequences, isa)
        assert ((outputs >= 0) & (outputs <= 1)).all()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_nan_comes_out(pooling: str, isa: str, dtype: np.dtype[Any]) -> None:
    """Of x in its own prediction, and in the loss; max pooling does not pass over it."""
    spec = Spec(pooling=pooling, link="softmax")
    data, parameters = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    clean = predict(spec, parameters, data.sequences, isa)
    data.sequences[4][2, 1] = np.nan
    outputs = predict(spec, parameters, data.sequences, isa)
    assert np.isnan(outputs[4]).all()
    others = np.arange(len(LENGTHS)) != 4
    np.testing.assert_array_equal(outputs[others], clean[others])
    loss, gradient = loss_and_gradient(spec.trainer(dtype, isa), parameters, data, EVERYONE)
    assert np.isnan(loss)
    assert np.isnan(gradient).any()


def test_new_parameters_count_at_once(isa: str) -> None:
    spec = Spec()
    data = draw_data(spec, LENGTHS, np.float32)
    network = spec.network(np.float32, isa)
    x, n_active, _ = packed_of(data.sequences, EVERYONE)
    for seed in (1, 2):
        parameters = draw_parameters(spec, np.float32, seed)
        network.set_parameters(parameters)
        fresh = spec.network(np.float32, isa)
        fresh.set_parameters(parameters)
        ours, theirs = (
            n.predict(x, n_active, len(LENGTHS), apply_link=True, n_threads=1)
            for n in (network, fresh)
        )
        np.testing.assert_array_equal(ours, theirs)


def test_layout_ends_with_the_head(dtype: np.dtype[Any]) -> None:
    spec = Spec(3, (5,), 2)
    network = spec.network(dtype)
    assert network.layout == [
        ("weight_ih_l0", (20, 3), 0),
        ("weight_hh_l0", (20, 5), 60),
        ("bias_l0", (20,), 160),
        ("head_weight", (2, 5), 180),
        ("head_bias", (2,), 190),
    ]
    assert network.n_parameters == spec.n_parameters == 192
