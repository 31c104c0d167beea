"""README and docs/parameters.md name everything public, and nothing that is not there."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any

import pytest
from codebase.sources import ROOT
from sklearn.base import BaseEstimator

import lstmcore
from lstmcore import _cli, callbacks, cells, interop, layers

README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
SUBMODULES = (callbacks, cells, interop, layers)
SHARED = {"estimators": "Shared by the estimators", "layers": "Shared by the layers"}
METHODS = "Methods of the estimators"
PROSE = {"First values", "Long sequences", "Threads"}  # sections that are of no class


def short_name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


NAMES = [name for name in lstmcore.__all__ if name != "__version__"]
NAMES += [f"{short_name(module)}.{name}" for module in SUBMODULES for name in module.__all__]
ESTIMATORS = {
    name: getattr(lstmcore, name)
    for name in lstmcore.__all__
    if inspect.isclass(getattr(lstmcore, name))
    and issubclass(getattr(lstmcore, name), BaseEstimator)
}
# The section of a class is headed by its name; what its kind shares stands in one of their own.
CLASSES: dict[str, tuple[type[Any], str | None]] = {
    **{name: (cls, SHARED["estimators"]) for name, cls in ESTIMATORS.items()},
    **{f"cells.{name}": (getattr(cells, name), None) for name in cells.__all__},
    **{f"layers.{name}": (getattr(layers, name), SHARED["layers"]) for name in layers.__all__},
    **{f"callbacks.{name}": (getattr(callbacks, name), None) for name in callbacks.__all__},
}


def sections() -> dict[str, dict[str, list[str]]]:
    """Heading → what a row is of, without backticks → its other cells."""
    found: dict[str, dict[str, list[str]]] = {}
    for part in re.split(r"^## ", REFERENCE, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        table = found.setdefault(heading.strip(), {})
        for line in re.findall(r"^\| *(`.*)\|$", body, flags=re.MULTILINE):
            first, *others = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
            for name in re.findall("`([^`]+)`", first):
                assert name not in table, f"{heading} has {name} twice"
                table[name] = others
    return found


SECTIONS = sections()


def parameters(cls: type[Any]) -> dict[str, str]:
    """Name → default, as Python writes it; nothing where there is none."""
    found = inspect.signature(cls).parameters.values()
    return {p.name: "" if p.default is p.empty else f"`{p.default!r}`" for p in found}


def in_code(text: str) -> set[str]:
    """The words that stand in `code` in a Markdown text, with what they are of."""
    blocks = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return {word for code in re.findall("`([^`]+)`", blocks) for word in re.findall(r"\w+", code)}


def table_of_readme(head: str) -> list[str]:
    """The rows of a table of README.md, which begins with a cell."""
    _, _, rows = README.partition(f"\n| {head} | does |\n|---|---|\n")
    return rows.partition("\n\n")[0].splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_readme_names_what_is_public(name: str) -> None:
    assert name.rpartition(".")[2] in in_code("\n".join(table_of_readme("name"))), (
        f"{name} is public: add it to a row of the table 'What there is' in README.md, as `code`"
    )


def test_readme_names_the_methods() -> None:
    """Those that other estimators don't have."""
    of_all = {"fit", "partial_fit", "predict", "predict_proba", "decision_function", "score"}
    named = set(re.findall(r"`est\.(\w+)", "\n".join(table_of_readme("name"))))
    own = own_methods(lstmcore.LSTMClassifier) | own_methods(lstmcore.LSTMRegressor)
    assert named == own - of_all


def test_readme_names_nothing_else() -> None:
    places = [lstmcore, *SUBMODULES]
    for row in table_of_readme("name"):
        for code in re.findall("`([^`]+)`", row.split(" | ")[0]):
            name, _, arguments = code.partition("(")
            first, _, last = name.rpartition(".")
            if "=" in name:  # a parameter
                last = name.partition("=")[0]
                assert last in parameters(lstmcore.LSTMClassifier), code
            elif first == "est":
                assert hasattr(lstmcore.LSTMClassifier, last), code
            elif first:
                assert last in getattr(lstmcore, first).__all__, code
            else:
                owners = [place for place in places if last in place.__all__ or last in vars(place)]
                assert owners or last == "callbacks", code
                keywords = re.findall(r"(\w+)=", arguments)
                assert not keywords or set(keywords) <= set(
                    inspect.signature(getattr(owners[0], last)).parameters
                ), code


