"""``python -m lstmcore train``: learn from a file of sequences, test, and keep the model."""

from __future__ import annotations

import argparse
import ast
import json
import sys
import time
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    root_mean_squared_error,
)
from sklearn.model_selection import train_test_split

from lstmcore._classifier import LSTMClassifier
from lstmcore._cli._tables import read_samples
from lstmcore._regressor import LSTMRegressor
from lstmcore._scaler import SequenceScaler
from lstmcore._table_model import Roles, TableModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ABOUT = """Learn to tell the label of a sequence, or a number, from a file.

DATA is a table, .csv or .parquet, with one row for each time step, in any order:

    patient,minute,pulse,pressure,outcome
    p17,0,71,120,well
    p17,1,75,122,well
    p18,0,88,,ill

    python -m lstmcore train stays.csv --id patient --time minute --label outcome --missing mask

--id tells the sequences apart, --time orders their rows, --label is the same in all rows of a
sequence; all other columns, or those that --values names, are the features. Without --id each row
is a sequence, which --steps cuts into time steps. DATA may also be an .npz file with the arrays X
(n, steps, features), lengths (n,) if they differ, and y (--label y).

A part of the sequences is kept for the test (--test). Progress goes to standard error, the result
as JSON to standard output. --model keeps the model for `python -m lstmcore predict`.
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
        "train",
        help="learn from a CSV, Parquet or NPZ file",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="a .csv, .parquet or .npz file")
    columns = parser.add_argument_group("columns")
    columns.add_argument("--label", required=True, metavar="COLUMN", help="what is to be learnt")
    columns.add_argument("--id", metavar="COLUMN", help="what tells the sequences apart")
    columns.add_argument("--time", metavar="COLUMN", help="what orders the rows of a sequence")
    columns.add_argument("--values", metavar="A,B,...", help="the features (default: the others)")
    columns.add_argument("--steps", type=int, default=1, metavar="N", help="steps in a row")
    learning = parser.add_argument_group("learning")
    learning.add_argument(
        "--task",
        choices=("classify", "regress"),
        default="classify",
        help="whether labels are classes (default) or numbers",
    )
    learning.add_argument(
        "--scale",
        choices=("standard", "robust", "minmax", "none"),
        default="standard",
        help="how features are scaled, by SequenceScaler (default: standard)",
    )
    learning.add_argument(
        "--missing",
        choices=("error", "mask"),
        default="error",
        help="refuse empty cells (default), or learn that they are empty",
    )
    learning.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the estimator, such as hidden_size=32 or pooling=mean; repeatable",
    )
    learning.add_argument("--seed", type=int, default=0, help="of network and split (default: 0)")
    parser.add_argument(
        "--test",
        type=float,
        default=0.2,
        metavar="PART",
        help="part of the sequences to test on; 0 learns from all (default: 0.2)",
    )
    parser.add_argument("--model", type=Path, metavar="FILE", help="where to keep the model")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def run(options: argparse.Namespace) -> int:
    """Learn, test, keep the model and print the result.

    Parameters
    ----------
    options : Namespace
        As the parser made it.

    Returns
    -------
    status : int
        Always 0; what goes wrong is raised.
    """
    if not 0 <= options.test < 1:
        raise ValueError(f"--test must be at least 0 and less than 1, got {options.test}.")
    if options.steps < 1:
        raise ValueError(f"--steps must be at least 1, got {options.steps}.")
    values = tuple(options.values.split(",")) if options.values else None
    roles = Roles(options.id, options.time, values, options.label, options.steps)
    samples = read_samples(
        options.data,
        roles,
        allow_missing=options.missing == "mask",
        label_is_number=options.task == "regress",
    )
    if samples.labels is None:
        raise ValueError(f"{options.data}: --label: there is no column {options.label!r}.")
    y = samples.labels if options.task == "classify" else as_targets(samples.labels, options.label)
    roles = replace(roles, values=samples.values, label=options.label)
    model, result = learn(samples.X, y, roles, options)
    if options.model:
        model.save(options.model)
        result["model"] = str(options.model)
    print(json.dumps({"data": str(options.data), **result}, indent=2))
    return 0


def learn(
    X: list[NDArray[Any]], y: NDArray[Any], roles: Roles, options: argparse.Namespace
) -> tuple[TableModel, dict[str, Any]]:
    """Learn from a part of the sequences and test on the others.

    Parameters
    ----------
    X : list of ndarray of shape (T_i, n_features)
        The sequences.
    y : ndarray of shape (n,)
        Labels or numbers.
    roles : Roles
        What goes into the model.
    options : Namespace
        ``task``, ``scale``, ``missing``, ``set``, ``seed``, ``test`` and ``quiet``.

    Returns
    -------
    model : TableModel
        The fitted model.
    result : dict
        What there is to say of it.
    """
    estimator = make_estimator(options)
    train, test = split(y, options)
    X_train = [X[i] for i in train]
    scaler = None
    if options.scale != "none":
        scaler = SequenceScaler(method=options.scale)
        X_train = scaler.fit_transform(X_train)
    began = time.perf_counter()
    with redirect_stdout(sys.stderr):
        estimator.fit(X_train, y[train])
    seconds = time.perf_counter() - began
    model = TableModel(estimator, scaler, roles)
    result: dict[str, Any] = {
        "task": options.task,
        "features": estimator.n_features_in_,
        "epochs": estimator.n_iter_,
        "loss": estimator.loss_,
        "seconds": round(seconds, 3),
    }
    for name, part in (("train", train), ("test", test)):
        if len(part):
            result[name] = scores(model, [X[i] for i in part], y[part])
    return model, result


def make_estimator(options: argparse.Namespace) -> LSTMClassifier | LSTMRegressor:
    """Return an estimator with the parameters that ``--set`` gives."""
    cls = LSTMClassifier if options.task == "classify" else LSTMRegressor
    estimator = cls(
        random_state=options.seed, missing=options.missing, verbose=0 if options.quiet else 1
    )
    known = estimator.get_params(deep=False)
    for assignment in options.set:
        name, sign, text = assignment.partition("=")
        if not sign or name not in known:
            raise ValueError(
                f"--set {assignment}: expected NAME=VALUE, where NAME is one of {sorted(known)}."
            )
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        estimator.set_params(**{name: value})
    return estimator


def as_targets(labels: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return labels as numbers, or say which of them is none."""
    targets = np.empty(len(labels))
    for i, label in enumerate(labels.tolist()):
        try:
            targets[i] = float(label)
        except (TypeError, ValueError):
            raise ValueError(
                f"column {name!r} must hold numbers for --task regress, got {label!r} for the "
                f"sequence number {i}."
            ) from None
    return targets


