"""
### Look at the eval files every hour

Emits the asset `eval_sets`, on which `refresh_eval_index` runs, when an eval set of the recipe was added or changed since the
last event about it. Nothing is read but the files' hashes. `airflow assets materialize --name eval_sets` looks at once.

Paused until you switch it on.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, dag, get_current_context, task

from posttrain_airflow import run_form
from posttrain_airflow.assets import EVAL_SETS, TRAINING_MIXTURE
from posttrain_airflow.refreshing import look_at_evals


@dag(
    dag_id="watch_eval_sets",
    schedule=CronTriggerTimetable("10 * * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    params={"recipe": run_form.published_recipe()},
    default_args={"owner": "posttrain", "retries": 1, "retry_delay": timedelta(seconds=10)},
    tags=["posttrain", "data"],
    doc_md=__doc__,
)
def watch_eval_sets() -> None:
    @task(inlets=[EVAL_SETS, TRAINING_MIXTURE], outlets=[EVAL_SETS])
    def look() -> dict[str, Any]:
        return look_at_evals(get_current_context())

    look()


watch_eval_sets()
