"""
### A new eval set: take its rows out of the current mixture

On the asset `eval_sets`. The mixture that was published last is compared with every eval set of its recipe that is new or was
changed, and with these alone; unchanged ones are known by their content. Rows that contain an eval item fall, the review band
is decided about as in an unattended run. If rows fell, the mixture without them is published as a new version, on which
`train_on_new_mixture` runs; if none did, nothing is made and nothing is trained. `refresh.html` in the run's folder says what
changed.

**An eval file that changed under its old name stops the run**, with both hashes. Put the old file back; or name the new version
in the recipe as an eval set of its own; or, where the change is meant, run this DAG again with the new hash in *Accept changed
eval files*. That is asked once.

Paused until you switch it on, and `watch_eval_sets` with it: events that come before that are not kept.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag, get_current_context, task

from posttrain_airflow import run_form
from posttrain_airflow.assets import EVAL_SETS, TRAINING_MIXTURE
from posttrain_airflow.operators import RUN_ID
from posttrain_airflow.refreshing import RefreshOperator, publish_refreshed, report_refresh, start_refresh


@dag(
    dag_id="refresh_eval_index",
    schedule=[EVAL_SETS],
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    params={"recipe": run_form.published_recipe(), "accept": run_form.accept()},
    default_args={"owner": "posttrain", "retries": 1, "retry_delay": timedelta(seconds=10)},
    tags=["posttrain", "data"],
    doc_md=__doc__,
)
def refresh_eval_index() -> None:
    @task(inlets=[TRAINING_MIXTURE])
    def start() -> list[str]:
        return start_refresh(get_current_context())

    new_mixture = RefreshOperator(task_id="new_mixture")
    (
        start()
        >> RefreshOperator(task_id="index_new_evals")
        >> RefreshOperator(task_id="compare_mixture")
        >> RefreshOperator(task_id="review_band")
        >> new_mixture
    )
    new_mixture >> [publish_refreshed(RUN_ID), report_refresh()]


refresh_eval_index()
