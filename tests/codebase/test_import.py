"""Importing lstmcore is silent, starts no thread, writes no file and loads no optional package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OPTIONAL = [
    "matplotlib",
    "rich",
    "pandas",
    "polars",
    "torch",
    "onnx",
    "onnxruntime",
    "keras",
    "tensorflow",
]

# scikit-learn comes first: what it does on import is its own business.
LOOK = f"""
import os
import sys
import sklearn.base, sklearn.metrics, sklearn.utils.validation

threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else None
before = set(sys.modules)
written = []

def note(event, arguments):
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.append(arguments[0])
    elif event in ("os.mkdir", "os.rename", "tempfile.mkstemp", "subprocess.Popen", "os.system"):
        written.append((event, arguments))

sys.addaudithook(note)
import lstmcore

assert not written, f"written: {{written}}"
if threads is not None:
    assert len(os.listdir("/proc/self/task")) == threads, "a thread was started"
loaded = set({OPTIONAL!r}) & (set(sys.modules) - before)
assert not loaded, f"loaded: {{loaded}}"
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    # A file that is compiled on its first import would count as written.
    surroundings = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder)}
    surroundings.pop("PYTHONWARNINGS", None)
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code],
        cwd=folder,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )


def test_import_leaves_no_trace(tmp_path: Path) -> None:
    done = run(LOOK, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert not list(tmp_path.iterdir())


def test_nothing_optional_is_needed(tmp_path: Path) -> None:
    code = f"""
import sys

class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent)
import lstmcore

for name in lstmcore.__all__:
    getattr(lstmcore, name)
"""
    done = run(code, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("isa", ["", "scalar"])
def test_import_obeys_the_instruction_set_asked_for(isa: str, tmp_path: Path) -> None:
    code = f"import os; os.environ['LSTMCORE_ISA'] = {isa!r}\nfrom lstmcore import _core\n"
    done = run(f"{code}print(_core.resolve_isa())", tmp_path)
    assert done.returncode == 0, done.stderr
    if isa:
        assert done.stdout.strip() == isa
