"""The whole report: what was measured on what, a table for each suite and mode, the rest below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .bounds import CEILING, best_bandwidth, ceilings
from .client import UNLIMITED
from .memory import memory_table
from .phase_table import phase_table
from .ratios import measured_peers, median, ragged_rows, ratios, verdict
from .results import Group, Record, by_shape, group
from .scaling import scaling_table
from .shapes import MODES, SUITES
from .statistics import geometric_mean
from .step_remarks import step_remarks
from .tables import factor, share_of_peak, sizes, speed, table, threads_text, unit_of

RAGGED_GOAL = 0.9  # of the speed of equal lengths, per real row


def report(result: dict[str, Any], subject: str = "lstmcore", details: bool = False) -> str:
    """The report of one run, or of several that were merged.

    Parameters
    ----------
    result : dict
        What ``results.read`` returned.
    subject : str, default="lstmcore"
        The peer whose ratios are shown.
    details : bool, default=False
        Add tables of every record: min, median, p90, p99, CV, error, the code that ran.

    Returns
    -------
    str
        Markdown.
    """
    parts = [head(result)]
    groups = group(result["records"])
    for key, records in groups.items():
        suite, mode, _, isa = key
        bounds = ceilings(records, result["runs"])
        alone = groups.get((suite, mode, 1, isa), [])
        parts.append(_section(key, records, bounds, subject, alone))
        if mode == "step":
            parts.append(step_remarks(records, result["runs"], subject))
        if suite == "scaling":
            parts.append(scaling_table(records))
        parts += [_details(records)] if details else []
    if result["phases"]:
        parts.append(phase_table(result["phases"]))
    if result["memory"]:
        parts.append(memory_table(result["memory"]))
    return "\n\n".join(parts) + "\n"


def head(result: dict[str, Any]) -> str:
    """What was measured, when, on what; for merged runs what they have in common and what not."""
    runs = result["runs"]
    lines = [f"Measured {_span([run['machine']['created'][:19] for run in runs])}"]
    lines[0] += f" at commit {', '.join(_unique(run['machine']['commit'] for run in runs))}"
    lines[0] += f", in {len(runs)} runs." if len(runs) > 1 else "."
    lines.append("")
    lines += [f"- {text}" for text in _unique(_machine(run["machine"]) for run in runs)]
    lines += [f"- {text}" for text in _unique(_software(run["machine"]) for run in runs)]
    loads = [run["machine"]["load_average"][0] for run in runs]
    turns = ", ".join(_unique(_turns(run["settings"]) for run in runs))
    statistic = result.get("statistic", "median")
    tilde = "~ marks turns that lie more than ±5 % apart"
    lines += [
        f"- {turns}; {statistic} of all calls; {tilde}; load average before: {_range(loads)}",
        f"- peak: {'; '.join(_unique(run['peak'] for run in runs))}",
    ]
    lines += [f"- {text}" for text in [_bandwidth(runs)] if text]
    environments = (run["machine"]["environment"] for run in runs)
    lines += [f"- environment: {text}" for text in _unique(map(_pairs, environments)) if text]
    abouts = (f"{k}: {_commas(v)}" for run in runs for k, v in run["peers"].items())
    lines += [f"- {text}" for text in _unique(abouts)]
    measured = {name for run in runs for name in run["peers"]}
    missing = {k: v for run in runs for k, v in run["missing"].items() if k not in measured}
    lines += [f"- {name}: not measured ({reason})" for name, reason in missing.items()]
    limited = _unique(run["settings"]["isa"] for run in runs if run["settings"]["isa"])
    for isa in limited:
        names = [name for name in UNLIMITED if name in measured]
        lines += [f"- {name} can't be held to {isa}: it ran with all there is" for name in names]
    return "\n".join(lines)


def _machine(machine: dict[str, Any]) -> str:
    virtual = " of a virtual machine" if machine["virtual"] else ""
    caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items())
    what = f"{machine['cpu']}, {machine['processors']} processors{virtual}"
    return f"{what}; {' '.join(machine['isa'])}; {caches}; {machine['memory_gib']} GiB"


def _software(machine: dict[str, Any]) -> str:
    python = f"Python {machine['python']}, numpy {machine['numpy']}"
    return f"{machine['system']}, {machine['libc']}, {python}"


def _turns(settings: dict[str, Any]) -> str:
    return f"{settings['rounds']} turns of {settings['seconds']:g} s for each peer, interleaved"


def _bandwidth(runs: Sequence[dict[str, Any]]) -> str:
    """The best of the runs on the last one's machine."""
    parts = []
    for threads in sorted({n for run in runs for n in run["bandwidth"]}, key=int):
        rows = best_bandwidth(runs, threads, runs[-1]["machine"])
        levels = ", ".join(f"{row['level']} {row['gbps']:.0f}" for row in rows)
        parts += [f"{threads_text(int(threads))} {levels}"] if rows else []
    return f"reading, GB/s: {'; '.join(parts)}" if parts else ""


def _pairs(values: dict[str, str]) -> str:
    return " ".join(f"{k}={v}" for k, v in values.items())


def _commas(values: dict[str, str]) -> str:
    return ", ".join(f"{k} {v}" for k, v in values.items())


