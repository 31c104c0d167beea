"""What is written into a view of the parameters counts from the next call on."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lstmcore._live_parameters import LiveParameters, named_views
from lstmcore.layers import LSTM

X = np.random.default_rng(0).standard_normal((3, 5, 2))


class CountingStack:
    """Stands in for the core's stack and notes what it is given."""

    layout = (("weight", (2, 2), 0), ("bias", (2,), 4))

    def __init__(self) -> None:
        self.given: list[Any] = []

    def set_parameters(self, flat: Any) -> None:
        self.given.append(flat.copy())


@pytest.fixture
def stack() -> CountingStack:
    return CountingStack()


@pytest.fixture
def live(stack: CountingStack, dtype: Any) -> Iterator[LiveParameters]:
    yield LiveParameters(stack, np.arange(6, dtype=dtype))
    gc.collect()


def test_layout_of_a_layer() -> None:
    layer = LSTM(2, 3, 2, random_state=0)
    shapes = {name: view.shape for name, view in layer.parameters.items()}
    assert shapes == {
        "weight_ih_l0": (12, 2),
        "weight_hh_l0": (12, 3),
        "bias_l0": (12,),
        "weight_ih_l1": (12, 3),
        "weight_hh_l1": (12, 3),
        "bias_l1": (12,),
    }
    with pytest.raises(TypeError, match="does not support item assignment"):
        layer.parameters["bias_l0"] = np.zeros(12)  # type: ignore[index]
    with pytest.raises(AttributeError):
        layer.parameters = {}  # type: ignore[misc, assignment]


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_l0", "weight_hh_l1"])
def test_every_parameter_counts_from_the_next_call_on(name: str, dtype: Any) -> None:
    layer = LSTM(2, 3, 2, dtype=dtype, random_state=0)
    before = layer(X)[0]
    layer.parameters[name][:] *= -1  # a view that is gone before the next call
    changed = layer(X)[0]
    assert not np.array_equal(changed, before)
    view = layer.parameters[name]
    assert_array_equal(layer(X)[0], changed)
    view *= -1  # one that lives on
    assert_array_equal(layer(X)[0], before)
    view *= -1
    state = layer.step(X[:, 0])[1]
    assert_array_equal(state[0], layer(X[:, :1])[1][0])
    assert_array_equal(layer(X)[0], changed)


def test_two_layers_with_equal_parameters_are_equal() -> None:
    first, second = LSTM(2, 3, random_state=0), LSTM(2, 3, random_state=1)
    assert not np.array_equal(first(X)[0], second(X)[0])
    for name, values in first.parameters.items():
        second.parameters[name][...] = values
    assert_array_equal(first(X)[0], second(X)[0], strict=True)


def test_core_hears_of_changes_alone(live: LiveParameters, stack: CountingStack) -> None:
    assert len(stack.given) == 1
    live.sync()
    views = live.views()
    live.sync()
    assert len(stack.given) == 1
    assert live.version == 0
    views["weight"][1, 0] = 9
    live.sync()
    live.sync()
    assert len(stack.given) == 2
    assert live.version == 1
    assert_array_equal(stack.given[1], [0, 1, 9, 3, 4, 5])
    assert_array_equal(live.copy(), stack.given[1])


@pytest.mark.parametrize("value", [np.nan, -0.0])
def test_bits_are_compared(live: LiveParameters, stack: CountingStack, value: float) -> None:
    bias = live.views()["bias"]
    bias[:] = 0
    live.sync()
    bias[:] = value
    live.sync()
    assert len(stack.given) == 3
    live.sync()
    assert len(stack.given) == 3


def test_nothing_is_compared_when_no_view_is_left(live: LiveParameters) -> None:
    def compares() -> bool:
        live.sync()
        return live._snapshot is not None

    assert not compares()
    view = live.views()["weight"]
    assert compares()
    part = view[0, ::-1]
    buffer = memoryview(part)
    del view
    assert compares()
    del part
    assert compares()  # a buffer can be written into as well
    del buffer
    assert not compares()
    views = live.views()
    assert compares()
    views.clear()
    assert not compares()


def test_a_change_is_seen_after_its_view_is_gone(
    live: LiveParameters, stack: CountingStack
) -> None:
    live.sync()
    live.views()["weight"][0, 0] = 7
    live.views()["bias"][0] = 8
    live.sync()
    assert_array_equal(stack.given[-1], [7, 1, 2, 3, 8, 5])
    assert live._snapshot is None


def test_values_given_are_copied(stack: CountingStack) -> None:
    flat = np.zeros(6)
    live = LiveParameters(stack, flat)
    flat[:] = 1
    assert not live.copy().any()
    live.copy()[:] = 1
    assert not live.copy().any()


def test_named_views_share_memory() -> None:
    flat = np.arange(6.0)
    views = named_views(flat, CountingStack.layout)
    assert_array_equal(views["weight"], [[0, 1], [2, 3]])
    assert all(np.shares_memory(view, flat) for view in views.values())
