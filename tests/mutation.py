"""Mutants: the oracle with one place of its source changed."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import reference
from reference import Array

SOURCE = Path(reference.__file__).read_text()


def mutate(old: str, new: str) -> types.ModuleType:
    """The oracle with one place changed; the old text has to stand there exactly once."""
    assert SOURCE.count(old) == 1, f"stands {SOURCE.count(old)} times in the oracle: {old}"
    module = types.ModuleType("mutant")
    module.__dict__.update(transposed=_transposed, fed=_fed)
    exec(compile(SOURCE.replace(old, new), "mutant", "exec"), module.__dict__)
    return module


def _transposed(h: Array, matrix: Array) -> Array:
    """The product with each gate's block of W_hh transposed."""
    n_hidden = matrix.shape[1]
    return np.hstack([h @ block for block in matrix.reshape(4, n_hidden, n_hidden)])


def _fed(wrong: Array, right: Array) -> Array:
    """The wrong array where its shape lets it pass."""
    return wrong if wrong.shape == right.shape else right
