"""Which exercise is it? Seven shoulder exercises, told from a smartwatch by people it never saw.

The watch data of Burns et al. (2018): ten people do seven exercises with either arm; acceleration
and rotation about three axes at 50 Hz, 140 recordings of 19 to 52 seconds. They are cut into
windows of four seconds. Each person in turn is the test, the other nine are what the network
learns from.

What the watch sees of a left arm is the mirror image of a right one: across the plane through the
arm, acceleration along x and rotation about y and z change their signs. Undoing that is worth five
percent on the people 1 to 5. No two people wear a watch alike or move at one pace: the network is
trained on copies whose axes are turned, and whose rotation is faster or slower, at random. That is
worth another six percent on them.

The data comes inside seglearn's wheel, which is only read, never installed. It is a pickle, which
could run code: take the wheel from where you take your packages.

    pip download --no-deps --dest build/data seglearn==1.2.5
    python examples/watch_exercises.py --data build/data
"""

from __future__ import annotations

import argparse
import io
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import make_pipeline

from lstmcore import LSTMClassifier, SequenceScaler

MEMBER = "seglearn/data/watch_dataset.npy"
WINDOW, HOP, EVERY = 200, 100, 4  # samples: windows of 4 s, half overlapping, at 12.5 Hz
MIRROR = np.array([-1, 1, 1, 1, -1, -1])  # ax, ay, az, wx, wy, wz

# Chosen by leaving out each of the people 1 to 5, without the other five (--validate).
SETTINGS: dict[str, Any] = {
    "hidden_size": 128,
    "pooling": "max",
    "dropout": 0.3,
    "learning_rate": 4e-3,
    "learning_rate_schedule": "cosine",
    "max_iter": 5,
    "tol": None,
}
N_COPIES = 4
ANGLE = 0.5  # the axes are turned by at most that, in radians
PACE = (0.8, 1.25)  # factors of the rotation


class DataError(Exception):
    """The data isn't where it should be, or isn't what it should be."""


def load(folder: Path) -> dict[str, Any]:
    """Read ``X``, ``y``, ``subject``, ``side`` of the recordings from the seglearn wheel.

    Raises
    ------
    DataError
        If there is no such wheel, or it doesn't hold the data.
    """
    wheels = sorted(folder.glob("seglearn-*.whl"))
    if not wheels:
        raise DataError(
            f"no seglearn wheel in {folder}; get it with\n"
            f"  pip download --no-deps --dest {folder} seglearn==1.2.5"
        )
    try:
        with zipfile.ZipFile(wheels[-1]) as wheel:
            content: dict[str, Any] = np.load(
                io.BytesIO(wheel.read(MEMBER)), allow_pickle=True
            ).item()
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{wheels[-1].name} doesn't hold the data: {error}") from None
    return content


def windows(
    data: dict[str, Any],
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]:
    """Windows (n, 50, 6) of all recordings, as of a right arm; their exercises; their people."""
    X, y, people = [], [], []
    for recording, exercise, person, side in zip(
        data["X"], data["y"], data["subject"], data["side"], strict=True
    ):
        upright = recording if side == 1 else recording * MIRROR
        for begin in range(0, len(upright) - WINDOW + 1, HOP):
            window = upright[begin : begin + WINDOW]
            X.append(window.reshape(-1, EVERY, window.shape[1]).mean(axis=1))
            y.append(exercise)
            people.append(person)
    return np.array(X, np.float32), np.array(y, np.intp), np.array(people, np.intp)


def turns(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Rotations about random axes by angles up to ANGLE, by Rodrigues' formula: (n, 3, 3)."""
    axes = rng.normal(size=(n, 3))
    x, y, z = (axes / np.linalg.norm(axes, axis=1, keepdims=True)).T
    zero = np.zeros(n)
    cross = np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]).transpose(2, 0, 1)
    angles = rng.uniform(-ANGLE, ANGLE, size=(n, 1, 1))
    return np.eye(3) + np.sin(angles) * cross + (1 - np.cos(angles)) * cross @ cross


def copies(X: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """N_COPIES of all windows, of which the first is as they are."""
    rng = np.random.default_rng(seed)
    parts = [X]
    for _ in range(N_COPIES - 1):
        turn = turns(len(X), rng)
        pace = rng.uniform(*PACE, size=(len(X), 1, 1))
        copy = [X[:, :, :3] @ turn, X[:, :, 3:] @ turn * pace]
        parts.append(np.concatenate(copy, axis=2).astype(np.float32))
    return np.concatenate(parts)


def main() -> None:
    """Leave each person out in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("build/data"), help="where the wheel is")
    parser.add_argument("--seeds", type=int, default=3, help="networks to train for each person")
    parser.add_argument("--validate", action="store_true", help="use the people 1 to 5 only")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}")
    try:
        X, y, people = windows(load(options.data))
    except DataError as error:
        sys.exit(f"{parser.prog}: {error}")
    if options.validate:
        X, y, people = X[people <= 5], y[people <= 5], people[people <= 5]
    print(f"{len(y)} windows of {X.shape[1]} steps, {len(np.unique(people))} people")
    scores = np.zeros((len(np.unique(people)), options.seeds))
    for i, person in enumerate(np.unique(people)):
        test = people == person
        start = time.perf_counter()
        for seed in range(options.seeds):
            model = make_pipeline(SequenceScaler(), LSTMClassifier(**SETTINGS, random_state=seed))
            model.fit(copies(X[~test], seed), np.tile(y[~test], N_COPIES))
            scores[i, seed] = model.score(X[test], y[test])
        took = time.perf_counter() - start
        print(f"  person {person:2}: accuracy {scores[i].mean():.3f}, {took:.1f} s", flush=True)
    for seed, score in enumerate(scores.mean(axis=0)):
        print(f"LSTM, seed {seed}, mean of {len(scores)} people: accuracy {score:.3f}")
    print(f"LSTM, mean of {options.seeds} seeds: accuracy {scores.mean():.3f}")


if __name__ == "__main__":
    main()
