"""PyTorch: what comes over computes the same, and comes back with the same bits."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from interop.drawing import (
    KINDS,
    SCALES,
    SHAPES,
    assert_close,
    assert_same_parameters,
    drawn,
    parts_of,
    state_of,
)

from lstmcore.interop import from_torch, to_torch_state_dict
from lstmcore.interop._weights import make_layer
from lstmcore.layers import LSTM

torch = pytest.importorskip("torch")


TORCH_KINDS = [kind for kind in KINDS if "reset before" not in kind]


def module(
    shape: tuple[int, int, int], dtype: Any = "float32", kind: str = "lstm", **options: Any
) -> Any:
    """A module of torch with random parameters."""
    torch.manual_seed(3)
    options = {"batch_first": True, **options}
    if "rnn" in kind:
        options["nonlinearity"] = "relu" if "relu" in kind else "tanh"
    if "both" in kind:
        options["bidirectional"] = True
    cls = getattr(torch.nn, kind[:4].strip(",").upper())
    made = cls(*shape, dtype=getattr(torch, np.dtype(dtype).name), **options)
    for values in made.parameters():
        torch.nn.init.normal_(values, std=SCALES.get(kind, 0.5))
    return made.eval()


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_computes_the_same(shape: tuple[int, int, int], bias: bool, dtype: Any, kind: str) -> None:
    theirs = module(shape, dtype, kind, bias=bias, dropout=0.5 if shape[2] > 1 else 0.0)
    ours = from_torch(theirs, n_jobs=1)
    assert ours.dtype == np.dtype(dtype).name
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 6, shape[0])).astype(dtype)
    state = state_of(ours, 4, dtype)
    before = [torch.from_numpy(part) for part in parts_of(state)]
    with torch.no_grad():
        expected, after = theirs(torch.from_numpy(x), tuple(before) if before[1:] else before[0])
    y, state = ours(x, state)
    for got, want in zip((y, *parts_of(state)), (expected, *parts_of(after)), strict=True):
        assert_close(got, want.numpy(), dtype)


@pytest.mark.parametrize("kind", TORCH_KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_round_trip(shape: tuple[int, int, int], dtype: Any, kind: str) -> None:
    layer = drawn(shape, dtype, kind)
    state = to_torch_state_dict(layer)
    theirs = module(shape, dtype, kind)
    theirs.load_state_dict(state)
    assert_same_parameters(from_torch(theirs), layer)
    if "relu" not in kind:
        assert_same_parameters(from_torch(state), layer)
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        assert_same_parameters(from_torch(arrays), layer)
    x = np.random.default_rng(0).normal(size=(2, 5, shape[0])).astype(dtype)
    with torch.no_grad():
        assert_close(layer(x)[0], theirs(torch.from_numpy(x))[0].numpy(), dtype)


PROJECTIONS = [((3, 8, 1), 5), ((5, 7, 2), 1), ((2, 17, 3), 16)]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("shape", "proj_size"), PROJECTIONS, ids=str)
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_projections(
    shape: tuple[int, int, int], proj_size: int, bidirectional: bool, bias: bool, dtype: Any
) -> None:
    options: dict[str, Any] = {"proj_size": proj_size, "bidirectional": bidirectional}
    theirs = module(shape, dtype, **options, bias=bias)
    for values in theirs.parameters():
        values.data /= 2  # nothing bounds what a projection puts out
    ours = from_torch(theirs)
    assert isinstance(ours, LSTM)
    assert (ours.proj_size, ours.hidden_size) == (proj_size, shape[1])
    x = np.random.default_rng(0).normal(size=(4, 6, shape[0])).astype(dtype)
    h, c = state_of(ours, 4, dtype)
    with torch.no_grad():
        expected, after = theirs(torch.tensor(x), (torch.tensor(h), torch.tensor(c)))
    y, state = ours(x, (h, c))
    for got, want in zip((y, *state), (expected, *after), strict=True):
        assert_close(got, want.numpy(), dtype)
    # From here to there and back, through a module: not a bit is lost.
    layer = LSTM(*shape, dtype=np.dtype(dtype).name, **options)
    for values in layer.parameters.values():
        values[...] = np.random.default_rng(1).normal(size=values.shape)
    there = module(shape, dtype, **options)
    there.load_state_dict(to_torch_state_dict(layer))
    assert_same_parameters(from_torch(there), layer)
    assert_same_parameters(from_torch(there.state_dict()), layer)


def test_from_torch_and_back_without_loss() -> None:
    """Of biases that are only ever added up, the sum; all else to the bit."""
    for kind in TORCH_KINDS:
        theirs = module((3, 8, 2), kind=kind)
        before, after = theirs.state_dict(), to_torch_state_dict(from_torch(theirs))
        assert before.keys() == after.keys()
        # A GRU has two biases of its candidate, which stay apart.
        added = 16 if kind.startswith("gru") else len(before["bias_ih_l0"])
        for name, values in before.items():
            if name.startswith("weight"):
                assert torch.equal(after[name], values), (kind, name)
            elif name.startswith("bias_ih"):
                total = values + before[name.replace("ih", "hh")]
                assert torch.equal(after[name][:added], total[:added]), (kind, name)
                assert torch.equal(after[name][added:], values[added:]), (kind, name)
            else:
                assert not after[name][:added].any(), (kind, name)
                assert torch.equal(after[name][added:], values[added:]), (kind, name)
        # With the second bias 0, as what goes there from here has it, nothing is lost at all.
        theirs.load_state_dict(after)
        again = to_torch_state_dict(from_torch(theirs))
        assert all(torch.equal(again[name], values) for name, values in after.items())


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_gradients_are_torchs() -> None:
    """Of what came over: of inputs, states and weights, in all kinds."""
    for kind in TORCH_KINDS:
        theirs = module((3, 6, 2), "float64", kind)
        ours = from_torch(theirs)
        rng = np.random.default_rng(0)
        x = torch.tensor(rng.normal(size=(4, 6, 3)), requires_grad=True)
        before = [
            torch.tensor(part, requires_grad=True)
            for part in parts_of(state_of(ours, 4, "float64"))
        ]
        y, after = theirs(x, tuple(before) if before[1:] else before[0])
        weights = [rng.normal(size=part.shape) for part in (y, *parts_of(after))]
        total = sum(
            (part * torch.tensor(weight)).sum()
            for part, weight in zip((y, *parts_of(after)), weights, strict=True)
        )
        total.backward()
        state = [part.detach().numpy() for part in before]
        _, _, cache = ours.forward(x.detach().numpy(), tuple(state) if state[1:] else state[0])
        dy, *dstate = weights
        dx, dbefore, gradients = ours.backward(dy, cache, tuple(dstate) if state[1:] else dstate[0])
        assert_near(dx, x.grad)
        for got, part in zip(parts_of(dbefore), before, strict=True):
            assert_near(got, part.grad)
        for name, gradient in gradients.items():
            if not name.startswith("bias_hn"):
                assert_near(gradient, getattr(theirs, name.replace("bias_l", "bias_ih_l")).grad)


def assert_near(got: np.ndarray, expected: Any) -> None:
    """A sum over all steps and sequences, in float64."""
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-10, atol=1e-10)


def test_what_is_returned_is_a_copy() -> None:
    layer = drawn((2, 3, 1))
    state = to_torch_state_dict(layer)
    for tensor in state.values():
        tensor.zero_()
    assert all(values.any() for values in layer.parameters.values())
    theirs = module((2, 3, 1))
    ours = from_torch(theirs)
    ours.parameters["weight_ih_l0"][...] = 0
    assert theirs.weight_ih_l0.abs().sum() > 0


def test_half_precision() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        theirs = module((2, 3, 1)).to(dtype)
        ours = from_torch(theirs)
        assert ours.dtype == "float32"
        expected = theirs.weight_hh_l0.detach().float().numpy()
        assert np.array_equal(ours.parameters["weight_hh_l0"], expected)


def test_a_part_of_a_larger_module() -> None:
    theirs = module((2, 3, 2))
    model = torch.nn.Sequential(torch.nn.Linear(4, 2), theirs)
    assert_same_parameters(from_torch(model, prefix="1."), from_torch(theirs))
    with pytest.raises(ValueError, match=r"such as weight_ih_l0, got \[.0\.weight'.*the prefix"):
        from_torch(model)
    with pytest.raises(ValueError, match=r"such as 0\.weight_ih_l0"):
        from_torch(model, prefix="0.")


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "RNNCell"])
def test_a_cell(name: str) -> None:
    cell = getattr(torch.nn, name)(3, 5)
    ours = from_torch(cell)
    x = torch.randn(4, 3)
    y, state = ours.step(x.numpy())
    for got, want in zip(parts_of(state), parts_of(cell(x)), strict=True):
        assert_close(got[0], want.detach().numpy())
    assert_close(y, parts_of(state)[0][-1])


def test_a_cell_with_relu() -> None:
    assert from_torch(torch.nn.RNNCell(3, 5, nonlinearity="relu")).nonlinearity == "relu"


def test_what_torch_has_not_is_named() -> None:
    with pytest.raises(NotImplementedError, match="peephole=True: PyTorch has no such cell"):
        to_torch_state_dict(LSTM(3, 4, peephole=True))
    with pytest.raises(NotImplementedError, match="residual=True: PyTorch has no such layer"):
        to_torch_state_dict(LSTM(3, 3, 2, residual=True))
    with pytest.raises(NotImplementedError, match="reverse=True: PyTorch has no such layer"):
        to_torch_state_dict(LSTM(3, 3, reverse=True))
    with pytest.raises(NotImplementedError, match="layer_norm=True: PyTorch has no such cell"):
        to_torch_state_dict(LSTM(3, 4, layer_norm=True))


def test_what_a_layer_has_not_is_named() -> None:
    parameters = dict(drawn((3, 4, 1)).parameters)
    with pytest.raises(NotImplementedError, match="tied=True: a layer here has no such option"):
        make_layer("lstm", parameters, 1, n_jobs=1, tied=True)


def test_other_modules() -> None:
    with pytest.raises(NotImplementedError, match="reset_after=False"):
        to_torch_state_dict(drawn((3, 4, 1), kind="gru, reset before"))
    odd = {"weight_ih_l0": np.ones((8, 3)), "weight_hh_l0": np.ones((8, 4))}
    with pytest.raises(ValueError, match=r"weight_hh_l0 must have the shape \(n \* H, H\)"):
        from_torch(odd)
    with pytest.raises(ValueError, match="names must be those of an LSTM, GRU"):
        from_torch(torch.nn.Linear(3, 4))
    with pytest.raises(TypeError, match="module_or_state_dict must be a module"):
        from_torch(3)
    with pytest.raises(TypeError, match=r"layer must be a layer of lstmcore\.layers"):
        to_torch_state_dict(torch.nn.LSTM(3, 4))


def bad(**changes: Any) -> dict[str, np.ndarray]:
    state = {name: tensor.numpy() for name, tensor in to_torch_state_dict(drawn((3, 4, 2))).items()}
    state |= changes
    return {name: array for name, array in state.items() if array is not None}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "such as weight_ih_l0"),
        (bad(weight_hh_l1=None), "no weight_hh_l1"),
        (bad(weight_ih_l0=np.ones((15, 3))), "weight_ih_l0 must have 16 rows"),
        (bad(weight_ih_l1=np.ones((16, 3))), r"weight_ih_l1 must have the shape \(16, 4\)"),
        (bad(weight_hh_l1=np.ones((16, 5))), r"weight_hh_l1 must have the shape \(16, 4\)"),
        (bad(bias_ih_l1=np.ones((16, 1)), bias_hh_l1=None), r"bias_l1 must have the shape \(16,\)"),
        (bad(weight_ih_l0=np.ones((16, 3), int)), "weight_ih_l0 must hold real numbers"),
        (bad(weight_ih_l0=np.array(["a"])), "weight_ih_l0 must hold real numbers"),
        (bad(other=np.ones(1)), "such as weight_ih_l0"),
        (bad(weight_ih_l0_reverse=np.ones((16, 3))), "no weight_hh_l0_reverse"),
    ],
    ids=range(10),
)
def test_bad_states(state: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_torch(state)


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {name: tensor.numpy() for name, tensor in to_torch_state_dict(LSTM(2, 3)).items()}
    monkeypatch.setitem(sys.modules, "torch", None)
    from_torch(state)
    with pytest.raises(ImportError, match=r"needs torch: pip install 'lstmcore\[torch\]'"):
        to_torch_state_dict(LSTM(2, 3))
