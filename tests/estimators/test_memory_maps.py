"""Data larger than memory: a memory map is read where it lies."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from estimators.problems import estimator, methods, targets
from numpy.testing import assert_array_equal


def mapped(path, array):
    """The array as a memory map."""
    np.save(path, array)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("early_stopping", [False, True])
def test_bits_are_those_of_an_array(tmp_path, problem, early_stopping):
    array = np.random.default_rng(0).normal(size=(40, 5, 3)).astype(np.float32)
    X, y = mapped(tmp_path / "X.npy", array), targets(problem)
    assert isinstance(X, np.memmap)
    weights = np.arange(40) % 3
    settings = {"early_stopping": early_stopping, "validation_split": "random"}
    model = estimator(problem, **settings).fit(X, y, weights)
    twin = estimator(problem, **settings).fit(array, y, weights)
    assert_array_equal(model.coefs_, twin.coefs_)
    for name, method in methods(model).items():
        assert_array_equal(method(X), getattr(twin, name)(array))
    order = np.random.default_rng(1).permutation(40)
    shuffled = mapped(tmp_path / "shuffled.npy", array[order])
    other = estimator(problem, **(settings | {"validation_split": "random"}))
    assert_array_equal(other.fit(shuffled, y[order], weights[order]).coefs_, twin.coefs_)


@pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc are of Linux")
def test_memory_does_not_grow_with_the_data(tmp_path):
    """With 120 MB to spare, a fit and a prediction of 196 MB; a copy of them does not fit."""
    code = """
        import re, resource, sys
        import numpy as np
        from lstmcore import LSTMRegressor

        path = sys.argv[1]
        shape = (6000, 64, 128)
        X = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        rng = np.random.default_rng(0)
        for first in range(0, 6000, 1000):
            X[first : first + 1000] = rng.random((1000, 64, 128), np.float32)
        X.flush()
        del X
        X = np.load(path, mmap_mode="r")
        y = rng.normal(size=6000)
        settings = dict(hidden_size=4, tol=None, batch_size=64, n_jobs=1, random_state=0)
        settings |= dict(early_stopping=True)
        LSTMRegressor(max_iter=1, **settings).fit(X[:200], y[:200])
        with open("/proc/self/status") as file:
            used = int(re.search(r"VmData:\\s+(\\d+)", file.read())[1]) * 1024
        limit = used + 120 * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        model = LSTMRegressor(max_iter=1, **settings).fit(X, y)
        assert model.predict(X).shape == (6000,)
        try:
            X.copy()
        except MemoryError:
            print("no room for a copy")
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(code), str(tmp_path / "X.npy")],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "no room for a copy\n"
