PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help

.PHONY: help run test demo check soak bench-quick schema clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

run: $(VENV)/.installed ## start Fidelog on its own PostgreSQL: http://127.0.0.1:8000
	@exec $(BIN)/fidelog serve

demo: $(VENV)/.installed ## play the article's story on a temporary server
	@exec $(BIN)/fidelog demo

test: $(VENV)/.tested ## all checks of CI
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest

check: $(VENV)/.tested ## formatting, lint, types, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(VENV)/.tested ## kills under load, a long replay under load, 10,000 mutated requests (up to 40 minutes)
	$(BIN)/python -m tests.soak

bench-quick: $(VENV)/.tested ## S1 and S2 against their peers, as ratios in one run (2 to 3 minutes)
	$(BIN)/python -m bench.quick

schema: $(VENV)/.tested ## write docs/schema.sql from the migrations
	$(BIN)/python -m tests.write_schema

clean: ## remove the virtual environment and caches (data and state folders stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "fidelog: $(PYTHON) is not Python 3.11 or newer; install Python 3.11+ or call make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "fidelog: $(PYTHON) has no venv module; install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "fidelog: installing its packages into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.tested: pyproject.toml $(VENV)/.installed
	@echo "fidelog: installing the test packages into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group test
	@touch $@
