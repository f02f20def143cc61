PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
LOCKED := requirements/locked.txt
PEERS_LOCKED := requirements/benchmarks.txt
SPARK_LOCKED := requirements/spark.txt
BIN := .venv/bin
# Modules rather than scripts: a script holds the path of its Python, which may have blanks and quotes in it, or have been moved.
RUN := $(BIN)/python -m
UV_VERSION := 0.13.9
# The demo has a Dagster of its own, begins with its own first day, and has no sources: what yours deliver is none of it.
# Folders are named from here or by the shell, as their names may hold anything.
DEMO = SOURCES_FILE=/dev/null LANDING_DIR=data/demo/landing WAREHOUSE_DIR=data/demo/warehouse \
	FIRST_LOAD_DAY="$$(ls data/demo/landing/touches 2> /dev/null | head -n 1)" DAGSTER_HOME="$$PWD/data/demo/dagster" \
	SPARK_LAKE= SPARK_CATALOG_URI=
# ENGINE=spark, in the call or the environment, builds on Spark; in .env, it needs `make install-spark` first.
ENGINE_INSTALLED = $(if $(filter spark,$(ENGINE)),install-spark,install)
# VERBOSE=1: every delivery, model and row rather than a summary.
VERBOSELY = $(if $(VERBOSE),--verbose)
# File by file, those that take longest first; one more than processors, as some wait for browsers and servers.
PYTEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: help install install-spark cluster cluster-stop run update dev report metrics test acceptance campaigns torture lint mutants screenshots bench bench-counting bench-growth bench-volume bench-cluster bench-crowds bench-report bench-columns bench-postgres lock lock-peers lock-spark clean
.DEFAULT_GOAL := help

help:  ## List what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed  ## Set up .venv with everything locked in requirements/, and the command `multichannel`

# Compiled once, and not by every process where Python is told not to write down what it compiles.
.venv/installed: $(LOCKED) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python3.11")'
	@echo "Setting up .venv, which takes a minute or two, once"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(RUN) pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(RUN) uv pip sync --quiet --compile-bytecode --require-hashes $(LOCKED) --python $(BIN)/python
	@$(RUN) uv pip install --quiet --no-deps --no-build-isolation --editable . --python $(BIN)/python
	@touch $@

install-spark: .venv/installed-spark  ## Set up .venv with what ENGINE=spark needs, too

.venv/installed-spark: .venv/installed $(SPARK_LOCKED)
	@echo "Adding Spark to .venv, which takes a minute or two, once"
	@$(RUN) uv pip install --quiet --compile-bytecode --require-hashes -r $(SPARK_LOCKED) --python $(BIN)/python
	@touch $@

# Its processes stay when make ends. Without them, ENGINE=spark builds in a process of its own.
cluster: install-spark  ## A Spark master and two workers on this machine, for ENGINE=spark (docs/cluster.md)
	@$(RUN) pipeline.spark.cluster start

cluster-stop: install-spark  ## End the processes of make cluster
	@$(RUN) pipeline.spark.cluster stop

run: $(ENGINE_INSTALLED)  ## Demo deliveries, load, and a look at the result (VERBOSE=1: all that is done and found)
	@test -d data/demo/landing || (rm -rf data/demo/landing.part && $(RUN) cli demo --out data/demo/landing.part \
		&& mv data/demo/landing.part data/demo/landing)
	@$(DEMO) $(RUN) cli load $(VERBOSELY)
	@echo
	@$(DEMO) $(RUN) cli look $(VERBOSELY)
	@echo "What next:"
	@echo "  make report DEMO_DATA=1   the journal, client card, channels and chains in a browser: http://127.0.0.1:8501"
	@echo "  make dev DEMO_DATA=1      how it came about: assets, runs, checks, schedule: http://127.0.0.1:3000"
	@echo "  make run VERBOSE=1        all of the above, in full; README.md: how to bring your own data"

update: $(ENGINE_INSTALLED)  ## Fetch what is due from the sources of sources.yml, load it, publish
	@$(RUN) cli update $(VERBOSELY)

dev: $(ENGINE_INSTALLED)  ## Dagster in a browser, with schedule, sensors and a lasting history (DEMO_DATA=1: on the demo data)
	@export $(if $(DEMO_DATA),$(DEMO),DAGSTER_HOME="$$PWD/data/dagster") && mkdir -p "$$DAGSTER_HOME" && cp dagster.yaml "$$DAGSTER_HOME" \
		&& $(RUN) dagster dev

report: install  ## The report in a browser, read from the published file (DEMO_DATA=1: on the demo data)
	@$(if $(DEMO_DATA),$(DEMO)) $(RUN) report

# What is in .env counts here too. `mf` leaves a pickle in the temporary folder and reads it again: not one that all share.
WITH_SETTINGS = $(if $(DEMO_DATA),$(DEMO)) DBT_TARGET=published TMPDIR="$$PWD/target" \
	$(if $(wildcard .env),$(RUN) dotenv -f .env run --no-override --) $(BIN)/python

metrics: install  ## Ask for metrics (QUERY="--metrics contacts --group-by metric_time__week"; without: list them; DEMO_DATA=1: the demo's)
	@mkdir -p target
	@$(WITH_SETTINGS) -c 'from dbt.cli.main import cli; cli()' --quiet parse
	@$(WITH_SETTINGS) -m dbt_metricflow.cli.main $(if $(QUERY),query $(QUERY),list metrics)

test: install  ## Rules, loading, changes, publication, commands
	$(RUN) pytest $(PYTEST_ARGS)

# Of the campaigns, the one that finds what no other test does.
acceptance: install  ## Pages in a browser, Dagster, services, killed processes, full disks, random histories
	$(RUN) pytest $(PYTEST_ARGS) tests/acceptance tests/campaigns/test_torture_histories.py

