"""JAX: an LSTM written with lax.scan and compiled whole.

JAX takes no number of threads: it uses as many as the processors the process is pinned to.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..problem import Array, Problem
from .base import Operation, Outputs, Peer


def _parameters(problem: Problem) -> dict[str, Any]:
    names = ("weight_ih", "weight_hh", "bias")
    return {name: jnp.asarray(getattr(problem, name)) for name in names}


def _cell(parameters: dict[str, Any], z: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """The cell, given x·W_ih + b."""
    i, f, g, o = jnp.split(z + h @ parameters["weight_hh"].T, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _layer(parameters: dict[str, Any], x: Any) -> Any:
    """(T, N, I) to (T, N, H), from zero state."""
    zero = jnp.zeros((x.shape[1], parameters["weight_hh"].shape[1]), x.dtype)

    def step(state: tuple[Any, Any], z: Any) -> tuple[tuple[Any, Any], Any]:
        h, c = _cell(parameters, z, *state)
        return (h, c), h

    inputs = x @ parameters["weight_ih"].T + parameters["bias"]
    return jax.lax.scan(step, (zero, zero), inputs)[1]


def _operation(problem: Problem, function: Any, *rows: Array) -> Operation:
    """``function(parameters, *padded rows)`` under jit, waited for."""
    arguments = _parameters(problem), *(jnp.asarray(problem.pad(array)) for array in rows)
    compiled = jax.jit(function)

    def run() -> Any:
        return jax.block_until_ready(compiled(*arguments))

    def outputs() -> Outputs:
        found = {name: np.asarray(value) for name, value in run().items()}
        return {k: problem.unpad(v) if k in ("y", "dx") else v for k, v in found.items()}

    return Operation(run, outputs)


class Jax(Peer):
    """lax.scan under jit; ragged batches are padded."""

    def describe(self) -> dict[str, str]:
        """Version and backend."""
        return {"version": jax.__version__, "backend": jax.default_backend()}

    def infer(self, problem: Problem) -> Operation:
        """The forward pass, compiled."""
        return _operation(problem, lambda p, x: {"y": _layer(p, x)}, problem.x)

    def train(self, problem: Problem, need_dx: bool) -> Operation:
        """The forward pass and its vector-Jacobian product, compiled as one."""

        def both(parameters: Any, x: Any, dy: Any) -> Any:
            if need_dx:
                y, pull = jax.vjp(_layer, parameters, x)
                gradients, dx = pull(dy)
                return {"y": y, "dx": dx, **gradients}
            y, pull = jax.vjp(lambda p: _layer(p, x), parameters)
            return {"y": y, **pull(dy)[0]}

        return _operation(problem, both, problem.x, problem.dy)

    def steps(self, problem: Problem) -> Operation:
        """One step under jit, x from NumPy, h back to NumPy."""
        parameters = _parameters(problem)
        zero = jnp.zeros((1, problem.shape.H), jnp.float32)

        def cell(parameters: Any, x: Any, h: Any, c: Any) -> Any:
            return _cell(parameters, x @ parameters["weight_ih"].T + parameters["bias"], h, c)

        one, rows = jax.jit(cell), list(problem.x[:, None])
        state, at = (zero, zero), 0

        def step() -> Any:
            nonlocal state, at
            state = one(parameters, rows[at], *state)
            at = (at + 1) % len(rows)
            return np.asarray(state[0])

        def outputs() -> Outputs:
            nonlocal state, at
            state, at = (zero, zero), 0
            return {"y": np.concatenate([step() for _ in rows])}

        return Operation(step, outputs)
