"""Plots of fitted estimators."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, targets
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from lstmcore import GateDisplay, LossCurveDisplay, LSTMClassifier
from lstmcore.cells import LSTMCell


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    yield plt
    plt.close("all")


def fitted(**settings):
    return estimator("binary", **settings).fit(ragged_sequences(), targets("binary"))


def test_loss_curve(plt):
    model = fitted()
    display = LossCurveDisplay.from_estimator(model, color="red")
    x, y = display.line_.get_data()
    assert_array_equal(x, [1, 2, 3])
    assert_array_equal(y, model.loss_curve_)
    assert display.line_.get_color() == "red"
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_xlabel() == "epoch"
    assert display.ax_.get_legend().get_texts()[0].get_text() == "LSTMClassifier: loss"
    assert display.validation_ax_ is None


def test_validation_scores(plt):
    model = fitted(early_stopping=True)
    display = LossCurveDisplay.from_estimator(model, name="mine")
    (line,) = display.validation_ax_.get_lines()
    assert_array_equal(line.get_ydata(), model.validation_scores_)
    assert len(display.ax_.get_legend().get_texts()) == 2


def test_into_given_axes(plt):
    _, ax = plt.subplots()
    assert LossCurveDisplay([2.0, 1.0]).plot(ax=ax).ax_ is ax
    model = fitted()
    assert GateDisplay.from_estimator(model, ragged_sequences()[3], ax=ax).ax_ is ax


@pytest.mark.parametrize("gate", ["input", "forget", "candidate", "output", "cell", "hidden"])
def test_gates(plt, gate):
    model = fitted(hidden_size=(5, 4))
    x = max(ragged_sequences(), key=len)
    display = GateDisplay.from_estimator(model, x, gate=gate, layer=0)
    shown = np.asarray(display.image_.get_array())
    assert_array_equal(shown, getattr(model.gates([x], layer=0)[0], gate).T)
    assert gate in display.ax_.get_title()
    assert display.figure_ is display.ax_.figure


@pytest.mark.parametrize(
    ("cell", "usual", "between_0_and_1"),
    [
        ("lstm", "forget", True),
        ("gru", "update", True),
        ("rnn", "hidden", False),
        (LSTMCell(gate_activation="tanh"), "forget", False),
        (LSTMCell(layer_norm=True, proj_size=3), "forget", True),
    ],
    ids=str,
)
def test_gates_of_every_cell(plt, cell, usual, between_0_and_1):
    model = fitted(cell=cell, bidirectional=True)
    x = max(ragged_sequences(), key=len)
    display = GateDisplay.from_estimator(model, x)
    record = model.gates([x])[0]
    assert_array_equal(np.asarray(display.image_.get_array()), getattr(record, usual).T)
    assert usual in display.ax_.get_title()
    low, high = display.image_.get_clim()
    assert (low, high) == (0, 1) if between_0_and_1 else low == -high
    for name in record.__dataclass_fields__:
        assert name in GateDisplay(record, gate=name).plot().ax_.get_title()


def test_errors(plt):
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(LSTMClassifier())
    model = fitted()
    with pytest.raises(ValueError, match=r"gate must be one of .*, got 'reset'"):
        GateDisplay.from_estimator(model, np.ones((2, 3)), gate="reset")
    with pytest.raises(ValueError, match="no time step"):
        GateDisplay.from_estimator(model, np.empty((0, 3)))


def test_without_matplotlib(monkeypatch):
    import builtins

    original = builtins.__import__

    def refuse(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"LossCurveDisplay takes matplotlib.*lstmcore\[plot\]"):
        LossCurveDisplay([1.0]).plot()


def test_displays_of_scikit_learn_take_sequences(plt):
    from sklearn.metrics import ConfusionMatrixDisplay, PredictionErrorDisplay

    X, y = ragged_sequences(), targets("binary")
    display = ConfusionMatrixDisplay.from_estimator(fitted(), X, y)
    assert display.confusion_matrix.sum() == len(y)
    model = estimator("one output").fit(X, targets("one output"))
    residuals = PredictionErrorDisplay.from_estimator(model, X, targets("one output"))
    assert_array_equal(residuals.y_pred, model.predict(X))
