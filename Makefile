# Everything that one types here; 'make help' lists it.

VENV    ?= .venv
PYTHON  ?= $(firstword $(shell command -v python3 python3.11 python))
DATASET ?= plein_air
NOISES  ?= uniform,normal,gamma
PRESET  ?= quick
ARGS    ?=

bin = $(VENV)/bin
stamp = $(VENV)/.installed-from

.DEFAULT_GOAL := help
.PHONY: help setup report test lab lint

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@echo
	@echo 'variables, with what they are now:'
	@echo '  VENV=$(VENV)  PYTHON=$(PYTHON)'
	@echo '  DATASET=$(DATASET)  NOISES=$(NOISES)  PRESET=$(PRESET)  ARGS=$(ARGS)'
	@echo 'for example:'
	@echo '  make report DATASET=~/pictures NOISES="normal,N(1, 1)" ARGS="-p epochs 100 -p seed 1"'

setup:  ## make the virtual environment, if it is missing or out of date
	@if [ "$$(cat "$(stamp)" 2>/dev/null)" != "$$PWD" ] || [ pyproject.toml -nt "$(stamp)" ]; then \
	    set -e; \
	    echo 'Installing into $(VENV); the first time this takes minutes.'; \
	    "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'; \
	    [ -x "$(bin)/python" ] || "$(PYTHON)" -m venv "$(VENV)"; \
	    "$(bin)/python" -m pip install --quiet --disable-pip-version-check -e '.[dev]'; \
	    echo "$$PWD" > "$(stamp)"; \
	fi

report: setup  ## train once a noise, compare, write the HTML report
	@"$(bin)/python" -m dcgan_utils report --dataset '$(DATASET)' --noises '$(NOISES)' --preset '$(PRESET)' $(ARGS)

test: setup  ## run the tests
	@"$(bin)/python" -m pytest $(ARGS)

lab: setup  ## open JupyterLab with the notebooks
	@"$(bin)/python" -m jupyterlab notebooks

lint: setup  ## check the style of code and notebooks
	@"$(bin)/python" -m ruff check .
	@"$(bin)/python" -m ruff format --check .
