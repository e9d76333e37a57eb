# `make` alone lists the targets. Works from a machine with Python 3.11+, make and a package index; everything goes
# into .venv. Another interpreter: `make test PYTHON=python3.12`. Another torch build (on Linux the default one
# brings CUDA along): `make test TORCH_OPTIONS="--index-url URL"`, any options of `pip install`.

PYTHON ?= python3
TORCH_OPTIONS ?=
ARGS ?=
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
READY := $(VENV)/.ready
PEERS := $(VENV)/.ready-bench
DEMO := demo-runs
# Not --quiet: that hides the warnings from --strict too.
MKDOCS = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict 2>&1 | { grep -v '^INFO' || true; }
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help env demo test check format generate docs picture bench faults faults-full clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

env: $(READY) ## the environment in .venv: torch, the development tools, unbug itself

# torch goes first and by its exact version: asked for by another package, it would be whatever build is newest.
$(READY): pyproject.toml setup.py $(wildcard src/unbug/numerics/kernel/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "unbug needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1); try: make PYTHON=python3.12" >&2; exit 1; }
	@echo "making $(VENV) (once; some minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install $(TORCH_OPTIONS) "$$($(BIN)/python tools/requirement.py torch)"
	@$(PIP) install --group dev --editable .
	@touch $@

$(PEERS): $(READY)
	@$(PIP) install --group bench
	@touch $@

demo: $(READY) ## train a small network with a planted fault, see what unbug finds
	@$(BIN)/unbug run --dir $(DEMO) --name demo examples/demo.py
	@$(BIN)/unbug report @last --dir $(DEMO) -o $(DEMO)/report.html > /dev/null
	@printf '\nThe run lies in %s/, its report in %s/report.html: open it in a browser.\n' $(DEMO) $(DEMO)

test: $(READY) ## all tests
	@$(BIN)/python -m compileall -q src/unbug # as installed packages are; else each process that a test starts does it
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: $(READY) ## everything that must hold besides the tests: format, lint, types, imports, generated files, docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python tools/check_rooms.py
	@$(BIN)/python tools/generate.py --check
	@$(MKDOCS)

format: $(READY) ## bring the code into form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: $(READY) ## write the pages of docs/reference that come from code
	@$(BIN)/python tools/generate.py

docs: $(READY) ## build the documentation into site/
	@$(MKDOCS)
	@echo "site/index.html"

picture: $(READY) ## record the terminal that the README shows
	@PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python tools/picture.py docs/images/demo.svg --columns 100 -- \
	  unbug run examples/demo.py

bench: $(PEERS) ## measure cost, logging, reading, crash safety, size, import; one table with the bars
	@$(BIN)/python tools/bench.py

faults: $(READY) ## run the fault corpus and score the findings
	@$(BIN)/python tools/faults.py

faults-full: $(READY) ## run all programs that rules are measured with (hours, resumable; ARGS="--half dev")
	@WORKERS=$(WORKERS) $(BIN)/python tools/faults_full.py $(ARGS)

clean: ## remove the environment and everything built
	rm -rf $(VENV) build dist site $(DEMO) src/*.egg-info src/unbug/numerics/_kernel.so bench/results
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
