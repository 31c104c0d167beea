"""What does somebody want? One of seven intents, told from the words of a spoken request.

``train``, ``valid`` and ``test`` hold ``seq.in``, a sentence a line, and ``label``, its intent
(Snips, Coucke et al. 2018). A few lines make tokens of the words: those that are rare in training
share one. The network learns an embedding of each, and by attention which of them matter.

    python examples/intents.py --data DIR
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import make_pipeline

from lstmcore import LSTMClassifier

PARTS = ("train", "valid", "test")
RARE = 0  # the token of words that training has only once, and so of words it has never

# Chosen on the validation part (--validate), never on the test part.
SETTINGS: dict[str, Any] = {
    "hidden_size": 64,
    "pooling": "attention",
    "dropout": 0.5,
    "learning_rate": 2e-3,
    "batch_size": 32,
    "max_iter": 5,
    "tol": None,
}
EMBEDDING_SIZE = 64

Tokens = list[NDArray[np.intp]]


class DataError(Exception):
    """The data isn't where it should be, or isn't what it should be."""


def load(folder: Path, part: str) -> tuple[list[str], NDArray[Any]]:
    """Read the sentences of a part and their intents.

    Raises
    ------
    DataError
        If a file is missing or there are more sentences than intents.
    """
    lines = []
    for name in ("seq.in", "label"):
        path = folder / part / name
        if not path.is_file():
            raise DataError(f"there is no {path}; --data names the folder that holds {part}/{name}")
        lines.append(path.read_text(encoding="utf-8").splitlines())
    if len(lines[0]) != len(lines[1]):
        raise DataError(f"{part} has {len(lines[0])} sentences, but {len(lines[1])} labels")
    return lines[0], np.array([label.strip() for label in lines[1]])


def number_words(sentences: list[str]) -> dict[str, int]:
    """Give every word that comes at least twice a number from 1 on."""
    counts = Counter(word for sentence in sentences for word in sentence.lower().split())
    frequent = sorted(word for word, count in counts.items() if count > 1)
    return {word: number for number, word in enumerate(frequent, start=1)}


def as_tokens(sentences: list[str], numbers: dict[str, int]) -> Tokens:
    """Turn sentences into sequences of the numbers of their words."""
    return [
        np.array([numbers.get(word, RARE) for word in sentence.lower().split()], np.intp)
        for sentence in sentences
    ]


def fit(X: Tokens, y: NDArray[Any], n_words: int, seed: int, verbose: int = 0) -> LSTMClassifier:
    """Train a network."""
    # The number of tokens is said, in case that the last words are in no sentence of X.
    embedding = (n_words + 1, EMBEDDING_SIZE)
    model = LSTMClassifier(**SETTINGS, embedding_size=embedding, random_state=seed, verbose=verbose)
    return model.fit(X, y)


def show(model: LSTMClassifier, sentences: list[str], X: Tokens) -> None:
    """Print what the network makes of some sentences, and the words that it looks at."""
    for sentence, label, weights in zip(
        sentences, model.predict(X), model.attention(X), strict=True
    ):
        words = sentence.split()
        strongest = [f"{words[k]} {weights[k]:.2f}" for k in np.argsort(-weights)[:3]]
        print(f"  {sentence.strip()}\n    {label}: {', '.join(strongest)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the three parts")
    parser.add_argument("--validate", action="store_true", help="score on valid, not on test")
    parser.add_argument("--seeds", type=int, default=3, help="networks to train (default 3)")
    parser.add_argument("--verbose", action="store_true", help="show every epoch")
    return parser.parse_args()


def main() -> int:
    """Train, score and show; 1 where the data can't be read."""
    options = parse_arguments()
    try:
        data = {part: load(options.data, part) for part in PARTS}
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    part = "valid" if options.validate else "test"
    (sentences, y), (asked, truth) = data["train"], data[part]
    numbers = number_words(sentences)
    X, X_asked = as_tokens(sentences, numbers), as_tokens(asked, numbers)
    print(f"{len(X)} sentences to learn from, {len(numbers)} words, {len(np.unique(y))} intents")

    counting = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=1000))
    accuracy = counting.fit(sentences, y).score(asked, truth)
    print(f"logistic regression on counts of words: {accuracy:.3f} on {part}")

    began = time.perf_counter()
    models = [fit(X, y, len(numbers), seed, options.verbose) for seed in range(options.seeds)]
    seconds = (time.perf_counter() - began) / len(models)
    scores = [model.score(X_asked, truth) for model in models]
    listed = ", ".join(f"{score:.4f}" for score in scores)
    print(f"LSTM with attention: {np.mean(scores):.4f} on {part} ({listed}), {seconds:.1f} s each")

    model = models[0]
    print("confusions of the first, rows are the truth:", *model.classes_)
    print(confusion_matrix(truth, model.predict(X_asked)))
    print("words that it looks at:")
    show(model, asked[:4], X_asked[:4])
    return 0


if __name__ == "__main__":
    sys.exit(main())
