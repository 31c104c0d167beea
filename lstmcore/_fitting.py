"""The course of a fit, from what users pass to a fitted estimator.

A fit works on local values and assigns them in one step at its end, so an error or Ctrl-C leaves
the estimator as it was.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

import numpy as np
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning

from lstmcore._cells import as_cell, cell_options
from lstmcore._fit_samples import FitSamples, Head, SampleFitting
from lstmcore._initializers import draw_seed, initial_parameters
from lstmcore._judges import ValidationSamples, scores_by_loss, scores_by_scorer
from lstmcore._network import NetworkCache, NetworkSpec
from lstmcore._parameters import Constraint, check_parameters
from lstmcore._progress import show_progress
from lstmcore._schedules import Schedule
from lstmcore._threads import resolve_threads
from lstmcore._training import Training, TrainingPlan, TrainingState
from lstmcore._validation import check_feature_names, feature_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lstmcore._network import Embeddings, FloatArray

_Method = TypeVar("_Method")

# What a fit sets only sometimes, and what the next fit therefore has to remove.
_OCCASIONAL = (
    "feature_names_in_",
    "validation_scores_",
    "best_validation_score_",
    "best_iteration_",
    "_training_state",
)


def fit_method(method: _Method) -> _Method:
    """Let callbacks end when the method does, however it does: scikit-learn's own decorator."""
    return cast("_Method", with_callbacks(method))


@dataclass(slots=True)
class FitCourse:
    """One call of ``fit`` or ``partial_fit``, while it lasts: what callbacks may look at.

    Parameters
    ----------
    X, y, sample_weight : array-like
        As the user gave them.
    validation_data : tuple or None
        (X, y) or (X, y, sample_weight).
    groups : array-like or None
        A group for each sample, for the split.
    partial : bool
        Whether it is ``partial_fit``: one more epoch, without an end of its own.
    encoding : dict or None
        What is known of the targets; None before they are seen.
    names : dict
        ``feature_names_in_``, where the features of X are named.
    embeddings : tuple or None
        Those of the network that the fit goes on with, if it does.
    state : TrainingState or None
        Where training goes on; None where it begins.
    n_epochs : int
        The most epochs that it makes.
    first_epoch : int
        How many epochs there were before it.
    fingerprint : str or None
        What tells its data and parameters from others, for `Checkpoint`.
    ends_with_state : bool
        Whether it is over at once where ``state`` already had converged.
    stopped : bool
        Whether a callback has ended it.
    training : Training or None
        The training, once it has begun.
    spec : NetworkSpec or None
        Its network.
    samples : FitSamples or None
        What it works on.
    """

    X: Any
    y: Any
    sample_weight: Any = None
    validation_data: Any = None
    groups: Any = None
    partial: bool = False
    encoding: dict[str, Any] | None = None
    names: dict[str, Any] = field(default_factory=dict)
    embeddings: Embeddings | None = None
    state: TrainingState | None = None
    n_epochs: int = 1
    first_epoch: int = 0
    fingerprint: str | None = None
    ends_with_state: bool = False
    stopped: bool = False
    training: Training | None = None
    spec: NetworkSpec | None = None
    samples: FitSamples | None = None

    def for_callbacks(self) -> dict[str, Any]:
        """Return what the hooks of callbacks hear of the samples."""
        weights = self.sample_weight
        metadata = None if weights is None else {"sample_weight": weights}
        return {"X": self.X, "y": self.y, "metadata": metadata}


