"""The runner's end of a worker: starts the process, sends orders, reads answers."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import tempfile
from typing import Any

from .machine import CHECKOUT, FOLDER, environment

# The folder is loaded by its path, as a package of its own: importing it as a part of lstmcore
# would load lstmcore's OpenMP runtime beside the peer's. A checkout goes last on the path: an
# installed lstmcore is measured, not a source tree without its compiled modules.
_START = """
import importlib.util, sys
folder, checkout = sys.argv.pop(1), sys.argv.pop(1)
sys.path += [checkout] if checkout else []
spec = importlib.util.spec_from_file_location(
    "benchmarks", folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules["benchmarks"] = importlib.util.module_from_spec(spec)
import benchmarks.worker
benchmarks.worker.main()
"""
# Every runtime is told the number of threads in the words it understands.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "LSTMCORE_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
# How each library is held to an instruction set. ONNX Runtime has no such switch.
LIMITS: dict[str, dict[str, str]] = {
    "": {},
    "avx2": {
        "LSTMCORE_ISA": "avx2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    },
}
UNLIMITED = ("onnxruntime",)


class PeerMissingError(Exception):
    """What the peer measures isn't installed."""


class PeerUnsupportedError(Exception):
    """The peer doesn't offer this mode."""


class PeerFailedError(Exception):
    """The peer raised, died or took too long."""


class Client:
    """One peer in its own process.

    Parameters
    ----------
    peer : str
        A key of ``peers.PEERS``.
    threads : int
        Threads and processors it gets.
    python : str or None, default=None
        The interpreter to run it with; None: this one.
    isa : str, default=""
        An instruction set it is to keep to, as far as it can be told; empty: what it chooses.
    timeout : float, default=900.0
        Seconds an answer may take.
    """

    def __init__(
        self,
        peer: str,
        threads: int,
        python: str | None = None,
        isa: str = "",
        timeout: float = 900.0,
    ) -> None:
        self.peer = peer
        self.timeout = timeout
        self._log = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115  (lives as long as the client)
        folders = [str(FOLDER), str(CHECKOUT or "")]
        interpreter = [python or sys.executable, "-P", "-c"]
        self._process = subprocess.Popen(
            [*interpreter, _START, *folders, peer, "--threads", str(threads)],
            env={**environment(), **dict.fromkeys(_THREADS, str(threads)), **LIMITS[isa]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )
        assert self._process.stdout is not None
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._process.stdout, selectors.EVENT_READ)

    def greet(self) -> dict[str, str]:
        """Wait until the library is loaded; its version and the like.

        Raises
        ------
        PeerMissingError
            If it isn't installed.
        PeerFailedError
            If it can't be loaded.
        """
        about: dict[str, str] = self._receive()["about"]
        return about

    def ask(self, order: str, **arguments: Any) -> dict[str, Any]:
        """Send an order, a method of the worker, and wait for the answer.

        Raises
        ------
        PeerUnsupportedError, PeerFailedError
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": order, **arguments}) + "\n")
        except OSError:
            raise PeerFailedError(self._last_words()) from None
        return self._receive()

    def close(self) -> None:
        """End the process."""
        self._ready.close()
        if self._process.poll() is None:
            assert self._process.stdin is not None
            try:
                self._process.stdin.close()
                self._process.wait(timeout=10)
            except (OSError, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not self._ready.select(self.timeout):
            self._process.kill()
            raise PeerFailedError(f"no answer within {self.timeout:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise PeerFailedError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        for key, kind in (
            ("missing", PeerMissingError),
            ("unsupported", PeerUnsupportedError),
            ("failed", PeerFailedError),
        ):
            if key in answer:
                raise kind(answer[key])
        return answer

    def _last_words(self) -> str:
        """Why the process died, as far as it said."""
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return f"exit status {code}" + (f": {lines[-1]}" if lines else "")
