"""One short table of a run, for a page that people read."""

from __future__ import annotations

from typing import Any

from .ratios import OURS, measured_peers, ratios
from .results import by_shape, group
from .statistics import geometric_mean
from .tables import factor, table

_MODES = {
    "infer": "predict a batch",
    "train": "train on a batch, dx too",
    "train-nodx": "train on a batch",
    "step": "one step",
    "step-cold": "one step, cold caches",
    "fit": "fit",
}
_MOST_NAMES = 5


def brief(result: dict[str, Any], subject: str = "lstmcore") -> str:
    """How many times as fast as the other libraries the subject is, a row for each mode.

    Parameters
    ----------
    result : dict
        What ``results.read`` returned.
    subject : str, default="lstmcore"
        The peer that is compared with the others.

    Returns
    -------
    str
        Markdown: a line on the machine, the table, and what wasn't measured.
    """
    records, runs = result["records"], result["runs"]
    peers = [name for name in measured_peers(records) if name not in (*OURS, subject)]
    heads = ["what", "shapes", *(f"÷ {name}" for name in peers), "÷ the fastest", "least", "most"]
    all_threads = sorted({record["threads"] for record in records})
    rows = []
    for (suite, mode, threads, isa), measured in group(records).items():
        what = _MODES[mode] + (f", {threads} threads" if len(all_threads) > 1 else "")
        what += f", {isa}" if isa else ""
        fastest = ratios(measured, subject, "fastest")
        cells = [what, _names(list(by_shape(measured)), suite)]
        found = [ratios(measured, subject, name).values() for name in (*peers, "fastest")]
        cells += [factor(geometric_mean(values)) for values in found]
        ends = (min(fastest.values()), max(fastest.values())) if fastest else (None, None)
        rows.append([*cells, *map(factor, ends)])
    machine, statistic = runs[-1]["machine"], result.get("statistic", "median")
    count = "/".join(map(str, all_threads))
    text = f"Ratios of {statistic} times, geometric means; {machine['cpu']}, {count} threads"
    about = {name: found for run in runs for name, found in run["peers"].items()}
    versions = [f"{name} {about[name].get('version', '')}" for name in (subject, *peers)]
    missing = {name for run in runs for name in run["missing"]} - set(about) - set(OURS)
    text += f", {machine['created'][:10]}; {', '.join(versions)}."
    text += f" Not measured: {', '.join(sorted(missing))}." if missing else ""
    return "\n".join([text, "", *table(heads, rows)])


def _names(shapes: list[str], suite: str) -> str:
    if len(shapes) <= _MOST_NAMES:
        return ", ".join(shapes)
    return f"{len(shapes)} of {suite}"
