# Two commands do everything on a fresh machine: `make train` and `make test`.
#   make train ARCH=resnet18 ARGS="--epochs 3"

PYTHON ?= python3
ARCH ?= mobilenet
ARGS ?=
BIN := .venv/bin

.PHONY: train test quick test-torch test-every test-docs docs lint notebooks exercises clean

train: .venv/installed
	$(BIN)/python -m tfcnn.train --arch $(ARCH) $(ARGS)

test: .venv/installed-dev  # all but what test-torch, test-every and test-docs run
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not torch and not docs and not every"

quick: .venv/installed-dev  # what neither trains nor starts a process
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not torch and not docs"

test-torch: .venv/installed-torch  # against PyTorch and other libraries, which are large and not needed otherwise
	$(BIN)/python -m pytest -m torch

test-every: .venv/installed-dev  # every architecture: trained, resumed, evaluated, predicted, exported
	$(BIN)/python -m pytest -n 3 --dist worksteal -m every

test-docs: .venv/installed-dev  # the notebooks from top to bottom, the commands of the guides, the site
	$(BIN)/python -m pytest -n 2 --dist worksteal -m docs

docs: .venv/installed-docs  # the site, in site/
	$(BIN)/python -m docs.build

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

notebooks: .venv/installed-dev  # runs the notebooks and keeps their output in them
	$(BIN)/jupyter execute --inplace notebooks/*.ipynb

exercises: .venv/installed-dev  # the notebooks without answers, in notebooks/exercises; ARGS=--overwrite replaces them
	$(BIN)/python -m notebooks.exercises $(ARGS)

clean:
	rm -rf .venv

.venv/bin/python:
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("error: %s is Python %d.%d; tfcnn needs 3.11, 3.12 or 3.13: make PYTHON=python3.12 ..." % (sys.executable, *sys.version_info[:2]))'
	$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv/installed-docs: requirements-docs.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	@touch $@

.venv/installed-torch: requirements-torch.txt .venv/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-torch.txt
	rm -rf .venv/lib/python*/site-packages/tests  # tf-keras-vis puts its tests there, where they hide ours
	@touch $@
