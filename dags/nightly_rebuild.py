"""
### Rebuild the training mixture every night

The data half of `tulu3`, from `collect` to `mix`. Emits the asset `training_mixture`, on which `train_on_new_mixture` runs,
only when the content of the mixture differs from the one announced last; otherwise `publish_mixture` is skipped and says so.

**An eval file that changed under its old name stops the run**, with both hashes, until the old file is back, the new one has a
name of its own in the recipe, or a person has accepted it: start this DAG by hand with its hash in *Accept changed eval files*.

Paused until you switch it on, and `train_on_new_mixture` with it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task

from posttrain_airflow import run_form
from posttrain_airflow.operators import RUN_ID
from posttrain_airflow.starting import start_rebuild
from posttrain_airflow.task_groups import data_half, publish_mixture


@dag(
    dag_id="nightly_rebuild",
    schedule=CronTriggerTimetable("30 2 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    params={"recipe": run_form.recipe(), "seed": run_form.seed(), "accept": run_form.accept()},
    default_args={"owner": "posttrain", "retries": 1, "retry_delay": timedelta(seconds=10)},
    tags=["posttrain", "data"],
    doc_md=__doc__,
)
def nightly_rebuild() -> None:
    @task
    def start() -> list[str]:
        return start_rebuild(get_current_context())

    data_half(start()) >> publish_mixture(RUN_ID)


nightly_rebuild()
