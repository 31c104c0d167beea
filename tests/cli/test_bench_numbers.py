"""The pure parts of the benchmarks: statistics, ratios, merging, comparing, phases, shapes."""

from __future__ import annotations

import ast
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli.bench_cases import record, result, shape

from lstmcore._cli.bench import harness

statistics, results, ratios = harness("statistics"), harness("results"), harness("ratios")
compare, phases, shapes = harness("compare"), harness("phases"), harness("shapes")
steadiness = harness("steadiness")
oracle, problem, reference = harness("oracle"), harness("problem"), harness("reference")
WEIGHTS = ("weight_ih", "weight_hh", "bias")


def test_summary_is_over_calls_and_keeps_the_turns() -> None:
    found = statistics.summarise([[1, 1, 1, 1], [10]])
    assert (found["min"], found["median"], found["calls"]) == (1.0, 1.0, 5)
    assert found["rounds"] == [1.0, 10.0]
    assert found["p99"] > 9


def test_a_turn_has_a_tail_of_its_own() -> None:
    """Half of the machine's time being slow is no tail of any turn."""
    found = statistics.summarise([[2] * 100, [4] * 99 + [40]])
    assert found["tails"] == [1.0, pytest.approx(1.09)]


def test_a_computation_of_some_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steadiness, "times", lambda *_: [9000, 2000, 4000])  # a nanosecond a bit
    assert steadiness.exponent_of(700.0) == 1 << 700


def test_geometric_mean() -> None:
    assert statistics.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert math.isnan(statistics.geometric_mean([]))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_growth_finds_the_power(power: float) -> None:
    sizes = [1.0, 3.0, 10.0, 50.0]
    assert statistics.growth(sizes, [7 * size**power for size in sizes]) == pytest.approx(power)


def test_fastest_is_the_best_of_the_others() -> None:
    rows = [record("lstmcore", 1.0), record("lstmcore-core", 0.1), record("torch", 4.0)]
    assert ratios.ratios(rows, "lstmcore", "fastest") == {"ts-small": pytest.approx(4.0)}
    rows.append(record("onnxruntime", 2.0))
    assert ratios.ratios(rows, "lstmcore", "fastest") == {"ts-small": pytest.approx(2.0)}
    assert ratios.ratios(rows, "lstmcore", "torch") == {"ts-small": pytest.approx(4.0)}
    assert ratios.ratios(rows, "lstmcore", "jax") == {}


def test_a_peer_that_ignores_the_instruction_set_is_not_the_fastest() -> None:
    times = {"lstmcore": 1.0, "torch": 4.0, "onnxruntime": 2.0}
    rows = [record(peer, ms, isa="avx2") for peer, ms in times.items()]
    assert ratios.ratios(rows, "lstmcore", "fastest") == {"ts-small": pytest.approx(4.0)}


def test_goals_are_judged_by_the_mean_and_by_the_least() -> None:
    rows = [record("lstmcore", 1.0), record("torch", 4.0)]
    rows += [record("lstmcore", 1.0, "har"), record("torch", 2.0, "har")]
    goal = shapes.Goal("train", "torch", 2.5, 2.5)
    text = ratios.verdict(goal, rows, "lstmcore")
    assert "2.83× in geometric mean (goal 2.5×: reached)" in text
    assert "2.00× at har, the least (goal 2.5×: not reached)" in text
    assert ratios.verdict(shapes.Goal("train", "keras", 1.0, 1.0), rows, "lstmcore") == ""


def test_merging_never_mixes_two_runs_in_one_ratio() -> None:
    first = result(record("lstmcore", 1.0), record("torch", 2.0), record("lstmcore", 3.0, "har"))
    second = result(record("lstmcore", 5.0), commit="def")
    merged = results.merge([first, second])
    by_shape = results.by_shape(merged["records"])
    assert set(by_shape["ts-small"]) == {"lstmcore"}
    assert by_shape["ts-small"]["lstmcore"]["ns"]["median"] == 5e6
    assert by_shape["har"]["lstmcore"]["ns"]["median"] == 3e6
    commits = [
        merged["runs"][by_shape[name]["lstmcore"]["run"]]["machine"]["commit"] for name in by_shape
    ]
    assert commits == ["def", "abc"]


