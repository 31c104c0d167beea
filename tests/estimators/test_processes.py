"""Other processes: forked ones, and ones that run another instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from lstmcore import _core

FIT = """
    import hashlib
    import numpy as np
    from lstmcore import LSTMClassifier, LSTMRegressor

    rng = np.random.default_rng(0)
    X = [rng.normal(size=(length, 3)) for length in rng.integers(0, 20, 150)]
    y = np.array([len(x) % 3 for x in X])
    settings = {"hidden_size": (37, 20), "max_iter": 3, "tol": None, "random_state": 0, "n_jobs": 2}

    def fitted():
        return [
            LSTMClassifier(dropout=0.1, **settings).fit(X, y),
            LSTMRegressor(pooling="max", loss="huber", **settings).fit(X, y),
            LSTMRegressor(pooling="mean", dtype="float64", **settings).fit(X, y),
        ]

    def digest(models):
        parts = [m.coefs_.tobytes() + m.predict(X).tobytes() + repr(m.loss_curve_).encode()
                 for m in models]
        return hashlib.sha256(b"".join(parts)).hexdigest()
"""


def run(code: str, **variables: str) -> str:
    """Run Python code in a process of its own and return what it prints."""
    return subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(FIT) + textwrap.dedent(code)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | variables,
    ).stdout


def test_bits_do_not_depend_on_the_instruction_set():
    names = _core.isas_available()
    assert "scalar" in names
    digests = {name: run("print(digest(fitted()))", LSTMCORE_ISA=name) for name in names}
    assert len(set(digests.values())) == 1, digests


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_goes_on():
    code = """
        import os
        models = fitted()
        expected = digest(models)
        child = os.fork()
        if child == 0:
            same = digest(models) == expected and digest(fitted()) == expected
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert digest(fitted()) == expected
    """
    run(code)
