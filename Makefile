# `make run` and `make test` need Python 3.11, 3.12 or 3.13 and nothing else of ours.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 7071

.PHONY: help run test check unit bench docs conformance proof scoreboard test-host clean

help: ## What can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.run: pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found: install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[host,identity,models]"
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group test --group lint --group bench --group apps
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps open-deep-research==0.0.16
	@touch $@

run: $(VENV)/.run ## Start the app at http://localhost:7071, state in .durablegraph/
	$(BIN)/durablegraph dev --port $(PORT)

check: $(VENV)/.test ## Lint, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=lib:. $(BIN)/lint-imports

unit: $(VENV)/.test ## The fast tests
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/unit

test: check ## Everything: lint, types, contracts, all tests but the slow ones
	$(BIN)/python -m pytest -q -n 2 --dist loadfile tests/unit
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow" tests/conformance tests/integration tests/e2e

bench: $(VENV)/.test ## The benchmarks, with peers in the same run, and the page that shows them
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group peers
	$(BIN)/python -m benchmarks; missed=$$?; $(BIN)/python -m benchmarks.page && exit $$missed

docs: $(VENV)/.test ## The generated reference pages
	$(BIN)/python -m docs.generate

conformance: ## LangGraph's own tests through our super-steps: make conformance LANGGRAPH=DIR
	@test -n "$(LANGGRAPH)" || { echo "Name an unpacked source distribution of langgraph: make conformance LANGGRAPH=DIR"; exit 1; }
	@test -x .venv-conformance/bin/python || $(PYTHON) -m venv .venv-conformance # where `langchain` is installed, nine tests see its version
	.venv-conformance/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	.venv-conformance/bin/python -m pip install --quiet --disable-pip-version-check --editable . --group conformance
	.venv-conformance/bin/python -m tests.conformance.langgraph --upstream $(LANGGRAPH) --write docs/explanation/conformance.md

proof: $(VENV)/.test ## Kill a run 25 times at random and judge how it ends: make proof [SEED=N] [KILLS=N]
	$(BIN)/python -m proof $(if $(SEED),--seed $(SEED)) $(if $(KILLS),--kills $(KILLS))

scoreboard: $(VENV)/.test ## The catalogue of small graphs on LangGraph, on us and on peers; writes docs/explanation/peers.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group scoreboard
	$(BIN)/python -m proof.scoreboard

test-host: $(VENV)/.test ## The tests and recordings on the host at FUNCTIONS_HOST, or on `func` from the PATH
	$(BIN)/python -m tests.host $(ONLY)

clean: ## Remove what was made
	rm -rf $(VENV) .venv-conformance .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build
