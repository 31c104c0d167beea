"""The recurrent layers as ONNX nodes, over sequences of any lengths.

What runtimes do with a recurrent node differs where the standard is silent, and ONNX Runtime has
quirks of its own. The graph holds against all that:

- a sequence of length 0, which is refused or gives zeros for a state: the node is told 1, and its
  results are replaced by the state before;
- a batch of no sequences, at which ONNX Runtime ends the process: the node gets one of zeros;
- what stands behind the end of a sequence goes in as 0 and comes out as 0;
- the final h, which OpenVINO takes from the last step of the array: it is picked out of Y. Its
  final c can't be, and is wrong there for sequences that end before;
- NaN, which ONNX Runtime turns into a number: put back from the step on at which it came, and in
  a direction that runs backward up to that step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore.interop._onnx_nodes import OPERATORS, node_arrays, node_attributes
from lstmcore.interop._weights import direction_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lstmcore.interop._onnx_graph import GraphBuilder


@dataclass(frozen=True, slots=True)
class Stack:
    """Recurrent layers as they are to be written.

    Parameters
    ----------
    cell : dict
        As the core takes it.
    parameters : mapping of name to ndarray
        By the names of the layers' own.
    n_layers : int
        Number of layers.
    bidirectional : bool, default=False
        Whether each layer runs in both directions.
    residual : bool, default=False
        Whether what a layer above the first reads is added to what it puts out.
    reverse : bool, default=False
        Whether the layers read from the end to the start.
    """

    cell: Mapping[str, Any]
    parameters: Mapping[str, NDArray[Any]]
    n_layers: int
    bidirectional: bool = False
    residual: bool = False
    reverse: bool = False

    @property
    def n_directions(self) -> int:
        """Number of directions D."""
        return 2 if self.bidirectional else 1

    @property
    def reads_backward(self) -> list[bool]:
        """For each direction whether it goes from the end to the start."""
        return [False, True] if self.bidirectional else [self.reverse]


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
    first, last : str
        (T, N', 1), bool: whether a step is the first one, the last one of its sequence.
    bad : str
        (T, N', 1), float32: more than 0 where a value was NaN.
    """

    x: str
    n_sequences: str
    n_steps: str
    n_extra: str
    lengths: str
    alive: str
    first: str
    last: str
    bad: str


@dataclass(frozen=True, slots=True)
class Outputs:
    """Names of what a stack of layers of D directions puts out.

    Parameters
    ----------
    y : str
        (T, N', D * H), of the last layer; 0 behind the end of a sequence.
    last : str
        (N', D * H): of each direction the output that it came to last; 0 where there is no step.
    states : list of tuple of str
        For each layer the final h, and c where there is one, (D, N', H) each.
    spoiled : str
        (N', 1), bool: whether a value of the sequence was NaN.
    """

    y: str
    last: str
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
    first = g.add("And", g.add("Equal", steps, zero), alive)
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
    x = g.add("Where", alive, x, nothing)
    return Ragged(x, n, n_steps, n_extra, lengths, alive, first, last, bad)


