"""What is shown while an estimator is fitted: nothing, lines, or a bar.

``rich`` draws the bar when it is installed (``pip install "lstmcore[progress]"``); without it one
plain line per epoch goes to standard output. Nothing is imported or shown when it is not asked for.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    EpochReport = Callable[[Mapping[str, float]], None]


@contextmanager
def show_progress(title: str, n_done: int, n_total: int, *, verbose: bool) -> Iterator[EpochReport]:
    """Show the progress of a fit for as long as the context lasts.

    Parameters
    ----------
    title : str
        What is being fitted.
    n_done, n_total : int
        Epochs that were done before, and when the fit will be over.
    verbose : bool
        Whether anything is shown at all.

    Yields
    ------
    report : callable
        To be called after each epoch with its entry of ``history_``.

    Examples
    --------
    >>> from lstmcore._progress import show_progress
    >>> with show_progress("LSTMClassifier", 0, 2, verbose=False) as report:
    ...     report({"epoch": 1, "loss": 0.69, "seconds": 0.01, "samples_per_second": 9e4})
    """
    if not verbose:
        yield _stay_silent
        return
    progress_class = _rich_progress_class()
    if progress_class is None:
        yield _line_printer(title, n_total)
        return
    with _rich_bar(progress_class, title, n_done, n_total) as report:
        yield report


def _stay_silent(entry: Mapping[str, float]) -> None:
    """Show nothing."""


def _describe(title: str, n_total: int, entry: Mapping[str, float]) -> str:
    parts = [f"{title}: epoch {entry['epoch']}/{n_total}", f"loss {entry['loss']:.6f}"]
    if "validation_score" in entry:
        parts.append(f"validation score {entry['validation_score']:.6f}")
    parts.append(f"{entry['samples_per_second']:.0f} samples/s")
    return "  ".join(parts)


def _line_printer(title: str, n_total: int) -> EpochReport:
    seconds: list[float] = []

    def report(entry: Mapping[str, float]) -> None:
        seconds.append(entry["seconds"])
        left = (n_total - entry["epoch"]) * sum(seconds) / len(seconds)
        print(f"{_describe(title, n_total, entry)}  {left:.1f} s left", flush=True)

    return report


def _rich_progress_class() -> type[Any] | None:
    """Return ``rich.progress.Progress``, or None where rich is not installed."""
    try:
        from rich.progress import Progress
    except ModuleNotFoundError:
        return None
    return Progress


@contextmanager
def _rich_bar(
    progress_class: type[Any], title: str, n_done: int, n_total: int
) -> Iterator[EpochReport]:
    # Its columns are a description, the bar, the share that is done, and the time that is left.
    with progress_class() as progress:
        task = progress.add_task(title, completed=n_done, total=n_total)

        def report(entry: Mapping[str, float]) -> None:
            text = _describe(title, n_total, entry)
            progress.update(task, completed=entry["epoch"], description=text)

        yield report
