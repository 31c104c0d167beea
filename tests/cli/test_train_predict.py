"""``train``, ``predict`` and ``demo``: from a file to a model and to predictions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import lstmcore
from lstmcore import LSTMClassifier, SequenceScaler
from lstmcore._cli import main

FAST = ("--quiet", "--set", "hidden_size=8", "--set", "tol=None", "--set", "max_iter=25")
FAST += ("--set", "learning_rate=0.02")


def sequences(n: int = 60, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Sequences that rise or fall, and which of it they do."""
    rng = np.random.default_rng(seed)
    kinds = ["up" if k % 2 else "down" for k in range(n)]
    X = []
    for kind in kinds:
        slope = 1 if kind == "up" else -1
        steps = np.arange(rng.integers(3, 9))
        X.append(np.stack([slope * steps + 5, rng.normal(size=len(steps))], axis=1).round(3))
    return X, kinds


def rows_of(n: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """The same as a table, its rows mixed."""
    X, kinds = sequences(n, seed)
    rows = [
        {"who": f"s{i}", "t": t, "a": float(step[0]), "b": float(step[1]), "kind": kinds[i]}
        | {"size": len(x)}
        for i, x in enumerate(X)
        for t, step in enumerate(x)
    ]
    return [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


COLUMNS = ("--id", "who", "--time", "t", "--values", "a,b")


def test_train_and_predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, model = write_csv(tmp_path / "train.csv", rows_of()), tmp_path / "m.safetensors"
    arguments = ("train", data, *COLUMNS, "--label", "kind", "--model", model, *FAST)
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    result = json.loads(out)
    assert result["test"]["accuracy"] == 1.0
    assert (result["train"]["n"], result["test"]["n"], result["epochs"]) == (48, 12, 25)
    assert run(capsys, *arguments)[0] == 0  # a second time: the file is replaced

    new = write_csv(tmp_path / "new.csv", rows_of(10, seed=5))
    output, metrics = tmp_path / "out.csv", tmp_path / "metrics.json"
    arguments = ("predict", new, "--model", model, "--output", output, "--metrics", metrics)
    assert run(capsys, *arguments, "--proba")[:2] == (0, "")
    found = list(csv.DictReader(output.read_text().splitlines()))
    X, kinds = sequences(10, seed=5)
    assert {row["who"]: row["prediction"] for row in found} == {
        f"s{i}": kind for i, kind in enumerate(kinds)
    }
    assert json.loads(metrics.read_text())["accuracy"] == 1.0
    loaded = lstmcore.load(model)
    expected = loaded.predict_proba([X[int(row["who"][1:])] for row in found])
    for column, name in enumerate(("down", "up")):
        assert_array_equal(
            [float(row[f"probability {name}"]) for row in found], expected[:, column]
        )


def test_the_model_is_what_python_would_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, model = write_csv(tmp_path / "train.csv", rows_of()), tmp_path / "m.safetensors"
    run(capsys, "train", data, *COLUMNS, "--label", "kind", "--model", model, *FAST, "--test", "0")
    X, kinds = sequences()
    twin = LSTMClassifier(
        hidden_size=8, tol=None, max_iter=25, learning_rate=0.02, random_state=0
    ).fit(SequenceScaler().fit_transform(X), kinds)
    assert_array_equal(lstmcore.load(model).estimator.coefs_, twin.coefs_)


def test_predictions_without_labels_go_to_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, model = write_csv(tmp_path / "train.csv", rows_of()), tmp_path / "m.safetensors"
    run(capsys, "train", data, *COLUMNS, "--label", "kind", "--model", model, *FAST)
    new = [{k: v for k, v in row.items() if k != "kind"} for row in rows_of(5)]
    status, out, _ = run(capsys, "predict", write_csv(tmp_path / "n.csv", new), "--model", model)
    assert status == 0
    assert out.splitlines()[0] == "who,prediction"
    assert len(out.splitlines()) == 6


def test_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, model = write_csv(tmp_path / "train.csv", rows_of(120)), tmp_path / "m.safetensors"
    arguments = ("--label", "size", "--task", "regress", "--model", model, *FAST)
    status, out, _ = run(capsys, "train", data, *COLUMNS, *arguments, "--scale", "minmax")
    assert status == 0
    assert json.loads(out)["test"]["r2"] > 0.9
    metrics = tmp_path / "metrics.json"
    status, out, _ = run(capsys, "predict", data, "--model", model, "--metrics", metrics)
    assert status == 0
    assert json.loads(metrics.read_text())["mean_absolute_error"] < 0.5


def test_rows_without_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(40, 6)).round(2)
    rows = [
        {f"x{k}": v for k, v in enumerate(row)} | {"y": "high" if row[4] > 0 else "low"}
        for row in table.tolist()
    ]
    data, model = write_csv(tmp_path / "wide.csv", rows), tmp_path / "m.safetensors"
    arguments = ("train", data, "--label", "y", "--steps", "3", "--model", model, *FAST)
    status, out, _ = run(capsys, *arguments, "--test", "0")
    assert status == 0
    assert json.loads(out)["features"] == 2
    status, out, _ = run(capsys, "predict", data, "--model", model)
    assert out.splitlines()[0] == "sequence,prediction"
    expected = lstmcore.load(model).predict(list(table.reshape(40, 3, 2)))
    assert [line.split(",")[1] for line in out.splitlines()[1:]] == expected.tolist()


def test_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    X, kinds = sequences()
    padded = np.full((60, 8, 2), np.nan)
    for i, x in enumerate(X):
        padded[i, : len(x)] = x
    data, model = tmp_path / "data.npz", tmp_path / "m.safetensors"
    np.savez(data, X=padded, lengths=[len(x) for x in X], y=kinds)
    status, out, _ = run(capsys, "train", data, "--label", "y", "--model", model, *FAST)
    assert status == 0
    assert json.loads(out)["test"]["accuracy"] == 1.0
    status, out, _ = run(capsys, "predict", data, "--model", model)
    assert [line.split(",")[1] for line in out.splitlines()[1:]] == kinds


def test_parquet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    data = tmp_path / "data.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows_of()), data)
    status, out, _ = run(capsys, "train", data, *COLUMNS, "--label", "kind", *FAST)
    assert status == 0
    assert json.loads(out)["test"]["accuracy"] == 1.0


def test_missing_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of()
    for row in rows[::4]:
        row["b"] = ""
    data = write_csv(tmp_path / "gaps.csv", rows)
    arguments = ("train", data, *COLUMNS, "--label", "kind", *FAST)
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert "gaps.csv: column 'b' has no number in line 2; train with --missing mask" in err
    assert run(capsys, *arguments, "--missing", "mask")[0] == 0


LINE = "who,t,a,b,kind\n"
BAD = {
    "a word": (
        LINE + "s,0,1,2,up\ns,1,x,2,up\n",
        "column 'a' must hold numbers, got 'x' in line 3",
    ),
    "two labels": (
        LINE + "s,0,1,2,up\ns,1,1,2,down\n",
        "it is 'up' in line 2 and 'down' in line 3",
    ),
    "no id": (LINE + "s,0,1,2,up\n,1,1,2,up\n", "column 'who' lacks an id in line 3"),
    "no label": (LINE + "s,0,1,2,\n", "column 'kind' lacks a label in line 2"),
    "same time": (LINE + "s,0,1,2,up\ns,0,1,2,up\n", "line 2 and line 3 of who='s' both have '0'"),
    "short line": (LINE + "s,0,1,2\n", "line 2 has 4 cells, the line of names has 5"),
    "no column": ("who,t,a,kind\ns,0,1,up\n", "there is no column 'b'"),
    "two names": ("who,t,a,b,b,kind\n", "line 1: there are two columns 'b'"),
    "nothing": ("", "the file is empty"),
    "one class": (LINE + "s,0,1,2,up\nr,0,1,2,up\n", "only one class"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_wrong_is_named(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = BAD[kind]
    path = tmp_path / "bad.csv"
    path.write_text(content)
    arguments = ("train", path, *COLUMNS, "--label", "kind", "--model", tmp_path / "m", *FAST)
    status, out, err = run(capsys, *arguments, "--test", "0")
    assert (status, out) == (2, "")
    assert message in err
    assert not (tmp_path / "m").exists()


BAD_ARGUMENTS = [
    (("--label", "nope"), "--label: there is no column 'nope'"),
    (("--label", "kind", "--set", "layers=3"), "--set layers=3: expected NAME=VALUE, where NAME"),
    (("--label", "kind", "--set", "hidden_size=-1"), "'hidden_size' parameter of LSTMClassifier"),
    (("--label", "kind", "--test", "1"), "--test must be at least 0 and less than 1"),
    (("--label", "kind", "--steps", "0"), "--steps must be at least 1"),
    (
        ("--label", "kind", "--task", "regress"),
        "column 'kind' must hold numbers, got 'up' in line 2",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS)
def test_bad_arguments(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_csv(tmp_path / "train.csv", sorted(rows_of(8), key=lambda row: row["kind"])[::-1])
    status, _, err = run(capsys, "train", data, *COLUMNS, *arguments)
    assert status == 2
    assert message in err


def test_progress_goes_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, loud = write_csv(tmp_path / "train.csv", rows_of()), FAST[1:]
    status, out, err = run(capsys, "train", data, *COLUMNS, "--label", "kind", *loud)
    assert status == 0
    assert json.loads(out)["epochs"] == 25
    shown = " ".join(err.split())
    assert "epoch 25/25 loss 0." in shown
    assert "samples/s" in shown


def test_files_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "train", tmp_path / "none.csv", "--label", "y")
    assert status == 2
    assert "none.csv" in err
    (tmp_path / "data.txt").write_text("a")
    status, _, err = run(capsys, "train", tmp_path / "data.txt", "--label", "y")
    assert "must end in .csv, .parquet or .npz" in err
    np.savez(tmp_path / "flat.npz", X=np.ones((2, 3)))
    status, _, err = run(capsys, "train", tmp_path / "flat.npz", "--label", "y")
    assert "must have the shape (n, n_steps, n_features), got (2, 3)" in err
    np.savez(tmp_path / "text.npz", X=np.ones((2, 3, 1)), y=["1.5", "b"])
    status, _, err = run(
        capsys, "train", tmp_path / "text.npz", "--label", "y", "--task", "regress"
    )
    assert status == 2
    assert "'y' must hold numbers for --task regress, got 'b' for the sequence number 1" in err
    model = LSTMClassifier(hidden_size=2, max_iter=1, tol=None).fit(np.ones((2, 1, 1)), [0, 1])
    model.save(tmp_path / "other.safetensors")
    data = write_csv(tmp_path / "train.csv", rows_of(8))
    status, _, err = run(capsys, "predict", data, "--model", tmp_path / "other.safetensors")
    assert status == 2
    assert "holds a LSTMClassifier, which names no columns" in err


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "demo", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["accuracy"] > 0.96
