"""A fit that a crash can't undo: after every epoch all that the next one depends on is on the disk.

One file holds the fitted estimator of the last epoch with the state of the solver, and a
fingerprint of the data and parameters. It is of the format of ``save`` (no code, and checked to
the last bit when it is read), and is replaced in one step.
"""

from __future__ import annotations

import copy
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore._files import read_record, write_record
from lstmcore._files_load import restore_model
from lstmcore._parameters import check_parameters, integer
from lstmcore.callbacks._base import EpochCallback, course_of, training_of

if TYPE_CHECKING:
    from os import PathLike

    from lstmcore._fitting import FitCourse
    from lstmcore._training import TrainingData

_KIND = "Checkpoint"
_FILE = "checkpoint.safetensors"
# What may differ between a fit and the one that takes it up: no bit of an epoch depends on these.
_FREE = ("n_jobs", "verbose", "max_iter", "warm_start")


class Checkpoint(EpochCallback):
    """Write the state of a fit to a folder after its epochs, and take it up from there.

    A fit with the same data and parameters that finds a checkpoint goes on from it, and ends with
    the bits that it would have had undisturbed: it may be killed at any moment. A fit that was over
    is over at once, unless `max_iter` has grown. With other data or parameters it is an error.

    Set it after other callbacks that add to ``history_``. `partial_fit` writes checkpoints, but
    does not look for them: ``Checkpoint(dirname).load().partial_fit(...)`` goes on.

    Parameters
    ----------
    dirname : str or path-like
        The folder, which is created. Every fit needs its own.
    every_n_epochs : int, default=1
        How often it is written; the end of a fit is written in any case.

    Raises
    ------
    ValueError
        By `fit`, if the folder holds the checkpoint of another fit, or a damaged file.
    OSError
        By `fit`, if the folder can't be written to.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from lstmcore import LSTMClassifier
    >>> from lstmcore.callbacks import Checkpoint
    >>> X, y = np.arange(24.0).reshape(8, 3, 1), np.arange(8) % 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = Checkpoint(folder)
    ...     model = LSTMClassifier(hidden_size=2, tol=None, max_iter=3, random_state=0)
    ...     _ = model.set_callbacks(checkpoint).fit(X, y)
    ...     again = model.set_params(max_iter=5).fit(X, y)  # two epochs more
    ...     checkpoint.load().n_iter_
    5
    """

    def __init__(self, dirname: str | PathLike[str], *, every_n_epochs: int = 1) -> None:
        given = {"every_n_epochs": every_n_epochs}
        check_parameters(type(self).__name__, given, {"every_n_epochs": integer(1)})
        self.dirname = dirname
        self.every_n_epochs = every_n_epochs

    @property
    def path(self) -> Path:
        """The file that a fit writes."""
        return Path(self.dirname) / _FILE

    def load(self) -> Any:
        """Return the estimator as of the last epoch that was written, ready to predict.

        Raises
        ------
        OSError
            If there is none.
        ValueError
            If the file is damaged, or something else.
        """
        return self._read()[0]

    def setup(self, estimator: Any, context: Any) -> None:  # noqa: ARG002
        """Take up the fit that the folder holds, if it began where this one does."""
        course = course_of(self, estimator)
        folder = Path(self.dirname)
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.glob(".lstmcore-*.tmp"):  # left behind by a process that was killed
            with suppress(FileNotFoundError):
                part.unlink()
        course.fingerprint = None
        if course.partial or not self.path.exists():
            return
        model, first_epoch, fingerprint = self._read()
        begins = 0 if course.state is None else course.state.n_epochs
        if first_epoch != begins:
            return  # of the fit before this one, where warm_start goes on
        course.first_epoch = first_epoch
        course.state = model._training_state
        course.n_epochs = max(0, course.n_epochs - (course.state.n_epochs - first_epoch))
        course.ends_with_state = True
        course.fingerprint = fingerprint

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Refuse a checkpoint of other data or parameters."""
        if context.task_name == "epoch":
            return
        course = course_of(self, estimator)
        expected, course.fingerprint = course.fingerprint, _fingerprint(estimator, course)
        if expected not in (None, course.fingerprint):
            raise ValueError(
                f"{str(self.dirname)!r} holds the checkpoint of a fit with other data or "
                "parameters. Remove it to begin anew, or choose another dirname."
            )

    def on_fit_task_end(  # a hook gets what it names
        self, estimator: Any, context: Any, *, fitted_estimator: Any = None
    ) -> bool:
        """Write the state after an epoch, and at the end."""
        course = course_of(self, estimator)
        training = training_of(course)
        if context.task_name == "epoch":
            due = (training.state.n_epochs - course.first_epoch) % self.every_n_epochs == 0
        else:
            due = (training.state.n_epochs - course.first_epoch) % self.every_n_epochs != 0
        if due:
            self._write(fitted_estimator, course)
        return False

    def _write(self, model: Any, course: FitCourse) -> None:
        model = copy.copy(model)
        vars(model)["_training_state"] = training_of(course).state
        for name in ("random_state", "validation_split", "validation_scoring"):
            # The seed is in the state; splitters and scorers are code, which files hold none of.
            value = getattr(model, name)
            if not (value is None or isinstance(value, (str, int, np.integer))):
                setattr(model, name, _DEFAULTS[name])
        record = {
            "class": type(model)._kind,
            "model": model._record(),
            "first_epoch": course.first_epoch,
            "fingerprint": course.fingerprint,
        }
        write_record(self.path, _KIND, record)

    def _read(self) -> tuple[Any, int, str]:
        """Return the model, the epochs before its fit, and the fingerprint."""
        try:
            kind, record = read_record(self.path)
            if kind != _KIND or record.keys() != {"class", "model", "first_epoch", "fingerprint"}:
                raise ValueError(f"it holds a {kind!r}, and no checkpoint")
            model = restore_model(record["class"], record["model"])
            first, fingerprint = record["first_epoch"], record["fingerprint"]
            if type(first) is not int or type(fingerprint) is not str:
                raise ValueError("its first epoch or its fingerprint is none")
            if not hasattr(model, "_training_state") or first > model._training_state.n_epochs:
                raise ValueError("it has no state of a training")
        except ValueError as error:
            raise ValueError(f"{str(self.path)!r} can't be loaded: {error}.") from error
        return model, first, fingerprint


_DEFAULTS = {"random_state": None, "validation_split": "auto", "validation_scoring": "loss"}


def _fingerprint(estimator: Any, course: FitCourse) -> str:
    """Return a digest of all that an epoch depends on, beside the state."""
    digest = hashlib.blake2b(digest_size=16)
    parameters = estimator.get_params(deep=False)
    fixed = {name: repr(value) for name, value in parameters.items() if name not in _FREE}
    if not isinstance(estimator.random_state, (int, np.integer)):
        fixed.pop("random_state")  # where it stands now does not matter: the state has the seed
    training = training_of(course)
    digest.update(repr((type(estimator).__name__, sorted(fixed.items()), course.spec)).encode())
    if training.schedule.kind != "constant":
        digest.update(repr(training.schedule).encode())  # it may depend on max_iter
    samples = course.samples
    assert samples is not None  # a fit that has begun has some
    _add_data(digest, samples.data)
    if samples.validation is not None:
        _add_data(digest, samples.validation.data)
    return digest.hexdigest()


def _add_data(digest: Any, data: TrainingData) -> None:
    """Let a digest see samples, in the order of their contents."""
    values, starts = data.sequences.values, data.sequences.starts
    for array in (data.targets, data.weights, data.sequences.lengths[data.rows]):
        digest.update(repr((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    for row in data.rows:
        digest.update(values[starts[row] : starts[row + 1]].tobytes())
