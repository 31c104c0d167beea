"""The epochs of a fit: shuffle, hand parts of an epoch to the core, keep the curve, know the end.

Everything random is drawn from (seed, epoch), so an epoch does not depend on how the ones before
it were divided over calls of ``fit``: that is what makes ``warm_start`` exact. A state is replaced
only when an epoch is over, so whatever ends a fit early leaves the last whole epoch behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore import _batching
from lstmcore._history import EpochRecord
from lstmcore._network import layout_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lstmcore._network import FloatArray, IndexArray, NetworkSpec
    from lstmcore._progress import EpochReport
    from lstmcore._sequences import Sequences

# A part of an epoch is what one call of the core trains on: large enough that the calls cost
# nothing, small enough that a part of a large data set is a copy one can afford.
_PART_ROWS = 2**16
_PART_BYTES = 2**25


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What is learnt: sequences, one target and one weight each.

    Parameters
    ----------
    sequences : Sequences
        n sequences of the dtype of the network.
    targets : ndarray
        Class numbers (n,) of dtype intp for a softmax, else (n, K) of the dtype of the network.
    weights : ndarray of shape (n,), float64
        Positive weights.
    """

    sequences: Sequences
    targets: NDArray[Any]
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How it is learnt; the names are those of the estimators' parameters."""

    loss: str
    solver: str
    learning_rate: float
    batch_size: int
    max_iter: int
    weight_decay: float
    max_grad_norm: float | None
    tol: float | None
    n_iter_no_change: int
    n_threads: int

    def trainer_settings(self) -> Mapping[str, object]:
        """Return what the trainer of the core is made with."""
        return {
            "loss": self.loss,
            "solver": self.solver,
            "weight_decay": self.weight_decay,
            "max_grad_norm": np.inf if self.max_grad_norm is None else self.max_grad_norm,
        }


@dataclass(frozen=True, slots=True)
class TrainingState:
    """All that the next epoch depends on, beside the data and the plan.

    Parameters
    ----------
    seed : int
        Key of the shuffling and of dropout.
    solver : str
        The solver that the moments belong to.
    parameters : ndarray of shape (P,)
        Flat vector of parameters.
    moments : ndarray of shape (n_state, P)
        State of the solver.
    n_steps : int
        Steps that the solver has made.
    best_loss : float
        Lowest loss of an epoch.
    n_stale : int
        Epochs in a row whose loss was not better than the best one by ``tol``.
    history : tuple of dict
        One entry per epoch, see `EpochRecord`.
    """

    seed: int
    solver: str
    parameters: FloatArray
    moments: FloatArray
    n_steps: int = 0
    best_loss: float = float("inf")
    n_stale: int = 0
    history: tuple[dict[str, float], ...] = field(default=())

    @property
    def n_epochs(self) -> int:
        """Epochs that are over."""
        return len(self.history)


class Training:
    """A fit in progress.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    data : TrainingData
        What is learnt, in an order that depends on nothing but its content.
    plan : TrainingPlan
        How it is learnt.

    Attributes
    ----------
    layout : dict
        Name → (shape, offset) of every array in the parameters.
    state : TrainingState
        As of the last epoch that is over.
    converged : bool
        Whether the loss had stopped to improve when `run` ended.
    """

    def __init__(self, spec: NetworkSpec, data: TrainingData, plan: TrainingPlan) -> None:
        self._data = data
        self._plan = plan
        network = spec.build_network()
        self._trainer = spec.build_trainer(network, plan.trainer_settings())
        self.layout = layout_of(network)
        self.converged = False
        self.state: TrainingState

    def start(self, seed: int, parameters: FloatArray) -> None:
        """Begin with new parameters and a solver that has made no step."""
        moments = np.zeros((self._trainer.n_state, len(parameters)), parameters.dtype)
        self.state = TrainingState(seed, self._plan.solver, parameters, moments)

    def resume(self, state: TrainingState) -> None:
        """Begin where another training of the same network ended."""
        self.state = state

    def run(self, report: EpochReport) -> None:
        """Train for ``max_iter`` epochs, or until the loss has stopped to improve.

        Parameters
        ----------
        report : callable
            Called after each epoch with its number, its loss and its seconds.

        Raises
        ------
        ValueError
            If the loss or a parameter is not finite after an epoch; the state is then that of the
            epoch before.
        """
        last = self.state.n_epochs + self._plan.max_iter
        while self.state.n_epochs < last and not self.converged:
            self.state = self._epoch(self.state)
            entry = self.state.history[-1]
            report(self.state.n_epochs, entry["loss"], entry["seconds"])
            self.converged = (
                self._plan.tol is not None and self.state.n_stale >= self._plan.n_iter_no_change
            )

    def _epoch(self, state: TrainingState) -> TrainingState:
        """Return the state after one more epoch; ``state`` and its arrays stay as they are."""
        began = perf_counter()
        data, plan = self._data, self._plan
        parameters, moments = state.parameters.copy(), state.moments.copy()
        n_steps = state.n_steps
        record = EpochRecord()
        values, starts = data.sequences.values, data.sequences.starts
        order = _shuffled(len(starts) - 1, state.seed, state.n_epochs)
        for part in _batching.pack_epoch(
            values, starts, order, plan.batch_size, _rows_per_part(values)
        ):
            sums = self._trainer.run(
                parameters,
                moments,
                n_steps,
                part,
                data.targets,
                data.weights,
                seed=state.seed,
                epoch=state.n_epochs,
                learning_rate=plan.learning_rate,
                n_threads=plan.n_threads,
            )
            n_steps += len(part[-1]) - 1
            record.add(sums, n_steps=len(part[-1]) - 1)
        entry = record.entry(
            state.n_epochs + 1,
            learning_rate=plan.learning_rate,
            n_samples=len(order),
            seconds=perf_counter() - began,
        )
        loss = entry["loss"]
        if not (np.isfinite(loss) and np.isfinite(parameters).all()):
            raise ValueError(
                f"Training diverged in epoch {state.n_epochs + 1}: the loss is {loss} or a "
                "parameter is not finite. Scale X, or lower learning_rate or max_grad_norm."
            )
        improved = plan.tol is None or loss <= state.best_loss - plan.tol
        return replace(
            state,
            parameters=parameters,
            moments=moments,
            n_steps=n_steps,
            best_loss=min(loss, state.best_loss),
            n_stale=0 if improved else state.n_stale + 1,
            history=(*state.history, entry),
        )


def _rows_per_part(values: FloatArray) -> int:
    """Return how many rows a part of an epoch has at most, unless one batch has more."""
    return int(min(_PART_ROWS, max(1, _PART_BYTES // (values.shape[1] * values.itemsize))))


def _shuffled(n: int, seed: int, epoch: int) -> IndexArray:
    """Return the order of an epoch, from a stream of numbers that NumPy has frozen for good."""
    # RandomState and not Generator, whose methods may draw otherwise in another release of NumPy.
    bits = np.random.MT19937(np.random.SeedSequence(seed, spawn_key=(epoch,)))
    return np.random.RandomState(bits).permutation(n).astype(np.intp, copy=False)
