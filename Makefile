# What a developer runs. Each target installs what it needs and says so.
PORT ?= 3000
GAME_PORT ?= 8765
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest --numprocesses=auto --maxprocesses=4

.PHONY: help run run-game test test-deploy check package reset setup

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: setup  ## run the backend on this machine, on http://localhost:3000 (or PORT=...)
	@exec $(PYTHON) -m local run --port $(PORT)

run-game: setup  ## the same, with the example game server on ws://localhost:8765 (or GAME_PORT=...)
	@exec $(PYTHON) -m local run --port $(PORT) --game-port $(GAME_PORT)

test: check  ## run all tests, with a private MariaDB
	@$(PYTHON) -m local install
	$(PYTEST) tests/unit tests/integration tests/stories tests/examples --cov

test-deploy: setup  ## test what a deployment uploads: the template, and the package in a Lambda runtime
	@$(PYTHON) -m local install
	$(PYTEST) tests/deploy

check: setup  ## check style and types
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

package: setup  ## build what a deployment uploads, into .serverless
	@node node_modules/.bin/serverless package

reset: setup  ## forget the local database and its keys
	@$(PYTHON) -m local reset

setup:
	@sh local/setup.sh
