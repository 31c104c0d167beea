"""Plots of fitted estimators, after the manner of scikit-learn's displays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lstmcore._inference import Gates, GRUGates, RNNStates


def pyplot_for(owner: str) -> Any:
    """Return ``matplotlib.pyplot``, or say how to get it."""
    try:
        from matplotlib import pyplot as plt
    except ModuleNotFoundError:
        raise ImportError(f"{owner} takes matplotlib: pip install 'lstmcore[plot]'") from None
    return plt


class LossCurveDisplay:
    """The training loss of every epoch, and the score on validation samples where there is one.

    Parameters
    ----------
    losses : sequence of float
        Training loss of every epoch.
    validation_scores : sequence of float or None, default=None
        Score of every epoch on the validation samples.
    name : str or None, default=None
        What the legend calls the estimator.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was plotted.
    validation_ax_ : matplotlib.axes.Axes or None
        The axes of the scores, which share the epochs with ``ax_``.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import LossCurveDisplay, LSTMRegressor
    >>> X = np.random.default_rng(0).normal(size=(20, 5, 2))
    >>> model = LSTMRegressor(hidden_size=4, max_iter=3, tol=None).fit(X, X.sum(axis=(1, 2)))
    >>> display = LossCurveDisplay.from_estimator(model)  # doctest: +SKIP
    """

    def __init__(
        self,
        losses: Sequence[float],
        *,
        validation_scores: Sequence[float] | None = None,
        name: str | None = None,
    ) -> None:
        self.losses = losses
        self.validation_scores = validation_scores
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, name: str | None = None, **line: Any
    ) -> Self:
        """Plot the losses of a fitted estimator.

        Parameters
        ----------
        estimator : LSTMClassifier or LSTMRegressor
            Fitted.
        ax : matplotlib.axes.Axes or None, default=None
            Where to plot; None: in a new figure.
        name : str or None, default=None
            What the legend calls it; None: the name of its class.
        **line : dict
            Passed to ``Axes.plot``, for the losses.

        Returns
        -------
        display : LossCurveDisplay
            What was plotted.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        check_is_fitted(estimator)
        scores = getattr(estimator, "validation_scores_", None)
        name = type(estimator).__name__ if name is None else name
        return cls(estimator.loss_curve_, validation_scores=scores, name=name).plot(ax, **line)

    def plot(self, ax: Any = None, *, name: str | None = None, **line: Any) -> Self:
        """Plot the losses.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to plot; None: in a new figure.
        name : str or None, default=None
            What the legend calls the estimator; None: as it was named.
        **line : dict
            Passed to ``Axes.plot``, for the losses.

        Returns
        -------
        self : LossCurveDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = pyplot_for("LossCurveDisplay")
        if ax is None:
            _, ax = plt.subplots()
        name = self.name if name is None else name
        epochs = np.arange(1, len(self.losses) + 1)
        settings = {"label": "loss" if name is None else f"{name}: loss"} | line
        (self.line_,) = ax.plot(epochs, self.losses, **settings)
        ax.set(xlabel="epoch", ylabel="training loss")
        handles = [self.line_]
        self.validation_ax_ = None
        if self.validation_scores is not None:
            self.validation_ax_ = ax.twinx()
            self.validation_ax_.set_ylabel("validation score")
            handles += self.validation_ax_.plot(
                epochs[-len(self.validation_scores) :],
                self.validation_scores,
                color=self.line_.get_color(),
                linestyle="--",
                label="validation score",
            )
        ax.legend(handles=handles)
        self.ax_, self.figure_ = ax, ax.figure
        return self


class GateDisplay:
    """What a gate, or the state, of every hidden unit was at every step of a sequence.

    The forget gate of an LSTM shows what is kept (1) and what is forgotten (0); so does the update
    gate of a GRU.

    Parameters
    ----------
    gates : Gates, GRUGates or RNNStates
        What ``estimator.gates(X)`` returned for one sequence.
    gate : str or None, default=None
        Which of the records to show, such as "input", "forget", "candidate", "output", "cell" and
        "hidden" of an LSTM. None is "forget", of a GRU "update", of a simple RNN "hidden".

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was plotted.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.
    image_ : matplotlib.image.AxesImage
        Rows are hidden units, columns are time steps.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import GateDisplay, LSTMRegressor
    >>> X = np.random.default_rng(0).normal(size=(20, 5, 2))
    >>> model = LSTMRegressor(hidden_size=4, max_iter=3, tol=None).fit(X, X.sum(axis=(1, 2)))
    >>> display = GateDisplay.from_estimator(model, X[0], gate="input")  # doctest: +SKIP
    """

    def __init__(self, gates: Gates | GRUGates | RNNStates, *, gate: str | None = None) -> None:
        self.gates = gates
        self.gate = gate

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: Any,
        *,
        gate: str | None = None,
        layer: int = -1,
        ax: Any = None,
        **image: Any,
    ) -> Self:
        """Run a fitted estimator over one sequence and plot one of its gates.

        Parameters
        ----------
        estimator : LSTMClassifier or LSTMRegressor
            Fitted.
        x : array-like of shape (T, n_features)
            The sequence.
        gate : str or None, default=None
            Which of the records to show, such as "input", "forget", "candidate", "output", "cell"
            and "hidden" of an LSTM. None is "forget", of a GRU "update", of a simple RNN "hidden".
        layer : int, default=-1
            The layer: 0 is the lowest, -1 the highest.
        ax : matplotlib.axes.Axes or None, default=None
            Where to plot; None: in a new figure.
        **image : dict
            Passed to ``Axes.imshow``.

        Returns
        -------
        display : GateDisplay
            What was plotted.

        Raises
        ------
        ValueError
            If ``gate``, ``layer`` or ``x`` does not fit.
        ImportError
            If matplotlib is not installed.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        return cls(estimator.gates([x], layer=layer)[0], gate=gate).plot(ax, **image)

    def plot(self, ax: Any = None, **image: Any) -> Self:
        """Plot the gate.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to plot; None: in a new figure.
        **image : dict
            Passed to ``Axes.imshow``.

        Returns
        -------
        self : GateDisplay
            The display.

        Raises
        ------
        ValueError
            If there is no such gate, or no time step.
        ImportError
            If matplotlib is not installed.
        """
        names = self.gates.__dataclass_fields__
        gate = self.gate
        if gate is None:
            gate = next(name for name in ("forget", "update", "hidden") if name in names)
        if gate not in names:
            raise ValueError(f"gate must be one of {list(names)}, got {gate!r}.")
        values = getattr(self.gates, gate)
        if not len(values):
            raise ValueError("there is nothing to plot: the sequence has no time step.")
        plt = pyplot_for("GateDisplay")
        if ax is None:
            _, ax = plt.subplots()
        settings: dict[str, Any] = {"aspect": "auto", "interpolation": "nearest"}
        is_state = gate in ("cell", "hidden")
        is_gate = not is_state and gate != "candidate"
        if is_gate and values.min() >= 0 and values.max() <= 1:
            settings |= {"vmin": 0, "vmax": 1, "cmap": "viridis"}
        else:
            high = float(np.abs(values).max()) or 1.0
            settings |= {"vmin": -high, "vmax": high, "cmap": "RdBu_r"}
        self.image_ = ax.imshow(values.T, **(settings | image))
        title = f"{gate} state" if is_state else f"{gate} gate"
        ax.set(xlabel="time step", ylabel="hidden unit", title=title)
        ax.figure.colorbar(self.image_, ax=ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self
