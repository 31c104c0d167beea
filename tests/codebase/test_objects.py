"""What the compiler made of the core: newer instructions stay in objects of their own."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from codebase.sources import CPP, ROOT

from lstmcore import _batching

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="about x86-64 instruction sets"
)

VECTOR_ISAS = ["avx2", "avx512"]
# The VEX and EVEX encoded instructions begin with v; these do too and are none of them.
NOT_AVX = {"verr", "verw", "vmcall", "vmfunc", "vmlaunch", "vmresume", "vmxoff", "vmxon"}


def output_of(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def configure(folder: Path) -> None:
    """Make a folder in which the core can be built as it is for users."""
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    output_of("cmake", "-S", CPP, "-B", folder, *options)


@pytest.fixture(scope="module")
def tools() -> None:
    """What it takes to build the core and to look at it."""
    for tool in ("cmake", "nm", "objdump"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        pytest.skip("there is no C++ compiler")


@pytest.fixture(scope="module")
def build(tools: None) -> Path:
    """A folder in which the core is built as it is for users.

    The one of `make test` and `make develop` where there is one, else one of these tests, which is
    kept; in both only what changed is compiled.
    """
    installed = ROOT / "build" / "cmake"
    is_installed = (installed / "compile_commands.json").exists()
    folder = installed if is_installed else ROOT / "build" / "objects"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests run in several processes
        if not is_installed:
            configure(folder)
        output_of("cmake", "--build", folder, "--target", "lstmcore_core", "--parallel", "2")
    return folder


@pytest.fixture(scope="module")
def commands(build: Path) -> dict[str, list[str]]:
    """The command that compiled each source, by the source's path below cpp/."""
    entries = json.loads((build / "compile_commands.json").read_text())
    return {
        Path(entry["file"]).relative_to(CPP).as_posix(): shlex.split(entry["command"])
        for entry in entries
        if Path(entry["file"]).is_relative_to(CPP)  # not what CMake wrote
    }


@pytest.fixture(scope="module")
def objects(build: Path, commands: dict[str, list[str]]) -> dict[str, Path]:
    """The object of each source."""
    return {
        source: build / command[command.index("-o") + 1] for source, command in commands.items()
    }


def vector_instructions(binary: Path) -> list[str]:
    """The AVX and AVX-512 instructions in a binary, as objdump writes them."""
    found = []
    for line in output_of("objdump", "-d", "--no-show-raw-insn", binary).splitlines():
        match = re.match(r"\s+[0-9a-f]+:\s+(?:\{\w+\}\s+)?(\w+)(.*)", line)
        if match is None:
            continue
        mnemonic, operands = match.groups()
        avx = mnemonic.startswith("v") and mnemonic not in NOT_AVX
        if avx or re.search(r"%(?:[yz]mm\d|k[0-7]\b)", operands):
            found.append(line.strip())
    return found


def source_of(isa: str) -> str:
    return f"kernels/kernels_{isa}.cpp"


def test_the_core_is_configured_without_the_modules(tools: None, tmp_path: Path) -> None:
    configure(tmp_path)


def test_flags_of_an_instruction_set_reach_its_object_alone(
    commands: dict[str, list[str]],
) -> None:
    for source, command in commands.items():
        machine = [flag for flag in command if flag.startswith("-m")]
        assert bool(machine) == (source in map(source_of, VECTOR_ISAS)), (source, machine)


def test_every_source_has_the_flags_of_the_promise(commands: dict[str, list[str]]) -> None:
    for source, command in commands.items():
        for flag in ("-ffp-contract=off", "-O3", "-fvisibility=hidden", "-std=c++20"):
            assert flag in command, f"{source} was compiled without {flag}"
        assert ("-fopenmp" in command) == (source == "base/parallel.cpp")


@pytest.mark.parametrize("isa", VECTOR_ISAS)
def test_no_weak_symbols(isa: str, objects: dict[str, Path]) -> None:
    # The linker keeps one of several weak copies, whichever comes first: it could keep the AVX-512
    # copy of a std::vector function and run it on a processor without AVX-512.
    symbols = output_of("nm", "--defined-only", "--demangle", objects[source_of(isa)])
    weak = [line for line in symbols.splitlines() if re.match(r"[0-9a-f]+ [WwVvu] ", line)]
    assert not weak, "\n".join(weak)


@pytest.mark.parametrize("isa", VECTOR_ISAS)
def test_nothing_runs_when_the_library_is_loaded(isa: str, objects: dict[str, Path]) -> None:
    sections = output_of("objdump", "--section-headers", objects[source_of(isa)])
    assert not re.search(r"\.(init_array|ctors)", sections)


def test_only_the_kernels_use_newer_instructions(objects: dict[str, Path]) -> None:
    kernels = {source_of(isa) for isa in VECTOR_ISAS}
    assert len(objects) > len(kernels)
    for source, binary in objects.items():
        if source not in kernels:
            found = vector_instructions(binary)
            assert not found, f"{source}: {found[:5]}"


def test_batching_uses_no_newer_instructions() -> None:
    if shutil.which("objdump") is None:
        pytest.skip("objdump is not installed")
    assert not vector_instructions(Path(_batching.__file__))


def test_each_kernel_uses_its_own_vectors(objects: dict[str, Path]) -> None:
    avx2 = "\n".join(vector_instructions(objects[source_of("avx2")]))
    avx512 = "\n".join(vector_instructions(objects[source_of("avx512")]))
    assert "%ymm" in avx2
    assert "vfmadd" in avx2
    assert not re.search(r"%zmm|%k[0-7]\b|%[xy]mm(1[6-9]|2\d|3[01])", avx2)
    assert "%zmm" in avx512
    assert "vfmadd" in avx512
