# `make quickstart` installs Twofold and runs the main job; `make test` runs the tests.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: install quickstart test test-long test-parity has-parity-python benchmark lint format clean

# tensorflow-addons, which `make test-parity` compares with, runs on these alone.
PARITY_VENV ?= .venv-parity
PARITY_PYTHON ?= $(firstword $(foreach name,python3.11 python3.10 python3.9,\
	$(shell $(name) -c 'print("$(name)")' 2>/dev/null)))

$(VENV)/.installed: setup.py constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Twofold needs Python 3.11-3.13, and $(PYTHON) is %d.%d: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

install: $(VENV)/.installed

quickstart: install
	$(BIN)/twofold run quickstart

test: install
	$(BIN)/python -m pytest

test-long: install
	$(BIN)/python -m pytest -m long

$(PARITY_VENV)/.installed: tests/parity/requirements.txt
	@test -n "$(PARITY_PYTHON)" || { echo "test-parity needs Python 3.9-3.11: make test-parity PARITY_PYTHON=..." >&2; exit 1; }
	$(PARITY_PYTHON) -m venv $(PARITY_VENV)
	$(PARITY_VENV)/bin/python -m pip install --quiet --requirement $<
	touch $@

test-parity: install $(PARITY_VENV)/.installed
	TWOFOLD_PARITY_PYTHON=$(abspath $(PARITY_VENV))/bin/python $(BIN)/python -m pytest tests/parity

# Succeeds where `make test-parity` has an interpreter to work with.
has-parity-python:
	@test -n "$(PARITY_PYTHON)"

# Some minutes on two cores that have nothing else to do.
benchmark: install
	$(BIN)/python -m tests.benchmarks.train_step

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(PARITY_VENV) build *.egg-info
