# Every target does its own set-up: a fresh machine needs Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/runtime  ## pack real speech, vocode it with HiFi-GAN on all cores, verify it, say where to listen
	@mkdir -p $(DEMO)
	@test -d $(DEMO)/mels.zarr || $(BIN)/melmill pack tests/data/prompts $(DEMO)/mels.zarr --mel hifigan-22k
	$(BIN)/melmill run configs/demo.yaml
	$(BIN)/melmill verify $(DEMO)/audio
	@echo 'Listen, for example, to:'; find $(DEMO)/audio/data -name '*.flac' | sort | awk 'NR % 5 == 1 { print "  " $$0 }'

test: $(VENV)/dev  ## run the tests (under ten minutes on two cores)
	$(BIN)/pytest

lint: $(VENV)/dev  ## ruff and strict mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev  ## measure packing, vocoding and a whole run on the prompts; prints times real time
	$(BIN)/python tests/benchmark.py

lock: $(VENV)/dev  ## resolve the dependencies anew into the hashed requirements files
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" --upgrade pyproject.toml --output-file requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" --extra dev --constraint requirements.txt pyproject.toml \
	  --output-file requirements-dev.txt

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(DEMO) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/runtime: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	touch $@
