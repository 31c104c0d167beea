"""The table of where a training step's time goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .phases import PHASES
from .tables import sizes, table


def phase_table(rows: Sequence[dict[str, Any]]) -> str:
    """Percent of the time by phase, and GFLOP/s of the products in brackets.

    Parameters
    ----------
    rows : sequence of dict
        What ``measure_phases`` returned.
    """
    what = "Percent of the core's time for forward, BPTT and all gradients"
    more = "Packing the weights, once per optimiser step, comes on top."
    text = f"{what}; in brackets GFLOP/s of the products. {more}"
    lines = ["### phases of a training step, 1 thread", "", text, ""]
    cells = []
    for row in rows:
        shares = [_cell(row, phase) for phase in PHASES]
        packing = f"{100 * row['pack'] / row['total']:.1f}"
        cells.append([row["shape"], sizes(row), *shares, f"{1e3 * row['total']:.3g}", packing])
    head = ["shape", "T, N, I, H", *PHASES, "ms", "packing"]
    lines += table(head, cells)
    if not all(row["split"] for row in rows):
        lines += ["", "† x is multiplied beforehand there: recurrent product and gates together."]
    return "\n".join(lines)


def _cell(row: dict[str, Any], phase: str) -> str:
    seconds = row["seconds"][phase]
    share = f"{100 * seconds / row['total']:.0f}"
    if phase == "gates" and not row["split"]:
        return "†"
    if phase not in row["flops"] or seconds <= 0:
        return share
    mark = "†" if phase == "recurrent product" and not row["split"] else ""
    return f"{share}{mark} ({row['flops'][phase] / seconds / 1e9:.0f})"
