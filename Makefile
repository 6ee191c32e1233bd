# What a developer runs. Each target installs what it needs and says so.
PORT ?= 3000
PYTHON := .venv/bin/python

.PHONY: help run test check package reset

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .local/ready  ## run the backend on this machine, on http://localhost:3000 (or PORT=...)
	@exec $(PYTHON) -m local run --port $(PORT)

test: check  ## run all tests, with a private MariaDB
	@$(PYTHON) -m local install
	$(PYTHON) -m pytest --numprocesses=auto --maxprocesses=4 --cov

check: .local/ready  ## check style and types
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

package: .local/ready  ## build what a deployment uploads, into .serverless
	@PATH="$(CURDIR)/.venv/bin:$$PATH" node node_modules/.bin/serverless package

reset:  ## forget the local database and its keys
	@test ! -x $(PYTHON) || $(PYTHON) -m local reset

.local/ready: requirements.txt requirements-dev.txt package-lock.json local/setup.sh
	@sh local/setup.sh
