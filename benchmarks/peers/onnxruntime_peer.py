"""ONNX Runtime on the CPU: one LSTM node, inputs and outputs bound beforehand."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort

from ..problem import Problem
from .base import Operation, Outputs, Peer
from .onnx_graph import lstm_model


class OnnxRuntime(Peer):
    """onnxruntime.InferenceSession with an IOBinding, which is its fastest way to be called."""

    def describe(self) -> dict[str, str]:
        """Version and the execution provider."""
        return {"version": ort.__version__, "provider": "CPUExecutionProvider"}

    def _session(self, model: bytes) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def infer(self, problem: Problem) -> Operation:
        """Whole sequences; lengths given for a ragged batch."""
        session = self._session(lstm_model(problem))
        steps, n, hidden = len(problem.n_active), problem.n_sequences, problem.shape.H
        y = np.zeros((steps, 1, n, hidden), np.float32)
        inputs = {"x": np.ascontiguousarray(problem.pad(problem.x))}
        if not problem.equal:
            inputs["lengths"] = problem.lengths.astype(np.int32)
        values = {name: ort.OrtValue.ortvalue_from_numpy(a) for name, a in inputs.items()}
        binding = session.io_binding()
        for name, bound in values.items():
            binding.bind_ortvalue_input(name, bound)
        binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)

        def run() -> None:
            session.run_with_iobinding(binding)

        def outputs() -> Outputs:
            run()
            return {"y": problem.unpad(y[:, 0]).copy()}

        return Operation(run, outputs)

    def steps(self, problem: Problem) -> Operation:
        """One step; x is copied into a bound buffer, the state goes from output to input."""
        session = self._session(lstm_model(problem, streaming=True))
        hidden = problem.shape.H
        x = np.zeros((1, 1, problem.shape.I), np.float32)
        y = np.zeros((1, 1, 1, hidden), np.float32)
        # Two buffers for the state and two bindings: what one step writes the next one reads.
        state = np.zeros((2, 2, 1, 1, hidden), np.float32)
        bindings = []
        for k in (0, 1):
            binding = session.io_binding()
            binding.bind_input("x", "cpu", 0, np.float32, x.shape, x.ctypes.data)
            binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
            for name, old, new in (
                ("h", state[0, k], state[0, 1 - k]),
                ("c", state[1, k], state[1, 1 - k]),
            ):
                binding.bind_input(name, "cpu", 0, np.float32, old.shape, old.ctypes.data)
                binding.bind_output(f"{name}_out", "cpu", 0, np.float32, new.shape, new.ctypes.data)
            bindings.append(binding)
        rows, at = list(problem.x), 0

        def step() -> None:
            nonlocal at
            x[0, 0] = rows[at % len(rows)]
            session.run_with_iobinding(bindings[at % 2])
            at += 1

        def outputs() -> Outputs:
            nonlocal at
            at = 0
            state[:] = 0
            made = []
            for _ in rows:
                step()
                made.append(y[0, 0].copy())
            return {"y": np.concatenate(made)}

        return Operation(step, outputs)
