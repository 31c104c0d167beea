"""Statistics of call times and of ratios."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def summarise(rounds: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Statistics of call times.

    Parameters
    ----------
    rounds : sequence of sequences of int
        Nanoseconds of every call, by turn.

    Returns
    -------
    dict
        ``min``, ``median``, ``p90``, ``p99``, ``cv`` (standard deviation over mean), ``calls``, and
        ``rounds``: the median of each turn, which shows how steady the machine was, and ``tails``:
        the p99 of each turn over its median.

    Examples
    --------
    >>> summarise([[2, 4], [3]])["median"]
    3.0
    """
    calls = np.concatenate([np.asarray(turn, float) for turn in rounds])
    median, p90, p99 = np.percentile(calls, [50, 90, 99])
    return {
        "min": float(calls.min()),
        "median": float(median),
        "p90": float(p90),
        "p99": float(p99),
        "cv": float(calls.std() / calls.mean()),
        "calls": len(calls),
        "rounds": [float(np.median(turn)) for turn in rounds],
        "tails": [float(np.percentile(turn, 99) / np.median(turn)) for turn in rounds],
    }


def geometric_mean(values: Iterable[float]) -> float:
    """The mean that ratios have; NaN of nothing.

    Examples
    --------
    >>> geometric_mean([1.0, 4.0])
    2.0
    """
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def growth(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The exponent p of time ∝ size^p, by least squares on logarithms: 1 is linear.

    Examples
    --------
    >>> growth([1, 2, 4], [3.0, 6.0, 12.0])
    1.0
    """
    slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
    return round(float(slope), 6)


def noise(rounds: Sequence[float]) -> float:
    """How far the turns of one measurement lie apart: half their range over their median.

    Examples
    --------
    >>> noise([9.0, 10.0, 11.0])
    0.1
    """
    return float((max(rounds) - min(rounds)) / 2 / np.median(rounds))
