"""``python -m lstmcore predict``: labels or numbers for the sequences of a file."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from lstmcore._classifier import LSTMClassifier
from lstmcore._cli._tables import read_samples
from lstmcore._cli.train import as_targets, scores
from lstmcore._files_load import load
from lstmcore._table_model import TableModel

_ABOUT = """Predict what `python -m lstmcore train` has learnt to predict.

DATA has the columns that the model was trained with; the label may be missing. The predictions are
written as CSV: the id of each sequence (or its number, from 0), the prediction, and with --proba
the probability of every class.

    python -m lstmcore train stays.csv --id patient --label outcome --model stays.safetensors
    python -m lstmcore predict new.csv --model stays.safetensors --output outcomes.csv
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
        "predict",
        help="predict with a trained model",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="a .csv, .parquet or .npz file")
    parser.add_argument("--model", type=Path, required=True, metavar="FILE", help="the model")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    parser.add_argument("--proba", action="store_true", help="probabilities of the classes too")
    parser.add_argument(
        "--metrics",
        type=Path,
        metavar="FILE",
        help="where to write, as JSON, how good the predictions are; DATA must have the label",
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Read a model and a file, and write predictions.

    Parameters
    ----------
    options : Namespace
        As the parser made it.

    Returns
    -------
    status : int
        Always 0; what goes wrong is raised.
    """
    model = load(options.model)
    if not isinstance(model, TableModel):
        raise ValueError(f"{options.model} holds a {type(model).__name__}, which names no columns.")
    classifies = isinstance(model.estimator, LSTMClassifier)
    if options.proba and not classifies:
        raise ValueError("--proba: the model predicts numbers, not classes.")
    # Labels are only read where they are asked for: else they need not be right, nor there.
    label = model.roles.label if options.metrics else None
    hidden = replace(model.roles, label=label)
    allow_missing = model.estimator.missing == "mask"
    samples = read_samples(options.data, hidden, allow_missing=allow_missing)
    if options.metrics and samples.labels is None:
        raise ValueError(f"{options.data}: --metrics: there is no column {label!r}.")
    columns: dict[str, list[Any]] = {
        model.roles.id or "sequence": samples.ids,
        "prediction": model.predict(samples.X).tolist(),
    }
    if options.proba:
        names = [f"probability {name}" for name in model.estimator.classes_.tolist()]
        columns |= dict(zip(names, model.predict_proba(samples.X).T.tolist(), strict=True))
    if options.metrics and samples.labels is not None:
        y = samples.labels if classifies else as_targets(samples.labels, str(label))
        text = json.dumps(scores(model, samples.X, y), indent=2)
        options.metrics.write_text(text + "\n", encoding="utf-8")
    to_file = options.output is not None
    with (
        options.output.open("w", newline="", encoding="utf-8")
        if to_file
        else nullcontext(sys.stdout)
    ) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return 0
