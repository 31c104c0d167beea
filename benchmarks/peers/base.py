"""What the harness asks of a peer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from ..fitting import FitTask
from ..problem import Array, Problem

Outputs = dict[str, Array]


class UnsupportedError(Exception):
    """The peer can't do this; the reason goes into the table."""


@dataclass(frozen=True)
class Operation:
    """Something to be timed.

    Attributes
    ----------
    run : callable
        Does the work once; nothing else is inside the clock.
    outputs : callable
        Does the same work once and returns it under the reference's names: packed ``y`` and, for
        training, ``dx``, ``weight_ih``, ``weight_hh`` and ``bias`` in gate order i, f, g, o.
    held : int, default=0
        Bytes of inputs that the peer's module has copied into the library's form: they are the
        harness's memory, not the library's.
    path : callable or None, default=None
        Runs once more and tells which code the library chose, as far as it shows.
    """

    run: Callable[[], object]
    outputs: Callable[[], Outputs]
    held: int = 0
    path: Callable[[], str] | None = None


class Peer(ABC):
    """A library that runs an LSTM.

    Parameters
    ----------
    threads : int
        The number of threads it may use.
    """

    other_cells = False  # whether it may have layers that are no plain LSTM

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Version, instruction set and whatever else decides its speed."""

    def infer(self, problem: Problem) -> Operation:  # noqa: ARG002
        """Forward alone, whole sequences."""
        raise UnsupportedError("no inference")

    def train(self, problem: Problem, need_dx: bool) -> Operation:  # noqa: ARG002
        """Forward, backward and the gradients, that of x if it is needed."""
        raise UnsupportedError("no training")

    def steps(self, problem: Problem) -> Operation:  # noqa: ARG002
        """One step a call, cycling over the T steps; ``outputs`` runs all T from zero state."""
        raise UnsupportedError("no streaming")

    def fit(self, task: FitTask) -> Operation:  # noqa: ARG002
        """A whole fit; ``outputs`` holds ``loss``, the mean training loss of each epoch."""
        raise UnsupportedError("no fit")

    def prepare(self, subject: Problem | FitTask, mode: str) -> Operation:
        """The operation of a mode.

        Raises
        ------
        UnsupportedError
            If the peer doesn't offer it.
        """
        if isinstance(subject, FitTask):
            return self.fit(subject)
        if subject.shape.cell != "lstm" and not self.other_cells:
            raise UnsupportedError("the plain LSTM alone")
        if mode in ("step", "step-cold"):
            return self.steps(subject)
        if mode == "infer":
            return self.infer(subject)
        return self.train(subject, need_dx=mode == "train")
