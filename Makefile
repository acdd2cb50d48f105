# Everything a person needs, from a fresh clone: Python 3.11 or later and a network.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV ?= .venv
PY   := $(VENV)/bin/python
# Processes that tests without a cluster are spread over.
JOBS ?= 2
# The first interpreter that really runs and is new enough. 3.12 and 3.11 come first: they have a Redis wheel.
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python3.13 python3.14; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: help venv demo test check format lint types imports unit integration bench clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort -u | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'

venv: $(VENV)/.installed ## create .venv with everything the tests and the demo need

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later was not found on the PATH. Install it, or name one: make PYTHON=/path/to/python3"; exit 1; }
	@echo "==> creating $(VENV) with $$($(PYTHON) --version) (about a minute)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: venv ## run real work with `windlass up`: workers 0 -> 3 -> 0 on an embedded Redis
	@$(PY) -m windlass_operator.local.demo

test: check unit integration ## pass every test this machine can run
	@if [ -f make/cluster.mk ]; then $(MAKE) --no-print-directory test-cluster; fi

check: format-check lint types imports ## static checks: format, lint, types, import contracts

format: venv ## rewrite the sources in house style
	@$(PY) -m ruff format . && $(PY) -m ruff check --fix .

.PHONY: format-check
format-check: venv
	@$(PY) -m ruff format --check --quiet .

lint: venv ## ruff
	@$(PY) -m ruff check .

types: venv ## mypy --strict
	@$(PY) -m mypy

imports: venv ## the contracts on who may import whom
	@$(VENV)/bin/lint-imports

unit: venv ## tests without I/O
	@$(PY) -m pytest tests/unit tests/shape tests/typing -q -n $(JOBS)

integration: venv ## tests on real Redis servers and worker processes
	@$(PY) -m pytest tests/lua tests/conformance tests/integration -q -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Celery and the Kubernetes client want different versions of one library: the peers live apart.
BENCH_VENV ?= .venv-bench
BENCH_PY   := $(BENCH_VENV)/bin/python

$(BENCH_VENV)/.installed: pyproject.toml
	@test -x $(BENCH_PY) || $(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_PY) -m pip install --quiet --disable-pip-version-check --editable '.[bench,embedded]'
	@touch $@

bench: $(BENCH_VENV)/.installed ## measure side by side with Celery, taskiq and a bare loop (minutes)
	@$(BENCH_PY) tests/bench/run.py $(ARGS)

clean: ## remove what the build and the tests left
	@rm -rf $(VENV) $(BENCH_VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

-include make/*.mk
