"""What stands below the table of single steps: how near they come to reading, and their tails."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .bounds import bandwidth_of, reading_ns
from .ratios import median
from .results import Record
from .tables import factor, percent

_UNKNOWN = {"median": math.nan, "p99": math.nan}


def step_remarks(records: Sequence[Record], runs: Sequence[dict[str, Any]], subject: str) -> str:
    """How near a step comes to reading its weights once, and how steady it is."""
    steps = [record for record in records if record["peer"] == subject and "ns" in record]
    return "\n\n".join(filter(None, [_reading(steps, runs), _tails(steps, subject)]))


def _tails(steps: Sequence[Record], subject: str) -> str:
    """How steady steps are, and what else was measured in their turns."""
    text = f"p99 over median ({subject}): {_listed(steps, _tail)} (goal: at most 1.5×)."
    alone = "As long a computation of one thread that waits for nothing has, over the same turns,"
    reading = "Reading the weights and no more, all threads waiting for the last, has"
    for what, ratio in (
        ("Within a turn, in the middle of them:", _tail_within_a_turn),
        (alone, partial(_tail, what="computing")),
        (reading, partial(_tail, what="reading")),
    ):
        found = _listed(steps, ratio)
        text += f" {what} {found}." if found else ""
    return text


def _reading(steps: Sequence[Record], runs: Sequence[dict[str, Any]]) -> str:
    """How near steps come to the time that reading their weights takes."""
    best = _listed(steps, lambda r: reading_ns(r, bandwidth_of(r, runs)) / median(r), percent)
    if not best:
        return ""
    what = "Speed against reading the weights once, on all threads, from the caches that hold them"
    text = f"{what}: {best} (goal: 80 % for H ≥ 256)."
    only = _listed(steps, lambda r: r.get("reading", _UNKNOWN)["median"] / median(r), percent)
    return f"{text} Against a program that only reads as many bytes: {only}." if only else text


def _tail_within_a_turn(record: Record) -> float:
    return statistics.median(record["ns"].get("tails", [math.nan]))


def _tail(record: Record, what: str = "ns") -> float:
    times = record.get(what, _UNKNOWN)
    return float(times["p99"] / times["median"])


def _listed(
    records: Sequence[Record],
    ratio: Callable[[Record], float],
    write: Callable[[float], str] = factor,
) -> str:
    """The ratios of those that have one."""
    found = [(record["shape"], ratio(record)) for record in records]
    return ", ".join(f"{shape} {write(value)}" for shape, value in found if not math.isnan(value))
