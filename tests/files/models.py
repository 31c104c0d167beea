"""Models to be saved, one of every kind, and how to tell whether two are equal."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from estimators.problems import PROBLEMS, estimator, ragged_sequences, targets
from sklearn.base import BaseEstimator

from lstmcore import (
    LearningRateFinder,
    LSTMClassifier,
    LSTMEnsemble,
    LSTMRegressor,
    SequenceScaler,
    layers,
)
from lstmcore.cells import LSTMCell

X = ragged_sequences()
NEW_X = ragged_sequences(seed=9)


def fitted(problem: str = "binary", **parameters: Any) -> Any:
    """A fitted estimator."""
    return estimator(problem, **parameters).fit(X, targets(problem))


def ensemble(problem: str) -> LSTMEnsemble:
    """A fitted ensemble of two."""
    model = LSTMEnsemble(estimator(problem, warm_start=True), n_models=2, random_state=0)
    return model.fit(X, targets(problem))


def finder() -> LearningRateFinder:
    """A finder that has found."""
    model = LSTMClassifier(hidden_size=4, cell="gru", random_state=0)
    return LearningRateFinder(model, n_steps=20).fit(X, targets("binary"))


def every_model() -> dict[str, Any]:
    """One model of every kind that a file may hold, by name."""
    models = {problem: fitted(problem) for problem in PROBLEMS}
    models["stacked, float64, trainable"] = fitted(
        "multiclass", hidden_size=(5, 3), dtype="float64", pooling="mean", warm_start=True
    )
    holes = [np.where(x > 1, np.nan, x) for x in X]
    models["holes"] = estimator("multiclass", missing="mask").fit(holes, targets("multiclass"))
    models["weights"] = fitted("binary", class_weight={0: 1, 1: 3.5})
    models["stopped early"] = fitted(
        "binary", early_stopping=True, warm_start=True, learning_rate_schedule="plateau"
    )
    models["sgd"] = fitted("three outputs", solver="sgd", warm_start=True, loss="huber")
    models["not fitted"] = estimator("multiclass", hidden_size=(2, 3))
    options = LSTMCell(peephole=True, gate_clip=2.0, cell_activation=("elu", 0.5))
    models["cell with options"] = fitted("multiclass", cell=options, warm_start=True)
    for method in ("standard", "robust", "minmax"):
        models[f"{method} scaler"] = SequenceScaler(method=method).fit(X)
    models["scaler, not fitted"] = SequenceScaler(n_timesteps=3)
    models["ensemble"] = ensemble("multiclass")
    models["ensemble of regressors"] = LSTMEnsemble(n_models=1, random_state=3)
    models["ensemble of regressors"].set_params(estimator=estimator("three outputs"))
    models["ensemble of regressors"].fit(X, targets("three outputs"))
    models["ensemble, not fitted"] = LSTMEnsemble()
    models["finder"] = finder()
    models["finder, not fitted"] = LearningRateFinder(LSTMRegressor(hidden_size=2))
    models["layer"] = layers.LSTM(3, 7, random_state=0)
    models["layers"] = layers.LSTM(3, 5, 2, dtype="float64", random_state=0, n_jobs=1)
    models["LSTM layer with options"] = layers.LSTM(
        3,
        5,
        random_state=0,
        peephole=True,
        coupled_gates=True,
        cell_clip=1.5,
        gate_activation=("hard_sigmoid", 0.25),
    )
    models["masks"] = fitted("binary", cell=LSTMCell(zoneout_cell=0.2), recurrent_dropout=0.3)
    masks = {"hidden_dropout": 0.2, "zoneout_hidden": 0.3}
    models["GRU layer with masks"] = layers.GRU(3, 4, recurrent_dropout=0.1, **masks)
    models["RNN layer with masks"] = layers.RNN(3, 4, **masks)
    models["projected"] = fitted("binary", cell=LSTMCell(proj_size=2), hidden_size=(5, 3))
    models["projected layers"] = layers.LSTM(3, 7, 2, proj_size=5, random_state=0)
    models["normalised, both ways"] = fitted(
        "binary",
        cell=LSTMCell(layer_norm=True),
        hidden_size=(4, 4),
        bidirectional=True,
        residual=True,
        warm_start=True,
    )
    models["normalised layers"] = layers.LSTM(3, 7, 2, layer_norm=True, proj_size=5, random_state=0)
    models["GRU layer, from the end"] = layers.GRU(3, 4, reverse=True, random_state=0)
    models["GRU layer"] = layers.GRU(3, 7, 2, random_state=0)
    models["GRU layer, reset before"] = layers.GRU(3, 4, reset_after=False, dtype="float64")
    models["RNN layer"] = layers.RNN(3, 7, nonlinearity="relu", random_state=0)
    return models


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal: of one type, and to the last bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, BaseEstimator):
        return same(state_of(a), state_of(b))
    if isinstance(a, np.ndarray):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        return a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes()
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b or a != a)


def state_of(model: Any) -> dict[str, Any]:
    """All that a model holds, in an order of its own."""
    return dict(sorted(model.__getstate__().items()))
