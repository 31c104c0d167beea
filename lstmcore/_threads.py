"""How many threads a call may use."""

from __future__ import annotations

import os
from functools import lru_cache
from operator import index

from joblib import cpu_count  # type: ignore[import-untyped]

from lstmcore import _core

_VARIABLE = "LSTMCORE_NUM_THREADS"


def resolve_threads(n_jobs: int | None) -> int:
    """Return the number of threads that ``n_jobs`` stands for, here and now.

    Parameters
    ----------
    n_jobs : int or None
        None is all that are available to this process: ``LSTMCORE_NUM_THREADS`` if it is set, else
        the number of CPUs it may run on, by its affinity and the quota of its control group, but
        not more than OpenMP may use (``OMP_NUM_THREADS``, `threadpoolctl`). As in joblib, -1 is all
        that are available too, -2 all but one, and so on, and a positive number is just that many.

    Returns
    -------
    n_threads : int
        At least 1. Results never depend on it.

    Raises
    ------
    TypeError
        If ``n_jobs`` is no integer.
    ValueError
        If ``n_jobs`` is 0, or ``LSTMCORE_NUM_THREADS`` is not a positive integer.

    Examples
    --------
    >>> from lstmcore._threads import resolve_threads
    >>> resolve_threads(3)
    3
    >>> resolve_threads(None) == resolve_threads(-1)
    True
    """
    if n_jobs is None:
        return _available()
    if isinstance(n_jobs, bool) or not hasattr(n_jobs, "__index__"):
        raise TypeError(f"n_jobs must be an integer or None, got {n_jobs!r}.")
    number = index(n_jobs)
    if number == 0:
        raise ValueError("n_jobs must not be 0: 1 is one thread, None or -1 is all available.")
    return number if number > 0 else max(1, _available() + 1 + number)


def _available() -> int:
    """Return the number of threads available to this process."""
    setting = os.environ.get(_VARIABLE)
    if setting is None or not setting.strip():
        return max(1, min(_n_cpus(), _core.max_threads()))
    if not setting.strip().isdecimal() or int(setting) == 0:
        raise ValueError(f"{_VARIABLE} must be a positive integer, got {setting!r}.")
    return int(setting)


def _n_cpus() -> int:
    """Return the number of CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return _n_cpus_of(len(os.sched_getaffinity(0)))
    return _n_cpus_of(os.cpu_count() or 1)


@lru_cache(maxsize=16)
def _n_cpus_of(n_allowed: int) -> int:
    """Return the number of CPUs, given the affinity.

    What joblib finds is kept per number of CPUs allowed: it reads the quota of the control group
    from a file, which takes longer than a small prediction does, and hardly ever changes.
    """
    return max(1, min(n_allowed, int(cpu_count())))
