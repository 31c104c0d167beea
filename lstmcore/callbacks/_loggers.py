"""Callbacks that write the record of every epoch somewhere."""

from __future__ import annotations

import csv
import io
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmcore._extras import import_extra
from lstmcore._files_atomic import write_atomically
from lstmcore.callbacks._base import EpochCallback, course_of, training_of

if TYPE_CHECKING:
    from os import PathLike

    from lstmcore._fitting import FitCourse


class CSVLogger(EpochCallback):
    """Write ``history_`` to a CSV file: a row per epoch, a column per name.

    The file is replaced in one step after each epoch, so it is whole at any moment. Fits that
    run at the same time need files of their own.

    Parameters
    ----------
    path : str or path-like
        The file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from lstmcore import LSTMClassifier
    >>> from lstmcore.callbacks import CSVLogger
    >>> X, y = np.arange(24.0).reshape(8, 3, 1), np.arange(8) % 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "log.csv")
    ...     model = LSTMClassifier(hidden_size=2, tol=None, max_iter=3)
    ...     _ = model.set_callbacks(CSVLogger(path)).fit(X, y)
    ...     path.read_text().splitlines()[0][:10]
    'epoch,loss'
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = path

    def _end_epoch(self, course: FitCourse) -> None:
        history = training_of(course).state.history
        names = list(dict.fromkeys(name for entry in history for name in entry))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, names)
        writer.writeheader()
        writer.writerows(history)
        write_atomically(Path(self.path), [text.getvalue().encode()])


class _RunLogger(EpochCallback):
    """Base of loggers that open something when a fit begins, and close it when it ends."""

    def __init__(self) -> None:
        self._runs: dict[Any, Any] = {}

    @abstractmethod
    def _open(self, estimator: Any) -> Any:
        """Return what `_write` writes to."""

    @abstractmethod
    def _write(self, run: Any, numbers: dict[str, float], epoch: int) -> None:
        """Write the record of an epoch."""

    @abstractmethod
    def _close(self, run: Any) -> None:
        """Close what `_open` returned."""

    def setup(self, estimator: Any, context: Any) -> None:
        """Open what is written to."""
        course_of(self, estimator)
        self._runs[_key(context)] = self._open(estimator)

    def teardown(self, estimator: Any, context: Any) -> None:  # noqa: ARG002
        """Close it."""
        run = self._runs.pop(_key(context), None)
        if run is not None:
            self._close(run)

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Write the record of an epoch."""
        if context.task_name == "epoch":
            entry = dict(training_of(course_of(self, estimator)).state.history[-1])
            epoch = int(entry.pop("epoch"))
            self._write(self._runs[_key(context.parent)], entry, epoch)
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters: what is open belongs to this process."""
        return vars(self) | {"_runs": {}}


def _key(context: Any) -> tuple[Any, ...]:
    """Return what tells a fit from others that share the callback."""
    path = []
    at = context
    while at is not None:
        path.append(at.task_id)
        at = at.parent
    return (context.root_uuid, *path)


class TensorBoard(_RunLogger):
    """Write the numbers of every epoch as events for TensorBoard.

    Needs ``pip install "lstmcore[tensorboard]"``.

    Parameters
    ----------
    log_dir : str or path-like
        The folder of the run; it is created.

    Raises
    ------
    ImportError
        By `fit`, if tensorboardX is not installed.
    """

    def __init__(self, log_dir: str | PathLike[str]) -> None:
        super().__init__()
        self.log_dir = log_dir

    def _open(self, estimator: Any) -> Any:  # noqa: ARG002
        module = import_extra("tensorboardX", "tensorboard", "TensorBoard")
        return module.SummaryWriter(str(self.log_dir))

    def _write(self, run: Any, numbers: dict[str, float], epoch: int) -> None:
        for name, value in numbers.items():
            run.add_scalar(name, value, epoch)

    def _close(self, run: Any) -> None:
        run.close()


class MLflow(_RunLogger):
    """Write parameters and the numbers of every epoch to a run of MLflow.

    Needs ``pip install "lstmcore[mlflow]"``, or mlflow-skinny where a server keeps the runs. Which
    server or database it is, is MLflow's affair: ``mlflow.set_tracking_uri`` or
    ``MLFLOW_TRACKING_URI``, else mlflow.db in the working directory (the folder mlruns of old).

    Parameters
    ----------
    experiment : str, default="lstmcore"
        Name of the experiment, which is created if there is none.
    run_name : str or None, default=None
        Name of the run; None lets MLflow choose one.

    Raises
    ------
    ImportError
        By `fit`, if mlflow is not installed.
    """

    def __init__(self, experiment: str = "lstmcore", *, run_name: str | None = None) -> None:
        super().__init__()
        self.experiment = experiment
        self.run_name = run_name

    def _open(self, estimator: Any) -> Any:
        # A client, and no current run: fits in several threads would share that.
        client = import_extra("mlflow", "mlflow", "MLflow").MlflowClient()
        found = client.get_experiment_by_name(self.experiment)
        number = client.create_experiment(self.experiment) if found is None else found.experiment_id
        run = client.create_run(number, run_name=self.run_name)
        for name, value in estimator.get_params(deep=False).items():
            client.log_param(run.info.run_id, name, value)
        return client, run.info.run_id

    def _write(self, run: Any, numbers: dict[str, float], epoch: int) -> None:
        client, number = run
        for name, value in numbers.items():
            client.log_metric(number, name, value, step=epoch)

    def _close(self, run: Any) -> None:
        client, number = run
        client.set_terminated(number)


class WandB(_RunLogger):
    """Write parameters and the numbers of every epoch to a run of Weights & Biases.

    Needs ``pip install "lstmcore[wandb]"``.

    Parameters
    ----------
    **options : object
        What ``wandb.init`` takes, such as ``project`` and ``mode="offline"``.

    Raises
    ------
    ImportError
        By `fit`, if wandb is not installed.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def _open(self, estimator: Any) -> Any:
        parameters = estimator.get_params(deep=False)
        options = {"config": parameters, "reinit": "create_new"} | self.options
        return import_extra("wandb", "wandb", "WandB").init(**options)

    def _write(self, run: Any, numbers: dict[str, float], epoch: int) -> None:
        run.log(numbers, step=epoch)

    def _close(self, run: Any) -> None:
        run.finish()
