"""Runs suites: every peer checked against the reference, then timed in turns with the others."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import machine, peak
from .bounds import weight_bytes
from .client import Client, PeerFailedError, PeerMissingError, PeerUnsupportedError
from .fitting import make_task
from .oracle import Reference, WrongResultError, judge, write_reference
from .peers import offers
from .results import SCHEMA
from .shapes import Shape, Suite
from .statistics import summarise

SETTLE_SECONDS = 0.02  # lets the threads of the peer before stop spinning
LEAST_ROUNDS = 3


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
    budget : float
        Seconds that the turns of one shape and mode may take together: where calls are long there
        are fewer rounds, at least three.
    isa : str
        An instruction set that all peers are held to; empty: what each chooses.
    pythons : dict
        Another interpreter for a peer, by its name.
    """

    threads: tuple[int, ...]
    rounds: int = 7
    seconds: float = 0.2
    budget: float = 60.0
    isa: str = ""
    pythons: dict[str, str] = field(default_factory=dict)


@dataclass
class _Beside:
    """What was measured in the turns beside the peers.

    Attributes
    ----------
    peaks : list of float
        GFLOP/s of the machine.
    computing : dict
        Of each peer, nanoseconds of computations as long as its steps, by turn.
    reading : list of list of int
        Nanoseconds to read the weights of a step, by turn.
    """

    peaks: list[float] = field(default_factory=list)
    computing: dict[str, list[list[int]]] = field(default_factory=dict)
    reading: list[list[int]] = field(default_factory=list)


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
        self.phases: list[dict[str, Any]] = []
        self.memory: list[dict[str, Any]] = []
        self.machine = machine.describe()  # before the run: its load is other people's
        self.bandwidth: dict[str, list[dict[str, Any]]] = {}

    def run(self, suite: Suite, shapes: Sequence[Shape], modes: Sequence[str]) -> None:
        """Measure a suite, or some of its shapes and modes."""
        for threads in self.settings.threads:
            if str(threads) not in self.bandwidth:
                levels = peak.levels(self.machine["caches"], threads)
                self.bandwidth[str(threads)] = peak.measure_bandwidth(levels, threads)
            for shape in shapes:
                self._measure_shape(suite.name, shape, modes, threads)

    def result(self) -> dict[str, Any]:
        """Everything, ready for json.dump."""
        settings = asdict(self.settings)
        settings["pythons"] = sorted(self.settings.pythons)  # which, not where
        run = {
            "machine": self.machine,
            "settings": settings,
            "peers": self.about,
            "missing": self.missing,
            "peak": peak.described(self.settings.isa),
            "bandwidth": self.bandwidth,
        }
        return {
            "schema": SCHEMA,
            "runs": [run],
            "records": [{**record, "run": 0} for record in self.records],
            "phases": [{**row, "run": 0} for row in self.phases],
            "memory": [{**row, "run": 0} for row in self.memory],
        }

    def _measure_shape(self, suite: str, shape: Shape, modes: Sequence[str], threads: int) -> None:
        clients = self._start([n for n in self.names if offers(n, modes)], threads)
        ceiling = peak.Peak(threads, self.settings.isa)
        try:
            with tempfile.TemporaryDirectory() as folder:
                for mode in filter(shape.runs_in, modes):
                    reference = write_reference(shape, mode, Path(folder))
                    base = {"suite": suite, "shape": shape.name, "mode": mode, "threads": threads}
                    base |= {"isa": self.settings.isa, "size": shape.to_dict()}
                    base |= {"rows": shape.rows, "flops": _flops(shape, mode)}
                    self._measure_mode(clients, ceiling, base, reference)
        finally:
            for client in clients:
                client.close()
            ceiling.close()

    def _start(self, names: Sequence[str], threads: int) -> list[Client]:
        started = [self._client(name, threads) for name in names if name not in self.missing]
        clients = []
        for client in started:
            try:
                self.about[client.peer] = client.greet()
            except (PeerMissingError, PeerFailedError) as error:
                self.missing[client.peer] = str(error)
                self.say(f"{client.peer} is left out: {error}")
                client.close()
            else:
                clients.append(client)
        return clients

    def _client(self, name: str, threads: int) -> Client:
        return Client(name, threads, self.settings.pythons.get(name), self.settings.isa)

    def _measure_mode(
        self,
        clients: Sequence[Client],
        ceiling: peak.Peak,
        base: dict[str, Any],
        reference: Reference | None,
    ) -> None:
        ready: dict[str, tuple[Client, dict[str, Any]]] = {}
        where = f"{base['shape']} {base['mode']}"
        for client in clients:
            record = {**base, "peer": client.peer}
            try:
                checked = client.ask(
                    "prepare",
                    shape=base["size"],
                    mode=base["mode"],
                    reference=None if reference is None else asdict(reference),
                )
                judge(checked)
            except PeerUnsupportedError as error:
                self.records.append({**record, "unsupported": str(error)})
            except (PeerFailedError, WrongResultError) as error:
                self.records.append({**record, "failed": str(error)})
                self.say(f"{client.peer} failed at {where}: {error}")
            else:
                ready[client.peer] = client, checked
        rounds = n_rounds([checked["seconds"] for _, checked in ready.values()], self.settings)
        times, beside = self._take_turns({k: v[0] for k, v in ready.items()}, ceiling, rounds, base)
        for name, client_times in times.items():
            checked = ready[name][1]
            record = {**base, "peer": name, "peak_gflops": max(beside.peaks, default=None)}
            if reference is not None:
                record["checked"] = reference.describe()
            kept = checked.keys() & {"errors", "loss", "constant_loss", "runtimes", "path"}
            record |= {key: checked[key] for key in sorted(kept)}
            record["ns"] = summarise(client_times)
            if name in beside.computing:
                record["computing"] = summarise(beside.computing[name])
            if beside.reading:
                record["reading"] = summarise(beside.reading)
            record["gflops"] = base["flops"] / record["ns"]["median"]
            self.records.append(record)
        medians = [f"{name} {summarise(v)['median'] / 1e6:.4g}" for name, v in times.items()]
        self.say(f"{where}, {base['threads']} threads: {', '.join(medians) or 'no peer'} (ms)")

    def _take_turns(
        self, clients: dict[str, Client], ceiling: peak.Peak, rounds: int, base: dict[str, Any]
    ) -> tuple[dict[str, list[list[int]]], _Beside]:
        """A B A B: a turn for the machine and each peer in every round, starting at another peer.

        Times of the peers, and what was measured beside them.
        """
        times: dict[str, list[list[int]]] = {name: [] for name in clients}
        beside = _Beside()
        names = list(clients)
        for turn in range(rounds if names else 0):
            time.sleep(SETTLE_SECONDS)
            beside.peaks.append(ceiling.measure(min(0.1, self.settings.seconds)))
            if base["mode"] == "step" and ceiling.reads:
                weights = weight_bytes(Shape(**base["size"]))
                beside.reading.append(ceiling.step_times(self.settings.seconds, weights))
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                if name not in times:
                    continue
                time.sleep(SETTLE_SECONDS)
                try:
                    took = clients[name].ask("run", seconds=self.settings.seconds)["ns"]
                    if base["mode"] == "step":
                        asked = {
                            "nanoseconds": statistics.median(took),
                            "seconds": self.settings.seconds,
                        }
                        computing = clients[name].ask("compute", **asked)["ns"]
                        beside.computing.setdefault(name, []).append(computing)
                except PeerFailedError as error:
                    del times[name]
                    self.records.append({**base, "peer": name, "failed": f"while timed: {error}"})
                    continue
                times[name].append(took)
        return times, beside


def n_rounds(call_seconds: Sequence[float], settings: Settings) -> int:
    """How many rounds fit into the budget, from what one call of each peer takes.

    Examples
    --------
    >>> n_rounds([0.01, 0.02], Settings((1,), rounds=7, seconds=0.2, budget=60.0))
    7
    >>> n_rounds([10.0, 6.0], Settings((1,), rounds=7, seconds=0.2, budget=64.0))
    4
    """
    a_round = sum(max(settings.seconds, seconds) for seconds in call_seconds)
    fit = int(settings.budget / a_round) if a_round else settings.rounds
    return min(settings.rounds, max(LEAST_ROUNDS, fit))


def _flops(shape: Shape, mode: str) -> int:
    return make_task(shape).flops() if mode == "fit" else shape.flops(mode)
