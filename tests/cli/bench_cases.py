"""Results of benchmarks as a run would write them, for the tests of what is made from them."""

from __future__ import annotations

from typing import Any

from lstmcore._cli.bench import harness

Result = dict[str, Any]
SHAPES = harness("shapes")

MACHINE = {
    "created": "2026-01-02T03:04:05+00:00",
    "commit": "abc",
    "cpu": "A processor",
    "isa": ["avx2"],
    "virtual": False,
    "processors": 2,
    "caches": {"L1d": "32K", "L3": "8M"},
    "memory_gib": 4.0,
    "system": "Linux 6",
    "libc": "glibc 2",
    "python": "3.11",
    "numpy": "2.0",
    "load_average": [0.5, 0.5, 0.5],
    "environment": {},
}


def shape(suite: str, name: str) -> Any:
    return next(shape for shape in SHAPES.SUITES[suite].shapes if shape.name == name)


def record(
    peer: str,
    ms: float | list[float],
    name: str = "ts-small",
    suite: str = "small",
    mode: str = "train",
    **more: Any,
) -> dict[str, Any]:
    """A measurement whose turns had these medians."""
    turns = [1e6 * value for value in (ms if isinstance(ms, list) else [ms] * 5)]
    size = shape(suite, name)
    flops = size.flops(mode) if mode != "fit" else 10**9
    ns = harness("statistics").summarise([[turn] for turn in turns])
    return {
        "suite": suite,
        "shape": name,
        "mode": mode,
        "threads": 2,
        "isa": "",
        "size": size.to_dict(),
        "rows": size.rows,
        "flops": flops,
        "run": 0,
        "peer": peer,
        "peak_gflops": 100.0,
        "ns": ns,
        "gflops": flops / ns["median"],
        "checked": "all",
        **more,
    }


def failed(peer: str, reason: str) -> dict[str, Any]:
    base = record(peer, 1.0)
    return {k: v for k, v in base.items() if k not in ("ns", "gflops")} | {"failed": reason}


def result(*records: dict[str, Any], phases: Any = (), memory: Any = (), **machine: Any) -> Result:
    run = {
        "machine": {**MACHINE, **machine},
        "settings": {"rounds": 5, "seconds": 0.1, "isa": ""},
        "peers": {r["peer"]: {"version": "1"} for r in records},
        "missing": {"jax": "No module named 'jax'"},
        "peak": "multiply-adds",
        "bandwidth": {"2": [{"level": "L1", "bytes": 16384, "gbps": 100.0}]},
    }
    return {
        "schema": harness("results").SCHEMA,
        "runs": [run],
        "records": list(records),
        "phases": list(phases),
        "memory": list(memory),
    }
