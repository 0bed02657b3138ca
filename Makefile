PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Each worker has a PostgreSQL of its own and often waits for it; a server that was given is one for all.
WORKERS ?= $(if $(FIDELOG_TEST_DATABASE_URL),0,3)

.DEFAULT_GOAL := help

.PHONY: help run test demo check soak bench bench-quick bench-against schema clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

run: $(VENV)/.installed ## start Fidelog on its own PostgreSQL: http://127.0.0.1:8000
	@exec $(BIN)/fidelog serve

demo: $(VENV)/.installed ## play the article's story on a temporary server
	@exec $(BIN)/fidelog demo

test: $(VENV)/.tested ## all checks of CI
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

check: $(VENV)/.tested ## formatting, lint, types, import directions, known vulnerabilities of dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.audit_dependencies

soak: $(VENV)/.tested ## kills under load, a long replay under load, 10,000 mutated requests, 1,000 generated ones a route (up to 40 minutes)
	$(BIN)/python -m tests.soak

bench: $(VENV)/.benched ## every work against its peers, as ratios in one run; writes docs/performance.md and its plot
	$(BIN)/python -m bench

bench-quick: $(VENV)/.benched ## writes and the engine against their peers, in some minutes
	$(BIN)/python -m bench --quick

bench-against: $(VENV)/.installed ## this tree against another commit of ours, as ratios in one run: REV=<commit>
	@test -n "$(REV)" || { echo "bench: name a commit: make bench-against REV=<commit>" >&2; exit 2; }
	$(BIN)/python -m bench --against "$(REV)"

schema: $(VENV)/.tested ## write docs/schema.sql, api/rights.txt and api/shape.ndjson from the migrations
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

# A peer that cannot be installed stops nothing: the bench says "not run" in its rows, and the next run tries again.
$(VENV)/.benched: pyproject.toml bench/install_peers.sh $(wildcard bench/peers/node/package.json) $(VENV)/.tested
	@echo "fidelog: installing the peers of the bench" >&2
	@! sh bench/install_peers.sh $(BIN)/python || touch $@
