"""``python -m lstmcore``: what every command keeps to, and ``info``."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import lstmcore
from lstmcore._cli import COMMANDS, main
from lstmcore._cli.info import installed_extras


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-W", "error", "-m", "lstmcore", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_runs_as_a_module() -> None:
    done = command("info", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["core"]["version"] == lstmcore.__version__


def test_a_closed_pipe_is_no_error() -> None:
    script = f"{sys.executable} -P -m lstmcore info | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["info", "--unknown"]])
def test_misuse_ends_with_2_and_says_how_to_use(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m lstmcore" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"python -m lstmcore {name}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == lstmcore.__version__


def test_info_names_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = [
        "numpy>=2",
        'absent-package>=1; extra == "odd"',
        'numpy>=2; extra == "odd"',
        "lstmcore[odd]; extra == 'all'",
        'pytest>=9; extra == "test"',
    ]
    monkeypatch.setattr("lstmcore._cli.info.requires", lambda _: requirements)
    found = installed_extras()
    assert list(found) == ["odd"]
    assert found["odd"]["absent-package"] is None
    assert found["odd"]["numpy"]
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    assert "absent-package missing" in shown
    assert "pip install 'lstmcore[odd]'" in shown
