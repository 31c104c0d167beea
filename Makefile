# What one can ask for; everything that is made lands in .venv/ and build/.
.PHONY: help demo test bench check check-python check-cpp format wheel develop sanitize clean
help:
	@echo "make demo      train on a real data set and show what came out"
	@echo "make test      build, install into .venv, run all tests (TESTS=tests/core picks some)"
	@echo "make bench     measure beside other libraries, 25 to 40 minutes (SUITES=small picks some)"
	@echo "make check     lint, formats, types, compiler warnings, static analysis"
	@echo "make format    let the formatters have their way"
	@echo "make wheel     a wheel in dist/, tried in a clean environment"
	@echo "make develop   editable install: Python sources count at once, C++ after the next make develop"
	@echo "make sanitize  all tests under AddressSanitizer and UndefinedBehaviorSanitizer"
	@echo "make clean     remove what was built, .venv included"

demo: .venv/extra-demo build/data
	.venv/bin/python examples/japanese_vowels.py --data build/data

test: .venv/extra-test
	@.venv/bin/python -c "import torch" 2>/dev/null || echo "torch is not installed in .venv:" \
	  "the tests that compare with it are skipped (.venv/bin/pip install torch==2.13.0)"
	$(ALONE) .venv/bin/pytest -n 2 --doctest-modules $(TESTS)

# Each word of SUITES is a run of that suite, or what is written here. Where a peer fails (status 1)
# the others go on, and so does the next suite.
SUITES = small large stream fit cells ragged deepbench-infer deepbench-train avx2 phases memory
RUN_small = run small --threads $(sort 1 $(shell nproc)) $(BENCH_OPTIONS)
# Training of such shapes is what deepbench-train measures.
RUN_large = run large --modes infer $(BENCH_OPTIONS)
RUN_avx2 = run small --modes infer train --isa avx2 $(BENCH_OPTIONS)
# The longest: other peers would make an hour of it (BENCH_OPTIONS may name them).
RUN_deepbench-train = run deepbench-train --peers lstmcore torch $(BENCH_OPTIONS)
RUN_phases = phases small
RUN_memory = memory small ragged
BENCH_OPTIONS = --rounds 5 --seconds 0.1 --budget 30
BENCH = .venv/bin/python -m benchmarks
RESULTS = build/benchmarks
MEASURED = $(SUITES:%=$(RESULTS)/%.json)
bench: .venv/extra-bench
	@rm -rf $(RESULTS)/failed
	@$(foreach suite,$(SUITES),echo "== $(suite)"; $(BENCH) $(or $(RUN_$(suite)),run $(suite) $(BENCH_OPTIONS)) \
	  --output $(RESULTS)/$(suite).json || { [ $$? = 1 ] && touch $(RESULTS)/failed; } || exit 2;)
	$(BENCH) report $(MEASURED) --plots $(RESULTS)/plots > $(RESULTS)/report.md
	@echo "$(RESULTS)/report.md and $(RESULTS)/plots/ show it all; for the README of the benchmarks:"
	@echo "$(BENCH) report $(MEASURED) --into benchmarks/README.md"
	@! test -e $(RESULTS)/failed

# How far the static analyzer follows a function: the default, 225000 nodes, spends 40 seconds on one
# file that says the same after 12.
ANALYZER_CONFIG = -analyzer-config max-nodes=50000
check: .venv/extra-dev build/tidy/compile_commands.json
	@$(MAKE) --jobs 2 --no-print-directory check-python check-cpp

check-python:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

check-cpp:
	.venv/bin/clang-format --dry-run -Werror $(C_FILES)
	cmake --build build/tidy -j 2 > build/tidy/report 2>&1 || { cat build/tidy/report; exit 1; }
	.venv/bin/run-clang-tidy.py -quiet -j 2 -p build/tidy -clang-tidy-binary .venv/bin/clang-tidy \
	  -extra-arg=-Wno-unknown-warning-option $(ANALYZER_CONFIG:%=-extra-arg=-Xclang -extra-arg=%) \
	  -extra-arg=-idirafter$(shell $(CXX) -print-file-name=include) '/cpp/' > build/tidy/report 2>&1 \
	  || { cat build/tidy/report; exit 1; }

