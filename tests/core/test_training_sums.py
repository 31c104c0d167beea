"""What a run reports beside its loss, learning rates of single steps, and losses without a step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import Spec, batches_of, draw_data, draw_parameters, loss_and_gradient

SPEC = Spec(3, (19, 17), 4, dropout=0.4, loss="softmax_cross_entropy")
LENGTHS = [3, 7, 0, 5, 5, 1, 9, 2] * 3
BATCHES = [list(range(k, min(k + 5, 24))) for k in range(0, 24, 5)]


def run(dtype: Any, learning_rate: Any, n_threads: int = 1, **options: Any) -> Any:
    data, p = draw_data(SPEC, LENGTHS, dtype), draw_parameters(SPEC, dtype)
    trainer = SPEC.trainer(dtype, **options)
    state = np.zeros((trainer.n_state, len(p)), dtype)
    batches = batches_of(data.sequences, BATCHES)
    keywords = {"seed": 1, "epoch": 2, "learning_rate": learning_rate, "n_threads": n_threads}
    return trainer.run(p, state, 0, batches, data.targets, data.weights, **keywords), p


def test_norms_are_those_of_the_gradients(dtype: np.dtype[Any]) -> None:
    # With a learning rate of 0 every gradient is taken at the same parameters.
    data, p = draw_data(SPEC, LENGTHS, dtype), draw_parameters(SPEC, dtype)
    trainer = SPEC.trainer(dtype)
    norms = [
        np.linalg.norm(loss_and_gradient(trainer, p, data, batch, seed=1, epoch=2)[1].astype(float))
        for batch in BATCHES
    ]
    bound = float(np.median(norms))
    sums, _ = run(dtype, 0.0, max_grad_norm=bound - 1e-5)
    np.testing.assert_allclose(sums["gradient_norm_sum"], np.sum(norms), rtol=1e-12)
    np.testing.assert_allclose(sums["gradient_norm_max"], np.max(norms), rtol=1e-12)
    np.testing.assert_allclose(sums["parameter_norm"], np.linalg.norm(p.astype(float)), rtol=1e-12)
    assert sums["n_clipped"] == 3
    assert run(dtype, 0.0)[0]["n_clipped"] == 0


def test_reports_do_not_depend_on_threads(dtype: np.dtype[Any]) -> None:
    alone, _ = run(dtype, 0.01)
    for n_threads in (2, 3, 7):
        assert run(dtype, 0.01, n_threads)[0] == alone


def test_one_learning_rate_for_each_step(dtype: np.dtype[Any]) -> None:
    sums, p = run(dtype, np.full(5, 0.01))
    expected_sums, expected = run(dtype, 0.01)
    assert sums == expected_sums
    np.testing.assert_array_equal(p, expected)
    _, only_last = run(dtype, np.array([0.0, 0.0, 0.0, 0.0, 0.01]), solver="sgd")
    _, all_steps = run(dtype, 0.01, solver="sgd")
    start = draw_parameters(SPEC, dtype)
    assert 0 < np.abs(only_last - start).max() < np.abs(all_steps - start).max()


@pytest.mark.parametrize("wrong", [np.ones(4), np.ones(5, np.float32), np.ones((5, 1))])
def test_learning_rates_that_do_not_fit(wrong: Any) -> None:
    with pytest.raises(ValueError, match="learning_rate"):
        run(np.float32, wrong)


def test_learning_rate_of_another_type() -> None:
    with pytest.raises(TypeError):
        run(np.float32, [0.1])


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "squared_error", "huber"])
def test_evaluate_is_the_loss_without_dropout(loss: str, dtype: np.dtype[Any]) -> None:
    spec = Spec(3, (19, 17), 4, dropout=0.4, loss=loss)
    plain = Spec(3, (19, 17), 4, loss=loss)
    data, p = draw_data(spec, LENGTHS, dtype), draw_parameters(spec, dtype)
    before = p.copy()
    weights = data.weights
    losses = [loss_and_gradient(plain.trainer(dtype), p, data, batch)[0] for batch in BATCHES]
    expected = np.dot(losses, [weights[batch].sum() for batch in BATCHES])
    trainer = spec.trainer(dtype)
    results = [
        trainer.evaluate(
            p, batches_of(data.sequences, BATCHES), data.targets, weights, n_threads=n_threads
        )
        for n_threads in (1, 2, 5)
    ]
    np.testing.assert_allclose(results[0], (expected, weights.sum()), rtol=1e-12)
    assert results[0] == results[1] == results[2]
    np.testing.assert_array_equal(p, before)
    # A step after it is the same as without it.
    first = loss_and_gradient(trainer, p, data, BATCHES[0])
    second = loss_and_gradient(spec.trainer(dtype), p, data, BATCHES[0])
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])
