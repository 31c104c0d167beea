"""Where the time of a training step goes, by phase, on one thread.

The core's kernels are run with a clock around each (``isa`` ending in ``+clock``). What one kernel
does for two phases is told apart by leaving one of them out:

- *dx* is what the clock shows less of when the gradient of x isn't asked for;
- *x product*, *recurrent product* and *gates* are one fused kernel forward. Its time is taken for a
  straight line in the columns it multiplies, I + H. The other point of it is a first step from
  zeros with a single input, where it multiplies one column: what is left at none is the gates and
  the stores of what BPTT needs, into near caches. As far as gates are done beside products in
  truth, these come out too fast. Where the core multiplies x beforehand, that product has a clock
  of its own, and the recurrent product and the gates stay together.
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
STEPS = 15  # of a single input, in a row: the caches are warm for most of them
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
    """Operations of each phase that is a matrix product, but for those with the initial zeros."""
    inputs, hidden = (8 * shape.H * k * shape.rows for k in (shape.I, shape.H))
    recurrent = 8 * shape.H**2 * (shape.rows - shape.N)
    both = {"x product": inputs, "recurrent product": recurrent}
    return {**both, "dh": hidden, "dx": inputs, "dW": inputs + recurrent}


def split_phases(shape: Shape, train: Times, without_dx: Times, step: float) -> tuple[Times, bool]:
    """Seconds by phase, from what the clocks of some calls showed.

    Parameters
    ----------
    shape : Shape
        What was measured.
    train, without_dx : dict
        Seconds of ``"forward/KERNEL"``, ``"backward/KERNEL"`` and ``"total"``, with and without the
        gradient of x.
    step : float
        Seconds of the fused kernel for one step of all N sequences that multiplies one column.

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
    split = beforehand == 0.0
    if split:
        steps = shape.rows / shape.N  # of a sequence; the first multiplies x alone
        columns = {"x product": shape.I * steps, "recurrent product": shape.H * (steps - 1)}
        column = (cell - steps * step) / (sum(columns.values()) - steps)
        seconds |= {name: column * n for name, n in columns.items()}
        seconds["gates"] = cell - column * sum(columns.values())
    seconds["gate gradients"] = train["backward/cell_backward"]
    seconds["dh"] = train["backward/panel_gemm"] - dx
    seconds["dx"] = dx
    seconds["dW"] = train["backward/outer_accumulate"] + train["backward/transpose"]
    seconds["other"] = train["total"] - sum(seconds.values())
    return seconds, split


def _phases_of(shape: Shape, isa: str, repeats: int) -> dict[str, Any]:
    calls = {"train": _Calls(shape, isa), "without_dx": _Calls(shape, isa, need_dx=False)}
    one_step = _Calls(replace(shape, T=1, I=1, shortest=None), isa, need_dx=False)
    samples: dict[str, list[Times]] = {name: [] for name in calls}
    packing, steps = [], []
    for _ in range(repeats):  # A B C A B C: a disturbance hits all alike
        for name, call in calls.items():
            samples[name].append(call())
        steps += [one_step()["forward/cell_forward"] for _ in range(STEPS)]
        packing.append(calls["train"].pack())
    clocks = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for name, rows in samples.items()
    }
    seconds, split = split_phases(
        shape, clocks["train"], clocks["without_dx"], statistics.median(steps)
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
        asked = {"need_dx": self._need_dx, "need_dstate": False}
        self._stack.backward(cache, problem.dy, None, None, **asked, n_threads=1)
        total, end = time.perf_counter() - start, self._times()
        found = {"total": total}
        for name in begin:
            found[f"forward/{name}"] = middle[name][1] - begin[name][1]
            found[f"backward/{name}"] = end[name][1] - middle[name][1]
        return found
