"""Networks and trainers: what does not fit is a ValueError that names it and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import Spec, batches_of, draw_data, draw_parameters, packed_of

from lstmcore import _core

SPEC = Spec(3, (5,), 4)
LENGTHS = [3, 0, 2, 4]
DATA = draw_data(SPEC, LENGTHS, np.float32)
PARAMETERS = draw_parameters(SPEC, np.float32)
BATCHES = batches_of(DATA.sequences, [[0, 1], [2, 3]])
VALUES, BEGINS, N_ACTIVE, STEP_PTR, SAMPLES, SAMPLE_PTR = BATCHES
GOOD = {
    "parameters": PARAMETERS,
    "state": np.zeros((2, len(PARAMETERS)), np.float32),
    "n_steps_done": 0,
    "batches": BATCHES,
    "targets": DATA.targets,
    "sample_weight": DATA.weights,
}
KEYWORDS = {"seed": 0, "epoch": 0, "learning_rate": 0.1, "n_threads": 1}


def with_batches(**changed: Any) -> tuple[Any, ...]:
    names = ("values", "begins", "n_active", "step_ptr", "samples", "sample_ptr")
    return tuple(changed.get(name, good) for name, good in zip(names, BATCHES, strict=True))


def index(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.intp)


READ_ONLY = PARAMETERS.copy()
READ_ONLY.flags.writeable = False
WRONG = {
    "parameters size": ("parameters", {"parameters": PARAMETERS[:-1].copy()}),
    "parameters dtype": ("parameters", {"parameters": PARAMETERS.astype(np.float64)}),
    "parameters read-only": ("parameters", {"parameters": READ_ONLY}),
    "state rows": ("state", {"state": np.zeros((1, len(PARAMETERS)), np.float32)}),
    "state dtype": ("state", {"state": np.zeros((2, len(PARAMETERS)))}),
    "values features": ("values", {"batches": with_batches(values=np.zeros((9, 4), np.float32))}),
    "values rows": ("begins", {"batches": with_batches(values=VALUES[:-1].copy())}),
    "values dtype": ("values", {"batches": with_batches(values=VALUES.astype(np.float64))}),
    "values strided": ("values", {"batches": with_batches(values=np.repeat(VALUES, 2, 0)[::2])}),
    "begins negative": ("begins", {"batches": with_batches(begins=BEGINS - 1)}),
    "begins beyond": ("begins", {"batches": with_batches(begins=BEGINS + 1)}),
    "begins far": ("begins", {"batches": with_batches(begins=BEGINS + 2**62)}),
    "begins dtype": ("begins", {"batches": with_batches(begins=BEGINS.astype(np.int32))}),
    "samples length": ("samples", {"batches": with_batches(samples=index(0, 1, 2))}),
    "n_active": ("n_active", {"batches": with_batches(n_active=N_ACTIVE + 2)}),
    "step_ptr end": ("step_ptr", {"batches": with_batches(step_ptr=index(0, 3, 6))}),
    "step_ptr start": ("step_ptr", {"batches": with_batches(step_ptr=index(1, 3, 7))}),
    "step_ptr decreasing": ("step_ptr", {"batches": with_batches(step_ptr=index(0, 9, 7))}),
    "samples unknown": ("samples", {"batches": with_batches(samples=index(0, 1, 2, 4))}),
    "samples negative": ("samples", {"batches": with_batches(samples=index(0, 1, 2, -1))}),
    "sample_ptr length": ("sample_ptr", {"batches": with_batches(sample_ptr=index(0, 4))}),
    "sample_ptr end": ("sample_ptr", {"batches": with_batches(sample_ptr=index(0, 2, 5))}),
    "batches": ("batches", {"batches": BATCHES[:5]}),
    "targets outputs": ("targets", {"targets": np.zeros((4, 3), np.float32)}),
    "targets dtype": ("targets", {"targets": DATA.targets.astype(np.float64)}),
    "targets labels": ("targets", {"targets": index(0, 1, 2, 3)}),
    "sample_weight size": ("sample_weight", {"sample_weight": np.ones(3)}),
    "sample_weight dtype": ("sample_weight", {"sample_weight": np.ones(4, np.float32)}),
    "n_threads": ("n_threads", {"n_threads": 0}),
}


@pytest.mark.parametrize(("name", "changed"), WRONG.values(), ids=list(WRONG))
def test_run(name: str, changed: dict[str, Any]) -> None:
    trainer = SPEC.trainer(np.float32)
    p, state = PARAMETERS.copy(), np.zeros_like(GOOD["state"])
    arguments = GOOD | {"parameters": p, "state": state} | KEYWORDS | changed
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        trainer.run(**arguments)
    np.testing.assert_array_equal(p, PARAMETERS)
    assert not state.any()
    trainer.run(**(GOOD | {"parameters": p, "state": state} | KEYWORDS))
    assert (p != PARAMETERS).any()


@pytest.mark.parametrize("labels", [[0, 1, 2, 4], [0, -1, 2, 3]])
def test_labels_beyond_the_outputs(labels: list[int]) -> None:
    spec = Spec(3, (5,), 4, loss="softmax_cross_entropy")
    p, state = PARAMETERS.copy(), np.zeros_like(GOOD["state"])
    arguments = GOOD | {"parameters": p, "state": state, "targets": index(*labels)} | KEYWORDS
    with pytest.raises(ValueError, match=r"\btargets\b"):
        spec.trainer(np.float32).run(**arguments)


def test_loss_and_gradient_of_two_batches() -> None:
    arguments = {k: v for k, v in GOOD.items() if k not in ("state", "n_steps_done")}
    with pytest.raises(ValueError, match="one batch"):
        SPEC.trainer(np.float32).loss_and_gradient(**arguments, seed=0, epoch=0, n_threads=1)


@pytest.mark.parametrize(
    ("name", "options"),
    {
        "loss": ("loss", {"loss": "hinge"}),
        "solver": ("solver", {"solver": "lbfgs"}),
        "huber_delta": ("huber_delta", {"huber_delta": 0.0}),
        "beta1": ("beta1", {"beta1": 1.0}),
        "beta2": ("beta2", {"beta2": -0.1}),
        "epsilon": ("epsilon", {"epsilon": 0.0}),
        "momentum": ("momentum", {"momentum": np.nan}),
        "weight_decay": ("weight_decay", {"weight_decay": -1.0}),
        "max_grad_norm": ("max_grad_norm", {"max_grad_norm": 0.0}),
    }.values(),
)
def test_trainer_options(name: str, options: dict[str, Any]) -> None:
    network = SPEC.network(np.float32)
    arguments = {"loss": "squared_error", "solver": "adam"} | options
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        _core.TrainerFloat32(network, **arguments)


@pytest.mark.parametrize(
    ("name", "changed"),
    {
        "input_size": ("input_size", {"input_size": 0}),
        "hidden_sizes": ("hidden_sizes", {"hidden_sizes": []}),
        "n_outputs": ("n_outputs", {"n_outputs": 0}),
        "pooling": ("pooling", {"pooling": "sum"}),
        "link": ("link", {"link": "probit"}),
        "isa": ("isa", {"isa": "mmx"}),
        "overflow": ("size", {"input_size": 2**40, "hidden_sizes": [2**40]}),
    }.values(),
)
def test_network_options(name: str, changed: dict[str, Any]) -> None:
    good = {
        "input_size": 3,
        "hidden_sizes": [4],
        "n_outputs": 2,
        "pooling": "last",
        "link": "identity",
        "dropout": 0.0,
    }
    for cls in (_core.NetworkFloat32, _core.NetworkFloat64):
        with pytest.raises(ValueError, match=name):
            cls(**(good | changed))


def test_predict() -> None:
    network = SPEC.network(np.float32)
    x, n_active, _ = packed_of(DATA.sequences, [0, 1])
    good = {"x": x, "n_active": n_active, "n_sequences": 2}
    keywords = {"apply_link": True, "n_threads": 1}
    with pytest.raises(ValueError, match="parameters"):
        network.predict(**good, **keywords)
    network.set_parameters(PARAMETERS)
    wrong = {
        "x": x.astype(np.float64),
        "n_active": index(3, 1, 1),
        "n_sequences": -1,
        "n_threads": 0,
    }
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=rf"\b{name}\b"):
            network.predict(**(good | keywords | {name: value}))
    for begins in (index(0), index(0, 4), index(-1, 0), index(2**62, 0), np.zeros(2), [0, 1]):
        with pytest.raises(ValueError, match=r"\bbegins\b"):
            network.predict(**(good | keywords | {"begins": begins}))
    with pytest.raises(ValueError, match=r"\bparameters\b"):
        network.set_parameters(PARAMETERS[:-1].copy())
    assert network.predict(**good, **keywords).shape == (2, 4)
