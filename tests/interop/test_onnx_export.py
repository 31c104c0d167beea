"""ONNX models made of layers and estimators, run in ONNX Runtime over ragged batches."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from estimators.problems import PROBLEMS, estimator, ragged_sequences, targets
from interop.drawing import (
    BACKWARD,
    KINDS,
    SHAPES,
    VARIANTS,
    assert_close,
    assert_same_parameters,
    drawn,
    parts_of,
    state_of,
    variant,
)

from lstmcore import LSTMClassifier, LSTMRegressor
from lstmcore.cells import GRUCell, LSTMCell, RNNCell
from lstmcore.interop import from_onnx, to_onnx
from lstmcore.layers import LSTM

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

X = ragged_sequences(30, seed=5)


def session(model: Any) -> Any:
    """What runs a model, without a word."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    content = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def padded(sequences: list[np.ndarray], n_features: int, n_steps: int = 0) -> dict[str, np.ndarray]:
    """Sequences as inputs of a model, with NaN behind their ends."""
    lengths = np.array([len(x) for x in sequences], np.int64)
    array = np.full(
        (len(sequences), max(n_steps, lengths.max(initial=0)), n_features), np.nan, np.float32
    )
    for row, x in zip(array, sequences, strict=True):
        row[: len(x)] = x
    return {"X": array, "lengths": lengths}


def drawn_sequences(lengths: tuple[int, ...], n_features: int) -> list[np.ndarray]:
    rng = np.random.default_rng(len(lengths))
    return [rng.normal(size=(length, n_features)).astype(np.float32) for length in lengths]


LENGTHS = [(3, 5, 1), (4, 0, 2, 4), (0, 0), (0,), (7,), ()]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("with_state", [False, True], ids=["zeros", "state"])
@pytest.mark.parametrize("kind", [*KINDS, *BACKWARD])
def test_layers(kind: str, with_state: bool, lengths: tuple[int, ...]) -> None:
    for shape in SHAPES:
        layer = drawn(shape, kind=kind)
        check_layer(layer, shape, with_state, lengths)


def check_layer(
    layer: Any, shape: tuple[int, int, int], with_state: bool, lengths: tuple[int, ...]
) -> None:
    run = session(to_onnx(layer))
    sequences = drawn_sequences(lengths, shape[0])
    inputs = padded(sequences, shape[0])
    state = None
    if with_state:
        state = state_of(layer, len(lengths))
        inputs |= dict(zip(("h_0", "c_0"), parts_of(state), strict=False))
    Y, *after = run.run(None, inputs)
    y, expected_state = layer(sequences, state)
    for got, want in zip(after, parts_of(expected_state), strict=True):
        assert_close(got, want)
    assert Y.shape == (len(lengths), max(lengths, default=0), (1 + layer.bidirectional) * shape[1])
    for row, expected in zip(Y, y, strict=True):
        assert_close(row[: len(expected)], expected)
        assert not row[len(expected) :].any()


@pytest.mark.parametrize("name", VARIANTS)
def test_lstms_with_options(name: str, tmp_path: Path) -> None:
    for lengths in ((3, 5, 1), (4, 0, 2, 4), ()):
        layer = variant(name, (3, 5, 2))
        check_layer(layer, (3, 5, 2), True, lengths)
    assert_same_parameters(from_onnx(to_onnx(layer, tmp_path / "layer.onnx")), layer)
    assert_same_parameters(from_onnx(tmp_path / "layer.onnx"), layer)
    double = variant(name, (3, 5, 2), "float64")
    assert_same_parameters(from_onnx(to_onnx(double)), double)


def test_estimators_with_options() -> None:
    cell = LSTMCell(peephole=True, coupled_gates=True, gate_activation="hard_sigmoid")
    assert_agrees(fitted("multiclass", cell=cell), X)
    with pytest.raises(NotImplementedError, match="layer_norm=True: ONNX has no such cell"):
        fitted("binary", cell=LSTMCell(layer_norm=True)).to_onnx()


