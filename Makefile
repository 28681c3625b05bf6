# What can be done with this repository. `make demo` and `make test` are all a newcomer needs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench format docs clean

help: ## What can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## A virtual environment with everything
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,engine]'
	@touch $@

demo: $(STAMP) ## The main job in a sandbox: plan, review, approve, apply, drift, repair
	@$(BIN)/python examples/demo.py

test: $(STAMP) ## All tests, with coverage
	$(BIN)/python -m pytest -n auto --cov --cov-report=term:skip-covered

check: $(STAMP) ## Formatting, types, floors, spelling, links
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m tests.engine.run fmt -check -recursive modules tests/cases

bench: $(STAMP) ## Speed against the bare engine; ends with one line of JSON
	$(BIN)/python -m benchmarks.reconcile

format: $(STAMP) ## Format everything
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python -m tests.engine.run fmt -recursive modules

docs: $(STAMP) ## Rewrite the generated parts of the README and the golden files
	$(BIN)/python -m tests.golden

clean: ## Remove what was made here
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
