"""ONNX graphs of recurrent nodes to layers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._extras import import_extra
from lstmcore.interop._onnx_nodes import CELLS, cell_options, direction_parameters
from lstmcore.interop._weights import ORDERS, as_floats, make_layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lstmcore.layers._recurrent import RecurrentLayer

# What may stand between recurrent nodes: nothing that computes. A batch may come first or second.
_RESHAPING = ("Identity", "Squeeze", "Unsqueeze", "Transpose", "Reshape")
_TRANSPOSED = ([1, 0, 2], [0, 2, 1, 3])
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


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
        If a node has what a layer here has not: an activation of another name, or other
        ``activations`` in one direction than in the other.
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
        # Those that are also inputs, as all were before IR version 4, may be left out by who runs
        # the graph: they count as what they are then.
        self._constants = {value.name: value for value in graph.initializer}

    def layer(self, n_jobs: int | None) -> RecurrentLayer[Any]:
        """Return the layer that the graph is."""
        recurrent = [node for node in self._nodes if node.op_type in CELLS]
        if not recurrent:
            found = sorted({node.op_type for node in self._nodes})
            raise ValueError(f"The graph must have an LSTM, GRU or RNN node, got {found}.")
        operator = recurrent[0].op_type
        options = self._options(recurrent[0], _name_of(recurrent[0]))
        parameters: dict[str, NDArray[Any]] = {}
        for level, node in enumerate(recurrent):
            name = _name_of(node)
            if node.op_type != operator or self._options(node, name) != options:
                raise ValueError(f"{name} is of another kind than the {operator} node before it.")
            if level:
                self._check_chain(recurrent[level - 1], node, name)
            for end, arrays in zip(
                ("", "_reverse"), self._arrays(node, name, options), strict=False
            ):
                parameters |= {f"{kind}_l{level}{end}": array for kind, array in arrays.items()}
        return make_layer(CELLS[operator], parameters, len(recurrent), n_jobs=n_jobs, **options)

    def _arrays(
        self, node: Any, name: str, options: dict[str, Any]
    ) -> list[dict[str, NDArray[Any]]]:
        """Return our arrays of each direction of a node, after a look at all else that it has."""
        given = dict(zip(_INPUTS, node.input, strict=False))
        W, R = (self._weight(given[key], key, name) for key in ("W", "R"))
        n_directions, hidden_size = 1 + options.get("bidirectional", False), R.shape[-1]
        told = self._attributes(node).get("hidden_size", hidden_size)
        if told != hidden_size:
            raise ValueError(f"{name} has hidden_size={told}, but R is for {hidden_size}.")
        n_rows = len(ORDERS[CELLS[node.op_type]].gates) * hidden_size
        B = np.zeros((n_directions, 2 * n_rows), W.dtype)
        if given.get("B"):
            B = self._weight(given["B"], "B", name)
        P = np.zeros((n_directions, 3 * hidden_size), W.dtype)
        if options.get("peephole"):
            P = self._weight(given["P"], "P", name)
        if (
            W.shape[:2] != (n_directions, n_rows)
            or R.shape != (n_directions, n_rows, hidden_size)
            or B.shape != (n_directions, 2 * n_rows)
            or P.shape != (n_directions, 3 * hidden_size)
        ):
            raise ValueError(
                f"{name} has W, R, B and P of the shapes {W.shape}, {R.shape}, {B.shape} and "
                f"{P.shape}, which do not fit together and to {n_directions} directions."
            )
        if given.get("sequence_lens") and self._constant(given["sequence_lens"]) is not None:
            raise ValueError(f"{name} has constant sequence_lens. Make them an input of the graph.")
        for key in ("initial_h", "initial_c"):
            state = self._constant(given[key]) if given.get(key) else None
            if state is not None and state.any():
                raise ValueError(
                    f"{name} has a constant {key}. Make it an input of the graph, and pass it as "
                    "the state when the layer is called."
                )
        return [
            direction_parameters(
                node.op_type, *arrays, P[way] if options.get("peephole") else None, options
            )
            for way, arrays in enumerate(zip(W, R, B, strict=True))
        ]

    def _attributes(self, node: Any) -> dict[str, Any]:
        """Return the attributes of a node by their names."""
        return {a.name: self._onnx.helper.get_attribute_value(a) for a in node.attribute}

    def _options(self, node: Any, name: str) -> dict[str, Any]:
        """Return the options of the layer that a node is."""
        given = dict(zip(_INPUTS, node.input, strict=False))
        attributes = self._attributes(node)
        direction = attributes.get("direction", b"forward").decode()
        if direction not in ("forward", "reverse", "bidirectional"):
            raise ValueError(f"{name} has direction={direction!r}, which is none.")
        n_directions = 2 if direction == "bidirectional" else 1
        options = cell_options(node.op_type, attributes, n_directions, name)
        if direction != "forward":
            options[direction] = True
        if given.get("P") and self._weight(given["P"], "P", name).any():
            options["peephole"] = True
        return options

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


def _name_of(node: Any) -> str:
    return f"The {node.op_type} node {node.name!r}"


def _only_reshapes(node: Any) -> bool:
    """Whether a node does no more than bring a sequence of vectors into another shape."""
    perms = [list(a.ints) for a in node.attribute if a.name == "perm"]
    return node.op_type in _RESHAPING and (
        node.op_type != "Transpose" or (bool(perms) and perms[0] in _TRANSPOSED)
    )
