"""Who said it? Nine speakers told apart by how they say one Japanese vowel pair.

The Japanese Vowels data (Kudo, Toyama and Shimbo, 1999): 640 utterances of /ae/, each 7 to 29
frames of 12 linear-prediction coefficients. The official split trains on 270 utterances and tests
on 370. An LSTM reads each utterance as it is, without padding; a logistic regression on summary
statistics stands beside it. Since 270 utterances are few, the LSTM is trained on noisy copies of
them. On data this small the regression is hard to beat: the network comes close.

The data comes inside sktime's wheel, which is only read, never installed:

    pip download --no-deps --dest build/data sktime==1.2.0
    python examples/japanese_vowels.py --data build/data
"""

from __future__ import annotations

import argparse
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from lstmcore import LSTMClassifier

Array = NDArray[np.float64]
MEMBER = "sktime/datasets/data/JapaneseVowels/JapaneseVowels_{split}.ts"

# Chosen by 5-fold cross-validation on the 270 training utterances alone (--validate).
SETTINGS: dict[str, Any] = {
    "hidden_size": 128,
    "pooling": "last",
    "dropout": 0.3,
    "learning_rate": 4e-3,
    "learning_rate_schedule": "cosine",
    "max_iter": 4,
    "tol": None,
}
N_COPIES = 48
NOISE = 1.0  # its deviation, where the features have 1


class DataError(Exception):
    """The data isn't where it should be, or isn't what it should be."""


def read_ts(text: str) -> tuple[list[Array], NDArray[np.str_]]:
    """Read series and labels from the text of a .ts file.

    Parameters
    ----------
    text : str
        Header lines (``#``, ``@``), then after ``@data`` one sample a line: its channels separated
        by colons, the values of a channel by commas, the label last.

    Returns
    -------
    X : list of ndarray of shape (T_i, n_channels)
        The series, of different lengths.
    y : ndarray of shape (n_samples,)
        The labels.

    Raises
    ------
    DataError
        If there is no sample.
    """
    samples = text.partition("@data")[2].split()
    if not samples:
        raise DataError("the file holds no sample after @data")
    X, y = [], []
    for sample in samples:
        *channels, label = sample.split(":")
        X.append(np.array([channel.split(",") for channel in channels], dtype=np.float64).T)
        y.append(label)
    return X, np.array(y)


def load(folder: Path, split: str) -> tuple[list[Array], NDArray[np.str_]]:
    """Read one split, ``"TRAIN"`` or ``"TEST"``, from the sktime wheel in a folder.

    Raises
    ------
    DataError
        If there is no such wheel, or it doesn't hold the data.
    """
    wheels = sorted(folder.glob("sktime-*.whl"))
    if not wheels:
        raise DataError(
            f"no sktime wheel in {folder}; get it with\n"
            f"  pip download --no-deps --dest {folder} sktime==1.2.0"
        )
    try:
        with zipfile.ZipFile(wheels[-1]) as wheel:
            return read_ts(wheel.read(MEMBER.format(split=split)).decode())
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{wheels[-1].name} doesn't hold the data: {error}") from None


def scale(train: list[Array], *others: list[Array]) -> list[list[Array]]:
    """Scale every feature to mean 0 and deviation 1 over all frames of the training series."""
    frames = np.concatenate(train)
    mean, deviation = frames.mean(axis=0), frames.std(axis=0)
    return [[(x - mean) / deviation for x in series] for series in (train, *others)]


def fit(X: list[Array], y: NDArray[np.str_], seed: int, verbose: int = 0) -> LSTMClassifier:
    """Train a network on noisy copies of scaled utterances."""
    rng = np.random.default_rng(seed)
    noisy = [x + NOISE * rng.standard_normal(x.shape) for _ in range(N_COPIES) for x in X]
    model = LSTMClassifier(**SETTINGS, random_state=seed, verbose=verbose)
    return model.fit(noisy, np.tile(y, N_COPIES))


def validate(X: list[Array], y: NDArray[np.str_], n_seeds: int) -> None:
    """Print the accuracy of both models in 5-fold cross-validation."""
    for seed in range(n_seeds):
        scores = []
        for train, held in StratifiedKFold(5, shuffle=True, random_state=seed).split(y, y):
            parts = scale([X[k] for k in train], [X[k] for k in held])
            scores.append(fit(parts[0], y[train], seed).score(parts[1], y[held]))
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        others = cross_val_score(make_baseline(), summarise(X), y, cv=folds)
        print(f"folds of seed {seed}: LSTM {np.mean(scores):.3f}", end=", ")
        print(f"logistic regression {others.mean():.3f}")


