"""Long tables of pandas, polars and pyarrow, and Awkward Arrays, as sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

import lstmcore


def columns_of(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """The columns as lists, with None where a value is missing."""
    return {
        name: [None if pd.isna(value) else value for value in frame[name].tolist()]
        for name in frame.columns
    }


def as_polars(frame: pd.DataFrame) -> Any:
    return pytest.importorskip("polars").DataFrame(columns_of(frame))


def as_pyarrow(frame: pd.DataFrame) -> Any:
    return pytest.importorskip("pyarrow").table(columns_of(frame))


KINDS = {
    "pandas": lambda frame: frame,
    "pandas nullable": lambda frame: frame.convert_dtypes(),
    "pandas index": lambda frame: frame.set_index(pd.Index(range(100, 100 + len(frame)))),
    "polars": as_polars,
    "pyarrow": as_pyarrow,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


def shuffled(n: int = 12, seed: int = 0) -> tuple[pd.DataFrame, list[np.ndarray], list[str]]:
    """A table with mixed rows, and what its sequences are in the order of their first rows."""
    rng = np.random.default_rng(seed)
    sequences = [rng.normal(size=(rng.integers(1, 7), 2)) for _ in range(n)]
    rows = [
        (f"s{i}", t, *step, float(i % 3), "odd" if i % 2 else "even")
        for i, x in enumerate(sequences)
        for t, step in enumerate(x)
    ]
    frame = pd.DataFrame(rows, columns=["id", "t", "a", "b", "size", "parity"])
    frame = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    names = list(dict.fromkeys(frame["id"]))
    return frame, [sequences[int(name[1:])] for name in names], names


def test_rows_become_sequences(kind: Any) -> None:
    frame, sequences, names = shuffled()
    X = lstmcore.from_long(kind(frame), id="id", time="t", values=["a", "b"])
    assert len(X) == len(sequences)
    for found, expected in zip(X, sequences, strict=True):
        assert_array_equal(found, expected, strict=True)
    labels = lstmcore.labels_from_long(kind(frame), id="id", label="parity")
    assert labels.tolist() == ["odd" if int(name[1:]) % 2 else "even" for name in names]
    assert lstmcore.labels_from_long(kind(frame), id="id", label="id").tolist() == names
    two = lstmcore.labels_from_long(kind(frame), id="id", label=["size", "size"])
    assert_array_equal(two, np.array([[int(name[1:]) % 3] * 2 for name in names], float))


def test_a_fit_from_a_table(kind: Any) -> None:
    frame, _, _ = shuffled(20)
    X = lstmcore.from_long(kind(frame), id="id", time="t", values=["a", "b"])
    y = lstmcore.labels_from_long(kind(frame), id="id", label="parity")
    model = lstmcore.LSTMClassifier(hidden_size=4, max_iter=2, tol=None).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert set(model.classes_) == {"odd", "even"}


def test_columns_that_are_left(kind: Any) -> None:
    frame, sequences, _ = shuffled()
    X = lstmcore.from_long(kind(frame[["id", "t", "a", "b"]]), id="id", time="t")
    assert_array_equal(np.concatenate(X), np.concatenate(sequences))
    X = lstmcore.from_long(kind(frame), id="id", time="t", values="b")
    assert_array_equal(np.concatenate(X)[:, 0], np.concatenate(sequences)[:, 1])


def test_without_time_rows_stay_in_order(kind: Any) -> None:
    frame = kind(pd.DataFrame({"id": [2, 1, 2], "x": [1.0, 2.0, 3.0]}))
    assert [x.tolist() for x in lstmcore.from_long(frame, id="id")] == [[[1], [3]], [[2]]]


def test_missing_values_become_nan(kind: Any) -> None:
    frame = kind(pd.DataFrame({"id": [1, 1], "x": [1.0, None], "y": [True, False]}))
    assert_array_equal(lstmcore.from_long(frame, id="id")[0], [[1.0, 1.0], [np.nan, 0.0]])


@pytest.mark.parametrize(
    "times",
    [
        pd.to_datetime(["2024-03-02", "2024-03-01", "2024-03-03"]),
        pd.to_datetime(["2024-03-02", "2024-03-01", "2024-03-03"]).tz_localize("Asia/Tokyo"),
        ["2024-03-02", "2024-03-01", "2024-03-03"],
        [0.5, -0.5, 1.5],
    ],
    ids=["date", "zone", "text", "float"],
)
def test_kinds_of_time(times: Any) -> None:
    frame = pd.DataFrame({"id": ["a", "a", "a"], "t": times, "x": [2, 1, 3]})
    assert lstmcore.from_long(frame, id="id", time="t")[0].tolist() == [[1], [2], [3]]


def test_float32_is_kept() -> None:
    frame = pd.DataFrame({"id": [1, 2], "x": np.ones(2, np.float32), "y": [1.0, 2.0]})
    assert lstmcore.from_long(frame, id="id", values="x")[0].dtype == np.float32
    assert lstmcore.from_long(frame, id="id")[0].dtype == np.float64


def test_an_empty_table(kind: Any) -> None:
    if kind is KINDS["pandas nullable"]:
        pytest.skip("pandas guesses a type from nothing")
    frame = kind(pd.DataFrame({"id": [1], "x": [1.0]}))[:0] if kind is not as_pyarrow else None
    if frame is None:
        frame = as_pyarrow(pd.DataFrame({"id": [1], "x": [1.0]})).slice(0, 0)
    assert lstmcore.from_long(frame, id="id") == []
    assert lstmcore.labels_from_long(frame, id="id", label="x").shape == (0,)


FRAME = {"id": ["a", "a", "b"], "t": [1, 1, 1], "x": [1.0, 2.0, 3.0], "w": ["1", "2", "3"]}
BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"id": "who"}, r"id: there is no column 'who'; the columns are \['id', 't', 'x', 'w'\]"),
    ({}, {"time": "T"}, "time: there is no column 'T'"),
    ({}, {"values": ["x", "y"]}, "values: there is no column 'y'"),
    ({}, {"values": []}, "no column of values"),
    ({}, {"time": "t", "values": "x"}, "column 't' .*row 0 and row 1 of id='a' both have 1"),
    ({}, {"values": ["x", "w"]}, "column 'w' must hold numbers, got '1' in row 0"),
    ({"id": ["a", None, "b"]}, {"values": "x"}, "column 'id' lacks an id in row 1"),
    ({"t": [1.0, 2.0, None]}, {"time": "t", "values": "x"}, "column 't' lacks a time in row 2"),
]


@pytest.mark.parametrize(("changes", "arguments", "message"), BAD)
def test_what_is_wrong_is_named(
    kind: Any, changes: dict[str, Any], arguments: dict[str, Any], message: str
) -> None:
    frame = kind(pd.DataFrame(FRAME | changes))
    with pytest.raises(ValueError, match=message):
        lstmcore.from_long(frame, **({"id": "id"} | arguments))


def test_labels_that_change_are_named(kind: Any) -> None:
    message = r"column 'x' must be the same .*id='a' it is 1(.0)? in row 0 and 2(.0)? in row 1"
    with pytest.raises(ValueError, match=message):
        lstmcore.labels_from_long(kind(pd.DataFrame(FRAME)), id="id", label="x")
    frame = kind(pd.DataFrame(FRAME | {"x": [1.0, None, 3.0]}))
    with pytest.raises(ValueError, match="column 'x' lacks a label in row 1"):
        lstmcore.labels_from_long(frame, id="id", label="x")
    with pytest.raises(ValueError, match="label must be a column or a non-empty list"):
        lstmcore.labels_from_long(frame, id="id", label=[])


@pytest.mark.parametrize("table", [np.ones((2, 2)), [1, 2], None, {"id": [1]}])
def test_no_table(table: Any) -> None:
    with pytest.raises(TypeError, match=r"frame must be a table with columns, .* got "):
        lstmcore.from_long(table, id="id")


class TestAwkward:
    RECORDS = ([{"a": 1.0, "b": 2}, {"a": 3.0, "b": 4}], [], [{"a": 5.0, "b": None}])
    EXPECTED = ([[1.0, 2.0], [3.0, 4.0]], np.empty((0, 2)), [[5.0, np.nan]])

    @pytest.fixture
    def ak(self) -> Any:
        return pytest.importorskip("awkward")

    def test_records(self, ak: Any) -> None:
        X = lstmcore.from_awkward(ak.Array(self.RECORDS))
        for found, expected in zip(X, self.EXPECTED, strict=True):
            assert_array_equal(found, np.asarray(expected), strict=True)

    def test_lists(self, ak: Any) -> None:
        nested = ak.Array([[[1.0, 2.0], [3.0, 4.0]], [], [[5.0, None]]])
        for array in (nested, ak.to_regular(nested, axis=2)):
            for found, expected in zip(lstmcore.from_awkward(array), self.EXPECTED, strict=True):
                assert_array_equal(found, np.asarray(expected), strict=True)

    def test_one_feature(self, ak: Any) -> None:
        X = lstmcore.from_awkward(ak.Array([[1, 2, 3], []]))
        assert [x.tolist() for x in X] == [[[1.0], [2.0], [3.0]], []]
        assert lstmcore.from_awkward(ak.Array([[1.0]])[:0]) == []

    def test_float32_is_kept(self, ak: Any) -> None:
        array = ak.values_astype(ak.Array([[[1.0, 2.0]]]), np.float32)
        assert lstmcore.from_awkward(array)[0].dtype == np.float32

    def test_errors(self, ak: Any) -> None:
        with pytest.raises(TypeError, match=r"awkward.Array, got list"):
            lstmcore.from_awkward([[1.0]])
        with pytest.raises(ValueError, match="step 2, counted over all sequences, has 1"):
            lstmcore.from_awkward(ak.Array([[[1.0, 2.0], [3.0, 4.0]], [[5.0]]]))
        with pytest.raises(ValueError, match=r"must be of type .* got 2 \* "):
            lstmcore.from_awkward(ak.Array([1.0, 2.0]))
        with pytest.raises(ValueError, match="numbers"):
            lstmcore.from_awkward(ak.Array([["a", "b"], []]))
