"""What the machine allows, from made-up speeds of its parts."""

from __future__ import annotations

import math

import pytest
from cli.bench_cases import record, result

from lstmcore._cli.bench import harness

bounds, ratios, shapes = harness("bounds"), harness("ratios"), harness("shapes")

# Two threads: weights of up to 64 KiB fit into the first level, 2 MiB more into the second.
LEVELS = [
    {"level": level, "bytes": size, "gbps": gbps}
    for level, size, gbps in (
        ("L1", 16 << 10, 400.0),
        ("L2", 512 << 10, 200.0),
        ("L3", 8 << 20, 150.0),
        ("memory", 64 << 20, 25.0),
    )
]


def test_a_wide_batch_is_bound_by_multiply_adds() -> None:
    for mode in ("infer", "train", "train-nodx"):
        row = record("torch", 50.0, "ts-mid", mode=mode)
        least = bounds.least_ns(row, LEVELS)
        recurrent, inputs, steps = 4 * 64 * 64, 4 * 64 * 16, 96
        passes = 1 if mode == "infer" else 3
        needed = (
            passes * recurrent * (steps - 1) + (passes - (mode == "train-nodx")) * inputs * steps
        )
        assert least == pytest.approx(2 * 64 * needed / row["peak_gflops"])
        assert bounds.reading_ns(row, LEVELS) < least


def test_one_sequence_is_bound_by_reading_the_recurrent_weights_at_each_step() -> None:
    row = record("torch", 50.0, "b1-512", "large", "infer", peak_gflops=1e4)
    weights = 4 * 4 * 512 * 512  # 4 MiB, half on each thread
    in_l1, in_l2 = 64 << 10, 2 << 20
    a_step = in_l1 / 400.0 + in_l2 / 200.0 + (weights - in_l1 - in_l2) / 150.0
    assert bounds.least_ns(row, LEVELS) == pytest.approx(99 * a_step)  # the first has zeros
    train = {**row, "mode": "train"}
    assert bounds.least_ns(train, LEVELS) == pytest.approx(2 * 99 * a_step)  # and once backward


def test_the_longer_of_the_two_counts() -> None:
    row = record("torch", 50.0, "b1-512", "large", "infer")
    reading = bounds.reading_ns(row, LEVELS)
    slow, fast = (
        bounds.least_ns({**row, "peak_gflops": bounds.least_flops(row) / ns}, LEVELS)
        for ns in (1.5 * reading, reading / 2)
    )
    assert (slow, fast) == (pytest.approx(1.5 * reading), pytest.approx(reading))


@pytest.mark.parametrize(("mode", "gbps"), [("step", 200.0), ("step-cold", 25.0)])
def test_a_step_reads_all_weights(mode: str, gbps: float) -> None:
    row = record("lstmcore", 0.02, "stream-128", "stream", mode)
    weights = 4 * 4 * 128 * 256
    in_l1 = 64 << 10 if mode == "step" else 0
    least = in_l1 / 400.0 + (weights - in_l1) / gbps
    assert bounds.reading_ns(row, LEVELS) == pytest.approx(least)


def test_steps_multiply_all_there_is() -> None:
    for mode in ("step", "step-cold"):
        row = record("lstmcore", 0.02, "stream-128", "stream", mode)
        assert bounds.least_flops(row) == row["flops"] == 2 * 4 * 128 * 256


def test_a_fit_starts_every_sequence_from_zeros() -> None:
    row = record("lstmcore", 20.0, "tiny", "fit", "fit")
    share = 3 * 32 / 48 / (3 * 32 + 2 * 8)  # of W_hh in the first of 48 steps; x has no gradient
    assert bounds.least_flops(row) == pytest.approx(row["flops"] * (1 - share))


def test_a_cell_reads_as_many_weights_as_it_has() -> None:
    found = {
        name: bounds.reading_ns(record("lstmcore", 1.0, f"cell-{name}", "cells"), LEVELS[1:])
        for name in ("lstm", "gru", "rnn-tanh", "bidirectional", "projected")
    }
    relative = {name: value / found["lstm"] for name, value in found.items()}
    # projected: h has 64 of 128 units, and so many rows of 128 make it
    expected = {"gru": 0.75, "rnn-tanh": 0.25, "bidirectional": 2.0, "projected": 0.625}
    assert relative == pytest.approx({"lstm": 1.0, **expected})


def test_what_was_not_measured_bounds_nothing() -> None:
    row = record("torch", 50.0)
    assert math.isnan(bounds.least_ns(row, []))
    assert math.isnan(bounds.least_ns({**row, "peak_gflops": None}, LEVELS))
    large = record("torch", 50.0, "b1-512", "large", "infer")
    assert math.isnan(bounds.least_ns(large, LEVELS[:2]))
    assert bounds.ceilings([large], result(large)["runs"]) == []


def test_the_ceiling_is_compared_and_never_the_fastest_peer() -> None:
    rows = [record("lstmcore", 2.0), record("torch", 3.0)]
    rows += bounds.ceilings(rows, result(*rows)["runs"])
    least = bounds.least_flops(rows[0]) / 100.0 / 1e6  # ms
    assert ratios.ratios(rows, bounds.CEILING, "torch") == {"ts-small": pytest.approx(3 / least)}
    assert ratios.ratios(rows, "lstmcore", "fastest") == {"ts-small": pytest.approx(1.5)}
    text = ratios.verdict(shapes.Goal("train", "torch", None, 1.2), rows, "lstmcore")
    assert f"The ceiling allows {3 / least:.2f}×, of which {100 * least / 2:.0f} % is" in text
