"""Training from a Parquet file, some sequences at a time."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from estimators.problems import estimator
from numpy.testing import assert_array_equal

import lstmcore
from lstmcore import _parquet, iter_parquet


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 50)
    who = np.repeat([f"s{i:02d}" for i in range(50)], lengths)
    table = pd.DataFrame(rng.normal(size=(len(who), 2)), columns=["a", "b"])
    return table.assign(who=who, label=np.repeat(np.arange(50) % 2, lengths), t=range(len(who)))


def written(frame, tmp_path):
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "long.parquet")
    return tmp_path / "long.parquet"


@pytest.mark.parametrize("rows", [1, 7, 2**16])
@pytest.mark.parametrize("n_sequences", [1, 8, 50, 99])
def test_batches_are_those_of_the_table(frame, tmp_path, monkeypatch, rows, n_sequences):
    monkeypatch.setattr(_parquet, "_ROWS", rows)
    path = written(frame, tmp_path)
    options = {"id": "who", "values": ["a", "b"], "time": "t"}
    batches = list(iter_parquet(path, **options, label="label", n_sequences=n_sequences))
    assert [len(X) for X, _ in batches[:-1]] == [n_sequences] * (len(batches) - 1)
    X = [x for batch, _ in batches for x in batch]
    expected = lstmcore.from_long(frame, **options)
    assert len(X) == len(expected) == 50
    for ours, theirs in zip(X, expected, strict=True):
        assert_array_equal(ours, theirs)
    assert_array_equal(np.concatenate([y for _, y in batches]), np.arange(50) % 2)
    assert [len(X) for X in iter_parquet(path, **options, n_sequences=50)] == [50]


def test_partial_fit(frame, tmp_path):
    path = written(frame, tmp_path)
    model, twin = estimator("binary"), estimator("binary")
    for X, y in iter_parquet(path, id="who", values=["a", "b"], label="label", n_sequences=20):
        model.partial_fit(X, y, classes=[0, 1])
    X, y = lstmcore.from_long(frame, id="who", values=["a", "b"]), np.arange(50) % 2
    for first in (0, 20, 40):
        twin.partial_fit(X[first : first + 20], y[first : first + 20], classes=[0, 1])
    assert_array_equal(model.coefs_, twin.coefs_)


def test_rows_that_do_not_stand_together(frame, tmp_path):
    torn = pd.concat([frame[5:], frame[:5]])
    with pytest.raises(ValueError, match="must stand together"):
        list(iter_parquet(written(torn, tmp_path), id="who", values="a", n_sequences=9))
    with pytest.raises(ValueError, match="must stand together"):
        list(iter_parquet(written(torn, tmp_path), id="who", values="a"))


def test_what_does_not_fit(frame, tmp_path):
    path = written(frame, tmp_path)
    with pytest.raises(ValueError, match=r"no columns \['c'\]"):
        list(iter_parquet(path, id="who", values="c"))
    with pytest.raises(ValueError, match="n_sequences"):
        list(iter_parquet(path, id="who", values="a", n_sequences=0))
    with pytest.raises(FileNotFoundError):
        list(iter_parquet(tmp_path / "none.parquet", id="who", values="a"))


def test_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"lstmcore\[parquet\]"):
        list(iter_parquet(tmp_path / "x.parquet", id="who", values="a"))
