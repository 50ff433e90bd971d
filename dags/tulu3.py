"""
### The Tülu 3 recipe, from raw sources to a released model

`collect → convert → filter → improve, synthesize → decontaminate → review → mix → sft → preferences → dpo → rlvr →
evaluate → gate`, then **release** where every threshold is reached, or **loop_back**: a new run of this DAG, aimed at the
skills that fell short. The loop ends at its round limit and when no gap shrank.

A stage that has been done with the same settings, code and inputs is not done again; its task says so. Artifacts lie in
the workspace, `runs/<run id>/` points at them, and `runs/<run id>/report.html` shows rows, drops, contamination, training
curves and scores. The form's section "Set by the loop" is filled in by the loop itself.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag, get_current_context, task

from posttrain_airflow.run_form import tulu3_form
from posttrain_airflow.starting import start_tulu3
from posttrain_airflow.task_groups import data_half, model_half


@dag(
    dag_id="tulu3",
    schedule=None,
    catchup=False,
    max_active_runs=1,  # trainers share the machine
    is_paused_upon_creation=False,  # the loop triggers this DAG
    params=tulu3_form(),
    default_args={"owner": "posttrain", "retries": 1, "retry_delay": timedelta(seconds=10)},
    tags=["posttrain", "data", "model"],
    doc_md=__doc__,
)
def tulu3() -> None:
    @task
    def start() -> list[str]:
        return start_tulu3(get_current_context())

    model_half(data_half(start()), loop_dag_id="tulu3")


tulu3()
