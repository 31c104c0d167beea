"""One peer in a process of its own, taking orders as JSON lines.

Two OpenMP runtimes in one process slow each other down, and peak memory belongs to a process;
so each peer gets one, for one shape.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from typing import Any

import numpy as np

from . import peers
from .fitting import FitTask, make_task
from .machine import memory, openmp_runtimes, reset_peak_memory
from .peers.base import Operation, Peer, UnsupportedError
from .problem import Array, Problem, make_problem
from .shapes import Shape

EVICTION_BYTES = 128 << 20
MAX_COLD_CALLS = 30


class Worker:
    """The state between orders: a peer and the operation to be timed.

    Parameters
    ----------
    peer : Peer
        The library, loaded.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.operation: Operation | None = None
        self.subject: Problem | FitTask | None = None
        self.junk: Array | None = None

    def prepare(self, shape: dict[str, Any], mode: str, reference: str | None) -> dict[str, Any]:
        """Build the operation, compare its result with the reference, warm up.

        Parameters
        ----------
        shape : dict
            The fields of a Shape.
        mode : str
            A key of MODES.
        reference : str or None
            Path of an .npz with the right answers; None where there is none (``fit``).

        Returns
        -------
        dict
            ``errors``: the largest difference of each array over the largest value of the
            reference; for a fit ``loss``, the curve, and ``constant_loss``; ``memory_before`` in
            MiB.
        """
        if self.subject is None:
            size = Shape(**shape)
            self.subject = make_task(size) if mode == "fit" else make_problem(size)
        self.junk = np.zeros(EVICTION_BYTES, np.int8) if mode == "step-cold" else None
        before = memory()["now"]
        self.operation = self.peer.prepare(self.subject, mode)
        found = self.operation.outputs()
        answer: dict[str, Any] = {"memory_before": before, "runtimes": openmp_runtimes()}
        if isinstance(self.subject, FitTask):
            answer["loss"] = [float(value) for value in found["loss"]]
            answer["constant_loss"] = self.subject.constant_loss()
        elif reference is not None:
            with np.load(reference) as right:
                expected = {name: right[name] for name in right.files if name in found}
            answer["errors"] = {name: _error(found[name], expected[name]) for name in expected}
        return answer

    def run(self, seconds: float, warm_up: bool) -> dict[str, Any]:
        """Call the operation for about ``seconds``, at least once; nanoseconds of each call."""
        assert self.operation is not None
        call, clock, junk = self.operation.run, time.perf_counter_ns, self.junk
        if warm_up:
            reset_peak_memory()  # only now: the reference was in memory until here
            call()
        took: list[int] = []
        end = clock() + int(seconds * 1e9)
        while not took or (clock() < end and (junk is None or len(took) < MAX_COLD_CALLS)):
            if junk is not None:
                junk += 1
            start = clock()
            call()
            took.append(clock() - start)
        return {"ns": took, "memory_peak": memory()["peak"]}


def _error(found: Array, expected: Array) -> float:
    """Largest difference over the largest expected value; NaN or a wrong shape counts as inf."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    scale = float(np.abs(expected).max()) or 1.0
    return float(np.abs(found - expected).max()) / scale


def serve(name: str, threads: int) -> None:
    """Load a peer and answer orders until the input ends.

    Parameters
    ----------
    name : str
        The peer.
    threads : int
        How many threads, and processors, it gets.
    """
    # A library that prints would spoil the protocol: its stdout is sent to stderr.
    reply = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

    def answer(**values: Any) -> None:
        reply.write(json.dumps(values) + "\n")

    try:
        worker = Worker(peers.load(name)(threads))
        answer(about=worker.peer.describe())
    except ImportError as error:
        # where a module lies is nobody's business
        answer(missing=re.sub(r" \(.*\)", "", str(error)))
        return
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if order.pop("do") == "prepare":
                answer(**worker.prepare(**order))
            else:
                answer(**worker.run(**order))
        except UnsupportedError as error:
            answer(unsupported=str(error))
        except Exception as error:  # the runner names it in the table and goes on
            answer(failed=f"{type(error).__name__}: {error}")


def main() -> None:
    """Command line of a worker: its peer and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=peers.PEERS)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    serve(options.peer, options.threads)
