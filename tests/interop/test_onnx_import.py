"""ONNX nodes as layers: what the standard says of them, and what a layer can't do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interop.drawing import assert_close, assert_same_parameters, drawn

from lstmcore.interop import from_onnx, to_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

I, H = 3, 5  # noqa: E741 - the names that the standard has
SHAPES: dict[str, list[Any]] = {
    "X": ["T", "N", I],
    "sequence_lens": ["N"],
    "initial_h": [1, "N", H],
    "initial_c": [1, "N", H],
    "W": [1, 4 * H, I],
}
NODE_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


def weights(dtype: Any = "float32", gates: int = 4, **changes: Any) -> dict[str, np.ndarray]:
    """Random constants of a node."""
    rng = np.random.default_rng(0)
    rows = gates * H
    shapes = {"W": (1, rows, I), "R": (1, rows, H), "B": (1, 2 * rows)}
    arrays = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    return {name: array for name, array in (arrays | changes).items() if array is not None}


def model_of(
    constants: dict[str, np.ndarray],
    inputs: tuple[str, ...] = ("X",),
    operator: str = "LSTM",
    opset: int = 18,
    **attributes: Any,
) -> Any:
    """A model of one node; what is neither constant nor an input is left out."""
    helper = onnx.helper
    dtype = next(iter(constants.values())).dtype if constants else np.dtype("float32")
    number = helper.np_dtype_to_tensor_dtype(dtype)
    used = [name if name in constants or name in inputs else "" for name in NODE_INPUTS]
    while used and not used[-1]:
        used.pop()
    types = {"sequence_lens": onnx.TensorProto.INT32}
    graph = helper.make_graph(
        [helper.make_node(operator, used, ["Y", "Y_h"], hidden_size=H, **attributes)],
        "one node",
        [helper.make_tensor_value_info(n, types.get(n, number), SHAPES[n]) for n in inputs],
        [helper.make_tensor_value_info("Y", number, list("TDNH"))],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model: Any, **inputs: np.ndarray) -> np.ndarray:
    """Y of a model, (T, directions, N, H)."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["Y"], inputs)[0]


def drawn_input(n_steps: int = 6, n_sequences: int = 4) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.normal(size=(n_steps, n_sequences, I)).astype(np.float32)


@pytest.mark.parametrize("opset", [7, 14, 18, 22])
@pytest.mark.parametrize("B", [True, False], ids=["bias", "no bias"])
def test_computes_the_same(B: bool, opset: int) -> None:
    model = model_of(weights() if B else weights(B=None), opset=opset)
    x = drawn_input()
    layer = from_onnx(model, n_jobs=1)
    assert_close(layer(x.swapaxes(0, 1))[0], run(model, X=x)[:, 0].swapaxes(0, 1))


OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("GRU", {}),
    ("GRU", {"linear_before_reset": 1}),
    ("RNN", {}),
    ("RNN", {"activations": ["Relu"]}),
    ("GRU", {"activations": ["Sigmoid", "Relu"], "clip": 0.5}),
    ("GRU", {"activations": ["HardSigmoid", "Softsign"], "linear_before_reset": 1, "clip": 1.0}),
    ("RNN", {"activations": ["Elu"], "activation_alpha": [0.5], "clip": 2.0}),
]


@pytest.mark.parametrize(("operator", "attributes"), OTHERS, ids=str)
@pytest.mark.parametrize("B", [True, False], ids=["bias", "no bias"])
def test_other_cells_compute_the_same(operator: str, attributes: dict[str, Any], B: bool) -> None:
    constants = weights(gates={"GRU": 3, "RNN": 1}[operator])
    constants = {
        name: array * (0.2 if attributes or operator == "RNN" else 1)
        for name, array in constants.items()
        if B or name != "B"
    }
    constants = {name: array.astype(np.float32) for name, array in constants.items()}
    model = model_of(constants, operator=operator, **attributes)
    x = drawn_input()
    layer = from_onnx(model)
    assert_close(layer(x.swapaxes(0, 1))[0], run(model, X=x)[:, 0].swapaxes(0, 1))


def test_lengths_and_states_are_up_to_the_call() -> None:
    inputs = ("X", "sequence_lens", "initial_h", "initial_c")
    model = model_of(weights(), inputs)
    x, lengths = drawn_input(), np.array([6, 2, 5, 1], np.int32)
    h, c = np.random.default_rng(1).normal(size=(2, 1, 4, H)).astype(np.float32)
    Y = run(model, X=x, sequence_lens=lengths, initial_h=h, initial_c=c)[:, 0]
    y, _ = from_onnx(model)([x[:length, n] for n, length in enumerate(lengths)], (h, c))
    for n, length in enumerate(lengths):
        assert_close(y[n], Y[:length, n])


def test_what_changes_nothing_is_taken() -> None:
    expected = from_onnx(model_of(weights()))
    for attributes in (
        {"direction": "forward"},
        {"activations": ["Sigmoid", "Tanh", "TANH"]},
        {"input_forget": 0},
        {"layout": 1},
        {"clip": 0.0},
    ):
        assert_same_parameters(from_onnx(model_of(weights(), **attributes)), expected)
    zeros = {
        "initial_h": np.zeros((1, 2, H), np.float32),
        "initial_c": np.zeros((1, 2, H), np.float32),
        "P": np.zeros((1, 3 * H), np.float32),
    }
    assert_same_parameters(from_onnx(model_of(weights(**zeros))), expected)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"activations": ["Sigmoid", "Sine", "Tanh"]}, "the activation 'sine'"),
    ],
    ids=str,
)
def test_what_a_layer_can_not_do_is_named(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(NotImplementedError, match=message):
        from_onnx(model_of(weights(), **attributes))


def test_directions_have_to_fit() -> None:
    with pytest.raises(ValueError, match="direction='sideways', which is none"):
        from_onnx(model_of(weights(), direction="sideways"))
    two = {name: np.concatenate([array, array]) for name, array in weights().items()}
    with pytest.raises(ValueError, match="do not fit together and to 1 directions"):
        from_onnx(model_of(two))


P = np.random.default_rng(7).normal(size=(1, 3 * H)).astype(np.float32)
WITH_OPTIONS: list[tuple[dict[str, np.ndarray], dict[str, Any]]] = [
    ({"P": P}, {}),
    ({"P": P}, {"clip": 0.5}),
    ({}, {"input_forget": 1}),
    ({"P": P}, {"input_forget": 1, "clip": 1.5}),
    ({}, {"activations": ["HardSigmoid", "Relu", "Softsign"]}),
    ({}, {"activations": ["HardSigmoid", "Elu", "Tanh"], "activation_alpha": [0.25, 0.5]}),
    (
        {},
        {
            "activations": ["Tanh", "LeakyRelu", "ScaledTanh"],
            "activation_alpha": [0.3, 1.5],
            "activation_beta": [0.5],
        },
    ),
]


@pytest.mark.parametrize(("constants", "attributes"), WITH_OPTIONS, ids=str)
def test_lstms_with_options(constants: dict[str, np.ndarray], attributes: dict[str, Any]) -> None:
    arrays = {name: array * np.float32(0.3) for name, array in weights(**constants).items()}
    model = model_of(arrays, ("X", "sequence_lens"), **attributes)
    x, lengths = drawn_input(), np.array([6, 2, 5, 1], np.int32)
    Y = run(model, X=x, sequence_lens=lengths)
    layer = from_onnx(model)
    y, _ = layer([x[:length, n] for n, length in enumerate(lengths)])
    for n, length in enumerate(lengths):
        assert_close(y[n], Y[:length, 0, n])
    assert_same_parameters(from_onnx(to_onnx(layer)), layer)


def test_activations_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="2 activations for 1 directions"):
        from_onnx(model_of(weights(), activations=["Tanh", "Tanh"]))
    with pytest.raises(ValueError, match="'scaledtanh' without alpha and beta"):
        from_onnx(model_of(weights(), activations=["Tanh", "ScaledTanh", "Tanh"]))


