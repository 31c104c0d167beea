"""The oracle of the cells is right: against finite differences and, where it has them, torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference_cells
from cases import Case, assert_matches, ragged
from cell_cases import CELLS, Problem, draw, run_oracle
from core.test_oracle import numerical_gradient
from reference_cells import Cell

SMALL = [
    Case("one-layer", 3, (4,), ragged(0, 4, 5, 1)),
    Case("widths-that-differ", 3, (3, 5, 4), (4, 4, 2, 0)),
]


def objective(p: Problem) -> float:
    """A number whose gradient is what the backward pass gives for dy, dh_n and dc_n."""
    y, h_n, c_n, _ = reference_cells.stack_forward(
        p.cell, p.split(p.parameters), p.x, p.n_active, p.h0, p.c0
    )
    pairs = list(zip([y, *h_n], [p.dy, *p.dh_n], strict=True))
    if p.cell.has_c:
        pairs += list(zip(c_n, p.dc_n, strict=True))
    return float(sum((value * weight).sum() for value, weight in pairs))


@pytest.mark.parametrize("case", SMALL, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_gradients_are_finite_differences(cell: Cell, case: Case) -> None:
    problem = draw(cell, case)
    results = run_oracle(problem)
    layers = range(len(case.hidden_sizes))
    names = [f"d{name}_l{k}" for k in layers for name in problem.shapes[k]]
    analytic = {
        "x": (problem.x, results["dx"]),
        **{f"h0_l{k}": (problem.h0[k], results[f"dh0_l{k}"]) for k in layers},
        "parameters": (problem.parameters, np.concatenate([results[n].ravel() for n in names])),
    }
    if cell.has_c:
        analytic |= {f"c0_l{k}": (problem.c0[k], results[f"dc0_l{k}"]) for k in layers}
    for name, (at, gradient) in analytic.items():
        expected = numerical_gradient(lambda: objective(problem), at)
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-7, err_msg=name)


KNOWN_TO_TORCH = {"relu", "proj_size"}
TORCH = [c for c in [*CELLS, Cell("lstm")] if dict(c.options).keys() <= KNOWN_TO_TORCH]


def torch_module(torch: Any, cell: Cell, n_inputs: int, n_hidden: int) -> Any:
    """torch's layer of the same cell."""
    if cell.kind == "lstm":
        proj_size = cell.get("proj_size", 0)
        return torch.nn.LSTM(n_inputs, n_hidden, proj_size=proj_size, dtype=torch.float64)
    if cell.kind == "gru":
        return torch.nn.GRU(n_inputs, n_hidden, dtype=torch.float64)
    nonlinearity = "relu" if cell.get("relu") else "tanh"
    return torch.nn.RNN(n_inputs, n_hidden, nonlinearity=nonlinearity, dtype=torch.float64)


@pytest.mark.parametrize("cell", TORCH, ids=str)
def test_layer_is_torchs(cell: Cell) -> None:
    torch = pytest.importorskip("torch", reason="torch, the second oracle, is not installed")
    problem = draw(cell, Case("torch", 3, (5,), ragged(2, 6, 7)))
    weights = problem.split(problem.parameters)[0]
    module = torch_module(torch, cell, 3, 5)
    module.weight_ih_l0.data = torch.from_numpy(weights["weight_ih"].copy())
    module.weight_hh_l0.data = torch.from_numpy(weights["weight_hh"].copy())
    module.bias_ih_l0.data = torch.from_numpy(weights["bias"].copy())
    module.bias_hh_l0.data.zero_()
    if cell.kind == "gru":
        module.bias_hh_l0.data[-5:] = torch.from_numpy(weights["bias_hn"].copy())
    if "weight_hr" in weights:
        module.weight_hr_l0.data = torch.from_numpy(weights["weight_hr"].copy())
    x, h0, c0 = (
        torch.from_numpy(array.copy()).requires_grad_()
        for array in (problem.x, problem.h0[0], problem.c0[0])
    )
    packed = torch.nn.utils.rnn.PackedSequence(x, torch.from_numpy(problem.n_active.copy()))
    y, state = module(packed, (h0[None], c0[None]) if cell.has_c else h0[None])
    h_n, c_n = state if cell.has_c else (state, None)
    total = (y.data * torch.from_numpy(problem.dy)).sum()
    total = total + (h_n[0] * torch.from_numpy(problem.dh_n[0])).sum()
    if cell.has_c:
        total = total + (c_n[0] * torch.from_numpy(problem.dc_n[0])).sum()
    total.backward()
    expected = {
        "y": y.data,
        "dx": x.grad,
        "h_n_l0": h_n[0],
        "dh0_l0": h0.grad,
        "dweight_ih_l0": module.weight_ih_l0.grad,
        "dweight_hh_l0": module.weight_hh_l0.grad,
        "dbias_l0": module.bias_ih_l0.grad,
    }
    if cell.has_c:
        expected |= {"c_n_l0": c_n[0], "dc0_l0": c0.grad}
    if "weight_hr" in weights:
        expected["dweight_hr_l0"] = module.weight_hr_l0.grad
    if cell.kind == "gru":
        expected["dbias_hn_l0"] = module.bias_hh_l0.grad[-5:]
    assert_matches(run_oracle(problem), {k: v.detach().numpy() for k, v in expected.items()}, 1e-13)


def test_layer_norm_is_torchs() -> None:
    """Its function and its autograd, in the cell of Ba et al. 2016."""
    torch = pytest.importorskip("torch", reason="torch, the second oracle, is not installed")
    cell = Cell("lstm", (("layer_norm", True),))
    problem = draw(cell, Case("torch", 3, (5,), (6,) * 4))
    results = run_oracle(problem)
    w = {
        name: torch.from_numpy(array.copy()).requires_grad_()
        for name, array in problem.split(problem.parameters)[0].items()
    }
    x = torch.from_numpy(problem.x.reshape(6, 4, 3).copy()).requires_grad_()
    h, c = (torch.from_numpy(states[0].copy()) for states in (problem.h0, problem.c0))
    norm = torch.nn.functional.layer_norm
    y = []
    for x_t in x:
        z = norm(x_t @ w["weight_ih"].T, (20,), w["ln_ih_weight"], w["bias"])
        z = z + norm(h @ w["weight_hh"].T, (20,), w["ln_hh_weight"])
        i, f, g, o = z.split(5, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * norm(c, (5,), w["ln_c_weight"], w["ln_c_bias"]).tanh()
        y.append(h)
    total = (torch.cat(y) * torch.from_numpy(problem.dy)).sum()
    for state, gradient in ((h, problem.dh_n), (c, problem.dc_n)):
        total = total + (state * torch.from_numpy(gradient[0])).sum()
    total.backward()
    expected = {"y": torch.cat(y), "dx": x.grad.reshape(-1, 3), "h_n_l0": h, "c_n_l0": c}
    expected |= {f"d{name}_l0": array.grad for name, array in w.items()}
    ours = {name: results[name] for name in expected}
    assert_matches(ours, {k: v.detach().numpy() for k, v in expected.items()}, 1e-12)
