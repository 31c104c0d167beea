"""Faults of what stands above the layers are noticed: pooling, losses, weights, optimisers."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import reference
import reference_heads
from cases import TOLERANCE, Results, assert_matches
from mutation import mutate
from networks import (
    LOSSES,
    N_STATE,
    POOLINGS,
    SOLVERS,
    Spec,
    draw_data,
    draw_parameters,
    packed_of,
)

LENGTHS = (4, 0, 6, 1, 6, 3)
EMBEDDINGS = ((0, 3, 4), (2, 5, 2))

# what is wrong, the text of the oracle, what stands there instead
MUTANTS = [
    ("first step instead of last", '"last": lambda s: s[-1]', '"last": lambda s: s[0]'),
    ("sum instead of mean", "lambda s: s.mean(axis=0)", "lambda s: s.sum(axis=0)"),
    ("minimum instead of maximum", "lambda s: s.max(axis=0)", "lambda s: s.min(axis=0)"),
    ("maximum also of zero", "lambda s: s.max(axis=0)", "lambda s: s.max(axis=0, initial=0)"),
    ("gradient to the first step", "dy[-1] = d", "dy[0] = d"),
    ("gradient of the mean not divided", "dy[:] = d / len(sequence)", "dy[:] = d"),
    ("maximum at the first step", "dy[sequence.argmax(", "dy[0 * sequence.argmax("),
    ("softmax without the label", "softmax(z) - one_hot", "softmax(z)"),
    ("label next to the right one", "np.eye(n_outputs)[t", "np.eye(n_outputs)[-1 + t"),
    ("sigmoid of targets", "(sigmoid(z) - targets) / n", "(z - targets) / n"),
    ("sum over outputs", "return each.mean(axis=1), (sig", "return each.sum(axis=1), (sig"),
    ("half squared error", "return (error**2).mean(", "return 0.5 * (error**2).mean("),
    ("squared gradient not divided", "2 * error / n_outputs", "2 * error"),
    ("huber of 1 always", "np.clip(error, -huber_delta, huber_delta)", "np.clip(error, -1, 1)"),
    ("huber without its offset", "(np.abs(error) - huber_delta / 2)", "np.abs(error)"),
    ("weights ignored in the gradient", "(weight / weight.sum())", "(0 * weight + 1 / n)"),
    ("weights ignored in the loss", "np.average(each, weights=weight)", "each.mean()"),
    ("weights not divided out", "np.average(each, weights=weight)", "(weight * each).mean()"),
    ("no bias of the head", "pooled @ head_weight.T + head_bias, t", "pooled @ head_weight.T, t"),
    ("head gradients averaged", "pooled, dz.sum(axis=0), *", "pooled, dz.mean(axis=0), *"),
    ("clipped always", "min(1.0, max_norm", "min(np.inf, max_norm"),
    ("clipped by the sum of squares", "np.sqrt((gradient**2).sum())", "(gradient**2).sum()"),
    ("decay not decoupled", 'if solver == "adamw":', 'if solver == "none":'),
    ("decoupled decay without rate", "(1 - learning_rate * weight_decay)", "(1 - weight_decay)"),
    ("no decay", "g = g + weight_decay * p", "pass"),
    ("m without correction", "m / (1 - beta1**step)", "m"),
    ("v without correction", "v / (1 - beta2**step)", "v"),
    ("betas swapped", "m = beta1 * state[0] + (1 - beta1)", "m = beta2 * state[0] + (1 - beta2)"),
    ("epsilon inside the root", "(np.sqrt(v_hat) + epsilon)", "np.sqrt(v_hat + epsilon)"),
    ("dampened momentum", "momentum * state[0] + g", "momentum * (state[0] - g) + g"),
    ("nesterov", "rate * velocity,", "rate * (g + momentum * velocity),"),
    ("rmsprop of the gradient", "0.99 * state[0] + 0.01 * g**2", "0.99 * state[0] + 0.01 * g"),
]  # fmt: skip


# the same of attention and embeddings
MUTANTS_OF_HEADS = [
    ("no bias in the scores", "w.W.T + w.b) @ w.q", "w.W.T) @ w.q"),
    ("no tanh in the scores", "scores = np.tanh(", "scores = ("),
    ("W transposed", "w.W.T + w.b) @ w.q", "w.W + w.b) @ w.q"),
    ("weights that do not sum to 1", "= e / e.sum()", "= e / (1 + e.sum())"),
    ("scores doubled", "np.exp(scores - scores.max())", "np.exp(2 * (scores - scores.max()))"),
    ("softmax owes nothing back", "(owed - a @ owed)", "owed"),
    ("tanh owes nothing back", "(1 - u**2)", "1.0"),
    ("nothing through the scores", "np.outer(a, d) + dv @ w.W", "np.outer(a, d)"),
    ("W transposed on the way back", "+ dv @ w.W", "+ dv @ w.W.T"),
    ("gradient of the bias is lost", "db + dv.sum(axis=0)", "db"),
    ("gradient of the query of v", "dq + u.T @ de", "dq + dv.T @ de"),
    ("first row for all tokens", "table.rows[x[:", "table.rows[0 * x[:"),
    ("token in another row", "np.add.at(gradient, x[", "np.add.at(gradient, -x["),
    ("embeddings of another column", "gradient, x[:, table.column]", "gradient, x[:, 0]"),
]  # fmt: skip


def with_embeddings(heads: ModuleType) -> Results:
    """Loss and gradients of a network with everything that stands in the module."""
    spec = Spec(pooling="attention", embeddings=EMBEDDINGS)
    data = draw_data(spec, LENGTHS, np.float64)
    x, n_active, order = packed_of(data.sequences, range(len(LENGTHS)))
    names = ("attend_forward", "attend_backward", "embed_forward", "embed_backward")
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(reference, name, getattr(heads, name))
        value, gradient = spec.oracle.loss_and_gradient(
            4 * draw_parameters(spec, np.float64), x, n_active, data.targets[order], loss=spec.loss
        )
    layers, attention, _, _, tables = spec.oracle.split(gradient)
    assert attention is not None
    arrays = [*layers[0], *attention, *(table.rows for table in tables)]
    return {"loss": np.array(value)} | {str(k): array for k, array in enumerate(arrays)}


@pytest.mark.parametrize(
    ("old", "new"), [m[1:] for m in MUTANTS_OF_HEADS], ids=[m[0] for m in MUTANTS_OF_HEADS]
)
def test_every_mutant_of_heads_is_caught(old: str, new: str) -> None:
    with pytest.raises(AssertionError, match=r"off by|not finite"):
        assert_matches(
            with_embeddings(mutate(old, new, reference_heads)),
            with_embeddings(reference_heads),
            100 * TOLERANCE[np.dtype(np.float32)],
        )


def losses_and_gradients(oracle: ModuleType) -> Results:
    """For each loss and pooling."""
    results = {}
    for loss in LOSSES:
        for pooling in POOLINGS:
            spec = Spec(loss=loss, pooling=pooling)
            data = draw_data(spec, LENGTHS, np.float64)
            x, n_active, order = packed_of(data.sequences, range(len(LENGTHS)))
            network = oracle.Network(*spec.oracle)
            value, gradient = network.loss_and_gradient(
                draw_parameters(spec, np.float64),
                x,
                n_active,
                data.targets[order],
                loss=loss,
                sample_weight=data.weights[order],
                huber_delta=0.8,
            )
            results[f"loss {loss} {pooling}"] = np.array(value)
            results[f"gradient {loss} {pooling}"] = gradient
    return results


def trained(oracle: ModuleType) -> Results:
    """Parameters after three steps of each solver, the gradient clipped in one of them."""
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(9), rng.standard_normal((3, 9)) * [[3], [0.1], [1]]
    results = {}
    for solver in SOLVERS:
        p, state = start, np.zeros((N_STATE[solver], 9))
        for step, gradient in enumerate(gradients, start=1):
            p, state = oracle.solver_step(
                solver,
                p,
                gradient,
                state,
                step,
                learning_rate=0.05,
                weight_decay=0.2,
                max_grad_norm=1.5,
                epsilon=0.01,
                momentum=0.7,
            )
        results[solver] = p
    return results


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # roots of what a mutant made
@pytest.mark.parametrize(("old", "new"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS])
def test_every_mutant_is_caught(old: str, new: str) -> None:
    mutant = mutate(old, new)
    tolerance = 100 * TOLERANCE[np.dtype(np.float32)]
    with pytest.raises(AssertionError, match=r"off by|not finite"):
        assert_matches(
            losses_and_gradients(mutant) | trained(mutant),
            losses_and_gradients(reference) | trained(reference),
            tolerance,
        )
