# `make quickstart` installs Twofold and runs the main job; `make test` runs the tests.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# Modules are compiled once, not by each of the processes that tests and runs start.
export PYTHONDONTWRITEBYTECODE =

.PHONY: install quickstart test test-durations coverage test-long test-kills test-workers test-wheel test-parity has-parity-python test-fidelity \
	test-trackers \
	test-engines engines \
	benchmark benchmark-preparation benchmark-duplicates benchmark-reading benchmark-measures benchmark-corruptions \
	benchmark-runtimes benchmark-overheads gpu-check links lint readme format clean

# What `make test-parity` and `make test-fidelity` compare with runs on these alone.
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

# A file's tests share what they are slow to make, so they stay in one process. Files in their order:
# xdist's own, by numbers of tests, ends with the slowest.
PARALLEL = --numprocesses=auto --dist=loadfile --no-loadscope-reorder

test: install
	$(BIN)/python -m pytest $(PARALLEL)

# The same, with what takes longest, and at the end the processor time of all (`times`, line 2).
test-durations: install
	@$(BIN)/python -m pytest $(PARALLEL) --durations=50; \
		status=$$?; times; exit $$status

# The same, with the lines and branches of the product that they reach, and a floor for these
# (pyproject.toml).
coverage: install
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term

test-long: install
	XLA_FLAGS= $(BIN)/python -m pytest -m long

# Two workers of which one is killed; some ten minutes.
test-workers: install
	$(BIN)/python -m pytest -m workers tests/pipeline/launch

# Some 1,500 random kills, signals, full disks and damaged files, of every method family.
test-kills: install
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python -m tests.kills.table

# The wheel, and an environment that has it and what it asks for, and nothing of this checkout.
WHEEL_VENV ?= .venv-wheel

