"""One step of a wide layer, shared with threads that stand by: same bits, no trouble."""

import os
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from lstmcore.layers import GRU, LSTM, RNN

LAYERS = {
    "lstm": lambda n_jobs: LSTM(40, 200, random_state=1, n_jobs=n_jobs),
    "lstm_float64": lambda n_jobs: LSTM(40, 200, dtype="float64", random_state=1, n_jobs=n_jobs),
    "lstm_two_layers": lambda n_jobs: LSTM(40, 200, 2, random_state=1, n_jobs=n_jobs),
    "lstm_residual": lambda n_jobs: LSTM(40, 200, 3, residual=True, random_state=1, n_jobs=n_jobs),
    "lstm_projected": lambda n_jobs: LSTM(40, 200, 2, proj_size=70, random_state=1, n_jobs=n_jobs),
    "lstm_peephole": lambda n_jobs: LSTM(40, 200, peephole=True, random_state=1, n_jobs=n_jobs),
    "lstm_normalised": lambda n_jobs: LSTM(40, 200, layer_norm=True, random_state=1, n_jobs=n_jobs),
    "lstm_zoneout": lambda n_jobs: LSTM(
        40, 200, 2, zoneout_hidden=0.3, zoneout_cell=0.6, random_state=1, n_jobs=n_jobs
    ),
    "lstm_zoneout_peephole": lambda n_jobs: LSTM(
        40, 200, zoneout_cell=0.6, peephole=True, cell_clip=0.5, random_state=1, n_jobs=n_jobs
    ),
    "gru": lambda n_jobs: GRU(40, 217, random_state=1, n_jobs=n_jobs),
    "gru_reset_before": lambda n_jobs: GRU(
        40, 217, reset_after=False, random_state=1, n_jobs=n_jobs
    ),
    "rnn": lambda n_jobs: RNN(40, 400, random_state=1, n_jobs=n_jobs),
    "rnn_zoneout": lambda n_jobs: RNN(40, 400, zoneout_hidden=0.3, random_state=1, n_jobs=n_jobs),
}


def steps(layer: Any, x: np.ndarray, pause: float = 0.0) -> np.ndarray:
    """Return y (N, T, H) of the layer, step by step, in place after the first."""
    state, y = None, []
    for t in range(x.shape[1]):
        time.sleep(pause)
        y_t, state = layer.step(x[:, t], state, out=state)
        y.append(y_t.copy())
    return np.stack(y, axis=1)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("n_jobs", [2, 3, 8])
@pytest.mark.parametrize("n_sequences", [1, 7])
def test_same_bits_for_any_n_jobs(name: str, n_jobs: int, n_sequences: int) -> None:
    alone = LAYERS[name](1)
    x = np.random.default_rng(0).normal(size=(n_sequences, 60, 40)).astype(alone.dtype)
    expected = alone(x)[0]
    np.testing.assert_array_equal(steps(alone, x), expected)
    np.testing.assert_array_equal(steps(LAYERS[name](n_jobs), x), expected)


@pytest.mark.parametrize("n_sequences", [1, 5])
def test_same_bits_where_threads_sleep_between_steps(n_sequences: int) -> None:
    """A wide layer wakes them: some are in time for the step, and some are not."""
    alone, shared = (LSTM(70, 450, random_state=1, n_jobs=n_jobs) for n_jobs in (1, 3))
    x = np.random.default_rng(5).normal(size=(n_sequences, 40, 70)).astype(np.float32)
    expected = alone(x)[0]
    np.testing.assert_array_equal(steps(shared, x, pause=0.001), expected)
    np.testing.assert_array_equal(steps(alone, x), expected)


def test_numbers_of_sequences_and_of_threads_may_change() -> None:
    layer = LAYERS["lstm"](2)
    x = np.random.default_rng(1).normal(size=(9, 10, 40)).astype(np.float32)
    expected = layer(x)[0]
    for n_jobs, n in ((2, 9), (3, 2), (2, 1), (1, 5), (4, 9)):
        layer.n_jobs = n_jobs
        np.testing.assert_array_equal(steps(layer, x[:n]), expected[:n])


def test_x_may_be_what_the_step_before_put_out() -> None:
    alone, shared = (LSTM(200, 200, random_state=1, n_jobs=n_jobs) for n_jobs in (1, 2))
    x = np.random.default_rng(2).normal(size=(1, 200)).astype(np.float32)
    expected, state = alone.step(x)
    y, out = shared.step(x)
    for _ in range(200):
        expected, state = alone.step(expected.copy(), state)
        y, out = shared.step(y, out, out=out)  # y is a view of out
    np.testing.assert_array_equal(y, expected)


def test_parameters_may_change_between_steps() -> None:
    layer = LAYERS["lstm"](2)
    weights = layer.parameters["weight_hh_l0"]
    x = np.ones((1, 40), np.float32)
    first = layer.step(x, (np.ones((1, 1, 200)), np.ones((1, 1, 200))))[0].copy()
    for _ in range(100):
        weights *= 2
        second = layer.step(x, (np.ones((1, 1, 200)), np.ones((1, 1, 200))))[0].copy()
        weights /= 2
        assert np.any(second != first)
        again = layer.step(x, (np.ones((1, 1, 200)), np.ones((1, 1, 200))))[0]
        np.testing.assert_array_equal(again, first)


def test_layers_come_and_go() -> None:
    x = np.random.default_rng(3).normal(size=(1, 5, 40)).astype(np.float32)
    expected = LAYERS["lstm"](1)(x)[0]
    for _ in range(50):
        np.testing.assert_array_equal(steps(LAYERS["lstm"](2), x), expected)


def test_threads_of_python_step_at_once() -> None:
    x = np.random.default_rng(4).normal(size=(1, 300, 40)).astype(np.float32)
    expected = LAYERS["lstm"](1)(x)[0]
    results: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: results.append(steps(LAYERS["lstm"](2), x)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(threads)
    for result in results:
        np.testing.assert_array_equal(result, expected)


IN_A_PROCESS = """
import os, time, numpy as np
from lstmcore.layers import LSTM

def n_threads():
    return len(os.listdir("/proc/self/task"))

x = np.ones((1, 40), np.float32)
before = n_threads()
small, large = LSTM(40, 30, n_jobs=2), LSTM(40, 200, n_jobs=2)
_, state = small.step(x)
assert n_threads() == before, "a thread for a small layer"
expected = LSTM(40, 200, n_jobs=1)
expected.parameters["weight_hh_l0"][...] = large.parameters["weight_hh_l0"]
expected.parameters["weight_ih_l0"][...] = large.parameters["weight_ih_l0"]
expected.parameters["bias_l0"][...] = large.parameters["bias_l0"]
for _ in range(300):
    y, state = large.step(x)
assert n_threads() == before + 1, "no thread for a large layer"
start = time.process_time()
time.sleep(0.5)
assert time.process_time() - start < 0.1, "a thread that waits forever"
child = os.fork()
for _ in range(50):
    assert np.array_equal(large.step(x)[0], expected.step(x)[0])
if child == 0:
    assert n_threads() == 1
    del large
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, "the child failed"
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_threads_start_when_wanted_and_sleep_and_forks_do_without() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-P", "-c", IN_A_PROCESS], check=True, timeout=60, env=environment
    )
    assert time.monotonic() - start < 60
