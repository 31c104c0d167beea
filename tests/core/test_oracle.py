"""The oracle is right: by hand, against finite differences and against torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import reference
from cases import Case, Problem, assert_matches, draw, ragged, run_reference, split
from reference import Array

SMALL = [
    Case("one-layer", 3, (4,), ragged(0, 5, 6, 1)),
    Case("two-layers", 2, (3, 4), ragged(1, 4, 5)),
    Case("three-widths", 3, (2, 4, 1), (4, 4, 2, 0)),
]


def numerical_gradient(f: Callable[[], float], at: Array) -> Array:
    """Central differences of f by each entry of an array that f reads.

    Steps are small: bounds and other kinks are rarely between two of them, and normalised, few
    units are as steep as a sign.
    """
    step = 1e-6
    gradient = np.empty_like(at)
    for index in np.ndindex(at.shape):
        here = at[index]
        at[index] = here + step
        above = f()
        at[index] = here - step
        gradient[index] = (above - f()) / (2 * step)
        at[index] = here
    return gradient


def stack_objective(p: Problem) -> float:
    """A number whose gradient is what the backward pass gives for dy, dh_n and dc_n."""
    y, h_n, c_n, _ = reference.stack_forward(
        split(p.case, p.parameters), p.x, p.n_active, p.h0, p.c0
    )
    pairs = zip([y, *h_n, *c_n], [p.dy, *p.dh_n, *p.dc_n], strict=True)
    return float(sum((value * weight).sum() for value, weight in pairs))


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_gradients_of_the_stack_are_finite_differences(case: Case) -> None:
    problem = draw(case)
    results = run_reference(problem)
    layers = range(len(case.hidden_sizes))
    analytic = {
        "x": (problem.x, results["dx"]),
        **{f"h0_l{k}": (problem.h0[k], results[f"dh0_l{k}"]) for k in layers},
        **{f"c0_l{k}": (problem.c0[k], results[f"dc0_l{k}"]) for k in layers},
        "parameters": (
            problem.parameters,
            np.concatenate(
                [results[f"d{name}_l{k}"].ravel() for k in layers for name in ("W_ih", "W_hh", "b")]
            ),
        ),
    }
    for name, (at, gradient) in analytic.items():
        expected = numerical_gradient(lambda: stack_objective(problem), at)
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize(
    "loss", ["softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error", "huber"]
)
def test_gradient_of_the_network_is_finite_differences(
    loss: str, pooling: str, rng: np.random.Generator
) -> None:
    embeddings = ((1, 4, 2),)
    network = reference.Network(2, (2, 3), 3, pooling, embeddings)
    lengths = (4, 3, 1, 0)
    n_active = reference.active_counts(lengths)
    attention = 3 * 5 if pooling == "attention" else 0
    parameters = rng.standard_normal(sum((4 * 2 * 6, 4 * 3 * 6, attention, 3 * 4, 4 * 2)))
    x = rng.standard_normal((sum(lengths), 2))
    x[:, 1] = rng.integers(0, 4, len(x))
    targets = rng.integers(0, 3, 4) if loss.startswith("softmax") else rng.random((4, 3))
    weight = rng.uniform(0.2, 2, 4)
    masks = [rng.integers(0, 2, shape) * 2.0 for shape in ((len(x), 2), (4, 3))]

    def run() -> tuple[float, Array]:
        return network.loss_and_gradient(
            parameters,
            x,
            n_active,
            targets,
            loss=loss,
            sample_weight=weight,
            huber_delta=0.7,
            masks=masks,
        )

    expected = numerical_gradient(lambda: run()[0], parameters)
    np.testing.assert_allclose(run()[1], expected, rtol=0, atol=1e-8)


def test_two_steps_of_one_unit_by_hand() -> None:
    """Gates i, f, g, o with formulas written out for I = H = 1, T = 2."""
    w_ih, w_hh, b = [0.3, -0.8, 1.1, 0.6], [-0.7, 0.4, 0.9, -1.2], [0.1, 1.0, -0.2, 0.5]
    h, c = 0.25, -0.4
    expected = []
    for x in (0.9, -1.3):
        zi, zf, zg, zo = (w_ih[k] * x + w_hh[k] * h + b[k] for k in range(4))
        i, f, o = (1 / (1 + math.exp(-z)) for z in (zi, zf, zo))
        c = f * c + i * math.tanh(zg)
        h = o * math.tanh(c)
        expected.append(h)
    weights = reference.Weights(np.array(w_ih)[:, None], np.array(w_hh)[:, None], np.array(b))
    y, h_n, c_n, _ = reference.lstm_forward(
        weights, np.array([[0.9], [-1.3]]), np.array([1, 1]), np.array([[0.25]]), np.array([[-0.4]])
    )
    np.testing.assert_allclose(y[:, 0], expected, rtol=1e-15)
    np.testing.assert_allclose([h_n[0, 0], c_n[0, 0]], [h, c], rtol=1e-15)


def test_packing_by_hand() -> None:
    """Sequences of 1, 3, 0 and 3 steps: the long ones first, in their order, the empty one last."""
    lengths = [1, 3, 0, 3]
    assert reference.packed_order(lengths).tolist() == [1, 3, 0, 2]
    assert reference.active_counts(lengths).tolist() == [3, 2, 2]
    in_order = [np.array(s, float).reshape(-1, 1) for s in ([1, 2, 3], [4, 5, 6], [7], [])]
    rows = reference.pack(in_order)
    assert rows[:, 0].tolist() == [1, 4, 7, 2, 5, 3, 6]
    back = reference.unpack(rows, reference.active_counts(lengths), 4)
    assert [s[:, 0].tolist() for s in back] == [[1, 2, 3], [4, 5, 6], [7], []]


@pytest.mark.parametrize(
    "case", [Case(c.name, c.input_size, c.hidden_sizes, ragged(2, 6, 7)) for c in SMALL], ids=str
)
def test_stack_is_torchs(case: Case) -> None:
    """Sequences without steps left out: torch refuses them in a packed sequence."""
    torch = pytest.importorskip("torch", reason="torch, the second oracle, is not installed")
    problem = draw(case)

    def leaf(array: Array) -> object:
        return torch.from_numpy(array.copy()).requires_grad_()

    x, results = leaf(problem.x), run_reference(problem)
    h = [leaf(a) for a in problem.h0]
    c = [leaf(a) for a in problem.c0]
    cells, y = [], torch.nn.utils.rnn.PackedSequence(x, torch.from_numpy(problem.n_active.copy()))
    objective = 0
    for level, weights in enumerate(split(case, problem.parameters)):
        # nn.LSTM stacks layers of one width only
        n_hidden, n_inputs = weights.W_hh.shape[1], weights.W_ih.shape[1]
        cell = torch.nn.LSTM(n_inputs, n_hidden, dtype=torch.float64)
        for name, value in zip(("weight_ih", "weight_hh", "bias_ih"), weights, strict=True):
            getattr(cell, f"{name}_l0").data = torch.from_numpy(value)
        cell.bias_hh_l0.data.zero_()
        y, (h_n, c_n) = cell(y, (h[level][None], c[level][None]))
        objective += (h_n[0] * torch.from_numpy(problem.dh_n[level])).sum()
        objective += (c_n[0] * torch.from_numpy(problem.dc_n[level])).sum()
        cells.append((cell, h_n[0], c_n[0]))
    objective += (y.data * torch.from_numpy(problem.dy)).sum()
    objective.backward()
    expected = {"y": y.data, "dx": x.grad}
    for level, (cell, h_n, c_n) in enumerate(cells):
        expected |= {
            f"h_n_l{level}": h_n,
            f"c_n_l{level}": c_n,
            f"dh0_l{level}": h[level].grad,
            f"dc0_l{level}": c[level].grad,
            f"dW_ih_l{level}": cell.weight_ih_l0.grad,
            f"dW_hh_l{level}": cell.weight_hh_l0.grad,
            f"db_l{level}": cell.bias_ih_l0.grad,
        }
    assert_matches(results, {k: v.detach().numpy() for k, v in expected.items()}, 1e-13)


@pytest.mark.parametrize(
    "loss", ["softmax_cross_entropy", "sigmoid_cross_entropy", "squared_error", "huber"]
)
def test_losses_are_torchs(loss: str, rng: np.random.Generator) -> None:
    """The loss of one sample is torch's with its default reduction, for that sample alone."""
    torch = pytest.importorskip("torch", reason="torch, the second oracle, is not installed")
    functional = torch.nn.functional
    theirs = {
        "softmax_cross_entropy": functional.cross_entropy,
        "sigmoid_cross_entropy": functional.binary_cross_entropy_with_logits,
        "squared_error": functional.mse_loss,
        "huber": lambda z, t: functional.huber_loss(z, t, delta=0.8),
    }[loss]
    z = rng.standard_normal((6, 4)) * 3
    targets = rng.integers(0, 4, 6) if loss.startswith("softmax") else rng.random((6, 4))
    each, dz = reference.loss_forward(loss, z, targets, 0.8)
    for n in range(6):
        row = torch.from_numpy(z[n : n + 1]).requires_grad_()
        value = theirs(row, torch.from_numpy(targets[n : n + 1]))
        value.backward()
        np.testing.assert_allclose(each[n], value.item(), rtol=1e-13)
        np.testing.assert_allclose(dz[n], row.grad.numpy()[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("weight_decay", [0.0, 0.03])
@pytest.mark.parametrize("max_grad_norm", [np.inf, 0.5])
@pytest.mark.parametrize("solver", ["adam", "adamw", "sgd", "rmsprop"])
def test_solvers_are_torchs(
    solver: str, max_grad_norm: float, weight_decay: float, rng: np.random.Generator
) -> None:
    torch = pytest.importorskip("torch", reason="torch, the second oracle, is not installed")
    p = rng.standard_normal(9)
    state = np.zeros(({"adam": 2, "adamw": 2}.get(solver, 1), 9))
    theirs = torch.from_numpy(p.copy()).requires_grad_()
    optimiser = {
        "adam": lambda ps: torch.optim.Adam(ps, 0.05, (0.8, 0.95), 1e-6, weight_decay),
        "adamw": lambda ps: torch.optim.AdamW(ps, 0.05, (0.8, 0.95), 1e-6, weight_decay),
        "sgd": lambda ps: torch.optim.SGD(ps, 0.05, momentum=0.7, weight_decay=weight_decay),
        "rmsprop": lambda ps: torch.optim.RMSprop(ps, 0.05, eps=1e-6, weight_decay=weight_decay),
    }[solver]([theirs])
    for step in range(1, 6):
        gradient = rng.standard_normal(9)
        p, state = reference.solver_step(
            solver,
            p,
            gradient,
            state,
            step,
            learning_rate=0.05,
            beta1=0.8,
            beta2=0.95,
            epsilon=1e-6,
            momentum=0.7,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
        )
        theirs.grad = torch.from_numpy(gradient)
        torch.nn.utils.clip_grad_norm_([theirs], max_grad_norm)
        optimiser.step()
    np.testing.assert_allclose(p, theirs.detach().numpy(), rtol=1e-12)
