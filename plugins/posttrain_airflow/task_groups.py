"""The pipeline's two halves as task groups, one a stage, in the order of `posttrain.pipeline`; the DAGs are made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup, TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from posttrain_airflow.approvals import ApproveRelease, DecideBand, open_rows
from posttrain_airflow.assets import TRAINING_MIXTURE
from posttrain_airflow.loop import NextRound
from posttrain_airflow.operators import RUN_ID, ReviewOperator, StageOperator, TrainOperator
from posttrain_airflow.sensors import EvaluationGateSensor

if TYPE_CHECKING:
    from airflow.sdk import Context

    from posttrain.run import Run

AFTER_A_BRANCH = TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS


def data_half(start: Any) -> TaskGroup:
    """From the start task to the mixture; returns the last group.

    collect → convert → filter → improve, synthesize → decontaminate (with index_evals) → review → mix. Collect and
    convert are mapped over the source names that `start` returns.
    """
    collect = _mapped_stage("collect", start)
    convert = _mapped_stage("convert", start)
    filter_rows, index_evals, decontaminate = _stage("filter"), _stage("index_evals"), _stage("decontaminate")
    begin_teaching, improve, synthesize = start_teacher(RUN_ID), _stage("improve"), _stage("synthesize")
    with TaskGroup("review") as review:
        decided = ReviewOperator(task_id="review", stage="review", trigger_rule=AFTER_A_BRANCH)
        decide_band = DecideBand(task_id="decide_band")
        decide_band >> decided
        route_review(RUN_ID) >> [decide_band, decided]
    end_teaching = stop_teacher(RUN_ID).as_teardown(setups=begin_teaching)
    mix = _stage("mix")
    start >> [collect, index_evals]
    collect >> convert >> filter_rows >> begin_teaching >> [improve, synthesize] >> decontaminate
    index_evals >> decontaminate >> review >> [mix, end_teaching]
    return mix


def model_half(before: Any, loop_dag_id: str) -> None:
    """From the mixture to a release, or to the next round of `loop_dag_id`; at the end the report, whatever happened.

    sft → preferences → dpo → rlvr → evaluate → gate → release or loop_back.
    """
    sft, dpo, rlvr, evaluate = (_model_stage(name) for name in ("sft", "dpo", "rlvr", "evaluate"))
    with TaskGroup("preferences") as preferences:
        begin_teaching, end_teaching = start_teacher(RUN_ID), stop_teacher(RUN_ID)
        pairs = TrainOperator(task_id="preferences", stage="preferences")
        begin_teaching >> pairs >> end_teaching.as_teardown(setups=begin_teaching)
    with TaskGroup("gate") as gate:
        verdict = route_verdict(RUN_ID)
        EvaluationGateSensor(task_id="gate") >> verdict
    with TaskGroup("release") as release:
        released = StageOperator(task_id="release", stage="release", trigger_rule=AFTER_A_BRANCH)
        approve = ApproveRelease(task_id="approve")
        approve >> released
    loop_back = NextRound(task_id="loop_back", trigger_dag_id=loop_dag_id)
    before >> sft >> preferences >> dpo >> rlvr >> evaluate >> gate
    verdict >> [approve, released, loop_back]
    # A teardown without setup: it runs however the tasks before it ended, and does not hide how they did.
    [release, loop_back] >> report().as_teardown()


def _stage(name: str) -> TaskGroup:
    with TaskGroup(name) as group:
        StageOperator(task_id=name, stage=name)
    return group


def _mapped_stage(name: str, sources: Any) -> TaskGroup:
    with TaskGroup(name) as group:
        StageOperator.partial(task_id=name, stage=name, map_index_template="{{ task.source }}").expand(source=sources)
    return group


def _model_stage(name: str) -> TaskGroup:
    with TaskGroup(name) as group:
        TrainOperator(task_id=name, stage=name)
    return group


# ---------------------------------------------------------------- small tasks


@task
def start_teacher(library_run: str) -> dict[str, Any]:
    """Start the built-in teacher where the recipe asks for it: {"url", "pid"}."""
    from posttrain_airflow import services

    return services.start_teacher(library_run)


@task
def stop_teacher(library_run: str) -> bool:
    """Stop the built-in teacher, also after a failure."""
    from posttrain_airflow import services

    return services.stop_teacher(library_run)


@task.branch
def route_review(library_run: str) -> str:
    """To a person where approval is on and a row of the review band is undecided."""
    from posttrain.run import load_run

    run = load_run(library_run)
    if not run.wants("review"):
        raise AirflowSkipException(f"the run goes only until {run.until}")
    asked = run.approval and open_rows(run) > 0
    return "review.decide_band" if asked else "review.review"


@task.branch
def route_verdict(library_run: str) -> str:
    """Pass → release (after a person's approval where it is on); fail → loop_back."""
    from posttrain.run import load_run

    run = load_run(library_run)
    if not run.manifest("gate").facts["passed"]:
        return "loop_back"
    return "release.approve" if run.approval and run.wants("release") else "release.release"


@task(retries=0)
def report() -> str:
    """Write report.html over all rounds of the loop so far; its path."""
    from posttrain.report import write_report
    from posttrain.run import load_run

    run_id = get_current_context()["ti"].xcom_pull(task_ids="start", key="run_id")
    if run_id is None:
        raise AirflowSkipException("the run did not start")
    return write_report(load_run(run_id))


@task(inlets=[TRAINING_MIXTURE], outlets=[TRAINING_MIXTURE])
def publish_mixture(library_run: str) -> dict[str, Any]:
    """Emit the asset event, but only where the mixture's content is not what the last event announced."""
    from posttrain.run import load_run

    return announce_mixture(load_run(library_run), get_current_context())


def announce_mixture(run: Run, context: Context) -> dict[str, Any]:
    """What the event of TRAINING_MIXTURE says. Raises AirflowSkipException where the recipe's last event said so already."""
    mixture, last = run.manifest("mix"), dict[str, Any]()
    for event in context["inlet_events"][TRAINING_MIXTURE]:
        last = event.extra if event.extra.get("recipe") == run.recipe.name else last
    if last.get("content") == mixture.content:
        raise AirflowSkipException(f"unchanged: the mixture is the one that run {last.get('run_id')} published")
    published = {
        "content": mixture.content, "manifest": mixture.path, "run_id": run.run_id, "recipe": run.recipe.name,
        "rows": mixture.written,
    }
    context["outlet_events"][TRAINING_MIXTURE].extra = published
    return published
