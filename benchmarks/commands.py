"""The commands: a quick comparison, ``list``, ``run``, ``report``, ``compare``, ``peak``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from .brief import brief, write_into
from .compare import compare
from .machine import CHECKOUT
from .peak import Peak, described
from .peers import PEERS
from .report import report, with_statistic
from .runner import Runner, Settings
from .shapes import MODES, SUITES

DEFAULT_OUTPUT = (CHECKOUT or Path()) / "build" / "benchmarks" / "result.json"
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

    run = commands.add_parser("run", help="measure suites and write JSON")
    run.add_argument("suites", nargs="*", default=["small"], metavar="SUITE")
    run.add_argument("--shapes", nargs="+", metavar="SHAPE", help="only these shapes")
    run.add_argument("--modes", nargs="+", choices=MODES, help="only these modes")
    run.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    run.add_argument("--threads", nargs="+", type=int, metavar="N", help="default: all processors")
    run.add_argument("--rounds", type=int, default=7, help="turns of each peer (at least 5)")
    run.add_argument("--seconds", type=float, default=0.2, help="length of a turn")
    run.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PEER=PATH",
        help="another interpreter for a peer, for what can't share an environment",
    )
    run.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="the JSON file")
    run.set_defaults(command=_run)

    show = commands.add_parser("report", help="Markdown tables from JSON")
    show.add_argument("result", type=Path, nargs="?", default=DEFAULT_OUTPUT)
    show.add_argument("--subject", choices=PEERS, default="lstmcore", help="whose ratios")
    show.add_argument("--details", action="store_true", help="every statistic of every record")
    show.add_argument("--statistic", choices=("median", "min", "p90", "p99"), default="median")
    show.add_argument("--brief", action="store_true", help="one short table instead")
    show.add_argument("--into", type=Path, metavar="PAGE", help="write it between PAGE's markers")
    show.add_argument("--plot", type=Path, help="also draw the ratios into this file")
    show.set_defaults(command=_report)

    both = commands.add_parser("compare", help="what became slower between two runs")
    both.add_argument("before", type=Path)
    both.add_argument("after", type=Path)
    both.add_argument("--peer", choices=[*PEERS, "all"], default="lstmcore")
    both.add_argument("--threshold", type=float, default=0.05)
    both.set_defaults(command=_compare)

    peak = commands.add_parser("peak", help="the machine's float32 multiply-adds")
    peak.add_argument("--threads", nargs="+", type=int, default=[1, len(os.sched_getaffinity(0))])
    peak.set_defaults(command=_peak)


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
    unknown = [name for name in options.suites if name not in SUITES]
    if unknown:
        raise ValueError(f"no suite {unknown[0]!r}; there are {', '.join(SUITES)}")
    if options.rounds < 5:
        raise ValueError(f"--rounds must be at least 5, got {options.rounds}")
    pythons = dict(pair.split("=", 1) for pair in options.python)
    settings = Settings(_threads(options), options.rounds, options.seconds, pythons)
    runner = Runner(options.peers, settings)
    chosen = [(SUITES[name], _shapes(name, options.shapes)) for name in options.suites]
    if not any(shapes for _, shapes in chosen):
        raise ValueError(f"no shape of {options.suites} is among {options.shapes}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        for suite, shapes in chosen:
            runner.run(suite, shapes, [m for m in suite.modes if m in (options.modes or MODES)])
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept", file=sys.stderr)
    result = runner.result()
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{len(result['records'])} records in {options.output}", file=sys.stderr)
    return _status(result)


def _threads(options: argparse.Namespace) -> tuple[int, ...]:
    processors = len(os.sched_getaffinity(0))
    threads = tuple(options.threads or [processors])
    if not all(1 <= n <= processors for n in threads):
        raise ValueError(f"--threads must lie in 1..{processors}, got {list(threads)}")
    return threads


def _status(result: dict[str, Any]) -> int:
    return int(any("failed" in record for record in result["records"]))


def _shapes(suite: str, wanted: list[str] | None) -> list[Any]:
    return [shape for shape in SUITES[suite].shapes if not wanted or shape.name in wanted]


def _report(options: argparse.Namespace) -> int:
    result = with_statistic(_read(options.result), options.statistic)
    if options.brief:
        text = brief(result, options.subject)
    else:
        text = report(result, options.subject, options.details).rstrip()
    if options.into:
        write_into(options.into, text)
    else:
        print(text)
    if options.plot:
        from .plots import plot_ratios

        plot_ratios(result, options.plot, options.subject)
    return 0


def _compare(options: argparse.Namespace) -> int:
    text, slower = compare(
        _read(options.before), _read(options.after), options.peer, options.threshold
    )
    print(text, end="")
    return int(bool(slower))


def _peak(options: argparse.Namespace) -> int:
    for threads in options.threads:
        peak = Peak(threads)
        best = max(peak.measure(0.2) for _ in range(5))
        peak.close()
        print(f"{threads} threads: {best:.1f} GFLOP/s")
    print(described())
    return 0


def _read(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text())
    if result.get("schema") != 1:
        raise ValueError(f"{path} has schema {result.get('schema')!r}, expected 1")
    return result
