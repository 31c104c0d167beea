"""Nodes and layers drawn at random: every attribute of the standard in company of any other.

Nodes against ONNX Runtime, layers as models against themselves. What is drawn is the same in every
run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from interop.drawing import assert_same_parameters, parts_of
from interop.test_onnx_export import check_layer

from lstmcore.interop import from_onnx, to_onnx
from lstmcore.layers import GRU, LSTM, RNN

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

DRAWN = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
N_ACTIVATIONS = {"LSTM": 3, "GRU": 2, "RNN": 1}
# All of the standard; which of alpha and beta they take.
ACTIVATIONS = {
    "Sigmoid": 0,
    "Tanh": 0,
    "Relu": 0,
    "Softsign": 0,
    "Softplus": 0,
    "LeakyRelu": 1,
    "ThresholdedRelu": 1,
    "Elu": 1,
    "HardSigmoid": 2,
    "ScaledTanh": 2,
    "Affine": 2,
}


@st.composite
def nodes(draw: Any) -> dict[str, Any]:
    """A node: the operator, its attributes, its sizes, and which inputs it has."""
    operator = draw(st.sampled_from(sorted(GATES)))
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    attributes: dict[str, Any] = {"direction": direction}
    if draw(st.booleans()):
        chosen = [
            draw(st.sampled_from(sorted(ACTIVATIONS))) for _ in range(N_ACTIVATIONS[operator])
        ]
        chosen *= 2 if direction == "bidirectional" else 1
        attributes["activations"] = chosen
        numbers = {
            name: [draw(st.sampled_from([0.25, 0.5, 0.75])) for _ in range(ACTIVATIONS[name])]
            for name in sorted(set(chosen))
        }
        for place, key in enumerate(("activation_alpha", "activation_beta")):
            values = [numbers[name][place] for name in chosen if ACTIVATIONS[name] > place]
            if values:
                attributes[key] = values
    if draw(st.booleans()):
        attributes["clip"] = draw(st.sampled_from([0.25, 0.5, 1.5]))
    if operator == "LSTM" and draw(st.booleans()):
        attributes["input_forget"] = 1
    if operator == "GRU" and draw(st.booleans()):
        attributes["linear_before_reset"] = 1
    inputs = {"X", "W", "R"}
    inputs |= {name for name in ("B", "sequence_lens", "initial_h") if draw(st.booleans())}
    if operator == "LSTM":
        inputs |= {name for name in ("initial_c", "P") if draw(st.booleans())}
    return {
        "operator": operator,
        "attributes": attributes,
        "sizes": (draw(st.integers(1, 4)), draw(st.integers(1, 9))),
        "inputs": inputs,
        "lengths": draw(st.lists(st.integers(1, 7), min_size=1, max_size=6)),
        "seed": draw(st.integers(0, 2**16)),
        # Of constants: initializers alone, also inputs as before IR version 4, or nodes.
        "constants": draw(st.sampled_from(["initializers", "inputs", "nodes"])),
        "opset": draw(st.sampled_from([7, 14, 22])),
    }


def arrays_of(node: dict[str, Any]) -> dict[str, np.ndarray]:
    """What goes into a node, by the names of the standard."""
    rng = np.random.default_rng(node["seed"])
    n_inputs, n_hidden = node["sizes"]
    D = 2 if node["attributes"]["direction"] == "bidirectional" else 1
    T, N, rows = max(node["lengths"]), len(node["lengths"]), GATES[node["operator"]] * n_hidden
    shapes = {
        "X": (T, N, n_inputs),
        "W": (D, rows, n_inputs),
        "R": (D, rows, n_hidden),
        "B": (D, 2 * rows),
        "initial_h": (D, N, n_hidden),
        "initial_c": (D, N, n_hidden),
        "P": (D, 3 * n_hidden),
    }
    scale = {"W": 0.4, "R": 0.5 / np.sqrt(n_hidden), "B": 0.3, "P": 0.3}
    arrays = {
        name: (scale.get(name, 1) * rng.normal(size=shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
    arrays["sequence_lens"] = np.array(node["lengths"], np.int32)
    return {name: array for name, array in arrays.items() if name in node["inputs"]}


def model_of(node: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """A model of a node, and what it is run on."""
    helper = onnx.helper
    order = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    names = [name if name in arrays else "" for name in order]
    while not names[-1]:
        names.pop()
    outputs = ["Y", "Y_h", "Y_c"] if node["operator"] == "LSTM" else ["Y", "Y_h"]
    constants = [name for name in ("W", "R", "B", "P") if name in arrays]
    tensors = [onnx.numpy_helper.from_array(arrays[name], name) for name in constants]
    before, initializers, older = [], [], node["constants"] == "inputs"
    if node["constants"] == "nodes":
        before = [
            helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in tensors
        ]
    else:
        initializers = tensors
    given = [name for name in arrays if older or name not in constants]
    recurrent = helper.make_node(
        node["operator"], names, outputs, hidden_size=node["sizes"][1], **node["attributes"]
    )
    graph = helper.make_graph(
        [*before, recurrent],
        "one node",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(arrays[name].dtype), arrays[name].shape
            )
            for name in given
        ],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(axes))
            for name, axes in zip(outputs, ("TDNH", "DNH", "DNH"), strict=False)
        ],
        initializers,
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", node["opset"])],
        ir_version=3 if older else 8,
    )


def run(model: Any, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Y and the final states."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = {value.name for value in session.get_inputs()}
    result: list[np.ndarray] = session.run(
        None, {name: array for name, array in arrays.items() if name in names}
    )
    return result


def assert_near(got: np.ndarray, expected: np.ndarray) -> None:
    """To a few roundings of the largest number: activations without a bound let numbers grow."""
    assert got.shape == expected.shape
    error = np.abs(got - expected).max(initial=0)
    assert error <= 1e-6 * max(1, np.abs(expected).max(initial=0))


@DRAWN
@given(node=nodes())
def test_nodes(node: dict[str, Any]) -> None:
    arrays = arrays_of(node)
    model = model_of(node, arrays)
    Y, *states = run(model, arrays)
    layer = from_onnx(model)
    T, D, N, H = Y.shape
    x, lengths = arrays["X"], node["lengths"] if "sequence_lens" in arrays else [T] * N
    zeros = np.zeros((D, N, H), np.float32)
    h, c = (arrays.get(f"initial_{part}", zeros) for part in "hc")
    y, after = layer(
        [x[:length, n] for n, length in enumerate(lengths)],
        (h, c) if node["operator"] == "LSTM" else h,
    )
    for n, length in enumerate(lengths):
        assert_near(y[n], Y[:length, :, n].reshape(length, D * H))
    for got, expected in zip(parts_of(after), states, strict=True):
        assert_near(got, expected)
    assert_same_parameters(from_onnx(to_onnx(layer)), layer)


def activation(draw: Any) -> Any:
    """An activation of ours."""
    return draw(
        st.sampled_from(
            [
                "sigmoid",
                "tanh",
                "relu",
                "softsign",
                "softplus",
                ("leaky_relu", 0.125),
                ("thresholded_relu", 0.25),
                ("elu", 0.5),
                ("hard_sigmoid", 0.25, 0.5),
                ("scaled_tanh", 1.5, 0.75),
                ("affine", 0.5, 0.25),
            ]
        )
    )


@st.composite
def layers(draw: Any) -> Any:
    """A layer with any options that ONNX knows, whose every parameter is random."""
    cls: Any = draw(st.sampled_from([LSTM, GRU, RNN]))
    options: dict[str, Any] = {"residual": draw(st.booleans())}
    how = draw(st.sampled_from(["", "bidirectional", "reverse"]))
    options |= {how: True} if how else {}
    if draw(st.booleans()):
        options["gate_clip"] = draw(st.sampled_from([0.5, 2.0]))
    names = {
        LSTM: ("gate_activation", "cell_activation", "output_activation"),
        GRU: ("gate_activation", "cell_activation"),
        RNN: ("nonlinearity",),
    }[cls]
    options |= {name: activation(draw) for name in names if draw(st.booleans())}
    flags = {LSTM: ("peephole", "coupled_gates"), GRU: ("reset_after",), RNN: ()}[cls]
    options |= {name: draw(st.booleans()) for name in flags}
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 7)), draw(st.integers(1, 3))
    layer = cls(*shape, **options)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    for values in layer.parameters.values():
        values[...] = 0.15 * rng.normal(size=values.shape)
    return layer


@DRAWN
@given(layer=layers(), lengths=st.lists(st.integers(0, 6), max_size=5), with_state=st.booleans())
@example(layer=LSTM(2, 3, 2, reverse=True, random_state=0), lengths=[0, 3, 0], with_state=True)
def test_layers(layer: Any, lengths: list[int], with_state: bool) -> None:
    shape = layer.input_size, layer.hidden_size, layer.num_layers
    check_layer(layer, shape, with_state, tuple(lengths))
    if not layer.residual or layer.num_layers == 1:
        again = from_onnx(to_onnx(layer))
        again.residual = layer.residual  # of one layer it is nothing
        assert_same_parameters(again, layer)
