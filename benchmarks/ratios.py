"""How many times as fast one peer is as others, and whether that is what was aimed at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .client import UNLIMITED
from .peers import PEERS
from .results import Record, by_shape
from .shapes import Goal
from .statistics import geometric_mean
from .tables import factor

OURS = ("lstmcore", "lstmcore-core")


def median(record: Record) -> float:
    """Median time in nanoseconds; NaN where nothing was measured."""
    return float(record["ns"]["median"]) if "ns" in record else math.nan


def measured_peers(records: Iterable[Record]) -> list[str]:
    """Peers with a measurement, in the order of the tables."""
    found = {record["peer"] for record in records if "ns" in record}
    return [name for name in PEERS if name in found]


def ratios(records: Sequence[Record], subject: str, against: str) -> dict[str, float]:
    """How many times faster the subject is, by shape.

    Parameters
    ----------
    records : sequence of dict
        Of one suite, mode, number of threads and instruction set.
    subject : str
        The peer that should be fast.
    against : str
        Another peer, or ``"fastest"``: the fastest of those that aren't lstmcore. Where all are
        held to an instruction set, one that can't be held to it doesn't count there.
    """
    found = {}
    for shape, row in by_shape(records).items():
        if against == "fastest":
            others = {name: record for name, record in row.items() if name not in OURS}
            times = [median(r) for k, r in others.items() if not (r["isa"] and k in UNLIMITED)]
        else:
            times = [median(row[against])] if against in row else []
        times = [time for time in times if not math.isnan(time)]
        ours = median(row[subject]) if subject in row else math.nan
        if times and not math.isnan(ours):
            found[shape] = min(times) / ours
    return found


def verdict(goal: Goal, records: Sequence[Record], subject: str) -> str:
    """A line that says whether a goal is reached; empty if its peer wasn't measured."""
    found = ratios(records, subject, goal.against)
    found = {shape: found[shape] for shape in found if shape in goal.shapes or not goal.shapes}
    if not found:
        return ""
    parts = []
    mean, worst = geometric_mean(found.values()), min(found, key=lambda shape: found[shape])
    for aim, value, what in (
        (goal.geometric, mean, "in geometric mean"),
        (goal.each, found[worst], f"at {worst}, the least"),
    ):
        if aim is not None:
            reached = "reached" if value >= aim else "not reached"
            parts.append(f"{factor(value)} {what} (goal {aim:g}×: {reached})")
    who = "the fastest peer" if goal.against == "fastest" else goal.against
    return f"Against {who}: {'; '.join(parts)}."


def ragged_rows(records: Sequence[Record], subject: str) -> dict[str, float]:
    """Speed per real row of each ragged shape, as a share of its twin's of equal lengths."""
    rows = by_shape(records)
    found = {}
    for shape in rows:
        twin = rows.get(shape.removesuffix("-ragged") + "-equal", {}).get(subject, {})
        record = rows[shape].get(subject, {})
        if not shape.endswith("-equal") and "gflops" in twin and "gflops" in record:
            found[shape] = record["gflops"] / twin["gflops"]
    return found


def stream_share(record: Record, bandwidth: Sequence[Record]) -> float:
    """A step's speed as a share of reading the weights once, from the cache that holds them.

    Parameters
    ----------
    record : dict
        A measurement of single steps.
    bandwidth : sequence of dict
        What ``measure_bandwidth`` returned for as many threads: each level was read in arrays of
        half its size.

    Returns
    -------
    float
        NaN where there is no such measurement.
    """
    size, threads = record["size"], record["threads"]
    weights = 4 * 4 * size["H"] * (size["I"] + size["H"])
    fits = [row for row in bandwidth if weights / threads <= 2 * row["bytes"]]
    if not fits or "ns" not in record:
        return math.nan
    return float(weights / fits[0]["gbps"] / median(record))
