"""Which instruction set runs: what is asked for, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import Spec

from lstmcore import _core

CPUINFO = Path("/proc/cpuinfo")
NEEDS = {
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"},
    "avx2": {"avx2", "fma"},
    "scalar": set(),
}


def test_the_best_comes_first_and_scalar_is_always_there() -> None:
    available = _core.isas_available()
    assert available == [name for name in NEEDS if name in available]
    assert available[-1] == "scalar"
    assert set(available) <= set(_core.config()["isas_compiled"])


@pytest.mark.skipif(
    not CPUINFO.exists() or "flags" not in CPUINFO.read_text(),
    reason="what the processor has stands in /proc/cpuinfo of x86 Linux only",
)
def test_all_that_the_processor_has_is_available() -> None:
    """Were a dispatcher to find less, every test would pass on the slower code alone."""
    lines = CPUINFO.read_text().splitlines()
    flags = set(next(line for line in lines if line.startswith("flags")).split())
    assert _core.isas_available() == [name for name, needs in NEEDS.items() if needs <= flags]


def test_objects_run_on_what_they_were_made_for(isa: str, dtype: np.dtype[Any]) -> None:
    stack = getattr(_core, f"RecurrentStack{dtype.name.capitalize()}")(2, [3], isa)
    assert stack.isa == Spec().network(dtype, isa).isa == _core.resolve_isa(isa) == isa


@pytest.mark.parametrize("forced", [*_core.isas_available(), "", None])
def test_environment_variable(forced: str | None) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "LSTMCORE_ISA"}
    if forced is not None:
        environment["LSTMCORE_ISA"] = forced
    code = (
        "from lstmcore import _core\n"
        "print(_core.config()['isa'], _core.resolve_isa(), _core.RecurrentStackFloat32(2, [3]).isa,"
        "_core.RecurrentStackFloat64(2, [3], 'scalar').isa)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    expected = forced or _core.isas_available()[0]
    assert done.stdout.split() == [expected] * 3 + ["scalar"]


def test_unknown_ones_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"\bisa\b.*'neon'.*'scalar'"):
        _core.resolve_isa("neon")
    monkeypatch.setenv("LSTMCORE_ISA", "sse9")
    with pytest.raises(ValueError, match=r"LSTMCORE_ISA.*'sse9'"):
        _core.RecurrentStackFloat32(2, [3])
    with pytest.raises(ValueError, match=r"\bisa\b.*'neon\+clock'"):
        _core.resolve_isa("neon+clock")


def test_a_clock_counts_calls_and_changes_no_bit(isa: str, dtype: np.dtype[Any]) -> None:
    def run(name: str) -> list[Any]:
        kind = getattr(_core, f"RecurrentStack{dtype.name.capitalize()}")
        stack = kind(3, [20], name)
        assert stack.isa == name
        rng = np.random.default_rng(0)
        stack.set_parameters(rng.uniform(-1, 1, stack.n_parameters).astype(dtype))
        x, dy = rng.normal(size=(14, 3)).astype(dtype), rng.normal(size=(14, 20)).astype(dtype)
        n_active = np.array([5, 4, 4, 1], np.intp)
        y, _, _, cache = stack.forward(x, n_active, 5, None, None, n_threads=2, keep=True)
        dx, _, _, gradient = stack.backward(cache, dy, None, None, need_dx=True, n_threads=2)
        return [y, dx, gradient]

    before = _core.kernel_times()
    plain = run(isa)
    assert _core.kernel_times() == before
    clocked = run(f"{isa}+clock")
    after = _core.kernel_times()
    assert all(np.array_equal(a, b) for a, b in zip(plain, clocked, strict=True))
    for kernel in ("cell_forward", "cell_backward", "panel_gemm", "outer_accumulate"):
        calls, seconds = (
            now - then for now, then in zip(after[kernel], before[kernel], strict=True)
        )
        assert calls >= 1
        assert 0 < seconds < 60
    assert after["optimizer"] == before["optimizer"]