test-wheel: install
	rm -rf build/lib build/bdist* build/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	test -e $(WHEEL_VENV)/bin/python || $(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip uninstall --quiet --yes twofold
	$(WHEEL_VENV)/bin/python -m pip install --quiet --no-compile --constraint constraints.txt build/wheel/*.whl
	TWOFOLD_WHEEL=$$(ls -d $(CURDIR)/build/wheel/*.whl) TWOFOLD_WHEEL_BIN=$(abspath $(WHEEL_VENV))/bin \
		$(BIN)/python -m pytest -m wheel tests/test_wheel.py

$(PARITY_VENV)/.installed: tests/parity/requirements.txt
	@test -n "$(PARITY_PYTHON)" || { echo "test-parity needs Python 3.9-3.11: make test-parity PARITY_PYTHON=..." >&2; exit 1; }
	$(PARITY_PYTHON) -m venv $(PARITY_VENV)
	$(PARITY_VENV)/bin/python -m pip install --quiet --requirement $<
	touch $@

test-parity: install $(PARITY_VENV)/.installed
	TWOFOLD_PARITY_PYTHON=$(abspath $(PARITY_VENV))/bin/python $(BIN)/python -m pytest tests/parity

# TF Models' augmentations, without the hundred packages that its models ask for.
FIDELITY_VENV ?= .venv-fidelity

$(FIDELITY_VENV)/.installed: tests/fidelity/requirements.txt
	@test -n "$(PARITY_PYTHON)" || { echo "test-fidelity needs Python 3.9-3.11: make test-fidelity PARITY_PYTHON=..." >&2; exit 1; }
	$(PARITY_PYTHON) -m venv $(FIDELITY_VENV)
	$(FIDELITY_VENV)/bin/python -m pip install --quiet --requirement $<
	$(FIDELITY_VENV)/bin/python -m pip install --quiet --no-deps tf-models-official==2.7.2
	touch $@

test-fidelity: install $(FIDELITY_VENV)/.installed
	TWOFOLD_FIDELITY_PYTHON=$(abspath $(FIDELITY_VENV))/bin/python $(BIN)/python -m pytest tests/fidelity

# Succeeds where `make test-parity` and `make test-fidelity` have an interpreter to work with.
has-parity-python:
	@test -n "$(PARITY_PYTHON)"

# Experiment trackers, for the callbacks that use them: Twofold's own environment, and they on top.
TRACKERS_VENV ?= .venv-trackers

$(TRACKERS_VENV)/.installed: tests/trackers/requirements.txt constraints.txt | install
	$(BIN)/python -m venv $(TRACKERS_VENV)
	$(TRACKERS_VENV)/bin/python -m pip install --quiet --constraint constraints.txt --requirement $<
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
		> $$($(TRACKERS_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/twofold-environment.pth
	touch $@

# Two short trainings, of which the first is killed; nothing is sent anywhere.
test-trackers: install $(TRACKERS_VENV)/.installed
	TWOFOLD_TRACKERS_PYTHON=$(abspath $(TRACKERS_VENV))/bin/python $(BIN)/python -m pytest tests/trackers

# Engines that `make test-engines` prepares data on, beside those that Beam's Python package brings;
# of the version of Beam that is installed. What is here stays, so that it is built or fetched once.
ENGINES ?= .engines
BEAM_VERSION = $(shell sed -n 's/^apache-beam==//p' constraints.txt)
PRISM = $(ENGINES)/prism-$(BEAM_VERSION)
FLINK_NAME = beam-runners-flink-1.20-job-server
FLINK_JAR = $(ENGINES)/$(FLINK_NAME)-$(BEAM_VERSION).jar
MAVEN ?= https://repo.maven.apache.org/maven2

$(PRISM):
	mkdir -p $(ENGINES)
	GOBIN=$(abspath $(ENGINES))/bin go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM_VERSION)
	mv $(ENGINES)/bin/prism $@ && rmdir $(ENGINES)/bin

$(FLINK_JAR):
	mkdir -p $(ENGINES)
	curl --fail --silent --show-error --location --output $@.part \
		$(MAVEN)/org/apache/beam/$(FLINK_NAME)/$(BEAM_VERSION)/$(notdir $@)
	mv $@.part $@

engines:
	@if command -v go >/dev/null; then $(MAKE) --no-print-directory $(PRISM) || \
		echo "left out: Prism, which go could not build"; \
		else echo "left out: Prism, which go builds"; fi
	@if command -v java >/dev/null; then $(MAKE) --no-print-directory $(FLINK_JAR) || \
		echo "left out: Flink, whose job server $(MAVEN) did not give"; \
		else echo "left out: Flink, which needs java"; fi

# On Dask and Beam's own job service, which pip brings, and on those of the others that are there.
# Beam never closes the pipe that it reads an engine's output from.
test-engines: install engines
	TWOFOLD_ENGINES=$(abspath $(ENGINES)) $(BIN)/python -m pytest -m engine tests/components/data \
		-W "ignore:unclosed file:ResourceWarning"

# Some minutes on two cores that have nothing else to do.
benchmark: install
	$(BIN)/python -m tests.benchmarks.train_step

# Ten minutes, five and five, likewise.
benchmark-preparation: install
	$(BIN)/python -m tests.benchmarks.preparation

benchmark-duplicates: install
	$(BIN)/python -m tests.benchmarks.duplicates

benchmark-reading: install
	$(BIN)/python -m tests.benchmarks.reading

# Five minutes, likewise.
benchmark-measures: install
	$(BIN)/python -m tests.benchmarks.measures

# Half a minute.
benchmark-corruptions: install
	$(BIN)/python -m tests.benchmarks.corruptions

# Five minutes, likewise.
benchmark-runtimes: install
	$(BIN)/python -m tests.benchmarks.runtimes

# Ten minutes, likewise.
benchmark-overheads: install
	$(BIN)/python -m tests.benchmarks.overheads

# A GPU against the CPU, within ten minutes: see tests/gpu/check.py. DEVICE=CPU rehearses without.
DEVICE ?= GPU

gpu-check: install
	$(BIN)/python -m tests.gpu.check --device $(DEVICE)

# The folders as they are installed, for mypy, which does not read setup.py's package_dir.
links:
	mkdir -p .links/twofold
	for name in __init__.py __main__.py py.typed; do ln -sfn ../../pipeline/api/$$name .links/twofold/$$name; done
	for name in components pipeline serving; do ln -sfn ../../$$name .links/twofold/$$name; done

lint: install links
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# What the README says of the recipes, from what they say of themselves.
readme: install
	$(BIN)/python -m twofold.pipeline.cli.recipe_table README.md

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(WHEEL_VENV) $(PARITY_VENV) $(FIDELITY_VENV) $(TRACKERS_VENV) $(ENGINES) build *.egg-info .links
