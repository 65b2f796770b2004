# make demo: install, then the whole road on a small scale (10 minutes after installing).
# make test: install, then all tests.
PYTHON ?= python3
export PYTHON

.PHONY: demo test install
install:
	@bash tools/install.sh

demo: install
	.venv/bin/python tools/demo.py

test: install
	.venv/bin/python -m pytest
