# The developer's commands. Each target installs its dependencies and reports it.
PORT ?= 3000
GAME_PORT ?= 8765
FUZZ_INPUTS ?= 100000
PYTHON := .venv/bin/python
# A worker that has run out of tests takes some of another's.
SPREAD := --numprocesses=auto --maxprocesses=4 --dist=worksteal
PYTEST := $(PYTHON) -m pytest $(SPREAD)
ON_MYSQL := $(addprefix tests/integration/,contract/test_contract.py contract/test_contract_bodies.py \
	contract/test_contract_tokens.py database/test_database.py database/test_database_access.py \
	database/test_database_failures.py database/test_lost_answers.py game_servers/test_cursors.py \
	game_servers/test_feed.py game_servers/test_feed_writers.py game_servers/test_redeeming.py \
	game_servers/test_redeeming_at_once.py game_servers/test_server_keys.py jobs/test_preparation.py \
	jobs/test_migrations.py operators/test_at_once.py operators/test_commands.py operators/test_once.py \
	operators/test_pages.py operators/test_server_keys.py recovery/test_crowds.py \
	recovery/test_lost_recoveries.py sessions/test_concurrency.py sessions/test_session_limit.py)
# Settings of the shell that would change Python, pip, Node and npm are unset, except those that they need to
# reach their registries.
KEPT := PYTHON3 $(addprefix PIP_,INDEX_URL EXTRA_INDEX_URL NO_INDEX FIND_LINKS TRUSTED_HOST CERT CLIENT_CERT \
	PROXY CACHE_DIR NO_CACHE_DIR CONFIG_FILE KEYRING_PROVIDER TIMEOUT DEFAULT_TIMEOUT RETRIES) \
	NODE_AUTH_TOKEN NODE_EXTRA_CA_CERTS NODE_USE_SYSTEM_CA NODE_USE_ENV_PROXY NODE_OPTIONS \
	$(foreach npm,npm_config_ NPM_CONFIG_,$(addprefix $(npm),//% @% registry REGISTRY proxy PROXY https_proxy \
	HTTPS_PROXY noproxy NOPROXY ca CA cafile CAFILE cert CERT key KEY strict_ssl STRICT_SSL cache CACHE \
	userconfig USERCONFIG globalconfig GLOBALCONFIG prefer_offline PREFER_OFFLINE offline OFFLINE))
