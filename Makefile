# Two commands on a fresh machine: `make audit` and `make test`. Both install what they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: audit test test-slow lint bench models install install-dev clean

audit: install
	$(BIN)/bias-audit run

test: install-dev lint
	$(BIN)/python -m pytest -q -m "not slow"

test-slow: install-dev
	$(BIN)/python -m pytest -q

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Renders, trains, measures and publishes the embedded models. ASSETS is the folder of CC0 meshes
# that models/portraits/render/README.md names; every step goes on where it was stopped.
ASSETS ?= assets
WORK ?= .bias-audit/portraits
DEVICE ?= cpu
REDRAWN = "held-out renders as the embedded unconditional model redraws them from halfway into the \
noise, evenly over gender, age class and race"
ASKED = "portraits that the embedded text-to-image model drew of people whom the prompt names, evenly \
over gender, age class and race; each label one that the probe portraits sees as well"
models: install-dev
	$(BIN)/python -m pip install --quiet --editable '.[portraits]'
	$(BIN)/python -m models.portraits.render $(ASSETS) $(WORK)/train --images 12000 --seed 1
	$(BIN)/python -m models.portraits.render $(ASSETS) $(WORK)/held-out --images 4000 --seed 2
	$(BIN)/python -m models.portraits.render $(ASSETS) $(WORK)/planted --images 2000 --seed 3 --population unconditional
	$(BIN)/python -m models.portraits.train $(WORK)/train $(WORK)/models --device $(DEVICE)
	$(BIN)/python -m models.portraits.reference $(WORK)/held-out $(WORK)/planted
	$(BIN)/bias-audit calibrate portraits --data models/portraits/reference/redrawn.parquet \
		--out probes/cards/portraits.json --licence CC0-1.0 --describe $(REDRAWN)
	$(BIN)/bias-audit calibrate dlib --data models/portraits/reference/asked.parquet \
		--out probes/cards/dlib.json --licence CC0-1.0 --describe $(ASKED)
	$(BIN)/python -m models.portraits.evaluate $(WORK)/held-out $(WORK)/train

bench: install-dev
	for bench in benches/*.py; do $(BIN)/python $$bench; done

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@rm -rf *.egg-info # would hide newer entry points from whoever runs in this folder
	@touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@rm -rf *.egg-info
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build *.egg-info
