"""scikit-learn's own checks once more, with every X as a 3-D array and as a ragged list.

The checks know tables only. Here they call estimators that make sequences of a table's rows, each
of two steps or of one or two, before the methods that are tested see it: so every check is one of
sequences too, and what it calls a feature is a feature of a time step.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_classifier_multioutput, parametrize_with_checks

from lstmcore import LSTMClassifier, LSTMRegressor


def second_steps(rows: Any) -> Any:
    """What follows a row: the row itself, its columns turned round."""
    return rows[:, ::-1]


class ThreeD:
    """Makes a 3-D array of a table: two steps in each sequence."""

    @staticmethod
    def sequences(X: Any) -> Any:
        """The array, or X itself where it is no table of numbers."""
        table = as_table(X)
        return X if table is None else np.stack([table, second_steps(table)], axis=1)


class Ragged:
    """Makes a list of a table: sequences of two steps, and of one where a row begins above 0."""

    @staticmethod
    def sequences(X: Any) -> Any:
        """The list, or X itself where it is no table of numbers."""
        table = as_table(X)
        if table is None or not len(table):
            return X
        pairs = zip(table, second_steps(table), strict=True)
        above = (isinstance(row[0], Real) and row[0] > 0 for row in table)
        return [np.array(pair[: 1 if one else 2]) for pair, one in zip(pairs, above, strict=True)]


def as_table(X: Any) -> Any:
    """X as a 2-D array, or None where it is sparse, made already, has other axes or no column."""
    if hasattr(X, "tocsr") or (isinstance(X, list) and isinstance(X[0], np.ndarray)):
        return None
    array = np.asarray(X)
    return array if array.ndim == 2 and array.shape[1] and array.dtype.kind in "biufcO" else None


def with_sequences(cls: type[Any], form: type[Any]) -> type[Any]:
    """A class whose methods see sequences where they are given a table."""

    def takes_sequences(name: str) -> Any:
        def method(self: Any, X: Any, *others: Any, **named: Any) -> Any:
            return getattr(cls, name)(self, form.sequences(X), *others, **named)

        def with_y(self: Any, X: Any, y: Any, sample_weight: Any = None) -> Any:
            return getattr(cls, name)(self, form.sequences(X), y, sample_weight=sample_weight)

        def with_classes(
            self: Any, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
        ) -> Any:
            X = form.sequences(X)
            return getattr(cls, name)(self, X, y, classes=classes, sample_weight=sample_weight)

        if name == "partial_fit" and issubclass(cls, LSTMClassifier):
            return with_classes
        return with_y if name in ("fit", "partial_fit", "score") else method

    names = ("fit", "partial_fit", "score", "predict", "predict_proba", "decision_function")
    methods = {name: takes_sequences(name) for name in names if hasattr(cls, name)}
    return type(f"{form.__name__}{cls.__name__}", (cls,), methods | {"__module__": __name__})


ThreeDClassifier = with_sequences(LSTMClassifier, ThreeD)
ThreeDRegressor = with_sequences(LSTMRegressor, ThreeD)
RaggedClassifier = with_sequences(LSTMClassifier, Ragged)
RaggedRegressor = with_sequences(LSTMRegressor, Ragged)
# Where pickles look for them.
globals().update(
    {cls.__name__: cls for cls in (ThreeDClassifier, ThreeDRegressor, RaggedClassifier)}
)
globals()[RaggedRegressor.__name__] = RaggedRegressor
# The defaults are checked with tables.
QUICK = {"hidden_size": 12, "learning_rate": 0.02, "max_iter": 40}
CLASSES = [ThreeDClassifier, ThreeDRegressor, RaggedClassifier, RaggedRegressor]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([cls(**QUICK) for cls in CLASSES])
def test_check_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("cls", [ThreeDClassifier, RaggedClassifier], ids=lambda c: c.__name__)
def test_multilabel_outputs_agree(cls: type[Any]) -> None:
    check_classifier_multioutput(cls.__name__, cls(**QUICK))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_they_see_sequences(cls: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    base = cls.__bases__[0]
    monkeypatch.setattr(base, "fit", lambda self, X, y, sample_weight=None: seen.append(X))
    cls().fit([[1.0, 2.0], [-1.0, 3.0]], [0, 1])
    expected = [[[1, 2], [2, 1]], [[-1, 3], [3, -1]]]
    if "Ragged" in cls.__name__:
        assert isinstance(seen[0], list)
        expected[0] = expected[0][:1]
    assert [x.tolist() for x in seen[0]] == expected
