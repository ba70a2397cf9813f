# The same verbs on a laptop and in CI. PYTHON is any Python 3.11 or 3.12; everything else is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup quickstart test lint types bench soak explore check protos lock clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "bookswarm needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $(STAMP)

quickstart: setup
	$(BIN)/bookswarm quickstart

test: setup
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/pyright

bench: setup
	$(BIN)/bookswarm bench engine
	$(BIN)/bookswarm bench env

soak: setup
	$(BIN)/bookswarm bench soak --messages 100000000 --out soak.json --resume

# The property tests on cases that no run has seen; `make test` repeats the same ones.
explore: setup
	BOOKSWARM_EXPLORE=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile tests/property tests/unit tests/contract

check: lint types test

protos: setup
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. --pyi_out=. protos/bridge/v1/bridge.proto
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. protos/journal/v1/journal.proto

lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-header --no-annotate -o requirements.lock

clean:
	rm -rf $(VENV) runs build *.egg-info
