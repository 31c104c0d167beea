"""``python -m lstmcore demo``: learn to read digits line by line, from what scikit-learn brings."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split

from lstmcore._classifier import LSTMClassifier
from lstmcore._scaler import SequenceScaler

_ABOUT = """Learn to read handwritten digits, a line of eight pixels at a time.

The 1797 digits come with scikit-learn; a quarter of them is the test. The same can be had in
Python:

    from lstmcore import LSTMClassifier, SequenceScaler
    scaler = SequenceScaler().fit(X_train)             # X_train: (n, 8, 8)
    model = LSTMClassifier(learning_rate=0.005, max_iter=20, tol=None, random_state=0)
    model.fit(scaler.transform(X_train), y_train).score(scaler.transform(X_test), y_test)
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Describe the command.

    Parameters
    ----------
    subparsers : object
        What ``ArgumentParser.add_subparsers`` returned.

    Returns
    -------
    parser : ArgumentParser
    """
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "demo",
        help="learn something, in a few seconds",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0, help="of network and split (default: 0)")
    parser.add_argument("--json", action="store_true", help="the result as JSON, without progress")
    return parser


def run(options: argparse.Namespace) -> int:
    """Learn, test and print.

    Parameters
    ----------
    options : Namespace
        ``seed`` and ``json``.

    Returns
    -------
    status : int
        Always 0.
    """
    digits = load_digits()
    parts = train_test_split(
        digits.images, digits.target, random_state=options.seed, stratify=digits.target
    )
    X_train, X_test, y_train, y_test = parts
    scaler = SequenceScaler().fit(X_train)
    model = LSTMClassifier(
        learning_rate=0.005,
        max_iter=20,
        tol=None,
        random_state=options.seed,
        verbose=0 if options.json else 1,
    )
    model.fit(scaler.transform(X_train), y_train)
    found = model.predict(scaler.transform(X_test))
    accuracy = float((found == y_test).mean())
    if options.json:
        result = {"n_train": len(y_train), "n_test": len(y_test), "accuracy": accuracy}
        print(json.dumps(result, indent=2))
        return 0
    print(f"{accuracy:.1%} of the {len(y_test)} digits of the test are read rightly")
    print("rows: what it was; columns: what the network said")
    for digit, counts in enumerate(confusion_matrix(y_test, found)):
        print(f"  {digit}  " + "".join(f"{count or '.':>4}" for count in counts))
    print("next: python -m lstmcore train --help", file=sys.stderr)
    return 0
