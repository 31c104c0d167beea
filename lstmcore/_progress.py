"""What is shown while an estimator is fitted: nothing, lines, or a bar.

``rich`` draws the bar when it is installed (``pip install "lstmcore[progress]"``); without it one
plain line per epoch goes to standard output. Nothing is imported or shown when it is not asked for.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    EpochReport = Callable[[int, float, float], None]


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
        To be called after each epoch with the number of epochs done so far, the training loss, and
        the seconds that the epoch took.

    Examples
    --------
    >>> from lstmcore._progress import show_progress
    >>> with show_progress("LSTMClassifier", 0, 2, verbose=False) as report:
    ...     report(1, 0.69, 0.01)
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


def _stay_silent(epoch: int, loss: float, seconds: float) -> None:
    """Show nothing."""


def _describe(title: str, epoch: int, n_total: int, loss: float, seconds: float) -> str:
    return f"{title}: epoch {epoch}/{n_total}  loss {loss:.6f}  {seconds:.2f} s"


def _line_printer(title: str, n_total: int) -> EpochReport:
    def report(epoch: int, loss: float, seconds: float) -> None:
        print(_describe(title, epoch, n_total, loss, seconds), flush=True)

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
    with progress_class() as progress:
        task = progress.add_task(title, completed=n_done, total=n_total)

        def report(epoch: int, loss: float, seconds: float) -> None:
            text = _describe(title, epoch, n_total, loss, seconds)
            progress.update(task, completed=epoch, description=text)

        yield report
