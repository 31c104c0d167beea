"""Two runs side by side: what became slower."""

from __future__ import annotations

from typing import Any

from .statistics import geometric_mean, noise
from .tables import factor, table

Key = tuple[str, str, str, int, str, str]


def compare(
    before: dict[str, Any], after: dict[str, Any], peer: str = "lstmcore", threshold: float = 0.05
) -> tuple[str, list[str]]:
    """Compare the same measurements of two runs.

    A change counts when the medians differ by more than ``threshold``, by more than the noise of
    the two runs together, and no turn of one run overlaps with one of the other: on a shared
    machine the first alone means little.

    Parameters
    ----------
    before, after : dict
        What ``results.read`` returned.
    peer : str, default="lstmcore"
        The peer to compare; ``"all"`` for every one.
    threshold : float, default=0.05
        The relative change of the median that is worth a word.

    Returns
    -------
    text : str
        A Markdown table of all shared measurements.
    slower : list of str
        Names of the measurements that became slower.

    Raises
    ------
    ValueError
        If ``threshold`` is negative or the runs have nothing in common.
    """
    if threshold < 0:
        raise ValueError(f"threshold must not be negative, got {threshold}")
    old, new = (_by_key(result, peer) for result in (before, after))
    shared = [key for key in old if key in new]
    if not shared:
        raise ValueError(f"the two runs have no measurement of {peer} in common")
    lines = []
    for what in ("cpu", "commit"):
        then, now = (_said(result, what) for result in (before, after))
        lines += [f"{what}: {then} → {now}"] if then != now else []
    factors = [new[key]["median"] / old[key]["median"] for key in shared]
    rows, slower = [], []
    for key, change in zip(shared, factors, strict=True):
        a, b = old[key], new[key]
        unsure = noise(a["rounds"]) + noise(b["rounds"])
        word = _judge(a["rounds"], b["rounds"], change, max(threshold, unsure))
        slower += [" ".join(map(str, key)).strip()] if word == "slower" else []
        times = [f"{found['median'] / 1e6:.4g}" for found in (a, b)]
        rows.append([*map(str, key), *times, factor(change), f"{100 * unsure:.0f}", word])
    heads = "suite, shape, mode, threads, isa, peer, before ms, after ms, time, noise %, verdict"
    lines += ["", *table(heads.split(", "), rows, n_texts=6)]
    lines += ["", f"{len(factors)} measurements; geometric mean {geometric_mean(factors):.3f}×."]
    lost = [key for key in old if key not in new]
    if lost:
        lines.append("Only before: " + "; ".join(" ".join(map(str, key)) for key in lost) + ".")
    return "\n".join(lines).strip() + "\n", slower


def _judge(before: list[float], after: list[float], change: float, least: float) -> str:
    if change > 1 + least and min(after) > max(before):
        return "slower"
    if change < 1 / (1 + least) and max(after) < min(before):
        return "faster"
    return ""


def _said(result: dict[str, Any], what: str) -> str:
    return ", ".join(dict.fromkeys(run["machine"][what] for run in result["runs"]))


def _by_key(result: dict[str, Any], peer: str) -> dict[Key, dict[str, Any]]:
    """Statistics of each measurement that succeeded."""
    return {
        (r["suite"], r["shape"], r["mode"], r["threads"], r["isa"], r["peer"]): r["ns"]
        for r in result["records"]
        if "ns" in r and peer in ("all", r["peer"])
    }