class Fitting(CallbackSupportMixin, SampleFitting):
    """What makes a fitted estimator of parameters and samples; `BaseLSTM` has the parameters."""

    _constraints: ClassVar[Mapping[str, Constraint]]

    def _fit(self, course: FitCourse) -> Self:
        """Fit as `course` says; the methods that users call are wrapped in ``with_callbacks``."""
        check_parameters(type(self).__name__, self.get_params(deep=False), self._constraints)
        course.n_epochs = 1 if course.partial else int(self.max_iter)
        if course.partial and self.early_stopping:
            raise ValueError("partial_fit holds no samples out: set early_stopping=False.")
        if self._goes_on(course):
            course.state = getattr(self, "_training_state", None)
            names = ("n_features_in_", "missing_features_", *self._encoding_attributes)
            course.encoding = {name: getattr(self, name) for name in names}
            course.embeddings = self._spec.embeddings
        self._course = course
        try:
            return self._run_course(course)
        finally:
            del self._course

    def _new_training(self, X: Any, y: Any, sample_weight: Any) -> Training:
        """Return a training that has made no epoch yet, for those who look at its steps."""
        check_parameters(type(self).__name__, self.get_params(deep=False), self._constraints)
        # On all samples, whatever would be held out.
        self.set_params(early_stopping=False, warm_start=False)
        return self._begin(FitCourse(X, y, sample_weight, names=feature_names(X)))[0]

    def _goes_on(self, course: FitCourse) -> bool:
        """Whether the fit goes on where the one before it ended."""
        if course.partial:
            return hasattr(self, "coefs_")
        return bool(self.warm_start) and hasattr(self, "_training_state")

    def _run_course(self, course: FitCourse) -> Self:
        context = self._init_callback_context(
            task_name="partial_fit" if course.partial else "fit", max_subtasks=course.n_epochs
        )
        given = course.for_callbacks()
        course.names = names = self._check_feature_names(course)
        training, spec, head = self._begin(course)
        fitted = names | head.fitted
        context.call_on_fit_task_begin(estimator=self, **given)
        n_done = training.state.n_epochs
        n_total = n_done + course.n_epochs
        keeps_state = bool(self.warm_start or course.partial)
        title = type(self).__name__

        def begin_epoch() -> Any:
            epoch = context.subcontext(task_name="epoch")
            return epoch.call_on_fit_task_begin(estimator=self, **given)

        def end_epoch(epoch: Any) -> bool:
            course.stopped |= epoch.call_on_fit_task_end(
                estimator=self,
                **given,
                reconstruction_attributes=lambda: self._fitted(spec, training, fitted, keeps=True),
            )
            report(training.state.history[-1])
            return course.stopped

        try:
            with show_progress(title, n_done, n_total, verbose=bool(self.verbose)) as report:
                if not course.stopped:
                    training.run(begin_epoch, end_epoch, n_epochs=course.n_epochs)
        except KeyboardInterrupt:
            if keeps_state and training.state.n_epochs > n_done:
                self._assign(self._fitted(spec, training, fitted, keeps=True))
            raise
        if not (training.converged or course.stopped or course.partial or self.tol is None):
            what = "validation score" if self.early_stopping else "training loss"
            warnings.warn(
                f"{title} made max_iter={self.max_iter} epochs and the {what} still "
                "improves. Increase max_iter, or set tol=None to train for just that many.",
                ConvergenceWarning,
                stacklevel=5,
            )
        self._assign(self._fitted(spec, training, fitted, keeps=keeps_state))
        context.call_on_fit_task_end(estimator=self, **given, reconstruction_attributes={})
        return self

    def _check_feature_names(self, course: FitCourse) -> dict[str, Any]:
        """Return ``feature_names_in_`` as an attribute to be, where the names are strings."""
        if not (course.partial and hasattr(self, "coefs_")):
            return feature_names(course.X)
        check_feature_names(self, course.X)
        names = getattr(self, "feature_names_in_", None)
        return {} if names is None else {"feature_names_in_": names}

    def _begin(self, course: FitCourse) -> tuple[Training, NetworkSpec, Head]:
        """Return a training that has made no epoch of its own yet."""
        seed = draw_seed(self.random_state) if course.state is None else course.state.seed
        samples = self._prepare(course, seed)
        spec = self._network_spec(samples)
        training = Training(spec, samples.data, self._training_plan(samples.head.loss))
        goes_on = self._goes_on(course)
        if goes_on:
            self._check_same_network(course, spec)
        if course.state is not None:
            training.resume(course.state, ends_with_it=course.ends_with_state)
        elif goes_on:
            # What was fitted without warm_start has weights, but no state of a solver.
            training.start(seed, self.coefs_.copy(), history=self.history_)
        else:
            cell = as_cell(self.cell)._first_values()
            first = initial_parameters(training.layout, seed=seed, dtype=spec.dtype, **cell)
            training.start(seed, first)
        if not course.ends_with_state:
            course.first_epoch = training.state.n_epochs
        course.training, course.spec, course.samples = training, spec, samples
        if samples.validation is not None:
            self._validate(training, spec, samples.head, samples.validation)
        return training, spec, samples.head

    def _check_same_network(self, course: FitCourse, spec: NetworkSpec) -> None:
        """Refuse to go on with another network or solver."""
        method = "partial_fit" if course.partial else "warm_start=True"
        solver = self.solver if course.state is None else course.state.solver
        if spec != self._spec or self.solver != solver:
            raise ValueError(
                f"{method} goes on with the network of the last fit, {self._spec} with "
                f"solver={solver!r}; X, y or the parameters now ask for {spec} with "
                f"solver={self.solver!r}."
            )

    def _network_spec(self, samples: FitSamples) -> NetworkSpec:
        sizes = (
            self.hidden_size if isinstance(self.hidden_size, (tuple, list)) else [self.hidden_size]
        )
        if self.residual and len(set(sizes)) > 1:
            raise ValueError(
                f"hidden_size is {self.hidden_size}: with residual=True all layers must "
                "have the same size, as what a layer reads is added to what it puts out."
            )
        return NetworkSpec(
            input_size=samples.data.sequences.n_features,
            hidden_sizes=tuple(map(int, sizes)),
            n_outputs=samples.head.n_outputs,
            pooling=self.pooling,
            link=samples.head.link,
            dropout=float(self.dropout),
            dtype=self.dtype,
            cell=cell_options(self.cell, float(self.recurrent_dropout)),
            embeddings=samples.embeddings,
            bidirectional=bool(self.bidirectional),
            residual=bool(self.residual),
        )

    def _training_plan(self, loss: str) -> TrainingPlan:
        clipping = np.inf if self.max_grad_norm is None else float(self.max_grad_norm)
        if self.tbptt_steps is not None and self.memory != "all":
            raise ValueError(
                f"memory must be 'all' with tbptt_steps, got {self.memory!r}: truncated "
                "backpropagation keeps no more than a window anyway."
            )
        in_windows = self.tbptt_steps is not None or self.memory != "all"
        if in_windows and self.bidirectional:
            raise ValueError(
                f"bidirectional must be False with tbptt_steps={self.tbptt_steps!r} and "
                f"memory={self.memory!r}, got True: half of a bidirectional network reads a "
                "sequence from its end, and cannot go through windows from the start."
            )
        return TrainingPlan(
            settings={
                "loss": loss,
                "solver": self.solver,
                "weight_decay": float(self.weight_decay),
                "max_grad_norm": clipping,
                "tbptt_steps": 0 if self.tbptt_steps is None else int(self.tbptt_steps),
                "recompute": self.memory == "recompute",
            },
            schedule=Schedule(
                self.learning_rate_schedule,
                float(self.learning_rate),
                warmup_epochs=float(self.warmup_epochs),
                decay_epochs=self._decay_epochs(),
                decay_factor=float(self.decay_factor),
            ),
            batch_size=int(self.batch_size),
            early_stopping=bool(self.early_stopping),
            tol=None if self.tol is None else float(self.tol),
            n_iter_no_change=int(self.n_iter_no_change),
            n_threads=resolve_threads(self.n_jobs),
        )

    def _decay_epochs(self) -> int:
        """Return what ``decay_epochs`` is, or stands for where it is None."""
        if self.decay_epochs is not None:
            return int(self.decay_epochs)
        usual: dict[str, int] = {"step": self.max_iter // 3, "plateau": self.n_iter_no_change // 2}
        return max(1, usual.get(str(self.learning_rate_schedule), int(self.max_iter)))

    def _validate(
        self, training: Training, spec: NetworkSpec, head: Head, samples: ValidationSamples
    ) -> None:
        """Let every epoch of the training be judged on samples."""
        if isinstance(self.validation_scoring, str) and self.validation_scoring == "loss":
            training.validate_with(scores_by_loss(training, samples))
            return

        def as_estimator(parameters: FloatArray) -> Any:
            model: Any = type(self)(**self.get_params(deep=False))
            model.__dict__ |= head.fitted | _network_attributes(spec, training, parameters)
            return model

        training.validate_with(scores_by_scorer(self.validation_scoring, samples, as_estimator))

    def _fitted(
        self, spec: NetworkSpec, training: Training, fitted: dict[str, Any], *, keeps: bool
    ) -> dict[str, Any]:
        """Return the attributes of an estimator whose fit ends after the last epoch."""
        state = training.state
        best = self.early_stopping and state.best_parameters is not None
        parameters = state.best_parameters if best else state.parameters
        history = [dict(entry) for entry in state.history]
        attributes = fitted | _network_attributes(spec, training, parameters)
        attributes |= {
            "n_iter_": state.n_epochs,
            "loss_": history[-1]["loss"],
            "loss_curve_": [entry["loss"] for entry in history],
            "history_": history,
        }
        name = "validation_score"
        scores = [entry[name] for entry in history if name in entry]
        if scores:
            attributes |= {"validation_scores_": scores, "best_validation_score_": max(scores)}
        if best:
            attributes["best_iteration_"] = state.best_epoch
        return attributes | ({"_training_state": state} if keeps else {})

    def _assign(self, attributes: dict[str, Any]) -> None:
        """Make the estimator a fitted one, in one step that nothing can interrupt."""
        kept = {key: value for key, value in vars(self).items() if key not in _OCCASIONAL}
        self.__dict__ = kept | attributes


def _network_attributes(spec: NetworkSpec, training: Training, parameters: Any) -> dict[str, Any]:
    """Return the attributes that predictions need."""
    parameters.flags.writeable = False
    return {
        "n_outputs_": spec.n_outputs,
        "coefs_": parameters,
        "layout_": training.layout,
        "_spec": spec,
        "_cache": NetworkCache(),
    }
