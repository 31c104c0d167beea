"""One short table of a run, for a page that people read; written into the page if asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .report import OURS, by_shape, geometric_mean, group, measured_peers, ratios

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
    """How many times as fast as the other libraries the subject is, a row for each mode.

    Parameters
    ----------
    result : dict
        What ``run`` wrote.
    subject : str, default="lstmcore"
        The peer that is compared with the others.

    Returns
    -------
    str
        Markdown: a line on the machine, the table, and what wasn't measured.
    """
    peers = [n for n in measured_peers(result["records"]) if n not in (*OURS, subject)]
    heads = ["what", "shapes", *(f"÷ {name}" for name in peers), "÷ the fastest", "least", "most"]
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "---:|" * (len(heads) - 2)]
    all_threads = sorted({record["threads"] for record in result["records"]})
    for (_, mode, threads), records in group(result["records"]).items():
        what = _MODES[mode] + (f", {threads} threads" if len(all_threads) > 1 else "")
        fastest = ratios(records, subject, "fastest")
        cells = [what, ", ".join(by_shape(records))]
        for name in (*peers, "fastest"):
            factors = ratios(records, subject, name).values()
            cells.append(_times(geometric_mean(factors)) if factors else "–")
        cells += [_times(min(fastest.values())), _times(max(fastest.values()))] if fastest else []
        lines.append("| " + " | ".join(cells) + " |")
    machine, statistic = result["machine"], result.get("statistic", "median")
    count = "/".join(map(str, all_threads))
    text = f"Ratios of {statistic} times, geometric means; {machine['cpu']}, {count} threads"
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


def _times(factor: float) -> str:
    """A ratio as people write it."""
    return f"{factor:.2f}×"