def test_pooling_of_unbounded_values() -> None:
    cell = LSTMCell(output_activation=("affine", 9.0, 0.0))
    model = fitted("one output", cell=cell, pooling="max")
    flat = model.coefs_.copy()
    flat[:] = np.random.default_rng(0).normal(size=len(flat)) - 0.5
    flat.flags.writeable = False
    model.coefs_ = flat
    assert min(float(record.hidden.min(initial=0)) for record in model.gates(X)) < -2
    np.testing.assert_allclose(outputs(model, X)["y"], model.predict(X), rtol=1e-4, atol=1e-4)


def test_what_may_be_left_out() -> None:
    layer = drawn((3, 8, 2))
    run = session(to_onnx(layer))
    x = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    y, (h, _) = layer(x)
    Y, h_n = run.run(["Y", "h_n"], {"X": x})
    assert_close(Y, y)
    assert_close(h_n, h)
    longer = run.run(["Y"], {"X": x, "lengths": np.array([100])})[0]
    assert np.array_equal(longer, Y)
    cut = run.run(["Y"], {"X": x, "lengths": np.array([2])})[0]
    assert_close(cut[:, :2], y[:, :2])
    negative = run.run(["Y"], {"X": x, "lengths": np.array([-1])})[0]
    assert not negative.any()


def test_states_go_on() -> None:
    layer = drawn((3, 8, 2))
    run = session(to_onnx(layer))
    x = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    names = ["Y", "h_n", "c_n"]
    _, h, c = run.run(names, {"X": x[:, :2]})
    assert_close(run.run(names, {"X": x[:, 2:], "h_0": h, "c_0": c})[0], layer(x)[0][:, 2:])


@pytest.mark.parametrize("kind", [*KINDS, *BACKWARD])
def test_nan_comes_out_as_nan(kind: str) -> None:
    layer = drawn((3, 8, 2), kind=kind)
    run = session(to_onnx(layer))
    sequences = drawn_sequences((4, 6, 3), 3)
    sequences[1][2, 0] = np.nan
    Y, *after = run.run(None, padded(sequences, 3))
    y, state = layer(sequences)
    assert np.isnan(y[1][:3] if layer.reverse else y[1][2:]).all()
    for row, expected in zip(Y, y, strict=True):
        assert np.array_equal(np.isnan(row[: len(expected)]), np.isnan(expected))
    for got, want in zip(after, parts_of(state), strict=True):
        assert np.array_equal(np.isnan(got), np.isnan(want))


def test_nan_in_a_state_comes_out_as_nan() -> None:
    layer = drawn((3, 8, 2))
    run = session(to_onnx(layer))
    sequences = drawn_sequences((4, 6, 0), 3)
    for level in (0, 1):
        state = np.zeros((2, 2, 3, 8), np.float32)
        state[0, level, 0, 3] = state[0, level, 2, 4] = np.nan
        inputs = padded(sequences, 3) | {"h_0": state[0], "c_0": state[1]}
        Y, h_n, _ = run.run(["Y", "h_n", "c_n"], inputs)
        y, (h, _) = layer(sequences, tuple(state))
        assert np.array_equal(np.isnan(h_n), np.isnan(h))
        assert np.isnan(Y[0, :4]).all()
        assert np.isnan(y[0]).all()
        assert not np.isnan(Y[1:]).any()


@pytest.mark.parametrize("kind", [*KINDS, *BACKWARD])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_round_trip(shape: tuple[int, int, int], dtype: Any, tmp_path: Path, kind: str) -> None:
    layer = drawn(shape, dtype, kind)
    model = to_onnx(layer, tmp_path / "layer.onnx")
    assert_same_parameters(from_onnx(model), layer)
    assert_same_parameters(from_onnx(tmp_path / "layer.onnx", n_jobs=1), layer)
    assert (model.opset_import[0].version, model.ir_version) == (18, 8)


def fitted(problem: str, **parameters: Any) -> Any:
    sequences = ragged_sequences()
    return estimator(problem, learning_rate=0.05, **parameters).fit(sequences, targets(problem))


def outputs(model: Any, sequences: list[np.ndarray], **options: Any) -> dict[str, np.ndarray]:
    run = session(model.to_onnx(**options))
    names = [output.name for output in run.get_outputs()]
    return dict(zip(names, run.run(names, padded(sequences, 3)), strict=True))


