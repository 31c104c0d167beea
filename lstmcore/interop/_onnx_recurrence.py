"""The recurrent layers as ONNX nodes, over sequences of any lengths.

What runtimes do with a recurrent node differs where the standard is silent, and ONNX Runtime has
quirks of its own. The graph holds against all that:

- a sequence of length 0, which is refused or gives zeros for a state: the node is told 1, and its
  results are replaced by the state before;
- a batch of no sequences, at which ONNX Runtime ends the process: the node gets one of zeros;
- what stands behind the end of a sequence goes in as 0 and comes out as 0;
- the final h, which OpenVINO takes from the last step of the array: it is picked out of Y. Its
  final c can't be, and is wrong there for sequences that end before;
- NaN, which ONNX Runtime turns into a number: put back from the step on at which it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore.interop._weights import ORDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lstmcore.interop._onnx_graph import GraphBuilder


# The operator of a cell, and its outputs.
_OPERATORS = {"lstm": ("LSTM", 3), "gru": ("GRU", 2), "rnn": ("RNN", 2)}


@dataclass(frozen=True, slots=True)
class Stack:
    """Recurrent layers as they are to be written.

    Parameters
    ----------
    cell : dict
        As the core takes it: ``"kind"``, and ``"reset_after"`` of a GRU, ``"relu"`` of an RNN.
    parameters : mapping of name to ndarray
        By the names of the layers' own.
    n_layers : int
        Number of layers.
    """

    cell: Mapping[str, Any]
    parameters: Mapping[str, NDArray[Any]]
    n_layers: int


@dataclass(frozen=True, slots=True)
class Ragged:
    """Names of the values that describe a batch; N and T are those of the input.

    Parameters
    ----------
    x : str
        (T, N', I): time-major, 0 behind the end of a sequence; N' is N, or 1 where N is 0.
    n_sequences, n_steps, n_extra : str
        (1,) each: N, T and N' - N.
    lengths : str
        (N',), int64, from 0 to T.
    alive : str
        (T, N', 1), bool: whether a step is one of its sequence.
    last : str
        (T, N', 1), bool: whether a step is the last one of its sequence.
    spoiled : str
        (T, N', 1), bool: whether a value was NaN at this step or one before.
    """

    x: str
    n_sequences: str
    n_steps: str
    n_extra: str
    lengths: str
    alive: str
    last: str
    spoiled: str


@dataclass(frozen=True, slots=True)
class Outputs:
    """Names of what a stack of layers puts out.

    Parameters
    ----------
    y : str
        (T, N', H), of the last layer; 0 behind the end of a sequence.
    states : list of tuple of str
        For each layer the final h, and c where there is one, (1, N', H) each.
    spoiled : str
        (N', 1), bool: whether a value of the sequence was NaN.
    """

    y: str
    states: list[tuple[str, ...]]
    spoiled: str


def ragged_batch(g: GraphBuilder, x: str, lengths: str, is_nan: str, dtype: str) -> Ragged:
    """Add the nodes that describe a batch.

    Parameters
    ----------
    g : GraphBuilder
        The graph.
    x : str
        (N, T, I), without NaN where it matters.
    lengths : str
        (N,) or (1,), int64; what is more than T counts as T.
    is_nan : str
        (N, T, M), bool: where the input was NaN.
    dtype : str
        Of ``x``.

    Returns
    -------
    batch : Ragged
        Names of what was added.
    """
    zero, one = g.constant([0]), g.constant([1])
    shape = g.add("Shape", x)
    n, n_steps, n_features = (g.add("Gather", shape, g.constant([axis])) for axis in range(3))
    n_extra = g.add("Max", g.add("Sub", one, n), zero)
    lengths = g.add("Expand", g.add("Min", g.add("Max", lengths, zero), n_steps), n)
    lengths = g.add("Concat", lengths, g.add("Expand", zero, n_extra), axis=0)
    steps = g.add("Range", g.constant(0), g.add("Squeeze", n_steps), g.constant(1))
    steps = g.add("Unsqueeze", steps, g.constant([1, 2]))
    ends = g.add("Unsqueeze", lengths, g.constant([0, 2]))
    alive = g.add("Less", steps, ends)
    last = g.add("Equal", g.add("Add", steps, one), ends)
    nothing = g.constant(0, dtype)
    extra = g.add("Expand", nothing, g.add("Concat", n_steps, n_extra, n_features, axis=0))
    x = g.add("Concat", g.add("Transpose", x, perm=[1, 0, 2]), extra, axis=1)
    bad = g.add("Cast", g.add("Transpose", is_nan, perm=[1, 0, 2]), to=g.type_of("float32"))
    # A sum and not a maximum: that of no steps is defined.
    bad = g.add("ReduceSum", bad, g.constant([2]), keepdims=1)
    extra_shape = g.add("Concat", n_steps, n_extra, one, axis=0)
    unharmed = g.add("Expand", g.constant(0, "float32"), extra_shape)
    bad = g.add("Concat", bad, unharmed, axis=1)
    bad = g.add("Where", alive, bad, g.constant(0, "float32"))
    spoiled = g.add("Greater", g.add("CumSum", bad, g.constant(0)), g.constant(0, "float32"))
    x = g.add("Where", alive, x, nothing)
    return Ragged(x, n, n_steps, n_extra, lengths, alive, last, spoiled)


def recurrent_layers(
    g: GraphBuilder,
    batch: Ragged,
    stack: Stack,
    state: tuple[str, ...] | None,
    dtype: str,
) -> Outputs:
    """Add the nodes of a stack of layers.

    Parameters
    ----------
    g : GraphBuilder
        The graph.
    batch : Ragged
        What goes in.
    stack : Stack
        The layers.
    state : tuple of str, or None
        h, and c where there is one, before the first step, (L, N, H) or (L, 1, H); None is zeros.
    dtype : str
        Of all numbers.

    Returns
    -------
    outputs : Outputs
        Names of what was added.
    """
    one, nan = g.constant([1]), g.constant(np.nan, dtype)
    nothing = g.constant(0, dtype)
    ended = g.add("Greater", batch.lengths, g.constant([0]))
    ended = g.add("Unsqueeze", ended, g.constant([0, 2]))  # (1, N', 1): whether there was a step
    at_least_one = g.add("Min", g.add("Max", batch.lengths, one), batch.n_steps)
    lengths = g.add("Cast", at_least_one, to=g.type_of("int32"))
    x, spoiled = batch.x, batch.spoiled
    in_the_end = g.add("Cast", g.add("And", spoiled, batch.alive), to=g.type_of("float32"))
    in_the_end = g.add("ReduceSum", in_the_end, g.constant([0]), keepdims=0)
    in_the_end = g.add("Greater", in_the_end, g.constant(0, "float32"))  # (N', 1)
    states = []
    operator, n_outputs = _OPERATORS[stack.cell["kind"]]
    for level in range(stack.n_layers):
        arrays = _node_arrays(stack, level)
        hidden_size = arrays["R"].shape[-1]
        before = [_state_before(g, batch, part, level, hidden_size, dtype) for part in state or ()]
        y, _, *cell_states = g.add_many(
            operator,
            x,
            *(g.constant(array, dtype, name=f"{name}_l{level}") for name, array in arrays.items()),
            lengths,
            *before,
            n_outputs=n_outputs,
            hidden_size=hidden_size,
            **_node_attributes(stack.cell),
        )
        for part in before:
            nan_part = g.add("Cast", g.add("IsNaN", part), to=g.type_of("float32"))
            bad = g.add("ReduceSum", nan_part, g.constant([2]), keepdims=1)
            bad = g.add("Greater", bad, g.constant(0, "float32"))  # (1, N', 1)
            spoiled = g.add("Or", spoiled, bad)
            in_the_end = g.add("Or", in_the_end, g.add("Squeeze", bad, g.constant([0])))
        x = g.add("Squeeze", y, g.constant([1]))
        h = g.add("ReduceSum", g.add("Where", batch.last, x, nothing), g.constant([0]), keepdims=1)
        new = [g.add("Where", in_the_end, nan, part) for part in (h, *cell_states)]
        old = before or [nothing] * len(new)
        states.append(tuple(g.add("Where", ended, *pair) for pair in zip(new, old, strict=True)))
    y = g.add("Where", batch.alive, g.add("Where", spoiled, nan, x), nothing)
    return Outputs(y, states, in_the_end)


def _node_arrays(stack: Stack, level: int) -> dict[str, NDArray[Any]]:
    """Return W (1, nH, I), R (1, nH, H) and B (1, 2nH) of a node of n gates."""
    order = ORDERS[stack.cell["kind"]]
    parameters = stack.parameters
    bias = parameters[f"bias_l{level}"]
    of_hidden = np.zeros_like(bias)
    if f"bias_hn_l{level}" in parameters:
        of_hidden[-len(bias) // len(order.gates) :] = parameters[f"bias_hn_l{level}"]
    W, R, *B = (
        order.to_theirs(array, "onnx")
        for array in (
            parameters[f"weight_ih_l{level}"],
            parameters[f"weight_hh_l{level}"],
            bias,
            of_hidden,
        )
    )
    return {"W": W[None], "R": R[None], "B": np.concatenate(B)[None]}


def _node_attributes(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes by which a node differs from the standard's usual one."""
    if cell["kind"] == "gru":
        return {"linear_before_reset": int(cell["reset_after"])}
    if cell["kind"] == "rnn":
        return {"activations": ["Relu" if cell["relu"] else "Tanh"]}
    return {}


def _state_before(
    g: GraphBuilder, batch: Ragged, state: str, level: int, hidden_size: int, dtype: str
) -> str:
    """Return the h or c of one layer before the first step, (1, N', H)."""
    width = g.constant([hidden_size])
    part = g.add("Gather", state, g.constant([level]))
    part = g.add("Expand", part, g.add("Concat", g.constant([1]), batch.n_sequences, width, axis=0))
    extra = g.add("Concat", g.constant([1]), batch.n_extra, width, axis=0)
    return g.add("Concat", part, g.add("Expand", g.constant(0, dtype), extra), axis=1)


def only_real(g: GraphBuilder, batch: Ragged, value: str, axis: int) -> str:
    """Return a value without what was added so that there is a sequence at all."""
    begin = g.constant([0])
    return g.add("Slice", value, begin, batch.n_sequences, g.constant([axis]))
