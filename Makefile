# Every target does its own set-up: a .venv with pinned packages, made once and kept.
# Windows, or no make: docs/install.md has the same steps.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# Any Python from 3.10 on; 3.11 first because the shipped model was trained and pinned on it.
PYTHON ?= $(firstword $(shell for name in python3.11 python3.12 python3.13 python3.10 python3 python; do \
	"$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$name" && break; done))
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt
PINS := pyproject.toml requirements/constraints.txt

# The arm that the person in the demo raises: make demo ARM=right
ARM ?= left

.PHONY: help demo test lint format train-tiny benchmarks pin clean
help:
	@echo "make demo         generate a person who walks, turns and raises an arm: out/demo.bvh, .gif, .png (ARM=left|right)"
	@echo "make test         run the tests"
	@echo "make lint         ruff, pyright on the light zone, import contracts"
	@echo "make format       let ruff rewrite the code"
	@echo "make train-tiny   all training stages on made-up motion, a few minutes"
	@echo "make benchmarks   time the scans, generation and training; writes docs/benchmarks/"
	@echo "make pin          renew requirements/constraints.txt"
	@echo "make clean        remove .venv and everything that was made"

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.10 or newer with venv was found. Install one (Debian: apt install python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi
	@echo "Making $(VENV) with $(PYTHON) ..."
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/core.stamp: $(PINS) | $(BIN)/python
	@echo "Installing kmm-core (once; torch is large) ..."
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/develop.stamp: $(PINS) | $(BIN)/python
	@echo "Installing kmm-core with training and development tools (once) ..."
	@$(PIP_INSTALL) -e ".[train,dev]"
	@touch $@ $(VENV)/core.stamp

demo: $(VENV)/core.stamp
	@$(BIN)/kmm-generate "a person walks forward" --seconds 4 "a person turns left" --seconds 3 \
		"a person raises the $(ARM) arm" --seconds 3 --seed 0 -o out/demo.bvh -o out/demo.gif -o out/demo.png
	@echo "Look at out/demo.gif, or import out/demo.bvh into Blender (Y up, metres)."

test: $(VENV)/develop.stamp
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/develop.stamp
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

format: $(VENV)/develop.stamp
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

train-tiny: $(VENV)/develop.stamp
	@$(BIN)/kmm-train run training/configs/tiny.toml

benchmarks: $(VENV)/develop.stamp
	@$(BIN)/python -m benchmarks.scan -o docs/benchmarks/scan.md
	@$(BIN)/python -m benchmarks.generation -o docs/benchmarks/generation.md
	@$(BIN)/python -m benchmarks.training -o docs/benchmarks/training.md

pin: | $(BIN)/python
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --extra train --extra dev --universal --python-version 3.10 \
		--no-header --no-annotate --upgrade -o requirements/constraints.txt

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache
