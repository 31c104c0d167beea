"""Try a wheel as a user would: small enough, complete, and at work in a clean environment.

Usage: python .ci/check_wheel.py WHEEL
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

LARGEST = 3_000_000  # bytes

# Runs where nothing of the source tree can be seen.
USE = """
import pickle
import numpy as np
import lstmcore

rng = np.random.default_rng(0)
X = [rng.normal(size=(length, 3)) for length in rng.integers(1, 30, 60)]
y = np.array(["falls", "rises"])[[int(x[:, 0].sum() > 0) for x in X]]
settings = dict(hidden_size=16, max_iter=60, learning_rate=0.01, tol=None, random_state=0)
model = lstmcore.LSTMClassifier(**settings).fit(X, y)
assert model.score(X, y) > 0.9, model.score(X, y)
again = pickle.loads(pickle.dumps(model))
assert np.array_equal(again.predict_proba(X), model.predict_proba(X))

target = np.array([x[-1] for x in X])
score = lstmcore.LSTMRegressor(**settings).fit(X, target).score(X, target)
assert score > 0.5, score
lstmcore.show_config()
"""

SHORT = "--shapes ts-small --modes train --rounds 5 --seconds 0.01 --output result.json"


def check_contents(wheel: Path) -> None:
    """The modules, their stubs and the OpenMP runtime are in; sources and tests are not."""
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("lstmcore/_core.c", "lstmcore/_batching.c", "lstmcore.libs/libgomp"):
        assert any(name.startswith(wanted) and ".so" in name for name in names), f"no {wanted}*"
    for wanted in (
        "lstmcore/py.typed",
        "lstmcore/_core.pyi",
        "lstmcore/_batching.pyi",
        "lstmcore/_cli/benchmarks/peak.cpp",
    ):
        assert wanted in names, f"no {wanted}"
    folders = {name.split("/")[0] for name in names}
    strays = {name for name in folders if not name.startswith("lstmcore")}
    assert not strays, f"the wheel would also install {strays}"
    sources = [name for name in names if name.endswith((".cpp", ".hpp", ".inc", ".pyx", ".a"))]
    assert sources == ["lstmcore/_cli/benchmarks/peak.cpp"], f"sources in the wheel: {sources}"


def main() -> None:
    wheel = Path(sys.argv[1]).resolve(strict=True)
    size = wheel.stat().st_size
    assert size <= LARGEST, f"{wheel.name} has {size} bytes, at most {LARGEST} are allowed"
    check_contents(wheel)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder, "bin", "python")
        quiet = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([python, "-m", "pip", "install", *quiet, wheel], check=True, cwd=folder)
        subprocess.run([python, "-W", "error", "-c", USE], check=True, cwd=folder)
        commands = [["info"], ["bench", "run", "--peers", "lstmcore", *SHORT.split()]]
        for command in commands:
            subprocess.run([python, "-P", "-m", "lstmcore", *command], check=True, cwd=folder)
    print(f"{wheel.name}: {size / 1e6:.2f} MB, installs and works in a clean environment")


if __name__ == "__main__":
    main()
