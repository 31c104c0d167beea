"""lstmcore's core on a packed batch: what is left when Python and packing cost nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lstmcore import _core

from ..problem import Array, Problem
from .base import Operation, Outputs, Peer


class Core(Peer):
    """lstmcore._core.RecurrentStackFloat32: what is left when Python and packing cost nothing."""

    def describe(self) -> dict[str, str]:
        """Version, instruction set, OpenMP runtime."""
        config = _core.config()
        names = ("version", "isa", "openmp", "compiler")
        return {name: str(config[name]) for name in names if name in config}

    @staticmethod
    def _stack(problem: Problem) -> Any:
        stack = _core.RecurrentStackFloat32(problem.shape.I, [problem.shape.H])
        flat = np.zeros(stack.n_parameters, np.float32)
        for name, shape, offset in stack.layout:
            value = getattr(problem, name.removesuffix("_l0"))
            flat[offset : offset + value.size] = value.reshape(shape).ravel()
        stack.set_parameters(flat)
        return stack

    def infer(self, problem: Problem) -> Operation:
        """``forward``; the weights are packed already."""
        run = self._forward(problem, keep=False)[1]
        return Operation(run, lambda: {"y": run()[0]})

    def train(self, problem: Problem, need_dx: bool) -> Operation:
        """``forward`` with its cache and ``backward``; the weights are packed already."""
        stack, forward = self._forward(problem, keep=True)

        def run() -> tuple[Array, Array | None, Array]:
            y, _, _, cache = forward()
            dx, _, _, gradient = stack.backward(
                cache,
                problem.dy,
                None,
                None,
                need_dx=need_dx,
                n_threads=self.threads,
                need_dstate=False,
            )
            return y, dx, gradient

        def outputs() -> Outputs:
            y, dx, flat = run()
            found = {"y": y} if dx is None else {"y": y, "dx": dx}
            for name, shape, offset in stack.layout:
                size = int(np.prod(shape))
                found[name.removesuffix("_l0")] = flat[offset : offset + size].reshape(shape)
            return found

        return Operation(run, outputs)

    def _forward(self, problem: Problem, keep: bool) -> tuple[Any, Callable[[], Any]]:
        """A stack and its ``forward`` on the problem's batch."""
        stack = self._stack(problem)
        arguments = problem.x, problem.n_active, problem.n_sequences, None, None
        return stack, lambda: stack.forward(*arguments, n_threads=self.threads, keep=keep)

    def steps(self, problem: Problem) -> Operation:
        """``step`` in place, nothing allocated."""
        stack = self._stack(problem)
        rows, at = list(problem.x[:, None]), 0
        h, c = np.zeros((2, 1, 1, problem.shape.H), np.float32)

        def step() -> None:
            nonlocal at
            stack.step(rows[at], h, c, h, c, self.threads)
            at = (at + 1) % len(rows)

        def outputs() -> Outputs:
            nonlocal at
            h[...], c[...], at = 0, 0, 0
            made = []
            for _ in rows:
                step()
                made.append(h[0].copy())
            return {"y": np.concatenate(made)}

        return Operation(step, outputs)
