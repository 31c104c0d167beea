"""Problems for every cell: shapes, data, and one way through oracle and core."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import reference
import reference_cells
from cases import Case, Results, ragged
from reference import Array
from reference_cells import Cell, Weights
from reference_masks import Masks, draw_masks

from lstmcore import _core

CELLS = [
    Cell("rnn"),
    Cell("rnn", (("relu", True),)),
    Cell("gru"),
    Cell("gru", (("reset_after", False),)),
    Cell("lstm", (("peephole", True), ("gate_clip", 1.25))),
    Cell("lstm", (("coupled_gates", True), ("peephole", True), ("cell_clip", 0.75))),
    Cell(
        "lstm",
        (
            ("gate_activation", ("hard_sigmoid", 0.2, 0.5)),
            ("cell_activation", ("softsign", 0.0, 0.0)),
            ("output_activation", ("scaled_tanh", 1.7, 0.6)),
            ("gate_clip", 2.9),
        ),
    ),
    Cell("lstm", (("proj_size", 2),)),
]

NORMALISED = Cell("lstm", (("layer_norm", True), ("peephole", True), ("cell_clip", 1.1)))

# What asks for c as it is before zoneout.
ZONED_PEEPHOLE = Cell("lstm", (("peephole", True), ("cell_clip", 0.9), ("zoneout_cell", 0.4)))

# The same kernels with other options, or shared ones: fewer shapes are enough.
VARIANTS = [
    Cell("gru", (("gate_clip", 1.3), ("cell_activation", ("softsign", 0.0, 0.0)))),
    Cell(
        "gru",
        (
            ("reset_after", False),
            ("gate_activation", ("hard_sigmoid", 1 / 6, 0.5)),
            ("cell_activation", ("scaled_tanh", 1.7, 0.6)),
            ("gate_clip", 2.1),
        ),
    ),
    Cell("rnn", (("cell_activation", ("softsign", 0.0, 0.0)),)),
    Cell("rnn", (("relu", True), ("gate_clip", 1.1))),
    Cell("lstm", (("coupled_gates", True),)),
    NORMALISED,
    Cell("lstm", (("layer_norm", True), ("gate_activation", ("hard_sigmoid", 0.2, 0.5)))),
    Cell("lstm", (("cell_activation", ("elu", 0.7, 0.0)), ("peephole", True))),
    Cell("lstm", (("zoneout_hidden", 0.3), ("zoneout_cell", 0.6))),
    ZONED_PEEPHOLE,
    Cell(NORMALISED.kind, (*NORMALISED.options, ("zoneout_cell", 0.4))),
]

# Cells whose training draws masks: of each kind alone, and together, in every kernel.
MASKED = [
    Cell("lstm", (("recurrent_dropout", 0.4),)),
    Cell("lstm", (("hidden_dropout", 0.4),)),
    Cell("lstm", (("zoneout_hidden", 0.3), ("zoneout_cell", 0.6))),
    Cell(
        "lstm",
        (
            ("coupled_gates", True),
            ("peephole", True),
            ("recurrent_dropout", 0.3),
            ("hidden_dropout", 0.2),
            ("zoneout_hidden", 0.4),
            ("zoneout_cell", 0.5),
        ),
    ),
    Cell(
        "lstm",
        (
            ("proj_size", 2),
            ("recurrent_dropout", 0.3),
            ("hidden_dropout", 0.2),
            ("zoneout_hidden", 0.4),
        ),
    ),
    Cell(
        "lstm",
        (
            ("layer_norm", True),
            ("peephole", True),
            ("cell_clip", 1.1),
            ("recurrent_dropout", 0.3),
            ("hidden_dropout", 0.2),
            ("zoneout_hidden", 0.4),
            ("zoneout_cell", 0.5),
        ),
    ),
    Cell("gru", (("recurrent_dropout", 0.3), ("hidden_dropout", 0.2), ("zoneout_hidden", 0.4))),
    Cell("gru", (("reset_after", False), ("hidden_dropout", 0.5))),
    Cell(
        "gru",
        (
            ("reset_after", False),
            ("recurrent_dropout", 0.3),
            ("hidden_dropout", 0.2),
            ("zoneout_hidden", 0.4),
        ),
    ),
    Cell("rnn", (("hidden_dropout", 0.3), ("zoneout_hidden", 0.4))),
    ZONED_PEEPHOLE,
]

# On both sides of a vector, a block and a tile of blocks; many sequences, few, one; weights that
# are too large for one core.
SHAPES = [
    Case("one-of-everything", 1, (1,), (1,)),
    Case("H8-N2", 17, (8,), (13, 6)),
    Case("H17-with-empty", 5, (17,), (13, 9, 9, 4, 1, 0, 0)),
    Case("H33", 1, (33,), ragged(2, 20, 13, 3)),
    Case("H100-two-layers", 3, (100, 40), ragged(4, 7, 5)),
    Case("many-sequences", 5, (33,), ragged(6, 190, 13, 5)),
    Case("equal-lengths", 17, (64,), (3,) * 100),
    Case("large-weights", 5, (230,), ragged(10, 5, 7)),
    Case("one-sequence", 5, (128,), (60,)),
    Case("all-empty", 5, (9, 4), (0, 0, 0)),
    Case("no-sequence", 5, (9,), ()),
]


def split_layers(flat: Array, shapes: list[dict[str, tuple[int, ...]]]) -> list[Weights]:
    """The arrays of each layer, of these names and shapes, in a flat vector: views."""
    layers, start = [], 0
    for shapes_of_layer in shapes:
        layer = {}
        for name, shape in shapes_of_layer.items():
            size = int(np.prod(shape))
            layer[name] = flat[start : start + size].reshape(shape)
            start += size
        layers.append(layer)
    assert start == len(flat)
    return layers


@dataclass(frozen=True)
class Problem:
    """Data of one dtype drawn for a cell and a shape, gradients from above included."""

    cell: Cell
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
    def shapes(self) -> list[dict[str, tuple[int, ...]]]:
        """Names and shapes of each layer's parameters."""
        return self.cell.layers(self.case.input_size, self.case.hidden_sizes)

    @property
    def samples(self) -> Array:
        """Numbers of the sequences, by which masks know them."""
        return numbers_of_samples(self.n_sequences)

    def split(self, flat: Array) -> list[Weights]:
        """The arrays of each layer in a flat vector: views."""
        return split_layers(flat, self.shapes)


