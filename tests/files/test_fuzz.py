"""Files with anything at all in any place: refused with a ValueError, or as good as they look."""

from __future__ import annotations

import copy
import json
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files.crafting import file_of, parts_of, record_of, with_record
from files.models import X, ensemble, finder, fitted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lstmcore
from lstmcore import LearningRateFinder, LSTMClassifier, LSTMEnsemble, SequenceScaler, layers
from lstmcore.cells import LSTMCell

NORMALISED = LSTMCell(layer_norm=True, peephole=True, cell_clip=2.0, gate_activation=("elu", 0.5))
# Columns of numbers with one of tokens between them.
TOKENS = [np.stack([x[:, 0], np.arange(len(x)) % 3, x[:, 2]], axis=1) for x in X]
TARGETS = np.arange(len(X)) % 2
SMALL: dict[str, Any] = {"hidden_size": 3, "pooling": "attention", "max_iter": 2, "tol": None}

FUZZ = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

NUMBERS = st.sampled_from([0, 1, -1, 2, 3, 7, 2**31, 2**40, 2**63, 2**64, 0.5, -0.0, 1e300, 48, 96])
WORDS = st.sampled_from(
    ["", "float32", "float64", "array", "tuple", "dict", "float", "nan", "mean"]
)
ATOMS = st.none() | st.booleans() | NUMBERS | st.integers() | WORDS | st.text(max_size=5)
JSON = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=2)
)


def saved(model: Any, folder: Path) -> bytes:
    model.save(folder / "model")
    return (folder / "model").read_bytes()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("fuzz")
    return [
        saved(fitted("multiclass", warm_start=True), folder),
        saved(fitted("three outputs", hidden_size=(3, 2)), folder),
        saved(SequenceScaler().fit(X), folder),
        saved(layers.LSTM(2, 3, 2, random_state=0), folder),
        saved(ensemble("binary"), folder),
        saved(finder(), folder),
        saved(fitted("binary", cell=NORMALISED, bidirectional=True, warm_start=True), folder),
        saved(LSTMClassifier(embedding_size={1: 2}, **SMALL).fit(TOKENS, TARGETS), folder),
        saved(layers.LSTM(2, 3, 2, bidirectional=True, layer_norm=True, proj_size=2), folder),
        saved(layers.GRU(2, 3, gate_activation="hard_sigmoid", gate_clip=2.0), folder),
    ]


def places(node: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to everything in a JSON value."""
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    found = []
    for key, value in inner:
        found.append((*above, key))
        if isinstance(value, dict | list):
            found += places(value, (*above, key))
    return found


def mutated(data: st.DataObject, tree: Any) -> Any:
    """The tree with one to three places changed, removed, or exchanged with others."""
    tree = copy.deepcopy(tree)
    for _ in range(data.draw(st.integers(1, 3))):
        ways = places(tree)
        if not ways:
            return tree
        *above, key = data.draw(st.sampled_from(ways))
        node = tree
        for name in above:
            node = node[name]
        if data.draw(st.integers(0, 4)) == 0:
            del node[key]
        elif data.draw(st.integers(0, 2)) == 0:
            other = tree
            for name in data.draw(st.sampled_from(ways)):
                if isinstance(other, dict | list) and (
                    name in other if isinstance(other, dict) else name < len(other)
                ):
                    other = other[name]
            node[key] = copy.deepcopy(other)
        else:
            node[key] = data.draw(JSON)
    return tree


def check(content: bytes, path: Path) -> None:
    """A file is refused, or what comes out of it can be used."""
    path.write_bytes(content)
    try:
        model = lstmcore.load(path)
    except ValueError:
        return
    if isinstance(model, (layers.LSTM, layers.GRU)):
        model(np.zeros((2, 3, model.input_size)))
        return
    if isinstance(model, SequenceScaler) and hasattr(model, "center_"):
        model.transform([np.ones((4, model.n_features_in_))])
    if isinstance(model, LearningRateFinder) and hasattr(model, "losses_"):
        assert len(model.learning_rates_) == len(model.smoothed_losses_) == len(model.losses_)
    if not hasattr(model, "estimators_" if isinstance(model, LSTMEnsemble) else "coefs_"):
        return
    sequences = [np.ones((4, model.n_features_in_))] * len(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(model.predict(sequences)) == len(X)
        if isinstance(model, LSTMEnsemble):
            return
        if model.warm_start and model.max_iter < 10:
            with suppress(ValueError, TypeError):
                model.fit(sequences, model.predict(sequences))


@FUZZ
@given(data=st.data())
def test_records(data: st.DataObject, files: list[bytes], tmp_path: Path) -> None:
    content = data.draw(st.sampled_from(files))
    check(with_record(content, mutated(data, record_of(content))), tmp_path / "file")


@FUZZ
@given(data=st.data())
def test_headers(data: st.DataObject, files: list[bytes], tmp_path: Path) -> None:
    header, body = parts_of(data.draw(st.sampled_from(files)))
    text = json.dumps(mutated(data, header)).encode()
    check(file_of(text, body), tmp_path / "file")


@FUZZ
@given(header=st.binary(max_size=200), body=st.binary(max_size=50))
def test_bytes(header: bytes, body: bytes, tmp_path: Path) -> None:
    check(file_of(header, body), tmp_path / "file")
    check(header, tmp_path / "file")


@FUZZ
@given(data=st.data())
def test_edited_text(data: st.DataObject, files: list[bytes], tmp_path: Path) -> None:
    content = data.draw(st.sampled_from(files))
    header, body = parts_of(content)
    text = bytearray(json.dumps(header).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(text)))
        text[begin : begin + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b'"', b"\\", b"[", b"}", b",", b"9", b"-", b"\xc3", b"null"])
        )
    check(file_of(bytes(text), body), tmp_path / "file")
