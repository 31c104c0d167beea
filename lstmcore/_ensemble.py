"""Several models that differ in their seeds, fitted at once, and what they say together."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from lstmcore import _parameters
from lstmcore._estimator import MODEL, BaseLSTM
from lstmcore._files import Savable
from lstmcore._files_estimators import FittedState, estimator_record
from lstmcore._regressor import LSTMRegressor
from lstmcore._threads import resolve_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray


FITTED_ENSEMBLE = FittedState()


class _Stopper:
    """A callback that ends the fits of an ensemble whose user has pressed Ctrl-C."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:  # noqa: ARG002
        """Say whether to stop."""
        return self._stop.is_set()


def _base_is_classifier(ensemble: LSTMEnsemble) -> bool:
    return bool(is_classifier(ensemble))


class LSTMEnsemble(MetaEstimatorMixin, Savable, BaseEstimator):
    """Models that differ in nothing but their seeds, averaged.

    All are fitted in one call, several at a time, each on as many threads as there are for it: on
    small networks that is much faster than one after the other, since a small network can't use
    many threads. Each has, bit for bit, the weights of a fit of its own with its seed.

    Parameters
    ----------
    estimator : LSTMClassifier or LSTMRegressor or None, default=None
        What the models are clones of; None is ``LSTMRegressor()``. Its `random_state` and `n_jobs`
        do not count.
    n_models : int, default=5
        Number of models.
    random_state : int, RandomState, Generator or None, default=None
        Decides the seeds.
    n_jobs : int or None, default=None
        Number of threads in all; None means all that this process may use.

    Attributes
    ----------
    estimators_ : list
        The fitted models.
    seeds_ : ndarray of shape (n_models,), int64
        Their seeds: model ``i`` is ``clone(estimator).set_params(random_state=seeds_[i])``, fitted.
    classes_ : ndarray of shape (n_classes,)
        The classes, of classifiers.
    n_features_in_ : int
        Number of features of a time step.
    feature_names_in_ : ndarray of shape (n_columns,)
        Names of the columns, where X was a frame whose columns are named by strings.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import LSTMEnsemble, LSTMRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.uniform(size=(rng.integers(2, 9), 1)) for _ in range(100)]
    >>> y = np.array([x.sum() for x in X])
    >>> model = LSTMRegressor(hidden_size=8, learning_rate=0.02, max_iter=50, tol=None)
    >>> ensemble = LSTMEnsemble(model, n_models=3, random_state=0).fit(X, y)
    >>> mean, spread = ensemble.predict(X[:2], return_std=True)
    >>> mean.shape, bool((spread > 0).all())
    ((2,), True)
    """

    _kind = "LSTMEnsemble"
    _constraints: ClassVar[dict[str, _parameters.Constraint]] = {
        "estimator": _parameters.optional(MODEL),
        "n_models": _parameters.integer(1),
        "random_state": _parameters.random_source(),
        "n_jobs": _parameters.job_count(),
    }

    def __init__(
        self,
        estimator: BaseLSTM | None = None,
        *,
        n_models: int = 5,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_models = n_models
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        validation_data: tuple[Any, ...] | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit all models.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that the estimator takes.
        y : array-like
            Their targets, as the estimator takes them.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of at least 0.
        validation_data : tuple, default=None
            (X, y) or (X, y, sample_weight), as for the estimator.
        groups : array-like of shape (n_samples,), default=None
            Groups for the split of early stopping, as for the estimator.

        Returns
        -------
        self : LSTMEnsemble
            The fitted ensemble.

        Raises
        ------
        TypeError
            If `estimator` is none of lstmcore's, or a parameter has the wrong type.
        ValueError
            If a parameter, X, y or sample_weight is not as described. The ensemble is then as it
            was before.
        """
        given = self.get_params(deep=False)
        _parameters.check_parameters(type(self).__name__, given, self._constraints)
        base = self._base
        options = {"validation_data": validation_data, "groups": groups}
        random = self.random_state
        if not isinstance(random, np.random.Generator):
            random = np.random.default_rng(check_random_state(random).randint(2**31, size=4))
        seeds = random.integers(2**32, size=int(self.n_models))
        n_threads = resolve_threads(self.n_jobs)
        stop = threading.Event()
        own = getattr(base, "_skl_callbacks", [])
        models = [
            clone(base)
            .set_params(random_state=int(seed), n_jobs=max(1, n_threads // len(seeds)))
            .set_callbacks(*own, _Stopper(stop))
            for seed in seeds
        ]
        try:
            self._in_threads(lambda model: model.fit(X, y, sample_weight, **options), models)
        except BaseException:
            stop.set()  # the others end with the epoch that they are in
            raise
        for model in models:
            model.set_callbacks(*own)
        self.__dict__ |= {"estimators_": models, "seeds_": seeds}
        return self

    def predict(self, X: Any, *, return_std: bool = False) -> Any:
        """Predict with the average of all models.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that `fit` takes.
        return_std : bool, default=False
            Whether to return how much the models differ, too; of regressors only.

        Returns
        -------
        y : ndarray
            Of regressors the mean of the predictions; of classifiers the class of the largest mean
            probability, or the labels with one above 1/2.
        std : ndarray
            The standard deviation of the predictions over the models, of the same shape.

        Raises
        ------
        ValueError
            If X does not fit, or if `return_std` is asked of classifiers.
        sklearn.exceptions.NotFittedError
            If the ensemble is not fitted.
        """
        check_is_fitted(self)
        if not is_classifier(self):
            return self._average(lambda model: model.predict(X), return_std=return_std)
        if return_std:
            raise ValueError("Classes have no spread: ask predict_proba for return_std=True.")
        probabilities = self.predict_proba(X)
        if self.estimators_[0]._multilabel:
            return (probabilities > 0.5).astype(np.int64)
        return self.classes_[probabilities.argmax(axis=1)]

    @available_if(_base_is_classifier)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any, *, return_std: bool = False) -> Any:
        """Predict probabilities: the mean of those of all models.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that `fit` takes.
        return_std : bool, default=False
            Whether to return how much the models differ, too.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes) or (n_samples, n_labels), float64
            Their mean.
        std : ndarray of the same shape
            Their standard deviation over the models.

        Raises
        ------
        ValueError
            If X does not fit.
        sklearn.exceptions.NotFittedError
            If the ensemble is not fitted.
        """
        check_is_fitted(self)
        return self._average(lambda model: model.predict_proba(X), return_std=return_std)

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of classifiers, or the R² of regressors.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that `fit` takes.
        y : array-like
            Their true targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        score : float
            At most 1.
        """
        metric = accuracy_score if is_classifier(self) else r2_score
        return float(metric(y, self.predict(X), sample_weight=sample_weight))

    @property
    def _base(self) -> Any:
        return LSTMRegressor() if self.estimator is None else self.estimator

    @property
    def classes_(self) -> NDArray[Any]:
        """Classes of the models."""
        classes: NDArray[Any] = self._of_models("classes_")
        return classes

    @property
    def n_features_in_(self) -> int:
        """Number of features of a time step."""
        return int(self._of_models("n_features_in_"))

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the columns."""
        names: NDArray[Any] = self._of_models("feature_names_in_")
        return names

    def _record(self) -> dict[str, Any]:
        return estimator_record(self, FITTED_ENSEMBLE)

    def _of_models(self, name: str) -> Any:
        """Return an attribute that all models share."""
        if "estimators_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no {name} before it is fitted.")
        return getattr(self.estimators_[0], name)

    def _in_threads(self, call: Callable[[Any], Any], models: list[Any]) -> list[Any]:
        """Call for each model, under the configuration of scikit-learn that holds here.

        Threads of scikit-learn's own `Parallel` each set the warning filters of the whole process,
        and leave them changed where two of them do so at once.
        """
        n_threads = min(resolve_threads(self.n_jobs), len(models))
        if n_threads == 1:
            return [call(model) for model in models]
        config = get_config()

        def configured(model: Any) -> Any:
            with config_context(**config):
                return call(model)

        pool = ThreadPoolExecutor(n_threads)
        try:
            futures = [pool.submit(configured, model) for model in models]
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()  # raises what one of them has raised
            return [future.result() for future in futures]
        finally:
            # Whoever caught it can stop those that still run.
            pool.shutdown(wait=False, cancel_futures=True)

    def _average(self, call: Callable[[Any], Any], *, return_std: bool) -> Any:
        values = np.asarray(self._in_threads(call, self.estimators_), np.float64)
        mean = values.mean(axis=0)
        return (mean, values.std(axis=0)) if return_std else mean

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        base = get_tags(self._base)
        for name in ("estimator_type", "target_tags", "classifier_tags", "regressor_tags"):
            setattr(tags, name, getattr(base, name))
        tags.input_tags = base.input_tags
        return tags
