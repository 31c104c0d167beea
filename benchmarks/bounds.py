"""What the machine allows: the least time an operation can take, as a peer that no one can beat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .results import Record, by_shape
from .shapes import Shape

CEILING = "ceiling"  # the peer of the records that are computed here


def ceilings(records: Sequence[Record], runs: Sequence[dict[str, Any]]) -> list[Record]:
    """A record for each shape whose peer is the machine's ceiling.

    Parameters
    ----------
    records : sequence of dict
        Of one suite, mode, number of threads and instruction set.
    runs : sequence of dict
        The runs that the records' ``run`` counts.

    Returns
    -------
    list of dict
        Shapes are left out where the bandwidths weren't measured: there is no compiler then, and
        the peak is from below too.
    """
    found = []
    for row in by_shape(records).values():
        for record in row.values():
            least = least_ns(record, bandwidth_of(record, runs)) if "ns" in record else math.nan
            if not math.isnan(least):
                found.append({**record, "peer": CEILING, "ns": {"median": least}})
                break
    return found


def least_ns(record: Record, bandwidth: Sequence[Record]) -> float:
    """The longer of two times: the multiply-adds at the peak, and all reading of weights.

    Their sum would be no bound. A processor loads while it multiplies, and the product with the
    inputs needs no earlier step: it can be done while weights arrive.
    """
    reading = reading_ns(record, bandwidth) if bandwidth else math.nan
    if math.isnan(reading) or not record.get("peak_gflops"):
        return math.nan
    return max(least_flops(record) / record["peak_gflops"], reading)


def least_flops(record: Record) -> float:
    """The operations of a record, but for those with the zeros that sequences start from.

    These need not be done: W_hh in the first step, its gradient there and that of the initial h.
    """
    size, mode = Shape(**record["size"]), record["mode"]
    if mode in ("step", "step-cold"):
        return float(record["flops"])
    counted = "train-nodx" if mode == "fit" else mode
    passes = 1 if mode == "infer" else 3
    zeros = 2 * passes * size.variant.recurrent_multiply_adds(size.H) * size.N
    return float(record["flops"] * (1 - zeros / size.flops(counted)))


def reading_ns(record: Record, bandwidth: Sequence[Record]) -> float:
    """Nanoseconds to read the weights as often as they must be read.

    A single step reads all of them once. Over a sequence the recurrent ones are read at each step
    but the first, which starts from zeros, and has to wait for the one before, and once more
    backward; those of the inputs serve many steps at a time, as the recurrent ones of a fit do
    whose batches are large.

    Parameters
    ----------
    record : dict
        A measurement.
    bandwidth : sequence of dict
        What ``measure_bandwidth`` returned for as many threads.
    """
    size, mode = Shape(**record["size"]), record["mode"]
    if mode == "fit":
        return 0.0
    if mode == "step-cold":
        bandwidth = [row for row in bandwidth if row["level"] == "memory"]
    if mode in ("step", "step-cold"):
        return stream_ns(weight_bytes(size), record["threads"], bandwidth)
    recurrent = weight_bytes(size) - 4 * size.variant.input_multiply_adds(size.I, size.H)
    passes = 1 if mode == "infer" else 2
    return passes * (size.T - 1) * stream_ns(recurrent, record["threads"], bandwidth)


def weight_bytes(shape: Shape) -> int:
    """Bytes of the weights of a layer, float32.

    Examples
    --------
    >>> weight_bytes(Shape("any", T=5, N=1, I=3, H=2, why=""))
    160
    """
    return 4 * shape.variant.multiply_adds(shape.I, shape.H)


def stream_ns(n_bytes: float, threads: int, bandwidth: Sequence[Record]) -> float:
    """Nanoseconds to read an array, a part on each thread, again and again.

    Each cache keeps as much of it as fits, the first one first, and what is left comes from the
    memory. Each level was read in arrays of half its size.

    Returns
    -------
    float
        NaN where it fits in no level that was measured.

    Examples
    --------
    >>> rows = [("L1", 500, 100.0), ("L2", 5000, 50.0), ("memory", 10**6, 10.0)]
    >>> levels = [dict(zip(("level", "bytes", "gbps"), row)) for row in rows]
    >>> stream_ns(1000, 1, levels), stream_ns(2 * 3000, 2, levels)
    (10.0, 100.0)
    """
    left, total = n_bytes / threads, 0.0
    for row in bandwidth:
        part = left if row["level"] == "memory" else min(left, 2 * row["bytes"])
        total += part * threads / row["gbps"]
        left -= part
    return total if left <= 0 else math.nan


def bandwidth_of(record: Record, runs: Sequence[dict[str, Any]]) -> list[Record]:
    """The bandwidths that count for a record."""
    return best_bandwidth(runs, str(record["threads"]), runs[record["run"]]["machine"])


def best_bandwidth(
    runs: Sequence[dict[str, Any]], threads: str, machine: dict[str, Any]
) -> list[Record]:
    """The best of each level in all runs on a machine: the load of others can only lower it."""
    best: dict[str, Record] = {}
    for run in runs:
        same = all(run["machine"][key] == machine[key] for key in ("cpu", "caches"))
        for row in run["bandwidth"].get(threads, []) if same else []:
            if row["gbps"] > best.get(row["level"], {}).get("gbps", 0.0):
                best[row["level"]] = row
    order = ("L1", "L2", "L3", "memory")
    return [best[level] for level in order if level in best]
