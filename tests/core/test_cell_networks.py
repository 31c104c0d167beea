"""Networks of every cell: the gradient that is trained with, and the bits of a training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cell_cases import CELLS, NORMALISED
from core.test_oracle import numerical_gradient
from networks import Spec, assert_same_training, draw_data, draw_parameters, loss_and_gradient
from reference_cells import Cell

LENGTHS = (4, 0, 6, 1, 6, 3)
EACH_CELL = pytest.mark.parametrize("cell", [*CELLS, NORMALISED], ids=str)


@EACH_CELL
@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_gradient_is_finite_differences(cell: Cell, pooling: str) -> None:
    """With dropout: its masks are a function of seed and epoch alone."""
    spec = Spec(hidden_sizes=(5, 4), pooling=pooling, dropout=0.3, cell=cell)
    data = draw_data(spec, LENGTHS, np.float64)
    trainer, chosen = spec.trainer(np.float64), range(len(LENGTHS))
    parameters = draw_parameters(spec, np.float64)
    _, gradient = loss_and_gradient(trainer, parameters, data, chosen, seed=3, epoch=2)

    def loss() -> float:
        return loss_and_gradient(trainer, parameters, data, chosen, seed=3, epoch=2)[0]

    expected = numerical_gradient(loss, parameters)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-8)


@EACH_CELL
def test_training_gives_the_same_bits(cell: Cell, isa: str, dtype: np.dtype[Any]) -> None:
    spec = Spec(hidden_sizes=(20, 9), pooling="mean", dropout=0.2, cell=cell)
    lengths = (*LENGTHS, *(7,) * 60)
    data = draw_data(spec, lengths, dtype)
    epochs = [[range(40), range(40, len(lengths))]] * 2
    start = draw_parameters(spec, dtype)
    curve = assert_same_training(spec, isa, start, data, epochs)
    assert curve[1] < curve[0]


def test_cells_differ() -> None:
    """Nobody trains an LSTM where another cell was asked for."""
    for cell in [*CELLS, NORMALISED]:
        spec = replace(Spec(), cell=cell)
        assert spec.trainer(np.float32).n_parameters == spec.n_parameters
