"""Threads, forks and signals: the core among other things that a process does."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import Case, draw, run_core, stack_of
from networks import Spec, draw_data, draw_parameters, packed_of, train

TESTS = Path(__file__).parents[1]
WIDE = Case("wide", 5, (33,), (13,) * 100)
TIMEOUT = 60  # seconds until a process that hangs is given up


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that finds the test helpers."""
    inherited = filter(None, [os.environ.get("PYTHONPATH")])
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *inherited])},
        check=False,
    )


def test_many_python_threads_on_one_object(isa: str) -> None:
    """Concurrent forward and backward passes of different batches on one stack."""
    problems = [
        draw(Case(f"thread-{n}", 5, (33,), tuple([9] * n)), np.float32) for n in range(1, 17)
    ]
    for p in problems:
        p.parameters[:] = problems[0].parameters
    expected = [run_core(p, isa) for p in problems]
    stack = stack_of(problems[0], isa)

    def work(k: int) -> None:
        p, want = problems[k % len(problems)], expected[k % len(problems)]
        y, _, _, stash = stack.forward(
            p.x, p.n_active, p.n_sequences, p.h0, p.c0, n_threads=1 + k % 3, keep=True
        )
        dx, _, _, _ = stack.backward(stash, p.dy, p.dh_n, p.dc_n, need_dx=True, n_threads=1 + k % 2)
        np.testing.assert_array_equal(y, want["y"])
        np.testing.assert_array_equal(dx, want["dx"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(160)))


def test_concurrent_predictions_on_one_network(isa: str) -> None:
    spec = Spec(4, (20, 12), 3, link="softmax", pooling="max")
    network = spec.network(np.float32, isa)
    network.set_parameters(draw_parameters(spec, np.float32))
    data = draw_data(spec, [k % 12 for k in range(60)], np.float32)
    packed = [packed_of(data.sequences, range(n, 60)) for n in range(20)]

    def predict(k: int) -> Any:
        x, n_active, samples = packed[k % 20]
        return network.predict(
            x, n_active, len(samples), apply_link=True, n_threads=1 + k % 2
        ).tobytes()

    expected = [predict(k) for k in range(20)]
    with ThreadPoolExecutor(8) as pool:
        for k, outputs in enumerate(pool.map(predict, range(200))):
            assert outputs == expected[k % 20]


def test_several_trainings_and_predictions_at_once() -> None:
    """More threads than processors, hundreds of batches: whoever runs what, the bits stay."""
    spec = Spec(4, (40, 33), 3)
    data, start = draw_data(spec, [6] * 48, np.float32), draw_parameters(spec, np.float32)
    epochs = [[list(range(k, k + 16)) for k in range(0, 48, 16)]] * 30
    expected = train(spec.trainer(np.float32), start, data, epochs)[0]
    network = spec.network(np.float32)
    network.set_parameters(start)
    x, n_active, _ = packed_of(data.sequences, range(48))

    def predict(n_threads: int) -> bytes:
        outputs = network.predict(x, n_active, 48, apply_link=True, n_threads=n_threads)
        return bytes(outputs.tobytes())

    alone = predict(1)
    with ThreadPoolExecutor(4) as pool:
        trainings = [
            pool.submit(train, spec.trainer(np.float32), start, data, epochs, n_threads=n_threads)
            for n_threads in (2, 4, 7)
        ]
        assert {predict(1 + k % 4) for k in range(200)} == {alone}
        for training in trainings:
            np.testing.assert_array_equal(training.result()[0], expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.parametrize("used_before", [True, False], ids=["used-before", "unused-before"])
def test_after_a_fork_the_child_works(used_before: bool) -> None:
    """The parent's pool of threads does not exist in the child, which must not wait for it."""
    result = run_python(f"""
        import os, warnings
        import numpy as np
        from cases import Case, draw, run_core
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads is the point
        p = draw(Case("wide", 5, (33,), (13,) * 100), np.float32)
        expected = run_core(p, n_threads=2 if {used_before} else 1)
        pid = os.fork()
        if pid == 0:
            ours = run_core(p, n_threads=2)
            same = all((ours[k] == expected[k]).all() for k in expected)
            os._exit(0 if same else 3)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        again = run_core(p, n_threads=2)  # the parent goes on with its threads
        assert all((again[k] == expected[k]).all() for k in expected)
        print("both work")
    """)
    assert result.stdout.strip() == "both work", result.stderr


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_ctrl_c_ends_training_within_a_batch() -> None:
    """One call with work for minutes: were the signal seen only at its end, this would time out."""
    result = run_python("""
        import os, signal, threading
        import numpy as np
        from networks import Spec, batches_of, draw_data, draw_parameters

        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if the parent ignores it
        spec = Spec(1, (512,), 1)
        data = draw_data(spec, [20] * 16, np.float32)
        p = draw_parameters(spec, np.float32)
        state = np.zeros((2, len(p)), np.float32)
        values, begins, n_active, _, samples, _ = one = batches_of(data.sequences, [range(16)])
        n = 20_000
        many = (
            values,
            np.tile(begins, n),
            np.tile(n_active, n),
            np.arange(n + 1) * len(n_active),
            np.tile(samples, n),
            np.arange(n + 1) * len(samples),
        )
        trainer = spec.trainer(np.float32)
        options = dict(seed=0, epoch=0, learning_rate=1e-4, n_threads=2)
        try:
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            trainer.run(p, state, 0, many, data.targets, None, **options)
        except KeyboardInterrupt:
            assert np.isfinite(p).all() and np.isfinite(state).all()
            trainer.run(p, state, 9, one, data.targets, None, **options)  # works on
            print("interrupted")
    """)
    assert result.stdout.strip() == "interrupted", result.stderr
