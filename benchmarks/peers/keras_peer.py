"""Keras: whole fits only, on whichever backend KERAS_BACKEND names."""

from __future__ import annotations

import keras
import numpy as np

from ..fitting import FitTask
from .base import Operation, Peer


class Keras(Peer):
    """keras.Sequential of LSTM and Dense, compiled with Adam."""

    def describe(self) -> dict[str, str]:
        """Version and backend."""
        return {"version": keras.__version__, "backend": keras.backend.backend()}

    def fit(self, task: FitTask) -> Operation:
        """``Model.fit`` of a new model each time, tracing and compiling included."""
        loss = (
            keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            if task.classification
            else keras.losses.MeanSquaredError()
        )

        def run() -> list[float]:
            keras.utils.set_random_seed(0)
            layers = [keras.layers.LSTM(task.shape.H), keras.layers.Dense(task.n_outputs)]
            model = keras.Sequential([keras.Input(task.x.shape[1:]), *layers])
            adam = keras.optimizers.Adam(
                task.learning_rate, global_clipnorm=task.max_grad_norm, epsilon=1e-8
            )
            model.compile(optimizer=adam, loss=loss)
            history = model.fit(
                task.x, task.y, batch_size=task.batch_size, epochs=task.epochs, verbose=0
            )
            curve: list[float] = history.history["loss"]
            return curve

        return Operation(run, lambda: {"loss": np.array(run())})
