"""What the command line learns: an estimator, its scaler, and which columns they take."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lstmcore._files import Savable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lstmcore._classifier import LSTMClassifier
    from lstmcore._regressor import LSTMRegressor
    from lstmcore._scaler import SequenceScaler


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column of a file is what.

    Parameters
    ----------
    id : str or None
        Tells the sequences apart; None: each row is a sequence of its own, cut into ``n_steps``.
    time : str or None
        Orders the rows of a sequence; None: they stay in the order of the file.
    values : tuple of str or None
        The features; None: all columns that are nothing else.
    label : str or None
        What is to be learnt.
    n_steps : int
        Time steps in a row, where there is no ``id``.
    """

    id: str | None = None
    time: str | None = None
    values: tuple[str, ...] | None = None
    label: str | None = None
    n_steps: int = 1


class TableModel(Savable):
    """An estimator of sequences behind a scaler, with the columns that it was fitted to.

    ``python -m lstmcore train`` saves one, and `lstmcore.load` returns it.

    Parameters
    ----------
    estimator : LSTMClassifier or LSTMRegressor
        Fitted to what the scaler returns.
    scaler : SequenceScaler or None
        Fitted; None where nothing is scaled.
    roles : Roles
        The columns.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import LSTMClassifier
    >>> from lstmcore._table_model import Roles, TableModel
    >>> X, y = [np.ones((3, 1)), np.zeros((2, 1))], ["one", "none"]
    >>> estimator = LSTMClassifier(hidden_size=4, max_iter=5, tol=None).fit(X, y)
    >>> TableModel(estimator, None, Roles(id="who")).predict(X).shape
    (2,)
    """

    _kind = "TableModel"

    def __init__(
        self, estimator: LSTMClassifier | LSTMRegressor, scaler: SequenceScaler | None, roles: Roles
    ) -> None:
        self.estimator = estimator
        self.scaler = scaler
        self.roles = roles

    def scaled(self, X: Any) -> Any:
        """Return sequences as the estimator takes them."""
        return X if self.scaler is None else self.scaler.transform(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return what the estimator predicts for sequences that are not scaled yet."""
        return self.estimator.predict(self.scaled(X))

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the probabilities of the classes for sequences that are not scaled yet."""
        probabilities: NDArray[Any] = self.estimator.predict_proba(self.scaled(X))
        return probabilities

    def _record(self) -> dict[str, Any]:
        return {
            "roles": asdict(self.roles),
            "scaler": None if self.scaler is None else self.scaler._record(),
            "estimator_kind": self.estimator._kind,
            "estimator": self.estimator._record(),
        }
