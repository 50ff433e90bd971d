"""The first task of every DAG: checks what was asked for, then creates the run folder. Nothing has been done before."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from posttrain_airflow.assets import TRAINING_MIXTURE
from posttrain_airflow.loop import runs_in_process
from posttrain_airflow.operators import unknown_keys

if TYPE_CHECKING:
    from airflow.sdk import Context

    from posttrain.recipe import Recipe
    from posttrain.run import Run

log = logging.getLogger(__name__)


def start_tulu3(context: Context) -> list[str]:
    """A round of the loop. Round 0 is called after the DAG run unless the form names a root."""
    from posttrain.loop import round_id
    from posttrain.run import start_run

    params = _checked_params(context)
    root = params["root_run_id"] or context["run_id"]
    run = start_run(
        _checked_recipe(params), round_id(root, params["round"]), root_run_id=root, round=params["round"], until=params["until"],
        max_rounds=params["max_rounds"], approval=params["approval"], focus=params["focus"],
    )
    return _started(run, context)


def start_rebuild(context: Context) -> list[str]:
    """A rebuild of the mixture: the data half of a recipe."""
    from posttrain.recipe import DATA_STAGES
    from posttrain.run import start_run

    return _started(start_run(_checked_recipe(_checked_params(context)), context["run_id"], until=DATA_STAGES[-1]), context)


def start_training(context: Context) -> list[str]:
    """A model half on the mixture of the run that the form names; else of the event that triggered this one; else the latest."""
    from posttrain.run import load_run, start_run
    from posttrain.storage import StageResult, StorageError, load_manifest

    params = _checked_params(context)
    named = params["mixture_run"]
    if named is None:
        events = context["triggering_asset_events"].get(TRAINING_MIXTURE) or context["inlet_events"][TRAINING_MIXTURE]
        if not events:
            raise AirflowFailException("no mixture has been published yet; run the DAG nightly_rebuild first")
        named = events[-1].extra["run_id"]
    try:
        data = load_run(named)
        mixture = data.manifest("mix")
    except StorageError as error:
        raise AirflowFailException(f"there is no mixture to train on: {error}") from error
    log.info("training on mixture %s of run %s", mixture.content[:12], data.run_id)
    run = start_run(data.recipe, context["run_id"], until=params["until"], approval=params["approval"])
    for record in data.stage_records():
        taken = StageResult(load_manifest(record["manifest"]), True, f"taken from run {data.run_id}")
        run.record(record["stage"], taken, record["part"])
    return _started(run, context)


def other_mixtures(context: Context) -> list[dict[str, Any]]:
    """Runs of the DAG for what `start_training` leaves: {"conf", "trigger_run_id"} each.

    Mixtures that were published while a training ran come as the events of one run. It trains on the last of them; of every other
    recipe the newest mixture gets a run of its own.
    """
    events = context["triggering_asset_events"].get(TRAINING_MIXTURE) or []
    newest = {str(event.extra.get("recipe")): str(event.extra["run_id"]) for event in events}
    if events:
        newest.pop(str(events[-1].extra.get("recipe")))
    return [{"conf": {**context["params"], "mixture_run": run_id}, "trigger_run_id": f"{context['run_id']}__{recipe}"}
            for recipe, run_id in newest.items()]


def _checked_params(context: Context) -> dict[str, Any]:
    if complaint := unknown_keys(context["dag_run"].conf, context["dag"].params):  # the context's params hold them too
        raise AirflowFailException(complaint)
    params = dict(context["params"])
    if params.get("approval") and runs_in_process():
        raise AirflowFailException(
            "approval is on, but nobody could answer: `airflow dags test` runs without a scheduler. "
            "Use `airflow standalone` and the web UI, or run without approval"
        )
    return params


def _checked_recipe(params: dict[str, Any]) -> Recipe:
    """The recipe with the form's overrides. A wrong recipe ends the run here, with every complaint at once, and so does an eval
    file that changed under its name."""
    from posttrain.collect import SourceError
    from posttrain.decontaminate.eval_sets import EvalFilesChanged
    from posttrain.pipeline import check_evals, check_inputs
    from posttrain.recipe import load_recipe
    from posttrain.storage import workspace_url

    overrides: dict[str, Any] = {}
    if params.get("seed") is not None:
        overrides["seed"] = params["seed"]
    if params.get("thresholds"):
        overrides["gate"] = {"thresholds": params["thresholds"]}
    try:
        recipe = load_recipe(params["recipe"], overrides)
        check_inputs(recipe)
        check_evals(recipe, workspace_url(), params["accept"])
    except (ValueError, SourceError, FileNotFoundError, EvalFilesChanged) as error:
        raise AirflowFailException(str(error)) from error
    return recipe


def _started(run: Run, context: Context) -> list[str]:
    """Push the run's id and folder; return the source names, which collect and convert are mapped over."""
    log.info("run %s, round %d of at most %d, folder %s", run.run_id, run.round + 1, run.max_rounds, run.folder)
    context["ti"].xcom_push(key="run_id", value=run.run_id)
    context["ti"].xcom_push(key="folder", value=run.folder)
    return [source.name for source in run.recipe.sources]
