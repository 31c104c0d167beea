"""lstmcore as people call it: the public layer and the estimators."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmcore import LSTMClassifier, LSTMRegressor, _core

from ..cell_reference import layer_of, rows_of, sequences_of, without_level
from ..fitting import FitTask
from ..problem import Array, Problem
from .base import Operation, Outputs, Peer


def describe() -> dict[str, str]:
    """Version, instruction set, OpenMP runtime."""
    config = _core.config()
    names = ("version", "isa", "openmp", "compiler")
    return {name: str(config[name]) for name in names if name in config}


class Layer(Peer):
    """lstmcore.layers.LSTM on what people hold: an (N, T, I) array or a list of arrays."""

    def describe(self) -> dict[str, str]:
        """Version, instruction set, OpenMP runtime."""
        return describe()

    other_cells = True

    def _layer(self, problem: Problem) -> Any:
        return layer_of(problem, "float32", self.threads)

    def infer(self, problem: Problem) -> Operation:
        """``layer(x)``."""
        layer, x = self._layer(problem), sequences_of(problem, problem.x)

        def outputs() -> Outputs:
            return {"y": rows_of(problem, layer(x)[0])}

        return Operation(lambda: layer(x), outputs, problem.x.nbytes)

    def train(self, problem: Problem, need_dx: bool) -> Operation:
        """``layer.forward``, with a seed where it draws masks, then ``layer.backward``."""
        layer = self._layer(problem)
        x, dy = sequences_of(problem, problem.x), sequences_of(problem, problem.dy)
        seed = problem.shape.variant.seed

        def run() -> tuple[Any, Any, dict[str, Array]]:
            y, _, cache = layer.forward(x, seed=seed)
            dx, _, gradients = layer.backward(dy, cache, need_dx=need_dx, need_dstate=False)
            return y, dx, gradients

        def outputs() -> Outputs:
            y, dx, gradients = run()
            found = without_level(gradients)
            found["y"] = rows_of(problem, y)
            if need_dx:
                found["dx"] = rows_of(problem, dx)
            return found

        return Operation(run, outputs, problem.x.nbytes + problem.dy.nbytes)

    def steps(self, problem: Problem) -> Operation:
        """``layer.step`` with the state it returned, in place from the second step on."""
        layer = self._layer(problem)
        rows = list(problem.x[:, None])
        state, at = None, 0

        def step() -> Any:
            nonlocal state, at
            y, state = layer.step(rows[at], state, out=state)
            at = (at + 1) % len(rows)
            return y

        def outputs() -> Outputs:
            nonlocal state, at
            state, at = None, 0
            return {"y": np.concatenate([step().copy() for _ in rows])}

        return Operation(step, outputs)

    def fit(self, task: FitTask) -> Operation:
        """``LSTMClassifier`` or ``LSTMRegressor``, ``fit`` with the task's settings."""
        kind = LSTMClassifier if task.classification else LSTMRegressor

        def run() -> Array:
            estimator = kind(
                hidden_size=task.shape.H,
                batch_size=task.batch_size,
                max_iter=task.epochs,
                learning_rate=task.learning_rate,
                max_grad_norm=task.max_grad_norm,
                solver="adam",
                tol=None,  # all epochs
                random_state=0,
                n_jobs=self.threads,
            )
            return np.asarray(estimator.fit(task.x, task.y).loss_curve_)

        return Operation(run, lambda: {"loss": run()})
