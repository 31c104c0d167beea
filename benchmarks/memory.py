"""Memory at the peak of a training step, each peer and shape in a process of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .client import Client, PeerFailedError, PeerMissingError, PeerUnsupportedError
from .peers import PEERS
from .ratios import OURS
from .shapes import Shape
from .tables import factor, sizes, table

Row = dict[str, Any]


def measure_memory(
    suite: str,
    shapes: Sequence[Shape],
    peers: Sequence[str],
    threads: int,
    say: Callable[[str], None],
) -> list[Row]:
    """MiB at the peak of training, over the process with its libraries, weights and inputs.

    Parameters
    ----------
    suite : str
        Where the shapes are from.
    shapes : sequence of Shape
        What is trained on, the gradient of x included.
    peers : sequence of str
        Those that can't train are left out.
    threads : int
        Threads of each peer.
    say : callable
        Where the progress goes.

    Returns
    -------
    list of dict
        ``suite``, ``shape``, ``size``, ``threads``, ``peer`` and ``mib``, or ``failed``.
    """
    rows: list[Row] = []
    unable: set[str] = set()
    for shape in shapes:
        base = {"suite": suite, "shape": shape.name, "size": shape.to_dict(), "threads": threads}
        for peer in peers:
            if peer in unable:
                continue
            client = Client(peer, threads)
            try:
                client.greet()
                answer = client.ask("memory", shape=shape.to_dict(), mode="train")
                rows.append({**base, "peer": peer, "mib": round(answer["mib"], 1)})
            except PeerMissingError as error:
                unable.add(peer)
                say(f"{peer} is left out: {error}")
            except PeerUnsupportedError:
                if shape.shortest is None:
                    unable.add(peer)
            except PeerFailedError as error:
                rows.append({**base, "peer": peer, "failed": str(error)})
            finally:
                client.close()
        found = [
            f"{r['peer']} {r['mib']:.1f}" for r in rows if r["shape"] == shape.name and "mib" in r
        ]
        say(f"{shape.name}: {', '.join(found)} (MiB)")
    return rows


def memory_table(rows: Sequence[Row]) -> str:
    """A table for each suite, and whether lstmcore stays below torch.

    Parameters
    ----------
    rows : sequence of dict
        What ``measure_memory`` returned.
    """
    what = "MiB at the peak of a training step, dx included"
    text = f"{what}, over the process with its libraries, weights and inputs."
    suites = dict.fromkeys(row["suite"] for row in rows)
    tables = [_table_of([row for row in rows if row["suite"] == name], name) for name in suites]
    return "\n\n".join(["### memory of training", text, *tables])


def _table_of(rows: Sequence[Row], suite: str) -> str:
    shapes: dict[str, dict[str, Row]] = {}
    for row in rows:
        shapes.setdefault(row["shape"], {})[row["peer"]] = row
    peers = [p for p in PEERS if any("mib" in found.get(p, {}) for found in shapes.values())]
    others = [peer for peer in peers if peer not in OURS]
    lines, above = [], []
    for shape, found in shapes.items():
        mib = {peer: row["mib"] for peer, row in found.items() if "mib" in row}
        shares = {peer: _share(mib.get("lstmcore"), mib.get(peer)) for peer in others}
        above += [shape] if shares.get("torch", 0.0) > 1.0 else []
        cells = [shape, sizes(next(iter(found.values())))]
        cells += [f"{mib[peer]:.1f}" if peer in mib else "–" for peer in peers]
        lines.append([*cells, *map(factor, shares.values())])
    heads = [suite, "T, N, I, H", *peers, *(f"lstmcore ÷ {peer}" for peer in others)]
    text = "\n".join(table(heads, lines))
    failures = [
        f"{r['peer']} failed at {r['shape']}: {r['failed']}." for r in rows if "failed" in r
    ]
    if "torch" in others:
        reached = f"not reached at {', '.join(above)}" if above else "reached"
        failures.append(f"Goal, below torch at every shape: {reached}.")
    return "\n\n".join([text, *failures])


def _share(ours: float | None, theirs: float | None) -> float:
    return ours / theirs if ours is not None and theirs else math.nan
