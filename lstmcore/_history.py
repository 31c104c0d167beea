"""What is recorded of an epoch: an entry of ``history_``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(slots=True)
class EpochRecord:
    """Sums over the parts of an epoch, as the core reports them.

    Examples
    --------
    >>> from lstmcore._history import EpochRecord
    >>> record = EpochRecord()
    >>> sums = {"loss": 3.0, "weight": 6.0, "gradient_norm_sum": 4.0, "gradient_norm_max": 3.0}
    >>> record.add(sums | {"n_clipped": 1, "parameter_norm": 9.0}, n_steps=2)
    >>> entry = record.entry(1, learning_rate=0.1, n_samples=6, seconds=0.5)
    >>> entry["loss"], entry["gradient_norm"], entry["clipped"], entry["samples_per_second"]
    (0.5, 2.0, 0.5, 12.0)
    """

    loss: float = 0.0
    weight: float = 0.0
    gradient_norm_sum: float = 0.0
    gradient_norm_max: float = 0.0
    n_clipped: float = 0.0
    parameter_norm: float = 0.0
    n_steps: int = 0

    def add(self, sums: Mapping[str, float], *, n_steps: int) -> None:
        """Add what the core reports of a part of ``n_steps`` steps."""
        self.loss += sums["loss"]
        self.weight += sums["weight"]
        self.gradient_norm_sum += sums["gradient_norm_sum"]
        self.gradient_norm_max = max(self.gradient_norm_max, sums["gradient_norm_max"])
        self.n_clipped += sums["n_clipped"]
        self.parameter_norm = sums["parameter_norm"]
        self.n_steps += n_steps

    def entry(
        self, epoch: int, *, learning_rate: float, n_samples: int, seconds: float
    ) -> dict[str, float]:
        """Return the entry of the epoch.

        Parameters
        ----------
        epoch : int
            Its number, from 1.
        learning_rate : float
            That of its last step.
        n_samples : int
            Samples that it saw.
        seconds : float
            How long it took.

        Returns
        -------
        entry : dict
            ``"epoch"``, ``"loss"``, ``"learning_rate"``, ``"gradient_norm"``,
            ``"gradient_norm_max"``, ``"clipped"``, ``"parameter_norm"``, ``"seconds"`` and
            ``"samples_per_second"``.
        """
        return {
            "epoch": epoch,
            "loss": self.loss / self.weight,
            "learning_rate": learning_rate,
            "gradient_norm": self.gradient_norm_sum / self.n_steps,
            "gradient_norm_max": self.gradient_norm_max,
            "clipped": self.n_clipped / self.n_steps,
            "parameter_norm": self.parameter_norm,
            "seconds": seconds,
            "samples_per_second": n_samples / max(seconds, 1e-9),
        }
