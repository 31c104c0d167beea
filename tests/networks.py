"""Whole networks for the tests: datasets, batches packed in plain Python, the core's objects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import reference
from reference import Array
from reference_cells import Cell
from reference_stacks import Connections

from lstmcore import _core

LOSSES = ("softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error", "huber")
POOLINGS = ("last", "mean", "max", "attention")
LINKS = ("identity", "sigmoid", "softmax")
SOLVERS = ("adam", "adamw", "sgd", "rmsprop")
N_STATE = {"adam": 2, "adamw": 2, "sgd": 1, "rmsprop": 1}

LSTM = Cell()
Batches = tuple[Array, Array, Array, Array, Array, Array]


@dataclass(frozen=True)
class Spec:
    """A network, and the loss that it is trained with."""

    input_size: int = 3
    hidden_sizes: tuple[int, ...] = (9, 5)
    n_outputs: int = 4
    pooling: str = "last"
    link: str = "identity"
    dropout: float = 0.0
    loss: str = "squared_error"
    cell: Cell = LSTM
    embeddings: tuple[tuple[int, int, int], ...] = ()
    residual: bool = False
    bidirectional: bool = False

    @property
    def oracle(self) -> reference.Network:
        """The same network in NumPy."""
        return reference.Network(
            self.input_size, self.hidden_sizes, self.n_outputs, self.pooling, self.embeddings
        )

    @property
    def n_parameters(self) -> int:
        """Size of the flat parameters."""
        widening = sum(size - 1 for _, _, size in self.embeddings)
        connections = Connections(bidirectional=self.bidirectional)
        sizes = connections.sizes(self.cell, self.input_size + widening, self.hidden_sizes)
        stack = sum(math.prod(s) for pair in sizes for s in self.cell.arrays(*pair).values())
        top = connections.n_directions * self.cell.width(self.hidden_sizes[-1])
        attention = top * (top + 2) if self.pooling == "attention" else 0
        tables = sum(n_tokens * size for _, n_tokens, size in self.embeddings)
        return stack + attention + self.n_outputs * (top + 1) + tables

    def network(self, dtype: Any, isa: str = "") -> Any:
        """The core's network, parameters unset."""
        return getattr(_core, "Network" + np.dtype(dtype).name.capitalize())(
            self.input_size,
            list(self.hidden_sizes),
            self.n_outputs,
            pooling=self.pooling,
            link=self.link,
            dropout=self.dropout,
            cell=self.cell.core,
            embeddings=list(self.embeddings),
            residual=self.residual,
            bidirectional=self.bidirectional,
            isa=isa,
        )

    def trainer(self, dtype: Any, isa: str = "", solver: str = "adam", **options: Any) -> Any:
        """The core's trainer of such a network."""
        cls = getattr(_core, "Trainer" + np.dtype(dtype).name.capitalize())
        return cls(self.network(dtype, isa), loss=self.loss, solver=solver, **options)


class Data(NamedTuple):
    """A dataset: sequences (T_i, I), targets, weights (n,) float64."""

    sequences: list[Array]
    targets: Array
    weights: Array


def draw_data(spec: Spec, lengths: Sequence[int], dtype: Any, seed: int = 0) -> Data:
    """Random sequences in the order of ``lengths``, targets that suit the loss, uneven weights."""
    rng = np.random.default_rng([seed, len(lengths)])
    shape = (len(lengths), spec.n_outputs)
    sequences = [rng.standard_normal((t, spec.input_size)).astype(dtype) for t in lengths]
    for sequence in sequences:
        for column, n_tokens, _ in spec.embeddings:
            sequence[:, column] = rng.integers(0, n_tokens, len(sequence))
    if spec.loss == "softmax_cross_entropy":
        targets: Array = rng.integers(0, spec.n_outputs, len(lengths)).astype(np.intp)
    elif spec.loss == "sigmoid_cross_entropy":
        targets = rng.integers(0, 2, shape).astype(dtype)
    else:
        targets = (2 * rng.standard_normal(shape)).astype(dtype)
    return Data(sequences, targets, rng.uniform(0.1, 3, len(lengths)))


def draw_parameters(spec: Spec, dtype: Any, seed: int = 0) -> Array:
    """Random parameters; no weight is the same and none is zero."""
    rng = np.random.default_rng([seed, spec.n_parameters])
    return (0.4 * rng.standard_normal(spec.n_parameters)).astype(dtype)


