"""ONNX graphs of recurrent nodes to layers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._extras import import_extra
from lstmcore.interop._weights import ORDERS, as_floats, joined_biases, make_layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lstmcore.layers._recurrent import RecurrentLayer

_CELLS = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn"}
# What may stand between recurrent nodes: nothing that computes. A batch may come first or second.
_RESHAPING = ("Identity", "Squeeze", "Unsqueeze", "Transpose", "Reshape")
_TRANSPOSED = ([1, 0, 2], [0, 2, 1, 3])
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_ACTIVATIONS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}


def from_onnx(model_or_path: Any, *, n_jobs: int | None = None) -> RecurrentLayer[Any]:
    """Make a layer of the LSTM, GRU or RNN node of an ONNX graph, or of several in a row.

    What the graph does before the first of them and after the last one is no part of the layer,
    which takes and returns (N, T, I) whatever the layout of the nodes. Lengths and initial states
    are up to each call of the layer.

    Parameters
    ----------
    model_or_path : onnx.ModelProto, or path-like
        The model, or the file that holds it.
    n_jobs : int or None, default=None
        Threads of the layer.

    Returns
    -------
    layer : lstmcore.layers.LSTM, GRU or RNN
        With float64 parameters if the nodes' are double, else float32. Of two biases that are only
        ever added, it has the sum.

    Raises
    ------
    ImportError
        If onnx is not installed.
    NotImplementedError
        If a node has what a layer here has not: another direction than forward, peepholes ``P``,
        ``clip``, ``input_forget``, or other ``activations``.
    ValueError
        If the model is not valid, has nodes that compute something between the recurrent ones, or
        recurrent nodes of several kinds, weights that are not constant, or lengths or initial
        states that are.
    OSError
        If the file can't be read.

    Examples
    --------
    >>> from lstmcore.interop import from_onnx, to_onnx
    >>> from lstmcore.layers import LSTM
    >>> from_onnx(to_onnx(LSTM(3, 8)))  # doctest: +SKIP
    LSTM(3, 8, num_layers=1, dtype='float32', n_jobs=None)
    """
    onnx = import_extra("onnx", "onnx", "from_onnx")
    model = model_or_path
    if isinstance(model, str | os.PathLike):
        try:
            model = onnx.load(os.fspath(model))
        except OSError:
            raise
        except Exception as error:  # protobuf's own, of several kinds
            raise ValueError(f"{os.fspath(model_or_path)!r} is no ONNX model: {error}") from error
    if not isinstance(model, onnx.ModelProto):
        raise TypeError(
            f"model_or_path must be an onnx.ModelProto or a path, got {type(model).__name__}."
        )
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ValueError(f"The ONNX model is not valid: {error}") from error
    return _Reader(onnx, model.graph).layer(n_jobs)


class _Reader:
    """The graph, and what its values are."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx = onnx
        self._nodes = list(graph.node)
        self._producers = {name: node for node in graph.node for name in node.output if name}
        self._inputs = {value.name for value in graph.input}
        self._constants = {
            value.name: value for value in graph.initializer if value.name not in self._inputs
        }

    def layer(self, n_jobs: int | None) -> RecurrentLayer[Any]:
        """Return the layer that the graph is."""
        recurrent = [node for node in self._nodes if node.op_type in _CELLS]
        if not recurrent:
            found = sorted({node.op_type for node in self._nodes})
            raise ValueError(f"The graph must have an LSTM, GRU or RNN node, got {found}.")
        operator, options = recurrent[0].op_type, self._options(recurrent[0])
        parameters: dict[str, NDArray[Any]] = {}
        for level, node in enumerate(recurrent):
            name = f"The {node.op_type} node {node.name!r}"
            if node.op_type != operator or self._options(node) != options:
                raise ValueError(f"{name} is of another kind than the {operator} node before it.")
            if level:
                self._check_chain(recurrent[level - 1], node, name)
            for kind, array in self._arrays(node, name).items():
                parameters[f"{kind}_l{level}"] = array
        return make_layer(_CELLS[operator], parameters, len(recurrent), n_jobs=n_jobs, **options)

    def _arrays(self, node: Any, name: str) -> dict[str, NDArray[Any]]:
        """Return our arrays of one node, after a look at everything else that it has."""
        given = dict(zip(_INPUTS, node.input, strict=False))
        W, R = (self._weight(given[key], key, name) for key in ("W", "R"))
        attributes = self._attributes(node)
        _check_attributes(attributes, R.shape[-1], node.op_type, name)
        if len(W) != 1:
            raise NotImplementedError(f"{name} has {len(W)} directions: a layer here has one.")
        order = ORDERS[_CELLS[node.op_type]]
        n_rows = len(order.gates) * R.shape[-1]
        B = np.zeros((1, 2 * n_rows), W.dtype)
        if given.get("B"):
            B = self._weight(given["B"], "B", name)
        if W.shape[1] != n_rows or R.shape[1] != n_rows or B.shape != (1, 2 * n_rows):
            raise ValueError(
                f"{name} has W, R and B of the shapes {W.shape}, {R.shape} and {B.shape}, which do "
                "not fit together."
            )
        if given.get("P") and self._weight(given["P"], "P", name).any():
            raise NotImplementedError(f"{name} has peepholes P: a layer here has none.")
        if given.get("sequence_lens") and self._constant(given["sequence_lens"]) is not None:
            raise ValueError(f"{name} has constant sequence_lens. Make them an input of the graph.")
        for key in ("initial_h", "initial_c"):
            state = self._constant(given[key]) if given.get(key) else None
            if state is not None and state.any():
                raise ValueError(
                    f"{name} has a constant {key}. Make it an input of the graph, and pass it as "
                    "the state when the layer is called."
                )
        weight_ih, weight_hh, *biases = (
            order.to_ours(array, "onnx") for array in (W[0], R[0], B[0, :n_rows], B[0, n_rows:])
        )
        resets_after = bool(attributes.get("linear_before_reset"))
        biases_of_ours = joined_biases(*biases, resets_after=resets_after)
        return {"weight_ih": weight_ih, "weight_hh": weight_hh, **biases_of_ours}

    def _attributes(self, node: Any) -> dict[str, Any]:
        """Return the attributes of a node by their names."""
        return {a.name: self._onnx.helper.get_attribute_value(a) for a in node.attribute}

    def _options(self, node: Any) -> dict[str, Any]:
        """Return the options of the layer that a node is."""
        attributes = self._attributes(node)
        if node.op_type == "GRU":
            return {"reset_after": bool(attributes.get("linear_before_reset"))}
        if node.op_type == "RNN":
            relu = [text.lower() for text in attributes.get("activations", [])] == [b"relu"]
            return {"nonlinearity": "relu" if relu else "tanh"}
        return {}

    def _constant(self, name: str) -> NDArray[Any] | None:
        """Return a value that is known from the graph alone, else None."""
        array: NDArray[Any] | None = None
        node = self._producers.get(name)
        if name in self._constants:
            array = self._onnx.numpy_helper.to_array(self._constants[name])
        elif node is None:
            return None
        elif node.op_type == "Identity":
            array = self._constant(node.input[0])
        elif node.op_type == "Constant" and node.attribute[0].name == "value":
            array = self._onnx.numpy_helper.to_array(node.attribute[0].t)
        return array

    def _weight(self, value: str, key: str, name: str) -> NDArray[Any]:
        array = self._constant(value)
        if array is None:
            raise ValueError(f"{name} has {key} that is not constant but computed or an input.")
        return as_floats(array, key)

    def _check_chain(self, before: Any, node: Any, name: str) -> None:
        """Refuse a recurrent node that does not take what the one before puts out."""
        value = node.input[0]
        while (producer := self._producers.get(value)) is not None:
            if producer is before:
                if value != before.output[0]:
                    raise ValueError(f"{name} takes a final state of the node before it.")
                return
            if not _only_reshapes(producer):
                raise ValueError(f"{name} follows a node {producer.op_type}, which a layer is not.")
            value = producer.input[0]
        raise ValueError(f"{name} does not take what the recurrent node before it puts out.")


