"""What our callbacks have in common: they know an epoch from a fit, and see the training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstmcore._fitting import FitCourse
    from lstmcore._training import Training


class EpochCallback:
    """Base of callbacks that look at epochs; scikit-learn calls the four public methods.

    A subclass overrides what it needs of `_begin_fit`, `_begin_epoch`, `_end_epoch` and `_end_fit`.
    """

    def setup(self, estimator: Any, context: Any) -> None:  # noqa: ARG002 - of the protocol
        """Refuse estimators whose epochs can't be seen."""
        course_of(self, estimator)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing; called when a fit is over, however it ended."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Begin a fit or an epoch."""
        course = course_of(self, estimator)
        if context.task_name == "epoch":
            self._begin_epoch(course)
        else:
            self._begin_fit(course)

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """End an epoch, and say whether it was the last, or end a fit."""
        course = course_of(self, estimator)
        if context.task_name == "epoch":
            return bool(self._end_epoch(course))
        self._end_fit(course)
        return False

    def _begin_fit(self, course: FitCourse) -> None:
        """Begin a fit."""

    def _begin_epoch(self, course: FitCourse) -> None:
        """Begin an epoch."""

    def _end_epoch(self, course: FitCourse) -> bool | None:  # noqa: ARG002
        """End an epoch; True ends the fit."""
        return False

    def _end_fit(self, course: FitCourse) -> None:
        """End a fit that was not cut short."""


def course_of(callback: object, estimator: Any) -> FitCourse:
    """Return the fit of an estimator that is going on.

    Raises
    ------
    TypeError
        If it is none of lstmcore's.
    """
    course: FitCourse | None = getattr(estimator, "_course", None)
    if course is None:
        raise TypeError(
            f"{type(callback).__name__} is a callback for estimators of lstmcore; set it on one of "
            f"them, not on {type(estimator).__name__}."
        )
    return course


def training_of(course: FitCourse) -> Training:
    """Return the training of a fit that has begun."""
    assert course.training is not None  # callbacks hear of a fit when it has one
    return course.training


def epochs_of(course: FitCourse) -> list[dict[str, float]]:
    """Return the records of the epochs of this fit, without those of fits before it."""
    return list(training_of(course).state.history[course.first_epoch :])
