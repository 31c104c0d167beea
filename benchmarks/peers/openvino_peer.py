"""OpenVINO on the CPU: the ONNX node compiled for latency, float32 forced.

Left to itself it computes in bfloat16 where the processor can, which would be another task.
"""

from __future__ import annotations

import numpy as np
import openvino as ov

from ..problem import Problem
from .base import Operation, Outputs, Peer
from .onnx_graph import lstm_model


def _path(compiled: ov.CompiledModel) -> str:
    """The implementations that the compiled graph names for its recurrent layers."""
    nodes = (node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops())
    shown = [
        {key: str(node[key].value) for key in ("layerType", "primitiveType")} for node in nodes
    ]
    recurrent = [node for node in shown if "RNN" in node["layerType"].upper()]
    return ", ".join(dict.fromkeys(node["primitiveType"] for node in recurrent or shown))


class OpenVino(Peer):
    """openvino.CompiledModel called through one InferRequest with shared tensors."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.core = ov.Core()

    def describe(self) -> dict[str, str]:
        """Version and the numbers it was told to use."""
        return {"version": ov.get_version().split("-")[0], "precision": "float32, forced"}

    def _compile(self, problem: Problem, streaming: bool = False) -> ov.CompiledModel:
        model = self.core.read_model(lstm_model(problem, streaming))
        return self.core.compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": self.threads,
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )

    def infer(self, problem: Problem) -> Operation:
        """Whole sequences; lengths given for a ragged batch."""
        compiled = self._compile(problem)
        request = compiled.create_infer_request()
        request.set_tensor("x", ov.Tensor(np.ascontiguousarray(problem.pad(problem.x))))
        if not problem.equal:
            request.set_tensor("lengths", ov.Tensor(problem.lengths.astype(np.int32)))

        def outputs() -> Outputs:
            request.infer()
            return {"y": problem.unpad(request.get_tensor("y").data[:, 0]).copy()}

        return Operation(request.infer, outputs, path=lambda: _path(compiled))

    def steps(self, problem: Problem) -> Operation:
        """One step; tensors are shared, the state goes from output to input."""
        request = self._compile(problem, streaming=True).create_infer_request()
        hidden = problem.shape.H
        x = np.zeros((1, 1, problem.shape.I), np.float32)
        h, c = (np.zeros((1, 1, hidden), np.float32) for _ in range(2))
        for name, array in (("x", x), ("h", h), ("c", c)):
            request.set_tensor(name, ov.Tensor(array, shared_memory=True))
        h_out, c_out = request.get_tensor("h_out").data, request.get_tensor("c_out").data
        rows, at = list(problem.x), 0

        def step() -> None:
            nonlocal at
            x[0, 0] = rows[at]
            request.infer()
            h[:] = h_out
            c[:] = c_out
            at = (at + 1) % len(rows)

        def outputs() -> Outputs:
            nonlocal at
            at = 0
            h[:], c[:] = 0, 0
            made = []
            for _ in rows:
                step()
                made.append(h[0].copy())
            return {"y": np.concatenate(made)}

        return Operation(step, outputs)