def test_readme_names_the_commands() -> None:
    rows = table_of_readme("command")
    assert [re.findall("`python -m lstmcore (\\w+)", row)[0] for row in rows] == list(
        _cli.COMMANDS
    ), "a row for every command of python -m lstmcore, in the order in which its help has them"


@pytest.mark.parametrize("name", CLASSES)
def test_every_parameter_has_a_row(name: str) -> None:
    cls, shared = CLASSES[name]
    own, common = SECTIONS.get(name, {}), SECTIONS.get(shared or "", {})
    for parameter, default in parameters(cls).items():
        row = own.get(parameter) or common.get(parameter)
        where = f"'## {name}'" + (f" or '## {shared}'" if shared else "")
        assert row, (
            f"{name} has a parameter {parameter}: add the row "
            f"| `{parameter}` | {default} | what it is | to {where} of docs/parameters.md"
        )
        assert row[0] == default, (
            f"docs/parameters.md says that {parameter} of {name} is {row[0] or 'without default'} "
            f"by default; it is {default or 'not'}. Where a default is not the shared one, "
            f"'## {name}' has a row of its own"
        )
        assert len(row) == 2, row
        assert row[1], f"say what {parameter} is"


def test_no_row_is_of_nothing() -> None:
    known = {*CLASSES, *SHARED.values(), METHODS, *PROSE}
    assert SECTIONS.keys() <= known, f"no public class: {sorted(SECTIONS.keys() - known)}"
    for name, rows in SECTIONS.items():
        if name in CLASSES:
            nothing = rows.keys() - parameters(CLASSES[name][0]).keys()
        elif name in SHARED.values():
            users = [cls for cls, shared in CLASSES.values() if shared == name]
            nothing = rows.keys() - set().union(*(parameters(cls) for cls in users))
        else:
            continue
        assert not nothing, f"'## {name}' of docs/parameters.md has rows of nothing: {nothing}"


def own_methods(cls: type[Any]) -> set[str]:
    """Public methods that are ours, of which scikit-learn's get_params and others are none."""
    found = {"score"} if hasattr(cls, "predict") else set()
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        function = getattr(method, "fn", None) or getattr(method, "__func__", method)
        if not name.startswith("_") and inspect.isroutine(inspect.unwrap(function)):
            module = inspect.unwrap(function).__module__ or ""
            found |= {name} if module.partition(".")[0] == "lstmcore" else set()
    return found


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_method_has_a_row(name: str) -> None:
    for method in sorted(own_methods(ESTIMATORS[name])):
        row = SECTIONS[METHODS].get(method)
        assert row, (
            f"{name} has a method {method}: add | `{method}` | `{name}` | what it does | to "
            f"'## {METHODS}' of docs/parameters.md"
        )
        of, but = (
            set(re.findall(r"`(\w+)`", part)) for part in (row[0] + " but ").split("but")[:2]
        )
        named = name in of or (row[0].startswith("all") and name not in but)
        assert named, f"'## {METHODS}' of docs/parameters.md: `{method}` is of `{name}`, too"


def test_methods_are_there() -> None:
    known = set().union(*map(own_methods, ESTIMATORS.values()), {"set_output"})
    assert SECTIONS[METHODS].keys() <= known
    for method, (of, _) in SECTIONS[METHODS].items():
        for name in re.findall(r"`(\w+)`", of):
            assert name in ESTIMATORS, f"{method} is of {name}, which is no estimator"
            assert (
                of.startswith("all but")
                or hasattr(ESTIMATORS[name], method)
                or (inspect.getattr_static(ESTIMATORS[name], method, None) is not None)
            ), f"{name} has no {method}"
            if of.startswith("all but"):
                assert not hasattr(ESTIMATORS[name], method), f"{name} has {method}"