def order_of(sequences: list[Array], chosen: Sequence[int]) -> tuple[Array, Array]:
    """n_active of a packed batch of the samples chosen, and these in its order."""
    lengths = [len(sequences[n]) for n in chosen]
    order = [chosen[k] for k in reference.packed_order(lengths)]
    return np.array(reference.active_counts(lengths), np.intp), np.array(order, np.intp)


def packed_of(sequences: list[Array], chosen: Sequence[int]) -> tuple[Array, Array, Array]:
    """One packed batch of the samples chosen: x, n_active, and the samples in its order."""
    n_active, order = order_of(sequences, chosen)
    x = reference.pack([sequences[n] for n in order]).reshape(-1, sequences[0].shape[1])
    return x.astype(sequences[0].dtype), n_active, order


def batches_of(sequences: list[Array], chosen: Sequence[Sequence[int]]) -> Batches:
    """Batches of the samples chosen for each, in the form the trainer takes."""
    starts = np.cumsum([0, *map(len, sequences)])
    batches = [order_of(sequences, batch) for batch in chosen]
    nothing = np.empty(0, np.intp)
    samples = np.concatenate([nothing, *(order for _, order in batches)])
    return (
        np.concatenate(sequences),
        starts[samples].astype(np.intp),
        np.concatenate([nothing, *(n_active for n_active, _ in batches)]),
        np.cumsum([0, *(len(n_active) for n_active, _ in batches)]).astype(np.intp),
        samples,
        np.cumsum([0, *(len(order) for _, order in batches)]).astype(np.intp),
    )


def oracle_loss_and_gradient(
    spec: Spec, parameters: Array, data: Data, chosen: Sequence[int], **options: Any
) -> tuple[float, Array]:
    """The oracle's mean loss of the chosen samples with their weights, and its gradient."""
    x, n_active, order = packed_of(data.sequences, chosen)
    return spec.oracle.loss_and_gradient(
        parameters,
        x.astype(np.float64),
        n_active,
        data.targets[order],
        loss=spec.loss,
        sample_weight=data.weights[order],
        **options,
    )


def loss_and_gradient(
    trainer: Any,
    parameters: Array,
    data: Data,
    chosen: Sequence[int],
    *,
    seed: int = 0,
    epoch: int = 0,
    n_threads: int = 1,
) -> tuple[float, Array]:
    """The core's mean loss of the chosen samples with their weights, and its gradient."""
    result: tuple[float, Array] = trainer.loss_and_gradient(
        parameters,
        batches_of(data.sequences, [chosen]),
        data.targets,
        data.weights,
        seed=seed,
        epoch=epoch,
        n_threads=n_threads,
    )
    return result


def train(
    trainer: Any,
    parameters: Array,
    data: Data,
    epochs: Sequence[Sequence[Sequence[int]]],
    *,
    learning_rate: float = 0.01,
    n_threads: int = 1,
    seed: int = 0,
) -> tuple[Array, Array, list[float]]:
    """Parameters, state and mean loss of each epoch after epochs of batches of sample numbers."""
    parameters = parameters.copy()
    state = np.zeros((trainer.n_state, len(parameters)), parameters.dtype)
    curve, n_steps = [], 0
    for epoch, chosen in enumerate(epochs):
        sums = trainer.run(
            parameters,
            state,
            n_steps,
            batches_of(data.sequences, chosen),
            data.targets,
            data.weights,
            seed=seed,
            epoch=epoch,
            learning_rate=learning_rate,
            n_threads=n_threads,
        )
        n_steps += len(chosen)
        curve.append(sums["loss"] / sums["weight"])
    return parameters, state, curve


def assert_same_training(
    spec: Spec,
    isa: str,
    start: Array,
    data: Data,
    epochs: Sequence[Sequence[Sequence[int]]],
) -> list[float]:
    """Same bits on an instruction set as without one, for any threads; the mean losses."""
    dtype = start.dtype
    expected = train(spec.trainer(dtype, "scalar"), start, data, epochs)
    for n_threads in (1, 3):
        trainer = spec.trainer(dtype, isa)
        parameters, state, curve = train(trainer, start, data, epochs, n_threads=n_threads)
        np.testing.assert_array_equal(parameters, expected[0])
        np.testing.assert_array_equal(state, expected[1])
        assert curve == expected[2]
    return expected[2]


def link_of(loss: str) -> str:
    """The link that belongs to a loss."""
    links = {"softmax_cross_entropy": "softmax", "sigmoid_cross_entropy": "sigmoid"}
    return links.get(loss, "identity")


def with_link(spec: Spec) -> Spec:
    """The same network with the link that belongs to its loss."""
    return replace(spec, link=link_of(spec.loss))
