"""Small problems that several tests of the estimators share."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmcore import LSTMClassifier, LSTMRegressor

N_SAMPLES = 40
N_FEATURES = 3


def ragged_sequences(n: int = N_SAMPLES, seed: int = 0) -> list[np.ndarray]:
    """Sequences of lengths 0 to 8, the first of them empty."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, n)
    lengths[0] = 0
    return [rng.normal(size=(length, N_FEATURES)) for length in lengths]


def sequences(form: str, n: int = N_SAMPLES, seed: int = 0) -> Any:
    """X in one of its forms: "3d", "ragged" or "2d" (rows of five steps)."""
    if form == "ragged":
        return ragged_sequences(n, seed)
    X = np.random.default_rng(seed).normal(size=(n, 5, N_FEATURES))
    return X if form == "3d" else X.reshape(n, -1)


def targets(name: str, n: int = N_SAMPLES) -> np.ndarray:
    """y for each of the kinds of problems."""
    rng = np.random.default_rng(1)
    return {
        "binary": lambda: np.arange(n) % 2,
        "multiclass": lambda: np.array(["ant", "bee", "cat"])[np.arange(n) % 3],
        "multilabel": lambda: rng.integers(0, 2, (n, 4)),
        "one output": lambda: rng.normal(size=n),
        "three outputs": lambda: rng.normal(size=(n, 3)),
    }[name]()


PROBLEMS = ("binary", "multiclass", "multilabel", "one output", "three outputs")
FORMS = ("3d", "ragged", "2d")


def estimator(problem: str, form: str = "ragged", **parameters: Any) -> Any:
    """An estimator that is quick to fit and does not care whether it converges."""
    settings = {"hidden_size": 6, "max_iter": 3, "tol": None, "batch_size": 16, "random_state": 0}
    settings |= {"n_timesteps": 5 if form == "2d" else 1} | parameters
    return (LSTMRegressor if "output" in problem else LSTMClassifier)(**settings)


def methods(model: Any) -> dict[str, Any]:
    """The methods of a model that map X to numbers, by name."""
    names = ("predict", "predict_proba", "decision_function")
    return {name: getattr(model, name) for name in names if hasattr(model, name)}


def picked(X: Any, indices: np.ndarray) -> Any:
    """The samples of X with these indices, in their order."""
    return [X[i] for i in indices] if isinstance(X, list) else X[indices]
