"""Saving: the old file or the new one, whatever happens, and with the permissions that it had."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import lstmcore
from lstmcore import layers
from lstmcore._files_atomic import write_atomically


def run(code: str, path: Path, **options: object) -> subprocess.Popen[bytes]:
    """Start Python code that knows the path."""
    start = f"import sys, lstmcore\nfrom lstmcore import layers\npath = {str(path)!r}\n"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", start + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is there already."""
    path = tmp_path / "model"
    layers.LSTM(1, 2, random_state=0).save(path)
    return path


def test_full_disk_leaves_the_old_file(path: Path) -> None:
    old = path.read_bytes()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    process = run("layers.LSTM(100, 100).save(path)", path, preexec_fn=limit)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"OSError" in errors
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_a_part_that_fails_leaves_the_old_file(path: Path) -> None:
    old = path.read_bytes()

    def parts():
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, parts())
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_killed_at_any_moment(path: Path) -> None:
    code = """
        models = [layers.LSTM(60, 60, random_state=seed) for seed in range(3)]
        print("begin", flush=True)
        while True:
            for model in models:
                model.save(path)
    """
    contents = set()
    for seed in range(3):
        layers.LSTM(60, 60, random_state=seed).save(path.parent / "expected")
        contents.add((path.parent / "expected").read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(3):
        process = run(code, path)
        assert process.stdout is not None
        assert process.stdout.readline() == b"begin\n"
        time.sleep(rng.uniform(0.05, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert path.read_bytes() in contents
        lstmcore.load(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(path: Path) -> None:
    path.parent.chmod(0o500)
    with pytest.raises(PermissionError):
        layers.LSTM(1, 1).save(path)
    path.parent.chmod(0o700)


def test_a_new_file_obeys_the_umask(tmp_path: Path) -> None:
    masks = (0o022, 0o077, 0o007)
    code = f"""
        import os
        for mask in {masks}:
            os.umask(mask)
            layers.LSTM(1, 1).save(path + str(mask))
    """
    process = run(code, tmp_path / "new")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    for mask in masks:
        assert stat.S_IMODE((tmp_path / f"new{mask}").stat().st_mode) == 0o666 & ~mask


def test_permissions_stay(path: Path) -> None:
    for mode in (0o600, 0o640, 0o664):
        path.chmod(mode)
        layers.LSTM(1, 1).save(path)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_links_are_followed(path: Path) -> None:
    link = path.parent / "link"
    link.symlink_to(path.name)
    layers.LSTM(1, 3).save(link)
    assert link.is_symlink()
    assert lstmcore.load(path).hidden_size == lstmcore.load(link).hidden_size == 3


def test_what_is_no_file_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="regular file"):
        layers.LSTM(1, 1).save(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        layers.LSTM(1, 1).save(tmp_path)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert len(list(tmp_path.iterdir())) == 1


def test_long_names(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    layers.LSTM(1, 1).save(path)
    assert lstmcore.load(path).input_size == 1


def test_threads_save_and_load(path: Path) -> None:
    models = [layers.LSTM(3, 20, random_state=seed) for seed in range(3)]
    x = np.ones((1, 4, 3), np.float32)
    expected = {model(x)[0].tobytes() for model in models}
    models[0].save(path)
    failures: list[BaseException] = []

    def attempt(i: int) -> None:
        try:
            for _ in range(20):
                if i < 3:
                    models[i].save(path)
                else:
                    assert lstmcore.load(path)(x)[0].tobytes() in expected
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=attempt, args=(i,)) for i in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert list(path.parent.iterdir()) == [path]


def test_one_loaded_model_predicts_in_many_threads(path: Path) -> None:
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(length, 2)) for length in rng.integers(0, 30, 60)]
    y = np.arange(60) % 3
    settings = {"hidden_size": 20, "max_iter": 2, "tol": None, "random_state": 0}
    model = lstmcore.LSTMClassifier(**settings).fit(X, y)
    model.save(path)
    loaded = lstmcore.load(path)
    expected = model.predict_proba(X)
    results: list[bool] = []
    barrier = threading.Barrier(6)

    def attempt() -> None:
        barrier.wait()  # the network of the core is built by whoever comes first
        results.extend(np.array_equal(loaded.predict_proba(X), expected) for _ in range(5))

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 30
