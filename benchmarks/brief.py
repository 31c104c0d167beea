"""One short table of a run, for a page that people read; written into the page if asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .report import OURS, Record, by_shape, geometric_mean, group, measured_peers, ratios

BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
_MODES = {
    "infer": "predict a batch",
    "train": "train on a batch, dx too",
    "train-nodx": "train on a batch",
    "step": "one step",
    "step-cold": "one step, cold caches",
    "fit": "fit",
}


def brief(result: dict[str, Any], subject: str = "lstmcore") -> str:
    """Median times of the subject and the other libraries, a row for each shape and mode.

    Parameters
    ----------
    result : dict
        What ``run`` wrote.
    subject : str, default="lstmcore"
        The peer that comes first.

    Returns
    -------
    str
        Markdown: a line on the machine, the table, and what wasn't measured.
    """
    peers = [n for n in measured_peers(result["records"]) if n not in (*OURS, subject)]
    heads = ["what", "shape", "T, N, I, H", subject, *peers, "against the fastest"]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|---|" + "---:|" * (len(heads) - 3)]
    all_threads = sorted({record["threads"] for record in result["records"]})
    for (_, mode, threads), records in group(result["records"]).items():
        what = _MODES[mode] + (f", {threads} threads" if len(all_threads) > 1 else "")
        factors = ratios(records, subject, "fastest")
        for shape, row in by_shape(records).items():
            size = next(iter(row.values()))["size"]
            cells = [what, shape, ", ".join(str(size[letter]) for letter in "TNIH")]
            cells += [_time(row.get(name)) for name in (subject, *peers)]
            cells.append(f"{factors[shape]:.2f}×" if shape in factors else "–")
            lines.append("| " + " | ".join(cells) + " |")
        if len(factors) > 1:
            mean = f"{geometric_mean(factors.values()):.2f}×"
            cells = [what, "geometric mean", *[""] * (len(heads) - 3), mean]
            lines.append("| " + " | ".join(cells) + " |")
    machine, statistic = result["machine"], result.get("statistic", "median")
    count = "/".join(map(str, all_threads))
    text = f"{statistic.capitalize()} times; {machine['cpu']}, {count} threads"
    versions = [f"{name} {result['peers'][name].get('version', '')}" for name in (subject, *peers)]
    missing = [name for name in result["missing"] if name not in OURS]
    text += f", {machine['created'][:10]}; {', '.join(versions)}."
    text += f" Not measured: {', '.join(missing)}." if missing else ""
    return "\n".join([text, "", *lines])


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


def _time(record: Record | None) -> str:
    """Three digits in the unit that suits."""
    if record is None or "unsupported" in record:
        return "–"
    if "ns" not in record:
        return "failed"
    nanoseconds = record["ns"]["median"]
    for unit, size in (("s", 1e9), ("ms", 1e6)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds / 1e3:.3g} µs"
