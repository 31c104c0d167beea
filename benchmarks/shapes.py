"""The shapes that are measured, why each is there, and how many operations each one costs.

Letters as everywhere in lstmcore: T time steps, N sequences, I inputs, H hidden units, R rows of
the packed batch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from .cells import VARIANTS, Variant

MODES: dict[str, str] = {
    "infer": "forward only, whole sequences",
    "train": "forward, BPTT and all gradients, with that of x",
    "train-nodx": "forward, BPTT and the gradients of the parameters alone",
    "step": "one time step at a time from Python, state carried along, caches warm",
    "step-cold": "the same with every cache emptied before the step",
    "fit": "a whole fit: batches, forward, BPTT, clipping, Adam, all epochs",
}


@dataclass(frozen=True)
class Shape:
    """One recurrent layer and one batch.

    Parameters
    ----------
    name : str
        The name used in records and tables.
    T, N, I, H : int
        Time steps (the longest sequence), sequences, inputs and hidden units.
    why : str
        What the shape stands for.
    shortest : int or None, default=None
        Lengths are spread evenly from ``shortest`` to ``T``; None: every sequence has ``T`` steps.
    cell : str, default="lstm"
        A key of ``cells.VARIANTS``.
    """

    name: str
    T: int
    N: int
    I: int  # noqa: E741
    H: int
    why: str
    shortest: int | None = None
    cell: str = "lstm"

    @property
    def variant(self) -> Variant:
        """The layer."""
        return VARIANTS[self.cell]

    def runs_in(self, mode: str) -> bool:
        """Whether there is something to measure: masks are drawn in training alone."""
        return self.variant.seed is None or mode.startswith("train")

    def lengths(self) -> NDArray[np.int64]:
        """Lengths of the N sequences, longest first, the same in every process."""
        if self.shortest is None:
            return np.full(self.N, self.T, dtype=np.int64)
        lengths = np.random.default_rng(7).integers(self.shortest, self.T + 1, self.N)
        lengths[0] = self.T
        return np.sort(lengths)[::-1].copy()

    @property
    def rows(self) -> int:
        """R, the number of real time steps in the batch; padding never counts."""
        return int(self.lengths().sum())

    def flops(self, mode: str) -> int:
        """Floating-point operations of the matrix products, those of forward thrice in all.

        Of an LSTM 8H(I+H) a row. The gradient of x costs 8HI of it, and is left out where it isn't
        computed.
        """
        forward = 2 * self.variant.multiply_adds(self.I, self.H)
        if mode == "infer":
            return forward * self.rows
        if mode in ("step", "step-cold"):
            return forward * self.N
        if mode == "train":
            return 3 * forward * self.rows
        if mode == "train-nodx":
            return (3 * forward - 2 * self.variant.input_multiply_adds(self.I, self.H)) * self.rows
        raise ValueError(f"mode={mode!r} has no count of operations")

    def to_dict(self) -> dict[str, object]:
        """All fields, for a record."""
        return asdict(self)


@dataclass(frozen=True)
class Goal:
    """What is aimed at: the factor by which lstmcore should be faster.

    Parameters
    ----------
    mode : str
        The mode it concerns.
    against : str
        A peer's name, or ``"fastest"``: the fastest peer for each shape in the same run.
    geometric : float or None
        The factor in geometric mean over the suite.
    each : float or None
        The factor at every shape.
    shapes : tuple of str, default=()
        The shapes it concerns; empty: all of the suite.
    """

    mode: str
    against: str
    geometric: float | None
    each: float | None
    shapes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suite:
    """A named list of shapes, the modes they run in, and the goals held against them."""

    name: str
    about: str
    shapes: tuple[Shape, ...]
    modes: tuple[str, ...]
    goals: tuple[Goal, ...] = ()


JVOWELS = Shape("jvowels", 29, 64, 12, 64, "utterances of 7 to 29 frames, 12 coefficients", 7)

SMALL = (
    Shape("ts-small", 48, 32, 8, 32, "a small model of short series: overhead shows"),
    Shape("ts-mid", 96, 64, 16, 64, "a usual model of sensor data"),
    Shape("ts-128", 100, 64, 32, 128, "a usual classifier of series, all in L2"),
    Shape("har", 128, 64, 9, 100, "activity recognition: H is no multiple of a vector"),
)

LARGE = (
    Shape("lm-256", 64, 32, 256, 256, "a small language model: I = H"),
    Shape("db-256-64", 150, 64, 256, 256, "DeepBench, long"),
    Shape("db-512-16", 25, 16, 512, 512, "DeepBench, N no multiple of a register tile"),
    Shape("db-512-128", 25, 128, 512, 512, "DeepBench, a big batch"),
    Shape("db-1024-64", 25, 64, 1024, 1024, "DeepBench, weights past L2"),
    Shape("db-1536-8", 50, 8, 1536, 1536, "DeepBench, few sequences, weights past L3"),
    Shape("b1-128", 100, 1, 64, 128, "one sequence, weights in cache"),
    Shape("b1-512", 100, 1, 512, 512, "one sequence, weights streamed"),
)


def _ragged() -> tuple[Shape, ...]:
    """Ragged shapes, each followed by its twin of equal lengths and about as many rows."""
    shapes: list[Shape] = []
    for ragged in (
        JVOWELS,
        Shape("ts-128-ragged", 100, 64, 32, 128, "the classifier on series of 10 to 100 steps", 10),
        Shape("lm-256-ragged", 64, 32, 256, 256, "sentences of 5 to 64 tokens", 5),
        Shape("512-ragged", 64, 32, 512, 512, "a wide layer on sentences", 5),
    ):
        mean = round(ragged.rows / ragged.N)
        name = ragged.name.removesuffix("-ragged") + "-equal"
        twin = Shape(name, mean, ragged.N, ragged.I, ragged.H, f"{ragged.name}, all lengths equal")
        shapes += [ragged, twin]
    return tuple(shapes)


def _deepbench(sizes: dict[int, tuple[int, tuple[int, ...]]], why: str) -> tuple[Shape, ...]:
    """DeepBench shapes from ``{H: (T, (N, ...))}``."""
    return tuple(
        Shape(f"db-{hidden}-{n}", steps, n, hidden, hidden, why)
        for hidden, (steps, batches) in sizes.items()
        for n in batches
    )


DEEPBENCH_TRAIN = _deepbench(
    {
        256: (150, (16, 32, 64)),
        512: (25, (16, 32, 64, 128)),
        1024: (25, (16, 32, 64, 128)),
        1536: (50, (8, 16, 32)),
        2048: (25, (16, 32, 64, 128)),
        4096: (25, (16, 32, 64, 128)),
    },
    "DeepBench, training",
)

DEEPBENCH_INFER = _deepbench(
    {
        256: (150, (1, 2, 4)),
        512: (25, (1, 2, 4)),
        1024: (25, (1, 2, 4)),
        1536: (50, (1, 2, 4)),
        2048: (25, (1, 2, 4)),
    },
    "DeepBench, inference",
)

STREAM = (
    Shape("stream-64", 32, 1, 32, 64, "a sensor, overhead of the call alone"),
    Shape("stream-128", 32, 1, 128, 128, "weights in L2"),
    Shape("stream-256", 32, 1, 256, 256, "weights in L2, bound by its bandwidth"),
    Shape("stream-512", 32, 1, 512, 512, "weights in L3"),
)

# For whole fits N is the number of samples; the batch, epochs and outputs are in fitting.py.
FIT = (
    Shape("tiny", 48, 1000, 8, 32, "4 classes of short series"),
    Shape("har", 128, 2000, 9, 100, "6 activities from 9 sensor channels"),
    Shape("fore", 96, 4000, 7, 64, "24 steps ahead of 7 series (regression)"),
)


def _scaling() -> tuple[Shape, ...]:
    """One shape, varied in T, N and H; families in ``scaling.py`` go by the names."""
    base = {"T": 100, "N": 64, "H": 128}
    varied = {
        "T": (25, 50, 100, 200, 400, 800),
        "N": (8, 16, 32, 64, 128, 256, 512),
        "H": (32, 64, 128, 256, 512),
    }
    return tuple(
        Shape(
            f"scale-{letter}-{value}",
            **{**base, letter: value},
            I=32,
            why=f"how time grows with {letter}",
        )
        for letter, values in varied.items()
        for value in values
    )


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "small",
            "what most people train on a CPU",
            (*SMALL, JVOWELS),
            ("infer", "train", "train-nodx"),
            (Goal("train", "torch", 3.5, 2.5), Goal("infer", "fastest", 1.4, 1.12)),
        ),
        Suite(
            "large",
            "wider layers, and a single sequence",
            LARGE,
            ("infer", "train"),
            (Goal("infer", "fastest", None, 1.03), Goal("train", "fastest", 1.45, 1.25)),
        ),
        Suite(
            "ragged",
            "sequences of different lengths, each beside its twin of equal lengths",
            _ragged(),
            ("infer", "train"),
            (Goal("train", "torch", 4.0, None, tuple(s.name for s in _ragged() if s.shortest)),),
        ),
        Suite(
            "deepbench-train",
            "the LSTM training shapes of Baidu's DeepBench",
            DEEPBENCH_TRAIN,
            ("train",),
            (Goal("train", "fastest", 1.45, 1.25),),
        ),
        Suite(
            "deepbench-infer",
            "the LSTM inference shapes of Baidu's DeepBench",
            DEEPBENCH_INFER,
            ("infer",),
            (Goal("infer", "fastest", None, 1.3),),
        ),
        Suite(
            "stream",
            "one step at a time, N = 1, the call from Python included",
            STREAM,
            ("step", "step-cold"),
            (
                Goal("step", "onnxruntime", None, 3.0, ("stream-64",)),
                Goal("step", "onnxruntime", None, 1.5, ("stream-128", "stream-256", "stream-512")),
            ),
        ),
        Suite(
            "scaling",
            "one shape at growing T, N and H: time should grow linearly",
            _scaling(),
            ("train",),
        ),
        Suite(
            "cells",
            "every cell at one shape: how its speed per operation compares with the plain LSTM's",
            tuple(
                Shape(f"cell-{name}", 100, 64, 32, 128, variant.why, cell=name)
                for name, variant in VARIANTS.items()
            ),
            ("infer", "train"),
        ),
        Suite(
            "fit",
            "a whole fit against a loop written by hand",
            FIT,
            ("fit",),
            (Goal("fit", "torch", 4.0, None), Goal("fit", "keras", 8.0, None)),
        ),
    )
}
