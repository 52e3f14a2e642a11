# Everything there is to do here, in one place. `make` alone lists it.
# Nothing but Python >= 3.11, git and make has to be there before.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
BENCH_VENV := .benchmarks-env
TEST_WORKERS ?= 3
BRIEF ?= A pomodoro timer with statistics and CSV export

# uv resolves with the system's certificates, as pip does.
export UV_SYSTEM_CERTS := true
export UV_NATIVE_TLS := true

# The first interpreter that is new enough and can make an environment; PYTHON=... overrides.
FIND_PYTHON = for python in $(PYTHON) python3 python3.11 python3.12 python3.13 python3.14 python; do \
	if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$python; exit 0; fi; done; \
	echo 'No Python >= 3.11 with the venv module was found.' \
	     'Install one (on Debian: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python.' >&2; exit 1

# $(call install,PYTHON,LOCK): uv takes seconds where pip takes a minute; both hold the lock's hashes.
PIP_INSTALL := -m pip install -qq --disable-pip-version-check
BOOTSTRAP_UV = awk '/^uv==/ {on = 1; print; next} on && /^ / {print; next} {on = 0}' requirements.lock \
	| $(PY) $(PIP_INSTALL) --require-hashes -r /dev/stdin
install = $(PY) -m uv pip install --quiet --compile-bytecode --python $(1) --require-hashes -r $(2) \
	|| { echo 'uv could not install; trying pip, which is slower' >&2; $(1) $(PIP_INSTALL) --require-hashes -r $(2); }

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.ready ## Makes .venv from the lock; again only when the lock or pyproject.toml changed

$(VENV)/.ready: requirements.lock pyproject.toml
	@python=$$($(FIND_PYTHON)); \
	echo "setting up $(VENV) with $$($$python --version), about a minute"; \
	test -x $(PY) || $$python -m venv $(VENV); \
	$(BOOTSTRAP_UV) || true; \
	$(call install,$(PY),requirements.lock); \
	$(PY) $(PIP_INSTALL) --no-deps --no-build-isolation --no-index --editable .; \
	touch $@

# Byte code is made by hand because PYTHONDONTWRITEBYTECODE may be set, and a start without it takes three times as long.
.PHONY: compiled
compiled: setup
	@$(PY) -m compileall -q orchestrator_v2

.PHONY: run
run: compiled ## Sets up, runs a sample brief (BRIEF="...") in simulated mode, shows where the project lies
	@number=1; while [ -e sample-project/$$number ]; do number=$$((number + 1)); done; \
	mkdir -p sample-project; \
	$(VENV)/bin/orchestrator run "$(BRIEF)" --out ./sample-project/$$number; \
	echo; echo "The project lies in $$(pwd)/sample-project/$$number; begin with RUN.md."

.PHONY: check
check: setup ## ruff, mypy strict, the import contracts, size limits, the lock
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) scripts/check_sizes.py
	$(PY) scripts/check_lock.py

# A worker begins with a part of the tests in their order, so that a server which a file's tests share is started once
# and not by each worker; their byte code is kept because three workers would each compile all of it anew.
.PHONY: test
test: compiled ## Sets up and runs all tests, servers included
	@$(PY) scripts/check_machine.py
	@$(PY) scripts/get_browser.py
	env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest -n $(TEST_WORKERS) --dist worksteal -m 'not chaos'

.PHONY: test-fast
test-fast: compiled ## The tests without the slow ones and without PostgreSQL, under a minute
	$(PY) -m pytest -n $(TEST_WORKERS) -m 'not slow and not postgres and not chaos'

.PHONY: chaos
chaos: compiled ## Kills, faults and the cluster's long tests, which make test leaves out; writes docs/reference/reliability.md
	@$(PY) scripts/check_machine.py
	$(PY) -m pytest -n 2 -m chaos --reliability-report docs/reference/reliability.md

.PHONY: cluster
cluster: compiled ## PostgreSQL, Temporal, a server, two workers, 20 projects; one worker is killed, all 20 finish
	@$(PY) scripts/run_cluster.py

.PHONY: bench
bench: compiled $(BENCH_VENV)/.ready ## The benchmarks, with LangGraph beside us in an environment of its own
	$(PY) benchmarks/run.py

$(BENCH_VENV)/.ready: benchmarks/requirements.lock $(VENV)/.ready
	@test -x $(BENCH_VENV)/bin/python || $(PY) -m venv $(BENCH_VENV)
	@$(call install,$(BENCH_VENV)/bin/python,benchmarks/requirements.lock)
	@touch $@

COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

.PHONY: lock
lock: ## Makes the lock anew from pyproject.toml (UPGRADE=--upgrade takes newer releases)
	@test -x $(VENV)/bin/uv || $(MAKE) setup
	$(COMPILE) $(UPGRADE) pyproject.toml --all-extras --group dev --output-file requirements.lock >/dev/null
	$(COMPILE) $(UPGRADE) benchmarks/requirements.in --output-file benchmarks/requirements.lock >/dev/null
	$(PY) scripts/check_lock.py --stamp

.PHONY: clean
clean: ## Removes the environments and every cache; leaves projects and the data directory alone
	rm -rf $(VENV) $(BENCH_VENV) dist .mypy_cache .ruff_cache .hypothesis .import_linter_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
