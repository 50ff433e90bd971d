"""
### Train when the mixture has changed

The model half of `tulu3`, from `sft` to `release`, on the mixture of the asset event that triggered the run; started by hand,
on the latest one, or on that of the run you name. Mixtures of several recipes that were published while a training ran are
trained on one after the other. Where the gate fails, the loop goes on as a run of `tulu3`, aimed at the skills that fell short.

Paused until you switch it on: events that come before that are not kept.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import dag, get_current_context, task

from posttrain_airflow import run_form
from posttrain_airflow.assets import TRAINING_MIXTURE
from posttrain_airflow.starting import other_mixtures, start_training
from posttrain_airflow.task_groups import model_half


@dag(
    dag_id="train_on_new_mixture",
    schedule=[TRAINING_MIXTURE],
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    params={"mixture_run": run_form.mixture_run(), "until": run_form.until(run_form.MODEL_STAGES),
            "approval": run_form.approval()},
    default_args={"owner": "posttrain", "retries": 1, "retry_delay": timedelta(seconds=10)},
    tags=["posttrain", "model"],
    doc_md=__doc__,
)
def train_on_new_mixture() -> None:
    @task(inlets=[TRAINING_MIXTURE])
    def start() -> list[str]:
        return start_training(get_current_context())

    @task
    def others() -> list[dict[str, Any]]:
        return other_mixtures(get_current_context())

    model_half(start(), loop_dag_id="tulu3")
    TriggerDagRunOperator.partial(
        task_id="train_on_the_others", trigger_dag_id="train_on_new_mixture", skip_when_already_exists=True,
    ).expand_kwargs(others())


train_on_new_mixture()
