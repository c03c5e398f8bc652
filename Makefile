# Every target installs what it needs into .venv, from the lock files, each package checked against its hash.
# Written for GNU make 3.81, the one macOS ships.

PYTHON ?= python3
ARGS ?=
# Processes that run the tests; each starts a broker and a database of its own where there is none (0: this one alone).
TESTERS ?= 2

VENV := .venv
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
FUZZ := $(VENV)/.installed-fuzz
WHEEL := $(VENV)/.installed-wheel
DOCS := $(VENV)/.installed-docs
LAKE := $(VENV)/.installed-lake
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Not compiled ahead: that takes a third of the install, most of it for modules nobody imports.
INSTALL := $(PIP) install --quiet --no-input --no-compile

# Lock files of the same versions: a demo needs the smallest only, the image has the extras, and the tools come on top.
RUN_LOCK := requirements-run.lock
IMAGE_LOCK := requirements-image.lock
DEV_LOCK := requirements.lock
FUZZ_LOCK := requirements-fuzz.lock
WHEEL_LOCK := requirements-wheel.lock
DOCS_LOCK := requirements-docs.lock
LAKE_LOCK := requirements-lake.lock

# The tool that resolves the locks; only `make lock` needs it.
UV := uv>=0.9,<1
# `make lock` keeps the versions that still fit; `make lock UPGRADE=1` moves every one to its newest.
UPGRADE ?=

# The version is part of a stamp's name, so another PYTHON gets a new .venv rather than the old one's answer.
PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)
PYTHON_SUPPORTED := $(shell $(PYTHON) -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null)
CREATED := $(VENV)/.python-$(PYTHON_VERSION)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types engine engine-lint wheel bench campaign simulate chaos fuzz docs lake lock clean python

help: ## list the targets
	@echo 'make TARGET [PYTHON=python3.12] [ARGS="..."]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(RUN) ## build a small ledger from the sample data and ask it the five questions
	@$(BIN)/points demo $(ARGS)

