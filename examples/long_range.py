"""What an LSTM was made for: two things that are far apart belong together.

Two tasks after Hochreiter and Schmidhuber (Long short-term memory, 1997), drawn at random without
end, for sequences of 100, 200 and 400 steps; an LSTM and a plain RNN get the same sequences.

adding  (their experiment 4) Each step has a number from 0 to 1 and a marker. One step in the first
        half is marked and one in the second: what is the sum of the two numbers? Who always answers
        1 has a mean squared error of 1/6. Learnt: at most 0.005.
copy    (their experiment 2) The first two steps show symbols, each one of four; after that nothing
        comes but, now and then, a symbol of another kind that means nothing. At the end: which two
        came first, in which order? One class for each of the 16 answers: an estimator answers once
        for a sequence, so the symbols are recalled at once, not written out step by step. Who
        guesses is right once in 16 times. Learnt: at least 99 %.

Each epoch has new sequences. Training ends when fresh sequences are answered well enough, or after
--epochs; the RNN gets as many as that.

    python examples/long_range.py --plot flow.png
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcore import GradientFlowDisplay, LSTMClassifier, LSTMRegressor
from lstmcore.cells import LSTMCell, RNNCell

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_KINDS = 4
NOISE = 0.1  # share of the steps after the symbols that show something
N_TEST = 500

# Steps are clipped to norm 1, which is the default of the estimators. The forget bias keeps the
# gates open at first: 3 leaves 95 % of a state at each step, 4 leaves 98 %.
SETTINGS: dict[str, Any] = {"hidden_size": 32, "batch_size": 32, "tol": None, "max_iter": 1}
FORGET_BIAS = {"adding": 3.0, "copy": 4.0}
LEARNING_RATE = {"adding": 1e-2, "copy": 3e-3}


@dataclass(frozen=True)
class Outcome:
    """How a network did."""

    model: Any
    score: float
    learnt: bool
    epochs: int
    seconds: float


def adding(n: int, n_steps: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """X (n, T, 2), numbers and markers; y (n,), sums."""
    X = np.zeros((n, n_steps, 2), np.float32)
    X[:, :, 0] = rng.random((n, n_steps))
    rows, half = np.arange(n), n_steps // 2
    first, second = rng.integers(0, half, n), rng.integers(half, n_steps, n)
    X[rows, first, 1] = X[rows, second, 1] = 1
    return X, X[rows, first, 0] + X[rows, second, 0]


def copy(n: int, n_steps: int, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """X (n, T, 8), symbols, one-hot or 0; y (n,), from 0 to 15: which two came first."""
    symbols = rng.integers(N_KINDS, 2 * N_KINDS, (n, n_steps))
    symbols[:, :2] = rng.integers(0, N_KINDS, (n, 2))
    X = np.eye(2 * N_KINDS, dtype=np.float32)[symbols]
    X[:, 2:] *= rng.random((n, n_steps - 2, 1)) < NOISE
    return X, N_KINDS * symbols[:, 0] + symbols[:, 1]


TASKS = {"adding": adding, "copy": copy}


def network(task: str, cell: str, seed: int) -> Any:
    """An untrained network."""
    kind = LSTMCell(forget_bias=FORGET_BIAS[task]) if cell == "LSTM" else RNNCell()
    settings = SETTINGS | {"cell": kind, "learning_rate": LEARNING_RATE[task]}
    return (LSTMRegressor if task == "adding" else LSTMClassifier)(**settings, random_state=seed)


def train(
    task: str, cell: str, n_steps: int, *, n_epochs: int, n_samples: int, seed: int
) -> Outcome:
    """Train a network on new sequences in every epoch until it answers fresh ones well."""
    rng = np.random.default_rng([seed, n_steps])
    X_test, y_test = TASKS[task](N_TEST, n_steps, rng)
    model = network(task, cell, seed)
    known = {"classes": np.arange(N_KINDS**2)} if task == "copy" else {}
    seconds, score, learnt, epochs = 0.0, np.nan, False, 0
    while epochs < n_epochs and not learnt:
        X, y = TASKS[task](n_samples, n_steps, rng)
        start = time.perf_counter()
        model.partial_fit(X, y, **known)
        seconds += time.perf_counter() - start
        if task == "adding":
            score = float(np.mean((model.predict(X_test) - y_test) ** 2))
            learnt = score <= 0.005
        else:
            score = float(model.score(X_test, y_test))
            learnt = score >= 0.99
        epochs += 1
    return Outcome(model, score, learnt, epochs, seconds)


def plot(path: str, task: str, n_steps: int, outcomes: dict[str, Outcome], seed: int) -> None:
    """Draw how far the gradients of both networks reach back, before training and after it."""
    X, y = TASKS[task](50, n_steps, np.random.default_rng(seed + 1))
    ax = None
    for color, (cell, outcome) in zip(("C0", "C1"), outcomes.items(), strict=True):
        first = network(task, cell, seed)
        first.set_params(learning_rate=1e-12).fit(X, y)
        for model, name, style in (
            (first, f"{cell}, untrained", "--"),
            (outcome.model, f"{cell}, trained", "-"),
        ):
            display = GradientFlowDisplay.from_estimator(
                model, X, name=name, ax=ax, color=color, linestyle=style
            )
            ax = display.ax_
    display.ax_.set_title(f"{task}, {n_steps} steps")
    display.figure_.savefig(path)


def main() -> None:
    """Train, test, print and plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--lengths", nargs="+", type=int, default=[100, 200, 400])
    parser.add_argument("--epochs", type=int, default=20, help="at most so many for each network")
    parser.add_argument("--samples", type=int, default=4000, help="sequences of an epoch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--plot", metavar="FILE", help="draw gradients by lag, of the last task and length"
    )
    options = parser.parse_args()
    if min(options.lengths) < 4:
        parser.error(f"--lengths must be at least 4, got {min(options.lengths)}")
    for name in ("epochs", "samples"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    print("task    steps  cell  measure     result  learnt  epochs  seconds")
    for task in options.tasks:
        measure = "error" if task == "adding" else "accuracy"
        for n_steps in options.lengths:
            outcomes = {}
            for cell in ("LSTM", "RNN"):
                outcome = outcomes[cell] = train(
                    task,
                    cell,
                    n_steps,
                    n_epochs=options.epochs,
                    n_samples=options.samples,
                    seed=options.seed,
                )
                print(
                    f"{task:7} {n_steps:5}  {cell:4}  {measure:8} {outcome.score:9.4f}  "
                    f"{'yes' if outcome.learnt else 'no':6}  {outcome.epochs:6}  "
                    f"{outcome.seconds:7.1f}",
                    flush=True,
                )
    if options.plot:
        plot(options.plot, task, n_steps, outcomes, options.seed)


if __name__ == "__main__":
    main()
