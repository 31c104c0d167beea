"""Where the time of a training step goes, by phase, on one thread.

The core's kernels are run with a clock around each (``isa`` ending in ``+clock``). What one kernel
does for two phases is told apart by leaving one of them out:

- *dx* is what the clock shows less of when the gradient of x isn't asked for;
- *x product*, *recurrent product* and *gates* are one fused kernel forward. Its time is a straight
  line in the columns it multiplies, I + H: measured with twice the inputs as well, the slope is
  what a column costs, and what is left at no column is the gates (and the stores of what BPTT
  needs). Where the core multiplies x beforehand, that product has a clock of its own, and the
  recurrent product and the gates stay together.
- *dh*, *gate gradients* and *dW* are kernels of their own; *other* is what is in no kernel:
  clearing and reserving memory, copies, the binding.

*Packing weights* happens once per optimiser step, outside of the layer's own work: apart.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .problem import make_problem
from .shapes import Shape

PHASES = ("x product", "recurrent product", "gates", "gate gradients", "dh", "dx", "dW", "other")
PRODUCTS = {"x product", "recurrent product", "dh", "dx", "dW"}
Times = dict[str, float]


def measure_phases(
    shapes: Sequence[Shape], isa: str = "", repeats: int = 9
) -> list[dict[str, Any]]:
    """Measure the phases of each shape, in this process, on one of its processors.

    Parameters
    ----------
    shapes : sequence of Shape
        Ragged ones too; those of other cells than the LSTM are passed over.
    isa : str, default=""
        An instruction set; empty: the one that would run.
    repeats : int, default=9
        Times everything is measured; the medians count.

    Returns
    -------
    list of dict
        ``shape``, ``size``, ``seconds`` (by phase), ``total``, ``pack`` (seconds to pack the
        weights), ``flops`` (of the phases that are products) and ``split``: whether the recurrent
        product and the gates could be told apart.
    """
    from lstmcore import _core

    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:1])
    try:
        name = _core.resolve_isa(isa) + "+clock"
        of_lstm = [shape for shape in shapes if shape.cell == "lstm"]
        return [_phases_of(shape, name, repeats) for shape in of_lstm]
    finally:
        os.sched_setaffinity(0, allowed)


def product_flops(shape: Shape) -> dict[str, int]:
    """Operations of each phase that is a matrix product."""
    inputs, hidden = (8 * shape.H * k * shape.rows for k in (shape.I, shape.H))
    both = {"x product": inputs, "recurrent product": hidden}
    return {**both, "dh": hidden, "dx": inputs, "dW": inputs + hidden}


def split_phases(
    shape: Shape, train: Times, without_dx: Times, other: tuple[int, Times] | None
) -> tuple[Times, bool]:
    """Seconds by phase, from what the clocks of some calls showed.

    Parameters
    ----------
    shape : Shape
        What was measured.
    train, without_dx : dict
        Seconds of ``"forward/KERNEL"``, ``"backward/KERNEL"`` and ``"total"``, with and without the
        gradient of x.
    other : tuple of (int, dict) or None
        The number of inputs of another measurement, and what the clocks showed there; None where
        there is none in which the fused kernel does the same.

    Returns
    -------
    seconds : dict
        By phase; they add up to the total.
    split : bool
        Whether the recurrent product and the gates could be told apart; else the gates have 0.
    """
    cell, beforehand = train["forward/cell_forward"], train["forward/panel_gemm"]
    dx = train["backward/panel_gemm"] - without_dx["backward/panel_gemm"]
    seconds = {"x product": beforehand, "recurrent product": cell, "gates": 0.0}
    split = beforehand == 0.0 and other is not None
    if split and other is not None:
        inputs, clocks = other
        column = (clocks["forward/cell_forward"] - cell) / (inputs - shape.I)
        seconds["x product"] = column * shape.I
        seconds["recurrent product"] = column * shape.H
        seconds["gates"] = cell - column * (shape.I + shape.H)
    seconds["gate gradients"] = train["backward/cell_backward"]
    seconds["dh"] = train["backward/panel_gemm"] - dx
    seconds["dx"] = dx
    seconds["dW"] = train["backward/outer_accumulate"] + train["backward/transpose"]
    seconds["other"] = train["total"] - sum(seconds.values())
    return seconds, split


def _phases_of(shape: Shape, isa: str, repeats: int) -> dict[str, Any]:
    calls = {"train": _Calls(shape, isa), "without_dx": _Calls(shape, isa, need_dx=False)}
    other = None
    for inputs in (2 * shape.I + shape.H, 1):
        # the fused kernel has to do the same there: not with x multiplied beforehand
        candidate = _Calls(replace(shape, I=inputs), isa)
        if abs(inputs - shape.I) >= 8 and candidate()["forward/panel_gemm"] == 0.0:
            calls["other"], other = candidate, inputs
            break
    samples: dict[str, list[Times]] = {name: [] for name in calls}
    packing = []
    for _ in range(repeats):  # A B C A B C: a disturbance hits all alike
        for name, call in calls.items():
            samples[name].append(call())
        packing.append(calls["train"].pack())
    clocks = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for name, rows in samples.items()
    }
    seconds, split = split_phases(
        shape,
        clocks["train"],
        clocks["without_dx"],
        None if other is None else (other, clocks["other"]),
    )
    return {
        "shape": shape.name,
        "size": shape.to_dict(),
        "isa": isa.partition("+")[0],
        "seconds": seconds,
        "split": split,
        "total": clocks["train"]["total"],
        "pack": statistics.median(packing),
        "flops": product_flops(shape),
    }


class _Calls:
    """Training calls of the core on one shape; what the kernels' clocks show for each."""

    def __init__(self, shape: Shape, isa: str, need_dx: bool = True) -> None:
        from lstmcore import _core

        self._times = _core.kernel_times
        self._problem, self._need_dx = make_problem(shape), need_dx
        self._stack = _core.RecurrentStackFloat32(shape.I, [shape.H], isa)
        rng = np.random.default_rng(0)
        bound = 1 / np.sqrt(shape.H)
        flat = rng.uniform(-bound, bound, self._stack.n_parameters)
        self._parameters = flat.astype(np.float32)
        self.pack()
        self()

    def pack(self) -> float:
        """Seconds to pack the weights."""
        start = time.perf_counter()
        self._stack.set_parameters(self._parameters)
        return time.perf_counter() - start

    def __call__(self) -> Times:
        problem = self._problem
        batch = problem.x, problem.n_active, problem.n_sequences, None, None
        begin, start = self._times(), time.perf_counter()
        _, _, _, cache = self._stack.forward(*batch, n_threads=1, keep=True)
        middle = self._times()
        self._stack.backward(cache, problem.dy, None, None, need_dx=self._need_dx, n_threads=1)
        total, end = time.perf_counter() - start, self._times()
        found = {"total": total}
        for name in begin:
            found[f"forward/{name}"] = middle[name][1] - begin[name][1]
            found[f"backward/{name}"] = end[name][1] - middle[name][1]
        return found
