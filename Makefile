# The commands of this project; 'make help' lists them.

VENV    ?= .venv
PYTHON  ?= $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
             $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
DATASET ?= plein_air
NOISES  ?= uniform,normal,gamma
PRESET  ?= quick
ARGS    ?=

# Through the environment, so that a path may hold any character.
export VENV PYTHON DATASET NOISES PRESET

.DEFAULT_GOAL := help
.PHONY: help setup report benchmark test lab lint

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile
	@echo
	@echo 'variables, with their present values:'
	@echo "  VENV=$$VENV  PYTHON=$$PYTHON"
	@echo "  DATASET=$$DATASET  NOISES=$$NOISES  PRESET=$$PRESET"
	@echo '  ARGS: further options, such as -p epochs 100 or --skip capacity'
	@echo 'for example:'
	@echo '  make report DATASET=~/pictures NOISES="normal,N(1, 1)" ARGS="-p epochs 100 -p seed 1"'

setup:  ## make the virtual environment, if it is missing or out of date
	@stamp="$$VENV/.installed-from"; \
	if [ "$$(cat "$$stamp" 2>/dev/null)" = "$$PWD" ] && [ ! pyproject.toml -nt "$$stamp" ]; then exit 0; fi; \
	set -e; \
	if [ -z "$$PYTHON" ]; then echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python ...' >&2; exit 1; fi; \
	echo "Installing into $$VENV; the first time this takes minutes."; \
	"$$VENV/bin/python" -m pip --version >/dev/null 2>&1 || "$$PYTHON" -m venv --clear "$$VENV"; \
	"$$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[dev]'; \
	echo "$$PWD" > "$$stamp"

report: setup  ## explore, train once per prior, compare, write the HTML report
	@"$$VENV/bin/python" -m dcgan_utils report --dataset "$$DATASET" --noises "$$NOISES" --preset "$$PRESET" $(ARGS)

benchmark: setup  ## measure the speed against a textbook's loop; ten minutes on an idle machine
	@"$$VENV/bin/python" -m dcgan_utils benchmark -p dataset "$$DATASET" $(ARGS)

# Bytecode is kept whatever the environment says: each of many processes would compile anew.
test: setup  ## run the tests
	@PYTHONDONTWRITEBYTECODE= "$$VENV/bin/python" -m pytest $(ARGS)

lab: setup  ## open JupyterLab with the notebooks
	@"$$VENV/bin/python" -m jupyterlab notebooks $(ARGS)

lint: setup  ## check the style of code and notebooks
	@"$$VENV/bin/python" -m ruff check .
	@"$$VENV/bin/python" -m ruff format --check .
