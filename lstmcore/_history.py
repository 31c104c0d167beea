"""What is recorded of an epoch: an entry of ``history_``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def epoch_entry(
    epoch: int,
    sums: Mapping[str, float],
    *,
    n_steps: int,
    learning_rate: float,
    n_samples: int,
    seconds: float,
) -> dict[str, float]:
    """Return the entry of an epoch.

    Parameters
    ----------
    epoch : int
        Its number, from 1.
    sums : mapping
        What the core reports of it.
    n_steps : int
        Steps of the solver.
    learning_rate : float
        That of the last one.
    n_samples : int
        Samples that it saw.
    seconds : float
        How long it took.

    Returns
    -------
    entry : dict
        ``"epoch"``, ``"loss"``, ``"learning_rate"``, ``"gradient_norm"``, ``"gradient_norm_max"``,
        ``"clipped"``, ``"parameter_norm"``, ``"seconds"`` and ``"samples_per_second"``.

    Examples
    --------
    >>> from lstmcore._history import epoch_entry
    >>> sums = {"loss": 3.0, "weight": 6.0, "gradient_norm_sum": 4.0, "gradient_norm_max": 3.0}
    >>> sums |= {"n_clipped": 1, "parameter_norm": 9.0}
    >>> entry = epoch_entry(1, sums, n_steps=2, learning_rate=0.1, n_samples=6, seconds=0.5)
    >>> entry["loss"], entry["gradient_norm"], entry["clipped"], entry["samples_per_second"]
    (0.5, 2.0, 0.5, 12.0)
    """
    return {
        "epoch": epoch,
        "loss": sums["loss"] / sums["weight"],
        "learning_rate": learning_rate,
        "gradient_norm": sums["gradient_norm_sum"] / n_steps,
        "gradient_norm_max": sums["gradient_norm_max"],
        "clipped": sums["n_clipped"] / n_steps,
        "parameter_norm": sums["parameter_norm"],
        "seconds": seconds,
        "samples_per_second": n_samples / max(seconds, 1e-9),
    }