def split(
    y: NDArray[Any], options: argparse.Namespace
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the numbers of the sequences to learn from, and of those to test on."""
    everything = np.arange(len(y))
    if options.test == 0:
        return everything, everything[:0]
    counts = np.unique(y, return_counts=True)[1]
    # As many of each class in both parts, as far as there are enough.
    enough = options.task == "classify" and counts.min(initial=2) >= 2
    n_test = max(1, round(options.test * len(y)))
    stratify = y if enough and n_test >= len(counts) and len(y) - n_test >= len(counts) else None
    train, test = train_test_split(
        everything, test_size=n_test, random_state=options.seed, stratify=stratify
    )
    return train, test


def scores(model: TableModel, X: list[NDArray[Any]], y: NDArray[Any]) -> dict[str, float | int]:
    """Return how good predictions are."""
    found = model.predict(X)
    result: dict[str, float | int] = {"n": len(y)}
    if isinstance(model.estimator, LSTMClassifier):
        result["accuracy"] = float(accuracy_score(y, found))
        known = np.isin(y, model.estimator.classes_)
        if known.all():
            classes = model.estimator.classes_
            result["log_loss"] = float(log_loss(y, model.predict_proba(X), labels=classes))
        return result
    result["mean_absolute_error"] = float(mean_absolute_error(y, found))
    result["root_mean_squared_error"] = float(root_mean_squared_error(y, found))
    if len(y) > 1:
        result["r2"] = float(r2_score(y, found))
    return result
