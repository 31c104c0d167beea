"""Training from a Parquet or Arrow file, some sequences at a time."""

from __future__ import annotations

import os
import subprocess
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


KINDS = ("parquet", "uncompressed", "lz4")  # the last two are of Arrow files


def written(frame, tmp_path, kind="parquet"):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(tmp_path / "long.parquet")
        return tmp_path / "long.parquet"
    feather = pytest.importorskip("pyarrow.feather")
    feather.write_feather(frame, str(tmp_path / "long.arrow"), compression=kind, chunksize=17)
    return tmp_path / "long.arrow"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 7, 2**16])
@pytest.mark.parametrize("n_sequences", [1, 8, 50, 99])
def test_batches_are_those_of_the_table(frame, tmp_path, monkeypatch, rows, n_sequences, kind):
    monkeypatch.setattr(_parquet, "_ROWS", rows)
    path = written(frame, tmp_path, kind)
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


WITHIN_LIMITS = """
import re, resource, sys
import numpy as np
import pyarrow as pa
from pyarrow import feather, parquet
from lstmcore import LSTMRegressor, iter_parquet

kind, path = sys.argv[1:]
rng = np.random.default_rng(0)
T, K = 400, 10


def batch():
    return rng.random((100 * T, K), np.float32)


def table(begin):
    columns = {f"x{k}": column for k, column in enumerate(batch().T)}
    ids = np.arange(begin, begin + 100)
    return pa.table({"id": np.repeat(ids, T), "y": np.repeat(ids / 1000, T), **columns})


def batches():
    if kind == "generator":
        for _ in range(130):
            yield list(batch().reshape(100, T, K)), rng.random(100)
    else:
        yield from iter_parquet(path, id="id", values=names, label="y", n_sequences=100)


names = [f"x{k}" for k in range(K)]
schema = table(0).schema
if kind == "parquet":
    with parquet.ParquetWriter(path, schema, use_dictionary=False) as file:
        for begin in range(0, 13000, 100):
            file.write_table(table(begin))
elif kind == "arrow":
    with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, schema) as file:
        for begin in range(0, 13000, 100):
            file.write_table(table(begin))
model = LSTMRegressor(hidden_size=4, n_jobs=1, random_state=0)
X, y = next(batches())
model.partial_fit(X, y)
with open("/proc/self/status") as file:
    used = int(re.search(r"VmData:\\s+(\\d+)", file.read())[1]) * 1024
limit = used + 120 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
for n, (X, y) in enumerate(batches(), start=1):
    model.partial_fit(X, y)
try:
    np.ones((13000 * T, K), np.float32)
except MemoryError:
    print(n, "batches; no room for all")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits and /proc are of Linux")
@pytest.mark.parametrize("kind", ["parquet", "arrow", "generator"])
def test_memory_holds_a_batch(kind, tmp_path):
    """With 120 MB to spare, an epoch over 208 MB."""
    pytest.importorskip("pyarrow")
    done = subprocess.run(
        [sys.executable, "-P", "-c", WITHIN_LIMITS, kind, str(tmp_path / "long")],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "130 batches; no room for all\n"


def test_rows_that_do_not_stand_together(frame, tmp_path):
    torn = pd.concat([frame[5:], frame[:5]])
    with pytest.raises(ValueError, match="must stand together"):
        list(iter_parquet(written(torn, tmp_path), id="who", values="a", n_sequences=9))
    with pytest.raises(ValueError, match="must stand together"):
        list(iter_parquet(written(torn, tmp_path), id="who", values="a"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit(frame, tmp_path, kind):
    path = written(frame, tmp_path, kind)
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
