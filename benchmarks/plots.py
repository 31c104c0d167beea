"""Pictures of a run: ratios by shape, the roofline, scaling. They need matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .bounds import bandwidth_of
from .peers import PEERS
from .ratios import OURS, median, ratios
from .results import Record, group
from .scaling import FAMILIES, families
from .shapes import Shape
from .tables import threads_text

COLOURS = {name: f"C{k}" for k, name in enumerate(PEERS)}


def draw(result: dict[str, Any], folder: Path, subject: str = "lstmcore") -> list[Path]:
    """Draw all that the result has data for.

    Parameters
    ----------
    result : dict
        What ``results.read`` returned.
    folder : Path
        Where ``ratios.svg``, ``roofline.svg`` and ``scaling.svg`` go; made if it isn't there.
    subject : str, default="lstmcore"
        The peer whose ratios are drawn.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    ImportError
        If matplotlib isn't installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("plots need matplotlib: pip install 'lstmcore[plot]'") from None
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, picture in (("ratios", _ratios), ("roofline", _roofline), ("scaling", _scaling)):
        figure = Figure(layout="constrained")
        if picture(result, figure, subject):
            written.append(folder / f"{name}.svg")
            figure.savefig(written[-1])
    return written


def _ratios(result: dict[str, Any], figure: Any, subject: str) -> bool:
    """How many times faster the subject is than each peer, a panel for each suite and mode."""
    panels = {}
    for key, records in group(result["records"]).items():
        others = [name for name in PEERS if name not in (*OURS, subject)]
        found = {name: ratios(records, subject, name) for name in others}
        if any(found.values()):
            panels[key] = {name: values for name, values in found.items() if values}
    if not panels:
        return False
    heights = [max(len(v) for v in found.values()) + 1.5 for found in panels.values()]
    figure.set_size_inches(8, 0.5 + 0.3 * sum(heights))
    axes = figure.subplots(len(panels), height_ratios=heights, squeeze=False)
    for axis, ((suite, mode, threads, isa), found) in zip(axes[:, 0], panels.items(), strict=True):
        shapes = list(dict.fromkeys(shape for values in found.values() for shape in values))
        for name, values in found.items():
            rows = [shapes.index(shape) for shape in values]
            axis.plot(list(values.values()), rows, "o", color=COLOURS[name], label=name)
        axis.axvline(1.0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(shapes)), shapes)
        axis.set_ylim(len(shapes) - 0.5, -0.5)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        axis.grid(alpha=0.3)
        where = ", ".join(filter(None, (threads_text(threads), isa)))
        axis.set_title(f"{suite}: {mode}, {where}; {subject} is faster by", loc="left")
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return True


def intensity(shape: Shape, mode: str) -> float:
    """Operations for each byte that one time step reads or writes, every array once.

    That is what the caches have to deliver: the weights, and for each sequence x, h, c and, in
    training, what BPTT keeps. Where the weights stay in a cache, its line is the one that counts.

    Parameters
    ----------
    shape : Shape
        Of equal lengths or not; N sequences are taken to be alive.
    mode : str
        A mode of whole sequences.
    """
    weights = 4 * shape.H * (shape.I + shape.H)
    states = shape.I + 4 * shape.H  # x; h and c, read and written
    if mode == "infer":
        floats, operations = weights + shape.N * states, 2 * weights * shape.N
    else:
        stash = 5 * shape.H  # gates and tanh(c), written, read, and read as gradients
        floats = 3 * weights + shape.N * (3 * states + 3 * stash)
        operations = 6 * weights * shape.N
    return operations / (4 * floats)


def _roofline(result: dict[str, Any], figure: Any, subject: str) -> bool:
    """GFLOP/s against intensity, under the peak and the lines of the caches."""
    groups = {
        key: [r for r in records if "ns" in r and r["peak_gflops"]]
        for key, records in group(result["records"]).items()
        if key[1] in ("infer", "train") and not key[3]
    }
    panels: dict[tuple[str, int], list[Record]] = {}
    for (_, mode, threads, _), records in groups.items():
        panels.setdefault((mode, threads), []).extend(records)
    panels = {key: records for key, records in panels.items() if records}
    if not panels:
        return False
    figure.set_size_inches(8, 4 * len(panels))
    axes = figure.subplots(len(panels), squeeze=False)
    for axis, ((mode, threads), records) in zip(axes[:, 0], panels.items(), strict=True):
        where = [intensity(Shape(**r["size"]), mode) for r in records]
        ceiling = max(r["peak_gflops"] for r in records)
        low, high = min(where) / 2, max(where) * 2
        axis.plot([low, high], [ceiling, ceiling], color="black", linewidth=1)
        for band in bandwidth_of(records[0], result["runs"]):
            ends = [low, max(low, min(high, ceiling / band["gbps"]))]
            axis.plot(ends, [band["gbps"] * x for x in ends], color="grey", linewidth=0.8)
            axis.annotate(
                f"{band['level']} {band['gbps']:.0f} GB/s", (ends[0], ends[0] * band["gbps"])
            )
        for name in dict.fromkeys(r["peer"] for r in records):
            points = [
                (x, r["gflops"]) for x, r in zip(where, records, strict=True) if r["peer"] == name
            ]
            size = 36 if name == subject else 12
            axis.scatter(*zip(*points, strict=True), s=size, color=COLOURS[name], label=name)
        axis.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="GFLOP/s")
        axis.set_title(f"{mode}, {threads_text(threads)}; peak {ceiling:.0f} GFLOP/s", loc="left")
        axis.grid(alpha=0.3, which="both")
        axis.legend(loc="lower right")
    return True


def _scaling(result: dict[str, Any], figure: Any, subject: str) -> bool:  # noqa: ARG001
    """Time against rows or operations, with a line of linear growth through the largest."""
    chosen = [r for r in result["records"] if r["suite"] == "scaling" and not r["isa"]]
    found = {
        threads: families([r for r in chosen if r["threads"] == threads])
        for threads in sorted({r["threads"] for r in chosen})
    }
    if not any(found.values()):
        return False
    letters = [k for k in FAMILIES if any(k in by_letter for by_letter in found.values())]
    figure.set_size_inches(4 * len(letters), 3.5 * len(found))
    axes = figure.subplots(len(found), len(letters), squeeze=False)
    for row, (threads, by_letter) in zip(axes, found.items(), strict=True):
        for axis, letter in zip(row, letters, strict=True):
            for name, points in by_letter.get(letter, {}).items():
                amounts = [float(point[FAMILIES[letter]]) for point in points]
                times = [median(point) / 1e6 for point in points]
                axis.plot(amounts, times, "o-", color=COLOURS[name], label=name)
                linear = [times[-1] * amount / amounts[-1] for amount in amounts]
                axis.plot(amounts, linear, ":", color=COLOURS[name])
            axis.set(xscale="log", yscale="log", xlabel=FAMILIES[letter], ylabel="ms")
            axis.set_title(f"{letter}, {threads_text(threads)}", loc="left")
            axis.grid(alpha=0.3)
    axes[0, 0].legend()
    return True


def names(paths: Sequence[Path]) -> str:
    """The files that were written, for a line on the screen."""
    return ", ".join(map(str, paths)) or "nothing to draw"
