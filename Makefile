# Every target does its own set-up: a .venv with pinned packages, made once and kept.
# Windows, or no make: docs/install.md has the same steps.

.DEFAULT_GOAL := help
.NOTPARALLEL: # two pips in one .venv break each other
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# Any Python from 3.10 on; 3.11 first because the shipped model was trained and pinned on it.
USABLE := -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))'
PYTHON ?= $(or $(firstword $(shell for name in python3.11 python3.12 python3.13 python3.10 python3 python; do \
	"$$name" $(USABLE) 2>/dev/null && echo "$$name" && break; done)),python3)
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt
PINS := pyproject.toml requirements/constraints.txt

# The arm that the person in the demo raises: make demo ARM=right
ARM ?= left

# Blender as a module for the tests: the newest, and the oldest that is supported. The first pair that can be had is taken.
BPY5 ?= python3.13=5.2.3 python3.11=5.0.1
BPY4 ?= python3.11=4.2.23 python3.11=4.5.15
# Blender itself, where a target starts it: make dev-blender BLENDER=/path/to/blender
BLENDER ?= blender

.PHONY: help demo test test-core test-bpy test-gui lint format extension install-extension repository dev-blender \
	train-tiny benchmarks results pin clean
help:
	@echo "make demo         generate a person who walks, turns and raises an arm: out/demo.bvh, .gif, .png (ARM=left|right)"
	@echo "make test         run the tests, those inside Blender 5 and 4 (as Python modules) included"
	@echo "make test-core    only those that need no Blender;  make test-bpy: only those inside it"
	@echo "make test-gui     a real Blender: its panel worked with a mouse (out/gui), and the headless examples (out/batch); Linux, root"
	@echo "make extension    build dist/kmm-<version>.zip, which Blender 4.2 and newer installs"
	@echo "make install-extension, make dev-blender: install that zip, or run the checkout, in BLENDER=/path/to/blender"
	@echo "make repository   dist/repository/: a static site from which Blender installs and updates"
	@echo "make lint         ruff, pyright on the light zone, import contracts"
	@echo "make format       let ruff rewrite the code"
	@echo "make train-tiny   all training stages on made-up motion, a few minutes"
	@echo "make benchmarks   time the scans, generation and training; writes docs/benchmarks/"
	@echo "make results      measure everything in docs/results.md anew from PREPARED=prepared: hours"
	@echo "make pin          renew requirements/constraints.txt"
	@echo "make clean        remove .venv and what make built; runs/ and prepared/ stay"

# pip comes last: an environment without it was cut off.
$(BIN)/pip:
	@if ! "$(PYTHON)" $(USABLE) 2>/dev/null; then \
		echo "No Python 3.10 or newer with venv was found ($(PYTHON) is none). Install one (Debian: apt install python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi
	@echo "Making $(VENV) with $(PYTHON) ..."
	@"$(PYTHON)" -m venv --clear $(VENV)

$(VENV)/core.stamp: $(PINS) | $(BIN)/pip
	@echo "Installing kmm-core (once; torch is large) ..."
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/develop.stamp: $(PINS) | $(BIN)/pip
	@echo "Installing kmm-core with training and development tools (once) ..."
	@$(PIP_INSTALL) -e ".[train,dev]"
	@touch $@ $(VENV)/core.stamp

demo: $(VENV)/core.stamp
	@$(BIN)/kmm-generate "a person walks forward" --seconds 4 "a person turns left" --seconds 3 \
		"a person raises the $(ARM) arm" --seconds 3 --seed 0 -o out/demo.bvh -o out/demo.gif -o out/demo.png
	@echo "Look at out/demo.gif, or import out/demo.bvh into Blender (Y up, metres)."

test: test-core test-bpy

test-core: $(VENV)/develop.stamp
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

# No stamp where a Blender cannot be had: the script has then said why, and that part is skipped.
.venv-bpy5/ready.stamp: requirements/bpy.txt
	@tools/make_bpy_venv.sh .venv-bpy5 $(BPY5)
.venv-bpy4/ready.stamp: requirements/bpy.txt
	@tools/make_bpy_venv.sh .venv-bpy4 $(BPY4)

test-bpy: $(VENV)/core.stamp .venv-bpy5/ready.stamp .venv-bpy4/ready.stamp
	@if ls .venv-bpy*/ready.stamp >/dev/null 2>&1; then $(MAKE) --no-print-directory extension; fi
	@for folder in .venv-bpy5 .venv-bpy4; do \
		if [ -e $$folder/ready.stamp ]; then $$folder/bin/pytest tests/blender $(PYTEST_ARGS); \
		else echo "SKIPPED: the tests inside Blender of $$folder (the reason stands above)"; fi; \
	done

