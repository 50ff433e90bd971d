.DEFAULT_GOAL := help
.PHONY: help setup demo smoke real standalone decontamination-card test lint lock clean

IN_ENV := . ./env.sh &&

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-21s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## create .venv from requirements.lock (the other targets do it by themselves)
	@./setup.sh

demo: setup ## run the whole pipeline, all rounds, on embedded defaults; ends with a table, a report and a release
	@$(IN_ENV) python -m posttrain_airflow.drive demo

smoke: setup ## one round of the DAG tulu3 with the smallest recipe, by `airflow dags test`
	@$(IN_ENV) airflow dags test tulu3 --conf '{"recipe": "smoke"}'

real: setup ## run recipe `real` over public files: make real DATA_ROOT=<folder>
	@test -n "$(DATA_ROOT)" || { echo "make real: say where the data is: make real DATA_ROOT=<folder>" >&2; exit 2; }
	@test -d "$(DATA_ROOT)" || { echo "make real: DATA_ROOT=$(DATA_ROOT) is no folder" >&2; exit 2; }
	@$(IN_ENV) POSTTRAIN_DATA_ROOT="$$(cd "$(DATA_ROOT)" && pwd)" python -m posttrain_airflow.drive real

standalone: setup ## Airflow's web UI, scheduler and triggerer on this machine with the DAGs loaded; Ctrl-C stops them
	@$(IN_ENV) python -m posttrain_airflow.leftovers && exec airflow standalone

decontamination-card: setup ## precision and recall of decontamination into docs/; PAIRS=<file>: on labelled pairs, DATA_ROOT=<folder>: on real evals
	@$(IN_ENV) python -m posttrain.decontaminate.card $(if $(PAIRS),--pairs "$(PAIRS)") $(if $(DATA_ROOT),--data-root "$(DATA_ROOT)")

test: setup ## run the tests
	@$(IN_ENV) python -m pytest

lint: setup ## check style and imports with ruff
	@.venv/bin/ruff check .

lock: setup ## compile requirements.txt into requirements.lock
	@./setup.sh lock

clean: ## remove .venv, .airflow, workspace and caches
	rm -rf .venv .airflow workspace .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
