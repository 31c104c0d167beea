"""Training: the solvers, loss curves equal to the oracle's and torch's, and equal bits."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import reference
from networks import (
    LOSSES,
    POOLINGS,
    SOLVERS,
    Data,
    Spec,
    batches_of,
    draw_data,
    draw_parameters,
    loss_and_gradient,
    oracle_loss_and_gradient,
    train,
    with_link,
)
from reference import Array

N_SAMPLES = 24
LENGTHS = [3, 7, 0, 5, 5, 1, 9, 2] * 3
OPTIONS = {"beta1": 0.8, "beta2": 0.999, "epsilon": 1e-5, "momentum": 0.7}


def epochs_of(n_epochs: int, batch_size: int, seed: int = 0) -> list[list[list[int]]]:
    """Shuffled batches, the last of an epoch smaller."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(N_SAMPLES).tolist() for _ in range(n_epochs)]
    starts = range(0, N_SAMPLES, batch_size)
    return [[order[k : k + batch_size] for k in starts] for order in orders]


@pytest.mark.parametrize("max_grad_norm", [np.inf, 0.05], ids=["unclipped", "clipped"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("solver", SOLVERS)
def test_solver_steps(
    solver: str, weight_decay: float, max_grad_norm: float, isa: str, dtype: np.dtype[Any]
) -> None:
    """Each step from the core's own gradient, so that only the solver is compared."""
    spec = Spec(3, (5,), 2)
    data, p = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    options = OPTIONS | {"weight_decay": weight_decay, "max_grad_norm": max_grad_norm}
    trainer = spec.trainer(dtype, isa, solver, **options)
    state = np.zeros((trainer.n_state, len(p)), dtype)
    rtol = {4: 1e-6, 8: 1e-14}[dtype.itemsize]
    for step, batch in enumerate(epochs_of(1, 4)[0], start=1):
        _, gradient = loss_and_gradient(trainer, p, data, batch)
        assert (np.linalg.norm(gradient) > max_grad_norm) == np.isfinite(max_grad_norm)
        expected_p, expected_state = reference.solver_step(
            solver,
            p.astype(np.float64),
            gradient.astype(np.float64),
            state.astype(np.float64),
            step,
            learning_rate=0.01,
            **options,
        )
        trainer.run(
            p,
            state,
            step - 1,
            batches_of(data.sequences, [batch]),
            data.targets,
            data.weights,
            seed=0,
            epoch=0,
            learning_rate=0.01,
            n_threads=1,
        )
        np.testing.assert_allclose(p, expected_p, rtol=rtol, atol=rtol * 0.01)
        for ours, theirs in zip(state, expected_state, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())


def oracle_training(
    spec: Spec, p: Array, data: Data, epochs: list[list[list[int]]], **options: Any
) -> tuple[Array, list[float]]:
    """Parameters and the mean loss of each epoch, all in the oracle."""
    p = p.astype(np.float64)
    state = np.zeros((2, len(p)))
    curve, step = [], 0
    for chosen in epochs:
        losses, weights = [], []
        for batch in chosen:
            loss, gradient = oracle_loss_and_gradient(spec, p, data, batch)
            step += 1
            p, state = reference.solver_step("adam", p, gradient, state, step, **options)
            losses.append(loss)
            weights.append(data.weights[batch].sum())
        curve.append(float(np.average(losses, weights=weights)))
    return p, curve


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("loss", LOSSES)
def test_curve_is_the_oracles(loss: str, pooling: str, isa: str, dtype: np.dtype[Any]) -> None:
    """Several epochs of shuffled, weighted, ragged batches, two layers, clipping, weight decay."""
    spec = with_link(Spec(3, (6, 5), 3, pooling=pooling, loss=loss))
    data, start = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    options = {"weight_decay": 0.01, "max_grad_norm": 0.5}
    trainer = spec.trainer(dtype, isa, **options)
    epochs = epochs_of(4, 7)
    p, _, curve = train(trainer, start, data, epochs, learning_rate=0.02)
    expected_p, expected = oracle_training(spec, start, data, epochs, learning_rate=0.02, **options)
    # Adam divides by roots of small moments, which widens what rounding does to a gradient.
    rtol = {4: 1e-4, 8: 1e-10}[dtype.itemsize]
    np.testing.assert_allclose(curve, expected, rtol=rtol)
    np.testing.assert_allclose(p, expected_p, rtol=0, atol=10 * rtol)
    assert curve[-1] < curve[0]


def test_curve_is_torchs() -> None:
    """The same start, batches and Adam, float32 on both sides, equal lengths as torch has them."""
    torch = pytest.importorskip("torch", reason="torch, the second oracle, is not installed")
    spec = Spec(4, (12,), 3, loss="softmax_cross_entropy", link="softmax")
    data = draw_data(spec, [8] * N_SAMPLES, np.float32)
    data = data._replace(weights=np.ones(N_SAMPLES))
    start, epochs = draw_parameters(spec, np.float32), epochs_of(6, 8)
    *_, curve = train(spec.trainer(np.float32), start, data, epochs, learning_rate=0.02)

    [weights], _, head_weight, head_bias, _ = spec.oracle.split(start)
    lstm, head = torch.nn.LSTM(4, 12, batch_first=True), torch.nn.Linear(12, 3)
    values = (*weights, head_weight, head_bias, np.zeros(48))
    names = (lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, head.weight, head.bias)
    for parameter, value in zip((*names, lstm.bias_hh_l0), values, strict=True):
        parameter.data = torch.from_numpy(value.astype(np.float32))
    optimiser = torch.optim.Adam(names, 0.02)  # the second bias stays zero
    x, labels = torch.from_numpy(np.stack(data.sequences)), torch.from_numpy(data.targets)
    theirs = []
    for chosen in epochs:
        losses = []
        for batch in chosen:
            optimiser.zero_grad()
            _, (h_n, _) = lstm(x[batch])
            loss = torch.nn.functional.cross_entropy(head(h_n[0]), labels[batch])
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        theirs.append(np.mean(losses))
    np.testing.assert_allclose(curve, theirs, rtol=2e-5)


WIDE = Spec(5, (40, 33), 3, loss="softmax_cross_entropy", dropout=0.2, pooling="mean")


@cache
def trained_on_scalar(solver: str, dtype: np.dtype[Any]) -> tuple[Array, Array, list[float]]:
    return train_wide(solver, dtype, "scalar", 1)


def train_wide(
    solver: str, dtype: np.dtype[Any], isa: str, n_threads: int
) -> tuple[Array, Array, list[float]]:
    """Three epochs of batches large enough for several threads, dropout and clipping included."""
    data, start = draw_data(WIDE, LENGTHS, dtype), draw_parameters(WIDE, dtype)
    trainer = WIDE.trainer(dtype, isa, solver, max_grad_norm=0.3, weight_decay=0.01)
    return train(trainer, start, data, epochs_of(3, 16), n_threads=n_threads, seed=11)


@pytest.mark.parametrize("solver", SOLVERS)
def test_same_bits_on_every_instruction_set_and_number_of_threads(
    solver: str, isa: str, n_threads: int, dtype: np.dtype[Any]
) -> None:
    p, state, curve = train_wide(solver, dtype, isa, n_threads)
    expected_p, expected_state, expected_curve = trained_on_scalar(solver, dtype)
    assert curve == expected_curve
    assert p.tobytes() == expected_p.tobytes()
    assert state.tobytes() == expected_state.tobytes()


def test_a_run_in_two_parts(dtype: np.dtype[Any]) -> None:
    """Batches in one call or in several; ``n_steps_done`` carries the bias correction on."""
    data, start = draw_data(WIDE, LENGTHS, dtype), draw_parameters(WIDE, dtype)
    chosen = epochs_of(1, 5)[0]
    results = []
    for parts in ([chosen], [chosen[:2], chosen[2:]], [[batch] for batch in chosen]):
        trainer = WIDE.trainer(dtype)
        p, state = start.copy(), np.zeros((2, len(start)), dtype)
        weight, n_steps = 0.0, 0
        for part in parts:
            weight += trainer.run(
                p,
                state,
                n_steps,
                batches_of(data.sequences, part),
                data.targets,
                data.weights,
                seed=3,
                epoch=1,
                learning_rate=0.01,
                n_threads=2,
            )["weight"]
            n_steps += len(part)
        np.testing.assert_allclose(weight, data.weights.sum(), rtol=1e-12)
        results.append((p, state))
    for p, state in results[1:]:
        np.testing.assert_array_equal(p, results[0][0])
        np.testing.assert_array_equal(state, results[0][1])


def test_learning_rate_zero_changes_no_parameter(isa: str, dtype: np.dtype[Any]) -> None:
    spec = Spec()
    data, start = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    for solver in SOLVERS:
        trainer = spec.trainer(dtype, isa, solver)
        p, state, _ = train(trainer, start, data, epochs_of(1, 8), learning_rate=0.0)
        np.testing.assert_array_equal(p, start)
        assert state.any()


def test_nan_reaches_loss_and_parameters(isa: str, dtype: np.dtype[Any]) -> None:
    """Clipping by a norm that is NaN must not hide it."""
    spec = Spec()
    data, start = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    data.sequences[3][1, 0] = np.nan
    for max_grad_norm in (np.inf, 1.0):
        trainer = spec.trainer(dtype, isa, max_grad_norm=max_grad_norm)
        p, _, curve = train(trainer, start, data, epochs_of(1, 8))
        assert np.isnan(p).any()
        assert np.isnan(curve[0])


def test_an_epoch_of_no_batch(dtype: np.dtype[Any]) -> None:
    spec = Spec()
    data, start = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    nothing = (np.zeros((0, 3), dtype), *(np.zeros(size, np.intp) for size in (0, 0, 1, 0, 1)))
    p, state = start.copy(), np.zeros((2, len(start)), dtype)
    sums = spec.trainer(dtype).run(
        p,
        state,
        0,
        nothing,
        data.targets,
        data.weights,
        seed=0,
        epoch=0,
        learning_rate=0.1,
        n_threads=2,
    )
    assert sums.pop("parameter_norm") > 0
    assert not any(sums.values())
    np.testing.assert_array_equal(p, start)


def test_samples_without_steps_train_the_head_alone(dtype: np.dtype[Any]) -> None:
    spec = Spec()
    data, start = draw_data(spec, [0, 0, 0], dtype), draw_parameters(spec, dtype)
    p, _, _ = train(spec.trainer(dtype), start, data, [[[0, 1, 2]]])
    np.testing.assert_array_equal(p[:-4], start[:-4])
    assert (p[-4:] != start[-4:]).all()
