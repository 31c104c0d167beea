"""The oracle of connected stacks is right: finite differences, torch, and mutants of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference_stacks
from cases import TOLERANCE, Case, assert_matches, ragged
from cell_cases import NORMALISED
from core.test_oracle import numerical_gradient
from mutation import mutate
from reference_cells import Cell
from reference_stacks import Connections
from stack_cases import ALL_CELLS, BOTH_WAYS, CONNECTIONS, RESIDUAL_BOTH_WAYS, draw, run_oracle

SMALL = Case("small", 2, (3, 3), (3, 2, 2, 0))


@pytest.mark.parametrize(
    ("cell", "connections"),
    [
        *((Cell("gru"), some) for some in CONNECTIONS),
        (NORMALISED, RESIDUAL_BOTH_WAYS),
        (Cell("lstm", (("proj_size", 2), ("layer_norm", True))), RESIDUAL_BOTH_WAYS),
    ],
    ids=str,
)
def test_gradients_are_finite_differences(cell: Cell, connections: Connections) -> None:
    p = draw(cell, connections, SMALL)
    results = run_oracle(p)

    def objective() -> float:
        y, h_n, c_n, _ = reference_stacks.stack_forward(
            cell, connections, p.split(p.parameters), p.x, p.n_active, p.h0, p.c0
        )
        pairs = [(y, p.dy), *zip(h_n, p.dh_n, strict=True)]
        if cell.has_c:
            pairs += zip(c_n, p.dc_n, strict=True)
        return float(sum((value * weight).sum() for value, weight in pairs))

    layers = range(len(p.h0))
    flat = [results[f"d{name}_{k}"] for k in layers for name in p.split(p.parameters)[k]]
    analytic = {
        "x": (p.x, results["dx"]),
        **{f"h0_{k}": (p.h0[k], results[f"dh0_{k}"]) for k in layers},
        **{f"c0_{k}": (p.c0[k], results[f"dc0_{k}"]) for k in layers if cell.has_c},
        "parameters": (p.parameters, np.concatenate([a.ravel() for a in flat])),
    }
    for name, (at, gradient) in analytic.items():
        expected = numerical_gradient(objective, at)
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-7, err_msg=name)


KNOWN_TO_TORCH = {"relu", "proj_size"}
TORCH = [cell for cell in ALL_CELLS if dict(cell.options).keys() <= KNOWN_TO_TORCH]

MATRICES = {"weight_ih", "weight_hh", "weight_hr"}


def torch_module(torch: Any, cell: Cell, *sizes: int) -> Any:
    """torch's bidirectional layers of the same cell."""
    cls = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell.kind]
    more: dict[str, Any] = {}
    if cell.kind == "rnn":
        more["nonlinearity"] = "relu" if cell.get("relu") else "tanh"
    if cell.get("proj_size"):
        more["proj_size"] = cell.get("proj_size")
    return cls(*sizes, bidirectional=True, dtype=torch.float64, **more)


@pytest.mark.parametrize("cell", TORCH, ids=str)
def test_layers_are_torchs(cell: Cell) -> None:
    torch = pytest.importorskip("torch", reason="torch, the second oracle, is not installed")
    H = 5
    p = draw(cell, BOTH_WAYS, Case("torch", 3, (H, H), ragged(2, 6, 7)))
    module = torch_module(torch, cell, 3, H, 2)
    suffixes = ("_l0", "_l0_reverse", "_l1", "_l1_reverse")
    for suffix, weights in zip(suffixes, p.split(p.parameters), strict=True):
        for name in weights.keys() & MATRICES:
            getattr(module, name + suffix).data = torch.from_numpy(weights[name].copy())
        getattr(module, f"bias_ih{suffix}").data = torch.from_numpy(weights["bias"].copy())
        hidden_bias = getattr(module, f"bias_hh{suffix}").data.zero_()
        if cell.kind == "gru":
            hidden_bias[-H:] = torch.from_numpy(weights["bias_hn"].copy())
    x = torch.from_numpy(p.x.copy()).requires_grad_()
    states = [torch.from_numpy(np.stack(s)).requires_grad_() for s in (p.h0, p.c0)]
    packed = torch.nn.utils.rnn.PackedSequence(x, torch.from_numpy(p.n_active.copy()))
    y, after = module(packed, tuple(states) if cell.has_c else states[0])
    after = after if cell.has_c else (after,)
    total = (y.data * torch.from_numpy(p.dy)).sum()
    for value, weight in zip(after, (p.dh_n, p.dc_n), strict=False):
        total = total + (value * torch.from_numpy(np.stack(weight))).sum()
    total.backward()
    expected = {"y": y.data, "dx": x.grad}
    for letter, value, before in zip("hc", after, states, strict=False):
        expected |= {f"{letter}_n_{k}": value[k] for k in range(4)}
        expected |= {f"d{letter}0_{k}": before.grad[k] for k in range(4)}
    for k, suffix in enumerate(suffixes):
        for name in p.split(p.parameters)[k].keys() & MATRICES:
            expected[f"d{name}_{k}"] = getattr(module, name + suffix).grad
        expected[f"dbias_{k}"] = getattr(module, f"bias_ih{suffix}").grad
        if cell.kind == "gru":
            expected[f"dbias_hn_{k}"] = getattr(module, f"bias_hh{suffix}").grad[-H:]
    results = run_oracle(p)
    assert expected.keys() == results.keys()
    assert_matches(results, {name: expected[name].detach().numpy() for name in results}, 1e-12)


CONCATENATED = "x = np.concatenate(outputs, axis=1)"
ADDED = "            x = x + below"
GRADIENT = "dy = dx + above if connections.residual and first > 0 else dx"

MUTANTS = [
    ("reads forward twice", "rows = x if k == first else x[back]", "rows = x"),
    (
        "not turned around again",
        "outputs.append(y if k == first else y[back])",
        "outputs.append(y)",
    ),
    (
        "turned around as if of equal length",
        "starts[lengths[n] - 1 - t] + n",
        "starts[len(n_active) - 1 - t] + n % n_active[len(n_active) - 1 - t]",
    ),
    ("directions swapped", CONCATENATED, CONCATENATED.replace("outputs", "outputs[::-1]")),
    ("input not added", ADDED, ADDED.replace("+ below", "+ 0 * below")),
    ("added in the wrong place", ADDED, "            x = below + 0 * x"),
    ("dy not turned around", "dy_parts[1][back]", "dy_parts[1]"),
    ("dx not turned around", "(rows if k == first else rows[back])", "rows"),
    ("dx of one direction alone", "dx = dx + (rows", "dx = 0 * dx + (rows"),
    ("gradient not passed by", GRADIENT, "dy = dx"),
    ("gradient passed by twice", GRADIENT, GRADIENT.replace("+ above", "+ 2 * above")),
    ("residual everywhere", GRADIENT, GRADIENT.replace("connections.residual and ", "")),
]


@pytest.mark.parametrize(("old", "new"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS])
def test_every_mutant_is_caught(old: str, new: str) -> None:
    mutant = mutate(old, new, reference_stacks)
    case = Case("mutants", 8, (4, 4), (5, 5, 3, 1, 0))
    caught = 0
    for connections in (BOTH_WAYS, RESIDUAL_BOTH_WAYS):
        p = draw(Cell("gru"), connections, case)
        try:
            assert_matches(
                run_oracle(p, mutant), run_oracle(p), 100 * TOLERANCE[np.dtype(np.float32)]
            )
        except AssertionError:
            caught += 1
    assert caught
