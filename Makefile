# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 45678

.PHONY: run setup setup-dev test lint format bench eval eval-sparse notebooks wheel reference lock clean

run: setup  ## index the toy data and serve it on http://localhost:45678
	@$(BIN)/python app.py -t index
	@exec $(BIN)/python app.py -t query_restful --port $(PORT)

setup: $(VENV)/.installed  ## the environment the program needs

setup-dev: $(VENV)/.installed-dev  ## and what the tests need

$(VENV)/.installed: requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is needed (other versions have no working set of pins): install it, or name it with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "error: Python 3.11 is needed, $(PYTHON) is $$($(PYTHON) -V)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "error: the venv module is missing: apt-get install python3.11-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import shutil, sys; sys.exit(shutil.disk_usage(".").free < 6e9)' || { echo "error: less than 6 GB free on this disk; the packages need that" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the packages (once, a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt requirements-scale.txt requirements-mcp.txt requirements-ocr.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

test: setup-dev  ## the whole suite, a file at a time on each of up to four cores
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder

lint: setup-dev  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup-dev  ## what ruff can put right
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup  ## the benchmarks that need no data of yours
	@$(BIN)/python benchmarks/start_up.py
	@$(BIN)/python benchmarks/query_latency.py

eval: setup  ## recall and skills of the bundled model on 1,000 held-out scenes
	@$(BIN)/python app.py -t evaluate -d scenes

eval-sparse: setup  ## sparse embeddings beside the dense ones they stand on, on 1,000 held-out scenes
	@$(BIN)/python benchmarks/eval_sparse.py --pool workspace/training/pool

wheel: setup-dev  ## the program as one wheel, in dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation -w dist .
	@rm -rf build *.egg-info

notebooks: setup-dev  ## run the notebooks and write their outputs
	@$(BIN)/jupyter-execute --inplace notebooks/*.ipynb

reference: setup  ## docs/cli.md from the commands and docs/http-api.md from the service
	@$(BIN)/python -m cli.reference > docs/cli.md
	@$(BIN)/python -m serving.http.reference > docs/http-api.md

lock: setup-dev  ## requirements.txt anew from requirements.in
	@rm -rf .lock && $(PYTHON) -m venv .lock && .lock/bin/pip install --quiet -r requirements.in
	@{ echo "# The full lock of requirements.in, made by: make lock"; .lock/bin/pip freeze --all | grep -viE '^(pip|wheel)==' | sed 's/+cpu//'; } > requirements.txt
	@rm -rf .lock

clean:  ## what was built and indexed; not the data
	@rm -rf $(VENV) workspace/*/ .pytest_cache .mypy_cache .ruff_cache
