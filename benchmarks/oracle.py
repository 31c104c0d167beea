"""What a peer has to answer before it is timed.

The reference is computed once by the runner and written to a file that every worker reads. Where
the whole batch would take the float64 reference too long, it solves some of its sequences: the
peer runs the whole batch, with the gradient of every other sequence's output zero, so that the
gradients of the weights are those of the chosen sequences alone, and every one is compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .cell_reference import solve_cell
from .problem import Array, Problem, make_problem
from .reference import solve
from .shapes import Shape

TOLERANCE = 1e-4  # of the largest value of each array; float32 against float64
LEARNT = 0.7  # of a constant answer's loss: what the last epoch of a fit has to come below
LARGEST = 60e9  # operations that the reference may take


class WrongResultError(Exception):
    """A peer's answer is too far from the reference; it isn't timed."""


@dataclass(frozen=True)
class Reference:
    """Where the right answers stand, and for which sequences.

    Attributes
    ----------
    path : str
        An .npz with ``y`` and the gradients; ``y`` and ``dx`` of the rows of the chosen sequences.
    sequences : list of int
        Their numbers in the packed batch.
    n_sequences : int
        How many the batch has.
    """

    path: str
    sequences: list[int]
    n_sequences: int

    def describe(self) -> str:
        """What was compared, for the record."""
        if len(self.sequences) == self.n_sequences:
            return "all"
        return f"{len(self.sequences)} of {self.n_sequences} sequences"


def write_reference(shape: Shape, mode: str, folder: Path) -> Reference | None:
    """Solve a shape unless a file with its answer is in the folder already; None for a fit."""
    if mode == "fit":
        return None
    gradients = mode.startswith("train")
    sequences = choose_sequences(shape, mode)
    path = folder / f"{'train' if gradients else 'infer'}-{len(sequences)}.npz"
    if not path.exists():
        problem = make_problem(shape)
        part = problem.part(sequences)[0] if len(sequences) < shape.N else problem
        found = solve(part, gradients) if shape.cell == "lstm" else solve_cell(part)
        # float32 is exact enough to compare with, and half the file
        answer = {k: v.astype(np.float32) for k, v in found.items()}
        np.savez(path, allow_pickle=False, **answer)
    return Reference(str(path), sequences, shape.N)


def choose_sequences(shape: Shape, mode: str) -> list[int]:
    """Sequences that the reference can solve in time, the longest and the shortest among them.

    All, where masks are drawn: they are those of a sequence's place in the batch.
    """
    if shape.variant.seed is not None:
        return list(range(shape.N))
    flops = shape.flops(mode if mode == "infer" or mode.startswith("train") else "infer")
    many = int(np.clip(LARGEST * shape.N / flops, min(2, shape.N), shape.N))
    return sorted({int(n) for n in np.linspace(0, shape.N - 1, many)})


def to_check(problem: Problem, sequences: list[int]) -> tuple[Problem, Array | slice]:
    """The whole batch with gradients from the chosen sequences alone, and which rows are theirs."""
    if len(sequences) == problem.n_sequences:
        return problem, slice(None)
    rows = problem.part(sequences)[1]
    dy = np.zeros_like(problem.dy)
    dy[rows] = problem.dy[rows]
    return replace(problem, dy=dy), rows


def errors(found: dict[str, Array], path: str, rows: Array | slice) -> dict[str, float]:
    """The largest difference of each array over the largest value of the reference."""
    with np.load(path) as right:
        expected = {name: right[name] for name in right.files if name in found}
    compared = {k: v[rows] if k in ("y", "dx") else v for k, v in found.items()}
    return {name: _error(compared[name], expected[name]) for name in expected}


def _error(found: Array, expected: Array) -> float:
    """Largest difference over the largest expected value; NaN or a wrong shape counts as inf."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    scale = float(np.abs(expected).max(initial=0.0)) or 1.0
    return float(np.abs(found - expected).max(initial=0.0)) / scale


def judge(checked: dict[str, Any]) -> None:
    """Refuse a wrong result before anything is timed.

    Parameters
    ----------
    checked : dict
        ``errors`` by array, or ``loss`` and ``constant_loss`` of a fit.

    Raises
    ------
    WrongResultError
        If an array is off by more than the tolerance, or a fit hasn't learnt.
    """
    for name, error in checked.get("errors", {}).items():
        if not error <= TOLERANCE:
            raise WrongResultError(f"{name} is off by {error:.2g} of its largest value")
    if "loss" in checked and not checked["loss"][-1] < LEARNT * checked["constant_loss"]:
        curve = ", ".join(f"{loss:.4g}" for loss in checked["loss"])
        raise WrongResultError(
            f"it hasn't learnt: losses {curve}; a constant has {checked['constant_loss']:.4g}"
        )
