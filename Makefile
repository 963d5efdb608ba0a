PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow reliability lint bench snapshots clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## a virtual environment with xlt and its test tools

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet -c constraints.txt -e '.[test,static]'
	touch $@

demo: setup ## the whole chain on the data that ships with xlt, about 5 minutes on 2 cores
	scripts/demo.sh

test: setup ## the fast tests, under 5 minutes on 2 cores, offline
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m "not slow" -n 2 tests

test-slow: setup ## the slow tests too: wheel, kills, demo data in full
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow tests

TIER ?= 6
reliability: setup ## many trials of every promise, for TIER minutes (6): figures.json
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m tests.reliability.run --tier $(TIER) --out figures.json

lint: setup ## ruff
	$(BIN)/ruff check xlt tests scripts
	$(BIN)/ruff format --check xlt tests scripts

snapshots: setup ## write tests/snapshots anew after a wanted change of a config
	XLT_WRITE_SNAPSHOTS=1 $(BIN)/python -m pytest tests/config/test_snapshots.py

bench: setup ## benchmarks, side by side with the alternative
	@ls scripts/bench_*.py 2>/dev/null | xargs -r -n 1 $(BIN)/python

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache
