"""The oracle of LSTMs with options against ONNX Runtime, whose operator has most of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference_cells
from cases import Case, assert_matches
from cell_cases import Problem, draw
from reference_cells import Cell

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

NAMES = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "hard_sigmoid": "HardSigmoid",
    "leaky_relu": "LeakyRelu",
    "scaled_tanh": "ScaledTanh",
    "affine": "Affine",
    "thresholded_relu": "ThresholdedRelu",
    "elu": "Elu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
WITH_ALPHA = {"hard_sigmoid", "leaky_relu", "scaled_tanh", "affine", "thresholded_relu", "elu"}
WITH_BETA = {"hard_sigmoid", "scaled_tanh", "affine"}

OPTIONS: list[dict[str, Any]] = [
    {"peephole": True},
    {"coupled_gates": True},
    {"coupled_gates": True, "peephole": True},
    {"gate_clip": 0.7},
    {"coupled_gates": True, "gate_clip": 0.9, "gate_activation": ("hard_sigmoid", 0.2, 0.5)},
    {"peephole": True, "gate_clip": 1.1, "output_activation": ("softsign", 0.0, 0.0)},
    {"gate_activation": ("hard_sigmoid", 1 / 6, 0.5), "cell_activation": ("relu", 0.0, 0.0)},
    {"cell_activation": ("elu", 1.3, 0.0), "output_activation": ("scaled_tanh", 1.7, 0.6)},
    {"cell_activation": ("leaky_relu", 0.1, 0.0), "output_activation": ("affine", 0.5, 0.1)},
    {"cell_activation": ("softplus", 0.0, 0.0), "output_activation": ("relu", 0.0, 0.0)},
    {"cell_activation": ("thresholded_relu", 0.3, 0.0), "gate_activation": ("tanh", 0.0, 0.0)},
]


def run_onnx(p: Problem) -> tuple[Any, Any, Any]:
    """y, h_n and c_n of sequences of equal length."""
    weights = p.split(p.parameters.astype(np.float32))[0]
    n_hidden = p.case.hidden_sizes[0]
    coupled = p.cell.get("coupled_gates", False)

    def gates(array: Any) -> Any:
        """Ours in the operator's order i, o, f, g; a coupled f is not looked at."""
        i, *f, g, o = np.split(array, p.cell.n_gates)
        return np.concatenate([i, o, f[0] if f else np.ones_like(i), g])[None]

    bias = gates(weights["bias"])
    inputs = {
        "X": p.x.astype(np.float32).reshape(len(p.n_active), p.n_sequences, -1),
        "W": gates(weights["weight_ih"]),
        "R": gates(weights["weight_hh"]),
        "B": np.concatenate([bias, np.zeros_like(bias)], axis=1),
        "h_0": p.h0[0].astype(np.float32)[None],
        "c_0": p.c0[0].astype(np.float32)[None],
    }
    if p.cell.get("peephole"):
        i, *f, o = np.split(weights["peephole"], p.cell.n_gates - 1)
        inputs["P"] = np.concatenate([i, o, f[0] if f else np.zeros_like(i)])[None]
    usual = {"gate": "sigmoid", "cell": "tanh", "output": "tanh"}
    activations = [
        p.cell.get(f"{which}_activation", (name, 0.0, 0.0)) for which, name in usual.items()
    ]
    attributes: dict[str, Any] = {
        "hidden_size": n_hidden,
        "input_forget": int(coupled),
        "activations": [NAMES[name] for name, _, _ in activations],
        "activation_alpha": [a for name, a, _ in activations if name in WITH_ALPHA],
        "activation_beta": [b for name, _, b in activations if name in WITH_BETA],
    }
    if p.cell.get("gate_clip"):
        attributes["clip"] = p.cell.get("gate_clip")
    given = {name: value for name, value in attributes.items() if value != []}
    names = ["X", "W", "R", "B", "", "h_0", "c_0", "P" if "P" in inputs else ""]
    node = onnx.helper.make_node("LSTM", names, ["Y", "h_n", "c_n"], **given)
    float32 = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "lstm",
        [onnx.helper.make_tensor_value_info(k, float32, v.shape) for k, v in inputs.items()],
        [onnx.helper.make_tensor_value_info(k, float32, None) for k in ("Y", "h_n", "c_n")],
    )
    opsets = [onnx.helper.make_opsetid("", 14)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    y, h_n, c_n = session.run(None, inputs)
    return y.reshape(-1, n_hidden), h_n[0], c_n[0]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_oracle_is_onnx_runtimes(options: dict[str, Any]) -> None:
    problem = draw(Cell("lstm", tuple(options.items())), Case("onnx", 3, (5,), (6,) * 4))
    weights = problem.split(problem.parameters)
    y, h_n, c_n, _ = reference_cells.stack_forward(
        problem.cell, weights, problem.x, problem.n_active, problem.h0, problem.c0
    )
    expected = dict(zip(("y", "h_n", "c_n"), run_onnx(problem), strict=True))
    assert_matches({"y": y, "h_n": h_n[0], "c_n": c_n[0]}, expected, 1e-5)
