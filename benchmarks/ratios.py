"""How many times as fast one peer is as others, and whether that is what was aimed at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .bounds import CEILING
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
            others = {k: record for k, record in row.items() if k not in (*OURS, CEILING)}
            times = [median(r) for k, r in others.items() if not (r["isa"] and k in UNLIMITED)]
        else:
            times = [median(row[against])] if against in row else []
        times = [time for time in times if not math.isnan(time)]
        ours = median(row[subject]) if subject in row else math.nan
        if times and not math.isnan(ours):
            found[shape] = min(times) / ours
    return found


def verdict(goal: Goal, records: Sequence[Record], subject: str) -> str:
    """A line that says whether a goal is reached; empty if its peer wasn't measured.

    Where the ceiling's records are there too, it says what they allow.
    """
    found = _of_goal(goal, ratios(records, subject, goal.against))
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
    text = f"Against {who}: {'; '.join(parts)}."
    allowed = _of_goal(goal, ratios(records, CEILING, goal.against))
    return f"{text} {_allowed(goal, allowed, found)}" if allowed.keys() == found.keys() else text


def _of_goal(goal: Goal, found: dict[str, float]) -> dict[str, float]:
    return {shape: found[shape] for shape in found if shape in goal.shapes or not goal.shapes}


def _allowed(goal: Goal, allowed: dict[str, float], found: dict[str, float]) -> str:
    """What the ceiling allows, how much of it is reached, and which goals lie above it."""
    most = geometric_mean(allowed.values())
    share = 100 * geometric_mean(found.values()) / most
    mean = " in geometric mean" * (len(found) > 1)
    text = f"The ceiling allows {factor(most)}{mean}, of which {share:.0f} % is reached"
    above = [f"{goal.geometric:g}× in geometric mean"] if most < (goal.geometric or 0.0) else []
    low = [f"{k} ({factor(v)})" for k, v in allowed.items() if v < (goal.each or 0.0)]
    above += [f"{goal.each:g}× at {', '.join(low)}"] if low else []
    return f"{text}; goals above it: {' and '.join(above)}." if above else f"{text}."


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
