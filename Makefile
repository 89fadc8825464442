# What you need: Python 3.11 or newer and make. Everything else goes into .venv.

PYTHON ?= python3
BIN := .venv/bin
# Two for each core: many tests wait, for a timeout or another process.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')

# What is compiled is kept: the tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test soak lint types bench clean

run: .venv/installed ## start the proxy on 127.0.0.1:8080
	@if $(BIN)/python -m proxy.config.at_hand; then \
		exec $(BIN)/groq-proxy serve; \
	else \
		echo ">>> No provider key found (GROQ_API_KEY in the environment or in .env)." >&2; \
		echo ">>> Starting the DEMO: answers come from a simulator, not from Groq." >&2; \
		exec $(BIN)/groq-proxy serve --demo; \
	fi

test: .venv/installed-dev ## run the tests, but the long ones
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not long"

soak: .venv/installed-dev ## the long ones: 10,000 streams, 720 simulated histories, all properties; minutes
	SOAK=1 $(BIN)/pytest tests/soak
	SOAK=1 $(BIN)/pytest -n $(JOBS) -m long
	SOAK=1 $(BIN)/pytest -n $(JOBS) tests/stories/test_cache_model.py tests/stores/test_ledger_machine.py \
		tests/cache/test_flights_machine.py tests/server/test_rudeness.py \
		tests/stories/test_agreement.py tests/stories/test_moving_models.py
	SOAK=1 $(BIN)/pytest -n $(JOBS) -m hypothesis

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/installed-dev
	$(BIN)/mypy --strict proxy

bench: .venv/installed-dev ## measure against a bare proxy; several minutes
	$(BIN)/python -m tests.benchmarks.run

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ .venv/installed

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
