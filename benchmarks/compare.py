"""Two runs side by side: what became slower."""

from __future__ import annotations

from typing import Any

from .report import geometric_mean

Key = tuple[str, str, str, int, str]


def compare(
    before: dict[str, Any], after: dict[str, Any], peer: str = "lstmcore", threshold: float = 0.05
) -> tuple[str, list[str]]:
    """Compare the same measurements of two runs.

    A change counts when the medians differ by more than ``threshold`` and the turns of the two runs
    don't overlap: on a shared machine the first alone means little.

    Parameters
    ----------
    before, after : dict
        What ``run`` wrote.
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
    """
    old, new = (_by_key(result, peer) for result in (before, after))
    then, now = before["machine"], after["machine"]
    lines = [
        f"{what}: {then[what]} → {now[what]}"
        for what in ("cpu", "commit")
        if then[what] != now[what]
    ]
    lines += ["", "| suite | shape | mode | threads | peer | before ms | after ms | time | |"]
    lines.append("|---|---|---|---:|---|---:|---:|---:|---|")
    shared = [key for key in old if key in new]
    factors = [new[key]["median"] / old[key]["median"] for key in shared]
    slower = []
    for key, factor in zip(shared, factors, strict=True):
        a, b = old[key], new[key]
        verdict = ""
        if factor > 1 + threshold and min(b["rounds"]) > max(a["rounds"]):
            verdict = "slower"
            slower.append(" ".join(str(part) for part in key))
        elif factor < 1 - threshold and max(b["rounds"]) < min(a["rounds"]):
            verdict = "faster"
        cells = [*map(str, key), f"{a['median'] / 1e6:.4g}", f"{b['median'] / 1e6:.4g}"]
        lines.append("| " + " | ".join([*cells, f"{factor:.2f}×", verdict]) + " |")
    lines += ["", f"{len(factors)} measurements; geometric mean {geometric_mean(factors):.3f}×."]
    lost = [key for key in old if key not in new]
    if lost:
        lines.append("Only before: " + "; ".join(" ".join(map(str, key)) for key in lost) + ".")
    return "\n".join(lines).strip() + "\n", slower


def _by_key(result: dict[str, Any], peer: str) -> dict[Key, dict[str, Any]]:
    """Statistics of each measurement that succeeded."""
    return {
        (r["suite"], r["shape"], r["mode"], r["threads"], r["peer"]): r["ns"]
        for r in result["records"]
        if "ns" in r and peer in ("all", r["peer"])
    }
