"""Which gesture is it? Four of them, told from where a fingertip went in 16 video frames.

Each row of ``point_history.csv`` is a class (stop, clockwise, counter-clockwise, move) and then 16
frames of (x, y), relative to the first. Neighbouring rows are overlapping windows of one recording,
so a random split would test on what was trained on: the test is the last quarter of each class.

The file is that of Kazuhito Takahashi's hand-gesture-recognition-using-mediapipe (Apache-2.0):
github.com/Kazuhito00/hand-gesture-recognition-using-mediapipe, model/point_history_classifier.

    python examples/gestures.py --data DIR
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lstmcore import LSTMClassifier

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
N_FRAMES = 16
CLASSES = ("stop", "clockwise", "counter-clockwise", "move")

# Chosen on blocks cut out of the training part (--validate), never on the test part.
SETTINGS: dict[str, Any] = {
    "hidden_size": 64,
    "pooling": "last",
    "dropout": 0.3,
    "learning_rate": 2e-3,
    "batch_size": 32,
    "max_iter": 30,
    "tol": None,
}


class DataError(Exception):
    """The data isn't where it should be, or isn't what it should be."""


def load(folder: Path) -> tuple[Array, NDArray[np.intp]]:
    """Read tracks of shape (n, 16, 2) and their classes.

    Raises
    ------
    DataError
        If the file is missing or has other columns.
    """
    path = folder / "point_history.csv"
    if not path.is_file():
        raise DataError(f"there is no {path}; --data names the folder that holds the file")
    rows = np.loadtxt(path, delimiter=",", ndmin=2)
    if rows.shape[1] != 1 + 2 * N_FRAMES:
        raise DataError(f"{path} has {rows.shape[1]} columns, expected {1 + 2 * N_FRAMES}")
    return rows[:, 1:].reshape(len(rows), N_FRAMES, 2), rows[:, 0].astype(np.intp)


def last_part(y: NDArray[np.intp], fraction: float) -> NDArray[np.bool_]:
    """Mark the last rows of each class, in the order of the recording."""
    marked = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        marked[rows[int(len(rows) * (1 - fraction)) :]] = True
    return marked


def blocks(y: NDArray[np.intp], n_blocks: int) -> list[tuple[Rows, Rows]]:
    """Rows to train on and to validate on: each class cut into blocks, neighbours left out.

    Rows closer than 16 to a validation block share frames with it and are in neither part.
    """
    splits = []
    for block in range(n_blocks):
        train, validate = [], []
        for label in np.unique(y):
            rows = np.flatnonzero(y == label)
            begin, end = (len(rows) * (block + k) // n_blocks for k in (0, 1))
            validate.append(rows[begin:end])
            train += [rows[: max(0, begin - N_FRAMES)], rows[end + N_FRAMES :]]
        splits.append((np.concatenate(train), np.concatenate(validate)))
    return splits


def add_speed(tracks: Array) -> Array:
    """Positions and, as two more features, how far the fingertip went since the frame before."""
    speed = np.diff(tracks, axis=1, prepend=tracks[:, :1])
    return np.concatenate([tracks, speed], axis=2)


def fit(X: Array, y: NDArray[np.intp], seed: int, verbose: int = 0) -> tuple[LSTMClassifier, Array]:
    """A trained network and the deviation of each feature, by which its input is divided."""
    deviation = X.std(axis=(0, 1))
    model = LSTMClassifier(**SETTINGS, random_state=seed, verbose=verbose)
    return model.fit(X / deviation, y), deviation


def main() -> None:
    """Train, test and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of point_history.csv")
    parser.add_argument("--seeds", type=int, default=3, help="networks to train")
    parser.add_argument(
        "--validate", action="store_true", help="score on blocks of the training part instead"
    )
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}")
    try:
        tracks, y = load(options.data)
    except DataError as error:
        sys.exit(f"{parser.prog}: {error}")
    test = last_part(y, 0.25)
    X = add_speed(tracks)
    print(f"{len(y)} tracks of {N_FRAMES} frames, the last {test.sum()} of the classes to test on")

    if options.validate:
        X, y = X[~test], y[~test]
        for number, (train, held) in enumerate(blocks(y, 3)):
            scores = []
            for seed in range(options.seeds):
                model, deviation = fit(X[train], y[train], seed)
                scores.append(model.score(X[held] / deviation, y[held]))
            print(f"block {number}: accuracy {np.mean(scores):.3f} ({len(scores)} seeds)")
        return

    flat = tracks.reshape(len(y), -1)
    baseline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    baseline.fit(flat[~test], y[~test])
    print(
        f"logistic regression on the 32 numbers: accuracy {baseline.score(flat[test], y[test]):.3f}"
    )
    scores = []
    for seed in range(options.seeds):
        start = time.perf_counter()
        model, deviation = fit(X[~test], y[~test], seed, verbose=int(seed == 0))
        took = time.perf_counter() - start
        scores.append(model.score(X[test] / deviation, y[test]))
        print(f"LSTM, seed {seed}: accuracy {scores[-1]:.3f}, trained in {took:.1f} s")
    print(f"LSTM, mean of {len(scores)}: accuracy {np.mean(scores):.3f}")
    print("rows: what it was; columns: what the last network said")
    for name, counts in zip(
        CLASSES, confusion_matrix(y[test], model.predict(X[test] / deviation)), strict=True
    ):
        print(f"  {name:18}" + "".join(f"{count:6d}" for count in counts))


if __name__ == "__main__":
    main()
