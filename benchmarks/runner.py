"""Runs suites: every peer checked against the reference, then timed in turns with the others."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import machine
from .client import Client, PeerFailedError, PeerMissingError, PeerUnsupportedError
from .fitting import make_task
from .peak import Peak, described
from .problem import make_problem
from .reference import solve
from .shapes import Shape, Suite

SCHEMA = 1
SETTLE_SECONDS = 0.02  # lets the threads of the peer before stop spinning
TOLERANCE = 1e-4  # of the largest value of each array; float32 against float64
LEARNT = 0.7  # of a constant answer's loss: what the last epoch of a fit has to come below


@dataclass(frozen=True)
class Settings:
    """How a run is done.

    Attributes
    ----------
    threads : tuple of int
        Everything is measured once with each number of threads.
    rounds : int
        Turns of each peer, A B A B.
    seconds : float
        The length of a turn; at least one call.
    pythons : dict
        Another interpreter for a peer, by its name.
    """

    threads: tuple[int, ...]
    rounds: int = 7
    seconds: float = 0.2
    pythons: dict[str, str] = field(default_factory=dict)


class Runner:
    """Measures suites and gathers the records.

    Parameters
    ----------
    peers : sequence of str
        Names of peers, in the order of the table.
    settings : Settings
        How.
    say : callable, default=print to stderr
        Where the progress goes.
    """

    def __init__(
        self,
        peers: Sequence[str],
        settings: Settings,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
    ) -> None:
        self.settings = settings
        self.say = say
        self.names = list(peers)
        self.about: dict[str, dict[str, str]] = {}
        self.missing: dict[str, str] = {}
        self.records: list[dict[str, Any]] = []
        self.machine = machine.describe()  # before the run: its load is other people's

    def run(self, suite: Suite, shapes: Sequence[Shape], modes: Sequence[str]) -> None:
        """Measure a suite, or some of its shapes and modes."""
        for threads in self.settings.threads:
            for shape in shapes:
                self._measure_shape(suite.name, shape, modes, threads)

    def result(self) -> dict[str, Any]:
        """Everything, ready for json.dump."""
        settings = asdict(self.settings)
        settings["pythons"] = sorted(self.settings.pythons)  # which, not where
        return {
            "schema": SCHEMA,
            "machine": self.machine,
            "settings": settings,
            "peers": self.about,
            "missing": self.missing,
            "peak": described(),
            "records": self.records,
        }

    def _measure_shape(self, suite: str, shape: Shape, modes: Sequence[str], threads: int) -> None:
        clients = self._start(threads)
        peak = Peak(threads)
        try:
            with tempfile.TemporaryDirectory() as folder:
                for mode in modes:
                    reference = _write_reference(shape, mode, Path(folder))
                    base = {"suite": suite, "shape": shape.name, "mode": mode, "threads": threads}
                    base |= {"size": shape.to_dict(), "flops": _flops(shape, mode)}
                    self._measure_mode(clients, peak, shape, base, reference)
        finally:
            for client in clients:
                client.close()
            peak.close()

    def _start(self, threads: int) -> list[Client]:
        clients = []
        for name in self.names:
            if name in self.missing:
                continue
            try:
                client = Client(name, threads, self.settings.pythons.get(name))
            except (PeerMissingError, PeerFailedError) as error:
                self.missing[name] = str(error)
                self.say(f"{name} is left out: {error}")
                continue
            self.about[name] = client.about
            clients.append(client)
        return clients

    def _measure_mode(
        self,
        clients: Sequence[Client],
        peak: Peak,
        shape: Shape,
        base: dict[str, Any],
        reference: str | None,
    ) -> None:
        ready: dict[str, tuple[Client, dict[str, Any]]] = {}
        for client in clients:
            record = {**base, "peer": client.peer}
            try:
                checked = client.prepare(shape.to_dict(), base["mode"], reference)
                _check(checked)
                client.run(self.settings.seconds / 4, warm_up=True)
            except PeerUnsupportedError as error:
                self.records.append({**record, "unsupported": str(error)})
            except (PeerFailedError, WrongResultError) as error:
                self.records.append({**record, "failed": str(error)})
                self.say(f"{client.peer} failed at {shape.name} {base['mode']}: {error}")
            else:
                ready[client.peer] = client, checked
        times, peaks, memory = self._take_turns({k: v[0] for k, v in ready.items()}, peak)
        for name, rounds in times.items():
            checked = ready[name][1]
            record = {**base, "peer": name, "peak_gflops": max(peaks, default=None)}
            record["memory_mib"] = round(memory[name] - checked["memory_before"], 1)
            record["memory_peak_mib"] = round(memory[name], 1)
            kept = checked.keys() & {"errors", "loss", "constant_loss", "runtimes"}
            record |= {key: checked[key] for key in sorted(kept)}
            record["ns"] = summarise(rounds)
            record["gflops"] = base["flops"] / record["ns"]["median"]
            self.records.append(record)
        self.say(self._line(base, times))

    def _take_turns(
        self, clients: dict[str, Client], peak: Peak
    ) -> tuple[dict[str, list[list[int]]], list[float], dict[str, float]]:
        """A B A B: a turn for the peak and each peer in every round, starting at another peer."""
        times: dict[str, list[list[int]]] = {name: [] for name in clients}
        memory: dict[str, float] = {}
        peaks: list[float] = []
        names = list(clients)
        for turn in range(self.settings.rounds):
            if names:
                time.sleep(SETTLE_SECONDS)
                peaks.append(peak.measure(min(0.1, self.settings.seconds)))
            first = turn % max(len(names), 1)
            for name in names[first:] + names[:first]:
                if name not in times:
                    continue
                time.sleep(SETTLE_SECONDS)
                try:
                    took = clients[name].run(self.settings.seconds)
                except PeerFailedError as error:
                    del times[name]
                    self.say(f"{name} failed while timed: {error}")
                    continue
                times[name].append(took["ns"])
                memory[name] = took["memory_peak"]
        return times, peaks, memory

    def _line(self, base: dict[str, Any], times: dict[str, list[list[int]]]) -> str:
        """One line of progress: the median of each peer in milliseconds."""
        medians = [f"{name} {summarise(v)['median'] / 1e6:.4g}" for name, v in times.items()]
        where = f"{base['shape']} {base['mode']}, {base['threads']} threads"
        return f"{where}: {', '.join(medians) or 'no peer'} (ms)"


class WrongResultError(Exception):
    """A peer's answer is too far from the reference; it isn't timed."""


def summarise(rounds: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Statistics of call times.

    Parameters
    ----------
    rounds : sequence of sequences of int
        Nanoseconds of every call, by turn.

    Returns
    -------
    dict
        ``min``, ``median``, ``p90``, ``p99``, ``cv`` (standard deviation over mean), ``calls``, and
        ``rounds``: the median of each turn, which shows how steady the machine was.

    Examples
    --------
    >>> summarise([[2, 4], [3]])["median"]
    3.0
    """
    calls = np.concatenate([np.asarray(turn, float) for turn in rounds])
    median, p90, p99 = np.percentile(calls, [50, 90, 99])
    return {
        "min": float(calls.min()),
        "median": float(median),
        "p90": float(p90),
        "p99": float(p99),
        "cv": round(float(calls.std() / calls.mean()), 4),
        "calls": len(calls),
        "rounds": [float(np.median(turn)) for turn in rounds],
    }


def _flops(shape: Shape, mode: str) -> int:
    return make_task(shape).flops() if mode == "fit" else shape.flops(mode)


def _write_reference(shape: Shape, mode: str, folder: Path) -> str | None:
    """The right answers of a mode as an .npz file; a fit has none."""
    if mode == "fit":
        return None
    gradients = mode.startswith("train")
    path = folder / f"gradients-{gradients}.npz"
    if not path.exists():
        np.savez(path, allow_pickle=False, **solve(make_problem(shape), gradients))
    return str(path)


def _check(checked: dict[str, Any]) -> None:
    """Refuse a wrong result before anything is timed.

    Raises
    ------
    WrongResultError
        If an array is off by more than the tolerance, or a fit hasn't learnt.
    """
    for name, error in checked.get("errors", {}).items():
        if not error <= TOLERANCE:
            raise WrongResultError(f"{name} is off by {error:.2g} of its largest value")
    if "loss" in checked and not checked["loss"][-1] < LEARNT * checked["constant_loss"]:
        curve = ", ".join(f"{loss:.4g}" for loss in checked["loss"])
        raise WrongResultError(
            f"it hasn't learnt: losses {curve}; a constant has {checked['constant_loss']:.4g}"
        )
