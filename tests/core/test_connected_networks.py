"""Networks with dropout, of every pooling and connection: losses and gradients.

What is lost is the oracle's, which draws the same masks; the gradient is that of what is lost.
"""

from __future__ import annotations

from itertools import cycle, product

import numpy as np
import pytest
import reference
import reference_heads
import reference_stacks
from cell_cases import MASKED, VARIANTS
from core.test_oracle import numerical_gradient
from networks import (
    POOLINGS,
    Data,
    Spec,
    assert_same_training,
    draw_data,
    draw_parameters,
    loss_and_gradient,
    packed_of,
)
from reference import Array
from reference_dropout import mask
from reference_masks import draw_masks
from reference_stacks import Connections
from stack_cases import ALL_CELLS

LENGTHS = (4, 0, 5, 1, 5, 3)
RATE, SEED, EPOCH = 0.3, 2**63 + 5, 7
# Two columns of tokens with one of numbers between them.
TOKENS = ((0, 3, 2), (2, 4, 1))
WAYS = list(product([False, True], repeat=2))
NETWORKS = [
    Spec(
        hidden_sizes=(4, 4, 4),
        n_outputs=2,
        pooling=pooling,
        dropout=RATE,
        cell=cell,
        embeddings=embeddings,
        bidirectional=bidirectional,
        residual=residual,
    )
    for (pooling, (bidirectional, residual), embeddings), cell in zip(
        product(POOLINGS, WAYS, ((), TOKENS)), cycle([*ALL_CELLS, *VARIANTS, *MASKED]), strict=False
    )
]


def network_id(spec: Spec) -> str:
    """What distinguishes a network."""
    flags = [name for name in ("bidirectional", "residual") if getattr(spec, name)]
    return "-".join([spec.pooling, *flags, *["tokens"] * bool(spec.embeddings), str(spec.cell)])


EACH_NETWORK = pytest.mark.parametrize("spec", NETWORKS, ids=network_id)


def arrays_of(spec: Spec, parameters: Array) -> dict[str, Array]:
    """The arrays in the flat parameters by their names."""
    return {
        name: parameters[offset : offset + int(np.prod(shape))].reshape(shape).astype(np.float64)
        for name, shape, offset in spec.network(np.float64).layout
    }


def oracle_loss(spec: Spec, parameters: Array, data: Data, chosen: list[int]) -> float:
    """The mean loss of training, level by level."""
    x, n_active, samples = packed_of(data.sequences, chosen)
    named = arrays_of(spec, parameters)
    n, connections = len(samples), Connections(bidirectional=spec.bidirectional)
    row_steps = np.repeat(np.arange(len(n_active)), n_active)
    row_samples = np.concatenate([samples[:0], *(samples[:alive] for alive in n_active)])
    seeds = {"seed": SEED, "epoch": EPOCH}
    tables = [
        reference_heads.Table(column, named[f"embedding_weight_{column}"])
        for column, *_ in spec.embeddings
    ]
    rows = reference_heads.embed_forward(tables, x.astype(np.float64))
    ends = ["", "_reverse"][: connections.n_directions]
    for level, size in enumerate(spec.hidden_sizes):
        layers = [
            {kind: named[f"{kind}_l{level}{end}"] for kind in spec.cell.arrays(1, size)}
            for end in ends
        ]
        below = rows
        if level:
            rows = below * mask(RATE, row_samples, level, row_steps, below.shape[1], **seeds)
        h0 = [np.zeros((n, spec.cell.width(size)))] * len(ends)
        c0 = [np.zeros((n, size))] * len(ends)
        masks = [
            draw_masks(spec.cell, samples, n_active, level * len(ends) + k, size, **seeds)
            for k in range(len(ends))
        ]
        rows, *_ = reference_stacks.stack_forward(
            spec.cell, connections, layers, rows, n_active, h0, c0, masks
        )
        if spec.residual and level:
            rows = rows + below
    pooled = pool(spec, named, rows, n_active, n)
    pooled = pooled * mask(
        RATE, samples, len(spec.hidden_sizes), np.zeros(n), pooled.shape[1], **seeds
    )
    z = pooled @ named["head_weight"].T + named["head_bias"]
    losses, _ = reference.loss_forward(spec.loss, z, data.targets[samples])
    return float(np.average(losses, weights=data.weights[samples]))


def pool(spec: Spec, named: dict[str, Array], rows: Array, n_active: Array, n: int) -> Array:
    """(N, width): of the last step each direction's own last one."""
    if spec.pooling == "attention":
        weights = reference_heads.Attention(
            *(named[f"attention_{part}"] for part in ("weight", "bias", "query"))
        )
        return reference_heads.attend_forward(weights, rows, n_active, n)
    pooled = reference.pool_forward(spec.pooling, rows, n_active, n)
    if spec.pooling == "last" and spec.bidirectional:
        half = rows.shape[1] // 2
        alive = int(n_active[0]) if len(n_active) else 0
        pooled[:alive, half:] = rows[:alive, half:]
    return pooled


@EACH_NETWORK
def test_loss_is_the_oracles(spec: Spec) -> None:
    data, parameters = draw_data(spec, LENGTHS, np.float64), draw_parameters(spec, np.float64)
    for chosen in (list(range(len(LENGTHS))), [4, 1, 3], [1]):
        loss, _ = loss_and_gradient(
            spec.trainer(np.float64), parameters, data, chosen, seed=SEED, epoch=EPOCH
        )
        expected = oracle_loss(spec, parameters, data, chosen)
        np.testing.assert_allclose(loss, expected, rtol=1e-12)


@EACH_NETWORK
def test_gradient_is_finite_differences(spec: Spec) -> None:
    data, parameters = draw_data(spec, LENGTHS, np.float64), draw_parameters(spec, np.float64)
    trainer, chosen = spec.trainer(np.float64), range(len(LENGTHS))

    def run() -> tuple[float, Array]:
        return loss_and_gradient(trainer, parameters, data, chosen, seed=SEED, epoch=EPOCH)

    expected = numerical_gradient(lambda: run()[0], parameters)
    np.testing.assert_allclose(run()[1], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("spec", [n for n in NETWORKS if n.bidirectional], ids=network_id)
def test_training_gives_the_same_bits(spec: Spec, isa: str) -> None:
    dtype = np.float32
    lengths = (*LENGTHS, *(6,) * 30)
    data, start = draw_data(spec, lengths, dtype), draw_parameters(spec, dtype)
    epochs = [[range(20), range(20, len(lengths))]] * 2
    assert_same_training(spec, isa, start, data, epochs)
