"""What a network consists of and costs; the memory of training is held to what is allocated."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from estimators.problems import estimator, ragged_sequences, targets
from sklearn.exceptions import NotFittedError

from lstmcore import LSTMClassifier, _core
from lstmcore.cells import LSTMCell


def fitted(**settings: Any) -> Any:
    return estimator("binary", **settings).fit(ragged_sequences(), targets("binary"))


def test_counts() -> None:
    model = fitted(hidden_size=(5, 4))
    summary = model.summary(batch_size=7, n_timesteps=11)
    assert summary.n_parameters == len(model.coefs_)
    assert summary.parameter_bytes == model.coefs_.nbytes
    products = 4 * 5 * (3 + 5) + 4 * 4 * (5 + 4)
    assert summary.flops == 2 * 7 * (11 * products + 4)
    assert [layer.output_shape for layer in summary.layers] == [
        ("N", "T", 3),
        ("N", "T", 5),
        ("N", "T", 4),
        ("N", 4),
        ("N", 1),
    ]
    assert summary.training_bytes == 4 * (7 * 11 * (3 + 7 * 5 + 7 * 4 + 5) + 7 * 5)
    assert summary.prediction_bytes == 4 * (7 * 11 * (3 + 5 + 4) + 7 * 5)


def test_the_batch_is_that_of_the_estimator() -> None:
    assert fitted(batch_size=16).summary().batch_size == 16


def test_says_it_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    text = str(fitted(hidden_size=(5, 4)).summary())
    assert "recurrent 1" in text
    assert "parameters" in text
    assert capsys.readouterr().out == ""


def test_errors() -> None:
    with pytest.raises(NotFittedError):
        LSTMClassifier().summary()
    with pytest.raises(ValueError, match="n_timesteps must be an int of at least 1, got 0"):
        fitted().summary(n_timesteps=0)


def test_windows_keep_their_steps_alone() -> None:
    """Of tbptt_steps the steps of a window and one state; never more than there are."""
    model = fitted(hidden_size=(5, 4), tbptt_steps=3)
    kept = [model.summary(batch_size=7, n_timesteps=n).training_bytes for n in (2, 3, 11, 111)]
    own = 7 * 5 + 7 * 4 + 5  # gates and states of a step, and gradients between the layers
    ends, states = 7 * 5, 7 * 2 * (5 + 4)
    steps = [(2, 2), (3, 3), (11, 3), (111, 3)]
    assert kept == [4 * (7 * 3 * n + 7 * own * m + ends + states) for n, m in steps]
    model.set_params(tbptt_steps=None)
    assert model.summary(n_timesteps=111) == fitted(hidden_size=(5, 4)).summary(n_timesteps=111)


class Held:
    """Writes down what the core holds more at the end of an epoch than before the fit."""

    def setup(self, estimator: Any, context: Any) -> None:
        gc.collect()
        self.before = _core.allocated_bytes()

    def teardown(self, estimator: Any, context: Any) -> None:
        """Of the protocol."""

    on_fit_task_begin = teardown

    def on_fit_task_end(self, estimator: Any, context: Any) -> None:
        if context.task_name == "epoch":
            self.size = _core.allocated_bytes() - self.before


def held_and_told(n_steps: int, **settings: Any) -> tuple[int, int]:
    """Bytes that a fit held, and what the summary says of such a batch."""
    X = np.random.default_rng(0).normal(size=(32, n_steps, 8)).astype(np.float32)
    settings = {"hidden_size": 64, "max_iter": 1, "batch_size": 32, "n_jobs": 2} | settings
    held = Held()
    model = estimator("binary", **settings).set_callbacks(held).fit(X, targets("binary", 32))
    return held.size, model.summary(n_timesteps=n_steps).training_bytes


NETWORKS: tuple[dict[str, Any], ...] = (
    {},
    {"cell": "gru", "pooling": "mean"},
    {"cell": "rnn", "dtype": "float64"},
    {"cell": LSTMCell(proj_size=16), "hidden_size": (64, 32)},
    {"pooling": "attention"},
    {"cell": LSTMCell(layer_norm=True), "pooling": "max"},
    {"hidden_size": (64, 64), "residual": True, "dropout": 0.1},
    {
        "cell": LSTMCell(hidden_dropout=0.1, zoneout_hidden=0.1, zoneout_cell=0.1),
        "recurrent_dropout": 0.1,
    },
)
WINDOWS: tuple[dict[str, Any], ...] = ({}, {"memory": "recompute"}, {"tbptt_steps": 50})


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_training_bytes_are_those_that_are_held(network: dict[str, Any]) -> None:
    told = {}
    for windows in WINDOWS:
        for n_steps in (250, 1000):
            held, said = held_and_told(n_steps, **network, **windows)
            # Gradients of weights are not counted, which is more where little else is held.
            assert 0.97 < held / said < (1.6 if windows else 1.1), (windows, n_steps, held, said)
            told[str(windows), n_steps] = said
    whole, recomputed, truncated = (told[str(windows), 1000] for windows in WINDOWS)
    assert max(recomputed, truncated) < whole / 4


def test_training_bytes_of_both_directions() -> None:
    settings = {"bidirectional": True, "hidden_size": (64, 32), "dropout": 0.1}
    held, said = held_and_told(250, **settings)
    assert 0.97 < held / said < 1.1
