"""``python -m lstmcore bench``: the harness runs from the package, with whatever is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lstmcore._cli import main


def test_list_names_suites_and_peers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "list"]) == 0
    shown = capsys.readouterr().out
    for word in ("ts-small", "deepbench-train", "onnxruntime", "openvino"):
        assert word in shown


def test_measures_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.json"
    what = ["run", "small", "--shapes", "ts-small", "--peers", "lstmcore", "--threads", "1"]
    how = ["--rounds", "5", "--seconds", "0.005", "--output", str(path)]
    assert main(["bench", *what, *how]) == 0
    records = json.loads(path.read_text())["records"]
    assert {record["mode"] for record in records} == {"infer", "train", "train-nodx"}
    for record in records:
        assert record["ns"]["min"] > 0
        assert max(record["errors"].values()) < 1e-4
    capsys.readouterr()
    assert main(["bench", "report", str(path)]) == 0
    assert "| ts-small |" in capsys.readouterr().out
    assert main(["bench", "report", str(path), "--threads", "2"]) == 0
    assert "| ts-small |" not in capsys.readouterr().out
    assert main(["bench", "compare", str(path), str(path)]) == 0


def test_memory_of_training_is_measured_in_processes_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "memory.json"
    what = ["memory", "small", "--shapes", "ts-small", "har", "--peers", "lstmcore"]
    assert main(["bench", *what, "--threads", "1", "--output", str(path)]) == 0
    assert "| har |" in capsys.readouterr().out
    small, large = (row["mib"] for row in json.loads(path.read_text())["memory"])
    # what BPTT keeps of har: 128 · 64 rows of h, c, four gates and tanh(c), 100 floats each
    assert large > 128 * 64 * 7 * 100 * 4 / 2**20
    assert 0 < small < large / 5


def test_the_peak_is_measured_without_a_compiler(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "lstmcore", "bench", "peak", "--threads", "1"],
        env={"CXX": str(tmp_path / "none"), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "lower bound" in done.stdout
    assert float(done.stdout.split()[2]) > 0.1


def test_steps_have_their_companions_in_the_same_turns(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    what = ["run", "stream", "--shapes", "stream-64", "--modes", "step", "--peers", "lstmcore"]
    threads = str(min(2, len(os.sched_getaffinity(0))))
    how = ["--threads", threads, "--rounds", "5", "--seconds", "0.005", "--output", str(path)]
    assert main(["bench", *what, *how]) == 0
    result = json.loads(path.read_text())
    (record,) = result["records"]
    assert len(record["computing"]["rounds"]) == 5
    if result["runs"][0]["bandwidth"][threads]:  # there is a compiler
        assert len(record["reading"]["rounds"]) == 5
        weights = 4 * 4 * 64 * (32 + 64)
        assert weights / record["reading"]["min"] < 1e5  # GB/s: all of them were read


def test_the_installed_library_is_measured_from_within_a_checkout(tmp_path: Path) -> None:
    command = ["-m", "benchmarks", "phases", "small", "--shapes", "ts-small", "--repeats", "1"]
    done = subprocess.run(
        [sys.executable, *command, "--output", str(tmp_path / "phases.json")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| ts-small |" in done.stdout


def test_misuse_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "run", "nothing"]) == 2
    assert "no suite 'nothing'" in capsys.readouterr().err
    assert main(["bench", "run", "small", "--threads", "10000"]) == 2
    assert "--threads must lie in 1.." in capsys.readouterr().err