format: .venv/extra-dev
	.venv/bin/ruff check --fix-only --exit-zero .
	.venv/bin/ruff format .
	.venv/bin/clang-format -i $(C_FILES)

wheel: .venv/extra-dev
	rm -rf build/wheel dist
	.venv/bin/python -m build --outdir build/wheel .
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/auditwheel repair --wheel-dir dist build/wheel/*.whl
	.venv/bin/python .ci/check_wheel.py dist/*.whl

develop: .venv/build-requires
	$(INSTALL) $(BUILD) -e .
	@touch .venv/installed

# The sanitizers' runtime must be the first library of the process; libstdc++ comes with it so that
# exceptions thrown in a module are seen. Python itself leaks on purpose at exit. Out of memory, malloc
# says so as it does elsewhere: a test asks for more than there is.
sanitize: .venv/extra-test
	rm -rf build/sanitize/site
	$(INSTALL) --no-deps --target build/sanitize/site -C build-dir=build/sanitize/cmake \
	  -C cmake.build-type=Debug -C cmake.define.LSTMCORE_SANITIZE=ON -C install.strip=false .
	$(SANITIZED) .venv/bin/python -P -c "import lstmcore; assert 'sanitize' in lstmcore.__file__"
	$(ALONE) $(SANITIZED) .venv/bin/pytest -n 2 $(TESTS)

clean:
	rm -rf .venv build dist .hypothesis

# ---- How the environment comes about ----
# Files in .venv/ note what is installed; a second call finds them newer than the sources.
PYTHON ?= python3
export CMAKE_BUILD_PARALLEL_LEVEL ?= $(shell nproc)
PIP = .venv/bin/pip --disable-pip-version-check
# Without isolation, and in one folder, so that only what changed is compiled again.
INSTALL = $(PIP) install --quiet --no-build-isolation
# The tests look at its objects too, and find the commands that made them there.
BUILD = -C build-dir=build/cmake -C cmake.define.CMAKE_EXPORT_COMPILE_COMMANDS=ON
SOURCES = $(shell find benchmarks cpp src lstmcore -type f -not -name '*.pyc') CMakeLists.txt
C_FILES = $(shell find cpp src -name '*.?pp' -o -name '*.inc')
# The tests, and the examples in the docstrings of the installed package.
TESTS = tests $(shell .venv/bin/python -P -c \
  "import os, lstmcore; print(os.path.dirname(lstmcore.__file__))")
# NumPy's products in the tests, on one thread each: those of two workers wait for each other.
ALONE = OPENBLAS_NUM_THREADS=1
SANITIZED = \
  LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
  PYTHONPATH=$(CURDIR)/build/sanitize/site

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Ninja, which isolation would bring: under make the modules wait for the whole core, and that for all
# kernels.
.venv/build-requires: pyproject.toml .venv/bin/python
	.venv/bin/python -c "import tomllib; requires = \
	  tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires']; \
	  print(*requires, 'ninja', sep='\n')" > $@.txt
	$(PIP) install --quiet -r $@.txt
	@touch $@

.venv/installed: $(SOURCES) .venv/build-requires
	$(INSTALL) $(BUILD) .
	@touch $@

.venv/extra-%: .venv/installed
	$(PIP) install --quiet 'lstmcore[$*]'
	@touch $@

build/data: pyproject.toml
	$(PIP) download --quiet --no-deps --dest $@ sktime==1.2.0
	@touch $@

build/tidy/compile_commands.json: CMakeLists.txt cpp/CMakeLists.txt CMakePresets.json
	cmake --preset tidy > /dev/null
	@touch $@
