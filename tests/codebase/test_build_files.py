"""The build says what it builds, with flags that promise the same bits on every machine."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from codebase.sources import CPP, PACKAGE, ROOT, SRC, files, relative, without_hash_comments

import lstmcore
from lstmcore import _core

BUILD_FILES = [
    ROOT / "CMakeLists.txt",
    *files(CPP, SRC, suffixes={".cmake", ".txt"}),
    ROOT / "CMakePresets.json",
    ROOT / "Makefile",
    ROOT / "pyproject.toml",
]
SOURCES = {".cpp", ".pyx"}


@pytest.mark.parametrize("path", BUILD_FILES, ids=relative)
@pytest.mark.parametrize(
    "banned",
    ["GLOB", "-ffast-math", "-funsafe-math", "-Ofast", "march=native", "mtune=native", "-flto"],
)
def test_banned_from_the_build(path: Path, banned: str) -> None:
    assert banned not in without_hash_comments(path)


@pytest.mark.parametrize("folder", [CPP, SRC], ids=relative)
def test_every_source_is_built_once(folder: Path) -> None:
    listed = without_hash_comments(folder / "CMakeLists.txt")
    listed = re.sub(r"set_source_files_properties\([^)]*\)", "", listed)
    for isa in re.findall(r"^\s*lstmcore_add_kernels\((\w+)", listed, flags=re.MULTILINE):
        listed += f" kernels/kernels_{isa}.cpp"
    on_disk = [path.relative_to(folder).as_posix() for path in files(folder, suffixes=SOURCES)]
    assert sorted(re.findall(r"[\w/]+\.(?:cpp|pyx)", listed)) == sorted(on_disk)


def test_users_meet_no_werror() -> None:
    lines = without_hash_comments(CPP / "CMakeLists.txt").splitlines()
    assert [line for line in lines if "-Werror" in line] == [
        "  $<$<BOOL:${LSTMCORE_WERROR}>:-Werror>)"
    ]
    assert any("option(LSTMCORE_WERROR" in line and " OFF)" in line for line in lines)


def test_version_stands_in_one_place() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert metadata.version("lstmcore") == version
    assert lstmcore.__version__ == version
    assert _core.config()["version"] == version
    for path in [*files(CPP, SRC, PACKAGE, suffixes={".cpp", ".hpp", ".py", ".pyx", ".txt"})]:
        assert version not in path.read_text(encoding="utf-8"), relative(path)


def test_presets_are_valid() -> None:
    presets = json.loads((ROOT / "CMakePresets.json").read_text())
    assert {"release", "debug", "tidy"} <= {item["name"] for item in presets["configurePresets"]}
