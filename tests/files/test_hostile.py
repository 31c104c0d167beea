"""Files that are damaged or made to harm: always a ValueError, and no memory beyond their size."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files.crafting import DROP, ZEROS, changed, file_of, parts_of, refused
from files.models import fitted

import lstmcore
from lstmcore import layers
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


NAN, INFINITY = {"float": "nan"}, {"float": "inf"}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("cell_clip", NAN),
        ("cell_clip", INFINITY),
        ("cell_clip", 0),
        ("gate_clip", NAN),
        ("gate_clip", -1.0),
        ("gate_activation", "eval"),
        ("gate_activation", {"tuple": ["elu", NAN]}),
        ("gate_activation", {"tuple": ["sigmoid", 1.0]}),
        ("output_activation", []),
        ("layer_norm", 1),
        ("coupled_gates", True),  # not together with layer_norm
        ("bidirectional", "no"),
        ("residual", None),
        ("reverse", True),  # not together with bidirectional
        ("reverse", 0),
        ("proj_size", -1),
        ("proj_size", 2**62),
    ],
    ids=str,
)
def test_options_of_layers(place: str, value: Any, folder: Path) -> None:
    layer = layers.LSTM(2, 3, layer_norm=True, cell_clip=1.0, gate_clip=1.0, bidirectional=True)
    layer.save(folder / "options")
    content = changed((folder / "options").read_bytes(), (place,), value)
    refused(content, folder)
    # As it was, it is taken.
    lstmcore.load(folder / "options")


@pytest.mark.parametrize(("place", "value"), [("bidirectional", False), ("layer_norm", False)])
def test_parameters_of_other_options(place: str, value: bool, folder: Path) -> None:
    layers.LSTM(2, 3, layer_norm=True, bidirectional=True).save(folder / "options")
    content = changed((folder / "options").read_bytes(), (place,), value)
    assert "parameters" in refused(content, folder)
