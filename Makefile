# Needs make and a Python >= 3.11, nothing else: pip installs wheels into .venv, so it needs no compiler.
#
# Nothing installs the project itself. `python -m api`, `-m worker` and `-m local` run in this folder, which puts it on
# the module path: there is no editable install that could go stale, and no build step.

PYTHON ?= $(or $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done),python3)
BIN := .venv/bin
UV_COMPILE := $(BIN)/python -m uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command 'make lock' --no-emit-index-url pyproject.toml

# Tests wait more than they compute, so there are more processes than cores. Each process runs a whole file at a time,
# because a server of its own lasts for one file. The files run in the order of collection: the slowest go first.
JOBS ?= 4
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder
# pytest rewrites each test file, which takes longer than importing it. It keeps the result only when this is not set.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test quick settings pictures chaos turns matrix bench bench-smoke test-agents record-agents lint format types check lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' Makefile

run: .venv/.run ## Start the service here, with a Redis of its own; Ctrl-C stops it
	@$(BIN)/python -m local

test: .venv/.dev ## Run the tests; ARGS="-k name" picks some, ARGS="-n 0 --pdb" stops where one fails
	@$(PYTEST) $(ARGS)

quick: JOBS = 2
quick: .venv/.dev ## Run the tests that start no process, in a minute
	@$(PYTEST) --quick --broker fake $(ARGS)

test-agents: .venv/.dev tests/agents/node_modules/.installed ## Test with the real agent CLIs, from npm
	@$(BIN)/python -m pytest -rs tests/agents $(ARGS)

record-agents: .venv/.dev tests/agents/node_modules/.installed ## Record again what the agent CLIs print; ARGS="codex pi"
	@$(BIN)/python -m tests.agents.record $(ARGS)

settings: .venv/.dev ## Rewrite the table of docs/settings.md
	@$(BIN)/python -m tests.settings_page

pictures: .venv/.dev ## Take the pictures of the monitor page again, in some minutes
	@$(BIN)/python -m tests.e2e.pictures $(ARGS)

chaos: .venv/.dev ## Kill, pause, cut and restart everything under load; ARGS="--runs 1000 --seed 7"
	@$(BIN)/python -m chaos $(ARGS)

turns: .venv/.dev ## Ask a CLI that misbehaves, in many sessions at once; ARGS="--turns 1000 --seed 7"
	@$(BIN)/python -m chaos.turns $(ARGS)

matrix: .venv/.dev ## Test on every Redis that is here, and with every redis-py; ARGS="--server PATH --redis-py 8.1.0"
	@$(BIN)/python -m tests.matrix $(ARGS)

bench: .venv/.dev ## Measure all for docs/performance.md, in ten minutes; ARGS="--only first,deltas" picks some
	@$(BIN)/python -m bench $(ARGS)

bench-smoke: .venv/.dev ## Measure how far runrelay is from the ceiling, in less than a minute
	@$(BIN)/python -m bench --rounds 1 --no-naive --only first,deltas,clients,burst,short $(ARGS)

lint: .venv/.dev ## Find mistakes and unformatted files
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .

format: .venv/.dev ## Format all files, and fix the mistakes that ruff can fix
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

types: .venv/.dev ## Check the types
	@$(BIN)/python -m mypy

check: lint types test ## lint, types, test

lock: .venv/.dev ## Renew the lock files from the ranges in pyproject.toml
	@$(UV_COMPILE) --upgrade --extra embedded --output-file requirements.lock
	@$(UV_COMPILE) --upgrade --extra embedded --extra otel --constraints requirements.lock --output-file requirements-otel.lock
	@$(UV_COMPILE) --upgrade --extra dev --constraints requirements.lock --output-file requirements-dev.lock

clean: ## Remove .venv and caches; the data in .runrelay stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info

# A stamp is newer than its lock after the installation, so a second run installs nothing. The dev lock holds all of the
# runtime lock in the same versions, so one installation serves both.
.venv/.run: requirements.lock
	@$(call install,requirements.lock)
	@touch $@

.venv/.dev: requirements-dev.lock requirements.lock
	@$(call install,requirements-dev.lock)
	@touch .venv/.run $@

# Not `npm ci`, which refuses a lock that lacks the packages of other platforms.
tests/agents/node_modules/.installed: tests/agents/package-lock.json | .venv/.dev
	@cd tests/agents && PATH="$(CURDIR)/$(BIN):$$PATH" npm install --no-save --no-audit --no-fund
	@touch $@

define install
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	|| { echo 'runrelay needs Python 3.11 or newer; `$(PYTHON)` is none. Try: make PYTHON=/path/to/python3' >&2; exit 1; } \
	&& $(PYTHON) local/install.py $(1)
endef
