# make demo       a network trained, compressed, quantized, compiled, run on a board, compared
# make setup      .venv and the system packages (compilers, emulators) that the tests use
# make test       everything that takes minutes, not hours; needs no data beside this checkout
# make test-all   the same and the tests marked "slow"
# make lint       ruff, mypy --strict, clang-format
# make bench      the benchmark tables of benchmarks/
# make clean      removes what was built, keeps .venv

PY := .venv/bin/python
JOBS ?= 2
PYTEST := $(PY) -m pytest -n $(JOBS) --dist worksteal -q
C_FILES = $(shell find firmware -name '*.[ch]' | sort)

.PHONY: demo setup test test-all lint format bench clean

demo:
	@.ci/setup.sh demo
	@$(PY) -m edgepack run examples/digits/edgepack.toml

setup:
	@.ci/setup.sh all

test: setup
	$(PYTEST) -m "not slow"

test-all: setup
	$(PYTEST)

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
