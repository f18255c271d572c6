# make demo       a network trained, compressed, quantized, compiled, run on a board, compared
# make setup      .venv and the system packages (compilers, emulators) that the tests use
# make test       everything that takes minutes, not hours; needs no data beside this checkout
# make test-all   the same and the tests marked "slow", and those of PyTorch after `make torch`
# make torch      PyTorch, in an environment of its own (.venv-torch)
# make test-torch the tests that need it
# make lint       ruff, mypy --strict, clang-format
# make bench      the benchmark tables of benchmarks/
# make clean      removes what was built, keeps .venv

PY := .venv/bin/python
JOBS ?= 2
PYTEST := $(PY) -m pytest -n $(JOBS) --dist worksteal -q
C_FILES = $(shell find firmware -name '*.[ch]' | sort)

.PHONY: demo setup torch test test-all test-torch lint format bench clean

demo:
	@.ci/setup.sh demo
	@$(PY) -m edgepack run examples/digits/edgepack.toml

setup:
	@.ci/setup.sh all

test: setup
	$(PYTEST) -m "not slow"

test-all: setup
	$(PYTEST)
	@if [ -d .venv-torch ]; then $(MAKE) test-torch; fi

torch:
	@.ci/setup.sh torch

test-torch: torch
	.venv-torch/bin/python -m pytest -q -p no:xdist tests/onnx/test_pt2.py

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/clang-format --dry-run --Werror $(C_FILES)

format: setup
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	.venv/bin/clang-format -i $(C_FILES)

bench: setup
	$(PY) -m benchmarks

clean:
	rm -rf dist build .edgepack-cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -type d -exec rm -rf {} +
