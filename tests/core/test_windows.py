"""Windows over time: truncated BPTT against its definition, recomputed gates against kept ones."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import reference
import reference_heads
import reference_stacks
from cell_cases import CELLS, NORMALISED
from networks import Data, Spec, batches_of, draw_data, draw_parameters, loss_and_gradient
from reference import Array
from reference_cells import Cell
from reference_stacks import Connections

from lstmcore import _core

POOLINGS = ("last", "mean", "max")
TOKENS = ((0, 7, 5), (2, 30, 17))
# Longer than a run of BPTT has steps, with sequences that end in every window.
LENGTHS = (150, 149, 97, 150, 64, 31, 1, 0, 8, 120, 33, 5)
SHORT = (9, 4, 0, 7, 9, 3, 1)


NETWORKS = [
    *(Spec(hidden_sizes=(20, 33), pooling=p, dropout=0.3) for p in (*POOLINGS, "attention")),
    *(
        Spec(hidden_sizes=(19, 19), pooling=p, dropout=0.3, residual=True)
        for p in ("last", "attention")
    ),
    *(
        Spec(hidden_sizes=(20, 9), pooling=p, embeddings=TOKENS, dropout=0.2)
        for p in ("last", "attention")
    ),
    *(
        Spec(hidden_sizes=(20, 9), pooling=p, dropout=0.3, cell=cell)
        for cell, p in zip([*CELLS, NORMALISED], cycle((*POOLINGS, "attention")), strict=False)
    ),
]


def network_id(spec: Spec) -> str:
    """The cell, the pooling, and what else there is."""
    others = ("residual",) * spec.residual + ("tokens",) * bool(spec.embeddings)
    return "-".join([str(spec.cell), spec.pooling, *others])


def gradient_of(
    spec: Spec, data: Data, isa: str = "", n_threads: int = 1, **options: Any
) -> tuple[float, Array]:
    """Loss and gradient of all samples as one batch."""
    dtype = data.sequences[0].dtype
    trainer = spec.trainer(dtype, isa, **options)
    parameters, chosen = draw_parameters(spec, dtype), range(len(data.sequences))
    return loss_and_gradient(
        trainer, parameters, data, chosen, seed=3, epoch=2, n_threads=n_threads
    )


@pytest.mark.parametrize("spec", NETWORKS, ids=network_id)
def test_windows_change_no_bit(spec: Spec, isa: str, dtype: np.dtype[Any]) -> None:
    """Recomputed gates, and truncation after more steps than there are."""
    data = draw_data(spec, LENGTHS * 2, dtype)
    loss, gradient = gradient_of(spec, data, isa)
    for options in ({"recompute": True}, {"tbptt_steps": 150}, {"tbptt_steps": 10**9}):
        for n_threads in (1, 3):
            other = gradient_of(spec, data, isa, n_threads, **options)
            assert other[0] == loss
            np.testing.assert_array_equal(other[1], gradient)


@pytest.mark.parametrize("pooling", ["last", "max"])
def test_large_weights_change_no_bit(pooling: str) -> None:
    """The sums of large layers go on from window to window where the parameters stand."""
    spec = Spec(input_size=200, hidden_sizes=(500,), pooling=pooling)
    data = draw_data(spec, (60, 60, 44, 7, 0, 60), np.float32)
    _, gradient = gradient_of(spec, data)
    for n_threads in (1, 2):
        recomputed = gradient_of(spec, data, n_threads=n_threads, recompute=True)[1]
        np.testing.assert_array_equal(recomputed, gradient)
    truncated = [gradient_of(spec, data, n_threads=n, tbptt_steps=7)[1] for n in (1, 2)]
    np.testing.assert_array_equal(*truncated)
    assert (truncated[0] != gradient).any()


def truncated_oracle(spec: Spec, parameters: Array, data: Data, n_steps: int) -> Array:
    """Sequence by sequence, window by window, each from states that count as given."""
    split, attention, head_weight, head_bias, tables = spec.oracle.split(parameters)
    layers = [layer._asdict() for layer in split]
    how = (spec.cell, Connections(residual=spec.residual), layers)
    total = np.zeros(len(parameters))
    weights = data.weights / data.weights.sum()
    for x, target, weight in zip(data.sequences, data.targets, weights, strict=True):
        alive = np.ones(len(x), np.intp)
        zeros = [np.zeros((1, h)) for h in spec.hidden_sizes]
        inputs = reference_heads.embed_forward(tables, x)
        y, *_ = reference_stacks.stack_forward(*how, inputs, alive, zeros, zeros)
        of_attention: Sequence[Array] = ()
        if attention is None:
            pooled = reference.pool_forward(spec.pooling, y, alive, 1)
        else:
            pooled = reference_heads.attend_forward(attention, y, alive, 1)
        z = pooled @ head_weight.T + head_bias
        dz = reference.loss_forward(spec.loss, z, target[None])[1] * weight
        if attention is None:
            dy = reference.pool_backward(spec.pooling, y, alive, dz @ head_weight)
        else:
            dy, of_attention = reference_heads.attend_backward(
                attention, y, alive, dz @ head_weight
            )
        gradients = [np.zeros_like(part) for layer in layers for part in layer.values()]
        dinputs = np.zeros_like(inputs)
        h, c = zeros, zeros
        begin = 0
        while begin < len(x):
            end = begin + ((len(x) - begin - 1) % n_steps + 1)
            part, steps = inputs[begin:end], alive[begin:end]
            _, h_next, c_next, stashes = reference_stacks.stack_forward(*how, part, steps, h, c)
            dinputs[begin:end], *_, found = reference_stacks.stack_backward(
                *how, stashes, steps, dy[begin:end], zeros, zeros
            )
            of_layers = (part for layer in found for part in layer.values())
            for mine, more in zip(gradients, of_layers, strict=True):
                mine += more
            h, c, begin = h_next, c_next, end
        parts = [*gradients, *of_attention, dz.T @ pooled, dz.sum(axis=0)]
        parts += reference_heads.embed_backward(tables, x, dinputs)
        total += np.concatenate([part.ravel() for part in parts])
    return total


@pytest.mark.parametrize("n_steps", [1, 3, 4, 8, 9])
@pytest.mark.parametrize(
    "spec",
    [
        *(Spec(hidden_sizes=(9, 5), pooling=p) for p in POOLINGS),
        Spec(hidden_sizes=(5, 5), pooling="attention", embeddings=TOKENS, residual=True),
        Spec(hidden_sizes=(9, 9), residual=True),
        Spec(embeddings=TOKENS),
    ],
    ids=network_id,
)
def test_truncated_gradient_is_that_of_its_definition(spec: Spec, n_steps: int, isa: str) -> None:
    data, parameters = draw_data(spec, SHORT, np.float64), draw_parameters(spec, np.float64)
    expected = truncated_oracle(spec, parameters, data, n_steps)
    full = gradient_of(spec, data, isa)[1]
    assert (n_steps >= max(SHORT)) == np.allclose(full, expected, rtol=0, atol=1e-12)
    _, gradient = gradient_of(spec, data, isa, tbptt_steps=n_steps)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_truncated_gradient_of_a_cell_is_that_of_its_last_window(cell: Cell) -> None:
    """The layers alone, from the states before the window that a gradient reaches."""
    spec = Spec(hidden_sizes=(9, 5), cell=cell)
    data, parameters = draw_data(spec, SHORT, np.float64), draw_parameters(spec, np.float64)
    stack = _core.RecurrentStackFloat64(spec.input_size, [*spec.hidden_sizes], cell=cell.core)
    stack.set_parameters(parameters[: stack.n_parameters])
    head = parameters[stack.n_parameters :]
    weight = head[: -spec.n_outputs].reshape(spec.n_outputs, -1)
    total = np.zeros(stack.n_parameters)
    for x, target, share in zip(
        data.sequences, data.targets, data.weights / data.weights.sum(), strict=True
    ):
        h, c = None, None
        for steps in (x[:-4], x[-4:]):
            alive = np.ones(len(steps), np.intp)
            _, h, c, cache = stack.forward(steps, alive, 1, h, c or None, n_threads=1, keep=True)
        z = h[-1] @ weight.T + head[-spec.n_outputs :]
        dz = reference.loss_forward(spec.loss, z, target[None])[1] * share
        dh = [*(np.zeros_like(each) for each in h[:-1]), dz @ weight]
        dc = [np.zeros_like(each) for each in c] or None
        total += stack.backward(cache, None, dh, dc, need_dx=False, n_threads=1)[-1]
    _, gradient = gradient_of(spec, data, tbptt_steps=4)
    np.testing.assert_allclose(gradient[: len(total)], total, rtol=0, atol=1e-12)


@pytest.mark.parametrize("spec", NETWORKS[::2], ids=network_id)
def test_truncated_gradients_have_the_same_bits(spec: Spec, isa: str) -> None:
    data = draw_data(spec, LENGTHS * 2, np.float32)
    loss, gradient = gradient_of(spec, data, "scalar", tbptt_steps=40)
    whole = gradient_of(spec, data, "scalar")
    assert loss == whole[0]
    assert (gradient != whole[1]).any()
    for n_threads in (1, 3):
        other = gradient_of(spec, data, isa, n_threads, tbptt_steps=40)
        assert other[0] == loss
        np.testing.assert_array_equal(other[1], gradient)


LONG = [
    *(Spec(hidden_sizes=(64, 33), pooling=p) for p in (*POOLINGS, "attention")),
    Spec(hidden_sizes=(48, 48), residual=True, embeddings=TOKENS),
]


@pytest.mark.parametrize("spec", LONG, ids=network_id)
def test_predictions_in_windows_are_those_of_training(spec: Spec) -> None:
    """The loss of long sequences is, to the bit, that of the forward pass before BPTT."""
    data = draw_data(spec, (12000, 11999, 12, 0, 5000), np.float32)
    parameters, everyone = draw_parameters(spec, np.float32), range(5)
    trainer = spec.trainer(np.float32)
    loss, _ = loss_and_gradient(trainer, parameters, data, everyone)
    batches = batches_of(data.sequences, [everyone])
    for n_threads in (1, 2):
        total, weight = trainer.evaluate(
            parameters, batches, data.targets, data.weights, n_threads=n_threads
        )
        assert total / weight == loss


def allocated(spec: Spec, lengths: tuple[int, ...], **options: Any) -> int:
    """Bytes that a trainer holds after a step."""
    before = _core.allocated_bytes()
    data = draw_data(spec, lengths, np.float32)
    trainer = spec.trainer(np.float32, **options)
    loss_and_gradient(trainer, draw_parameters(spec, np.float32), data, range(len(lengths)))
    return _core.allocated_bytes() - before


@pytest.mark.parametrize(
    "spec", [Spec(), Spec(pooling="attention", embeddings=TOKENS)], ids=network_id
)
def test_memory_does_not_grow_with_the_length(spec: Spec) -> None:
    spec = replace(spec, hidden_sizes=(64, 64))
    gc.collect()
    kept = [allocated(spec, (n,) * 4) for n in (1000, 4000)]
    assert kept[1] > 3.5 * kept[0]
    for options in ({"recompute": True}, {"tbptt_steps": 100}):
        less = [allocated(spec, (n,) * 4, **options) for n in (1000, 4000)]
        assert less[1] < kept[1] / 8
        # Gradients of embedded inputs, and states at the borders of windows.
        assert less[1] - less[0] < (kept[1] - kept[0]) / 20


def test_memory_of_predictions_is_bounded() -> None:
    spec = Spec(hidden_sizes=(64,), pooling="attention")
    network = spec.network(np.float32)
    network.set_parameters(draw_parameters(spec, np.float32))
    sizes = []
    for n_steps in (100_000, 200_000):
        x = draw_data(spec, (n_steps,), np.float32).sequences[0]
        network.predict(x, np.ones(n_steps, np.intp), 1, apply_link=False, n_threads=1)
        sizes.append(_core.allocated_bytes())
    assert sizes[1] - sizes[0] < 2**16


def test_errors_name_the_argument() -> None:
    spec = Spec()
    with pytest.raises(ValueError, match="tbptt_steps is -1"):
        spec.trainer(np.float32, tbptt_steps=-1)
    with pytest.raises(ValueError, match="recompute must be False with tbptt_steps"):
        spec.trainer(np.float32, tbptt_steps=3, recompute=True)
    network = _core.NetworkFloat32(
        3, [5], 2, pooling="last", link="identity", dropout=0.0, bidirectional=True
    )
    with pytest.raises(ValueError, match="tbptt_steps and recompute need bidirectional=False"):
        _core.TrainerFloat32(network, loss="squared_error", solver="adam", recompute=True)


def test_starts_of_windows() -> None:
    """About sqrt(T / 4) steps or more in each; none where a batch is done in one go."""
    network = Spec(hidden_sizes=(64,)).network(np.float32)
    assert network.recompute_starts(1, 32) == [0]
    starts = network.recompute_starts(4000, 32)
    steps = np.diff([*starts, 4000])
    assert starts[0] == 0
    assert 31 <= steps[1:].min() <= steps.max() < 4000 / 10
    with pytest.raises(ValueError, match="n_steps and n_sequences must be at least 1"):
        network.recompute_starts(0, 1)
