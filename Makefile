# Everything a newcomer needs: `make demo` and `make test`. No root, no Docker. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

help: ## List these commands.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(VENV)/demo-installed ## Start Accredit and an example CRM, and watch an agent use it. KEEP=1 leaves it running.
	@$(BIN)/accredit demo $(if $(KEEP),--keep)

test: check unit ## Run everything: lint, types, import rules, tests.

check: $(VENV)/test-installed ## Lint, formatting, types, import rules, dead code.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

unit: $(VENV)/test-installed build/chromium-installed build/node-installed ## The tests alone. ARGS="tests/audit -k proof" chooses some.
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)

format: $(VENV)/test-installed ## Put the code in its form.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(VENV)/uv-installed ## Resolve the dependencies anew into locks/.
	$(BIN)/uv pip compile -q --upgrade pyproject.toml --group demo $(LOCK) -o locks/demo.txt
	$(BIN)/uv pip compile -q --upgrade pyproject.toml --group test $(LOCK) -o locks/test.txt
LOCK := --generate-hashes --universal --python-version 3.11 --custom-compile-command "make lock" --exclude-newer "1 week"

clean: ## Remove what was built and installed here; accredit-data stays.
	rm -rf $(VENV) build

$(VENV)/uv-installed: locks/uv.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and was not found."; exit 2; }
	@"$(PYTHON)" -m venv $(VENV) || { echo "Python's venv module is needed (on Debian: python3-venv)."; exit 2; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r locks/uv.txt
	@touch $@

# One environment: what the tests need includes what the demo needs, so the demo never takes anything away.
$(VENV)/demo-installed: $(VENV)/uv-installed locks/demo.txt pyproject.toml
	@echo "Installing what the demo needs into $(VENV) …"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --require-hashes -r locks/demo.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/test-installed: $(VENV)/demo-installed locks/test.txt
	@echo "Installing what the tests need into $(VENV) …"
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --require-hashes -r locks/test.txt
	@touch $@

build/chromium-installed: $(VENV)/test-installed tests/npm/package-lock.json
	@mkdir -p build
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/install-chromium
	@touch $@

build/node-installed: $(VENV)/test-installed tests/node/package-lock.json
	@mkdir -p build
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/install-node-peers
	@touch $@

.PHONY: help demo test check unit format lock clean
