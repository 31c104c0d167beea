"""Files that one can read at a sitting, or a reason at their head."""

from __future__ import annotations

from pathlib import Path

import pytest
from codebase.sources import C_SUFFIXES, ROOT, files, relative

FOLDERS = [ROOT / name for name in ("cpp", "src", "lstmcore", "tests", "benchmarks", "examples")]
REASON = "Why this file is long"


@pytest.mark.parametrize(
    "path", files(*FOLDERS, suffixes={*C_SUFFIXES, ".py", ".pyi", ".pyx"}), ids=relative
)
def test_file_size(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    limit = 250 if path.suffix == ".hpp" else 400
    if len(lines) >= limit:
        assert REASON in "\n".join(lines[:40]), f"{len(lines)} lines, under {limit} or a reason"


def test_ci_and_make_read_at_a_sitting() -> None:
    for name in ("Makefile", ".ci/run", "CMakeLists.txt", "cpp/CMakeLists.txt"):
        assert len((ROOT / name).read_text().splitlines()) < 150, name
