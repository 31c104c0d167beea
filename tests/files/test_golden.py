"""Files of every release keep loading, and predict what they did.

To the last few bits: a later release may compute an activation otherwise.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
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
    expected = json.loads(path.with_suffix(".json").read_text())
    for got, want in zip(outputs(model), expected, strict=True):
        if isinstance(want[0], str):
            assert got == want
        else:
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
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
