"""Files of every release keep loading, and predict the bits that they did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from estimators.problems import methods
from files.golden.make import FOLDER, outputs, sequences

import lstmcore

FILES = sorted(FOLDER.glob("*/*.safetensors"))


def test_there_are_some() -> None:
    assert len(FILES) >= 3


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden(path: Path) -> None:
    model = lstmcore.load(path)
    assert outputs(model) == json.loads(path.with_suffix(".json").read_text())
    assert path.stat().st_size < 10_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_golden_goes_on(path: Path, tmp_path: Path) -> None:
    model = lstmcore.load(path)
    model.save(tmp_path / "again")
    assert outputs(lstmcore.load(tmp_path / "again")) == outputs(model)
    if getattr(model, "warm_start", False):
        n_epochs = model.n_iter_
        model.fit(sequences(), model.classes_[[0, 1, 2, 0, 1, 2]])
        assert model.n_iter_ == n_epochs + model.max_iter
        assert methods(model)
