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
from dataclasses import replace
from typing import Any

import numpy as np

from . import oracle, peers, steadiness
from .cell_reference import parameters_in
from .fitting import make_task
from .machine import memory, openmp_runtimes, reset_peak_memory
from .peers.base import Operation, Peer, UnsupportedError
from .problem import Array, Problem, make_problem
from .shapes import Shape

EVICTION_BYTES = 128 << 20
MAX_COLD_CALLS = 30
LONG_SECONDS = 3.0  # a call that takes so long isn't repeated to see its code path
MEMORY_CALLS = 3
TINY = Shape("tiny", 3, 4, 5, 16, "to load all code")


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
        self.exponent: int | None = None  # of computations that take as long as a step
        self.problem: Problem | None = None
        self.junk: Array | None = None

    def prepare(
        self, shape: dict[str, Any], mode: str, reference: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Build the operation, compare its result with the reference, warm up.

        Parameters
        ----------
        shape : dict
            The fields of a Shape.
        mode : str
            A key of MODES.
        reference : dict or None
            The fields of an ``oracle.Reference``; None for ``fit``.

        Returns
        -------
        dict
            ``errors``: the largest difference of each array over the largest value of the
            reference; for a fit ``loss``, the curve, and ``constant_loss``; ``path`` where the
            library shows it; ``seconds``: of the last call, once warm.
        """
        self.operation = None  # what it holds may be large
        self.exponent = None
        self.junk = np.zeros(EVICTION_BYTES, np.int8) if mode == "step-cold" else None
        answer: dict[str, Any] = {"runtimes": openmp_runtimes()}
        if reference is None:
            task = make_task(Shape(**shape))
            self.operation = self.peer.fit(task)
            start = time.perf_counter()
            answer["loss"] = [float(value) for value in self.operation.outputs()["loss"]]
            answer["seconds"] = time.perf_counter() - start
            answer["constant_loss"] = task.constant_loss()
        else:
            problem = self.problem or make_problem(Shape(**shape))
            if problem.shape.cell != "lstm" and problem.of_cell is None:
                problem = replace(problem, of_cell=parameters_in(reference["path"]))
            self.problem = problem
            checked, rows = oracle.to_check(problem, reference["sequences"])
            operation = self.peer.prepare(checked, mode)
            start = time.perf_counter()
            found = operation.outputs()
            answer["seconds"] = time.perf_counter() - start
            answer["errors"] = oracle.errors(found, reference["path"], rows)
            del found
            if checked is not problem and mode.startswith("train"):
                del operation
                operation = self.peer.prepare(problem, mode)
            self.operation = operation
        # Long calls too: the first one touches new memory, which took db-4096-64 a third longer.
        start = time.perf_counter()
        self.operation.run()
        answer["seconds"] = time.perf_counter() - start
        if self.operation.path is not None and answer["seconds"] < LONG_SECONDS:
            answer["path"] = self.operation.path()
        return answer

    def run(self, seconds: float) -> dict[str, Any]:
        """Call the operation for about ``seconds``, at least once; nanoseconds of each call."""
        assert self.operation is not None
        call, clock, junk = self.operation.run, time.perf_counter_ns, self.junk
        took: list[int] = []
        end = clock() + int(seconds * 1e9)
        while not took or (clock() < end and (junk is None or len(took) < MAX_COLD_CALLS)):
            if junk is not None:
                junk += 1
            start = clock()
            call()
            took.append(clock() - start)
        return {"ns": took}

    def compute(self, nanoseconds: float, seconds: float) -> dict[str, Any]:
        """Do nothing but compute, at first so long a call; nanoseconds of each."""
        if self.exponent is None:
            self.exponent = steadiness.exponent_of(nanoseconds)
        return {"ns": steadiness.times(self.exponent, seconds)}

    def memory(self, shape: dict[str, Any], mode: str) -> dict[str, float]:
        """MiB at the peak of some calls, over the process with its libraries, weights and inputs.

        To be asked in a process that has done nothing else: what a library has freed may still be
        resident. A tiny problem comes first, for what it loads or allocates once only.
        """
        self.peer.prepare(make_problem(TINY), mode).run()
        problem = make_problem(Shape(**shape))
        before = memory()["now"]
        operation = self.peer.prepare(problem, mode)
        reset_peak_memory()
        start = time.perf_counter()
        for _ in range(MEMORY_CALLS):
            operation.run()
            if time.perf_counter() - start > LONG_SECONDS:
                break
        return {"mib": memory()["peak"] - before - operation.held / 2**20}


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
    orders = {
        "prepare": worker.prepare,
        "run": worker.run,
        "memory": worker.memory,
        "compute": worker.compute,
    }
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer(**orders[order.pop("do")](**order))
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
