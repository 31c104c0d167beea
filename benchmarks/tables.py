"""Markdown, and how numbers are written in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from .results import Record
from .statistics import noise

NOISY = 0.05  # half the range of the turns above which a number gets a tilde
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], n_texts: int = 2) -> list[str]:
    """Lines of a table whose first columns are texts, the others numbers.

    Examples
    --------
    >>> print(*table(["a", "b", "c"], [["x", "y", "1"]]), sep="\\n")
    | a | b | c |
    |---|---|---:|
    | x | y | 1 |
    """
    ruler = "|" + "---|" * n_texts + "---:|" * (len(head) - n_texts)
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return [lines[0], ruler, *lines[1:]]


def sizes(record: Record) -> str:
    """``T, N, I, H`` of a record, the range of T where lengths differ."""
    size = record["size"]
    steps = f"{size['shortest']}–{size['T']}" if size["shortest"] is not None else str(size["T"])
    return ", ".join([steps, *(str(size[letter]) for letter in "NIH")])


def unit_of(mode: str) -> str:
    """What a mode's speed is told in."""
    return {"step": "µs", "step-cold": "µs", "fit": "s"}.get(mode, "GFLOP/s")


def speed(record: Record | None, unit: str) -> str:
    """A cell with a measured speed or time; a tilde where the turns differ."""
    if record is None or "unsupported" in record:
        return "–"
    if "failed" in record:
        return "failed"
    median = record["ns"]["median"]
    noisy = "~" if noise(record["ns"]["rounds"]) > NOISY else ""
    if unit == "µs":
        return f"{noisy}{median / 1e3:.1f} (p99 {record['ns']['p99'] / 1e3:.1f})"
    if unit == "s":
        return f"{noisy}{median / 1e9:.3g}"
    return f"{noisy}{record['gflops']:.0f}"


def factor(value: float | None) -> str:
    """A ratio as people write it.

    Examples
    --------
    >>> factor(1.5), factor(None)
    ('1.50×', '–')
    """
    return "–" if value is None or math.isnan(value) else f"{value:.2f}×"


def percent(value: float) -> str:
    """A share as people write it.

    Examples
    --------
    >>> percent(0.456)
    '46 %'
    """
    return f"{100 * value:.0f} %"


def share_of_peak(record: Record | None) -> str:
    """Percent of the peak measured in the same run."""
    if record is None or "ns" not in record or not record.get("peak_gflops"):
        return "–"
    return f"{100 * record['gflops'] / record['peak_gflops']:.0f}"


def threads_text(threads: int) -> str:
    """``"1 thread"``, ``"2 threads"``."""
    return f"{threads} thread{'s' * (threads > 1)}"


def write_into(page: Path, text: str) -> None:
    """Put the text between the page's two markers.

    Parameters
    ----------
    page : Path
        A Markdown file with the lines ``<!-- benchmarks -->`` and ``<!-- /benchmarks -->``.
    text : str
        What is to stand between them.

    Raises
    ------
    ValueError
        If the page has no such markers.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no {BEGIN} … {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
