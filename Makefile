# make demo:      install, then everything on a small scale (12 minutes after installing).
# make test:      install, then lint and all tests (about 15 minutes on 2 cores).
# make test-fast: install, then the tests that train nothing and start no processes (2 minutes).
# make lint:      install, then format, lint, spelling and types.
# make docs:      install, then these pages as a site in docs/_build/html.
PYTHON ?= python3
export PYTHON
# One thread per process: two that share cores wait for each other at every barrier.
PYTEST = OMP_NUM_THREADS=1 .venv/bin/python -m pytest --numprocesses 2 --dist worksteal

SITE = docs/_build/html

.PHONY: install demo lint docs test-fast test
install:
	@bash tools/install.sh

demo: install
	.venv/bin/python tools/demo.py

lint: install
	.venv/bin/ruff format --check --diff .
	.venv/bin/ruff check .
	.venv/bin/codespell
	.venv/bin/mypy

docs: install
	.venv/bin/python -m sphinx -q -W --keep-going -b html docs $(SITE)
	@echo 'written to $(SITE)/index.html'

test-fast: install
	$(PYTEST) -m "not slow"

test: lint
	$(PYTEST)