def recurrent_layers(
    g: GraphBuilder,
    batch: Ragged,
    stack: Stack,
    state: Sequence[tuple[str, ...]] | None,
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
    state : sequence of tuple of str, or None
        For each layer h, and c where there is one, before the first step, (D, N, H) or (D, 1, H);
        None is zeros.
    dtype : str
        Of all numbers.

    Returns
    -------
    outputs : Outputs
        Names of what was added.
    """
    one, nan, nothing = g.constant([1]), g.constant(np.nan, dtype), g.constant(0, dtype)
    ended = g.add("Greater", batch.lengths, g.constant([0]))
    ended = g.add("Unsqueeze", ended, g.constant([0, 2]))  # (1, N', 1): whether there was a step
    at_least_one = g.add("Min", g.add("Max", batch.lengths, one), batch.n_steps)
    lengths = g.add("Cast", at_least_one, to=g.type_of("int32"))
    alive = g.add("Unsqueeze", batch.alive, one)
    ways = [batch.first if backward else batch.last for backward in stack.reads_backward]
    # (T, D, N', 1): whether a direction is at the end of its way
    at_end = _side_by_side(g, ways)
    x, bad = batch.x, batch.bad
    outputs, states = "", []
    operator, n_outputs = OPERATORS[stack.cell["kind"]]
    attributes = node_attributes(stack.cell, stack.reads_backward)
    names = direction_names(stack.n_layers, bidirectional=stack.bidirectional)
    for level, ends in enumerate(names):
        arrays = node_arrays(stack.cell, stack.parameters, ends)
        n_hidden = arrays["R"].shape[-1]
        before = [
            _state_before(g, batch, part, len(ends), n_hidden, dtype)
            for part in (state[level] if state else ())
        ]
        constants = {
            name: g.constant(array, dtype, name=f"{name}_l{level}")
            for name, array in arrays.items()
        }
        inputs = [x, *(constants[name] for name in "WRB"), lengths, *before]
        if "P" in constants:
            inputs += [""] * (7 - len(inputs)) + [constants["P"]]
        # y and everything of all directions: (T, D, N', H)
        y, _, *cell_states = g.add_many(
            operator,
            *inputs,
            n_outputs=n_outputs,
            hidden_size=n_hidden,
            **attributes,
        )
        spoiled = _spoiled(g, bad, before, stack.reads_backward)
        harmed = g.add("And", spoiled, alive)
        in_the_end = _any(g, harmed, 0)  # (D, N', 1)
        for part in before:
            in_the_end = g.add("Or", in_the_end, _has_nan(g, part))
        final_h = g.add(
            "ReduceSum", g.add("Where", at_end, y, nothing), g.constant([0]), keepdims=0
        )
        new = [g.add("Where", in_the_end, nan, part) for part in (final_h, *cell_states)]
        old = before or [nothing] * len(new)
        states.append(tuple(g.add("Where", ended, *pair) for pair in zip(new, old, strict=True)))
        outputs = g.add("Add", y, outputs) if stack.residual and level else y
        x = _flat(g, outputs, stack.n_directions, n_hidden)
        bad = g.add("Cast", _any(g, harmed, 1), to=g.type_of("float32"))
    y = g.add("Where", spoiled, nan, outputs)
    last = g.add("ReduceSum", g.add("Where", at_end, y, nothing), g.constant([0]), keepdims=1)
    y = g.add("Where", batch.alive, _flat(g, y, stack.n_directions, n_hidden), nothing)
    last = g.add("Squeeze", _flat(g, last, stack.n_directions, n_hidden), g.constant([0]))
    return Outputs(y, last, states, _any(g, in_the_end, 0))


def _side_by_side(g: GraphBuilder, values: list[str]) -> str:
    """Return (T, D, N', 1) of D values (T, N', 1)."""
    parts = [g.add("Unsqueeze", value, g.constant([1])) for value in values]
    return parts[0] if len(parts) == 1 else g.add("Concat", *parts, axis=1)


def _flat(g: GraphBuilder, value: str, n_directions: int, n_hidden: int) -> str:
    """Return (T, D, N', H) as (T, N', D * H)."""
    if n_directions == 1:
        return g.add("Squeeze", value, g.constant([1]))
    value = g.add("Transpose", value, perm=[0, 2, 1, 3])
    return g.add("Reshape", value, g.constant([0, 0, n_directions * n_hidden]))


def _any(g: GraphBuilder, value: str, axis: int) -> str:
    """Return whether something is true along an axis, which is gone; none of nothing is."""
    # A sum and not a maximum: that of nothing is defined.
    number = g.add("Cast", value, to=g.type_of("float32"))
    number = g.add("ReduceSum", number, g.constant([axis]), keepdims=0)
    return g.add("Greater", number, g.constant(0, "float32"))


def _has_nan(g: GraphBuilder, state: str) -> str:
    """Return (D, N', 1), whether a state (D, N', H) holds NaN."""
    return g.add("Unsqueeze", _any(g, g.add("IsNaN", state), 2), g.constant([2]))


def _spoiled(g: GraphBuilder, bad: str, before: list[str], reads_backward: list[bool]) -> str:
    """Return (T, D, N', 1), whether NaN has reached a step from its input or from the state."""
    ways = []
    for backward in reads_backward:
        so_far = g.add("CumSum", bad, g.constant(0), reverse=int(backward))
        ways.append(g.add("Greater", so_far, g.constant(0, "float32")))
    spoiled = _side_by_side(g, ways)
    for part in before:
        spoiled = g.add("Or", spoiled, g.add("Unsqueeze", _has_nan(g, part), g.constant([0])))
    return spoiled


def _state_before(
    g: GraphBuilder, batch: Ragged, state: str, n_directions: int, n_hidden: int, dtype: str
) -> str:
    """Return the h or c of one layer before the first step, (D, N', H)."""
    count, width = g.constant([n_directions]), g.constant([n_hidden])
    part = g.add("Expand", state, g.add("Concat", count, batch.n_sequences, width, axis=0))
    extra = g.add("Concat", count, batch.n_extra, width, axis=0)
    return g.add("Concat", part, g.add("Expand", g.constant(0, dtype), extra), axis=1)


def final_hidden(g: GraphBuilder, outputs: Outputs, stack: Stack) -> str:
    """Return h of the last layer in the end, (N', D * H): before the first step where is none."""
    n_hidden = stack.n_directions * stack.parameters[f"weight_hh_l{stack.n_layers - 1}"].shape[1]
    side_by_side = g.add("Transpose", outputs.states[-1][0], perm=[1, 0, 2])
    return g.add("Reshape", side_by_side, g.constant([0, n_hidden]))


def only_real(g: GraphBuilder, batch: Ragged, value: str, axis: int) -> str:
    """Return a value without what was added so that there is a sequence at all."""
    begin = g.constant([0])
    return g.add("Slice", value, begin, batch.n_sequences, g.constant([axis]))
