"""The oracle of cells with options against ONNX Runtime, whose operators have most of them."""

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


OTHERS = [
    Cell("gru", (("gate_clip", 0.8),)),
    Cell("gru", (("reset_after", False), ("gate_clip", 0.8))),
    Cell("gru", (("gate_activation", ("hard_sigmoid", 0.2, 0.5)),)),
    Cell("gru", (("cell_activation", ("softsign", 0.0, 0.0)), ("reset_after", False))),
    Cell("rnn", (("cell_activation", ("elu", 0.7, 0.0)), ("gate_clip", 0.9))),
    Cell("rnn", (("relu", True), ("gate_clip", 0.9))),
]


def run_onnx(p: Problem) -> tuple[Any, ...]:
    """y and the final states of sequences of equal length."""
    weights = p.split(p.parameters.astype(np.float32))[0]
    n_hidden, n_gates = p.case.hidden_sizes[0], p.cell.n_gates

    def gates(array: Any) -> Any:
        """Ours in the operator's order, i, o, f, g or z, r, n; a coupled f is not looked at."""
        parts = np.split(array, n_gates)
        if p.cell.kind == "lstm":
            i, *f, g, o = parts
            parts = [i, o, f[0] if f else np.ones_like(i), g]
        elif p.cell.kind == "gru":
            parts = [parts[1], parts[0], parts[2]]
        return np.concatenate(parts)[None]

    bias = gates(weights["bias"])
    of_hidden = np.zeros_like(bias)
    if "bias_hn" in weights:
        of_hidden[:, -n_hidden:] = weights["bias_hn"]
    inputs = {
        "X": p.x.astype(np.float32).reshape(len(p.n_active), p.n_sequences, -1),
        "W": gates(weights["weight_ih"]),
        "R": gates(weights["weight_hh"]),
        "B": np.concatenate([bias, of_hidden], axis=1),
        "h_0": p.h0[0].astype(np.float32)[None],
    }
    usual = {"gate": "sigmoid", "cell": "relu" if p.cell.get("relu") else "tanh", "output": "tanh"}
    which = {"lstm": ["gate", "cell", "output"], "gru": ["gate", "cell"], "rnn": ["cell"]}
    activations = [
        p.cell.get(f"{name}_activation", (usual[name], 0.0, 0.0)) for name in which[p.cell.kind]
    ]
    attributes: dict[str, Any] = {
        "hidden_size": n_hidden,
        "activations": [NAMES[name] for name, _, _ in activations],
        "activation_alpha": [a for name, a, _ in activations if name in WITH_ALPHA],
        "activation_beta": [b for name, _, b in activations if name in WITH_BETA],
    }
    names, outputs = ["X", "W", "R", "B", "", "h_0"], ["Y", "h_n"]
    if p.cell.kind == "lstm":
        inputs["c_0"] = p.c0[0].astype(np.float32)[None]
        attributes["input_forget"] = int(p.cell.get("coupled_gates", False))
        names, outputs = [*names, "c_0"], [*outputs, "c_n"]
    if p.cell.kind == "gru":
        attributes["linear_before_reset"] = int(p.cell.get("reset_after", True))
    if p.cell.get("peephole"):
        i, *f, o = np.split(weights["peephole"], n_gates - 1)
        inputs["P"] = np.concatenate([i, o, f[0] if f else np.zeros_like(i)])[None]
        names.append("P")
    if p.cell.get("gate_clip"):
        attributes["clip"] = p.cell.get("gate_clip")
    given = {name: value for name, value in attributes.items() if value != []}
    node = onnx.helper.make_node(p.cell.kind.upper(), names, outputs, **given)
    float32 = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "cell",
        [onnx.helper.make_tensor_value_info(k, float32, v.shape) for k, v in inputs.items()],
        [onnx.helper.make_tensor_value_info(k, float32, None) for k in outputs],
    )
    opsets = [onnx.helper.make_opsetid("", 14)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    y, *states = session.run(None, inputs)
    return y.reshape(-1, n_hidden), *(state[0] for state in states)


LSTMS = [Cell("lstm", tuple(options.items())) for options in OPTIONS]


@pytest.mark.parametrize("cell", [*LSTMS, *OTHERS], ids=str)
def test_oracle_is_onnx_runtimes(cell: Cell) -> None:
    problem = draw(cell, Case("onnx", 3, (5,), (6,) * 4))
    weights = problem.split(problem.parameters)
    y, h_n, c_n, _ = reference_cells.stack_forward(
        cell, weights, problem.x, problem.n_active, problem.h0, problem.c0
    )
    names = ("y", "h_n", "c_n")
    expected = dict(zip(names, run_onnx(problem), strict=False))
    ours = dict(zip(names, (y, h_n[0], c_n[0]), strict=True))
    assert_matches({name: ours[name] for name in expected}, expected, 1e-5)
