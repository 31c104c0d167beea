"""PyTorch: torch.nn.LSTM, one bias learnt (the second is zero), time-major."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from ..fitting import FitTask
from ..problem import Array, Problem
from .base import Operation, Outputs, Peer, UnsupportedError


def _layer(problem: Problem) -> nn.RNNBase:
    """A torch layer with the problem's weights."""
    variant = problem.shape.variant
    if variant.torch is None:
        raise UnsupportedError("has no such cell")
    make = getattr(nn, variant.layer)
    layer: nn.RNNBase = make(problem.shape.I, problem.shape.H, **variant.torch)
    with torch.no_grad():
        for name, value in layer.named_parameters():
            given = problem.parameters.get(name.replace("bias_ih", "bias"))
            value.copy_(torch.zeros_like(value) if given is None else torch.from_numpy(given))
            # a GRU's bias within the reset is the last third of torch's second bias
            if variant.layer == "GRU" and name.startswith("bias_hh"):
                inner = problem.parameters[name.replace("bias_hh", "bias_hn")]
                value[-len(inner) :] = torch.from_numpy(inner)
    return layer


def _gradients(layer: nn.RNNBase) -> Outputs:
    """Gradients by the names of the reference."""
    found: Outputs = {}
    for name, value in layer.named_parameters():
        assert value.grad is not None
        gradient = value.grad.numpy()
        if not name.startswith("bias_hh"):
            found[name.replace("_l0", "").replace("bias_ih", "bias")] = gradient
        elif isinstance(layer, nn.GRU):
            found[name.replace("_l0", "").replace("bias_hh", "bias_hn")] = gradient[
                -layer.hidden_size :
            ]
    return found


def _onednn_path(run: Callable[[], object]) -> str:
    """Which oneDNN primitives a call executes: oneDNN prints them to the process's stdout."""
    with tempfile.TemporaryFile() as printed:
        stdout = os.dup(1)
        os.dup2(printed.fileno(), 1)
        try:
            with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
                run()
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)
        printed.seek(0)
        lines = [line.decode(errors="replace").split(",") for line in printed]
    # onednn_verbose,v1,primitive,exec,cpu,<primitive>,<implementation>,...
    executed = [f for f in lines if f[0] == "onednn_verbose" and "exec" in f and "cpu" in f]
    kinds = dict.fromkeys(" ".join(f[f.index("cpu") + 1 :][:2]) for f in executed)
    return "oneDNN " + ", ".join(kinds) if kinds else "no oneDNN primitive"


class Torch(Peer):
    """torch.nn.LSTM; ragged batches as a PackedSequence built outside the clock."""

    padded = False
    other_cells = True

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        torch.set_num_threads(threads)

    def describe(self) -> dict[str, str]:
        """Version, instruction set, whether oneDNN is on."""
        return {
            "version": torch.__version__,
            "isa": torch.backends.cpu.get_cpu_capability(),
            "onednn": str(torch.backends.mkldnn.enabled),
        }

    def infer(self, problem: Problem) -> Operation:
        """The layer in inference_mode."""
        return self._sequences(problem, training=False)

    def train(self, problem: Problem, need_dx: bool) -> Operation:
        """Forward, ``backward(dy)`` and every gradient."""
        return self._sequences(problem, training=True, need_dx=need_dx)

    def _sequences(self, problem: Problem, training: bool, need_dx: bool = False) -> Operation:
        layer = _layer(problem)
        packed = not (problem.equal or self.padded)
        x = torch.from_numpy(problem.x if packed else problem.pad(problem.x)).clone()
        dy = torch.from_numpy(problem.dy if packed else problem.pad(problem.dy))
        sizes = torch.from_numpy(problem.n_active.astype(np.int64))
        x.requires_grad_(training and need_dx)

        def forward() -> torch.Tensor:
            y: torch.Tensor
            if packed:
                y = layer(PackedSequence(x, sizes))[0].data
            else:
                y = layer(x)[0]
            return y

        @torch.inference_mode()
        def infer() -> Any:
            return forward()

        def train() -> torch.Tensor:
            layer.zero_grad(set_to_none=True)
            x.grad = None
            y = forward()
            torch.autograd.backward(y, dy)
            return y

        def as_packed(value: torch.Tensor) -> Array:
            array: Array = value.detach().numpy()
            return array if packed else problem.unpad(array)

        def outputs() -> Outputs:
            if not training:
                return {"y": as_packed(infer())}
            found = {"y": as_packed(train())}
            if need_dx:
                assert x.grad is not None
                found["dx"] = as_packed(x.grad)
            return found | _gradients(layer)

        run = train if training else infer
        held = x.nbytes + (0 if packed or problem.equal else dy.nbytes)
        return Operation(run, outputs, held, lambda: _onednn_path(run))

    def steps(self, problem: Problem) -> Operation:
        """The layer called with one step and its state, in inference_mode."""
        layer = _layer(problem)
        xs = list(torch.from_numpy(problem.x)[:, None, None].unbind())
        zero = torch.zeros(1, 1, problem.shape.H)
        state, at = (zero, zero), 0

        @torch.inference_mode()
        def step() -> Any:
            nonlocal state, at
            y, state = layer(xs[at], state)
            at = (at + 1) % len(xs)
            return y

        def outputs() -> Outputs:
            nonlocal state, at
            state, at = (zero, zero), 0
            return {"y": np.concatenate([step().numpy()[0] for _ in xs])}

        return Operation(step, outputs)

    def fit(self, task: FitTask) -> Operation:
        """A plain loop with the fused Adam, data held as tensors."""
        x, y = torch.from_numpy(task.x), torch.from_numpy(task.y)
        loss_of: nn.Module = nn.CrossEntropyLoss() if task.classification else nn.MSELoss()

        def run() -> list[float]:
            torch.manual_seed(0)
            lstm = nn.LSTM(task.shape.I, task.shape.H, batch_first=True)
            head = nn.Linear(task.shape.H, task.n_outputs)
            parameters = [*lstm.parameters(), *head.parameters()]
            adam = torch.optim.Adam(parameters, lr=task.learning_rate, fused=True)
            curve = []
            for _ in range(task.epochs):
                total = 0.0
                for index in torch.split(torch.randperm(len(x)), task.batch_size):
                    adam.zero_grad(set_to_none=True)
                    hidden, _ = lstm(x[index])
                    loss = loss_of(head(hidden[:, -1]), y[index])
                    loss.backward()
                    nn.utils.clip_grad_norm_(parameters, task.max_grad_norm)
                    adam.step()
                    total += loss.item() * len(index)
                curve.append(total / len(x))
            return curve

        return Operation(run, lambda: {"loss": np.array(run())})


class Padded(Torch):
    """torch.nn.LSTM on batches padded with zeros: computes the padding, keeps the fast path."""

    padded = True

    def prepare(self, subject: Problem | FitTask, mode: str) -> Operation:
        """Ragged batches only: elsewhere it would measure the same as ``torch``."""
        if isinstance(subject, FitTask) or subject.equal:
            raise UnsupportedError("same as torch")
        return super().prepare(subject, mode)