def _only_reshapes(node: Any) -> bool:
    """Whether a node does no more than bring a sequence of vectors into another shape."""
    perms = [list(a.ints) for a in node.attribute if a.name == "perm"]
    return node.op_type in _RESHAPING and (
        node.op_type != "Transpose" or (bool(perms) and perms[0] in _TRANSPOSED)
    )


def _check_attributes(
    attributes: dict[str, Any], hidden_size: int, operator: str, name: str
) -> None:
    """Refuse what a layer does not do."""
    direction = attributes.get("direction", b"forward").decode()
    if direction != "forward":
        raise NotImplementedError(f"{name} has direction={direction!r}: a layer here runs forward.")
    if attributes.get("clip"):
        raise NotImplementedError(f"{name} has clip={attributes['clip']}: a layer here has none.")
    if attributes.get("input_forget"):
        raise NotImplementedError(f"{name} has input_forget=1: a layer here has a forget gate.")
    activations = [text.decode().lower() for text in attributes.get("activations", [])]
    usual = _ACTIVATIONS[operator]
    if activations not in ([], usual) and (operator, activations) != ("RNN", ["relu"]):
        raise NotImplementedError(
            f"{name} has activations={activations}: a layer here has {usual}."
        )
    if attributes.get("hidden_size", hidden_size) != hidden_size:
        raise ValueError(
            f"{name} has hidden_size={attributes['hidden_size']}, but R is for {hidden_size}."
        )
