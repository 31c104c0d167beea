"""The commands: a quick comparison, and ``list``, ``run``, ``phases``, ``report``, …"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from .brief import brief
from .client import LIMITS
from .compare import compare
from .machine import CHECKOUT, describe
from .memory import measure_memory, memory_table
from .peak import Peak, described, levels, measure_bandwidth
from .peers import PEERS
from .phase_table import phase_table
from .phases import measure_phases
from .report import report
from .results import read, with_statistic
from .runner import Runner, Settings
from .shapes import MODES, SUITES, Shape, Suite
from .tables import threads_text, write_into

DEFAULT_OUTPUT = (CHECKOUT or Path()) / "build" / "benchmarks" / "result.json"
INTERRUPTED = 130  # what shells make of it
QUICK = Settings((1,), rounds=5, seconds=0.1)


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None: those of the process.

    Returns
    -------
    int
        The exit status: 1 where a peer gave a wrong result or a comparison found a slowdown.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    configure(parser)
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except (ValueError, OSError, ImportError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def run(options: argparse.Namespace) -> int:
    """Run the command that was chosen; see ``main``."""
    status: int = options.command(options)
    return status


def configure(parser: argparse.ArgumentParser) -> None:
    """Give a parser the commands of the benchmarks."""
    parser.description = (
        "Without a command: a quick comparison, in a minute or two, with the other libraries that"
        " are installed (any of torch, onnxruntime with onnx, openvino, jax)."
    )
    parser.set_defaults(command=_quick)
    parser.add_argument("--peers", nargs="+", choices=PEERS, metavar="PEER", default=list(PEERS))
    parser.add_argument(
        "--threads", nargs="+", type=int, metavar="N", help="default: all processors"
    )
    commands = parser.add_subparsers(metavar="COMMAND")

    listing = commands.add_parser("list", help="suites, shapes, modes and peers")
    listing.set_defaults(command=_list)
    _configure_run(commands.add_parser("run", help="measure suites and write JSON"))
    _configure_phases(commands.add_parser("phases", help="where a training step's time goes"))
    _configure_memory(commands.add_parser("memory", help="what training needs at its peak"))
    _configure_report(commands.add_parser("report", help="Markdown tables and plots from JSON"))

    both = commands.add_parser("compare", help="what became slower; exit status 1 if something did")
    both.add_argument("before", type=Path)
    both.add_argument("after", type=Path)
    both.add_argument("--peer", choices=[*PEERS, "all"], default="lstmcore")
    both.add_argument("--threshold", type=float, default=0.05, help="of the median (0.05)")
    both.set_defaults(command=_compare)

    peak = commands.add_parser("peak", help="the machine's multiply-adds and bandwidths")
    peak.add_argument("--threads", nargs="+", type=int, metavar="N", help="default: 1 and all")
    peak.add_argument("--isa", choices=LIMITS, default="", help="the peak of this instruction set")
    peak.set_defaults(command=_peak)


def _configure_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("suites", nargs="*", default=["small"], metavar="SUITE")
    run.add_argument("--shapes", nargs="+", metavar="SHAPE", help="only these shapes")
    run.add_argument("--modes", nargs="+", choices=MODES, help="only these modes")
    run.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    run.add_argument("--threads", nargs="+", type=int, metavar="N", help="default: all processors")
    run.add_argument("--rounds", type=int, default=7, help="turns of each peer (at least 5)")
    run.add_argument("--seconds", type=float, default=0.2, help="length of a turn")
    run.add_argument(
        "--budget",
        type=float,
        default=60.0,
        help="seconds for all turns of a shape and mode; at least 3 rounds are done all the same",
    )
    run.add_argument("--isa", choices=LIMITS, default="", help="hold all peers to it")
    run.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PEER=PATH",
        help="another interpreter for a peer, for what can't share an environment",
    )
    run.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="the JSON file")
    run.set_defaults(command=_run)


def _configure_phases(phases: argparse.ArgumentParser) -> None:
    phases.add_argument("suites", nargs="*", default=["small"], metavar="SUITE")
    phases.add_argument("--shapes", nargs="+", metavar="SHAPE", help="only these shapes")
    phases.add_argument("--isa", choices=LIMITS, default="")
    phases.add_argument("--repeats", type=int, default=9)
    phases.add_argument("--output", type=Path, help="a JSON file, to be merged into a report")
    phases.set_defaults(command=_phases)


def _configure_memory(memory: argparse.ArgumentParser) -> None:
    memory.add_argument("suites", nargs="*", default=["small"], metavar="SUITE")
    memory.add_argument("--shapes", nargs="+", metavar="SHAPE", help="only these shapes")
    memory.add_argument("--peers", nargs="+", choices=PEERS, default=["lstmcore", "torch"])
    memory.add_argument("--threads", nargs=1, type=int, metavar="N", help="default: all processors")
    memory.add_argument("--output", type=Path, help="a JSON file, to be merged into a report")
    memory.set_defaults(command=_memory)


def _configure_report(show: argparse.ArgumentParser) -> None:
    show.add_argument("results", type=Path, nargs="*", default=[DEFAULT_OUTPUT])
    show.add_argument("--subject", choices=PEERS, default="lstmcore", help="whose ratios")
    show.add_argument("--suites", nargs="+", metavar="SUITE", help="only these suites")
    show.add_argument("--threads", nargs="+", type=int, metavar="N", help="only these numbers")
    show.add_argument("--details", action="store_true", help="every statistic of every record")
    show.add_argument("--statistic", choices=("median", "min", "p90", "p99"), default="median")
    show.add_argument("--brief", action="store_true", help="one short table instead")
    show.add_argument("--into", type=Path, metavar="PAGE", help="write it between PAGE's markers")
    show.add_argument("--plots", type=Path, metavar="FOLDER", help="also draw ratios, roofline, …")
    show.add_argument("--merged", type=Path, metavar="FILE", help="also write the JSON, merged")
    show.set_defaults(command=_report)


def _quick(options: argparse.Namespace) -> int:
    suite = SUITES["small"]
    runner = Runner(options.peers, replace(QUICK, threads=_threads(options)))
    runner.run(suite, suite.shapes, ("infer", "train"))
    result = runner.result()
    print(report(result), end="")
    return _status(result)


def _list(_: argparse.Namespace) -> int:
    for suite in SUITES.values():
        print(f"{suite.name}: {suite.about} ({', '.join(suite.modes)})")
        for shape in suite.shapes:
            lengths = f"{shape.shortest}–{shape.T}" if shape.shortest else str(shape.T)
            sizes = f"T {lengths}, N {shape.N}, I {shape.I}, H {shape.H}"
            print(f"  {shape.name:14} {sizes:36} {shape.why}")
    print("modes:")
    for mode, explained in MODES.items():
        print(f"  {mode:14} {explained}")
    print("peers:")
    for name, (_module, about) in PEERS.items():
        print(f"  {name:14} {about}")
    return 0


def _run(options: argparse.Namespace) -> int:
    chosen = _chosen(options)
    if options.rounds < 5:
        raise ValueError(f"--rounds must be at least 5, got {options.rounds}")
    settings = Settings(
        _threads(options),
        options.rounds,
        options.seconds,
        options.budget,
        options.isa,
        dict(pair.split("=", 1) for pair in options.python),
    )
    runner = Runner(options.peers, settings)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        for suite, shapes in chosen:
            runner.run(suite, shapes, [m for m in suite.modes if m in (options.modes or MODES)])
        interrupted = False
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept", file=sys.stderr)
        interrupted = True
    result = runner.result()
    _write(result, options.output)
    print(f"{len(result['records'])} records in {options.output}", file=sys.stderr)
    return INTERRUPTED if interrupted else _status(result)


def _phases(options: argparse.Namespace) -> int:
    runner = Runner([], Settings((1,), isa=options.isa, rounds=options.repeats, seconds=0.0))
    shapes = [shape for _, shapes in _chosen(options) for shape in shapes]
    runner.phases = measure_phases(shapes, options.isa, options.repeats)
    print(phase_table(runner.phases))
    if options.output:
        _write(runner.result(), options.output)
    return 0


def _memory(options: argparse.Namespace) -> int:
    threads = _threads(options)
    runner = Runner([], Settings(threads))
    for suite, shapes in _chosen(options):
        rows = measure_memory(suite.name, shapes, options.peers, threads[0], runner.say)
        runner.memory += rows
    print(memory_table(runner.memory))
    if options.output:
        _write(runner.result(), options.output)
    return int(any("failed" in row for row in runner.memory))


def _chosen(options: argparse.Namespace) -> list[tuple[Suite, list[Shape]]]:
    """The suites that were named, with those of their shapes that were named."""
    unknown = [name for name in options.suites if name not in SUITES]
    if unknown:
        raise ValueError(f"no suite {unknown[0]!r}; there are {', '.join(SUITES)}")
    wanted = options.shapes
    found = {shape.name for name in options.suites for shape in SUITES[name].shapes}
    lost = [name for name in wanted or () if name not in found]
    if lost:
        raise ValueError(f"no shape {lost[0]!r} in {', '.join(options.suites)}")
    return [
        (suite, [shape for shape in suite.shapes if not wanted or shape.name in wanted])
        for suite in (SUITES[name] for name in options.suites)
    ]


def _threads(options: argparse.Namespace) -> tuple[int, ...]:
    processors = len(os.sched_getaffinity(0))
    threads = tuple(options.threads or [processors])
    if not all(1 <= n <= processors for n in threads):
        raise ValueError(f"--threads must lie in 1..{processors}, got {list(threads)}")
    return threads


def _status(result: dict[str, Any]) -> int:
    return int(any("failed" in record for record in result["records"]))


def _write(result: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


def _report(options: argparse.Namespace) -> int:
    result = read(options.results)
    if options.suites:
        for kind in ("records", "memory"):
            result[kind] = [row for row in result[kind] if row["suite"] in options.suites]
    if options.threads:
        result["records"] = [r for r in result["records"] if r["threads"] in options.threads]
    if options.merged:
        _write(result, options.merged)
    result = with_statistic(result, options.statistic)
    if options.brief:
        text = brief(result, options.subject)
    else:
        text = report(result, options.subject, options.details).rstrip()
    if options.into:
        write_into(options.into, text)
    else:
        print(text)
    if options.plots:
        from .plots import draw, names

        print(names(draw(result, options.plots, options.subject)), file=sys.stderr)
    return 0


def _compare(options: argparse.Namespace) -> int:
    before, after = read([options.before]), read([options.after])
    text, slower = compare(before, after, options.peer, options.threshold)
    print(text, end="")
    return int(bool(slower))


def _peak(options: argparse.Namespace) -> int:
    for threads in options.threads or (1, len(os.sched_getaffinity(0))):
        peak = Peak(threads, options.isa)
        best = max(peak.measure(0.2) for _ in range(5))
        peak.close()
        rows = measure_bandwidth(levels(describe()["caches"], threads), threads)
        reading = ", ".join(f"{row['level']} {row['gbps']:.0f}" for row in rows)
        print(
            f"{threads_text(threads)}: {best:.1f} GFLOP/s"
            + (f"; reading {reading} GB/s" * bool(rows))
        )
    print(described(options.isa))
    return 0
