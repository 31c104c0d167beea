"""The example of long time lags, in small."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "long_range.py"


@pytest.fixture(scope="module")
def example() -> Iterator[Any]:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("long_range", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["long_range"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["long_range"]


@pytest.mark.parametrize(("task", "n_steps"), [("adding", 50), ("copy", 60)])
def test_lstm_learns_what_an_rnn_does_not(example: Any, task: str, n_steps: int) -> None:
    settings = {"n_samples": 2000, "seed": 0}
    lstm = example.train(task, "LSTM", n_steps, n_epochs=12, **settings)
    assert lstm.learnt
    assert not example.train(task, "RNN", n_steps, n_epochs=lstm.epochs, **settings).learnt


def test_the_table_and_the_plot(
    example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    arguments = ["--tasks", "copy", "--lengths", "10", "--epochs", "1", "--samples", "100"]
    path = tmp_path / "flow.png"
    monkeypatch.setattr(sys, "argv", ["long_range.py", *arguments, "--plot", str(path)])
    example.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["copy", "10", "LSTM", "accuracy"],
        ["copy", "10", "RNN", "accuracy"],
    ]
    assert path.read_bytes().startswith(b"\x89PNG")


def test_arguments(example: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for argument in ("--lengths", "--epochs", "--samples"):
        monkeypatch.setattr(sys, "argv", ["long_range.py", argument, "0"])
        with pytest.raises(SystemExit):
            example.main()
        assert f"{argument} must be at least" in capsys.readouterr().err
