# `make demo` shows the main job, `make test` runs every test; both set up what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LEAN := $(VENV)/lean

.PHONY: help demo test check bench format clean

help: ## say what the targets do
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(READY) ## build a web application for two platforms, push it, change it, and run it
	$(BIN)/python examples/demo/demo.py

test: $(READY) ## run every test; those whose real component is absent say so and skip
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

check: $(READY) ## format, lint, strict types, import floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(LEAN)/.ready: pyproject.toml
	$(PYTHON) -m venv $(LEAN)
	$(LEAN)/bin/python -m pip install --quiet --upgrade pip
	$(LEAN)/bin/python -m pip install --quiet --editable '.[deb]'
	touch $@

bench: $(READY) $(LEAN)/.ready ## run in turn with apko on realistic packages, and print the table (needs apko, ../shared and apt)
	LEAN_IMAGIST=$(LEAN)/bin/imagist $(BIN)/python -m benchmarks $(BENCH)

format: $(READY) ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what the other targets made
	rm -rf $(VENV) .work .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
