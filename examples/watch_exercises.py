"""Which exercise is it? Seven shoulder exercises, told from a smartwatch by people it never saw.

The watch data of Burns et al. (2018): ten people do seven exercises with either arm; acceleration
and rotation about three axes at 50 Hz, 140 recordings of 19 to 52 seconds. They are cut into
windows of four seconds. Each person in turn is the test, the other nine are what the network
learns from.

What the watch sees of a left arm is the mirror image of a right one: across the plane through the
arm, acceleration along x and rotation about y and z change their signs. Undoing that is worth five
percent on the people 1 to 5.

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
    "hidden_size": (64, 64),
    "pooling": "max",
    "dropout": 0.3,
    "learning_rate": 2e-3,
    "max_iter": 15,
    "tol": None,
}


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
    means = []
    for person in np.unique(people):
        test = people == person
        start = time.perf_counter()
        scores = []
        for seed in range(options.seeds):
            model = make_pipeline(SequenceScaler(), LSTMClassifier(**SETTINGS, random_state=seed))
            scores.append(model.fit(X[~test], y[~test]).score(X[test], y[test]))
        means.append(np.mean(scores))
        took = time.perf_counter() - start
        print(f"  person {person:2}: accuracy {means[-1]:.3f}, {took:.1f} s", flush=True)
    mean = np.mean(means)
    print(f"LSTM, mean of {len(means)} people, {options.seeds} seeds: accuracy {mean:.3f}")


if __name__ == "__main__":
    main()
