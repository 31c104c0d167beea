"""The learning rate of every step, from the number of the epoch and what plateaus have cost.

With base rate r, decay factor f, decay epochs D, warm-up epochs W and epochs e counted from 0:

========  =====================================================================================
constant  r
cosine    r (f + (1 - f) (1 + cos(pi p)) / 2) with p = (e - W) / (D - W), held within 0 and 1
step      r f^k, k the whole number of times that D goes into e
plateau   r f^k, k the number of times that D epochs in a row did not improve
========  =====================================================================================

During warm-up, step s of the S steps of epoch e, counted from 1, takes min(1, (e + s / S) / W) of
that. Only sums, products and quotients are used, so a rate has the same bits everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the learning rate goes with the epochs; the names are those of parameters.

    Parameters
    ----------
    kind : {"constant", "cosine", "step", "plateau"}
        Its form.
    learning_rate : float
        The base rate.
    warmup_epochs : float
        Epochs until the base rate is reached.
    decay_epochs : int
        What D is above.
    decay_factor : float
        What f is above.

    Examples
    --------
    >>> from lstmcore._schedules import Schedule
    >>> schedule = Schedule("cosine", 0.5, warmup_epochs=1, decay_epochs=3, decay_factor=0.0)
    >>> [schedule.rates(epoch, n_steps=2).tolist() for epoch in range(4)]
    [[0.25, 0.5], [0.5, 0.5], [0.25, 0.25], [0.0, 0.0]]
    """

    kind: str
    learning_rate: float
    warmup_epochs: float
    decay_epochs: int
    decay_factor: float

    def rates(self, epoch: int, *, n_steps: int, n_plateaus: int = 0) -> NDArray[np.float64]:
        """Return the learning rate of each step of an epoch.

        Parameters
        ----------
        epoch : int
            Its number, from 0.
        n_steps : int
            Its steps.
        n_plateaus : int, default=0
            How often the learning rate was lowered since there was no improvement.

        Returns
        -------
        rates : ndarray of shape (n_steps,), float64
            One for each step.
        """
        rate = self.learning_rate * self._decay(epoch, n_plateaus)
        if epoch >= self.warmup_epochs:
            return np.full(n_steps, rate)
        progress = (epoch + np.arange(1, n_steps + 1) / n_steps) / self.warmup_epochs
        return rate * np.minimum(progress, 1.0)

    def _decay(self, epoch: int, n_plateaus: int) -> float:
        """Return the share of the base rate that is left."""
        if self.kind == "cosine":
            length = self.decay_epochs - self.warmup_epochs
            done = (epoch - self.warmup_epochs) / length if length > 0 else 1.0
            cosine = _cosine_of_half_turns(min(max(done, 0.0), 1.0))
            return self.decay_factor + (1 - self.decay_factor) * (1 + cosine) / 2
        times = {"step": epoch // self.decay_epochs, "plateau": n_plateaus}.get(self.kind, 0)
        share = 1.0
        for _ in range(times):  # a power would be that of the C library
            share *= self.decay_factor
        return share


def _cosine_of_half_turns(x: float) -> float:
    """Return cos(pi x) for 0 <= x <= 1, with the same bits on every machine."""
    # The C library's cosine differs from one processor to the next. Between a quarter turn on
    # either side of 1/2 the sine of what is left is as good, and the series converges fast.
    angle = np.pi * (0.5 - x)
    term, total = angle, angle
    for k in range(1, 13):
        term *= -angle * angle / (2 * k * (2 * k + 1))
        total += term
    return min(max(float(total), -1.0), 1.0)
