"""What the benchmarks write for people: tables, the short table, plots."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.bench_cases import failed, record, result

from lstmcore._cli.bench import harness

report, brief, tables = harness("report"), harness("brief"), harness("tables")
least_flops = harness("bounds").least_flops


def line_of(text: str, start: str) -> list[str]:
    """The cells of the first line of a table that begins like that."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_table_has_speed_ratios_and_share_of_the_peak() -> None:
    ours, torch = record("lstmcore", 1.0), record("torch", 3.0)
    text = report.report(result(ours, torch))
    cells = line_of(text, "ts-small")
    assert cells[1] == "48, 32, 8, 32"
    assert cells[2:4] == [f"{ours['gflops']:.0f}", f"{torch['gflops']:.0f}"]
    most = f"{torch['ns']['median'] * 100.0 / least_flops(torch):.2f}×"  # the peak is 100
    ratio = "3.00×"
    assert cells[4:] == [ratio, ratio, most, f"{ours['gflops']:.0f}"]
    assert "jax: not measured (No module named 'jax')" in text
    assert "L1 100" in text


def test_the_second_thread_is_compared_with_one() -> None:
    one, two = record("lstmcore", 2.0, threads=1), record("lstmcore", 1.0)
    text = report.report(result(one, two, record("torch", 3.0)))
    assert line_of(text.split("2 threads\n")[1], "ts-small")[-1] == "2.00×"


def test_a_wrong_result_is_named_and_never_a_number() -> None:
    text = report.report(
        result(record("lstmcore", 1.0), failed("torch", "y is off"), record("jax", 2.0))
    )
    assert "torch failed at ts-small: y is off." in text


def test_noise_and_partial_checks_are_shown() -> None:
    rows = [record("lstmcore", [1.0, 1.0, 1.2]), record("torch", 3.0, checked="2 of 32 sequences")]
    text = report.report(result(*rows))
    assert line_of(text, "ts-small")[2].startswith("~")
    assert "Compared with the reference in part: ts-small 2 of 32 sequences." in text
    assert "Fewer turns: ts-small" not in text.replace("ts-small 5", "")


def test_cells_are_compared_with_the_plain_lstm_per_operation() -> None:
    plain, gru = (record("lstmcore", 1.0, f"cell-{cell}", "cells") for cell in ("lstm", "gru"))
    text = report.report(result(plain, gru))
    relative = gru["flops"] / plain["flops"]
    assert 0.7 < relative < 0.8  # three gates of four
    assert f"the plain LSTM's (lstmcore): gru {relative:.2f}×." in text


def test_memory_is_compared_with_torch() -> None:
    base = {"suite": "small", "shape": "ts-small", "threads": 2, "run": 0}
    base["size"] = record("lstmcore", 1.0)["size"]
    ours, torch = {**base, "peer": "lstmcore", "mib": 10.0}, {**base, "peer": "torch", "mib": 20.0}
    text = report.report(result(memory=[ours, torch]))
    assert "| ts-small | 48, 32, 8, 32 | 10.0 | 20.0 | 0.50× |" in text
    assert "below torch at every shape: reached." in text
    assert "not reached at ts-small" in report.report(result(memory=[{**ours, "mib": 30.0}, torch]))
    text = report.report(result(memory=[ours, {**base, "peer": "torch", "failed": "it died"}]))
    assert "torch failed at ts-small: it died." in text


def test_ragged_rows_are_compared_with_equal_lengths() -> None:
    rows = [record("lstmcore", 1.0, name, "ragged") for name in ("jvowels", "jvowels-equal")]
    slower = [{**rows[0], "gflops": 0.8 * rows[1]["gflops"]}, rows[1]]
    assert "jvowels 0.80× (goal 0.9× each: not reached)" in report.report(result(*slower))
    as_fast = [{**rows[0], "gflops": 0.95 * rows[1]["gflops"]}, rows[1]]
    assert "jvowels 0.95× (goal 0.9× each: reached)" in report.report(result(*as_fast))


def test_scaling_shows_the_power() -> None:
    names = {"scale-T-25": 1.0, "scale-T-100": 4.0, "scale-T-400": 16.0}
    rows = [record("lstmcore", ms, name, "scaling") for name, ms in names.items()]
    assert "| T 25 to 400 | rows | 1.00 |" in report.report(result(*rows))


def test_steps_are_held_to_the_caches_and_to_their_tail() -> None:
    row = record("lstmcore", [1.0, 1.0, 2.0], "stream-64", "stream", "step")
    text = report.report(result(row))
    assert "p99 over median (lstmcore): stream-64 1.98×" in text
    assert "waits for nothing" not in text
    text = report.report(result({**row, "computing": {"p99": 5.0, "median": 4.0}}))
    assert "that waits for nothing has, over the same turns, stream-64 1.25×." in text
    assert "Reading" not in text
    text = report.report(result({**row, "reading": {"p99": 7.0e5, "median": 5.0e5}}))
    assert "all threads waiting for the last, has stream-64 1.40×." in text
    row["ns"]["tails"] = [1.0, 3.0, 1.5]
    assert "Within a turn, in the middle of them: stream-64 1.50×." in report.report(result(row))
    assert "Speed against reading the weights" not in text  # they don't fit into this L1
    row["threads"], run = 2, result(row)
    run["runs"][0]["bandwidth"]["2"] = [{"level": "L2", "bytes": 1 << 20, "gbps": 1.0}]
    weights = 4 * 4 * 64 * 96
    share = f"stream-64 {100 * weights / 1e6:.0f} %"
    assert f"{share} (goal: 80 % for H ≥ 256).\n" in report.report(run)
    run["records"][0]["reading"] = {"p99": 7.0e5, "median": 5.0e5}  # half a step's time
    assert "only reads as many bytes: stream-64 50 %." in report.report(run)