campaigns: install  ## The campaigns at their smallest: a few kills, full disks, readers, browsers under load
	$(RUN) pytest $(PYTEST_ARGS) $(filter-out %histories.py,$(wildcard tests/campaigns/test_*.py))

torture: install  ## A long campaign: random histories, kills, full disks, readers; sizes are variables of the environment
	TORTURE_FIRST_SEED=$${TORTURE_FIRST_SEED:-0} TORTURE_HISTORIES=$${TORTURE_HISTORIES:-300} TORTURE_ORDERS=$${TORTURE_ORDERS:-3} TORTURE_HOST_ZONES=$${TORTURE_HOST_ZONES:-5} \
		TORTURE_KILLS=$${TORTURE_KILLS:-200} TORTURE_TROUBLES=$${TORTURE_TROUBLES:-20} TORTURE_DISKS=$${TORTURE_DISKS:-40} \
		TORTURE_PUBLICATIONS=$${TORTURE_PUBLICATIONS:-500} TORTURE_READERS=$${TORTURE_READERS:-8} TORTURE_MEETINGS=$${TORTURE_MEETINGS:-3} \
		TORTURE_VERSIONS=$${TORTURE_VERSIONS:-6} TORTURE_DAGSTER=$${TORTURE_DAGSTER:-1} TORTURE_SPARK_KILLS=$${TORTURE_SPARK_KILLS:-20} TORTURE_SPARK_COMMITS=$${TORTURE_SPARK_COMMITS:-20} TORTURE_SPARK_WORKERS=$${TORTURE_SPARK_WORKERS:-20} TORTURE_SPARK_JAVA=$${TORTURE_SPARK_JAVA:-5} TORTURE_PAGES_PUBLICATIONS=$${TORTURE_PAGES_PUBLICATIONS:-20} TORTURE_PAGES_BROWSERS=$${TORTURE_PAGES_BROWSERS:-10} TORTURE_PAGES_READING=$${TORTURE_PAGES_READING:-1} \
		$(RUN) pytest -n 2 --dist loadgroup --count-line tests/campaigns

lint: install  ## Style, types and arrows between packages
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(BIN)/python -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	$(RUN) sqlfluff lint --disable-progress-bar models data_tests pipeline

mutants: install  ## Break the rules line by line and see that the tests notice
	$(BIN)/python tools/mutants.py

screenshots: install  ## Take the report's pictures of docs/screenshots from the demo (after make run)
	PYTHONPATH=.:tests/support $(BIN)/python tools/screenshots.py

# Other tools that the benchmarks compare with, apart from the project's own environment.
.venv-benchmarks/installed: $(PEERS_LOCKED) | .venv/installed
	@echo "Setting up .venv-benchmarks, which takes a few minutes, once"
	@test -x .venv-benchmarks/bin/python || $(PYTHON) -m venv .venv-benchmarks
	@$(RUN) uv pip sync --quiet --compile-bytecode --require-hashes $(PEERS_LOCKED) --python .venv-benchmarks/bin/python
	@touch $@

bench: install .venv-benchmarks/installed  ## Loads beside the least that they could cost, and other tools; writes benchmarks/README.md (BENCH_ARGS=--quick: small sizes)
	$(RUN) benchmarks compare $(BENCH_ARGS)

bench-counting: install  ## Counting alone against a plain join of contacts and touches, also with oversized clients
	$(RUN) benchmarks counting $(BENCH_ARGS)

bench-growth: install  ## What a day costs on top of 30, 300 and 1,000 days (BENCH_ARGS=--quick: small sizes)
	$(RUN) benchmarks growth $(BENCH_ARGS)

bench-volume: install  ## 100 million touches at once in 6 GB of memory, then one day more
	$(RUN) benchmarks volume $(BENCH_ARGS)

bench-crowds: install  ## A bot, and a number that everybody calls from, against as many ordinary rows
	$(RUN) benchmarks crowds $(BENCH_ARGS)

bench-cluster: install-spark  ## A full load and one more day on DuckDB, and on Spark with one worker and with two
	$(RUN) benchmarks cluster $(BENCH_ARGS)

bench-report: install  ## Pages of the report on 5,000 contacts and on 5 million, in a real browser
	$(RUN) benchmarks report $(BENCH_ARGS)

bench-columns: install  ## Files of 100 to 10,000 columns, in every format: what reading costs
	$(RUN) benchmarks columns $(BENCH_ARGS)

bench-postgres: install  ## A million touches from a real PostgreSQL into the landing folder, against its bare COPY
	$(RUN) benchmarks postgres $(BENCH_ARGS)

lock: install  ## Resolve the dependencies of pyproject.toml again into requirements/
	$(RUN) uv pip compile pyproject.toml --extra build --extra test --extra lint --python-version 3.11 --universal \
		--generate-hashes --no-header --no-annotate --upgrade --quiet -o $(LOCKED)
	@$(MAKE) --no-print-directory lock-peers lock-spark

# Packages that the project has too get the project's versions.
lock-peers: install  ## Resolve only what the benchmarks' peers need
	$(RUN) uv pip compile --group benchmarks --constraint $(LOCKED) --python-version 3.11 --universal \
		--generate-hashes --no-header --no-annotate --upgrade --quiet -o $(PEERS_LOCKED)

lock-spark: install  ## Resolve only what ENGINE=spark needs
	$(RUN) uv pip compile pyproject.toml --extra spark --constraint $(LOCKED) --python-version 3.11 --universal \
		--generate-hashes --no-header --no-annotate --upgrade --quiet -o $(SPARK_LOCKED)

clean:  ## Remove what was built, not the data
	rm -rf .venv .venv-benchmarks target logs .pytest_cache .mypy_cache .ruff_cache .tmp_dagster_home*
