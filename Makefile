# What a developer runs. Each target installs what it needs and says so.
PORT ?= 3000
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest --numprocesses=auto --maxprocesses=4
SERVERLESS := AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED=true node node_modules/.bin/serverless
TARGET = --stage "$(STAGE)" $(if $(REGION),--region "$(REGION)")

.PHONY: help bench run test test-deploy rehearse check package deploy rollback rotate-token-keys smoke reset setup

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 19

run: setup  ## run the backend on this machine, on http://localhost:3000 (or PORT=...)
	@exec $(PYTHON) -m local run --port $(PORT)

test: check  ## run all tests, with a private MariaDB
	@$(PYTHON) -m local install
	$(PYTEST) tests/unit tests/integration tests/stories --cov

test-deploy: setup  ## test what a deployment uploads: the template, and the package in a Lambda runtime
	@$(PYTHON) -m local install
	$(PYTEST) tests/deploy

rehearse: setup  ## rehearse a deployment on this machine: everything but AWS is real
	@$(PYTHON) -m deploy.rehearsal

check: setup  ## check style and types
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

package: setup  ## build what a deployment uploads, into .serverless
	@node node_modules/.bin/serverless package

bench: setup  ## measure what docs/performance.md says, with ACCOUNTS=... accounts (200000)
	@$(PYTHON) -m benchmarks $(if $(ACCOUNTS),--accounts "$(ACCOUNTS)")

rotate-token-keys: setup  ## give STAGE=... new token keys (REGION=..., TIDY=yes, EMERGENCY=yes: docs/rotation.md)
	@exec $(PYTHON) -m deploy.token_keys --stage "$(STAGE)" $(if $(REGION),--region "$(REGION)") \
		$(if $(TIDY),--tidy) $(if $(EMERGENCY),--emergency)

smoke: setup  ## try a deployment as a player would: make smoke URL=https://...
	@$(if $(URL),,$(error smoke: say where the deployment answers: make smoke URL=https://...))
	@$(PYTHON) -m deploy.smoke "$(URL)"

deploy rollback: STAGE ?= dev
deploy: setup  ## deploy to AWS, into STAGE=dev and REGION=us-east-1 unless you name others
	@$(SERVERLESS) deploy $(TARGET)

rollback: setup  ## let players reach the version of before again (or VERSION=n), at once
	@$(SERVERLESS) rollback-live $(TARGET) $(if $(VERSION),--to $(VERSION))

reset: setup  ## forget the local database and its keys
	@$(PYTHON) -m local reset

setup:
	@sh local/setup.sh
