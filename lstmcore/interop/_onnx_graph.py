"""Writing an ONNX graph node by node, with names that make themselves."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._extras import import_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Widely known, and the first in which all reductions take their axes alike.
OPSET = 18
IR_VERSION = 8


class GraphBuilder:
    """An ONNX graph in the making; every value in it is known by its name, a string.

    Examples
    --------
    >>> from lstmcore.interop._onnx_graph import GraphBuilder
    >>> graph = GraphBuilder()  # doctest: +SKIP
    >>> x = graph.input("x", "float32", ["N"])  # doctest: +SKIP
    >>> graph.output(graph.add("Tanh", x), "y", "float32", ["N"])  # doctest: +SKIP
    >>> model = graph.model("tanh")  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self._onnx = import_extra("onnx", "onnx", "to_onnx")
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def type_of(self, dtype: str) -> int:
        """Return the number that ONNX has for the name of a dtype, "string" among them."""
        if dtype == "string":
            return int(self._onnx.TensorProto.STRING)
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def input(
        self, name: str, dtype: str, shape: list[int | str], default: NDArray[Any] | None = None
    ) -> str:
        """Add an input; one with a default may be left out by those who run the model."""
        self._inputs.append(
            self._onnx.helper.make_tensor_value_info(name, self.type_of(dtype), shape)
        )
        if default is not None:
            self._initializers[name] = self._onnx.numpy_helper.from_array(default, name)
        return name

    def output(self, value: str, name: str, dtype: str, shape: list[int | str]) -> None:
        """Make a value an output."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append(
            self._onnx.helper.make_tensor_value_info(name, self.type_of(dtype), shape)
        )

    def constant(self, value: Any, dtype: str | None = None, *, name: str = "constant") -> str:
        """Return a constant; equal ones are one."""
        array = np.array(value, dtype)
        if array.dtype.kind == "O":
            return self._initializer(array, name)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self._initializer(array, name)
        return self._constants[key]

    def _initializer(self, array: NDArray[Any], name: str) -> str:
        if name in self._initializers:
            name = f"{name}_{len(self._initializers)}"
        self._initializers[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, which is returned."""
        return self.add_many(operator, *inputs, n_outputs=1, **attributes)[0]

    def add_many(
        self, operator: str, *inputs: str, n_outputs: int, **attributes: Any
    ) -> tuple[str, ...]:
        """Add a node with several outputs."""
        count = len(self._nodes)
        names = tuple(f"{operator}_{count}_{i}" for i in range(n_outputs))
        self._nodes.append(
            self._onnx.helper.make_node(
                operator, inputs, names, name=f"{operator}_{count}", **attributes
            )
        )
        return names

    def model(self, name: str) -> Any:
        """Return the model, checked."""
        graph = self._onnx.helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, list(self._initializers.values())
        )
        model = self._onnx.helper.make_model(
            graph,
            producer_name="lstmcore",
            producer_version=version("lstmcore"),
            opset_imports=[self._onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        self._onnx.checker.check_model(model, full_check=True)
        return model
