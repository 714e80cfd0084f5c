# The commands of this project; 'make help' lists them.

VENV    ?= .venv
PYTHON  ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
             $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
DATASET ?= plein_air
NOISES  ?= uniform,normal,gamma
PRESET  ?= quick
TORCH   ?=
ARGS    ?=

# Through the environment, so that a path may hold any character.
export VENV PYTHON DATASET NOISES PRESET TORCH

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev report benchmark test lab site lint

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile
	@echo
	@echo 'variables, with their present values:'
	@echo "  VENV=$$VENV  PYTHON=$$PYTHON"
	@echo "  DATASET=$$DATASET  NOISES=$$NOISES  PRESET=$$PRESET"
	@echo '  TORCH=cpu: when VENV is made, install PyTorch without its 5 GB for GPUs'
	@echo '  ARGS: further options, such as -p epochs 100 or --also capacity'
	@echo 'for example:'
	@echo '  make report DATASET=~/pictures NOISES="normal,N(1, 1)" ARGS="-p epochs 100 -p seed 1"'

# Install one of the package's extras, and note which; dev includes commands.
define install
	@stamp="$$VENV/.installed"; \
	for there in '$(1)' dev; do \
	  if [ "$$(cat "$$stamp" 2>/dev/null)" = "$$there from $$PWD" ] && [ ! pyproject.toml -nt "$$stamp" ]; then exit 0; fi; \
	done; \
	set -e; \
	if [ -z "$$PYTHON" ]; then echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python ...' >&2; exit 1; fi; \
	case "$$TORCH" in ''|cpu) ;; *) echo "TORCH may be cpu, or nothing, not '$$TORCH'." >&2; exit 1;; esac; \
	echo "Installing into $$VENV; the first time this takes minutes and up to 7 GB, with TORCH=cpu 2 GB."; \
	"$$VENV/bin/python" -m pip --version >/dev/null 2>&1 || "$$PYTHON" -m venv --clear "$$VENV"; \
	pip() { "$$VENV/bin/python" -m pip install --disable-pip-version-check "$$@"; }; \
	if [ -n "$$TORCH" ]; then pip torch torchvision --index-url https://download.pytorch.org/whl/cpu; fi; \
	pip -e '.[$(1)]'; \
	echo '$(1)'" from $$PWD" > "$$stamp"
endef

setup:  ## make the virtual environment, if it is missing or out of date
	$(call install,commands)

setup-dev:
	$(call install,dev)

report: setup  ## explore, train once per prior, compare, write the HTML report
	@"$$VENV/bin/python" -m dcgan_utils report --dataset "$$DATASET" --noises "$$NOISES" --preset "$$PRESET" $(ARGS)

benchmark: setup  ## measure the speed against a textbook's loop; ten minutes on an idle machine
	@"$$VENV/bin/python" -m dcgan_utils benchmark -p dataset "$$DATASET" $(ARGS)

# Bytecode is kept whatever the environment says: each of many processes would compile anew.
test: setup-dev  ## run the tests
	@PYTHONDONTWRITEBYTECODE= "$$VENV/bin/python" -m pytest $(ARGS)

lab: setup  ## open JupyterLab with copies of the notebooks, at start.ipynb
	@"$$VENV/bin/python" -m dcgan_utils lab $(ARGS)

# Without DATASET: pdoc hides defaults that stand in the environment, lest they be secrets.
site: setup  ## build the site in site/, with a report of plein_air if there is none
	@"$$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@test -e reports/plein_air/index.html || DCGAN_HOME=. "$$VENV/bin/python" -m dcgan_utils report
	@env -u DATASET "$$VENV/bin/python" docs/build.py

lint: setup-dev  ## check the style of code and notebooks
	@"$$VENV/bin/python" -m ruff check .
	@"$$VENV/bin/python" -m ruff format --check .
