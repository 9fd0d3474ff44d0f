# Everything starts here: `make sweep` runs the main job, `make test` the tests. The first call sets up .venv, later ones do not.
# The newest Python that the lock is for, unless PYTHON names one. A name alone says little: pyenv has one for each of its
# Pythons, whether or not it starts, and Debian's come without `ensurepip` where python3-venv is not installed.
SUITABLE := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3; do $$each -c '$(SUITABLE)' 2>/dev/null && echo $$each && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The machine's certificates serve uv too, which matters behind a company's proxy.
export UV_SYSTEM_CERTS := 1
# A TensorFlow without compiled bytecode takes 13 s to import instead of 5.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup sweep test test-fast lint docs lock clean

help:  ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'Overrides go through ARGS:  make sweep ARGS="model=mlp search_space=mlp hydra.sweeper.n_trials=4"'

sweep: $(READY)  ## Run the sweep of conf/config.yaml; ARGS="..." passes Hydra overrides
	@$(BIN)/python -m hposweep --multirun $(ARGS)

test: $(READY)  ## Run the tests; ARGS="..." passes pytest arguments
	@$(BIN)/python -m pytest $(ARGS)

test-fast: $(READY)  ## Run the tests that start no process and import no TensorFlow: less than a minute
	@$(BIN)/python -m pytest -m "not process" $(ARGS)

lint: $(READY)  ## Check style, format, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Dead links between pages, and missing pictures, are errors. Links to other sites need a network: ARGS="-b linkcheck".
docs: $(READY)  ## Build the documentation into docs/_build/html; ARGS="..." passes Sphinx arguments
	@$(BIN)/python docs/make_config_reference.py
	@$(BIN)/python -m sphinx -q -W --keep-going -n -d docs/_build/doctrees $(ARGS) docs docs/_build/$(if $(ARGS),other,html)

setup: $(READY)  ## Create .venv with everything in requirements/lock.txt

$(READY): requirements/lock.txt requirements/uv.txt pyproject.toml
	@$(or $(PYTHON),false) -c '$(SUITABLE)' 2>/dev/null || { echo "make: $(or $(PYTHON),there) is no Python 3.11, 3.12 or 3.13 with venv; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.13"; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON) (once; about 3 GB on disk)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/lock.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true
	@touch $@

# One lock for all Pythons and systems. Hashes, but no registry's name: it installs from wherever packages come from here.
UV_LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock: $(READY)  ## Resolve the newest versions that pyproject.toml allows into requirements/
	@$(BIN)/$(UV_LOCK) --upgrade pyproject.toml --extra keras --extra d2l --extra notebook --extra dashboard --extra optuna --extra tensorboard --extra cmaes --extra parquet --extra ray --extra dask --extra slurm --group dev --output-file requirements/lock.txt
	@$(BIN)/$(UV_LOCK) --constraints requirements/lock.txt requirements/uv.in --output-file requirements/uv.txt

clean:  ## Remove .venv and caches; outputs/ stays
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache docs/_build
