# Two commands do everything on a fresh machine: make demo, make test.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p && break; done)
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test test-long lint types bench help clean

help:
	@echo "make demo       the main job, live, on the embedded model (under 4 minutes)"
	@echo "make test       style, types, layers and tests"
	@echo "make test-long  the tests that take minutes"
	@echo "make bench      the ladder of shortcuts against transformers.Trainer + PEFT"
	@echo "make clean      remove the virtual environment and caches"

# Pinned dependencies first, torch before the rest: a later resolve would fetch CUDA packages.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ echo "venv is missing; on Debian: apt-get install python3-venv"; exit 2; }
	@echo "setting up .venv (once, a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' requirements.lock)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(READY)

demo: $(READY)
	@$(BIN)/fucina demo

# One thread a worker: two threads a worker on two cores measured 1.4 to 2.9 times slower.
test: $(READY) lint types
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not long"

test-long: $(READY)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long

lint: $(READY)
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

types: $(READY)
	@$(BIN)/pyrefly check

bench: $(READY)
	@$(BIN)/python benchmarks/ladder.py

clean:
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache build dist