def assert_agrees(model: Any, sequences: list[np.ndarray], **options: Any) -> None:
    got = outputs(model, sequences, **options)
    if isinstance(model, LSTMClassifier):
        assert got["label"].tolist() == model.predict(sequences).tolist()
        assert_close(got["probabilities"], model.predict_proba(sequences))
    else:
        expected = model.predict(sequences)
        assert got["y"].dtype == expected.dtype
        assert_close(got["y"] / model.target_scale_.max(), expected / model.target_scale_.max())


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_estimators(problem: str, pooling: str) -> None:
    model = fitted(problem, pooling=pooling, hidden_size=(7, 5))
    assert_agrees(model, X)
    assert_agrees(model, X[:1])
    assert_agrees(model, [np.zeros((0, 3))] * 2)
    assert len(outputs(model, [])) == len(outputs(model, X))
    for array in outputs(model, []).values():
        assert len(array) == 0


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize(
    "cell",
    ["gru", GRUCell(reset_after=False), "rnn", RNNCell(nonlinearity="relu")],
    ids=["gru", "gru, reset before", "rnn", "rnn, relu"],
)
def test_estimators_of_other_cells(cell: Any, pooling: str) -> None:
    model = fitted("multiclass", cell=cell, pooling=pooling, hidden_size=(7, 5))
    assert_agrees(model, X)
    assert_agrees(model, [np.zeros((0, 3))] * 2)
    assert len(outputs(model, [])["label"]) == 0


def test_attention() -> None:
    model = fitted("multiclass", pooling="attention", hidden_size=(7, 5))
    assert_agrees(model, X)
    assert_agrees(model, [np.zeros((0, 3))] * 2)
    assert len(outputs(model, [])["label"]) == 0


def test_embeddings() -> None:
    rng = np.random.default_rng(0)
    tokens = [rng.integers(0, 6, length) for length in (4, 0, 7, 1, 3, 5)]
    settings = {"embedding_size": 3, "hidden_size": 4, "max_iter": 5, "tol": None}
    model = LSTMClassifier(**settings, random_state=0).fit(tokens, np.arange(6) % 3)
    run = session(model.to_onnx())
    inputs = padded([x[:, None] for x in tokens], 1)
    assert_close(run.run(["probabilities"], inputs)[0], model.predict_proba(tokens))
    for wrong in (6, -1):
        inputs["X"][0, 0, 0] = wrong
        with pytest.raises(Exception, match="out of data bounds"):
            run.run(["probabilities"], inputs)
    inputs["X"][0, 0, 0] = np.nan
    probabilities = run.run(["probabilities"], inputs)[0]
    assert np.isnan(probabilities).any(axis=1).tolist() == [True] + [False] * 5


def test_embeddings_of_some_features() -> None:
    sequences = [np.abs(x).round() + 0.5 * np.array([1, 0, 1]) for x in X]
    model = estimator("one output", embedding_size={1: 4}).fit(sequences, np.arange(30.0))
    assert_agrees(model, sequences)


def test_pooling_of_negative_values() -> None:
    model = fitted("one output", pooling="max")
    flat = model.coefs_.copy()
    flat[:] = np.random.default_rng(0).normal(size=len(flat)) - 0.5
    flat.flags.writeable = False
    model.coefs_ = flat
    assert_agrees(model, X)


def test_values_that_are_missing() -> None:
    rng = np.random.default_rng(0)

    def with_holes(sequences: list[np.ndarray]) -> list[np.ndarray]:
        holes = [np.where(rng.random(x.shape) < 0.3, np.nan, x) for x in sequences]
        for x in holes:
            x[:, 1] = 1.0
        return holes

    model = estimator("multiclass", missing="mask", learning_rate=0.05)
    model.fit(with_holes(ragged_sequences()), targets("multiclass"))
    assert model.missing_features_.tolist() == [0, 2]
    holes = with_holes(X)
    assert_agrees(model, holes)
    spoiled = [x.copy() for x in holes]
    longest = max(range(len(X)), key=lambda i: len(X[i]))
    spoiled[longest][0, 1] = np.nan
    probabilities = outputs(model, spoiled)["probabilities"]
    assert np.isnan(probabilities[longest]).all()
    assert np.isnan(probabilities).any(axis=1).sum() == 1


