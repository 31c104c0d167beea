"""How time grows with the number of steps, of sequences and of hidden units."""

from __future__ import annotations

from collections.abc import Sequence

from .ratios import measured_peers, median
from .results import Record
from .statistics import growth
from .tables import table

# What time should grow with: rows for T and N, operations for H.
FAMILIES = {"T": "rows", "N": "rows", "H": "flops"}


def families(records: Sequence[Record]) -> dict[str, dict[str, list[Record]]]:
    """Records of the scaling suite by the letter that varies and by peer, ascending.

    The shapes are named after it: ``scale-T-50``.
    """
    found: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        if "ns" in record:
            letter = record["shape"].split("-")[1]
            found.setdefault(letter, {}).setdefault(record["peer"], []).append(record)
    for peers in found.values():
        for rows in peers.values():
            rows.sort(key=lambda record: float(record["flops"]))
    return found


def scaling_table(records: Sequence[Record]) -> str:
    """The exponents of growth: 1 is linear.

    Parameters
    ----------
    records : sequence of dict
        Of the scaling suite, one mode and number of threads.
    """
    found = families(records)
    peers = measured_peers(records)
    rows = []
    for letter, by_peer in found.items():
        sizes = [row["size"][letter] for row in next(iter(by_peer.values()))]
        cells = [f"{letter} {min(sizes)} to {max(sizes)}", FAMILIES[letter]]
        for peer in peers:
            points = by_peer.get(peer, [])
            if len(points) < 2:
                cells.append("–")
                continue
            amounts = [float(row[FAMILIES[letter]]) for row in points]
            cells.append(f"{growth(amounts, [median(row) for row in points]):.2f}")
        rows.append(cells)
    what = "Time grows with this power of the rows (T, N) or operations (H)"
    text = f"{what}; 1 is linear, below it the fixed cost of a call still shows:"
    return "\n".join([text, "", *table(["what grows", "power of", *peers], rows)])
