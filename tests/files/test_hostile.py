"""Files that are damaged or made to harm: always a ValueError, and no memory beyond their size."""

from __future__ import annotations

import copy
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files.crafting import ZEROS, file_of, parts_of, record_of, with_record
from files.models import fitted

import lstmcore
from lstmcore import SequenceScaler, layers
from lstmcore._files_container import LARGEST_HEADER


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def small(folder: Path) -> bytes:
    """The smallest of all files: a layer of one unit."""
    layers.LSTM(1, 1, random_state=0).save(folder / "small")
    return (folder / "small").read_bytes()


@pytest.fixture(scope="module")
def classifier(folder: Path) -> bytes:
    """A classifier that can be trained on."""
    fitted("multiclass", warm_start=True).save(folder / "classifier")
    return (folder / "classifier").read_bytes()


@pytest.fixture(scope="module")
def regressor(folder: Path) -> bytes:
    fitted("three outputs").save(folder / "regressor")
    return (folder / "regressor").read_bytes()


def refused(content: bytes, folder: Path) -> str:
    """The message with which a file is refused, having cost no more memory than it may."""
    path = folder / f"refused-{os.getpid()}"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"can't be loaded: ") as caught:
            lstmcore.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * len(content) + 300_000, f"{peak} bytes for a file of {len(content)}"
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_truncated_at_any_byte(small: bytes, classifier: bytes, folder: Path) -> None:
    for length in range(len(small)):
        refused(small[:length], folder)
    for length in range(0, len(classifier), 97):
        refused(classifier[:length], folder)


def test_longer_than_it_was(small: bytes, folder: Path) -> None:
    assert "but 49 follow" in refused(small + b"\0", folder)
    refused(small + small, folder)


def test_any_bit_flipped(small: bytes, folder: Path) -> None:
    for place in range(len(small)):
        for bit in range(8):
            flipped = bytearray(small)
            flipped[place] ^= 1 << bit
            refused(bytes(flipped), folder)


def test_any_byte_changed(classifier: bytes, folder: Path) -> None:
    rng = np.random.default_rng(0)
    for place in rng.choice(len(classifier), 1500, replace=False):
        changed = bytearray(classifier)
        changed[place] ^= rng.integers(1, 256)
        refused(bytes(changed), folder)


def test_bytes_of_any_kind(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for length in (0, 1, 7, 8, 9, 64, 4096):
        refused(rng.bytes(length), folder)
        refused(bytes(length), folder)
        refused(b"\xff" * length, folder)
    for length in (0, 1, 100, 2**16, 2**63, 2**64 - 1):
        refused(length.to_bytes(8, "little") + b"{}", folder)


def test_other_things_than_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        lstmcore.load(tmp_path)
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ValueError, match="no regular file"):
            lstmcore.load(path)


def test_files_of_others(folder: Path) -> None:
    numpy_of = pytest.importorskip("safetensors.numpy")
    assert "no __metadata__" in refused(numpy_of.save({"a": np.zeros(3)}), folder)
    assert "no checksum" in refused(numpy_of.save({"a": np.zeros(3)}, {"a": "b"}), folder)


META = '"__metadata__":{"format":"lstmcore","sha256":"' + ZEROS + '"}'


def entry(name: str, begin: Any, end: Any, shape: Any = "[2]", dtype: str = '"F32"') -> str:
    return f',"{name}":{{"dtype":{dtype},"shape":{shape},"data_offsets":[{begin},{end}]}}'