def test_nan_leads_to_nan() -> None:
    model = fitted("one output")
    spoiled = [x.copy() for x in X]
    longest = max(range(len(X)), key=lambda i: len(X[i]))
    spoiled[longest][0, 1] = np.nan
    y = outputs(model, spoiled)["y"]
    assert np.flatnonzero(np.isnan(y)).tolist() == [longest]


@pytest.mark.parametrize(
    ("classes", "type_name"),
    [
        (["ant", "Ωβ"], "string"),
        (np.array(["ant", "bee"], object), "string"),
        ([-4, 7], "int64"),
        (np.array([3, 200], np.uint8), "int64"),
        ([1.0, 3.0], "double"),
        ([False, True], "bool"),
    ],
    ids=range(6),
)
def test_labels(classes: Any, type_name: str) -> None:
    y = np.asarray(classes)[np.arange(40) % 2]
    model = estimator("binary").fit(ragged_sequences(), y)
    assert_agrees(model, X)
    assert session(model.to_onnx()).get_outputs()[0].type == f"tensor({type_name})"


def test_labels_without_a_type() -> None:
    model = estimator("binary").fit(
        ragged_sequences(), np.array(["a", "\ud800"])[np.arange(40) % 2]
    )
    with pytest.raises(ValueError, match="can't be written as UTF-8"):
        model.to_onnx()
    model.classes_ = np.array([0, 2**64 - 1], np.uint64)
    with pytest.raises(ValueError, match="Labels of dtype uint64 have no type in ONNX"):
        model.to_onnx()


def test_openvino_predicts_the_same(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    model = fitted("multiclass", hidden_size=(7, 5))
    exported = model.to_onnx()
    # OpenVINO takes defaults for constants: without one, the lengths are an input that is needed.
    initializers = [i for i in exported.graph.initializer if i.name != "lengths"]
    del exported.graph.initializer[:]
    exported.graph.initializer.extend(initializers)
    onnx.save(exported, tmp_path / "model.onnx")
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    run = openvino.Core().compile_model(tmp_path / "model.onnx", "CPU", settings)
    inputs = padded(X, 3)
    inputs["X"] = np.nan_to_num(inputs["X"])
    assert_close(run(inputs)[run.output(1)], model.predict_proba(X))


def test_float64() -> None:
    model = fitted("three outputs", dtype="float64")
    assert model.to_onnx().graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE
    assert_agrees(model, X, dtype="float32")
    layer = drawn((3, 8, 1), "float64")
    reference = pytest.importorskip("onnx.reference")
    evaluate = reference.ReferenceEvaluator(to_onnx(layer))
    x = np.random.default_rng(0).normal(size=(4, 6, 3))
    assert_close(evaluate.run(["Y"], {"X": x})[0], layer(x)[0], "float64")


def test_saving(tmp_path: Path) -> None:
    model = fitted("binary")
    path = tmp_path / "model.onnx"
    content = model.to_onnx(path).SerializeToString()
    assert path.read_bytes() == content
    assert session(str(path)).get_inputs()[0].shape == ["N", "T", 3]
    with pytest.raises(FileNotFoundError):
        model.to_onnx(tmp_path / "none" / "model.onnx")


def test_what_has_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(ValueError, match="not fitted"):
        LSTMRegressor().to_onnx(path)
    with pytest.raises(TypeError, match="layer_or_estimator must be a layer or an estimator"):
        to_onnx(3, path)
    with pytest.raises(ValueError, match="dtype must be"):
        to_onnx(LSTM(1, 1), path, dtype="float16")
    layer = LSTM(1, 1)
    layer.parameters["weight_hh_l0"][2] = np.nan
    with pytest.raises(ValueError, match="weight_hh_l0 holds NaN or infinity"):
        to_onnx(layer, path)
    large = LSTM(1, 1, dtype="float64")
    large.parameters["bias_l0"][0] = 1e300
    with pytest.raises(ValueError, match="bias_l0 holds NaN or infinity"):
        to_onnx(large, path, dtype="float32")
    assert not path.exists()


def test_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"needs onnx: pip install 'lstmcore\[onnx\]'"):
        to_onnx(LSTM(1, 1))
    with pytest.raises(ImportError, match=r"needs onnx: pip install 'lstmcore\[onnx\]'"):
        from_onnx("model.onnx")
