"""A file includes or imports only what stands below it, and some things stand in one place only."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from codebase.sources import (
    C_SUFFIXES,
    CPP,
    PACKAGE,
    SRC,
    c_code,
    c_includes,
    files,
    relative,
    without_hash_comments,
)

CORE_FILES = files(CPP, suffixes=C_SUFFIXES)
C_FILES = files(CPP, SRC, suffixes=C_SUFFIXES)
CYTHON_FILES = files(SRC, suffixes={".pyx", ".pxd", ".pxi"})
PYTHON_FILES = files(PACKAGE, suffixes={".py"})

FOLDERS_FROM_BELOW = ["base", "kernels", "layers", "network", "train"]

# Arithmetic on data belongs in the core, where it is fast and gives the same bits everywhere.
NUMERICS = re.compile(
    "convolve|cosh|cross|dot|einsum|exp|exp2|expm1|inner|log|log10|log1p|log2|logaddexp|matmul|"
    "matvec|outer|sinh|tanh|tensordot|vdot|vecdot|vecmat"
)
NUMERIC_MODULES = ("numpy.fft", "numpy.linalg", "numpy.polynomial", "scipy")
CONTAINERS = ("scipy.sparse",)


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=relative)


def test_there_is_something_to_read() -> None:
    assert len(CORE_FILES) > 20
    assert len(CYTHON_FILES) >= 1
    assert len(PYTHON_FILES) > 2


@each(CORE_FILES)
def test_core_knows_no_python(path: Path) -> None:
    assert not re.search(r"Python\.h|pybind11|\bpy::|numpy|Py_ssize_t|PyObject", c_code(path))


@each(CORE_FILES)
def test_core_includes_only_what_stands_below(path: Path) -> None:
    rank = FOLDERS_FROM_BELOW.index(path.relative_to(CPP).parts[0])
    for name in c_includes(path):
        if (CPP / name).exists():
            folder = name.split("/")[0]
            assert FOLDERS_FROM_BELOW.index(folder) <= rank, f"{relative(path)} includes {name}"
        else:
            assert "/" not in name or name.startswith("sys/"), f"{name} is not below cpp/"


@each(CORE_FILES)
def test_core_neither_prints_nor_stops_the_process(path: Path) -> None:
    io = r"<iostream>|<cstdio>|<stdio\.h>|<fstream>|\bprintf\s*\(|\bputs\s*\("
    stop = r"\babort\s*\(|\bexit\s*\(|\bterminate\s*\("
    assert not re.search(f"{io}|{stop}", c_code(path))


@each(CYTHON_FILES)
def test_cython_knows_nothing_of_the_core(path: Path) -> None:
    code = without_hash_comments(path)
    for header in re.findall(r"""extern\s+from\s+["']<?([^"'>]+)""", code):
        assert not (CPP / header).exists(), f"{header} is of the core"
    for module in re.findall(r"^\s*(?:from|cimport|import)\s+([\w.]+)", code, flags=re.MULTILINE):
        assert module.split(".")[0] in {"cython", "cpython", "libc", "libcpp", "numpy"}, module


@each(C_FILES)
def test_intrinsics_stand_in_one_place(path: Path) -> None:
    allowed = {"cpp/base/cpu.cpp", "cpp/base/floating_point_mode.hpp"}
    if re.fullmatch(r"cpp/kernels/vec_\w+\.hpp", relative(path)) or relative(path) in allowed:
        return
    assert not re.search(r"\w*intrin\.h|cpuid\.h|arm_neon\.h|\b_mm\w*|\b__m\d+\w*", c_code(path))


@each(C_FILES)
def test_openmp_stands_in_one_place(path: Path) -> None:
    if relative(path) != "cpp/base/parallel.cpp":
        assert not re.search(r"\bomp\.h|#\s*pragma\s+omp|\b_?omp_\w+|_OPENMP|\bGOMP_", c_code(path))


@each([path for path in PYTHON_FILES if path.name != "__main__.py"])
def test_python_does_no_numerics(path: Path) -> None:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.MatMult):
            found.append("@")
        elif isinstance(node, ast.Attribute):
            if ast.unparse(node.value) in ("np", "numpy", "math") and NUMERICS.fullmatch(node.attr):
                found.append(ast.unparse(node))
            if ast.unparse(node) in ("np.linalg", "np.fft", "numpy.linalg", "numpy.fft"):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            from_module = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names = from_module or [name.name for name in node.names]
            found += [n for n in names if n.startswith(NUMERIC_MODULES) and n not in CONTAINERS]
    assert not found, f"{relative(path)} computes: {found}"
