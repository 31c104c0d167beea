"""The JSON of runs: read, checked, merged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

SCHEMA = 2
Record = dict[str, Any]
Group = tuple[str, str, int, str]  # suite, mode, threads, instruction set
# What a later run replaces as a whole.
_KINDS: dict[str, Callable[[Record], tuple[Any, ...]]] = {
    "records": lambda row: (*group_of(row), row["shape"]),
    "phases": lambda row: (row["shape"],),
    "memory": lambda row: (row["suite"], row["shape"], row["threads"]),
}


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
        What ``run``, ``phases`` and ``memory`` wrote, the oldest first.

    Returns
    -------
    dict
        ``schema``, ``runs`` (machine, settings, peers of each), ``records``, ``phases`` and
        ``memory``; ``run`` of each row is an index into ``runs``.
    """
    runs: list[dict[str, Any]] = []
    kept: dict[str, dict[tuple[Any, ...], list[Record]]] = {kind: {} for kind in _KINDS}
    for result in results:
        for kind, key_of in _KINDS.items():
            new: dict[tuple[Any, ...], list[Record]] = {}
            for row in result[kind]:
                new.setdefault(key_of(row), []).append({**row, "run": row["run"] + len(runs)})
            kept[kind] |= new
        runs += result["runs"]
    flat = {kind: [row for rows in found.values() for row in rows] for kind, found in kept.items()}
    used = sorted({row["run"] for rows in flat.values() for row in rows})
    number = {old: new for new, old in enumerate(used)}
    for rows in flat.values():
        for row in rows:
            row["run"] = number[row["run"]]
    return {"schema": SCHEMA, "runs": [runs[old] for old in used], **flat}


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
