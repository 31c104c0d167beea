"""The epochs of a fit: shuffle, hand an epoch to the core, keep the curve, know the end.

Everything random is drawn from (seed, epoch), so an epoch does not depend on how the ones before
it were divided over calls of ``fit``: that is what makes ``warm_start`` exact. A state is replaced
only when an epoch is over, so whatever ends a fit early leaves the last whole epoch behind.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lstmcore import _batching
from lstmcore._history import epoch_entry
from lstmcore._network import layout_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from lstmcore._network import FloatArray, IndexArray, NetworkSpec
    from lstmcore._schedules import Schedule
    from lstmcore._sequences import Sequences

_T = TypeVar("_T")

# Sequences at a time where losses are only added up.
_EVALUATION_BATCH = 256


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What is learnt: m of n sequences, with one target and one weight each.

    Parameters
    ----------
    sequences : Sequences
        n sequences of the dtype of the network; they may be the user's own memory.
    rows : ndarray of shape (m,), intp
        Which of them, in an order that depends on nothing but their content.
    targets : ndarray
        Class numbers (m,) of dtype intp for a softmax, else (m, K) of the dtype of the network.
    weights : ndarray of shape (m,), float64
        Positive weights.
    """

    sequences: Sequences
    rows: IndexArray
    targets: NDArray[Any]
    weights: NDArray[np.float64]

    def batches(self, order: IndexArray, batch_size: int) -> tuple[Any, ...]:
        """Return batches of samples; their rows stay where they are.

        Parameters
        ----------
        order : ndarray of shape (k,), intp
            Samples, as numbers from 0 to m - 1.
        batch_size : int
            How many of them make a batch.

        Returns
        -------
        batches : tuple
            (values, begins, n_active, step_ptr, samples, sample_ptr), as the core takes them.
        """
        values, starts = self.sequences.values, self.sequences.starts
        n_active, step_ptr, rows, sample_ptr = _batching.order_epoch(
            values, starts, self.rows[order], batch_size
        )
        sample_of_row = np.empty(len(starts) - 1, np.intp)
        sample_of_row[self.rows] = np.arange(len(self.rows))
        return values, starts[rows], n_active, step_ptr, sample_of_row[rows], sample_ptr


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How it is learnt; most names are those of the estimators' parameters.

    Parameters
    ----------
    settings : mapping
        What the trainer of the core is made with.
    schedule : Schedule
        Learning rates.
    batch_size : int
        Sequences in a step.
    early_stopping : bool
        Whether it is the validation score that has to improve, and not the training loss.
    tol : float or None
        By how much; None: it is trained for just as many epochs as are asked for.
    n_iter_no_change : int
        In how many epochs.
    n_threads : int
        Threads of the core.
    """

    settings: Mapping[str, object]
    schedule: Schedule
    batch_size: int
    early_stopping: bool
    tol: float | None
    n_iter_no_change: int
    n_threads: int


@dataclass(frozen=True, slots=True)
class TrainingState:
    """All that the next epoch depends on, beside the data and the plan.

    Parameters
    ----------
    seed : int
        Key of the shuffling, of the split and of dropout.
    solver : str
        The solver that the moments belong to.
    parameters : ndarray of shape (P,)
        Flat vector of parameters.
    moments : ndarray of shape (n_state, P)
        State of the solver.
    n_steps : int
        Steps that the solver has made.
    best_score : float
        Highest validation score of an epoch; without early stopping, minus its lowest loss.
    best_epoch : int
        Number of that epoch, from 1.
    best_parameters : ndarray of shape (P,) or None
        Those after that epoch, with early stopping.
    n_stale : int
        Epochs in a row that were not better than the best one by ``tol``.
    n_flat : int
        The same since the learning rate was lowered the last time.
    n_plateaus : int
        How often it was lowered.
    history : tuple of dict
        One entry per epoch, see `epoch_entry`.
    """

    seed: int
    solver: str
    parameters: FloatArray
    moments: FloatArray
    n_steps: int = 0
    best_score: float = float("-inf")
    best_epoch: int = 0
    best_parameters: FloatArray | None = None
    n_stale: int = 0
    n_flat: int = 0
    n_plateaus: int = 0
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
        What is learnt.
    plan : TrainingPlan
        How it is learnt.

    Attributes
    ----------
    layout : dict
        Name → (shape, offset) of every array in the parameters.
    state : TrainingState
        As of the last epoch that is over.
    converged : bool
        Whether there was no more improvement when `run` ended.
    learning_rate : float or None
        Replaces the base rate of the schedule in the epochs to come, unless it is None.
    """

    def __init__(self, spec: NetworkSpec, data: TrainingData, plan: TrainingPlan) -> None:
        self._data = data
        self._plan = plan
        network = spec.build_network()
        self._trainer = spec.build_trainer(network, plan.settings)
        self._score: Callable[[FloatArray], float] | None = None
        self.layout = layout_of(network)
        self.converged = False
        self.learning_rate: float | None = None
        self.state: TrainingState

    def start(
        self, seed: int, parameters: FloatArray, *, history: Iterable[dict[str, float]] = ()
    ) -> None:
        """Begin with given parameters, after given epochs, and a solver that has made no step."""
        moments = np.zeros((self._trainer.n_state, len(parameters)), parameters.dtype)
        solver = str(self._plan.settings["solver"])
        self.state = TrainingState(seed, solver, parameters, moments, history=tuple(history))

    def resume(self, state: TrainingState, *, ends_with_it: bool = False) -> None:
        """Begin where another training of the same network ended.

        Parameters
        ----------
        state : TrainingState
            Its state.
        ends_with_it : bool, default=False
            Whether nothing is left to do where it had converged; else one epoch at least is made.
        """
        if self._plan.early_stopping != (state.best_parameters is not None):
            # What was the best loss says nothing of validation scores, and the other way round.
            state = replace(state, best_score=-np.inf, best_parameters=None, n_stale=0, n_flat=0)
        self.state = state
        self.converged = ends_with_it and self._is_stale

    def validate_with(self, score: Callable[[FloatArray], float]) -> None:
        """Let a function of the parameters, the higher the better, judge every epoch."""
        self._score = score

    def loss(self, data: TrainingData, parameters: FloatArray) -> float:
        """Return the mean loss of some data, without dropout."""
        # Sequences of like lengths together make batches that keep all threads busy.
        order = np.argsort(-data.sequences.lengths[data.rows], kind="stable")
        batches = data.batches(order, _EVALUATION_BATCH)
        loss, weight = self._trainer.evaluate(
            parameters, batches, data.targets, data.weights, n_threads=self._plan.n_threads
        )
        return float(loss / weight)

    @property
    def schedule(self) -> Schedule:
        """Learning rates, as the plan has them."""
        return self._plan.schedule

    @property
    def _is_stale(self) -> bool:
        return self._plan.tol is not None and self.state.n_stale >= self._plan.n_iter_no_change

    def run(
        self, begin_epoch: Callable[[], _T], end_epoch: Callable[[_T], bool], *, n_epochs: int
    ) -> None:
        """Train for ``n_epochs`` epochs, or until there is no more improvement.

        Parameters
        ----------
        begin_epoch : callable
            Called before each epoch.
        end_epoch : callable
            Called after each epoch, when `state` is new, with what ``begin_epoch`` returned; what
            it returns says whether to stop.
        n_epochs : int
            The most epochs.

        Raises
        ------
        ValueError
            If the loss or a parameter is not finite after an epoch; the state is then that of the
            epoch before.
        """
        last = self.state.n_epochs + n_epochs
        while self.state.n_epochs < last and not self.converged:
            begun = begin_epoch()
            self.state = self._judged(self._epoch(self.state))
            self.converged = self._is_stale
            if end_epoch(begun):
                return

    def try_rates(self, rates: NDArray[np.float64]) -> Iterator[float]:
        """Make a step with each of some learning rates, and yield the loss of its batch before it.

        The batches are those of the epochs to come, the last and smaller one of each left out
        where there are others. `state` remains.
        """
        state, data, size = self.state, self._data, self._plan.batch_size
        parameters, moments = state.parameters.copy(), state.moments.copy()
        n_samples = len(data.rows)
        n_batches = max(1, n_samples // size)
        for step, rate in enumerate(rates):
            epoch, batch = divmod(step, n_batches)
            order = _shuffled(n_samples, state.seed, state.n_epochs + epoch)
            sums = self._trainer.run(
                parameters,
                moments,
                state.n_steps + step,
                data.batches(order[batch * size : (batch + 1) * size], size),
                data.targets,
                data.weights,
                seed=state.seed,
                epoch=state.n_epochs + epoch,
                learning_rate=float(rate),
                n_threads=self._plan.n_threads,
            )
            yield sums["loss"] / sums["weight"]

    def record(self, **values: float) -> None:
        """Add values to the record of the last epoch."""
        *before, entry = self.state.history
        self.state = replace(self.state, history=(*before, entry | values))

    def _rates(self, state: TrainingState, n_steps: int) -> NDArray[np.float64]:
        schedule = self._plan.schedule
        if self.learning_rate is not None:
            schedule = replace(schedule, learning_rate=self.learning_rate)
        return schedule.rates(state.n_epochs, n_steps=n_steps, n_plateaus=state.n_plateaus)

    def _epoch(self, state: TrainingState) -> TrainingState:
        """Return the state after one more epoch; ``state`` and its arrays stay as they are."""
        began = perf_counter()
        data, plan = self._data, self._plan
        parameters, moments = state.parameters.copy(), state.moments.copy()
        order = _shuffled(len(data.rows), state.seed, state.n_epochs)
        rates = self._rates(state, -(-len(order) // plan.batch_size))
        sums = self._trainer.run(
            parameters,
            moments,
            state.n_steps,
            data.batches(order, plan.batch_size),
            data.targets,
            data.weights,
            seed=state.seed,
            epoch=state.n_epochs,
            learning_rate=rates,
            n_threads=plan.n_threads,
        )
        entry = epoch_entry(
            state.n_epochs + 1,
            sums,
            n_steps=len(rates),
            learning_rate=float(rates[-1]),
            n_samples=len(order),
            seconds=perf_counter() - began,
        )
        loss = entry["loss"]
        if not (np.isfinite(loss) and np.isfinite(parameters).all()):
            raise ValueError(
                f"Training diverged in epoch {state.n_epochs + 1}: the loss is {loss} or a "
                "parameter is not finite. Scale X, or lower learning_rate or max_grad_norm."
            )
        return replace(
            state,
            parameters=parameters,
            moments=moments,
            n_steps=state.n_steps + len(rates),
            history=(*state.history, entry),
        )

    def _judged(self, state: TrainingState) -> TrainingState:
        """Return the state with the last epoch compared with the best one so far."""
        plan, entry = self._plan, state.history[-1]
        score = -entry["loss"]
        if self._score is not None:
            entry["validation_score"] = self._score(state.parameters)
            if plan.early_stopping:
                score = entry["validation_score"]
        if score > state.best_score:
            best = state.parameters if plan.early_stopping else None
            better = replace(
                state, best_score=score, best_epoch=state.n_epochs, best_parameters=best
            )
        else:
            better = state
        improved = score >= state.best_score + (plan.tol or 0.0) and better is not state
        n_stale = 0 if improved or plan.tol is None else state.n_stale + 1
        n_flat = 0 if improved else state.n_flat + 1
        lowered = plan.schedule.kind == "plateau" and n_flat >= plan.schedule.decay_epochs
        return replace(
            better,
            n_stale=n_stale,
            n_flat=0 if lowered else n_flat,
            n_plateaus=state.n_plateaus + lowered,
        )


def _shuffled(n: int, seed: int, epoch: int) -> IndexArray:
    """Return the order of an epoch, from a stream of numbers that NumPy has frozen for good."""
    # RandomState and not Generator, whose methods may draw otherwise in another release of NumPy.
    bits = np.random.MT19937(np.random.SeedSequence(seed, spawn_key=(epoch,)))
    return np.random.RandomState(bits).permutation(n).astype(np.intp, copy=False)
