"""Keras: whole fits only, on whichever backend KERAS_BACKEND names."""

from __future__ import annotations

from importlib import import_module

import keras
import numpy as np

from ..fitting import FitTask
from .base import Operation, Peer


class Keras(Peer):
    """keras.Sequential of LSTM and Dense, compiled with Adam."""

    def describe(self) -> dict[str, str]:
        """Version and backend."""
        backend = keras.backend.backend()
        return {
            "version": keras.__version__,
            "backend": f"{backend} {import_module(backend).__version__}",
        }

    def fit(self, task: FitTask) -> Operation:
        """``Model.fit`` from the same untrained model each time.

        The model is traced in the fit that is checked; none that is timed pays for it.
        """
        loss = (
            keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            if task.classification
            else keras.losses.MeanSquaredError()
        )

        keras.utils.set_random_seed(0)
        layers = [keras.layers.LSTM(task.shape.H), keras.layers.Dense(task.n_outputs)]
        model = keras.Sequential([keras.Input(task.x.shape[1:]), *layers])
        adam = keras.optimizers.Adam(
            task.learning_rate, global_clipnorm=task.max_grad_norm, epsilon=1e-8
        )
        model.compile(optimizer=adam, loss=loss)
        adam.build(model.trainable_variables)
        variables = [*model.variables, *adam.variables]
        untrained = [keras.ops.convert_to_numpy(variable).copy() for variable in variables]

        def run() -> list[float]:
            for variable, value in zip(variables, untrained, strict=True):
                variable.assign(value)
            keras.utils.set_random_seed(0)  # the order of the samples
            history = model.fit(
                task.x, task.y, batch_size=task.batch_size, epochs=task.epochs, verbose=0
            )
            curve: list[float] = history.history["loss"]
            return curve

        return Operation(run, lambda: {"loss": np.array(run())})
