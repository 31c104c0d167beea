"""Makes the golden files of a release: `python tests/files/golden/make.py`, once, before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import lstmcore
from lstmcore import LearningRateFinder, LSTMClassifier, LSTMEnsemble, LSTMRegressor, layers
from lstmcore.cells import GRUCell, LSTMCell

FOLDER = Path(__file__).parent


def sequences() -> list[np.ndarray]:
    """Sequences that are the same everywhere, whatever NumPy's generators do."""
    lengths = (5, 0, 3, 8, 1, 6)
    return [((np.arange(t * 2.0) * 7 + 3 * t) % 11 / 5 - 1).reshape(t, 2) for t in lengths]


def tokens() -> list[np.ndarray]:
    """The same with a second column of whole numbers from 0 to 10."""
    return [np.stack([x[:, 0], np.rint(5 * x[:, 1] + 5)], axis=1) for x in sequences()]


def models() -> dict[str, Any]:
    """Models with all that a file may hold."""
    X = sequences()
    settings = {"max_iter": 3, "tol": None, "random_state": 0, "batch_size": 4}
    classifier = LSTMClassifier(hidden_size=(3, 2), warm_start=True, dropout=0.25, **settings)
    regressor = LSTMRegressor(hidden_size=3, dtype="float64", pooling="max", **settings)
    base = LSTMClassifier(hidden_size=2, cell="gru", **settings)
    ensemble = LSTMEnsemble(base, n_models=2, random_state=0)
    options = LSTMCell(peephole=True, gate_clip=2.0, cell_activation=("elu", 0.5))
    labels = np.array(["ant", "bee", "cat"])[np.arange(6) % 3]
    numbers = np.stack([np.arange(6.0), np.arange(6.0) ** 2], axis=1)
    return {
        "classifier": classifier.fit(X, labels),
        "regressor": regressor.fit(X, numbers),
        "ensemble": ensemble.fit(X, labels),
        "finder": LearningRateFinder(LSTMRegressor(**settings), n_steps=9).fit(X, numbers),
        "lstm": layers.LSTM(2, 3, 2, random_state=0),
        "classifier_options": LSTMClassifier(hidden_size=3, cell=options, **settings).fit(
            X, labels
        ),
        "regressor_attention": LSTMRegressor(
            hidden_size=3,
            cell=GRUCell(gate_activation="hard_sigmoid"),
            pooling="attention",
            **settings,
        ).fit(X, numbers),
        "lstm_options": layers.LSTM(
            2,
            3,
            random_state=0,
            coupled_gates=True,
            peephole=True,
            cell_clip=1.5,
            output_activation="softsign",
        ),
        "classifier_both_ways": LSTMClassifier(
            hidden_size=(3, 3), bidirectional=True, residual=True, warm_start=True, **settings
        ).fit(X, labels),
        "classifier_normalised": LSTMClassifier(
            hidden_size=(4, 3), cell=LSTMCell(layer_norm=True, proj_size=2), **settings
        ).fit(X, labels),
        "regressor_tokens": LSTMRegressor(
            hidden_size=3, cell="rnn", embedding_size={1: 2}, **settings
        ).fit(tokens(), numbers),
        "lstm_both_ways": layers.LSTM(
            2, 3, 2, bidirectional=True, residual=True, layer_norm=True, random_state=0
        ),
        "gru_both_ways": layers.GRU(2, 3, bidirectional=True, dtype="float64", random_state=0),
    }


def outputs(model: Any) -> list[list[Any]]:
    """What a model makes of the sequences."""
    if isinstance(model, (layers.LSTM, layers.GRU)):
        y, state = model(sequences())
        states = state if isinstance(state, tuple) else (state,)
        parts = [*(part for part in y if len(part)), *states]
    elif isinstance(model, LearningRateFinder):
        parts = [model.learning_rates_, model.losses_, model.smoothed_losses_]
    else:
        X = tokens() if getattr(model, "embedding_size", None) else sequences()
        parts = [model.predict(X)]
        parts += [model.predict_proba(X)] if hasattr(model, "classes_") else []
    return [part.ravel().tolist() for part in parts]


if __name__ == "__main__":
    folder = FOLDER / lstmcore.__version__
    folder.mkdir(exist_ok=True)
    for name, model in models().items():
        path = folder / f"{name}.safetensors"
        if path.exists():
            continue  # what a release wrote is never written again
        model.save(path)
        (folder / f"{name}.json").write_text(json.dumps(outputs(model), indent=1) + "\n")
