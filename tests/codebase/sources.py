"""The files of the project, for the tests that read them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CPP = ROOT / "cpp"
SRC = ROOT / "src"
PACKAGE = ROOT / "lstmcore"

C_SUFFIXES = {".cpp", ".hpp", ".inc"}


def files(*folders: Path, suffixes: set[str]) -> list[Path]:
    """All files with one of the suffixes in the folders, in the order of their names."""
    return sorted(
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in suffixes and path.is_file()
    )


def relative(path: Path) -> str:
    """The path as one reads it from the top of the project."""
    return path.relative_to(ROOT).as_posix()


def c_code(path: Path) -> str:
    """The text of a C++ file without its comments."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def without_hash_comments(path: Path) -> str:
    """The text of a CMake, Make, TOML, Python or Cython file without its comments."""
    return re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8"))


def c_includes(path: Path) -> list[str]:
    """What a C++ file includes, as written between the quotes or brackets."""
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', c_code(path), flags=re.MULTILINE)