@pytest.mark.parametrize(
    ("constants", "inputs", "attributes", "message"),
    [
        (weights(W=None), ("X", "W"), {}, "W that is not constant"),
        (weights(R=np.ones((1, 4 * H, H + 1), np.float32)), ("X",), {}, "hidden_size=5, but R"),
        (weights(W=np.ones((1, 3 * H, I), np.float32)), ("X",), {}, "do not fit together"),
        (weights(B=np.ones((1, 4 * H), np.float32)), ("X",), {}, "do not fit together"),
        (weights(sequence_lens=np.array([1], np.int32)), ("X",), {}, "constant sequence_lens"),
        (weights(initial_h=np.ones((1, 1, H), np.float32)), ("X",), {}, "constant initial_h"),
        (
            weights(initial_c=np.ones((1, 1, H), np.float32)),
            ("X", "initial_h"),
            {},
            "constant initial_c",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_nodes(
    constants: dict[str, np.ndarray],
    inputs: tuple[str, ...],
    attributes: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        from_onnx(model_of(constants, inputs, **attributes))


def test_double_precision() -> None:
    layer = from_onnx(model_of(weights("float64")))
    assert layer.dtype == "float64"


def graph_of(nodes: list[Any], n_weights: int = 1, shape: str = "TDNH") -> Any:
    """A model of some nodes from X to Y, and the weights W0, R0, W1 ..."""
    helper = onnx.helper
    rng = np.random.default_rng(0)
    constants = []
    for level in range(n_weights):
        for name, size in (("W", H if level else I), ("R", H)):
            array = rng.normal(size=(1, 4 * H, size)).astype(np.float32)
            constants.append(onnx.numpy_helper.from_array(array, f"{name}{level}"))
    constants.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
    graph = helper.make_graph(
        [helper.make_node(*node[:3], **dict(node[3:])) for node in nodes],
        "some nodes",
        [helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, ["T", "N", I])],
        [helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, list(shape))],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


SIZE = ("hidden_size", H)
FIRST = ("LSTM", ["X", "W0", "R0"], ["a", "h"], SIZE)


def test_a_chain_of_nodes() -> None:
    model = graph_of(
        [
            FIRST,
            ("Squeeze", ["a", "one"], ["b"]),
            ("Identity", ["W1"], ["weights"]),
            ("LSTM", ["b", "weights", "R1"], ["c"], SIZE),
            ("Transpose", ["c"], ["d"], ("perm", [0, 2, 1, 3])),
            ("Relu", ["d"], ["Y"]),
        ],
        2,
        "TNDH",
    )
    layer = from_onnx(model)
    assert layer.num_layers == 2
    x = drawn_input()
    expected = run(model, X=x)[:, :, 0].swapaxes(0, 1)
    assert_close(np.maximum(layer(x.swapaxes(0, 1))[0], 0), expected)


@pytest.mark.parametrize(
    ("between", "message"),
    [
        ([("Squeeze", ["a", "one"], ["s"]), ("Relu", ["s"], ["b"])], "follows a node Relu"),
        ([("Squeeze", ["a", "one"], ["s"]), ("Transpose", ["s"], ["b"])], "a node Transpose"),
        ([("Identity", ["h"], ["b"])], "takes a final state"),
        ([("Identity", ["X"], ["b"])], "does not take what the recurrent node"),
    ],
    ids=range(4),
)
def test_nodes_that_are_no_chain(between: list[Any], message: str) -> None:
    last = ("LSTM", ["b", "W1", "R1"], ["Y"], SIZE)
    with pytest.raises(ValueError, match=message):
        from_onnx(graph_of([FIRST, *between, last], 2))


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must have an LSTM, GRU or RNN node, got \['Relu'\]"):
        from_onnx(graph_of([("Relu", ["X"], ["Y"])], shape="TNI"))
    with pytest.raises(TypeError, match=r"model_or_path must be an onnx\.ModelProto or a path"):
        from_onnx(3)
    with pytest.raises(FileNotFoundError):
        from_onnx(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="is no ONNX model"):
        from_onnx(tmp_path / "bad.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="not valid"):
        from_onnx(str(tmp_path / "empty.onnx"))


@pytest.mark.filterwarnings("ignore")  # of torch, about torch
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both"])
def test_torch_exports(kind: str, bidirectional: bool, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    cls = getattr(torch.nn, kind)
    module = cls(I, H, 2, batch_first=True, bidirectional=bidirectional).eval()
    x = torch.randn(2, 4, I)
    path = tmp_path / "torch.onnx"
    torch.onnx.export(module, (x,), path, dynamo=False)
    with torch.no_grad():
        expected = module(x)[0].numpy()
    assert_close(from_onnx(path)(x.numpy())[0], expected)


@pytest.mark.parametrize("operator", ["LSTM", "GRU", "RNN"])
def test_a_batch_that_comes_first(operator: str) -> None:
    """``layout=1``, which ONNX Runtime does not run: against the reference of the standard."""
    reference = pytest.importorskip("onnx.reference")
    constants = weights(gates={"LSTM": 4, "GRU": 3, "RNN": 1}[operator])
    model = model_of(constants, operator=operator, layout=1)
    model.graph.output[0].type.CopyFrom(
        onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, list("NTDH"))
    )
    x = drawn_input().swapaxes(0, 1)
    (Y,) = reference.ReferenceEvaluator(model).run(["Y"], {"X": x})
    assert_close(from_onnx(model)(x)[0], Y.reshape(4, 6, H))


def test_our_own_models_are_taken() -> None:
    layer = drawn((I, H, 3))
    assert_same_parameters(from_onnx(to_onnx(layer)), layer)
