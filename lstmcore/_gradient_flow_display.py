"""The plot of how far gradients reach back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lstmcore._displays import pyplot_for

if TYPE_CHECKING:
    from lstmcore._gradient_flow import GradientFlow


class GradientFlowDisplay:
    """How far gradients reach back: their norms over the time lag, on a scale of powers of ten.

    Plot several in the same axes: what an LSTM keeps, an RNN loses.

    Parameters
    ----------
    flows : list of GradientFlow
        What ``gradient_flow`` of an estimator or of a layer returned.
    name : str or None, default=None
        What the legend calls it.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was plotted.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.
    line_ : matplotlib.lines.Line2D
        The line: for each lag the median over the sequences that are that long.

    Examples
    --------
    >>> import numpy as np
    >>> from lstmcore import GradientFlowDisplay
    >>> from lstmcore.layers import LSTM, RNN
    >>> x = np.random.default_rng(0).normal(size=(4, 100, 3))
    >>> display = GradientFlowDisplay.from_layer(LSTM(3, 8), x)  # doctest: +SKIP
    >>> _ = GradientFlowDisplay.from_layer(RNN(3, 8), x, ax=display.ax_)  # doctest: +SKIP
    """

    def __init__(self, flows: list[GradientFlow], *, name: str | None = None) -> None:
        self.flows = flows
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        target: Any = None,
        layer: int = -1,
        part: str = "state",
        relative: bool = True,
        name: str | None = None,
        ax: Any = None,
        **line: Any,
    ) -> Self:
        """Differentiate an output of a fitted estimator and plot the norms.

        Parameters
        ----------
        estimator : LSTMClassifier or LSTMRegressor
            Fitted.
        X : array-like of shape (n_samples, n_timesteps, n_features) or list of arrays
            Sequences.
        target, layer
            As for ``estimator.gradient_flow``.
        part, relative, ax, **line
            As for `plot`.
        name : str or None, default=None
            What the legend calls it; None: the names of its class and of its cell.

        Returns
        -------
        display : GradientFlowDisplay
            What was plotted.

        Raises
        ------
        ValueError
            If an argument does not fit.
        ImportError
            If matplotlib is not installed.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        flows = estimator.gradient_flow(X, target=target, layer=layer)
        name = f"{type(estimator).__name__}, cell {estimator.cell}" if name is None else name
        return cls(flows, name=name).plot(ax, part=part, relative=relative, **line)

    @classmethod
    def from_layer(
        cls,
        layer: Any,
        x: Any,
        state: Any = None,
        *,
        dy: Any = None,
        dstate: Any = None,
        level: int = -1,
        part: str = "state",
        relative: bool = True,
        name: str | None = None,
        ax: Any = None,
        **line: Any,
    ) -> Self:
        """Run a layer over sequences, and back, and plot the norms.

        Parameters
        ----------
        layer : LSTM, GRU or RNN of lstmcore.layers
            The layer.
        x, state, dy, dstate
            As for ``layer.gradient_flow``.
        level : int, default=-1
            Which of its layers: 0 is the lowest, -1 the highest.
        part, relative, ax, **line
            As for `plot`.
        name : str or None, default=None
            What the legend calls it; None: the name of its class.

        Returns
        -------
        display : GradientFlowDisplay
            What was plotted.

        Raises
        ------
        ValueError
            If an argument does not fit.
        ImportError
            If matplotlib is not installed.
        """
        flows = layer.gradient_flow(x, state, dy=dy, dstate=dstate, layer=level)
        name = type(layer).__name__ if name is None else name
        return cls(flows, name=name).plot(ax, part=part, relative=relative, **line)

    def plot(
        self,
        ax: Any = None,
        *,
        part: str = "state",
        relative: bool = True,
        name: str | None = None,
        **line: Any,
    ) -> Self:
        """Plot the norms.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to plot; None: in a new figure.
        part : {"state", "hidden", "cell"}, default="state"
            The gradient with respect to what: h and c together, h, or c.
        relative : bool, default=True
            Whether norms are divided by that of the whole state after the last step of their
            sequence.
        name : str or None, default=None
            What the legend calls it; None: as it was named.
        **line : dict
            Passed to ``Axes.semilogy``.

        Returns
        -------
        self : GradientFlowDisplay
            The display.

        Raises
        ------
        ValueError
            If there is no such part, or nothing to plot.
        ImportError
            If matplotlib is not installed.
        """
        if part not in ("state", "hidden", "cell"):
            raise ValueError(f'part must be "state", "hidden" or "cell", got {part!r}.')
        curves = [getattr(flow, part) for flow in self.flows]
        if not curves:
            raise ValueError("there is nothing to plot: there are no sequences.")
        if curves[0] is None:
            raise ValueError('part must be "state" or "hidden": these cells have no state c.')
        if relative:
            ends = [flow.state[0] for flow in self.flows]
            curves = [curve / end for curve, end in zip(curves, ends, strict=True) if end > 0]
            if not curves:
                raise ValueError(
                    "relative must be False: the gradient of the last states is 0 everywhere."
                )
        medians = [
            np.median([curve[lag] for curve in curves if len(curve) > lag])
            for lag in range(max(map(len, curves)))
        ]
        plt = pyplot_for("GradientFlowDisplay")
        if ax is None:
            _, ax = plt.subplots()
        name = self.name if name is None else name
        # Nothing stands for 0 on a scale of powers of ten.
        values = np.where(np.array(medians) > 0, medians, np.nan)
        (self.line_,) = ax.semilogy(np.arange(len(values)), values, **({"label": name} | line))
        ylabel = f"norm of the gradient of the {part}" + (", end = 1" if relative else "")
        ax.set(xlabel="steps before the end", ylabel=ylabel)
        if self.line_.get_label() and not str(self.line_.get_label()).startswith("_"):
            ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
