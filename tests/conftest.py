"""Parameters that many tests share: instruction sets, numbers of threads, dtypes."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from lstmcore import _core

N_THREADS = (1, 2, 4, 7)


def pytest_collection_finish() -> None:
    """Keep Python's collector from walking through 15,000 tests again and again."""
    gc.freeze()


@pytest.fixture(params=_core.isas_available())
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set that this processor has, ``scalar`` among them."""
    return str(request.param)


@pytest.fixture(params=N_THREADS, ids=lambda n: f"{n}thr")
def n_threads(request: pytest.FixtureRequest) -> int:
    """Numbers of threads, more than there are cores among them."""
    return int(request.param)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype[Any]:
    """The dtypes that the core is compiled for."""
    return np.dtype(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    """A random generator with a fixed seed."""
    return np.random.default_rng(20240817)
