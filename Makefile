# Every target works in a fresh clone with Python 3.11, make and a package registry.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test check format docs clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,offline,test]'
	touch $@

demo: install
	$(BIN)/errata demo

test: install
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install
	$(BIN)/python tests/reference_pages.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
