# Every target sets up .venv first and does nothing twice.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-long lint clean

demo: .venv/installed
	$(BIN)/hypoxia-hpc demo

# The live cluster claims both cores of a small machine for itself, so its tests come after all others.
test: .venv/installed
	$(BIN)/pytest -n 2 --dist loadfile -m "not long and not cluster"
	$(BIN)/pytest -m "cluster and not long"

test-long: .venv/installed
	$(BIN)/pytest -n 2 --dist loadfile -m "not cluster"
	$(BIN)/pytest -m cluster

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: setup.py pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hypoxia_hpc needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info
