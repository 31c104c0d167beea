"""What verbose shows."""

from __future__ import annotations

import io
import re
import sys

import pytest
from estimators.problems import estimator, ragged_sequences, targets

X, y = ragged_sequences(), targets("binary")


def test_silent_by_default(capfd):
    estimator("binary").fit(X, y)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, True, 2])
def test_a_line_per_epoch_without_rich(verbose, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    model = estimator("binary", verbose=verbose).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for number, (line, loss) in enumerate(zip(lines, model.loss_curve_, strict=True), start=1):
        assert line.startswith(f"LSTMClassifier: epoch {number}/3  loss {loss:.6f}  ")


def test_a_line_has_score_speed_and_time_left(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    model = estimator("binary", verbose=1).fit(X, y, validation_data=(X, y))
    for line, entry in zip(capsys.readouterr().out.splitlines(), model.history_, strict=True):
        _, _, score, speed, left = line.split("  ")
        assert score == f"validation score {entry['validation_score']:.6f}"
        assert speed == f"{entry['samples_per_second']:.0f} samples/s"
        assert left.endswith(" s left")
    assert left == "0.0 s left"


def test_lines_count_on_after_a_warm_start(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    model = estimator("binary", verbose=1, warm_start=True).fit(X, y)
    capsys.readouterr()
    model.fit(X, y)
    assert capsys.readouterr().out.startswith("LSTMClassifier: epoch 4/6  loss ")


def test_a_bar_with_rich(monkeypatch):
    pytest.importorskip("rich")
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)
    model = estimator("binary", verbose=1).fit(X, y)
    shown = " ".join(screen.getvalue().split())
    assert f"epoch 3/3 loss {model.loss_:.6f}" in shown
    assert f"{model.history_[-1]['samples_per_second']:.0f} samples/s" in shown
    assert re.search(r"100% \d:\d\d:\d\d", shown)  # and the time that is left


def test_bits_do_not_depend_on_it(capsys):
    quiet, loud = estimator("binary").fit(X, y), estimator("binary", verbose=1).fit(X, y)
    assert quiet.loss_curve_ == loud.loss_curve_
