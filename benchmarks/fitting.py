"""The tasks of the ``fit`` suite: whole fits with the same data, batches, epochs and optimiser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .problem import Array
from .shapes import Shape

# shape name: (outputs, is a classification)
_TASKS: dict[str, tuple[int, bool]] = {"tiny": (4, True), "har": (6, True), "fore": (24, False)}


@dataclass(frozen=True)
class FitTask:
    """Data and settings of one fit.

    Attributes
    ----------
    shape : Shape
        N is the number of samples.
    x : ndarray of shape (N, T, I), float32
    y : ndarray of shape (N,) intp, or (N, K) float32
        Labels 0 to K-1, or targets.
    n_outputs : int
        K.
    classification : bool
        Softmax cross-entropy; else squared error.
    batch_size, epochs : int
    learning_rate, max_grad_norm : float
        Of Adam, and the norm gradients are clipped to.
    """

    shape: Shape
    x: Array
    y: Array
    n_outputs: int
    classification: bool
    batch_size: int = 32
    epochs: int = 3
    learning_rate: float = 5e-3
    max_grad_norm: float = 1.0

    def constant_loss(self) -> float:
        """Loss of the best constant answer: what a model that learnt nothing would have."""
        if self.classification:
            share = np.bincount(self.y) / len(self.y)
            return float(-(share * np.log(share)).sum())
        return float(self.y.var(axis=0).mean())

    def flops(self) -> int:
        """Operations of the recurrent layer in all epochs; x needs no gradient."""
        return self.epochs * self.shape.flops("train-nodx")


def make_task(shape: Shape) -> FitTask:
    """Series that a small LSTM learns in three epochs: noisy sines, to be told apart or continued.

    The sines of a class have its frequency and, so that it doesn't take long, its level.

    Parameters
    ----------
    shape : Shape
        One of the ``fit`` suite.
    """
    n_outputs, classification = _TASKS[shape.name]
    rng = np.random.default_rng(4711)
    horizon = 0 if classification else n_outputs
    label = rng.integers(0, n_outputs, shape.N)
    frequency = 0.1 + (0.06 * label if classification else rng.uniform(0.0, 0.3, shape.N))
    phase = rng.uniform(0.0, 2 * np.pi, (shape.N, 1, shape.I))
    time = np.arange(shape.T + horizon)[None, :, None]
    level = 0.5 * rng.standard_normal((n_outputs, shape.I))[label][:, None, :]
    clean = np.sin(frequency[:, None, None] * time + phase) + classification * level
    x = clean[:, : shape.T] + 0.3 * rng.standard_normal((shape.N, shape.T, shape.I))
    y = label.astype(np.intp) if classification else clean[:, shape.T :, 0].astype(np.float32)
    return FitTask(shape, np.ascontiguousarray(x, np.float32), y, n_outputs, classification)
