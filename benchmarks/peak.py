"""The machine's ceiling in fused multiply-adds, taken in turns with the peers."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("peak.cpp")

# Where there is no compiler: numpy's own matrix product, which comes near the peak from below.
_PRODUCT = """
import sys, time
import numpy as np
n = 1536
a, b = np.random.default_rng(0).random((2, n, n), dtype=np.float32)
c = a @ b
for line in sys.stdin:
    best, end = 0.0, time.perf_counter() + float(line)
    while not best or time.perf_counter() < end:
        start = time.perf_counter()
        np.matmul(a, b, out=c)
        best = max(best, 2e-9 * n**3 / (time.perf_counter() - start))
    print(f"{best:.3f}", flush=True)
"""
_BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


@functools.cache
def build() -> tuple[Path | None, str]:
    """Compile peak.cpp for this very machine, once in this process.

    Returns
    -------
    binary : Path or None
        None where it can't be compiled.
    reason : str
        Why not.
    """
    compiler = os.environ.get("CXX", "g++")
    folder = tempfile.mkdtemp(prefix="lstmcore-peak-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    binary = Path(folder, "peak")
    command = [compiler, "-O3", "-march=native", "-std=c++17", "-pthread", str(SOURCE)]
    try:
        subprocess.run([*command, "-o", str(binary)], check=True, capture_output=True, text=True)
    except OSError:
        return None, f"there is no compiler ({compiler})"
    except subprocess.CalledProcessError as error:
        return None, f"{compiler} failed: {(error.stderr.strip().splitlines() or ['?'])[-1]}"
    return binary, ""


def described() -> str:
    """How the peak is measured on this machine."""
    binary, reason = build()
    if binary is not None:
        return "multiply-adds in registers (peak.cpp), in turns with the peers"
    return f"numpy's float32 matrix product, in turns with the peers, as a lower bound: {reason}"


class Peak:
    """A running program that measures the ceiling.

    Parameters
    ----------
    threads : int
        How many threads it keeps busy.
    """

    def __init__(self, threads: int) -> None:
        binary, _ = build()
        self._process = subprocess.Popen(
            [str(binary), str(threads)] if binary else [sys.executable, "-P", "-c", _PRODUCT],
            env={**os.environ, **dict.fromkeys(_BLAS_THREADS, str(threads))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def measure(self, seconds: float) -> float:
        """GFLOP/s over about ``seconds``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{seconds}\n")
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the program."""
        self._process.communicate()
