# The verbs, the same for people and CI: setup, format, check, test, docs; and measure, for an idle machine.
# Inside an activated environment they use it; otherwise they use .venv, which `make setup` creates.

SYSTEM_PYTHON ?= python3
VENV := .venv
PYTHON ?= $(if $(VIRTUAL_ENV),python,$(if $(wildcard $(VENV)/bin/python),$(VENV)/bin/python,$(SYSTEM_PYTHON)))

.DEFAULT_GOAL := help
.PHONY: help setup format check test test-slow test-jax docs measure

help: ## List the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20

setup: ## Create .venv (or use the activated environment) and install lungzoo with its test tools
ifeq ($(VIRTUAL_ENV),)
	$(SYSTEM_PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -e ".[test]"
else
	python -m pip install -e ".[test]"
endif

format: ## Sort imports, apply safe fixes, format the code
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

check: ## Lint, format check, types, and whether the generated docs are current
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) docs/build.py --check

test: ## The tests that take seconds
	$(PYTHON) -m pytest -n 2

test-slow: ## The tests that take minutes
	$(PYTHON) -m pytest -m slow

test-jax: ## The contract tests on the JAX backend, which take minutes
	KERAS_BACKEND=jax $(PYTHON) -m pytest tests/encoders tests/decoders tests/losses tests/models/test_contract.py

docs: ## Write docs/reference.md, docs/models.md and the published tables from the code and what was measured
	$(PYTHON) docs/build.py

measure: ## Measure the models that docs/models.json lacks; takes a second to a minute each
	$(PYTHON) benchmarks/speed/zoo.py
