"""An ONNX graph of one LSTM node, for the runtimes that read ONNX."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..problem import Array, Problem


def _reorder(rows: Array) -> Array:
    """Gates i, f, g, o to ONNX's i, o, f, c, with the axis of directions in front."""
    i, f, g, o = np.split(rows, 4)
    return np.concatenate([i, o, f, g])[None]


def lstm_model(problem: Problem, streaming: bool = False) -> bytes:
    """A serialised model of the problem's layer.

    Parameters
    ----------
    problem : Problem
        The weights, baked into the model as constants.
    streaming : bool, default=False
        One step with state in and out (``x, h, c`` to ``y, h_out, c_out``); else whole sequences
        (``x`` to ``y``, with ``lengths`` for a ragged batch).
    """
    shape = problem.shape
    steps, n, hidden = (1 if streaming else shape.T), shape.N, shape.H
    biases = np.concatenate([_reorder(problem.bias), np.zeros((1, 4 * hidden), np.float32)], 1)
    constants = {"w": _reorder(problem.weight_ih), "r": _reorder(problem.weight_hh), "b": biases}
    ragged = not (problem.equal or streaming)

    def value(name: str, *dims: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)

    given = [value("x", steps, n, shape.I)]
    made = [value("y", steps, 1, n, hidden)]
    node_in, node_out = ["x", "w", "r", "b", "", "", ""], ["y", "", ""]
    if streaming:
        given += [value("h", 1, n, hidden), value("c", 1, n, hidden)]
        made += [value("h_out", 1, n, hidden), value("c_out", 1, n, hidden)]
        node_in[5:], node_out[1:] = ["h", "c"], ["h_out", "c_out"]
    if ragged:
        given.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, [n]))
        node_in[4] = "lengths"
    while not node_in[-1]:
        node_in.pop()
    while not node_out[-1]:
        node_out.pop()
    node = helper.make_node("LSTM", node_in, node_out, hidden_size=hidden)
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph([node], "lstm", given, made, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    serialised: bytes = model.SerializeToString()
    return serialised
