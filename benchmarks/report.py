"""Markdown tables from the JSON of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from .peers import PEERS
from .shapes import MODES, SUITES, Goal

Record = dict[str, Any]
OURS = ("lstmcore", "lstmcore-core")
NOISY = 0.1  # the spread of the turns' medians above which a number gets a tilde


def report(result: dict[str, Any], subject: str = "lstmcore", details: bool = False) -> str:
    """The whole report.

    Parameters
    ----------
    result : dict
        What ``run`` wrote.
    subject : str, default="lstmcore"
        The peer whose ratios are shown.
    details : bool, default=False
        Add a table of every record: min, median, p90, p99, CV, memory, error.

    Returns
    -------
    str
        Markdown.
    """
    parts = [_head(result)]
    groups = group(result["records"])
    for key, records in groups.items():
        parts.append(_section(key, records, subject, groups.get((*key[:2], 1), [])))
        if details:
            parts.append(_details(records))
    return "\n\n".join(parts) + "\n"


def group(records: Iterable[Record]) -> dict[tuple[str, str, int], list[Record]]:
    """Records by suite, mode and number of threads, in the order they were measured."""
    groups: dict[tuple[str, str, int], list[Record]] = {}
    for record in records:
        key = record["suite"], record["mode"], record["threads"]
        groups.setdefault(key, []).append(record)
    return groups


def with_statistic(result: dict[str, Any], statistic: str) -> dict[str, Any]:
    """The same result with another statistic in the median's place.

    On a machine that others use too the minimum says more than the median.

    Parameters
    ----------
    result : dict
        What ``run`` wrote.
    statistic : {"median", "min", "p90", "p99"}
        What the tables are to show.
    """
    records = [dict(record) for record in result["records"]]
    for record in records:
        if "ns" in record:
            chosen = record["ns"][statistic]
            record["ns"] = {**record["ns"], "median": chosen}
            record["gflops"] = record["flops"] / chosen
    return {**result, "records": records, "statistic": statistic}


def ratios(records: Sequence[Record], subject: str, against: str) -> dict[str, float]:
    """How many times faster the subject is, by shape.

    Parameters
    ----------
    records : sequence of dict
        Of one suite, mode and number of threads.
    subject : str
        The peer that should be fast.
    against : str
        Another peer, or ``"fastest"``: the fastest of those that aren't lstmcore.
    """
    found = {}
    for shape, row in by_shape(records).items():
        if against == "fastest":
            times = [_median(r) for name, r in row.items() if name not in OURS]
        else:
            times = [_median(row[against])] if against in row else []
        times = [time for time in times if not math.isnan(time)]
        ours = _median(row[subject]) if subject in row else math.nan
        if times and not math.isnan(ours):
            found[shape] = min(times) / ours
    return found


def geometric_mean(values: Iterable[float]) -> float:
    """The mean that ratios have.

    Examples
    --------
    >>> geometric_mean([1.0, 4.0])
    2.0
    """
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def measured_peers(records: Iterable[Record]) -> list[str]:
    """Peers with a measurement, in the order of the tables."""
    found = {record["peer"] for record in records if "ns" in record}
    return [name for name in PEERS if name in found]


def by_shape(records: Sequence[Record]) -> dict[str, dict[str, Record]]:
    """Records by shape and peer."""
    rows: dict[str, dict[str, Record]] = {}
    for record in records:
        rows.setdefault(record["shape"], {})[record["peer"]] = record
    return rows


def _median(record: Record) -> float:
    return float(record["ns"]["median"]) if "ns" in record else math.nan


def _head(result: dict[str, Any]) -> str:
    machine, settings = result["machine"], result["settings"]
    caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items())
    virtual = " of a virtual machine" if machine["virtual"] else ""
    turns = f"{settings['rounds']} turns of {settings['seconds']:g} s for each peer, interleaved"
    python = f"Python {machine['python']}, numpy {machine['numpy']}"
    load = machine["load_average"][0]
    statistic = result.get("statistic", "median")
    lines = [
        f"Measured {machine['created']} at commit {machine['commit']}.",
        "",
        f"- {machine['cpu']}, {machine['processors']} processors{virtual}",
        f"- {' '.join(machine['isa'])}; {caches}; {machine['memory_gib']} GiB",
        f"- {machine['system']}, {machine['libc']}, {python}; load average {load} at the start",
        f"- {turns}; {statistic} of all calls; ~ marks turns that differ by more than 10 %",
        f"- peak: {result['peak']}",
    ]
    if machine["environment"]:
        pairs = " ".join(f"{k}={v}" for k, v in machine["environment"].items())
        lines.append(f"- environment: {pairs}")
    for name, about in result["peers"].items():
        lines.append(f"- {name}: " + ", ".join(f"{k} {v}" for k, v in about.items()))
    for name, reason in result["missing"].items():
        lines.append(f"- {name}: not measured ({reason})")
    return "\n".join(lines)


def _section(
    key: tuple[str, str, int],
    records: Sequence[Record],
    subject: str,
    one_thread: Sequence[Record],
) -> str:
    """A table, what failed, and the goals; ``one_thread`` has the same shapes on one thread."""
    suite, mode, threads = key
    unit = {"step": "µs", "step-cold": "µs", "fit": "s"}.get(mode, "GFLOP/s")
    peers = measured_peers(records)
    against_torch = ratios(records, subject, "torch")
    against_best = ratios(records, subject, "fastest")
    head = ["shape", "T, N, I, H", *peers, "÷ torch", "÷ fastest", "% of peak"]
    alone = by_shape(one_thread) if threads > 1 else {}
    head += ["÷ 1 thread"] if alone else []
    lines = [
        f"### {suite}: {mode}, {threads} thread{'s' * (threads > 1)}",
        "",
        f"{MODES[mode][0].upper()}{MODES[mode][1:]}. {unit}; the last columns are {subject}'s.",
        "",
        "| " + " | ".join(head) + " |",
        "|---|---|" + "---:|" * (len(head) - 2),
    ]
    for shape, row in by_shape(records).items():
        size = next(iter(row.values()))["size"]
        cells = [shape, ", ".join(str(size[letter]) for letter in "TNIH")]
        cells += [_cell(row.get(peer), unit) for peer in peers]
        cells += [_factor(against_torch.get(shape)), _factor(against_best.get(shape))]
        cells.append(_share(row.get(subject)))
        if alone:
            before, now = (_median(r.get(subject, {})) for r in (alone.get(shape, {}), row))
            cells.append(_factor(before / now))
        lines.append("| " + " | ".join(cells) + " |")
    if against_best:
        blank, rest = [""] * (len(peers) + 1), [""] * (1 + bool(alone))
        means = [_factor(geometric_mean(r.values())) for r in (against_torch, against_best)]
        lines.append("| " + " | ".join(["geometric mean", *blank, *means, *rest]) + " |")
    lines += _remarks(records) + _ragged(records, subject)
    goals = [goal for goal in SUITES[suite].goals if goal.mode == mode]
    lines += [line for goal in goals if (line := _goal(goal, records, subject))]
    return "\n".join(lines)


def _cell(record: Record | None, unit: str) -> str:
    if record is None or "unsupported" in record:
        return "–"
    if "failed" in record:
        return "failed"
    rounds, median = record["ns"]["rounds"], record["ns"]["median"]
    noisy = "~" if (max(rounds) - min(rounds)) > NOISY * median else ""
    if unit == "µs":
        return f"{noisy}{median / 1e3:.1f} (p99 {record['ns']['p99'] / 1e3:.1f})"
    if unit == "s":
        return f"{noisy}{median / 1e9:.3g}"
    return f"{noisy}{record['gflops']:.0f}"


def _factor(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.2f}×"


def _share(record: Record | None) -> str:
    if record is None or "ns" not in record or not record.get("peak_gflops"):
        return "–"
    return f"{100 * record['gflops'] / record['peak_gflops']:.0f}"


def _remarks(records: Sequence[Record]) -> list[str]:
    """Failures, each named; a wrong result is never a blank."""
    lines = [
        f"{r['peer']} failed at {r['shape']}: {r['failed']}." for r in records if "failed" in r
    ]
    return ["", *lines] if lines else []


def _ragged(records: Sequence[Record], subject: str) -> list[str]:
    """What a real row costs in a ragged batch, against the twin of equal lengths."""
    rows = by_shape(records)
    parts = []
    for shape in rows:
        twin = rows.get(shape.removesuffix("-ragged") + "-equal", {}).get(subject, {})
        record = rows[shape].get(subject, {})
        if shape.endswith("-equal") or "gflops" not in twin or "gflops" not in record:
            continue
        parts.append(f"{shape} {record['gflops'] / twin['gflops']:.2f}×")
    what = "Speed per real row, ragged against equal lengths"
    return ["", f"{what} ({subject}): {', '.join(parts)}."] if parts else []


def _goal(goal: Goal, records: Sequence[Record], subject: str) -> str:
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
            verdict = "reached" if value >= aim else "not reached"
            parts.append(f"{value:.2f}× {what} (goal {aim:g}×: {verdict})")
    who = "the fastest peer" if goal.against == "fastest" else goal.against
    return f"\nAgainst {who}: " + "; ".join(parts) + "."


def _details(records: Sequence[Record]) -> str:
    head = "shape peer min,ms median p90 p99 CV calls peak,MiB over,inputs error"
    cells = [name.replace(",", " ") for name in head.split()]
    lines = ["| " + " | ".join(cells) + " |", "|---|---|" + "---:|" * (len(cells) - 2)]
    for record in records:
        if "ns" not in record:
            continue
        times = [f"{record['ns'][key] / 1e6:.4g}" for key in ("min", "median", "p90", "p99")]
        cells = [record["shape"], record["peer"], *times, f"{record['ns']['cv']:.3f}"]
        cells.append(str(record["ns"]["calls"]))
        cells += [f"{record[key]:.0f}" for key in ("memory_peak_mib", "memory_mib")]
        error = max(record.get("errors", {}).values(), default=math.nan)
        cells.append("–" if math.isnan(error) else f"{error:.1e}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