def numbers_of_samples(n: int) -> Array:
    """Numbers in no order, small and large."""
    return np.random.default_rng(n).permutation(3 * n)[:n] * (1 + 2**33 * (np.arange(n) % 3 == 2))


def draw(cell: Cell, case: Case, dtype: Any = np.float64, seed: int = 0) -> Problem:
    """Random data; the weights are large enough for every gate to work outside its linear range."""
    rng = np.random.default_rng([seed, *f"{cell}{case}".encode()])
    n, n_rows = len(case.lengths), sum(case.lengths)

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(dtype)

    def states() -> tuple[list[Array], list[Array]]:
        widths = map(cell.width, case.hidden_sizes)
        return [normal(n, p) for p in widths], [normal(n, h) for h in case.hidden_sizes]

    shapes = cell.layers(case.input_size, case.hidden_sizes)
    parameters = np.concatenate(
        [
            normal(*shape).ravel() * (1.5 / np.sqrt(2 * shape[1]) if len(shape) == 2 else 1)
            for layer in shapes
            for shape in layer.values()
        ]
    ).astype(dtype)
    return Problem(
        cell,
        case,
        reference.active_counts(case.lengths),
        parameters,
        normal(n_rows, case.input_size),
        *states(),
        normal(n_rows, cell.width(case.hidden_sizes[-1])),
        *states(),
    )


def masks_of(p: Problem, seed: int | None) -> list[Masks] | None:
    """What the core draws for each layer, if there is a seed."""
    if seed is None:
        return None
    return [
        draw_masks(p.cell, p.samples, p.n_active, layer, size, seed=seed)
        for layer, size in enumerate(p.case.hidden_sizes)
    ]


def run_oracle(
    p: Problem, oracle: ModuleType = reference_cells, seed: int | None = None
) -> Results:
    """Forward and backward pass by the oracle, or by a mutant of it, with the masks of a seed."""

    def double(arrays: list[Array]) -> list[Array]:
        return [a.astype(np.float64) for a in arrays]

    layers = p.split(p.parameters.astype(np.float64))
    y, h_n, c_n, stashes = oracle.stack_forward(
        p.cell,
        layers,
        p.x.astype(np.float64),
        p.n_active,
        double(p.h0),
        double(p.c0),
        masks_of(p, seed),
    )
    dx, dh0, dc0, gradients = oracle.stack_backward(
        p.cell,
        layers,
        stashes,
        p.n_active,
        p.dy.astype(np.float64),
        double(p.dh_n),
        double(p.dc_n),
    )
    return collect(p, y, h_n, c_n, dx, dh0, dc0, gradients)


def stack_of(p: Problem, isa: str = "") -> Any:
    """The core's stack with the problem's parameters."""
    suffix = p.parameters.dtype.name.capitalize()
    stack = getattr(_core, f"RecurrentStack{suffix}")(
        p.case.input_size, list(p.case.hidden_sizes), isa, cell=p.cell.core
    )
    stack.set_parameters(p.parameters)
    return stack


def forward(
    p: Problem, stack: Any, *, keep: bool, n_threads: int = 1, seed: int | None = None
) -> tuple[Array, list[Array], list[Array], Any]:
    """The core's forward pass."""
    result: tuple[Array, list[Array], list[Array], Any] = stack.forward(
        p.x,
        p.n_active,
        p.n_sequences,
        p.h0,
        p.c0 if p.cell.has_c else None,
        n_threads=n_threads,
        keep=keep,
        seed=seed,
        samples=None if seed is None else p.samples,
    )
    return result


def run_core(p: Problem, isa: str = "", n_threads: int = 1, seed: int | None = None) -> Results:
    """Forward and backward pass by the library."""
    stack = stack_of(p, isa)
    y, h_n, c_n, cache = forward(p, stack, keep=True, n_threads=n_threads, seed=seed)
    y, h_n, c_n = y.copy(), [a.copy() for a in h_n], [a.copy() for a in c_n]
    dx, dh0, dc0, gradient = stack.backward(
        cache,
        p.dy,
        p.dh_n,
        p.dc_n if p.cell.has_c else None,
        need_dx=True,
        n_threads=n_threads,
    )
    return collect(p, y, h_n, c_n, dx, dh0, dc0, p.split(gradient))


def collect(
    p: Problem,
    y: Array,
    h_n: list[Array],
    c_n: list[Array],
    dx: Array,
    dh0: list[Array],
    dc0: list[Array],
    gradients: list[Weights],
) -> Results:
    """All that a forward and a backward pass give, by name: a failure says which array is off."""
    results = {"y": y, "dx": dx}
    per_layer = {"h_n": h_n, "dh0": dh0} | ({"c_n": c_n, "dc0": dc0} if p.cell.has_c else {})
    for name, arrays in per_layer.items():
        results |= {f"{name}_l{level}": array for level, array in enumerate(arrays)}
    for level, layer in enumerate(gradients):
        results |= {f"d{name}_l{level}": array for name, array in layer.items()}
    return results
