"""The stubs of the compiled modules name all that is in them, and nothing else."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import ModuleType

import pytest
from codebase.sources import PACKAGE

from lstmcore import _batching, _core

MODULES = pytest.mark.parametrize("module", [_core, _batching], ids=["_core", "_batching"])


def stub_of(module: ModuleType) -> ast.Module:
    path = PACKAGE / f"{module.__name__.rpartition('.')[2]}.pyi"
    return ast.parse(path.read_text(encoding="utf-8"))


def public_definitions(body: list[ast.stmt]) -> set[str]:
    names = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            names.add(ast.unparse(node.target))
    return {name for name in names if not name.startswith("_")}


def public_members(owner: object) -> set[str]:
    """Public names of a class or module, without what a module has imported."""
    home = owner.__name__ if isinstance(owner, ModuleType) else None
    return {
        name
        for name, value in vars(owner).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and (home is None or getattr(value, "__module__", home) == home)
    }


@MODULES
def test_module_and_stub_agree(module: ModuleType) -> None:
    assert public_definitions(stub_of(module).body) == public_members(module)


@MODULES
def test_classes_and_stub_agree(module: ModuleType) -> None:
    stubs = {node.name: node for node in stub_of(module).body if isinstance(node, ast.ClassDef)}
    for name, cls in inspect.getmembers(module, inspect.isclass):
        if name in public_members(module):
            assert public_definitions(stubs[name].body) == public_members(cls), name


def test_stubs_are_installed() -> None:
    installed = Path(_core.__file__).parent
    for name in ("py.typed", "_core.pyi", "_batching.pyi"):
        assert (installed / name).exists() or (PACKAGE / name).exists()