# What is wrong with a header → the header, the number of bytes after it, what the message says.
HEADERS: dict[str, tuple[str | bytes, int, str]] = {
    "no JSON": (META, 0, "not JSON"),
    "a list": (f"[{META[15:]}]", 0, "no JSON object"),
    "not UTF-8": (b"{" + META.encode() + b',"\xff":1}', 0, "not UTF-8"),
    "UTF-16": (("{" + META + "}").encode("utf-16"), 0, "not UTF-8"),
    "two names": ("{" + META + entry("a", 0, 8) + entry("a", 0, 8) + "}", 8, "'a' twice"),
    "two metadata": ("{" + META + "," + META + "}", 0, "'__metadata__' twice"),
    "deep": ("{" + META + ',"a":' + "[" * 10_000 + "]" * 10_000 + "}", 0, "deeper than 32"),
    "deep, not closed": ("[" * 100_000, 0, "deeper than 32"),
    "deep, in an open string": ('{"' + "[" * 100_000, 0, "deeper than 32"),
    "wide": ("{" + META + ',"a":[' + "[]," * 600_000 + "0]}", 0, "more than"),
    "NaN": ("{" + META + entry("a", "NaN", 8) + "}", 8, "NaN, which is no JSON"),
    "a large float": ("{" + META + entry("a", "1e999", 8) + "}", 8, "too large"),
    "a long number": ("{" + META + entry("a", 0, "9" * 5000) + "}", 8, "digits"),
    "no metadata": ("{" + entry("a", 0, 8)[1:] + "}", 8, "no __metadata__"),
    "metadata of another type": (
        '{"__metadata__":{"sha256":"' + ZEROS + '","format":1}}',
        0,
        "maps names to strings",
    ),
    "two checksums": ('{"a":"' + ZEROS + '",' + META + "}", 0, "not described"),
    "no description": ("{" + META + ',"a":1}', 0, "not described"),
    "more description": (
        "{" + META + entry("a", 0, 8)[:-1] + ',"more":1}}',
        8,
        "not described",
    ),
    "another dtype": ("{" + META + entry("a", 0, 4, dtype='"BF16"') + "}", 4, "unknown dtype"),
    "no dtype": ("{" + META + entry("a", 0, 8, dtype="[1]") + "}", 8, "unknown dtype"),
    "an object": ("{" + META + entry("a", 0, 16, dtype='"O"') + "}", 16, "unknown dtype"),
    "wrong dtype": ("{" + META + entry("a", 0, 8, dtype='"F64"') + "}", 8, "does not fill"),
    "huge shape": ("{" + META + entry("a", 0, 8, f"[{2**40},{2**20}]") + "}", 8, "does not fill"),
    "huge sizes": ("{" + META + entry("a", 0, 2**47, f"[{2**45}]") + "}", 8, "claim"),
    "larger than any": ("{" + META + entry("a", 0, 2**66, f"[{2**64}]") + "}", 8, "data_offsets"),
    "shape that wraps": ("{" + META + entry("a", 0, 0, f"[{2**62}]") + "}", 0, "shape"),
    "nothing, hugely": ("{" + META + entry("a", 0, 0, f"[0,{2**62}]") + "}", 0, "shape"),
    "many axes": ("{" + META + entry("a", 0, 4, str([1] * 40)) + "}", 4, "shape"),
    "negative size": ("{" + META + entry("a", 0, 8, "[-1,-2]") + "}", 8, "shape"),
    "size of a bool": ("{" + META + entry("a", 0, 4, "[true]") + "}", 4, "shape"),
    "size of a float": ("{" + META + entry("a", 0, 8, "[2.0]") + "}", 8, "shape"),
    "size of a string": ("{" + META + entry("a", 0, 8, '"2"') + "}", 8, "shape"),
    "negative offset": ("{" + META + entry("a", -8, 0) + "}", 8, "data_offsets"),
    "offsets turned round": ("{" + META + entry("a", 8, 0) + "}", 8, "data_offsets"),
    "overlap": ("{" + META + entry("a", 0, 8) + entry("b", 4, 12) + "}", 12, "overlaps"),
    "the same place": ("{" + META + entry("a", 0, 8) + entry("b", 0, 8) + "}", 8, "overlaps"),
    "gap": ("{" + META + entry("a", 0, 8) + entry("b", 16, 24) + "}", 24, "gap"),
    "gap at the start": ("{" + META + entry("a", 8, 16) + "}", 16, "gap"),
    "gap at the end": ("{" + META + entry("a", 0, 8) + "}", 16, "but 16 follow"),
    "bool of 2": ("{" + META + entry("a", 0, 1, "[1]", '"BOOL"') + "}", -1, "bools"),
    "no version": ("{" + META + entry("a", 0, 8) + "}", 8, "version None of the format"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name: str, folder: Path) -> None:
    header, n_bytes, message = HEADERS[name]
    raw = header if isinstance(header, bytes) else header.encode()
    assert message in refused(file_of(raw, b"\x02" if n_bytes < 0 else bytes(n_bytes)), folder)


def test_long_headers(folder: Path) -> None:
    header = ("{" + META + "}").encode().ljust(LARGEST_HEADER + 8)
    assert "more than" in refused(file_of(header), folder)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"format": "pickle"}, "not one that lstmcore wrote"),
        ({"format_version": "2", "lstmcore_version": "7.8"}, "by lstmcore '7.8' in version '2'"),
        ({"format_version": ""}, "version '' of the format"),
        ({"kind": "builtins.eval"}, "'builtins.eval', which is none of"),
        ({"kind": "LSTMRegressor"}, "not those of LSTMRegressor"),
        ({"record": "[]"}, "the record is no JSON object"),
        ({"record": '{"a":1,"a":1}'}, "the record names 'a' twice"),
        ({"record": '"' + "\ud800" + '"'}, "not UTF-8"),
        ({"record": "[" * 50_000}, "deeper than 32"),
        ({"record": '{"a":{"array":"none"}}'}, "tagged 'array'"),
        ({"record": '{"a":{"pickle":"gASV"}}'}, "tagged 'pickle'"),
        ({"record": '{"a":{}}'}, "0 tags"),
        ({"record": '{"a":{"float":"1"}}'}, "tagged 'float'"),
        ({"record": '{"a":{"objects":[1]}}'}, "tagged 'objects'"),
        ({"record": '{"a":{"map":[[1,2],[1.0,3]]}}'}, "a key twice"),
        ({"record": '{"a":{"map":[[[1],2]]}}'}, "pairs of a plain key"),
        ({"record": '{"a":{"map":[1]}}'}, "pairs of a plain key"),
        ({"record": "{}"}, "nothing refers to the arrays"),
        ({"record": '{"a":{"text":"_live"}}'}, "no matrix of code points"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_metadata(metadata: dict[str, str], message: str, small: bytes, folder: Path) -> None:
    header, data = parts_of(small)
    header["__metadata__"] |= metadata
    assert message in refused(file_of(json.dumps(header).encode(), data), folder)


def test_no_code_points(folder: Path) -> None:
    fitted("multiclass").save(folder / "labels")
    header, data = parts_of((folder / "labels").read_bytes())
    begin, end = header["fitted.classes_"]["data_offsets"]
    for number in (0x110000, 2**32 - 1):
        wrong = np.full((end - begin) // 4, number, np.uint32).tobytes()
        content = file_of(json.dumps(header).encode(), data[:begin] + wrong + data[end:])
        assert "no code points" in refused(content, folder)


FITTED = ("fitted", "dict")
SPEC = (*FITTED, "_spec", "dict")
STATE = (*FITTED, "_training_state", "dict")
PARAMETERS = ("parameters", "dict")
DROP = "(nothing at all)"

# Where the record of a classifier becomes another one, what stands there, and the message.
CLASSIFIERS: list[tuple[tuple[str, ...], Any, str]] = [
    (("parameters",), 1, "its parameters are not"),
    ((*PARAMETERS, "more"), 1, "its parameters are not"),
    ((*PARAMETERS, "hidden_size"), 0, "'hidden_size' parameter"),
    ((*PARAMETERS, "hidden_size"), "many", "'hidden_size' parameter"),
    ((*PARAMETERS, "n_jobs"), {"dict": {}}, "'n_jobs' parameter"),
    ((*PARAMETERS, "n_timesteps"), 0, "'n_timesteps' parameter"),
    (("fitted",), [], "its fitted state is no dict"),
    (("fitted",), {"dict": {}}, "nothing refers"),
    ((*FITTED, "coefs_"), 1, "no vector"),
    ((*FITTED, "coefs_"), {"array": "fitted._training_state.moments"}, "no vector"),
    ((*FITTED, "n_features_in_"), 4, "other numbers of features"),
    ((*FITTED, "n_features_in_"), True, "other numbers of features"),
    ((*FITTED, "n_outputs_"), 4, "other numbers of features"),
    ((*FITTED, "missing_features_"), [], "no vector of indices"),
    ((*FITTED, "missing_features_"), DROP, "lacks ['missing_features_']"),
    ((*FITTED, "feature_names_in_"), 4, "feature names"),
    ((*FITTED, "classes_"), 4, "no classes_"),
    ((*FITTED, "classes_"), {"objects": ["a", "b"]}, "2 classes, but"),
    ((*FITTED, "_multilabel"), 4, "its _multilabel is not as"),
    ((*FITTED, "_multilabel"), DROP, "multilabel"),
    ((*FITTED, "_spec"), DROP, "lacks"),
    ((*FITTED, "predict"), 1, "attribute 'predict'"),
    ((*FITTED, "_record"), 1, "attribute '_record'"),
    ((*FITTED, "parameters_"), 1, "attribute 'parameters_'"),
    ((*FITTED, "layout_"), 1, "attribute 'layout_'"),
    ((*FITTED, "__class__"), 1, "attribute '__class__'"),
    ((*SPEC, "more"), 1, "no NetworkSpec"),
    ((*SPEC, "dtype"), DROP, "incomplete"),
    ((*SPEC, "dtype"), "float64", "of dtype float32, not float64"),
    ((*SPEC, "input_size"), 2**62, "need more than"),
    ((*SPEC, "input_size"), -1, "not as it has to be"),
    ((*SPEC, "input_size"), 4, "parameters, but coefs_ has"),
    ((*SPEC, "hidden_sizes"), {"tuple": [2**31 - 1]}, "need more than"),
    ((*SPEC, "hidden_sizes"), {"tuple": [-(2**31)]}, "sizes"),
    ((*SPEC, "hidden_sizes"), {"tuple": []}, "sizes"),
    ((*SPEC, "hidden_sizes"), [6], "not as it has to be"),
    ((*SPEC, "hidden_sizes"), {"tuple": [1] * 1000}, "need more than"),
    ((*SPEC, "n_outputs"), 2**40, "need more than"),
    ((*SPEC, "pooling"), "none", "pooling"),
    ((*SPEC, "link"), 3, "not as it has to be"),
    ((*SPEC, "dropout"), {"float": "nan"}, "dropout"),
    ((*STATE, "seed"), -1, "not as it has to be"),
    ((*STATE, "parameters"), {"array": "fitted._training_state.moments"}, "another network"),
    ((*STATE, "moments"), {"array": "fitted.coefs_"}, "another network"),
    ((*STATE, "history"), {"tuple": [1]}, "not as it has to be"),
    ((*STATE, "best_score"), None, "not as it has to be"),
    (("requests",), 1, "metadata requests"),
    (("requests",), {"dict": {"transform": {"dict": {}}}}, "metadata requests"),
    (("requests",), {"dict": {"fit": {"dict": {"colour": True}}}}, "metadata requests"),
    (("requests",), {"dict": {"fit": {"dict": {"sample_weight": 3}}}}, "sample_weight as 3"),
]


def changed(content: bytes, place: tuple[str, ...], value: Any) -> bytes:
    """A file in which something else stands at a place of the record."""
    record = copy.deepcopy(record_of(content))
    node = record
    for name in place[:-1]:
        node = node[name]
    node.pop(place[-1], None) if value == DROP else node.update({place[-1]: value})
    return with_record(content, record)


def with_all_arrays(content: bytes) -> bytes:
    """A file that refers to all its arrays: else it would be refused for that alone."""
    names = sorted(set(parts_of(content)[0]) - {"__metadata__"})
    return with_record(content, record_of(content) | {"also": [{"array": n} for n in names]})


@pytest.mark.parametrize(("place", "value", "message"), CLASSIFIERS, ids=str)
def test_records_of_classifiers(
    place: tuple[str, ...], value: Any, message: str, classifier: bytes, folder: Path
) -> None:
    content = changed(classifier, place, value)
    if message != "nothing refers":
        content = with_all_arrays(content)
    assert message in refused(content, folder)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((*FITTED, "_flat_targets"), True, "two shapes"),
        ((*FITTED, "_flat_targets"), DROP, "shape y had"),
        ((*FITTED, "target_mean_"), 1.0, "target_mean_"),
        ((*FITTED, "target_scale_"), {"array": "fitted.coefs_"}, "target_scale_"),
    ],
    ids=str,
)
def test_records_of_regressors(
    place: tuple[str, ...], value: Any, message: str, regressor: bytes, folder: Path
) -> None:
    content = with_all_arrays(changed(regressor, place, value))
    assert message in refused(content, folder)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((*PARAMETERS, "method"), "none", "'method' parameter"),
        ((*FITTED, "n_features_in_"), 4, "not of 4 features"),
        ((*FITTED, "n_features_in_"), [], "not of [] features"),
        ((*FITTED, "center_"), DROP, "lacks ['center_']"),
        ((*FITTED, "scale_"), 1, "not of 3 features"),
        ((*FITTED, "_statistics"), {"tuple": []}, "not of 3 features"),
        ((*FITTED, "_statistics"), [], "its _statistics is not"),
        ((*FITTED, "_n_columns"), 0, "its _n_columns is not"),
    ],
    ids=str,
)
def test_records_of_scalers(place: tuple[str, ...], value: Any, message: str, folder: Path) -> None:
    SequenceScaler().fit(np.ones((2, 4, 3))).save(folder / "scaler")
    content = with_all_arrays(changed((folder / "scaler").read_bytes(), place, value))
    assert message in refused(content, folder)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("input_size", 2**62, "need more than"),
        ("hidden_size", 2**31, "need more than"),
        ("hidden_size", 0, "settings"),
        ("num_layers", 2**62, "need more than"),
        ("num_layers", 2, "parameters"),
        ("num_layers", 1.0, "settings"),
        ("dtype", "float64", "no vector of its dtype"),
        ("dtype", ["float32"], "no vector of its dtype"),
        ("n_jobs", 0, "settings"),
        ("n_jobs", "all", "settings"),
        ("more", 1, "settings"),
        ("hidden_size", DROP, "settings"),
    ],
    ids=str,
)
def test_records_of_layers(
    place: str, value: Any, message: str, small: bytes, folder: Path
) -> None:
    assert message in refused(changed(small, (place,), value), folder)


@pytest.mark.parametrize("value", [1, "yes", None, DROP], ids=str)
def test_records_of_other_layers(value: Any, folder: Path) -> None:
    layers.GRU(2, 3).save(folder / "gru")
    content = changed((folder / "gru").read_bytes(), ("reset_after",), value)
    assert "not those of GRU" in refused(content, folder)
    # The other kind of GRU has other parameters.
    content = changed((folder / "gru").read_bytes(), ("reset_after",), False)
    assert "parameters" in refused(content, folder)
    layers.RNN(2, 3).save(folder / "rnn")
    content = changed((folder / "rnn").read_bytes(), ("nonlinearity",), value)
    assert "not those of RNN" in refused(content, folder)
