"""The classifier of sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import ClassifierMixin

from lstmcore._estimator import BaseLSTM, Head
from lstmcore._parameters import class_weights
from lstmcore._targets import check_labels, encode_labels, weigh_classes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lstmcore._network import FloatArray


class LSTMClassifier(ClassifierMixin, BaseLSTM):
    """LSTM network that learns one label per sequence, or a set of labels.

    Two classes give one output with a sigmoid, more classes a softmax, and indicators (one column
    of 0 and 1 for each label) as many sigmoids as there are columns; the loss is the cross-entropy.

    A fit is a function of the weighted set of samples: neither their order nor whether a sample is
    given twice or with the weight 2 changes a bit of it.

    Parameters
    ----------
    class_weight : dict, list of dict, "balanced" or None, default=None
        What the weight of a sample is multiplied by, label → factor; classes that are left out have
        1. "balanced" makes all classes count alike: ``n_samples / (n_classes * count)``, by the
        weights of the samples. For several labels at once a list holds a dict of 0 and 1 for each
        column, and the factors of a sample are multiplied.
    hidden_size : int or tuple of int, default=64
        Number of hidden units; a tuple stacks as many LSTM layers, the lowest first.
    dropout : float, default=0.0
        Probability in [0, 1) that a unit is dropped in training, between stacked layers and
        before the head; never between time steps.
    pooling : {"last", "mean", "max"}, default="last"
        How the outputs of the highest layer become one vector: that of the last step, or the mean
        or the maximum over all steps. A sequence of length 0 gives zeros.
    solver : {"adam", "adamw", "sgd", "rmsprop"}, default="adam"
        Optimiser, with PyTorch's formulas; "sgd" has a momentum of 0.9.
    learning_rate : float, default=1e-3
        Step size, constant over all epochs.
    batch_size : int, default=32
        Number of sequences in a step of the solver.
    max_iter : int, default=100
        Largest number of epochs.
    weight_decay : float, default=0.0
        L2 penalty, added to the gradient; decoupled from it for "adamw".
    max_grad_norm : float or None, default=1.0
        Gradients with a larger Euclidean norm are scaled down to it. None leaves them as they are.
    tol : float or None, default=1e-4
        A fit has converged when the training loss was not lower than its best value by at least
        `tol` in `n_iter_no_change` epochs in a row; where `max_iter` ends it before, a
        `ConvergenceWarning` says so. With None it is trained for exactly `max_iter` epochs, and
        there is no warning.
    n_iter_no_change : int, default=10
        Number of epochs without improvement, see `tol`.
    n_timesteps : int, default=1
        Time steps in a row of a 2-D X: the row holds the features of the first step, then those
        of the second, and so on. Other forms of X say themselves how many steps they have.
    missing : {"error", "mask"}, default="error"
        What NaN in X means. "error" refuses it and says where it is. "mask" takes it for a missing
        value: the network sees 0 in its place and, for each feature that misses a value in `fit`,
        one more input that is 1 where the value is missing. Scale X to a mean of 0, for instance
        by `SequenceScaler`, which leaves NaN alone: 0 is then the mean. A feature that missed
        nothing in `fit` must miss nothing in `predict`.
    warm_start : bool, default=False
        With True, `fit` goes on where the last fit with True ended, solver and shuffling included:
        two fits of 50 epochs give the bits of one fit of 100. Ctrl-C then keeps the epochs that
        were over. The solver's state is kept for this, which triples the size of a pickle.
    random_state : int, RandomState, Generator or None, default=None
        Decides the initial weights, the shuffling of the samples and dropout. With an int, every
        fit of the same samples gives the same bits.
    n_jobs : int or None, default=None
        Number of threads; None means all that this process may use, -1 likewise, -2 all but one.
        Results do not depend on it.
    dtype : {"float32", "float64"}, default="float32"
        Precision in which the network is trained and run.
    verbose : bool or int, default=0
        0 shows nothing. 1 shows the progress of `fit` on standard output: a bar if the package
        ``rich`` is installed (the extra ``lstmcore[progress]``), else a line per epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels of the samples with a positive weight; for indicators the numbers of the
        columns.
    n_features_in_ : int
        Number of features of a time step.
    missing_features_ : ndarray of shape (n_missing,), intp
        The features that missed a value in `fit`; each of them has an indicator.
    feature_names_in_ : ndarray of shape (n_columns,)
        Names of the columns, where X was a frame whose columns are named by strings.
    n_outputs_ : int
        Number of outputs of the network: 1 for two classes, else one for each class or label.
    coefs_ : ndarray of shape (n_parameters,)
        All weights in one flat, read-only array of `dtype`.
    layout_ : dict
        Name → (shape, offset) of every array in `coefs_`: ``weight_ih_l0``, ``weight_hh_l0`` and
        ``bias_l0`` with gates in the order input, forget, candidate, output; likewise ``_l1``
        and so on; then ``head_weight`` and ``head_bias``.
    parameters_ : dict
        Name → read-only view into `coefs_` in its shape.
    n_iter_ : int
        Number of epochs.
    loss_ : float
        Training loss of the last epoch, a weighted mean over the samples.
    loss_curve_ : list of float
        Training loss of every epoch.
    history_ : list of dict
        For every epoch ``"epoch"``, ``"loss"``, ``"learning_rate"`` of its last step,
        ``"gradient_norm"`` and ``"gradient_norm_max"`` (mean and maximum over its steps, before
        clipping), ``"clipped"`` (share of steps with a gradient that was scaled down),
        ``"parameter_norm"`` at its end, ``"seconds"`` and ``"samples_per_second"``.

    See Also
    --------
    LSTMRegressor : Learns numbers instead of labels.

    Examples
    --------
    Sequences of different lengths that rise or fall:

    >>> import numpy as np
    >>> from lstmcore import LSTMClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(60) % 2
    >>> X = [np.linspace(0, 2 * up - 1, rng.integers(3, 9))[:, None] for up in y]
    >>> model = LSTMClassifier(hidden_size=8, learning_rate=0.02, max_iter=30, tol=None)
    >>> model.set_params(random_state=0).fit(X, y).score(X, y)
    1.0
    >>> model.predict([np.array([[0.0], [-0.4], [-0.9]]), np.array([[0.0], [0.5]])])
    array([0, 1])
    """

    _kind = "LSTMClassifier"

    def __init__(
        self,
        *,
        class_weight: dict[Any, float] | list[dict[int, float]] | str | None = None,
        hidden_size: int | tuple[int, ...] = 64,
        dropout: float = 0.0,
        pooling: str = "last",
        solver: str = "adam",
        learning_rate: float = 1e-3,
        batch_size: int = 32,
        max_iter: int = 100,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = 1.0,
        tol: float | None = 1e-4,
        n_iter_no_change: int = 10,
        n_timesteps: int = 1,
        missing: str = "error",
        warm_start: bool = False,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        n_jobs: int | None = None,
        dtype: str = "float32",
        verbose: int = 0,
    ) -> None:
        super().__init__(
            hidden_size=hidden_size,
            dropout=dropout,
            pooling=pooling,
            solver=solver,
            learning_rate=learning_rate,
            batch_size=batch_size,
            max_iter=max_iter,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            n_timesteps=n_timesteps,
            missing=missing,
            warm_start=warm_start,
            random_state=random_state,
            n_jobs=n_jobs,
            dtype=dtype,
            verbose=verbose,
        )
        self.class_weight = class_weight

    _constraints = BaseLSTM._constraints | {"class_weight": class_weights()}

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the network to sequences and their labels.

        Parameters
        ----------
        X : array-like
            Sequences: an array of shape (n_samples, n_timesteps, n_features), a list of arrays of
            shape (T_i, n_features) of different lengths, 0 included, or an array or frame of
            shape (n_samples, n_timesteps * n_features), see `n_timesteps`.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels, or indicators of 0 and 1.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of at least 0. A sample of weight 0 counts as absent, also for `classes_`.

        Returns
        -------
        self : LSTMClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter, X, y or sample_weight is not as described, if there is only one class,
            or if the training diverges. The estimator is then as it was before.
        TypeError
            If a parameter has the wrong type.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If `max_iter` ends the fit while the training loss still improves, see `tol`.
        """
        return self._fit(X, y, sample_weight)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that `fit` takes.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            The most probable of `classes_`, or indicators of dtype int64. For an empty list of
            sequences it is empty.

        Raises
        ------
        ValueError
            If X does not fit.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        scores = self._outputs(X, apply_link=False)
        if self._multilabel:
            return (scores > 0).astype(np.int64)
        codes = scores.argmax(axis=1) if self.n_outputs_ > 1 else (scores[:, 0] > 0).astype(np.intp)
        labels: NDArray[Any] = self.classes_[codes]
        return labels

    def predict_proba(self, X: Any) -> FloatArray:
        """Predict probabilities.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that `fit` takes.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes) or (n_samples, n_labels)
            Probability of each class in the order of `classes_`, or of each label to be set;
            of the dtype of the network.

        Raises
        ------
        ValueError
            If X does not fit.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        outputs = self._outputs(X, apply_link=True)
        if self._multilabel or self.n_outputs_ > 1:
            return outputs
        return np.concatenate([1 - outputs, outputs], axis=1)

    def decision_function(self, X: Any) -> FloatArray:
        """Return what the head puts out before sigmoid or softmax.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that `fit` takes.

        Returns
        -------
        scores : ndarray of shape (n_samples,), (n_samples, n_classes) or (n_samples, n_labels)
            For two classes one score, positive for ``classes_[1]``.

        Raises
        ------
        ValueError
            If X does not fit.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        scores = self._outputs(X, apply_link=False)
        return scores if self._multilabel or self.n_outputs_ > 1 else scores[:, 0]

    def _check_targets(self, y: ArrayLike) -> NDArray[Any]:
        return check_labels(y, type(self).__name__)

    def _encode_targets(self, y: NDArray[Any]) -> tuple[NDArray[Any], dict[str, Any]]:
        classes, codes = encode_labels(y, type(self).__name__)
        if self._resumes and not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start=True goes on with the classes of the last fit, "
                f"{self.classes_.tolist()}; y now has {classes.tolist()}."
            )
        return codes, {"classes_": classes, "_multilabel": y.ndim == 2}

    def _weighted(
        self, targets: NDArray[Any], weights: NDArray[np.float64], encoding: dict[str, Any]
    ) -> NDArray[np.float64]:
        return weigh_classes(self.class_weight, encoding["classes_"], targets, weights)

    def _build_head(
        self,
        targets: NDArray[Any],
        weights: NDArray[np.float64],  # noqa: ARG002 - labels are not scaled
        fitted: dict[str, Any],
    ) -> Head:
        if targets.ndim == 1 and len(fitted["classes_"]) > 2:
            return Head(
                targets, len(fitted["classes_"]), "softmax", "softmax_cross_entropy", fitted
            )
        indicators = np.ascontiguousarray(targets.reshape(len(targets), -1), self.dtype)
        return Head(indicators, indicators.shape[1], "sigmoid", "sigmoid_cross_entropy", fitted)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
