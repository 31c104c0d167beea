"""The method by which estimators become models of other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os


class OnnxMixin:
    """Adds `to_onnx` to an estimator that `lstmcore.interop.to_onnx` knows."""

    def to_onnx(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        dtype: str | None = None,
        states: bool = False,
    ) -> Any:
        """Make an ONNX model, which predicts without lstmcore.

        Its inputs are ``X`` (N, T, n_features_in_), padded, and ``lengths`` (N,), which may be left
        out; its outputs are ``label`` and ``probabilities`` of a classifier, ``y`` of a regressor.
        `lstmcore.interop.to_onnx` says the rest.

        Parameters
        ----------
        path : path-like or None, default=None
            Where to save the model; None is nowhere.
        dtype : {"float32", "float64"} or None, default=None
            Of the numbers in the model; None is that of the estimator.
        states : bool, default=False
            Whether it also takes the states before the first step, which may be left out, and
            returns those after the last one: a sequence may then come in pieces.

        Returns
        -------
        model : onnx.ModelProto
            The model.

        Raises
        ------
        ImportError
            If onnx is not installed: ``pip install 'lstmcore[onnx]'``.
        ValueError
            If a parameter is not finite, or a label has no type in ONNX.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from lstmcore import LSTMClassifier
        >>> X, y = [np.ones((3, 1)), np.zeros((2, 1))], ["one", "none"]
        >>> model = LSTMClassifier(hidden_size=4, max_iter=5, tol=None).fit(X, y)
        >>> onnx_model = model.to_onnx("model.onnx")  # doctest: +SKIP
        """
        from lstmcore.interop import to_onnx  # it knows the estimators, so they can't know it

        return to_onnx(self, path, dtype=dtype, states=states)  # type: ignore[arg-type]