STRAY := CDPATH PYTHON% PIP_% NODE_% npm_config_% NPM_CONFIG_%
$(foreach name,$(filter-out $(KEPT),$(filter $(STRAY),$(.VARIABLES))),$(eval unexport $(name)))
NODE_OPTIONS := $(filter --use-%-ca,$(NODE_OPTIONS))
# If HOME is read-only, npm and serverless keep their files here.
ifneq ($(shell [ -d "$$HOME" ] && [ -w "$$HOME" ] && echo yes),yes)
export npm_config_cache := $(CURDIR)/.local/npm
endif
export SLS_SCHEMA_CACHE_BASE_DIR := $(CURDIR)/.local
LOCK := $(PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-strip-extras --custom-compile-command "make lock"
SERVERLESS := AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED=true node node_modules/.bin/serverless
# The region of `aws configure`, unless REGION or the environment sets another.
REGION ?= $(or $(AWS_REGION),$(AWS_DEFAULT_REGION),$(shell aws configure get region 2>/dev/null))
TARGET = --stage "$(STAGE)" $(if $(REGION),--region "$(REGION)")

.PHONY: help setup run run-game reset lock check test long test-search test-deploy test-faults test-godot test-mysql fuzz \
	bench openapi package rehearse deploy rollback clean-up operate smoke rotate-token-keys

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 19

run: setup  ## run the backend on this machine, on http://127.0.0.1:3000 (or PORT=...)
	@exec $(PYTHON) -m local run "--port=$(PORT)"

run-game: setup  ## run the backend and the example game server, on ws://127.0.0.1:8765 (or GAME_PORT=...)
	@exec $(PYTHON) -m local run "--port=$(PORT)" "--game-port=$(GAME_PORT)"

test: check  ## run the backend's tests on a private MariaDB (DATABASE=mysql: on MySQL, with the faults)
	@$(PYTHON) -m local install
	@$(PYTHON) -m tests.game_server.javascript
	$(PYTEST) -m "not search and not long" tests/unit tests/integration tests/stories tests/game_server --cov
	$(if $(filter-out mariadb,$(DATABASE)),@$(MAKE) --no-print-directory test-faults)

long: setup  ## run the slow tests: setup from nothing or under one bad setting, a large clean-up
	@$(PYTHON) -m local install
	$(PYTEST) -m long tests/stories tests/integration

test-search: setup  ## compare the API with its description and a model, send hostile events, generate clients
	@$(PYTHON) -m local install
	@$(PYTHON) -m tests.openapi_tools.npm_tools
	$(PYTEST) -m search tests/integration tests/openapi_tools

test-deploy: setup  ## test a deployment's files: the template, and the package in a Lambda runtime
	@$(PYTHON) -m local install
	@$(PYTHON) -m deploy.python
	$(PYTEST) tests/deploy

test-mysql: setup  ## run the database tests on MySQL too (or DATABASE=mariadb-11.8)
	@$(PYTHON) -m tests.play.on_engine $(or $(DATABASE),mysql) $(SPREAD) $(ON_MYSQL)

rehearse: setup  ## rehearse a deployment on this machine, with a stand-in for AWS
	@$(PYTHON) -m deploy.python
	@$(PYTHON) -m tests.rehearsal

test-faults: setup  ## break the database, the network, the secrets and the clock under load
	@$(PYTHON) -m local install
	$(PYTHON) -m pytest --numprocesses=2 --dist=worksteal tests/faults

test-godot: setup  ## test the Godot addon in the real engine, which is fetched if missing
	@$(PYTHON) -m local install
	@$(PYTHON) -m tests.godot.engine
	$(PYTEST) --maxprocesses=2 tests/godot

fuzz: setup  ## send 100 000 hostile events to the handler (FUZZ_INPUTS=...)
	@$(PYTHON) -m local install
	FUZZ_INPUTS=$(FUZZ_INPUTS) $(PYTEST) tests/integration/hostile/test_hostile_events.py

check: setup  ## check style and types
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

package: setup  ## build the deployment's package, into .serverless
	@node node_modules/.bin/serverless package

bench: setup  ## measure the figures of docs/promises/performance.md, with ACCOUNTS=... accounts (200000)
	@$(PYTHON) -m tests.benchmarks $(if $(ACCOUNTS),--accounts "$(ACCOUNTS)")

rotate-token-keys: setup  ## give STAGE=... new token keys (KIND=..., REGION=..., TIDY=yes, EMERGENCY=yes: docs/run/rotation.md)
	@exec $(PYTHON) -m operate.token_keys --stage "$(STAGE)" $(if $(REGION),--region "$(REGION)") \
		$(if $(KIND),--kind "$(KIND)") $(if $(TIDY),--tidy) $(if $(EMERGENCY),--emergency)

operate: setup  ## help a player: make operate ARGS="players show Ada --stage prod" (docs/run/support.md)
	@$(PYTHON) -m operate $(ARGS)

smoke: setup  ## test a deployment as a player would: make smoke URL=https://...
	@$(if $(URL),,$(error smoke: URL is missing: make smoke URL=https://...))
	@$(PYTHON) -m operate.smoke "$(URL)"

deploy rollback clean-up: STAGE ?= dev
deploy: setup  ## deploy to AWS, into STAGE=dev and the region of `aws configure` (or REGION=...)
	@$(SERVERLESS) deploy $(TARGET)

rollback: setup  ## roll back to the previous version (or VERSION=n), at once
	@$(SERVERLESS) rollback-live $(TARGET) $(if $(VERSION),--to $(VERSION))

openapi: setup  ## write docs/contract/openapi.json from the route table
	@$(PYTHON) -m local.openapi

lock: setup  ## pin the packages of requirements*.in and package.json, with the hash of every file
	@for list in requirements requirements-dev deploy/argon2-build clients/game_server/requirements; do \
		$(LOCK) $$list.in --output-file $$list.txt || exit; done
	@for folder in . tests/openapi_tools clients/game_server/js; do \
		npm install --prefix $$folder --package-lock-only --no-audit --no-fund || exit; done

clean-up: setup  ## delete dead sessions and full buckets now, not at the daily run
	@$(SERVERLESS) invoke --function clean_up $(TARGET)

reset: setup  ## delete the local database and its keys
	@$(PYTHON) -m local reset

setup:
	@sh local/setup.sh