def make_baseline() -> Pipeline:
    """The model that sees no sequence: logistic regression on scaled statistics."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def summarise(series: list[Array]) -> Array:
    """Mean, deviation, extremes, first and last frame of each series, and its length."""
    return np.array(
        [
            np.concatenate([x.mean(0), x.std(0), x.min(0), x.max(0), x[0], x[-1], [len(x)]])
            for x in series
        ]
    )


def plot(models: list[LSTMClassifier], utterance: Array, speaker: str, path: Path) -> None:
    """Draw the learning curves, and what the gates do while one utterance is read."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    gates = models[0].gates([utterance])[0]
    order = np.argmax(np.abs(gates.hidden), axis=0).argsort(kind="stable")
    figure, axes = plt.subplots(1, 5, figsize=(15, 4), width_ratios=[1.4, 1, 1, 1, 1])
    for seed, model in enumerate(models):
        axes[0].plot(range(1, model.n_iter_ + 1), model.loss_curve_, label=f"seed {seed}")
    axes[0].set(title="training loss", xlabel="epoch", yscale="log")
    axes[0].xaxis.get_major_locator().set_params(integer=True)
    axes[0].legend()
    for axis, name in zip(axes[1:], ("input", "forget", "output", "cell"), strict=True):
        values = getattr(gates, name).T[order]
        high = np.abs(values).max() if name == "cell" else 1.0
        low, colours = (-high, "RdBu_r") if name == "cell" else (0.0, "viridis")
        image = axis.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto")
        axis.set(title="cell state" if name == "cell" else f"{name} gate", xlabel="frame")
        figure.colorbar(image, ax=axis)
    axes[1].set_ylabel("hidden unit, by the frame of its peak")
    figure.suptitle(f"LSTM of {gates.cell.shape[1]} units; an utterance of speaker {speaker}")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Train, test, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("build/data"), help="where the wheel is")
    parser.add_argument("--seeds", type=int, default=3, help="networks to train")
    parser.add_argument(
        "--plot", type=Path, default=Path("build/japanese_vowels.png"), help="the picture to write"
    )
    parser.add_argument(
        "--validate", action="store_true", help="cross-validate on the training part instead"
    )
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}")
    try:
        X_train, y_train = load(options.data, "TRAIN")
        X_test, y_test = load(options.data, "TEST")
    except DataError as error:
        sys.exit(f"{parser.prog}: {error}")
    lengths = [len(x) for x in X_train + X_test]
    print(f"{len(X_train)} utterances to train on, {len(X_test)} to test on,", end=" ")
    print(f"{min(lengths)} to {max(lengths)} frames of {X_train[0].shape[1]} coefficients")

    if options.validate:
        validate(X_train, y_train, options.seeds)
        return
    start = time.perf_counter()
    baseline = make_baseline().fit(summarise(X_train), y_train)
    accuracy = baseline.score(summarise(X_test), y_test)
    took = time.perf_counter() - start
    print(f"logistic regression on summary statistics: accuracy {accuracy:.3f}, {took:.1f} s")

    X_train, X_test = scale(X_train, X_test)
    models, scores = [], []
    for seed in range(options.seeds):
        start = time.perf_counter()
        models.append(fit(X_train, y_train, seed, verbose=int(seed == 0)))
        took = time.perf_counter() - start
        scores.append(models[-1].score(X_test, y_test))
        print(f"LSTM, seed {seed}: accuracy {scores[-1]:.3f}, trained in {took:.1f} s")
    print(f"LSTM, mean of {len(scores)}: accuracy {np.mean(scores):.3f}")
    votes = np.mean([model.predict_proba(X_test) for model in models], axis=0)
    together = np.mean(models[0].classes_[votes.argmax(axis=1)] == y_test)
    print(
        f"LSTM, the {len(models)} together (mean of their probabilities): accuracy {together:.3f}"
    )

    try:
        plot(models, X_test[0], y_test[0], options.plot)
    except ModuleNotFoundError:
        print("no picture: it takes matplotlib (pip install 'lstmcore[plot]')")
    else:
        print(f"learning curves and gates: {options.plot}")


if __name__ == "__main__":
    main()