def _unique(texts: Any) -> list[str]:
    return list(dict.fromkeys(texts))


def _span(times: Sequence[str]) -> str:
    first, last = min(times), max(times)
    return first if first == last else f"{first} to {last} (UTC)"


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _section(
    key: Group,
    records: Sequence[Record],
    bounds: Sequence[Record],
    subject: str,
    alone: Sequence[Record],
) -> str:
    """A table, what failed, and the goals.

    ``bounds`` has the ceiling's records, ``alone`` the same shapes on one thread.
    """
    suite, mode, threads, isa = key
    unit = unit_of(mode)
    peers = measured_peers(records)
    against = {"÷ torch": ratios(records, subject, "torch")} if "torch" in peers else {}
    against["÷ fastest"] = ratios(records, subject, "fastest")
    against |= {"at most": ratios([*records, *bounds], CEILING, "fastest")} if bounds else {}
    single = by_shape(alone) if threads > 1 else {}
    heads = ["shape", "T, N, I, H", *peers, *against, "% of peak"]
    heads += ["÷ 1 thread"] if single else []
    rows = []
    for shape, row in by_shape(records).items():
        cells = [shape, sizes(next(iter(row.values()))), *(speed(row.get(p), unit) for p in peers)]
        cells += [factor(found.get(shape)) for found in against.values()]
        cells.append(share_of_peak(row.get(subject)))
        if single:
            before, now = (median(r.get(subject, {})) for r in (single.get(shape, {}), row))
            cells.append(factor(before / now))
        rows.append(cells)
    if against["÷ fastest"]:
        means = [factor(geometric_mean(found.values())) for found in against.values()]
        blank = [""] * (1 + len(peers))
        rows.append(["geometric mean", *blank, *means, *[""] * (1 + bool(single))])
    held = f", all held to {isa}" if isa else ""
    lines = [
        f"### {suite}: {mode}, {threads_text(threads)}{held}",
        "",
        f"{MODES[mode][0].upper()}{MODES[mode][1:]}. {unit}; the last columns are {subject}'s.",
        "",
        *table(heads, rows),
    ]
    remarks = [
        *(f"{r['peer']} failed at {r['shape']}: {r['failed']}." for r in records if "failed" in r),
        _checked(records),
        _ragged(records, subject),
        _cells(records, subject),
    ]
    if not isa and suite in SUITES:
        goals = [goal for goal in SUITES[suite].goals if goal.mode == mode]
        remarks += [verdict(goal, [*records, *bounds], subject) for goal in goals]
    return "\n".join(lines + [line for text in remarks if text for line in ("", text)])


def _checked(records: Sequence[Record]) -> str:
    """Which shapes were compared with the reference in part only, and which had fewer turns."""
    part = {r["shape"]: r["checked"] for r in records if r.get("checked", "all") != "all"}
    listed = ", ".join(f"{shape} {what}" for shape, what in part.items())
    text = f"Compared with the reference in part: {listed}." if part else ""
    most = max((len(r["ns"]["rounds"]) for r in records if "ns" in r), default=0)
    few = {r["shape"]: len(r["ns"]["rounds"]) for r in records if "ns" in r}
    listed = ", ".join(f"{shape} {turns}" for shape, turns in few.items() if turns < most)
    return f"{text} {f'Fewer turns: {listed}.' if listed else ''}".strip()


def _ragged(records: Sequence[Record], subject: str) -> str:
    """What a real row costs in a ragged batch, against the twin of equal lengths."""
    found = ragged_rows(records, subject)
    if not found:
        return ""
    listed = ", ".join(f"{shape} {factor(value)}" for shape, value in found.items())
    reached = "reached" if min(found.values()) >= RAGGED_GOAL else "not reached"
    goal = f"goal {RAGGED_GOAL}× each: {reached}"
    return f"Speed per real row, ragged against equal lengths ({subject}): {listed} ({goal})."


def _cells(records: Sequence[Record], subject: str) -> str:
    """Operations a second of each cell over those of the plain LSTM."""
    speeds = {r["size"].get("cell"): r["gflops"] for r in records if _is_cell(r, subject)}
    plain = speeds.pop("lstm", None)
    if not speeds or plain is None:
        return ""
    listed = ", ".join(f"{cell} {factor(value / plain)}" for cell, value in speeds.items())
    return f"Operations a second over the plain LSTM's ({subject}): {listed}."


def _is_cell(record: Record, subject: str) -> bool:
    return record["suite"] == "cells" and record["peer"] == subject and "ns" in record


def _details(records: Sequence[Record]) -> str:
    head = ["shape", "peer", "code", "min ms", "median", "p90", "p99", "CV", "calls", "error"]
    rows = []
    for record in records:
        if "ns" not in record:
            continue
        times = [f"{record['ns'][key] / 1e6:.4g}" for key in ("min", "median", "p90", "p99")]
        error = max(record.get("errors", {}).values(), default=math.nan)
        cells = [record["shape"], record["peer"], record.get("path", "–"), *times]
        cells += [f"{record['ns']['cv']:.3f}", str(record["ns"]["calls"])]
        rows.append([*cells, "–" if math.isnan(error) else f"{error:.1e}"])
    return "\n".join(table(head, rows, n_texts=3))
