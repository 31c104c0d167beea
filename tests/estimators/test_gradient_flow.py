"""The gradients of an estimator's output reach back as those of its layers do, and are plotted."""

from __future__ import annotations

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, targets
from numpy.testing import assert_allclose, assert_array_equal

from lstmcore import GradientFlowDisplay
from lstmcore.layers import GRU, LSTM, RNN

X = ragged_sequences()
CLASSES = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    yield plt
    plt.close("all")


def fitted(problem, **settings):
    return estimator(problem, dtype="float64", **settings).fit(X, targets(problem))


def layer_of(model, cell):
    """The layers of a model on their own."""
    layer = CLASSES[cell](3, 6, 2, dtype="float64")
    for name, values in layer.parameters.items():
        values[...] = model.parameters_[name]
    return layer


def output_gradient(model, pooling, k):
    """The gradient of score k with respect to every h of the top layer."""
    weight = model.parameters_["head_weight"][k]
    gradients = [np.zeros((len(x), 6)) for x in X]
    for dy, record in zip(gradients, model.gates(X), strict=True):
        if len(dy) and pooling == "last":
            dy[-1] = weight
        elif len(dy) and pooling == "mean":
            dy[:] = weight / len(dy)
        elif len(dy):
            dy[record.hidden.argmax(axis=0), np.arange(6)] = weight
    return gradients


@pytest.mark.parametrize("cell", CLASSES)
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_norms_are_those_of_the_layers(cell, pooling):
    model = fitted("multiclass", hidden_size=(6, 6), cell=cell, pooling=pooling)
    dy = output_gradient(model, pooling, 1)
    for level in (0, 1):
        flows = model.gradient_flow(X, target="bee", layer=level)
        wanted = layer_of(model, cell).gradient_flow(X, dy=dy, layer=level)
        for x, flow, want in zip(X, flows, wanted, strict=True):
            if len(x):
                assert_allclose(flow.hidden, want.hidden, rtol=1e-12)
            if cell == "lstm":
                assert_allclose(flow.cell, want.cell, rtol=1e-12)
            else:
                assert flow.cell is None


def test_targets_and_threads():
    model = fitted("multiclass", n_jobs=1)
    predicted = model.predict(X)
    for default, named in zip(
        model.gradient_flow(X), model.gradient_flow(X, target=predicted), strict=True
    ):
        assert_array_equal(default.state, named.state)
    before = model.gradient_flow(X)
    for one, two in zip(before, model.set_params(n_jobs=2).gradient_flow(X), strict=True):
        assert_array_equal(one.state, two.state)
    regressor = fitted("three outputs")
    assert len(regressor.gradient_flow(X, target=2)) == len(X)
    with pytest.raises(ValueError, match="target must say which of the 3 outputs"):
        regressor.gradient_flow(X)
    with pytest.raises(ValueError, match="layer must lie between -1 and 0"):
        regressor.gradient_flow(X, target=0, layer=1)
    assert model.gradient_flow([]) == []


def test_two_models_in_one_axis(plt):
    lstm, rnn = fitted("binary"), fitted("binary", cell="rnn")
    display = GradientFlowDisplay.from_estimator(lstm, X)
    other = GradientFlowDisplay.from_estimator(rnn, X, ax=display.ax_, name="other", color="red")
    assert other.ax_ is display.ax_
    assert other.figure_ is display.ax_.figure
    assert other.line_.get_color() == "red"
    assert display.ax_.get_yscale() == "log"
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["LSTMClassifier, cell lstm", "other"]
    lags, norms = display.line_.get_data()
    assert lags.tolist() == list(range(max(map(len, X)) + 1))
    assert norms[0] == 1
    curves = [flow.state / flow.state[0] for flow in lstm.gradient_flow(X)]
    assert_allclose(norms[3], np.median([curve[3] for curve in curves if len(curve) > 3]))


def test_a_layer_and_its_parts(plt):
    layer = LSTM(3, 4, 2, random_state=0)
    display = GradientFlowDisplay.from_layer(layer, X[1:4], level=0, part="cell", relative=False)
    cells = [flow.cell for flow in layer.gradient_flow(X[1:4], layer=0)]
    assert_allclose(display.line_.get_ydata()[1], np.median([cell[1] for cell in cells]))
    assert display.ax_.get_xlabel() == "steps before the end"
    assert np.isnan(display.line_.get_ydata()[0]) == (np.median([c[0] for c in cells]) == 0)
    _, ax = plt.subplots()
    assert GradientFlowDisplay(layer.gradient_flow(X[1:4])).plot(ax).line_ in ax.get_lines()


def test_display_errors():
    flows = RNN(3, 4).gradient_flow(X[1:4])
    with pytest.raises(ValueError, match='part must be "state", "hidden" or "cell"'):
        GradientFlowDisplay(flows).plot(part="gate")
    with pytest.raises(ValueError, match="these cells have no state c"):
        GradientFlowDisplay(flows).plot(part="cell")
    with pytest.raises(ValueError, match="there are no sequences"):
        GradientFlowDisplay([]).plot()
    dy = [np.zeros((len(x), 4)) for x in X[1:4]]
    with pytest.raises(ValueError, match="relative must be False"):
        GradientFlowDisplay(RNN(3, 4).gradient_flow(X[1:4], dy=dy)).plot()