def test_a_run_of_which_nothing_is_left_is_left_out() -> None:
    old = result(record("lstmcore", 1.0), commit="old")
    merged = results.merge([old, result(record("lstmcore", 2.0), commit="new")])
    assert [run["machine"]["commit"] for run in merged["runs"]] == ["new"]
    assert [row["run"] for row in merged["records"]] == [0]
    assert results.merge([merged])["records"] == merged["records"]


def test_files_that_are_no_results_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for text, said in (
        ("{", "doesn't hold"),
        ("[]", "doesn't hold"),
        ('{"schema": 1}', "schema 1"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"x\.json.*{said}"):
            results.read([path])
    path.write_text(json.dumps(result(record("lstmcore", 1.0))))
    assert len(results.read([path])["records"]) == 1


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([1.0, 1.0, 1.0], [1.04, 1.04, 1.04], ""),  # under the threshold
        ([1.0, 1.0, 1.0], [1.2, 1.2, 1.2], "slower"),
        ([1.2, 1.2, 1.2], [1.0, 1.0, 1.0], "faster"),
        ([0.9, 1.0, 1.15], [1.1, 1.2, 1.3], ""),  # the turns overlap
        ([0.8, 1.0, 1.09], [1.1, 1.2, 1.4], ""),  # apart, but within the noise
    ],
)
def test_a_change_counts_beyond_threshold_and_noise(
    before: list[float], after: list[float], verdict: str
) -> None:
    old, new = (result(record("lstmcore", turns)) for turns in (before, after))
    text, slower = compare.compare(old, new)
    assert bool(slower) == (verdict == "slower")
    assert text.splitlines()[-3].endswith(f"| {verdict} |")


def test_runs_without_anything_in_common_are_refused() -> None:
    one, other = result(record("lstmcore", 1.0)), result(record("torch", 1.0))
    with pytest.raises(ValueError, match="no measurement of lstmcore in common"):
        compare.compare(one, other)
    with pytest.raises(ValueError, match=r"threshold.*-1"):
        compare.compare(one, one, threshold=-1)


def test_phases_of_a_kernel_that_is_a_straight_line() -> None:
    size = shape("small", "ts-small")

    def clocks(beforehand: float, dx: float) -> dict[str, float]:
        cell = 5.0 + 0.1 * (size.I * size.T + size.H * (size.T - 1))
        found = {"forward/cell_forward": cell, "forward/panel_gemm": beforehand}
        found |= {"backward/cell_backward": 2.0, "backward/panel_gemm": 3.0 + dx}
        found |= {"backward/outer_accumulate": 4.0, "backward/transpose": 0.5}
        return {**found, "total": 1.0 + sum(found.values())}

    step = 5.0 / size.T + 0.1  # gates, and one column
    seconds, split = phases.split_phases(size, clocks(0.0, 1.5), clocks(0.0, 0.0), step)
    assert split
    expected = [0.1 * size.I * size.T, 0.1 * size.H * (size.T - 1), 5.0, 2.0, 3.0, 1.5, 4.5, 1.0]
    assert [seconds[name] for name in phases.PHASES] == pytest.approx(expected)
    seconds, split = phases.split_phases(size, clocks(0.7, 1.5), clocks(0.7, 0.0), step)
    assert not split
    assert (seconds["x product"], seconds["gates"]) == (0.7, 0.0)
    assert sum(seconds.values()) == pytest.approx(clocks(0.7, 1.5)["total"])


def test_phases_are_measured() -> None:
    (row,) = phases.measure_phases([shape("small", "ts-small")], repeats=3)
    assert sum(row["seconds"].values()) == pytest.approx(row["total"])
    assert row["total"] > row["seconds"]["dW"] > 0
    assert row["split"]
    assert row["pack"] > 0


def test_some_sequences_stand_for_a_large_batch() -> None:
    """With gradients from some sequences alone, the whole batch has theirs and no others."""
    whole = problem.make_problem(shapes.Shape("x", 5, 6, 3, 4, "ragged", 2))
    checked, rows = oracle.to_check(whole, [0, 3, 5])
    part = reference.solve(whole.part([0, 3, 5])[0], gradients=True)
    full = reference.solve(checked, gradients=True)
    for name in ("weight_ih", "weight_hh", "bias"):
        np.testing.assert_allclose(full[name], part[name], rtol=1e-12, atol=1e-14)
    for name in ("y", "dx"):
        np.testing.assert_allclose(full[name][rows], part[name], rtol=1e-12, atol=1e-14)


