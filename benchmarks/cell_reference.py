"""Right answers for cells other than the plain LSTM: lstmcore's own layer in float64.

The tests hold that layer to oracles and finite differences; here it stands in for all of these
oracles. A library that has the cell too, and agrees, confirms it. Masks are those of float32: they
depend on the seed, not on the dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cells import VARIANTS
from .problem import Array, Problem

PARAMETER = "parameter "  # before the name of each, in a file of answers


def layer_of(problem: Problem, dtype: str, threads: int) -> Any:
    """A layer of `lstmcore.layers` for a problem, with its parameters where it has some."""
    from lstmcore import layers

    variant, shape = VARIANTS[problem.shape.cell], problem.shape
    make = getattr(layers, variant.layer)
    layer = make(shape.I, shape.H, dtype=dtype, n_jobs=threads, random_state=0, **variant.options)
    for name, value in problem.parameters.items():
        layer.parameters[name][...] = value
    return layer


def sequences_of(problem: Problem, rows: Array) -> Array | list[Array]:
    """Packed rows as people hold them: (N, T, F), or a list of (T_i, F)."""
    batch = np.ascontiguousarray(problem.pad(rows).transpose(1, 0, 2))
    if problem.equal:
        return batch
    return [series[:n].copy() for series, n in zip(batch, problem.lengths, strict=True)]


def rows_of(problem: Problem, made: Array | list[Array]) -> Array:
    """What a layer put out as packed rows."""
    if isinstance(made, np.ndarray):
        return problem.unpad(made.transpose(1, 0, 2))
    order = np.concatenate([np.arange(len(series)) for series in made]).argsort(kind="stable")
    rows: Array = np.concatenate(made)[order]
    return rows


def without_level(arrays: dict[str, Array]) -> dict[str, Array]:
    """The same arrays with names that say nothing of a layer's number: there is but one."""
    return {name.replace("_l0", ""): value for name, value in arrays.items()}


def solve_cell(problem: Problem) -> dict[str, Array]:
    """Outputs, gradients and parameters, the last with names that begin with `PARAMETER`."""
    layer = layer_of(problem, "float64", 1)
    for name, value in layer.parameters.items():
        if name.startswith("ln_"):
            value *= VARIANTS[problem.shape.cell].gain
    seed = VARIANTS[problem.shape.cell].seed
    y, _, cache = layer.forward(sequences_of(problem, problem.x), seed=seed)
    dx, _, gradients = layer.backward(sequences_of(problem, problem.dy), cache)
    answer = {"y": rows_of(problem, y), "dx": rows_of(problem, dx), **without_level(gradients)}
    return answer | {PARAMETER + name: value for name, value in layer.parameters.items()}


def parameters_in(path: str) -> dict[str, Array]:
    """The parameters in a file of answers, rounded to float32."""
    with np.load(path) as file:
        return {
            name.removeprefix(PARAMETER): file[name].astype(np.float32)
            for name in file.files
            if name.startswith(PARAMETER)
        }
