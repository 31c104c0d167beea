"""What a fitted network consists of, and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lstmcore._network import Layout, NetworkSpec


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """One layer of a network.

    Parameters
    ----------
    name : str
        What it is.
    output_shape : tuple
        Shape of what it puts out for a batch of N sequences of T steps: ``"N"`` and ``"T"`` stand
        for those numbers.
    n_parameters : int
        Number of its weights.
    flops : int
        Floating-point operations of its matrix products for all sequences and steps of the batch,
        forward; backward takes twice as many.
    """

    name: str
    output_shape: tuple[str | int, ...]
    n_parameters: int
    flops: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A network, layer by layer; ``str`` makes a table of it.

    Parameters
    ----------
    layers : tuple of LayerSummary
        The layers, the lowest first.
    batch_size, n_timesteps : int
        The batch that ``flops`` and the sizes in bytes are for.
    parameter_bytes : int
        Size of all weights.
    prediction_bytes : int
        Size of what the network computes for the batch when it predicts; of long sequences it holds
        a window at a time.
    training_bytes : int
        Size of what it keeps of the batch for the backward pass: with ``tbptt_steps`` of the steps
        of a window, with ``memory="recompute"`` of those and of the states before each window. What
        is allocated may be more, since units are padded to whole vectors, or less: a single thread
        keeps one of the two parts of a large batch at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import LSTMRegressor
    >>> X = np.ones((4, 5, 3))
    >>> model = LSTMRegressor(hidden_size=(8, 4), max_iter=1, tol=None).fit(X, [1, 2, 3, 4])
    >>> print(model.summary(n_timesteps=5))
    layer        output     parameters    FLOPs
    input        (N, T, 3)           0        0
    recurrent 0  (N, T, 8)         384  112,640
    recurrent 1  (N, T, 4)         208   61,440
    pooling      (N, 4)              0        0
    head         (N, 1)              5      256
    597 parameters (2.3 KiB); for N = 32, T = 5: 174,336 FLOPs forward, 523,008 in training,
    10.0 KiB to predict, 60.0 KiB in training
    """

    layers: tuple[LayerSummary, ...]
    batch_size: int
    n_timesteps: int
    parameter_bytes: int
    prediction_bytes: int
    training_bytes: int

    @property
    def n_parameters(self) -> int:
        """Number of all weights."""
        return sum(layer.n_parameters for layer in self.layers)

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of the batch, forward."""
        return sum(layer.flops for layer in self.layers)

    def __str__(self) -> str:
        head = ("layer", "output", "parameters", "FLOPs")
        rows = [
            (
                layer.name,
                f"({', '.join(map(str, layer.output_shape))})",
                f"{layer.n_parameters:,}",
                f"{layer.flops:,}",
            )
            for layer in self.layers
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            f"{name:{widths[0]}}  {shape:{widths[1]}}  {count:>{widths[2]}}  {flops:>{widths[3]}}"
            for name, shape, count, flops in (head, *rows)
        ]
        batch = f"for N = {self.batch_size}, T = {self.n_timesteps}"
        lines.append(
            f"{self.n_parameters:,} parameters ({_size(self.parameter_bytes)}); {batch}: "
            f"{self.flops:,} FLOPs forward, {3 * self.flops:,} in training,"
        )
        lines.append(
            f"{_size(self.prediction_bytes)} to predict, {_size(self.training_bytes)} in training"
        )
        return "\n".join(lines)


def summarise(
    spec: NetworkSpec,
    layout: Layout,
    batch_size: int,
    n_timesteps: int,
    windows: tuple[int, int] | None = None,
) -> Summary:
    """Describe a network.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    layout : dict
        Name → (shape, offset) of its parameters.
    batch_size, n_timesteps : int
        The batch that costs are given for.
    windows : tuple of int or None, default=None
        The most steps that are kept at a time, and how many times the states of all layers are.

    Returns
    -------
    summary : Summary
        Sizes are those of the numbers; blocks are padded to the width of a vector register.
    """
    n_rows = batch_size * n_timesteps
    layers = [LayerSummary("input", ("N", "T", spec.input_size), 0, 0)]
    if spec.embeddings:
        n_numbers = sum(n_tokens * size for _, n_tokens, size in spec.embeddings)
        layers.append(LayerSummary("embedding", ("N", "T", spec.layer_input_size), n_numbers, 0))
    kept_steps, n_states = windows or (n_timesteps, 0)
    kept_rows = batch_size * min(kept_steps, n_timesteps)
    passing = spec.layer_input_size * n_rows
    kept = passing
    for k, (size, narrow) in enumerate(zip(spec.hidden_sizes, spec.output_sizes, strict=True)):
        suffixes = (f"_l{k}", f"_l{k}_reverse")
        own = {name: shape for name, (shape, _) in layout.items() if name.endswith(suffixes)}
        matrices = [shape for name, shape in own.items() if name.startswith("weight")]
        products = sum(2 * math.prod(shape) for shape in matrices)
        n_parameters = sum(map(math.prod, own.values()))
        both = spec.n_directions * narrow
        layers.append(
            LayerSummary(f"recurrent {k}", ("N", "T", both), n_parameters, products * n_rows)
        )
        gates = max(shape[0] for shape in matrices)
        kept += kept_rows * spec.n_directions * _kept_by_layer(spec, gates, size, narrow)
        kept += kept_rows * _kept_between(spec, k)
        kept += batch_size * n_states * (narrow + (size if spec.has_cell_state else 0))
        passing += n_rows * both
    width, n_outputs = spec.output_size, spec.n_outputs
    attends = spec.pooling == "attention"
    n_pooling = width * (width + 2) if attends else 0
    products = 2 * width * (width + 2) * n_rows if attends else 0
    layers.append(LayerSummary("pooling", ("N", width), n_pooling, products))
    # Gradients of all outputs, unless that of the last h is all there is; what attention makes.
    top_is_h = not spec.bidirectional and not (spec.residual and len(spec.hidden_sizes) > 1)
    kept += kept_rows * (0 if spec.pooling == "last" and top_is_h else width)
    kept += kept_rows * (width if attends else 0)
    passing += n_rows * width if attends else 0
    products = 2 * width * n_outputs * batch_size
    layers.append(LayerSummary("head", ("N", n_outputs), (width + 1) * n_outputs, products))
    ends = batch_size * (width + n_outputs)
    itemsize = np.dtype(spec.dtype).itemsize
    n_parameters = sum(layer.n_parameters for layer in layers)
    return Summary(
        tuple(layers),
        batch_size,
        n_timesteps,
        n_parameters * itemsize,
        (passing + ends) * itemsize,
        (kept + ends) * itemsize,
    )


def _mask_units(spec: NetworkSpec, size: int, narrow: int) -> int:
    """Return how many numbers a layer keeps of a step because its training draws masks.

    Those of cells are ``size`` wide and those of h ``narrow``; of dropout of h, whose mask is that
    of a sequence, it is what is left of h.
    """
    widths = {
        "recurrent_dropout": size,
        "hidden_dropout": narrow,
        "zoneout_hidden": narrow,
        "zoneout_cell": size,
    }
    return sum(width for name, width in widths.items() if spec.cell.get(name))


def _kept_by_layer(spec: NetworkSpec, gates: int, size: int, narrow: int) -> int:
    """Return how many numbers a layer of one direction keeps of a step of a sequence."""
    cell = spec.cell
    kept = gates + narrow
    if spec.has_cell_state:
        kept += 2 * size  # c and what the cell activation makes of it
    elif cell["kind"] == "gru":
        kept += size  # the part of the candidate that the reset gate acts on
    if cell.get("proj_size"):
        kept += size + narrow  # h before the projection, and gradients behind it
    if cell.get("layer_norm"):
        kept += gates + 14 * size  # both products, and all that was normalised with its scales
    return kept + _mask_units(spec, size, narrow)


def _kept_between(spec: NetworkSpec, level: int) -> int:
    """Return how many numbers are kept of a step where a level joins the one below it."""
    below = spec.n_directions * spec.output_sizes[level - 1] if level else spec.layer_input_size
    above = spec.n_directions * spec.output_sizes[level]
    kept = 0
    if level:
        kept += below * (2 if spec.dropout else 1)  # gradients, and what dropout leaves
    if spec.bidirectional:
        kept += below * (2 if level else 1) + above  # the other way round, and gradients likewise
    if spec.bidirectional or (spec.residual and level):
        kept += above  # both directions side by side, or the sum
    return kept


def _size(n_bytes: int) -> str:
    """Return a number of bytes as one reads it."""
    for power, unit in ((3, "GiB"), (2, "MiB")):
        if n_bytes >= 1024**power:
            return f"{n_bytes / 1024**power:.1f} {unit}"
    return f"{n_bytes / 1024:.1f} KiB"
