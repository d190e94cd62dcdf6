# Two commands: `make run` and `make test`. The rest is for people who change the house.
PY   ?= python3
VENV := .venv
BIN  := $(VENV)/bin

.PHONY: run test check lint format openapi vendor clean

$(VENV)/.stamp: requirements.lock pyproject.toml
	$(PY) -m venv --clear $(VENV)
	if command -v uv >/dev/null 2>&1; then \
	  uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock \
	  || $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock; \
	else $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock; fi
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

run: $(VENV)/.stamp
	@$(BIN)/relay dev

test: $(VENV)/.stamp
	@$(BIN)/python -m pytest -n auto --dist loadfile

check: $(VENV)/.stamp lint test

lint: $(VENV)/.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

openapi: $(VENV)/.stamp
	$(BIN)/relay openapi

vendor: $(VENV)/.stamp
	$(BIN)/python scripts/vendor.py

clean:
	rm -rf $(VENV) .relay .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