def test_the_reference_takes_what_it_can_afford() -> None:
    small, large = shape("small", "ts-small"), shape("deepbench-train", "db-4096-128")
    assert oracle.choose_sequences(small, "train") == list(range(small.N))
    chosen = oracle.choose_sequences(large, "train")
    assert 2 <= len(chosen) < 8
    assert (chosen[0], chosen[-1]) == (0, 127)


def test_layers_with_masks_are_measured_in_training_with_the_masks_of_a_whole_batch() -> None:
    drawn = [s for s in shapes.SUITES["cells"].shapes if s.variant.seed is not None]
    assert {"cell-recurrent-dropout", "cell-variational-dropout"} <= {s.name for s in drawn}
    for each in drawn:
        assert not each.runs_in("infer")
        assert not each.runs_in("step")
        assert each.runs_in("train")
        assert each.runs_in("train-nodx")
        wide = shapes.Shape("wide", 100, 64, 2048, 2048, "", cell=each.cell)
        assert oracle.choose_sequences(wide, "train") == list(range(64))
    assert shape("cells", "cell-zoneout").runs_in("infer")


def test_the_answer_for_a_layer_with_masks_is_that_of_its_seed(tmp_path: Path) -> None:
    cell_reference, peer = harness("cell_reference"), harness("peers.lstmcore_peer")
    small = shapes.Shape("small", 5, 6, 3, 17, "ragged", 2, cell="recurrent-dropout")
    expected = oracle.write_reference(small, "train", tmp_path)
    known = cell_reference.parameters_in(expected.path)
    given = replace(problem.make_problem(small), of_cell=known)
    found = peer.Layer(1).prepare(given, "train").outputs()
    oracle.judge({"errors": oracle.errors(found, expected.path, slice(None))})
    assert {"y", "dx", "weight_ih", "weight_hh", "bias"} == found.keys()
    undrawn = peer.Layer(1).prepare(
        replace(given, shape=replace(small, cell="lstm"), **{k: known[f"{k}_l0"] for k in WEIGHTS}),
        "train",
    )
    with pytest.raises(oracle.WrongResultError):
        oracle.judge({"errors": oracle.errors(undrawn.outputs(), expected.path, slice(None))})


def test_wrong_results_are_refused() -> None:
    oracle.judge({"errors": {"y": 1e-6}})
    oracle.judge({"loss": [1.0, 0.1], "constant_loss": 1.0})
    for wrong in (
        {"errors": {"y": 1e-6, "dx": 1e-3}},
        {"errors": {"y": math.nan}},
        {"loss": [1.0, 0.9], "constant_loss": 1.0},
    ):
        with pytest.raises(oracle.WrongResultError):
            oracle.judge(wrong)


def test_a_wrong_shape_or_nan_is_infinitely_wrong(tmp_path: Path) -> None:
    path = tmp_path / "right.npz"
    np.savez(path, y=np.ones((4, 2)))
    for found in (np.ones((3, 2)), np.full((4, 2), np.nan)):
        assert oracle.errors({"y": found}, str(path), slice(None)) == {"y": math.inf}
    assert oracle.errors({"y": np.full((4, 2), 1.1)}, str(path), slice(None))["y"] == pytest.approx(
        0.1
    )


def test_no_peer_is_started_for_what_it_does_not_offer() -> None:
    peers = harness("peers")
    for name, (where, _) in peers.PEERS.items():
        module, wanted = where.split(":")
        tree = ast.parse(Path(peers.__file__).with_name(f"{module}.py").read_text())
        peer = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == wanted)
        own = {method.name for method in peer.body if isinstance(method, ast.FunctionDef)}
        if "describe" in own:  # or it is another peer's class with something changed
            assert peers.offers(name, ["fit"]) == ("fit" in own), name
            assert peers.offers(name, ["infer", "train", "step"]) == ("infer" in own), name


def test_deepbench_is_complete_and_names_are_unique() -> None:
    for suite in shapes.SUITES.values():
        assert len({shape.name for shape in suite.shapes}) == len(suite.shapes), suite.name
    train, infer = (
        {(s.H, s.N, s.T) for s in shapes.SUITES[f"deepbench-{kind}"].shapes}
        for kind in ("train", "infer")
    )
    assert len(train) == 22
    assert len(infer) == 15
    assert {(256, 64, 150), (1536, 8, 50), (4096, 128, 25)} <= train
    assert {(256, 1, 150), (1536, 4, 50), (2048, 4, 25)} <= infer
