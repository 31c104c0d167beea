"""Callbacks that write: what each epoch was, to files and to the tools that track runs."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import types

import pytest
from estimators.problems import estimator, ragged_sequences, targets

from lstmcore.callbacks import CSVLogger, MLflow, TensorBoard, WandB

X = ragged_sequences()


def test_csv(tmp_path, problem):
    path = tmp_path / "log.csv"
    model = estimator(problem).set_callbacks(CSVLogger(path)).fit(X, targets(problem))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{k: float(v) for k, v in row.items()} for row in rows] == model.history_


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    model = estimator("binary").set_callbacks(TensorBoard(tmp_path / "run"))
    model.fit(X, targets("binary"))
    (path,) = (tmp_path / "run").iterdir()
    content, at, losses = path.read_bytes(), 0, []
    while at < len(content):  # length, its checksum, an event, its checksum
        length = int.from_bytes(content[at : at + 8], "little")
        event = Event.FromString(content[at + 12 : at + 12 + length])
        losses += [v.simple_value for v in event.summary.value if v.tag == "loss"]
        at += length + 16
    assert losses == pytest.approx(model.loss_curve_, rel=1e-6)


def test_mlflow_is_told(monkeypatch):
    """With a module that stands in for mlflow and keeps what it is told."""
    logged = {"params": {}, "metrics": [], "ended": []}

    class Client:
        def get_experiment_by_name(self, name):
            return None

        def create_experiment(self, name):
            return f"id of {name}"

        def create_run(self, number, run_name=None):
            logged["run"] = number, run_name
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r1"))

        def log_param(self, run, name, value):
            logged["params"][name] = value

        def log_metric(self, run, name, value, step):
            logged["metrics"].append((run, name, value, step))

        def set_terminated(self, run):
            logged["ended"].append(run)

    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(MlflowClient=Client))
    model = estimator("binary").set_callbacks(MLflow("trial", run_name="one"))
    model.fit(X, targets("binary"))
    assert logged["run"] == ("id of trial", "one")
    assert logged["params"] == model.get_params()
    losses = [(step, value) for _, name, value, step in logged["metrics"] if name == "loss"]
    assert losses == list(enumerate(model.loss_curve_, start=1))
    assert logged["ended"] == ["r1"]


def test_wandb_is_told(monkeypatch):
    """With a module that stands in for wandb and keeps what it is told."""
    logged = []

    class Run:
        def log(self, numbers, step):
            logged.append((step, numbers["loss"]))

        def finish(self):
            logged.append("finished")

    def init(**options):
        logged.append(options)
        return Run()

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    model = estimator("binary").set_callbacks(WandB(project="p", mode="offline"))
    model.fit(X, targets("binary"))
    assert logged[0]["project"] == "p"
    assert logged[0]["config"] == model.get_params()
    assert logged[1:] == [*enumerate(model.loss_curve_, start=1), "finished"]


FIT = """
import json
import numpy as np
from lstmcore import LSTMClassifier
from lstmcore.callbacks import MLflow, WandB

X, y = np.random.default_rng(0).normal(size=(20, 4, 2)), np.arange(20) % 2
model = LSTMClassifier(hidden_size=3, max_iter=3, tol=None, random_state=0)
model.set_callbacks({callback}).fit(X, y)
print(json.dumps(model.history_))
"""


def history_of_a_fit(folder, callback, reading="", **variables):
    """Lines of JSON that a process of its own prints, whose files all belong into a folder."""
    places = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    environment = os.environ | dict.fromkeys(places, str(folder)) | variables
    code = FIT.format(callback=callback) + reading
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_mlflow(tmp_path):
    """With the package itself, which keeps its runs in a folder."""
    pytest.importorskip("mlflow")
    reading = """
import mlflow
client = mlflow.MlflowClient()
found = client.get_experiment_by_name("trial").experiment_id
(run,) = client.search_runs([found])
metrics = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
print(json.dumps({name: [[m.step, m.value] for m in values] for name, values in metrics.items()}))
print(json.dumps([run.info.status, run.info.run_name, run.data.params]))
"""
    history, metrics, (status, name, parameters) = history_of_a_fit(
        tmp_path,
        'MLflow("trial", run_name="one")',
        reading,
        MLFLOW_TRACKING_URI=(tmp_path / "runs").as_uri(),
        MLFLOW_ALLOW_FILE_STORE="true",
        MLFLOW_DISABLE_TELEMETRY="true",
    )
    assert metrics.keys() == history[0].keys() - {"epoch"}
    for key, values in metrics.items():
        assert values == [[entry["epoch"], entry[key]] for entry in history]
    assert (status, name) == ("FINISHED", "one")
    assert (parameters["hidden_size"], parameters["cell"]) == ("3", "lstm")


def records_of_wandb(content):
    """What a file of Weights & Biases holds: after a head, blocks as in the log of LevelDB."""
    from wandb.proto.wandb_internal_pb2 import Record

    block, at, record = 2**15, 7, b""
    while at + 7 <= len(content):
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        if block - at % block < 7 or kind == 0:  # the rest of a block is empty
            at += block - at % block
            continue
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last of several pieces
            yield Record.FromString(record)
            record = b""


def test_wandb(tmp_path):
    """With the package itself, which keeps a run in a file until it is sent."""
    pytest.importorskip("wandb")
    kinds = ("", "CONFIG_", "CACHE_", "DATA_", "ARTIFACT_")
    places = {f"WANDB_{kind}DIR": str(tmp_path) for kind in kinds}
    callback = 'WandB(project="trial", mode="offline")'
    (history,) = history_of_a_fit(tmp_path, callback, **places, WANDB_SILENT="true")
    (path,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    records = list(records_of_wandb(path.read_bytes()))
    (run,) = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    parameters = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert run.project == "trial"
    assert (parameters["hidden_size"], parameters["cell"]) == (3, "lstm")
    assert records[-1].WhichOneof("record_type") == "exit"
    epochs = [record.history for record in records if record.WhichOneof("record_type") == "history"]
    for entry, epoch in zip(history, epochs, strict=True):
        found = {item.nested_key[0]: json.loads(item.value_json) for item in epoch.item}
        assert found["_step"] == entry.pop("epoch")
        assert {key: found[key] for key in entry} == entry


@pytest.mark.parametrize(
    ("callback", "package"),
    [(TensorBoard("runs"), "tensorboardX"), (MLflow(), "mlflow"), (WandB(), "wandb")],
)
def test_extras_that_are_missing(callback, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    model = estimator("binary").set_callbacks(callback)
    with pytest.raises(ImportError, match=r"pip install 'lstmcore\["):
        model.fit(X, targets("binary"))
    assert not hasattr(model, "coefs_")
