"""How many threads there are: affinity, quotas, threadpoolctl, and searches within searches."""

from __future__ import annotations

import builtins
import io
import os
import subprocess
import sys
import textwrap

import joblib
import pytest
from estimators.problems import estimator, ragged_sequences, targets
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from lstmcore import _core, _threads
from lstmcore._threads import resolve_threads

QUOTA = "/sys/fs/cgroup/cpu.max"


@pytest.fixture
def machine(monkeypatch):
    """A machine of 8 CPUs, on which OpenMP may use 16 threads and the quota is what is set."""

    def set_quota(text):
        real_open, real_exists = builtins.open, os.path.exists
        monkeypatch.setattr(
            builtins,
            "open",
            lambda path, *a, **k: io.StringIO(text) if path == QUOTA else real_open(path, *a, **k),
        )
        monkeypatch.setattr(os.path, "exists", lambda path: path == QUOTA or real_exists(path))
        _threads._n_cpus_of.cache_clear()

    for name in ("LSTMCORE_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(_core, "max_threads", lambda: 16)
    yield set_quota
    monkeypatch.undo()
    _threads._n_cpus_of.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are of Linux")
@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 8), ("300000 100000", 3), ("150000 100000", 2), ("1600000 100000", 8)],
)
def test_quota_of_the_control_group(machine, quota, expected):
    machine(quota)
    assert resolve_threads(None) == resolve_threads(-1) == expected
    assert resolve_threads(-2) == max(1, expected - 1)
    assert resolve_threads(5) == 5


def test_fewer_cpus_allowed(machine, monkeypatch):
    machine("max 100000")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 6}, raising=False)
    assert resolve_threads(None) == 3


def test_the_variable_comes_first(machine, monkeypatch):
    machine("100000 100000")
    monkeypatch.setenv("LSTMCORE_NUM_THREADS", "6")
    assert resolve_threads(None) == 6


def test_threadpoolctl():
    before = resolve_threads(None)
    with threadpool_limits(1):
        assert resolve_threads(None) == 1
    assert resolve_threads(None) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this platform")
def test_affinity_in_a_process_of_its_own():
    code = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        import numpy as np
        from lstmcore import LSTMRegressor
        from lstmcore._threads import resolve_threads
        assert resolve_threads(None) == 1
        X = np.random.default_rng(0).normal(size=(300, 20, 4))
        before = len(os.listdir("/proc/self/task"))
        model = LSTMRegressor(max_iter=1, tol=None, batch_size=300).fit(X, X[:, 0, 0])
        model.predict(X)
        assert len(os.listdir("/proc/self/task")) == before, "a thread was started"
    """
    names = ("OMP_NUM_THREADS", "LSTMCORE_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {k: v for k, v in os.environ.items() if k not in names}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    subprocess.run([sys.executable, "-P", "-c", textwrap.dedent(code)], check=True, env=environment)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_workers_share_the_cpus(n_jobs, monkeypatch):
    monkeypatch.delenv("LSTMCORE_NUM_THREADS", raising=False)
    with joblib.parallel_config("loky", n_jobs=n_jobs):
        found = joblib.Parallel()(joblib.delayed(resolve_threads)(None) for _ in range(n_jobs))
    assert sum(found) <= max(joblib.cpu_count(), n_jobs)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_search_within_a_search(backend):
    X, y = ragged_sequences(60), targets("binary", 60)
    inner = GridSearchCV(estimator("binary", n_jobs=1), {"hidden_size": [2, 4]}, cv=2, n_jobs=2)
    expected = GridSearchCV(inner, {"estimator__batch_size": [8, 16]}, cv=2).fit(X, y)
    with joblib.parallel_config(backend, n_jobs=2):
        outer = GridSearchCV(inner, {"estimator__batch_size": [8, 16]}, cv=2).fit(X, y)
    assert_array_equal(
        outer.best_estimator_.best_estimator_.coefs_,
        expected.best_estimator_.best_estimator_.coefs_,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads in /proc")
def test_fits_in_threads_of_joblib_take_n_jobs_threads_each():
    code = """
        import os, sys, threading
        import joblib
        import numpy as np
        from lstmcore import LSTMRegressor
        X = np.random.default_rng(0).normal(size=(400, 20, 4))
        settings = {"hidden_size": 32, "max_iter": 2, "tol": None, "batch_size": 400}

        def fit(n_jobs, barrier):
            if n_jobs != 0:
                LSTMRegressor(**settings, random_state=0, n_jobs=n_jobs).fit(X, X[:, 0, 0])
            barrier.wait(60)  # OpenMP's threads live as long as the one that asked for them
            n_threads = len(os.listdir("/proc/self/task"))
            barrier.wait(60)
            return n_threads

        def count(n_jobs):
            barrier = threading.Barrier(3)
            with joblib.parallel_config("threading", n_jobs=3):
                return max(joblib.Parallel()(joblib.delayed(fit)(n_jobs, barrier) for _ in "abc"))

        nothing = count(0)
        assert count(1) == nothing, "a fit of one thread started others"
        assert nothing < count(2) <= nothing + 3, "each fit of two threads adds one"
        os.environ["LSTMCORE_NUM_THREADS"] = "1"
        assert count(None) == nothing, "the variable bounds the threads of each fit"
    """
    names = ("OMP_NUM_THREADS", "LSTMCORE_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {k: v for k, v in os.environ.items() if k not in names}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    subprocess.run([sys.executable, "-P", "-c", textwrap.dedent(code)], check=True, env=environment)
