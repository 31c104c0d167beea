"""Problems for stacks with two directions or residual connections, by oracle and by core."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import reference
import reference_stacks
from cases import Case, Results
from cell_cases import CELLS, NORMALISED, numbers_of_samples, split_layers
from reference import Array
from reference_cells import Cell, Weights
from reference_masks import Masks, draw_masks
from reference_stacks import Connections

from lstmcore import _core

BOTH_WAYS, RESIDUAL = Connections(bidirectional=True), Connections(residual=True)
RESIDUAL_BOTH_WAYS = Connections(bidirectional=True, residual=True)
CONNECTIONS = [BOTH_WAYS, RESIDUAL, RESIDUAL_BOTH_WAYS]
ALL_CELLS = [Cell("lstm"), NORMALISED, *CELLS]


@dataclass(frozen=True)
class StackProblem:
    """Data drawn for a cell, connections and a shape, gradients from above included."""

    cell: Cell
    connections: Connections
    case: Case
    n_active: Array
    parameters: Array
    x: Array
    h0: list[Array]
    c0: list[Array]
    dy: Array
    dh_n: list[Array]
    dc_n: list[Array]

    @property
    def n_sequences(self) -> int:
        return len(self.case.lengths)

    @property
    def samples(self) -> Array:
        """Numbers of the sequences, by which masks know them."""
        return numbers_of_samples(self.n_sequences)

    def split(self, flat: Array) -> list[Weights]:
        """The arrays of each layer in a flat vector: views."""
        case = self.case
        sizes = self.connections.sizes(self.cell, case.input_size, case.hidden_sizes)
        return split_layers(flat, [self.cell.arrays(*pair) for pair in sizes])


def draw(
    cell: Cell, connections: Connections, case: Case, dtype: Any = np.float64, seed: int = 0
) -> StackProblem:
    """Random data; the weights are large enough for every gate to work outside its linear range."""
    rng = np.random.default_rng([seed, *f"{cell}{connections}{case}".encode()])
    n, n_rows = len(case.lengths), sum(case.lengths)
    sizes = connections.sizes(cell, case.input_size, case.hidden_sizes)

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)

    def states() -> tuple[list[Array], list[Array]]:
        return [normal(n, cell.width(h)) for _, h in sizes], [normal(n, h) for _, h in sizes]

    parameters = [
        normal(*shape).ravel() * (1.5 / np.sqrt(2 * shape[1]) if len(shape) == 2 else 1)
        for pair in sizes
        for shape in cell.arrays(*pair).values()
    ]
    return StackProblem(
        cell,
        connections,
        case,
        reference.active_counts(case.lengths),
        np.concatenate(parameters).astype(dtype),
        normal(n_rows, case.input_size),
        *states(),
        normal(n_rows, connections.n_directions * cell.width(case.hidden_sizes[-1])),
        *states(),
    )


def masks_of(p: StackProblem, seed: int | None) -> list[Masks] | None:
    """What the core draws for each layer, if there is a seed."""
    if seed is None:
        return None
    sizes = p.connections.sizes(p.cell, p.case.input_size, p.case.hidden_sizes)
    return [
        draw_masks(p.cell, p.samples, p.n_active, layer, size, seed=seed)
        for layer, (_, size) in enumerate(sizes)
    ]


def run_oracle(
    p: StackProblem, oracle: ModuleType = reference_stacks, seed: int | None = None
) -> Results:
    """Forward and backward pass by the oracle, or by a mutant of it, with the masks of a seed."""

    def double(arrays: list[Array]) -> list[Array]:
        return [a.astype(np.float64) for a in arrays]

    layers = p.split(p.parameters.astype(np.float64))
    x, dy = p.x.astype(np.float64), p.dy.astype(np.float64)
    y, h_n, c_n, stashes = oracle.stack_forward(
        p.cell, p.connections, layers, x, p.n_active, double(p.h0), double(p.c0), masks_of(p, seed)
    )
    dx, dh0, dc0, gradients = oracle.stack_backward(
        p.cell, p.connections, layers, stashes, p.n_active, dy, double(p.dh_n), double(p.dc_n)
    )
    return collect(p, (y, h_n, c_n), (dx, dh0, dc0), gradients)


def stack_of(p: StackProblem, isa: str = "") -> Any:
    """The core's stack with the problem's parameters."""
    suffix = p.parameters.dtype.name.capitalize()
    stack = getattr(_core, f"RecurrentStack{suffix}")(
        p.case.input_size, list(p.case.hidden_sizes), isa, cell=p.cell.core, **vars(p.connections)
    )
    stack.set_parameters(p.parameters)
    return stack


def forward(
    p: StackProblem, stack: Any, *, keep: bool, n_threads: int = 1, seed: int | None = None
) -> Any:
    """The core's forward pass: y, h_n, c_n and what the backward pass needs."""
    c0 = p.c0 if p.cell.has_c else None
    return stack.forward(
        p.x,
        p.n_active,
        p.n_sequences,
        p.h0,
        c0,
        n_threads=n_threads,
        keep=keep,
        seed=seed,
        samples=None if seed is None else p.samples,
    )


def run_core(
    p: StackProblem, isa: str = "", n_threads: int = 1, seed: int | None = None
) -> Results:
    """Forward and backward pass by the library."""
    stack = stack_of(p, isa)
    *outputs, cache = forward(p, stack, keep=True, n_threads=n_threads, seed=seed)
    dc_n = p.dc_n if p.cell.has_c else None
    *inputs, gradient = stack.backward(cache, p.dy, p.dh_n, dc_n, need_dx=True, n_threads=n_threads)
    return collect(p, outputs, inputs, p.split(gradient))


def collect(p: StackProblem, outputs: Any, inputs: Any, gradients: list[Weights]) -> Results:
    """All that a forward and a backward pass give, by name: a failure says which array is off."""
    (y, h_n, c_n), (dx, dh0, dc0) = outputs, inputs
    results = {"y": y, "dx": dx}
    per_layer = {"h_n": h_n, "dh0": dh0} | ({"c_n": c_n, "dc0": dc0} if p.cell.has_c else {})
    for name, arrays in per_layer.items():
        results |= {f"{name}_{k}": array for k, array in enumerate(arrays)}
    for k, layer in enumerate(gradients):
        results |= {f"d{name}_{k}": array for name, array in layer.items()}
    return results
