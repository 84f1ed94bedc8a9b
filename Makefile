# Every target makes what it needs by itself: plain python3, venv and pip.
PYTHON ?= python3
PORT ?= 3000
DAYS ?= 0
PINS ?= --constraint constraints.txt
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := .venv-$(VERSION)
BIN := $(VENV)/bin
CODE := tradeflow_core tradeflow_assets tests benchmarks tools docs
INSTALLED := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
TESTED := $(VENV)/.tested.json

.DEFAULT_GOAL := help
.PHONY: help run ui test test-fast coverage soak bench check ruff ruff-format codespell mypy layers format migration docs install dev right-python clean

help: ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  make %-11s %s\n", $$1, $$2}'

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(VERSION)" || { echo "PYTHON=$(PYTHON) does not run; name another, such as PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(0 if ok else "tradeflow needs Python 3.11 to 3.13, this is " + sys.version.split()[0] + "; name another with PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing tradeflow into $(VENV) (once; about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINS) --editable '.[ib]'
	@touch $@

$(DEV): $(INSTALLED)
	@echo "installing the tools for tests into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINS) --editable '.[ib,dev,docs,postgres]'
	@touch $@

right-python: $(DEV)
	@$(BIN)/python -c 'import sys; is_ = "%d.%d" % sys.version_info[:2]; sys.exit(0 if is_ == "$(VERSION)" else "$(VENV) runs Python " + is_ + " instead of $(VERSION); remove the folder and try again")'

install: $(INSTALLED) ## make the virtual environment

dev: $(DEV) ## make the virtual environment with the tools for tests

run: $(INSTALLED) ## run the business day on the simulated market, through Dagster (DAYS=n: go on n more days)
	@$(BIN)/tradeflow init --if-missing
	@$(BIN)/tradeflow day --through-dagster --days $(DAYS)

ui: $(INSTALLED) ## serve the Dagster UI on 127.0.0.1:3000 (PORT=n: another port)
	@$(BIN)/tradeflow init --if-missing
	@exec $(BIN)/tradeflow ui --port $(PORT)

# The equals signs matter: before pytest has read tests/conftest.py it takes a loose value of an option for a path of tests.
test: $(DEV) right-python check ## all tests and checks; the last lines say what was proven and what was skipped
	@rm -f $(TESTED)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not ui" --summary-file=$(TESTED)
	@$(BIN)/python -m pytest -m ui --summary-file=$(TESTED)

test-fast: $(DEV) right-python ## the tests that take no more than a few seconds each
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not ui"

coverage: $(DEV) right-python ## the tests of `make test-fast`, and which lines they run; fails below the floor in pyproject.toml
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not ui" --cov

soak: $(DEV) right-python ## hours of simulated days with processes killed at random (DAYS=n: so many, default 250)
	@SOAK_DAYS=$(if $(filter-out 0,$(DAYS)),$(DAYS),250) $(BIN)/python -m pytest -m soak

bench: $(DEV) ## measure, and print every figure with its baseline
	@$(BIN)/python -m benchmarks

check: ruff ruff-format codespell mypy layers ## style, spelling, types and the layers between the rooms

# Each check alone; the hooks of pre-commit call the first four.
ruff: $(DEV)
	@$(BIN)/ruff check $(CODE)

ruff-format: $(DEV)
	@$(BIN)/ruff format --check --quiet $(CODE) || { echo "not formatted; run make format" >&2; exit 1; }

codespell: $(DEV)
	@$(BIN)/codespell

mypy: $(DEV)
	@$(BIN)/mypy tradeflow_core tradeflow_assets

layers: $(DEV)
	@$(BIN)/lint-imports --no-cache

format: $(DEV) ## put the code into the form that `make check` asks for
	@$(BIN)/ruff format --quiet $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

migration: $(DEV) ## write a migration of the ledger from its newest one to the tables in schema.py (NAME="what it does")
	@$(BIN)/python -m tools.new_migration "$(NAME)"

docs: $(DEV) ## build the pages of docs/ as a site in build/docs
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo "build/docs/index.html"

clean: ## remove the virtual environments (homes stay)
	rm -rf .venv .venv-3.*
