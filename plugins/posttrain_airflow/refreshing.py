"""The tasks of `refresh_eval_index` and `watch_eval_sets`: which recipe, which mixture, then the steps of posttrain.refresh."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TriggerRule, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from posttrain_airflow.assets import EVAL_SETS, TRAINING_MIXTURE
from posttrain_airflow.operators import RETRY_POLICY, RUN_ID, report_result, unknown_keys
from posttrain_airflow.run_form import DEFAULT_RECIPE
from posttrain_airflow.services import stage_environment
from posttrain_airflow.task_groups import announce_mixture

if TYPE_CHECKING:
    from airflow.sdk import Context

    from posttrain.recipe import Recipe

log = logging.getLogger(__name__)


def start_refresh(context: Context) -> list[str]:
    """Compare the recipe's eval files with what the current mixture was compared with; the names of the sets to be compared.

    Fails where an eval file changed under its name; skips where there is no mixture yet, or nothing is new.
    """
    from posttrain import refresh
    from posttrain.collect import SourceError
    from posttrain.decontaminate.eval_sets import EvalFilesChanged
    from posttrain.storage import load_manifest

    recipe, published = _recipe(context), None
    for event in context["inlet_events"][TRAINING_MIXTURE]:
        published = event.extra if event.extra.get("recipe") == recipe.name else published
    given = {"mixture": load_manifest(published["manifest"]), "base_run_id": published["run_id"]} if published else {}
    try:
        found = refresh.start_refresh(recipe, accept=context["params"]["accept"], **given)
    except refresh.NoMixture as error:
        raise AirflowSkipException(f"{error}; the next mixture is compared with all evals of its recipe anyway") from error
    except (EvalFilesChanged, SourceError, ValueError) as error:
        raise AirflowFailException(str(error)) from error
    log.info("mixture %s of run %s", found.mixture.path, found.base_run_id)
    for state in found.states:
        log.info("eval %s: %s", state.name, state.status)
    if not found.pending:
        raise AirflowSkipException(f"the mixture was compared with all {len(found.states)} evals of recipe {recipe.name} already")
    context["ti"].xcom_push(key="run_id", value=found.run.run_id)
    return [state.name for state in found.pending]


class RefreshOperator(BaseOperator):
    """One step of a refresh; skips after the last one where no row of the mixture falls."""

    template_fields = ("run_id",)
    ui_color = "#e3f0fb"

    def __init__(self, *, run_id: str = RUN_ID, **kwargs: Any) -> None:
        super().__init__(**{"retry_policy": RETRY_POLICY} | kwargs)
        self.run_id = run_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        from posttrain import refresh

        steps = {"index_new_evals": refresh.index_new, "compare_mixture": refresh.compare, "review_band": refresh.review,
                 "new_mixture": refresh.new_version}
        found = refresh.load_refresh(self.run_id)
        with stage_environment(found.run, "review"):
            results = steps[self.task_id](found)
        if results is None:
            raise AirflowSkipException("no row of the mixture falls: it stays as it is, and nothing is trained")
        return [report_result(result, self.log) for result in (results if isinstance(results, list) else [results])]


@task(inlets=[TRAINING_MIXTURE], outlets=[TRAINING_MIXTURE])
def publish_refreshed(library_run: str) -> dict[str, Any]:
    """Emit the asset event for the new version, unless another mixture of the recipe was published in the meantime."""
    from posttrain.refresh import load_refresh

    context, found = get_current_context(), load_refresh(library_run)
    same = [e.extra for e in context["inlet_events"][TRAINING_MIXTURE] if e.extra.get("recipe") == found.run.recipe.name]
    if same and same[-1].get("content") not in (found.mixture.content, found.run.manifest("mix").content):
        raise AirflowFailException(
            f"run {same[-1].get('run_id')} published another mixture while this one was refreshed; run refresh_eval_index again")
    return announce_mixture(found.run, context)


@task(trigger_rule=TriggerRule.NONE_FAILED, retries=0)
def report_refresh() -> str:
    """Write refresh.html: what was compared, what fell and why; its path."""
    from posttrain.refresh import load_refresh
    from posttrain.report.refresh import write_refresh_report

    run_id = get_current_context()["ti"].xcom_pull(task_ids="start", key="run_id")
    if run_id is None:
        raise AirflowSkipException("nothing was compared")
    return write_refresh_report(load_refresh(run_id))


def look_at_evals(context: Context) -> dict[str, Any]:
    """Emit EVAL_SETS where the eval sets of the recipe are not what the last event about it announced."""
    from posttrain.collect import SourceError
    from posttrain.recipe import data_root
    from posttrain.refresh.evals import content_of_recipe

    recipe = _recipe(context)
    try:
        evals = content_of_recipe(recipe, data_root())
    except SourceError as error:
        raise AirflowFailException(str(error)) from error
    announced: dict[str, str] | None = None
    for event in context["inlet_events"][EVAL_SETS]:
        announced = event.extra.get("evals") if event.extra.get("recipe") == recipe.name else announced
    if announced == evals:
        raise AirflowSkipException(f"unchanged: the {len(evals)} eval sets of recipe {recipe.name} are those announced last")
    for name in sorted({*evals, *(announced or {})}):
        if (announced or {}).get(name) != evals.get(name):
            log.info("eval %s: %s", name, "new" if name not in (announced or {}) else "changed" if name in evals else "gone")
    context["outlet_events"][EVAL_SETS].extra = {"recipe": recipe.name, "evals": evals}
    return evals


def _recipe(context: Context) -> Recipe:
    """The form's recipe, else that of the event, else that of the mixture published last, else the default."""
    from posttrain.recipe import RecipeError, load_recipe, recipe_names

    if complaint := unknown_keys(context["dag_run"].conf, context["dag"].params):
        raise AirflowFailException(complaint)
    events = context["triggering_asset_events"].get(EVAL_SETS) or []
    named = sorted({str(event.extra["recipe"]) for event in events if event.extra.get("recipe")})
    name = context["params"]["recipe"]
    if name is None and len(named) > 1:
        raise AirflowFailException(f"events about several recipes came together: {', '.join(named)}; run this DAG for each")
    published = [event.extra.get("recipe") for event in context["inlet_events"][TRAINING_MIXTURE]]
    name = name or (named[0] if named else published[-1] if published else DEFAULT_RECIPE)
    if name not in recipe_names():  # an event's extra is user input: never a path
        raise AirflowFailException(f"no recipe {name!r}; there are {', '.join(recipe_names())}")
    try:
        return load_recipe(name)
    except RecipeError as error:
        raise AirflowFailException(str(error)) from error