# 77: no window, or no Blender, could be had, and the script has said why.
test-gui: $(VENV)/core.stamp extension
	@tests/gui/run.sh dist/kmm-*.zip $(BIN)/python || [ $$? = 77 ]
	@tests/gui/run_batch.sh dist/kmm-*.zip $(BIN)/python || [ $$? = 77 ]

extension: .venv-bpy5/ready.stamp .venv-bpy4/ready.stamp
	@"$(PYTHON)" tools/build_extension.py build

install-extension: extension
	@"$(BLENDER)" --command extension install-file --repo user_default --enable dist/kmm-*.zip

repository: .venv-bpy5/ready.stamp .venv-bpy4/ready.stamp
	@"$(PYTHON)" tools/build_extension.py repository

# The checkout's own files as an enabled extension, in a user folder of its own; restart Blender to see a change.
dev-blender:
	@"$(PYTHON)" tools/build_extension.py link build/blender-user
	@BLENDER_USER_RESOURCES="$(CURDIR)/build/blender-user" PYTHONPATH="$(CURDIR)/build/blender-user/packages" \
		"$(BLENDER)" --python-use-system-env $(BLENDER_ARGS) \
		--python-expr "import addon_utils; addon_utils.enable('bl_ext.user_default.kmm', default_set=True)"

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
	@$(BIN)/python -m benchmarks.worker_threads -o docs/benchmarks/worker_threads.md
	@$(BIN)/python -m benchmarks.training -o docs/benchmarks/training.md

# docs/results.md, whole, from the bundles and the prepared clips. Hours on two cores; an ablation goes on where it stopped.
PREPARED ?= prepared
MEASURE = --folder $(PREPARED)
MASKS = --set data.prepared=$(PREPARED) --set train.generator.steps=600 --set train.generator.validate_every=600 \
	--name ablation_masks --title "Ablation of the masks, three times the steps"
# The baseline of full size: docs/decisions/0034.
EQUAL_BUDGET = --set data.prepared=$(PREPARED) --set tokenizer_run=starter-nc --set train.generator.steps=4500 \
	--set train.generator.batch_size=32 --set train.residual.steps=1 --set rows.seed=22 --set rows.shifted=true \
	--set rows.compositions=4000 --set masking.strategy=random --set generator.condition_dropout=0.05 \
	--set learning.residual_share=0.5
results: $(VENV)/develop.stamp
	@$(BIN)/kmm-train ablate ablation --run runs/ablation --tokenizer-from starter-nc \
		--clips 128 --set data.prepared=$(PREPARED)
	@$(BIN)/kmm-train ablate ablation --run runs/ablation-masks --tokenizer-from starter-nc $(MASKS) \
		--variants default,random-masks
	@$(BIN)/kmm-train ablate ablation --run runs/ablation-masks --tokenizer-from starter-nc $(MASKS) \
		--variants key-frame-30,random-30 --seeds 0
	@$(BIN)/kmm-train evaluate starter-nc $(MEASURE)
	@$(BIN)/kmm-train evaluate starter $(MEASURE)
	@$(BIN)/kmm-train decay starter-nc $(MEASURE) --count 96 --repetitions 4
	@$(BIN)/kmm-train decay starter $(MEASURE) --count 96 --repetitions 4 --name memory_decay_starter --title "Memory decay, starter"
	@$(BIN)/kmm-train run starter-nc --run runs/kmm-4500-steps $(EQUAL_BUDGET)
	@$(BIN)/kmm-train run starter-nc --run runs/transformer-4500-steps $(EQUAL_BUDGET) --set generator.trunk=transformer
	@$(BIN)/kmm-train evaluate runs/kmm-4500-steps --baseline runs/transformer-4500-steps $(MEASURE) --repetitions 1
	@$(BIN)/kmm-train decay runs/kmm-4500-steps --baseline runs/transformer-4500-steps $(MEASURE) --count 96 --repetitions 1 \
		--name memory_decay_equal-budget --title "Memory decay, trained from scratch at equal budget"
	@$(BIN)/python -m benchmarks.in_betweens --prepared $(PREPARED) -o docs/benchmarks/in_betweens.md
	@$(BIN)/python benchmarks/starter_report.py --prepared $(PREPARED)

pin: | $(BIN)/pip
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --extra train --extra dev --universal --python-version 3.10 \
		--no-header --no-annotate --upgrade -o requirements/constraints.txt

clean:
	rm -rf $(VENV) .venv-bpy5 .venv-bpy4 .venv-blender out build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache
