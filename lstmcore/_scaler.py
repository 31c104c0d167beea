"""Scaling of the features of sequences, as a transformer."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import sklearn
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from lstmcore import _parameters
from lstmcore._dataset import check_weights, content_ranks, merge_samples
from lstmcore._files import Savable
from lstmcore._files_estimators import FittedState, estimator_record
from lstmcore._forms import floating_dtype, in_form_of
from lstmcore._row_statistics import center_and_scale, learn_rows
from lstmcore._sequences import Sequences, as_sequences, is_table
from lstmcore._validation import check_feature_names, feature_names

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


FITTED_SCALER = FittedState(
    private={
        "_n_columns": lambda value: type(value) is int and value >= 1,
        "_statistics": lambda value: type(value) is tuple,
    }
)


def _learns_in_parts(scaler: SequenceScaler) -> bool:
    return bool(scaler.method != "robust")


class SequenceScaler(  # type: ignore[call-arg]
    TransformerMixin, Savable, BaseEstimator, auto_wrap_output_keys=None
):
    """Scale every feature of sequences, over all their time steps, to a common range.

    Each value becomes ``(x - center_) / scale_`` of its feature. X may have any form that the
    estimators take, and comes back in it: an array as an array, a list of sequences as a list of
    arrays. NaN stays NaN and is left out of the statistics; float32 stays float32, anything else
    becomes float64. The statistics are those of scikit-learn's scaler of the same name over the
    rows of all sequences, so a long sequence counts for more than a short one.

    Parameters
    ----------
    method : {"standard", "robust", "minmax"}, default="standard"
        "standard" subtracts the mean and divides by the standard deviation; "robust" takes the
        median and the distance between the quartiles, which outliers hardly change; "minmax" maps
        the least value to 0 and the largest one to 1.
    n_timesteps : int, default=1
        Time steps in a row of a 2-D X: the row holds the features of the first step, then those
        of the second, and so on.

    Attributes
    ----------
    center_ : ndarray of shape (n_features_in_,), float64
        What is subtracted; 0 for a feature of which no value was seen.
    scale_ : ndarray of shape (n_features_in_,), float64
        What is divided by; 1 for a feature that is constant or was not seen.
    n_features_in_ : int
        Number of features of a time step.
    feature_names_in_ : ndarray of shape (n_columns,)
        Names of the columns, where X was a frame or a list of frames.

    See Also
    --------
    sklearn.preprocessing.StandardScaler : Scales the columns of tables.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import LSTMClassifier, SequenceScaler
    >>> from sklearn.pipeline import make_pipeline
    >>> X = [np.array([[0.0, 100.0], [2.0, 100.0]]), np.array([[4.0, 400.0]])]
    >>> scaler = SequenceScaler().fit(X)
    >>> scaler.center_
    array([  2., 200.])
    >>> [x.round(2).tolist() for x in scaler.transform(X)]
    [[[-1.22, -0.71], [0.0, -0.71]], [[1.22, 1.41]]]
    >>> model = make_pipeline(SequenceScaler(), LSTMClassifier(max_iter=5, tol=None))
    >>> model.fit(X, ["a", "b"]).predict(X).shape
    (2,)
    """

    _kind = "SequenceScaler"
    _constraints: ClassVar[dict[str, _parameters.Constraint]] = {
        "method": _parameters.choice("standard", "robust", "minmax"),
        "n_timesteps": _parameters.integer(1),
    }

    def __init__(self, *, method: str = "standard", n_timesteps: int = 1) -> None:
        self.method = method
        self.n_timesteps = n_timesteps

    def fit(
        self,
        X: Any,
        y: object = None,  # noqa: ARG002 - a transformer takes it
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn center and scale of every feature.

        Parameters
        ----------
        X : array-like
            Sequences: an array of shape (n_samples, n_timesteps, n_features), a list of arrays or
            frames of shape (T_i, n_features), or an array or frame of shape
            (n_samples, n_timesteps * n_features). NaN is left out.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of at least 0, that of a sequence for all its steps. A sample of weight 0
            counts as absent, one of weight 2 as given twice. With ``method="robust"`` they must
            be whole numbers.

        Returns
        -------
        self : SequenceScaler
            The fitted scaler.

        Raises
        ------
        ValueError
            If a parameter, X or sample_weight is not as described.
        TypeError
            If a parameter has the wrong type.
        """
        return self._learn(X, sample_weight, None)

    @available_if(_learns_in_parts)  # type: ignore[untyped-decorator]
    def partial_fit(
        self,
        X: Any,
        y: object = None,  # noqa: ARG002 - a transformer takes it
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Go on learning center and scale with more sequences.

        There is no such method with ``method="robust"``: a median can't be learnt in parts.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that `fit` takes.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, as in `fit`.

        Returns
        -------
        self : SequenceScaler
            The scaler.

        Raises
        ------
        ValueError
            If a parameter, X or sample_weight is not as described.
        TypeError
            If a parameter has the wrong type.
        """
        return self._learn(X, sample_weight, getattr(self, "_statistics", None))

    def transform(self, X: Any) -> Any:
        """Scale sequences.

        Parameters
        ----------
        X : array-like
            Sequences in any of the forms that `fit` takes.

        Returns
        -------
        X_scaled : ndarray, list of ndarray, or frame
            A new array of the shape of X, or a new list of arrays of shape (T_i, n_features). For a
            table it is a frame if `set_output` asks for one; sequences never are.

        Raises
        ------
        ValueError
            If X does not fit.
        sklearn.exceptions.NotFittedError
            If the scaler is not fitted.
        """
        sequences = self._check_sequences(X)
        # Into the dtype of X with each step: no array of another dtype in between.
        scaled = np.empty_like(sequences.values)
        np.subtract(sequences.values, self.center_, out=scaled, casting="same_kind")
        np.divide(scaled, self.scale_, out=scaled, casting="same_kind")
        return self._wrapped(in_form_of(X, Sequences(scaled, sequences.starts)), X)

    def inverse_transform(self, X: Any) -> Any:
        """Undo `transform`.

        Parameters
        ----------
        X : array-like
            Scaled sequences in any of the forms that `fit` takes.

        Returns
        -------
        X_original : ndarray or list of ndarray
            A new array of the shape of X, or a new list of arrays of shape (T_i, n_features).

        Raises
        ------
        ValueError
            If X does not fit.
        sklearn.exceptions.NotFittedError
            If the scaler is not fitted.
        """
        sequences = self._check_sequences(X)
        original = np.empty_like(sequences.values)
        np.multiply(sequences.values, self.scale_, out=original, casting="same_kind")
        np.add(original, self.center_, out=original, casting="same_kind")
        return in_form_of(X, Sequences(original, sequences.starts))

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Return the names of the features that come out: those that went in.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features, or None for those of `fit`, or ``x0``, ``x1`` and so on.

        Returns
        -------
        names : ndarray of str objects
            One for each feature, or for each column of a 2-D X.

        Raises
        ------
        ValueError
            If ``input_features`` are not those of `fit`, or too few or too many.
        """
        check_is_fitted(self)
        known = getattr(self, "feature_names_in_", None)
        if input_features is None:
            if known is not None:
                return np.asarray(known, dtype=object)
            return np.array([f"x{i}" for i in range(self._n_columns)], dtype=object)
        names = np.asarray(input_features, dtype=object)
        if known is not None and not np.array_equal(names, known):
            raise ValueError("input_features is not equal to feature_names_in_")
        if names.shape != (self._n_columns,):
            raise ValueError(
                "input_features should have length equal to number of features "
                f"({self._n_columns}), got {len(names)}"
            )
        return names

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose what `transform` and ``fit_transform`` return for a table.

        Sequences come back as arrays whatever is chosen.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            "default" gives an array, the others a frame with names of columns; None changes
            nothing.

        Returns
        -------
        self : SequenceScaler
            The scaler.
        """
        if transform is not None:
            # scikit-learn's own attribute: clone takes it along.
            self._sklearn_output_config = {"transform": transform}
        return self

    def _record(self) -> dict[str, Any]:
        return estimator_record(self, FITTED_SCALER)

    def _learn(self, X: Any, sample_weight: ArrayLike | None, statistics: Any) -> Self:
        """Learn from X, going on from statistics if there are any; assign all at the end."""
        name = type(self).__name__
        _parameters.check_parameters(name, self.get_params(deep=False), self._constraints)
        if statistics is None:
            names = feature_names(X)
            sequences = self._as_sequences(X)
        else:
            known = vars(self).items()
            names = {key: value for key, value in known if key == "feature_names_in_"}
            sequences = self._check_sequences(X)
        weights = check_weights(sample_weight, sequences.n_samples)
        kept = np.flatnonzero(weights)
        if len(kept) < len(weights):
            sequences, weights = sequences.take(kept), weights[kept]
        if not len(sequences.values):
            raise ValueError("X has no time step: all its sequences have the length 0.")
        # In an order that only depends on content, so that no sum depends on that of the samples.
        rows, weights = merge_samples(content_ranks(sequences), weights)
        sequences = sequences.take(rows)
        with warnings.catch_warnings():
            # That a feature has no value at all is no reason to complain here.
            warnings.simplefilter("ignore", RuntimeWarning)
            statistics = learn_rows(self.method, statistics, sequences, weights)
        center, scale = center_and_scale(self.method, statistics)
        unseen = np.isnan(center) | np.isnan(scale)
        others = {key: value for key, value in vars(self).items() if key != "feature_names_in_"}
        self.__dict__ = (
            others
            | names
            | {
                "center_": np.where(unseen, 0.0, center),
                "scale_": np.where(unseen, 1.0, scale),
                "n_features_in_": sequences.n_features,
                "_n_columns": sequences.n_features * (self.n_timesteps if is_table(X) else 1),
                "_statistics": statistics,
            }
        )
        return self

    def _as_sequences(self, X: Any, *, allow_empty: bool = False) -> Sequences:
        return as_sequences(
            X,
            dtype=floating_dtype(X),
            n_timesteps=self.n_timesteps,
            allow_empty=allow_empty,
            ensure_all_finite="allow-nan",
        )

    def _check_sequences(self, X: Any) -> Sequences:
        """Return X as sequences of the features of the fit; an empty list is none of them."""
        check_is_fitted(self)
        check_feature_names(self, X)
        sequences = self._as_sequences(X, allow_empty=True)
        if sequences.n_samples and sequences.n_features != self.n_features_in_:
            raise ValueError(
                f"X has {sequences.n_features} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        if not sequences.n_samples:
            return Sequences(np.empty((0, self.n_features_in_)), sequences.starts)
        return sequences

    def _wrapped(self, scaled: Any, X: Any) -> Any:
        """Return a scaled table as what `set_output` asks for, anything else as it is."""
        asked = getattr(self, "_sklearn_output_config", {}).get("transform")
        if (asked or sklearn.get_config()["transform_output"]) == "default" or not is_table(X):
            return scaled
        wrapper = FunctionTransformer(
            lambda _: scaled, feature_names_out=lambda *_: self.get_feature_names_out()
        )
        return wrapper.set_output(transform=asked).fit_transform(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
