"""The machine's ceiling in fused multiply-adds, taken in turns with the peers."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .machine import ROOT

SOURCE = Path(__file__).with_name("peak.cpp")
BINARY = ROOT / "build" / "benchmarks" / "peak"


class PeakUnavailableError(Exception):
    """There is no compiler to build peak.cpp with."""


def build() -> Path:
    """Compile peak.cpp for this very machine, if that hasn't been done.

    Raises
    ------
    PeakUnavailableError
        If g++ is missing or fails; the message says why.
    """
    if BINARY.exists() and BINARY.stat().st_mtime > SOURCE.stat().st_mtime:
        return BINARY
    BINARY.parent.mkdir(parents=True, exist_ok=True)
    command = ["g++", "-O3", "-march=native", "-std=c++17", "-pthread", str(SOURCE)]
    try:
        subprocess.run([*command, "-o", str(BINARY)], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise PeakUnavailableError("g++ isn't installed") from None
    except subprocess.CalledProcessError as error:
        raise PeakUnavailableError(f"g++ failed: {error.stderr.strip()}") from None
    return BINARY


class Peak:
    """A running peak program.

    Parameters
    ----------
    threads : int
        How many threads it keeps busy.
    """

    def __init__(self, threads: int) -> None:
        self._process = subprocess.Popen(
            [str(build()), str(threads)],
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
