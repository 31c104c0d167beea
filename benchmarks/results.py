"""The JSON of runs: read, checked, merged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SCHEMA = 2
Record = dict[str, Any]
Group = tuple[str, str, int, str]  # suite, mode, threads, instruction set


def read(paths: Sequence[Path]) -> dict[str, Any]:
    """Read the files of one or more runs as one result; what comes later counts.

    Raises
    ------
    ValueError
        If a file isn't the JSON of a run, or is of another schema.
    """
    return merge([_read(path) for path in paths])


def _read(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_text())
        schema = result.get("schema")
    except (json.JSONDecodeError, AttributeError):
        raise ValueError(f"{path} doesn't hold the JSON of a run") from None
    if schema != SCHEMA:
        raise ValueError(f"{path} has schema {schema!r}, expected {SCHEMA}")
    return result


def merge(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One result from those of partial runs.

    A ratio must come from one run. So where two runs measured the same shape in the same suite,
    mode, number of threads and instruction set, all peers' records of the later one count, and none
    of the earlier one's.

    Parameters
    ----------
    results : sequence of dict
        What ``run`` wrote, the oldest first.

    Returns
    -------
    dict
        ``schema``, ``runs`` (machine, settings, peers of each), ``records`` and ``phases``;
        ``run`` of each record is an index into ``runs``.
    """
    runs: list[dict[str, Any]] = []
    records: dict[tuple[Any, ...], list[Record]] = {}
    phases: dict[str, Record] = {}
    for result in results:
        new: dict[tuple[Any, ...], list[Record]] = {}
        for record in result["records"]:
            numbered = {**record, "run": record["run"] + len(runs)}
            new.setdefault((*group_of(record), record["shape"]), []).append(numbered)
        records |= new
        phases |= {row["shape"]: {**row, "run": row["run"] + len(runs)} for row in result["phases"]}
        runs += result["runs"]
    used = sorted(
        {r["run"] for rows in records.values() for r in rows} | {p["run"] for p in phases.values()}
    )
    number = {old: new for new, old in enumerate(used)}
    for row in [r for rows in records.values() for r in rows] + list(phases.values()):
        row["run"] = number[row["run"]]
    return {
        "schema": SCHEMA,
        "runs": [runs[old] for old in used],
        "records": [record for rows in records.values() for record in rows],
        "phases": list(phases.values()),
    }


def group_of(record: Record) -> Group:
    """What belongs in one table."""
    return record["suite"], record["mode"], record["threads"], record["isa"]


def group(records: Iterable[Record]) -> dict[Group, list[Record]]:
    """Records by suite, mode, number of threads and instruction set."""
    groups: dict[Group, list[Record]] = {}
    for record in records:
        groups.setdefault(group_of(record), []).append(record)
    return groups


def by_shape(records: Iterable[Record]) -> dict[str, dict[str, Record]]:
    """Records by shape and peer."""
    rows: dict[str, dict[str, Record]] = {}
    for record in records:
        rows.setdefault(record["shape"], {})[record["peer"]] = record
    return rows


def with_statistic(result: dict[str, Any], statistic: str) -> dict[str, Any]:
    """The same result with another statistic in the median's place.

    On a machine that others use too the minimum says more than the median.

    Parameters
    ----------
    result : dict
        What ``read`` returned.
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
