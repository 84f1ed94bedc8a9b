# Every target makes what it needs by itself: plain python3, venv and pip.
PYTHON ?= python3
PORT ?= 3000
DAYS ?= 0
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
TESTED := $(VENV)/.tested.json

.DEFAULT_GOAL := help
.PHONY: help run ui test test-fast soak bench check install dev clean

help: ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  make %-11s %s\n", $$1, $$2}'

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(0 if ok else "tradeflow needs Python 3.11 to 3.13, this is " + sys.version.split()[0] + "; name another with PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing tradeflow into $(VENV) (once; about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[ib]'
	@touch $@

$(DEV): $(INSTALLED)
	@echo "installing the tools for tests into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[ib,dev,postgres]'
	@touch $@

install: $(INSTALLED) ## make the virtual environment

dev: $(DEV) ## make the virtual environment with the tools for tests

run: $(INSTALLED) ## run the business day on the simulated market, through Dagster (DAYS=n: go on n more days)
	@$(BIN)/tradeflow init --if-missing
	@$(BIN)/tradeflow day --through-dagster --days $(DAYS)

ui: $(INSTALLED) ## serve the Dagster UI on 127.0.0.1:3000 (PORT=n: another port)
	@$(BIN)/tradeflow init --if-missing
	@exec $(BIN)/tradeflow ui --port $(PORT)

test: $(DEV) check ## all tests and checks; the last lines say what was proven and what was skipped
	@rm -f $(TESTED)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not ui" --summary-file $(TESTED)
	@$(BIN)/python -m pytest -m ui --summary-file $(TESTED)

test-fast: $(DEV) ## the tests that take no more than a few seconds each
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not ui"

soak: $(DEV) ## hours of simulated days with processes killed at random (DAYS=n: so many, default 250)
	@SOAK_DAYS=$(if $(filter-out 0,$(DAYS)),$(DAYS),250) $(BIN)/python -m pytest -m soak

bench: $(DEV) ## measure, and print every figure with its baseline
	@$(BIN)/python -m benchmarks

check: $(DEV) ## style, types and the layers between the rooms
	@$(BIN)/ruff check tradeflow_core tradeflow_assets tests benchmarks
	@$(BIN)/mypy tradeflow_core tradeflow_assets
	@$(BIN)/lint-imports --no-cache

clean: ## remove the virtual environment (homes stay)
	rm -rf $(VENV)
