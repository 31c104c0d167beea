"""The machine's ceilings in multiply-adds and in reading, taken in turns with the peers."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .machine import environment

SOURCE = Path(__file__).with_name("peak.cpp")

# Where there is no compiler: numpy's own matrix product, which comes near the peak from below.
_PRODUCT = """
import sys, time
import numpy as np
n = 1536
a, b = np.random.default_rng(0).random((2, n, n), dtype=np.float32)
c = a @ b
for line in sys.stdin:
    best, end = 0.0, time.perf_counter() + float(line.split()[1])
    while not best or time.perf_counter() < end:
        start = time.perf_counter()
        np.matmul(a, b, out=c)
        best = max(best, 2e-9 * n**3 / (time.perf_counter() - start))
    print(f"{best:.3f}", flush=True)
"""
_BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


_MACHINE_FLAGS = {"": ["-march=native"], "avx2": ["-mavx2", "-mfma"]}
_CORE_TYPES = {"": {}, "avx2": {"OPENBLAS_CORETYPE": "Haswell"}}


@functools.cache
def build(isa: str = "") -> tuple[Path | None, str]:
    """Compile peak.cpp for this very machine, once in this process.

    Parameters
    ----------
    isa : str, default=""
        ``"avx2"`` for the ceiling of that instruction set; empty: the processor's.

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
    command = [compiler, "-O3", *_MACHINE_FLAGS[isa], "-std=c++17", "-pthread", str(SOURCE)]
    try:
        subprocess.run([*command, "-o", str(binary)], check=True, capture_output=True, text=True)
    except OSError:
        return None, f"there is no compiler ({compiler})"
    except subprocess.CalledProcessError as error:
        return None, f"{compiler} failed: {(error.stderr.strip().splitlines() or ['?'])[-1]}"
    return binary, ""


def described(isa: str = "") -> str:
    """How the peak is measured on this machine."""
    binary, reason = build(isa)
    if binary is not None:
        return "multiply-adds in registers (peak.cpp), in turns with the peers"
    return f"numpy's float32 matrix product, in turns with the peers, as a lower bound: {reason}"


class Peak:
    """A running program that measures the ceilings.

    Parameters
    ----------
    threads : int
        How many threads it keeps busy.
    isa : str, default=""
        As in ``build``.
    """

    def __init__(self, threads: int, isa: str = "") -> None:
        binary, _ = build(isa)
        self.reads = binary is not None
        limits = {**dict.fromkeys(_BLAS_THREADS, str(threads)), **_CORE_TYPES[isa]}
        self._process = subprocess.Popen(
            [str(binary), str(threads)] if binary else [sys.executable, "-P", "-c", _PRODUCT],
            env={**environment(), **limits},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def measure(self, seconds: float) -> float:
        """GFLOP/s of all threads together, over about ``seconds``."""
        return float(self._ask(f"multiply {seconds}"))

    def stream(self, seconds: float, n_bytes: int) -> float:
        """GB/s at which the threads together read arrays of some bytes, each its own."""
        return float(self._ask(f"stream {seconds} {n_bytes}"))

    def step_times(self, seconds: float, n_bytes: int) -> list[int]:
        """Nanoseconds of each time that some bytes were read once.

        Each thread reads its part when it is called to, and the last one counts: the least that a
        step of one sequence does with its weights.
        """
        return [int(ns) for ns in self._ask(f"step {seconds} {n_bytes}").split()]

    def close(self) -> None:
        """End the program."""
        self._process.communicate()

    def _ask(self, order: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(order + "\n")
        return self._process.stdout.readline()


def levels(caches: dict[str, str], threads: int) -> dict[str, int]:
    """Bytes a thread reads again and again to measure each level of the memory.

    Half of a cache, of its share where threads have it in common; for the memory itself, four times
    the last cache.

    Parameters
    ----------
    caches : dict
        Sizes such as ``{"L1d": "32K", "L2": "1024K", "L3": "32768K"}``; others are left out.
    threads : int
        Threads that share the last one.

    Examples
    --------
    >>> levels({"L1d": "32K", "L2": "1024K", "L3": "32768K"}, 2)
    {'L1': 16384, 'L2': 524288, 'L3': 8388608, 'memory': 67108864}
    """
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    sizes = {
        name: int(caches[key][:-1]) * units[caches[key][-1]]
        for name, key in (("L1", "L1d"), ("L2", "L2"), ("L3", "L3"))
        if caches.get(key, "")[-1:] in units
    }
    if not sizes:
        return {}
    found = {name: size // 2 for name, size in sizes.items()}
    if "L3" in found:
        found["L3"] //= threads
    found["memory"] = 4 * max(sizes.values()) // threads
    return found


def measure_bandwidth(sizes: dict[str, int], threads: int) -> list[dict[str, Any]]:
    """GB/s of reading at each level, all threads together; nothing without a compiler."""
    program = Peak(threads)
    try:
        if not program.reads:
            return []
        return [
            {
                "level": level,
                "bytes": size,
                "gbps": max(program.stream(0.04, size) for _ in range(3)),
            }
            for level, size in sizes.items()
        ]
    finally:
        program.close()