test: $(DEV) ## run the tests (ARGS="-k lots -x" goes to pytest)
	@$(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile $(ARGS)

lint: $(DEV) ## check style (ARGS=--fix mends what can be mended)
	@$(BIN)/ruff check . $(ARGS)
	@$(BIN)/ruff format --check --quiet .

types: $(DEV) ## check types, strictly
	@$(BIN)/python -m mypy $(ARGS)

engine: $(DEV) ## build the native engine into .venv, where there is cargo (Rust 1.88 or newer)
	@command -v cargo >/dev/null || { echo 'cargo is not there; Rust builds the native engine. Python decides without it.' >&2; exit 1; }
	@cargo build --quiet --release --locked --manifest-path engine/Cargo.toml --features extension-module
	@into="$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/points_engine.abi3.so"; \
		cp engine/target/release/libpoints_engine.$$(test "$$(uname)" = Darwin && echo dylib || echo so) "$$into.new"; \
		mv "$$into.new" "$$into" # a process that runs keeps the one it has
	@$(BIN)/python -c 'import points_engine'

# Of the native engine: on Linux against glibc 2.17 of 2012, whatever libc this machine has.
MATURIN := $(BIN)/maturin build --quiet --release --locked --manifest-path engine/Cargo.toml --out dist
ifeq ($(shell uname),Linux)
MATURIN += --zig --compatibility manylinux_2_17
endif

wheel: $(WHEEL) ## build the wheels into dist/: ours, the client's, and the native engine's where there is cargo
	@rm -rf dist
	@$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . ./client
	@if command -v cargo >/dev/null; then PATH="$$PWD/$(BIN):$$PATH" $(MATURIN); \
		else echo 'cargo is not there: no wheel of the native engine was built' >&2; fi
	@ls dist

engine-lint: ## check the native engine's style, where there is cargo
	@cargo fmt --manifest-path engine/Cargo.toml --check
	@cargo clippy --quiet --release --locked --manifest-path engine/Cargo.toml --features extension-module -- -D warnings

bench: $(DEV) ## measure speed, and print each figure beside a peer's
	@$(BIN)/python -m benchmarks $(ARGS)

campaign: $(DEV) ## run the long tests that `make test` leaves out
	@$(BIN)/python -m pytest -m campaign --timeout 0 $(ARGS)

simulate: $(DEV) ## run seeds of the simulator (ARGS="--seed 7", "--seed 1 --minutes 5", "--planted")
	@$(BIN)/python -m tests.simulator $(if $(ARGS),$(ARGS),--seed 1 --minutes 1)

chaos: $(DEV) ## play chaos on real brokers, databases, consumers and servers (ARGS="--minutes 10 --seed 1")
	@$(BIN)/python -m tests.chaos $(ARGS)

fuzz: $(FUZZ) ## fuzz facts, rule books and HTTP with coverage (ARGS="--minutes 10")
	@$(BIN)/python -m tests.fuzz $(ARGS)

lake: $(LAKE) ## run the tests of archives in a lake: S3, Spark, Iceberg; needs Java 17, installs 1 GB (ARGS as for test)
	@$(BIN)/python -m pytest -m lake $(ARGS)

docs: $(DOCS) ## build the site of the documentation into build/site (ARGS="--serve" shows it, and follows changes)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs $(if $(filter --serve,$(ARGS)),serve,build --strict)

# Resolved for every platform and every Python we support, with the hash of every file of each version. Nothing of the
# place it was made in goes in: no index, no links, no configuration.
COMPILE = env -u UV_INDEX_URL -u UV_INDEX -u UV_FIND_LINKS UV_CUSTOM_COMPILE_COMMAND='make lock' \
	.venv-lock/bin/uv --no-config pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

lock: python ## resolve the dependencies again (UPGRADE=1 for the newest)
	@test -x .venv-lock/bin/python || $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip --disable-pip-version-check install --quiet '$(UV)'
	$(COMPILE) --group dev --output-file $(DEV_LOCK) pyproject.toml
	$(COMPILE) --group build --constraints $(DEV_LOCK) --output-file $(RUN_LOCK) pyproject.toml
	$(COMPILE) --group build --extra fast --extra oidc --extra postgres --extra s3 --constraints $(DEV_LOCK) --output-file $(IMAGE_LOCK) pyproject.toml
	$(COMPILE) --group fuzz --output-file $(FUZZ_LOCK)
	$(COMPILE) --group wheel --output-file $(WHEEL_LOCK)
	$(COMPILE) --group lake --constraints $(DEV_LOCK) --output-file $(LAKE_LOCK)
	$(COMPILE) --group docs --constraints $(DEV_LOCK) --output-file $(DOCS_LOCK)

clean: ## remove environments, caches and builds (a ledger's data stays)
	rm -rf $(VENV) .venv-lock build dist engine/target .fuzz .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
ifeq ($(PYTHON_VERSION),)
	@echo "'$(PYTHON)' does not run; Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1
else ifneq ($(PYTHON_SUPPORTED),True)
	@echo "'$(PYTHON)' is Python $(PYTHON_VERSION); 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1
endif

$(CREATED): | python
	@echo 'making $(VENV) with Python $(PYTHON_VERSION)'
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(RUN): $(CREATED) $(RUN_LOCK) pyproject.toml
	@echo 'installing $(RUN_LOCK)'
	@$(INSTALL) --require-hashes -r $(RUN_LOCK)
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@$(PIP) check >/dev/null || { $(PIP) check; echo 'the lock does not fit pyproject.toml: run make lock' >&2; exit 1; }
	@touch $@

$(DEV): $(RUN) $(DEV_LOCK)
	@echo 'installing $(DEV_LOCK)'
	@$(INSTALL) --require-hashes -r $(DEV_LOCK)
	@touch $@

$(FUZZ): $(DEV) $(FUZZ_LOCK)
	@echo 'installing $(FUZZ_LOCK)'
	@$(INSTALL) --require-hashes -r $(FUZZ_LOCK)
	@touch $@

$(LAKE): $(DEV) $(LAKE_LOCK)
	@echo 'installing $(LAKE_LOCK)'
	@$(INSTALL) --require-hashes -r $(LAKE_LOCK)
	@touch $@

$(WHEEL): $(RUN) $(WHEEL_LOCK)
	@echo 'installing $(WHEEL_LOCK)'
	@$(INSTALL) --require-hashes -r $(WHEEL_LOCK)
	@touch $@

$(DOCS): $(RUN) $(DOCS_LOCK)
	@echo 'installing $(DOCS_LOCK)'
	@$(INSTALL) --require-hashes -r $(DOCS_LOCK)
	@touch $@
