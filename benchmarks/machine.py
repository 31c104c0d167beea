"""What a measurement ran on: processor, memory, environment, versions; and a process's memory."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent
# The source checkout around this folder; None in an installed package.
CHECKOUT = FOLDER.parent if (FOLDER.parent / "pyproject.toml").exists() else None
# Everything in the environment that changes how a peer computes.
_ENVIRONMENT = re.compile(
    r"^(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|ONEDNN|DNNL|ATEN|TORCH|ORT|XLA|JAX|KERAS|LSTMCORE)_"
    r"|^TF_(ENABLE|NUM|XLA)_"  # others have names that begin with TF_, too
    r"|^(LD_PRELOAD|MALLOC_ARENA_MAX|MALLOC_CONF)$"
)
# scikit-learn sets these when it is imported; they say nothing about the caller.
_OF_SKLEARN = {"KMP_DUPLICATE_LIB_OK": "True", "KMP_INIT_AT_FORK": "FALSE"}
_FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile")


def describe() -> dict[str, Any]:
    """The machine and the environment, without a path or a name that belongs to one person."""
    cpu = _cpu()
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": cpu.get("model name", platform.processor() or platform.machine()),
        "isa": [flag for flag in _FLAGS if flag in cpu.get("flags", "").split()],
        "virtual": "hypervisor" in cpu.get("flags", "").split(),
        "processors": len(os.sched_getaffinity(0)),
        "caches": _caches(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "environment": {k: v for k, v in sorted(environment().items()) if _ENVIRONMENT.search(k)},
    }


def environment() -> dict[str, str]:
    """What the caller has set, for the processes of the peers."""
    return {k: v for k, v in os.environ.items() if _OF_SKLEARN.get(k) != v}


def memory() -> dict[str, float]:
    """Resident memory of this process in MiB: ``now`` and ``peak``."""
    status = Path("/proc/self/status").read_text()
    now, peak = (
        int(re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)[1])  # type: ignore[index]
        for name in ("VmRSS", "VmHWM")
    )
    return {"now": now / 1024, "peak": peak / 1024}


def reset_peak_memory() -> None:
    """Let the peak start again from what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def openmp_runtimes() -> list[str]:
    """Thread pools loaded into this process, such as ``"libgomp, 2 threads"``."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return [f"{pool['prefix']}, {pool['num_threads']} threads" for pool in threadpool_info()]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _cpu() -> dict[str, str]:
    """Fields of the first processor."""
    first = _read("/proc/cpuinfo").split("\n\n")[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _caches() -> dict[str, str]:
    """Such as ``{"L1d": "32K", "L2": "1024K"}``, each as one processor sees it."""
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind = _read(f"{index}/level"), _read(f"{index}/type")
        suffix = {"Data": "d", "Instruction": "i"}.get(kind, "")
        caches[f"L{level}{suffix}"] = _read(f"{index}/size")
    return caches


def _commit() -> str:
    """The commit that is checked out, with ``-dirty`` if files differ from it."""
    if CHECKOUT is None:
        return "of the installed package"
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
