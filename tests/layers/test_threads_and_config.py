"""How many threads n_jobs stands for, and the report on what runs here."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import lstmcore
from lstmcore import _core, _threads
from lstmcore._threads import resolve_threads


@pytest.fixture(autouse=True)
def no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LSTMCORE_NUM_THREADS", raising=False)


def machine(monkeypatch: pytest.MonkeyPatch, n_cpus: int, n_openmp: int) -> None:
    monkeypatch.setattr(_threads, "_n_cpus", lambda: n_cpus)
    monkeypatch.setattr(_core, "max_threads", lambda: n_openmp)


@pytest.mark.parametrize(
    ("n_jobs", "n_threads"),
    [(None, 6), (-1, 6), (-2, 5), (-6, 1), (-7, 1), (-100, 1), (1, 1), (6, 6), (50, 50)],
)
def test_meaning_of_n_jobs(monkeypatch: pytest.MonkeyPatch, n_jobs: Any, n_threads: int) -> None:
    for n_cpus, n_openmp in ((6, 8), (8, 6)):
        machine(monkeypatch, n_cpus, n_openmp)
        assert resolve_threads(n_jobs) == n_threads
        if n_jobs is not None:
            assert resolve_threads(np.int32(n_jobs)) == n_threads  # type: ignore[arg-type]


def test_environment_says_what_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 6, 6)
    for setting, n_threads in (("3", 3), (" 9 ", 9), ("", 6), (" ", 6)):
        monkeypatch.setenv("LSTMCORE_NUM_THREADS", setting)
        assert resolve_threads(None) == resolve_threads(-1) == n_threads
        assert resolve_threads(2) == 2


@pytest.mark.parametrize("setting", ["0", "-1", "two", "1.5", "²"])
def test_wrong_environment(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("LSTMCORE_NUM_THREADS", setting)
    with pytest.raises(ValueError, match="LSTMCORE_NUM_THREADS must be a positive integer, got"):
        resolve_threads(None)


@pytest.mark.parametrize("n_jobs", [1.0, "1", True, [1], np.float64(1)])
def test_wrong_types(n_jobs: Any) -> None:
    with pytest.raises(TypeError, match="n_jobs must be an integer or None, got"):
        resolve_threads(n_jobs)


def test_zero_is_no_number_of_threads() -> None:
    with pytest.raises(ValueError, match="n_jobs must not be 0"):
        resolve_threads(0)


def test_threadpoolctl_is_obeyed() -> None:
    with threadpool_limits(limits=1, user_api="openmp"):
        assert resolve_threads(None) == 1
        assert resolve_threads(3) == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_is_obeyed() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert resolve_threads(None) == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert resolve_threads(None) <= len(allowed)


def test_config_as_dicts() -> None:
    config = lstmcore.show_config(mode="dicts")
    assert config["core"] == _core.config()
    assert config["threads"] == resolve_threads(None)
    assert config["libraries"]["numpy"] == np.__version__


def test_config_as_a_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSTMCORE_NUM_THREADS", "5")
    assert lstmcore.show_config() is None  # type: ignore[func-returns-value]
    report = capsys.readouterr().out
    assert f"version:        {lstmcore.__version__}\n" in report
    assert ", ".join(_core.isas_available()) in report
    assert "  LSTMCORE_NUM_THREADS: 5" in report
    assert lstmcore.show_config(mode="dicts")["threads"] == 5
    assert capsys.readouterr().out == ""


def test_wrong_mode() -> None:
    with pytest.raises(ValueError, match=r'mode must be "stdout" or "dicts", got .print'):
        lstmcore.show_config(mode="print")  # type: ignore[call-overload]