def test_what_the_machine_allows_stands_beside_the_goals() -> None:
    times = {"lstmcore": 2.0, "torch": 3.0}
    rows = [record(peer, ms, name) for name in ("ts-small", "har") for peer, ms in times.items()]
    for row in rows:
        row["peak_gflops"] = 2 * least_flops(row) / 3e6  # half of torch's time
    known, unknown = result(*rows), result(*rows)
    known["runs"][0]["bandwidth"]["2"] += [{"level": "L2", "bytes": 1 << 20, "gbps": 100.0}]
    text = report.report(known)
    assert line_of(text, "geometric mean")[4:7] == ["1.50×", "1.50×", "2.00×"]
    assert "The ceiling allows 2.00× in geometric mean, of which 75 % is reached; " in text
    assert "above it: 3.5× in geometric mean and 2.5× at ts-small (2.00×), har (2.00×)." in text
    unknown["runs"][0]["bandwidth"] = {}  # no compiler: the peak is one from below
    assert "eiling" not in report.report(unknown)
    assert "at most" not in report.report(unknown)


def test_the_best_reading_of_all_runs_on_a_machine_counts() -> None:
    busy, quiet, other = (
        result(record("lstmcore", 1.0, name)) for name in ("har", "ts-mid", "ts-128")
    )
    quiet["runs"][0]["bandwidth"] = {"2": [{"level": "L1", "bytes": 16384, "gbps": 123.0}]}
    other["runs"][0]["machine"]["cpu"] = "Another processor"
    other["runs"][0]["bandwidth"] = {"2": [{"level": "L1", "bytes": 16384, "gbps": 999.0}]}
    text = report.head(harness("results").merge([other, quiet, busy]))
    assert "reading, GB/s: 2 threads L1 123" in text


def test_phases_have_a_table() -> None:
    seconds = dict.fromkeys(harness("phases").PHASES, 0.001)
    row = {
        **{key: record("lstmcore", 1.0)[key] for key in ("shape", "size", "run")},
        "seconds": seconds,
        "split": True,
        "total": 0.008,
        "pack": 0.0004,
        "flops": {"x product": 10**8},
    }
    text = report.report(result(phases=[row]))
    cells = line_of(text, "ts-small")
    assert cells[2] == "12 (100)"
    assert cells[-2:] == ["8", "5.0"]


def test_details_have_every_statistic_and_the_code_that_ran() -> None:
    row = record("torch", 2.0, path="oneDNN rnn ref", errors={"y": 1e-7})
    text = report.report(result(row), details=True)
    assert "| ts-small | torch | oneDNN rnn ref | 2 | 2 | 2 | 2 | 0.000 | 5 | 1.0e-07 |" in text


def test_merged_runs_are_told_apart() -> None:
    merge = harness("results").merge
    one = result(record("lstmcore", 1.0), commit="aaa")
    other = result(
        record("lstmcore", 1.0, "har"), commit="bbb", created="2026-02-02T00:00:00+00:00"
    )
    text = report.report(merge([one, other]))
    assert "2026-01-02T03:04:05 to 2026-02-02T00:00:00" in text
    assert "commit aaa, bbb, in 2 runs" in text


def test_the_short_table() -> None:
    rows = [record("lstmcore", 1.0), record("torch", 4.0)]
    rows += [record("lstmcore", 1.0, "har"), record("torch", 1.0, "har")]
    text = brief.brief(result(*rows))
    wanted = ["train on a batch, dx too", "ts-small, har", "2.00×", "2.00×", "1.00×", "4.00×"]
    assert line_of(text, "train") == wanted
    assert "Not measured: jax" in text


def test_text_goes_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    tables.write_into(page, "new")
    assert page.read_text() == f"before\n{tables.BEGIN}\nnew\n{tables.END}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(ValueError, match=r"page\.md has no"):
        tables.write_into(page, "new")


def test_plots_are_drawn_for_what_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plots = harness("plots")
    names = {"scale-T-25": 1.0, "scale-T-100": 4.0, "scale-H-256": 9.0, "scale-H-512": 30.0}
    rows = [
        record(p, k * ms, n, "scaling")
        for n, ms in names.items()
        for p, k in (("lstmcore", 1), ("torch", 3))
    ]
    written = plots.draw(result(*rows), tmp_path / "plots")
    assert [path.name for path in written] == ["ratios.svg", "roofline.svg", "scaling.svg"]
    assert all("<svg" in path.read_text() for path in written)
    assert plots.draw(result(), tmp_path) == []


def test_intensity_grows_with_the_batch_and_not_with_time() -> None:
    plots, shapes = harness("plots"), harness("shapes")
    few, many, longer = (shapes.Shape("x", t, n, 64, 64, "") for t, n in ((5, 1), (5, 64), (50, 1)))
    assert plots.intensity(few, "infer") == plots.intensity(longer, "infer")
    assert plots.intensity(few, "train") < plots.intensity(many, "train")
    assert 0.4 < plots.intensity(few, "infer") < 0.5  # a multiply-add for each weight of 4 bytes
