"""A picture of a run: lstmcore against every other peer, by shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .peers import PEERS
from .report import OURS, group, ratios


def plot_ratios(result: dict[str, Any], path: Path, subject: str = "lstmcore") -> None:
    """Draw how many times faster the subject is than each peer.

    Parameters
    ----------
    result : dict
        What ``run`` wrote.
    path : Path
        The picture; its suffix decides the format.
    subject : str, default="lstmcore"
        The peer whose ratios are drawn.

    Raises
    ------
    ValueError
        If nothing can be compared.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = {}
    for key, records in group(result["records"]).items():
        others = [
            name for name in PEERS if name in result["peers"] and name not in (*OURS, subject)
        ]
        found = {name: ratios(records, subject, name) for name in others}
        if any(found.values()):
            panels[key] = {name: values for name, values in found.items() if values}
    if not panels:
        raise ValueError(f"no shape was measured with {subject} and another peer")
    colours = {name: f"C{k}" for k, name in enumerate(PEERS)}
    heights = [max(len(v) for v in found.values()) + 1.5 for found in panels.values()]
    figure, axes = plt.subplots(
        len(panels),
        figsize=(8, 0.5 * sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axis, ((suite, mode, threads), found) in zip(axes[:, 0], panels.items(), strict=True):
        shapes = list(dict.fromkeys(shape for values in found.values() for shape in values))
        for name, values in found.items():
            rows = [shapes.index(shape) for shape in values]
            axis.plot(list(values.values()), rows, "o", color=colours[name], label=name)
        axis.axvline(1.0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(shapes)), shapes)
        axis.set_ylim(len(shapes) - 0.5, -0.5)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        axis.grid(alpha=0.3)
        axis.set_title(f"{suite}: {mode}, {threads} threads; {subject} is faster by", loc="left")
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=150)
    plt.close(figure)
